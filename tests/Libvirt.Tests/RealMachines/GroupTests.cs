using WeaveHypervisor.Conformance.Drivers;
using WeaveHypervisor.Libvirt.Fences;
using WeaveHypervisor.Libvirt.Tests.Conformance;
using WeaveHypervisor.Libvirt.Tests.Rules;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt.Tests.RealMachines;

/// <summary>Security groups of real guests, which are resumed in the middle of their work.</summary>
public sealed class GroupTests
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Copies_are_reached_where_the_rules_of_their_weave_allow_it_from_their_first_frame_and_after_a_change()
    {
        await using var bench = new LibvirtBench();
        await using var stage = new DriverStage(bench, Stop);
        await stage.AdoptAsync(2);
        var (capture, result) = await stage.CaptureAsync(memory: true);
        var (fence, facts, request) = await stage.PrepareCopyAsync(capture, result);
        string Outer(int i) => facts.Addresses.Single(a => a.Inner == stage.AddressOf(i)).Outer;
        // What a machine of the weave hears of the other one at a port: the whole service at 80, a word at 7.
        async Task<(bool Service, bool Word)> NearAsync() =>
            (await ShapeBench.HeardAsync(Outer(0), stage.AddressOf(1), 80, Stop) != "", await ShapeBench.HeardAsync(Outer(0), stage.AddressOf(1), 7, Stop) != "");

        fence = fence with { Groups = [GroupTextTests.Group("front", "m0", "in tcp/80 from outside"), GroupTextTests.Group("data", "m1", "in tcp/80 from front")] };
        await stage.Driver.MakeFenceAsync(fence, Stop);
        // One alone, then both in another order than the fence was told.
        await stage.Driver.InstantiateAsync(request with { Machines = [request.Machines[1]] }, null, Stop);
        await stage.Driver.InstantiateAsync(request with { Machines = [.. request.Machines.Reverse()] }, null, Stop);
        var names = new FenceNames(bench.CopyPrefix, fence.Tag);
        for (var i = 0; i < 2; i++)
            Assert.Equal(names.Tap(i), (string?)(await ShapeBench.DefinitionAsync(request.Machines[i].Machine.HypervisorName, Stop)).Descendants("interface").Single().Element("target")!.Attribute("dev"));
        Assert.Empty(await stage.Driver.InspectFenceAsync(fence, Stop));
        Assert.Equal((await bench.AskAsync(stage.AddressOf(0), true, Stop))!.Nonce, (await bench.AskAsync(Outer(0), true, Stop))!.Nonce);
        Assert.Null(await bench.AskAsync(Outer(1), false, Stop));
        Assert.Equal((true, false), await NearAsync());

        fence = fence with { Groups = [GroupTextTests.Group("front", "m0", "in tcp/80 from outside"), GroupTextTests.Group("data", "m1", "in tcp/7 from front", "in tcp/80 from outside")] };
        await stage.Driver.MakeFenceAsync(fence, Stop);
        Assert.Equal((await bench.AskAsync(stage.AddressOf(1), true, Stop))!.Nonce, (await bench.AskAsync(Outer(1), true, Stop))!.Nonce);
        Assert.Equal((false, true), await NearAsync());

        await stage.Driver.MakeFenceAsync(fence with { Groups = [] }, Stop);
        Assert.Equal((true, true), await NearAsync());
        foreach (var machine in request.Machines) await stage.Driver.RetireAsync(machine.Machine, Stop);
        await stage.ReturnAllAsync();
    }
}
