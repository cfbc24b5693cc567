namespace WeaveHypervisor.Cli.Tests;

/// <summary>`weave disk` becomes the service's program with words that say the same, and asks no service.</summary>
public sealed class DiskCommandTests
{
    [Theory]
    [InlineData("disk info web.qcow2", "disk info -- web.qcow2")]
    [InlineData("disk map web.qcow2 --json --allow /images --allow /more", "disk map --json --allow /images --allow /more -- web.qcow2")]
    [InlineData("disk check web --format qcow2", "disk check --format qcow2 -- web")]
    [InlineData("disk map web.qcow2 --all", "disk map --all -- web.qcow2")]
    [InlineData("disk diff a.qcow2 b.img --summary --granularity 512", "disk diff --summary --granularity 512 -- a.qcow2 b.img")]
    [InlineData("disk diff a b --hex --format raw --format vhdx", "disk diff --hex --format raw --format vhdx -- a b")]
    [InlineData("disk info -- --odd.qcow2", "disk info -- --odd.qcow2")]
    public async Task The_program_of_the_service_does_the_work(string line, string words)
    {
        string? became = null;
        var run = new CliRun { Become = w => { became = string.Join(' ', w); return 42; } };
        Assert.Equal(42, await run.RunLineAsync(line));
        Assert.Equal(words, became);
        Assert.Empty(run.Service.Requests);
    }

    [Theory]
    [InlineData("disk info")]
    [InlineData("disk diff one.qcow2")]
    [InlineData("disk info a.qcow2 b.qcow2")]
    [InlineData("disk info a --format vmdk")]
    [InlineData("disk diff a b --granularity few")]
    [InlineData("disk melt a.qcow2")]
    public async Task A_line_that_cannot_be_is_refused_before(string line)
    {
        var run = new CliRun { Become = _ => throw new InvalidOperationException("It was run.") };
        Assert.Equal(ExitCodes.Usage, await run.RunLineAsync(line));
        Assert.NotEmpty(run.Error);
    }
}
