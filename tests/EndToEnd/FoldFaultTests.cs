using System.Diagnostics;
using WeaveHypervisor.Client.V1;

namespace WeaveHypervisor.EndToEnd;

/// <summary>What copies a chain's data dies in the middle of it: whatever has been copied by then, every point holds what it held.</summary>
[Collection("lab")]
public sealed class FoldFaultTests(LabWorld lab, ITestOutputHelper output)
{
    private static readonly string[] Disks = ["db/vdb", "db/vda", "app/vda", "web/vda"];

    /// <summary>In the usual run QEMU's alone, which takes the block job with it; all three with WEAVE_TESTS=full.</summary>
    public static TheoryData<string> Victims => Environment.GetEnvironmentVariable("WEAVE_TESTS") == "full" ? ["libvirtd", "QEMU", "the service"] : ["QEMU"];

    [Theory, MemberData(nameof(Victims))]
    public async Task Killed_while_layers_are_merged_under_running_machines(string victim)
    {
        await lab.AdoptedAsync();
        // Slow enough to be met in the middle.
        await RestartAsync(bytesPerSecond: 32 << 10);
        var began = await LabWorld.AnswersAsync(LabWorld.MainWeb);
        var points = new List<string>();
        for (var i = 0; i < 6; i++)
        {
            for (var twice = 0; twice < 2; twice++) await LabWorld.OrderAsync(LabWorld.MainWeb);
            var taken = await lab.WeaveJsonAsync<OperationView>("snapshot", LabWorld.Environment, "--disk-only");
            points.Add(taken.Result!.Value.GetProperty("snapshot").GetString()!);
        }
        foreach (var point in points[1..5]) await lab.WeaveAsync("snapshot", "delete", point);
        string[] kept = [points[0], points[5]];
        string[] sums = [await PointSums.ReadAsync(lab, kept[0]), await PointSums.ReadAsync(lab, kept[1])];
        var orders = (await LabWorld.OrderAsync(LabWorld.MainWeb)).Orders;

        var clock = Stopwatch.StartNew();
        await lab.WeaveAsync("compact", LabWorld.Environment, "--no-wait");
        var job = "";
        await Shell.UntilAsync("a block job is at work", async () => (job = await JobAsync()).Length > 0, TimeSpan.FromSeconds(30));
        var machine = job.Split('/')[0];
        if (victim == "libvirtd")
        {
            await Libvirtd.KillAsync();
            await Libvirtd.StartAsync();
        }
        else if (victim == "QEMU") Libvirtd.KillQemu($"{LabWorld.Prefix}-{machine}");
        else
        {
            await lab.Service.KillAsync();
            await RestartAsync(bytesPerSecond: 32 << 10);
        }
        OperationView? operation = null;
        await Shell.UntilAsync("the compaction has ended", async () => (operation = (await lab.OperationsAsync()).First(o => o.Kind == "env.compact")).IsEnded(), TimeSpan.FromMinutes(3));
        output.WriteLine($"{victim} killed in the job of {job}: {operation!.State}, {clock.Elapsed.TotalSeconds:0.0} s, {operation.Error?.Detail}");
        Assert.True(operation.State is "succeeded" or "undone", $"{operation.State}, {operation.Error?.Detail}");
        Assert.Equal("", await JobAsync());

        if (victim == "QEMU")
        {
            // What it had not got to its disk is lost with it, as in a power cut; what was acknowledged is there.
            await lab.TryWeaveAsync("repair", LabWorld.Environment, "--dry-run");
            await lab.WeaveAsync("start", $"{LabWorld.Environment}/main");
        }
        await CheckAsync();
        await RestartAsync(bytesPerSecond: 0);
        await lab.WeaveAsync("compact", LabWorld.Environment);
        Assert.InRange((await lab.WeaveJsonAsync<CompactionView>("compact", LabWorld.Environment, "--dry-run")).Chains.Max(c => c.Layers), 1, 4);
        await CheckAsync();
        await lab.WeaveAsync("env", "release", LabWorld.Environment);
        Assert.Empty((await HostFootprint.TakeAsync(LabWorld.Pool)).NewSince(lab.WithLab));
        Assert.Equal(orders, (await LabWorld.AnswersAsync(LabWorld.MainWeb)).Orders);
        await lab.Service.DisposeAsync();
        await lab.Service.StartAsync();

        async Task CheckAsync()
        {
            var now = await LabWorld.AnswersAsync(LabWorld.MainWeb);
            Assert.Equal(orders, now.Orders);
            if (victim != "QEMU") Assert.Equal(began.Nonces, now.Nonces);
            for (var i = 0; i < 2; i++) Assert.Equal(sums[i], await PointSums.ReadAsync(lab, kept[i]));
            foreach (var file in Directory.EnumerateFiles(LabWorld.Pool, "*.qcow2", SearchOption.AllDirectories))
                (await Shell.RunAsync("qemu-img", "check", "-q", "-U", "-f", "qcow2", file)).Succeeded($"qemu-img check {file}");
        }
    }

    private async Task RestartAsync(long bytesPerSecond)
    {
        await lab.Service.DisposeAsync();
        await lab.Service.StartAsync(more: new Dictionary<string, string> { ["WEAVE_Weaving__CompactBytesPerSecond"] = $"{bytesPerSecond}" });
    }

    /// <summary>The disk that a block job is at work at; empty where there is none.</summary>
    private static async Task<string> JobAsync()
    {
        foreach (var disk in Disks)
            if ((await Shell.RunAsync("virsh", "-q", "-c", "qemu:///system", "blockjob", $"{LabWorld.Prefix}-{disk.Split('/')[0]}", disk.Split('/')[1], "--raw")) is { Exit: 0 } said && said.Output.Contains("cur=", StringComparison.Ordinal)) return disk;
        return "";
    }
}
