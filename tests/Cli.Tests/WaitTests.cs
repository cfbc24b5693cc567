using WeaveHypervisor.Client.V1;

namespace WeaveHypervisor.Cli.Tests;

/// <summary>Waiting for work: what is shown meanwhile, and what the exit code says.</summary>
public sealed class WaitTests
{
    private static OperationView Step(OperationView o, ProgressView? progress = null) => o with
    {
        State = "running", Progress = progress, Steps = [new("prepare", "done", CliRun.Noon, CliRun.Noon.AddMilliseconds(4), null), new("capture", "doing", CliRun.Noon, null, null)],
    };

    private static CliRun Run(bool terminal = false, CancellationToken stop = default) => new()
    {
        OutIsTerminal = terminal, ErrorIsTerminal = terminal, Stop = stop,
        Service = new() { Becomes = o => [o with { State = "running" }, Step(o), Step(o, new("capture", "writing [memory]", 30, 120)), Step(o, new("capture", "writing [memory]", 60, 120)), FakeService.End(o, "succeeded")] },
    };

    [Fact]
    public async Task Each_step_is_told_once_on_standard_error()
    {
        var run = Run();
        Assert.Equal(0, await run.RunAsync("snapshot", "shop"));
        Golden.Check("steps", run.Error);
        Assert.Equal(2, run.Out.Split('\n').Length);
        Assert.StartsWith("snap-4 of shop/main", run.Out);
    }

    [Fact]
    public async Task On_a_terminal_the_work_and_its_progress_are_shown_live()
    {
        var run = Run(terminal: true);
        Assert.Equal(0, await run.RunAsync("snapshot", "shop"));
        Assert.Contains("✓", run.Error);
        Assert.Contains("snapshot shop/main", run.Error);
        Assert.Contains("2 machines [all]", run.Error);
        Assert.DoesNotContain("✓", run.Out);
    }

    [Fact]
    public async Task A_quiesced_snapshot_says_what_was_reached_and_warns_of_what_was_not()
    {
        var run = Run();
        var result = Samples.Element("""
            {"snapshot":"snap-4","at":"2030-01-01T12:00:00.500Z","consistency":"crash","skewMs":1.5,"longestPauseMs":42.25,"storedBytes":0,"machines":[
             {"name":"web","method":"disk","quiescing":{"outcome":"noChannel","fileSystems":0,"frozenMs":0,"reason":"the machine has no channel for a guest agent"}},
             {"name":"db","method":"disk","quiescing":{"outcome":"frozen","fileSystems":2,"frozenMs":120.5}},
             {"name":"mail","method":"disk","quiescing":{"outcome":"partial","fileSystems":1,"frozenMs":80,"reason":"1 of 2 file systems were frozen"}},
             {"name":"old","method":"disk","quiescing":{"outcome":"timedOut","fileSystems":0,"frozenMs":0,"reason":"the guest agent did not answer in time","notThawed":"Look into the guest."}}]}
            """);
        run.Service.Becomes = o => [FakeService.End(o with { Result = result }, "succeeded")];
        Assert.Equal(0, await run.RunAsync("snapshot", "shop", "--disk-only", "--quiesce"));
        Golden.Check("quiesce-out", run.Out);
        Assert.Contains("warning: not every running machine could be frozen", run.Error, StringComparison.Ordinal);
        Assert.Contains("warning: old may still be frozen. Look into the guest.", run.Error, StringComparison.Ordinal);
        Assert.DoesNotContain("db may", run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task With_JSON_nothing_but_the_ended_operation_is_written()
    {
        var run = Run(terminal: true);
        Assert.Equal(0, await run.RunAsync("snapshot", "shop", "--json"));
        Assert.Equal("", run.Error);
        Assert.Contains("\"state\": \"succeeded\"", run.Out);
    }

    [Fact]
    public async Task Without_waiting_the_id_is_all()
    {
        var run = Run();
        Assert.Equal(0, await run.RunAsync("snapshot", "shop", "--no-wait"));
        Assert.Equal(("op-1\n", ""), (run.Out, run.Error));
        Assert.Single(run.Service.Requests);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Interrupting_ends_the_waiting_and_not_the_work_and_says_how_to_come_back(bool terminal)
    {
        using var stop = new CancellationTokenSource();
        var run = Run(terminal, stop.Token);
        run.Service.Becomes = o => [Step(o)];
        run.Service.OnEvent = _ => stop.Cancel();
        Assert.Equal(ExitCodes.Interrupted, await run.RunAsync("snapshot", "shop").WaitAsync(TimeSpan.FromSeconds(30)));
        Assert.Contains("op-1 goes on", run.Error);
        Assert.Contains("weave op watch op-1", run.Error);
        Assert.DoesNotContain(run.Service.Requests, r => r.Contains("cancel", StringComparison.Ordinal));
        Assert.Equal("", run.Out);
    }

    [Theory]
    [InlineData("undone", "exhausted", 4)]
    [InlineData("undone", "notFound", 3)]
    [InlineData("failed", "dataLoss", 1)]
    [InlineData("undone", "unavailable", 5)]
    public async Task Work_that_fails_ends_with_the_exit_code_of_its_fault_and_tells_why(string state, string fault, int code)
    {
        foreach (var line in new[] { "snapshot shop", "op watch op-9" })
        {
            var run = new CliRun();
            run.Service.Becomes = o => [FakeService.End(o, state, new(fault, "It could not be had.", "Do the other thing.", ["shop/audit"]))];
            run.Service.Instead = r => r == "GET operations/op-9" ? Answer(FakeService.Begun("snapshot", "shop/main") with { State = "running" }) : null;
            Assert.Equal(code, await run.RunLineAsync(line));
            foreach (var part in new[] { "It could not be had.", "held by: shop/audit", "operation: op-1", "next: Do the other thing." }) Assert.Contains(part, run.Error);
            Assert.Equal("", run.Out);
        }
    }

    private static HttpResponseMessage Answer(OperationView operation) =>
        new(System.Net.HttpStatusCode.OK) { Content = new StringContent(System.Text.Json.JsonSerializer.Serialize(operation, V1Json.Default.OperationView), null, "application/json") };
}
