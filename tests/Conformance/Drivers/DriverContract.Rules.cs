using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;
using Xunit;

namespace WeaveHypervisor.Conformance.Drivers;

/// <content>Security groups in fences, and ports that are published for some alone; where a driver enforces neither, that it says so.</content>
public abstract partial class DriverContract
{
    private static SecurityGroup Group(DriverStage stage, string name, params string[] rules) =>
        new() { Name = GroupName.Parse(name), Description = "of " + name, Machines = [stage[0].Name], Rules = [.. rules.Select(SecurityRule.Parse)] };

    [Fact]
    public Task A_fence_made_again_with_other_groups_has_those_and_keeps_its_addresses() => WithAsync(1, async (_, stage) =>
    {
        var open = stage.NewFence();
        if (stage.Driver.Capabilities.RulesReason is { } reason)
        {
            Assert.Matches(@"^[A-Z].{10,}\.$", reason);
            Assert.Equal(Fault.Unsupported, await FaultOf(() => stage.Driver.MakeFenceAsync(open with { Groups = [Group(stage, "any-of-them")] }, Stop)));
            Assert.DoesNotContain((await stage.Driver.ListOwnedAsync(Stop)).Things, t => t.Kind == OwnedKind.Fence);
            return;
        }
        var facts = await stage.Driver.MakeFenceAsync(open, Stop);
        var all = new FenceSpec[]
        {
            open,
            open with { Groups = [Group(stage, "front", "in tcp/80,443,8000-8100 from outside", "in icmp from any")] },
            open with { Groups = [Group(stage, "front", "in tcp/80 from outside", "in any from front", "out udp/53 to 10.0.0.0/8", "out any to outside"), Group(stage, "shut") with { Description = null }] },
            open with { Groups = [Group(stage, "shut")] },
            open with { Groups = [Group(stage, "front", "in tcp from 192.0.2.0/24", "in udp from shut"), Group(stage, "shut") with { Machines = [] }] },
        };
        foreach (var wanted in (FenceSpec[])[.. all[1..], .. all])
        {
            Assert.NotEmpty(await stage.Driver.InspectFenceAsync(wanted, Stop));
            for (var twice = 0; twice < 2; twice++) Assert.Equal(facts.Addresses, (await stage.Driver.MakeFenceAsync(wanted, Stop)).Addresses);
            await stage.RestartAsync();
            var missing = await stage.Driver.InspectFenceAsync(wanted, Stop);
            Assert.True(missing.Count == 0, string.Join("; ", missing));
            foreach (var other in all.Where(o => o != wanted)) Assert.NotEmpty(await stage.Driver.InspectFenceAsync(other, Stop));
        }
    });

    [Fact]
    public Task A_machine_in_a_group_is_reached_from_outside_where_a_rule_allows_it() => WithAsync(1, async (bench, stage) =>
    {
        if (stage.Driver.Capabilities.RulesReason is not null) return;
        var (capture, result) = await stage.CaptureAsync(memory: true);
        var (fence, facts, request) = await stage.PrepareCopyAsync(capture, result);
        var (shut, open) = (fence with { Groups = [Group(stage, "g", "in icmp from any")] }, fence with { Groups = [Group(stage, "g", $"in tcp/{bench.ServicePort} from outside")] });
        var outer = facts.Addresses[0].Outer;
        await stage.Driver.MakeFenceAsync(shut, Stop);
        await stage.Driver.InstantiateAsync(request, null, Stop);
        await stage.Driver.MakeFenceAsync(open, Stop);
        Assert.NotNull(await bench.AskAsync(outer, true, Stop));
        await stage.Driver.MakeFenceAsync(shut, Stop);
        Assert.Null(await bench.AskAsync(outer, false, Stop));
        await stage.Driver.MakeFenceAsync(fence, Stop);
        Assert.NotNull(await bench.AskAsync(outer, true, Stop));
    });

    [Fact]
    public Task Published_ports_are_for_their_sources_alone_and_other_sources_are_a_change() => WithAsync(1, async (bench, stage) =>
    {
        var port = bench.FreePorts.Item1;
        var endpoint = new PublishedEndpoint(RouteId.New(TimeProvider.System), RouteProtocol.Tcp, "0.0.0.0", port, stage.AddressOf(0), bench.ServicePort);
        if (stage.Driver.Capabilities.RulesReason is not null)
        {
            Assert.Equal(Fault.Unsupported, await FaultOf(() => stage.Driver.PublishAsync([endpoint with { Sources = "10.0.0.0/8" }], Stop)));
            Assert.Equal(Fault.Unsupported, await FaultOf(() => stage.Driver.PublishAsync([endpoint with { Sources = "" }], Stop)));
            Assert.Empty((await stage.Driver.ListOwnedAsync(Stop)).Endpoints);
            return;
        }
        foreach (var (sources, answers) in ((string?, bool)[])[(null, true), ("203.0.113.0/24", false), ("0.0.0.0/0", true), ("10.0.0.0/8,10.1.0.0/16,203.0.113.7/32", false), ("", false), (null, true)])
        {
            for (var twice = 0; twice < 2; twice++) await stage.Driver.PublishAsync([endpoint with { Sources = sources }], Stop);
            await stage.RestartAsync();
            Assert.Equal(endpoint with { Sources = sources }, Assert.Single((await stage.Driver.ListOwnedAsync(Stop)).Endpoints));
            Assert.True(await bench.AskPortAsync(port, answers, Stop) is not null == answers, $"published for '{sources ?? "everyone"}'");
        }
    });
}
