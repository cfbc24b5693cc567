using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Cim.Wrappers;

namespace WeaveHypervisor.HyperV.Simulator.Tests;

/// <summary>The whole way from a running machine to a weave of it, with each of its method calls going wrong in turn.</summary>
public sealed class EveryCallTests
{
    private static async Task WalkAsync(Bench bench, Guid id, string folder)
    {
        var point = await bench.CheckAsync(id);
        await bench.ExportAsync(id, HostPath.Join(folder, "point"), 3, point);
        var weave = await bench.WeaveAsync(HostPath.Join(folder, "point", "Virtual Machines", id.ToString().ToUpperInvariant() + ".vmcx"), HostPath.Join(folder, "weave"));
        await bench.PowerAsync(weave, 2);
        Assert.False(bench.Host.Guest(weave)!.IsCorrupt);
    }

    [Theory]
    [InlineData(CallFault.RefusedBefore)]
    [InlineData(CallFault.LostAfter)]
    [InlineData(CallFault.RestartAfter)]
    [InlineData(CallFault.JobFails)]
    public async Task A_call_that_goes_wrong_leaves_a_host_on_which_all_goes_right_again(CallFault fault)
    {
        var counted = new Bench();
        await WalkAsync(counted, await counted.MachineAsync(), @"D:\0");
        var calls = counted.Host.Faults.Calls.Where(c => c.Key is not ("Get" or "Query" or "Associators" or "GetErrorEx") && !c.Key.StartsWith("Files.", StringComparison.Ordinal)).ToList();
        counted.Dispose();
        Assert.True(calls.Count >= 8);

        using var bench = new Bench();
        var id = await bench.MachineAsync();
        var round = 0;
        foreach (var (call, times) in calls)
            for (var nth = 1; nth <= Math.Min(times, 2); nth++)
            {
                bench.Host.Faults.Forget();
                bench.Host.Faults.Add(call, nth, fault);
                var error = await Record.ExceptionAsync(() => WalkAsync(bench, id, $@"D:\{++round}"));
                // A second start is that of the machine before the walk: it is not in it again.
                Assert.True(error is HostException || (error is null && call == "RequestStateChange" && nth == 2), $"{call} {nth}: {error}");
                bench.Wait(30);
                Assert.Equal(2, bench.Host.StateOf(id));
            }
        bench.Host.Faults.Forget();
        await WalkAsync(bench, id, @"D:\last");
        Assert.False(bench.Host.Guest(id)!.IsCorrupt);
    }
}
