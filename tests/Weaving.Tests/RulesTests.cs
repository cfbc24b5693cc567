using System.Text.Json;
using WeaveHypervisor.Model;
using WeaveHypervisor.Weaving.Rules;
using WeaveHypervisor.Weaving.Tests.Worlds;
using static WeaveHypervisor.Weaving.Tests.Worlds.World;

namespace WeaveHypervisor.Weaving.Tests;

/// <summary>Security groups and access policies: set, versioned with every moment, enforced in the fences of weaves and on published ports.</summary>
public sealed class RulesTests
{
    private static readonly EnvironmentRules Front = Of("10.0.0.0/8", ("front", "web", "in tcp/80 from outside")), Shut = Of("", ("shut", "web db", "in icmp from any"));

    internal static EnvironmentRules Of(string? sources, params (string Name, string Machines, string Rules)[] groups) => new()
    {
        Groups = [.. groups.Select(g => new SecurityGroup { Name = GroupName.Parse(g.Name), Machines = [.. g.Machines.Split(' ').Select(MachineName.Parse)], Rules = [.. g.Rules.Split(", ").Select(SecurityRule.Parse)] })],
        Access = sources is null ? null : new() { Sources = [.. sources.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(RulePrefix.Parse)] },
    };

    private static async Task<EnvironmentRules> StoredAsync(World world, string weave) => (await world.WeaveAsync(weave)).Blueprint.Rules;

    [Fact]
    public async Task An_adopted_environment_has_no_rules_until_they_are_set_and_what_is_set_replaces_what_there_was()
    {
        await using var world = await WithLabAsync();
        Assert.True((await StoredAsync(world, "main")).IsNone);
        var set = await world.RulesAsync("main", Front);
        Assert.Equal((1, 1, "10.0.0.0/8", true), (set.Groups, set.Rules, set.Sources!.Single().ToString(), set.Changed));
        Assert.Equal(Front, await StoredAsync(world, "main"));
        Assert.False((await world.RulesAsync("main", Front)).Changed);
        set = await world.RulesAsync("active", EnvironmentRules.None);
        Assert.Equal(("main", 0, 0, null, true), (set.Weave.Text, set.Groups, set.Rules, set.Sources, set.Changed));
        Assert.True((await StoredAsync(world, "main")).IsNone);
        await world.CheckAsync();
    }

    [Fact]
    public async Task A_moment_keeps_the_rules_of_its_time_and_a_weave_begins_with_them_or_with_those_of_today()
    {
        await using var world = await WithLabAsync();
        await world.RulesAsync("main", Front);
        var then = (await world.SnapshotAsync()).Snapshot;
        await world.RulesAsync("main", Shut);
        Assert.Equal([Front], (await world.SnapshotsAsync()).Select(s => s.Blueprint.Rules));
        // The machines were read anew for the snapshot; what is not theirs stayed.
        Assert.Equal(Shut, await StoredAsync(world, "main"));
        await world.CreateAsync("then", snapshot: then);
        await world.SucceedAsync(w => w.CreateWeaveAsync(CreationOf("today", snapshot: then) with { Rules = RulesOf.Now }, Me, default), WeavingJson.Default.CreateResult);
        await world.CreateAsync("from-now");
        Assert.Equal([Front, Shut, Shut], [await StoredAsync(world, "then"), await StoredAsync(world, "today"), await StoredAsync(world, "from-now")]);
        // From then on they are the weave's own.
        await world.RulesAsync("main", EnvironmentRules.None);
        await world.RulesAsync("then", Of(null, ("db", "db", "in tcp/5432 from any")));
        Assert.Equal([Shut, Shut], [await StoredAsync(world, "today"), await StoredAsync(world, "from-now")]);
        // And go on from one weave to the next.
        await world.CreateAsync("child", source: "today");
        Assert.Equal(Shut, await StoredAsync(world, "child"));
        await world.SucceedAsync(w => w.CreateWeaveAsync(CreationOf("open", source: "today") with { Rules = RulesOf.Now }, Me, default), WeavingJson.Default.CreateResult);
        Assert.True((await StoredAsync(world, "open")).IsNone);
        Assert.Equal(Shut, (await world.SnapshotsAsync()).Last(s => s.Weave.Text == "today").Blueprint.Rules);
        await world.CheckAsync();
    }

    [Fact]
    public async Task The_rules_of_today_are_those_of_the_moment_in_which_the_weave_is_begun()
    {
        await using var world = await WithLabAsync();
        await world.RulesAsync("main", Front);
        var asked = await world.Weaver.CreateWeaveAsync(CreationOf("new") with { Rules = RulesOf.Now }, Me, default);
        var set = await world.Weaver.SetRulesAsync(Lab, Weave.Main, Shut, Me, default);
        // The service dies after the weave is reserved; whoever goes on takes the same.
        world.Calls.Counts = b => b == "store.CommitAsync after";
        world.Calls.Arm(dieAt: 0);
        Assert.False(await world.Process.RunAsync(Lab));
        world.Restart();
        Assert.True(await world.Process.RunAsync(Lab));
        foreach (var operation in (Operations.Operation[])[asked, set]) Assert.Equal(Operations.OperationState.Succeeded, (await world.Process.Journal.FindAsync(operation.Id, default))!.State);
        Assert.Equal([Front, Shut], [await StoredAsync(world, "new"), await StoredAsync(world, "main")]);
    }

    [Theory]
    [InlineData(null)]
    [InlineData(WeavePower.Pause)]
    [InlineData(WeavePower.Stop)]
    public async Task The_fence_of_a_weave_has_its_groups_whatever_its_machines_do(WeavePower? change)
    {
        await using var world = await WithLabAsync();
        await world.CreateAsync("copy");
        if (change is { } power) await world.PowerAsync("copy", power);
        await world.RulesAsync("copy", Shut);
        var weave = await world.WeaveAsync("copy");
        Assert.Equal(Shut.Groups, world.Host.GroupsOf(weave.Tag));
        Assert.Null(world.Host.Reach(weave.Addresses.First(a => a.Machine == Web).Outer, 80));
        if (change == WeavePower.Pause) await world.PowerAsync("copy", WeavePower.Resume);
        if (change == WeavePower.Stop) await world.PowerAsync("copy", WeavePower.Start);
        Assert.Null(world.Host.Reach(weave.Addresses.First(a => a.Machine == Web).Outer, 80));
        await world.RulesAsync("copy", Front with { Access = null });
        Assert.NotNull(world.Host.Reach(weave.Addresses.First(a => a.Machine == Web).Outer, 80));
        Assert.Null(world.Host.Reach(weave.Addresses.First(a => a.Machine == Web).Outer, 81));
        Assert.NotNull(world.Host.Reach(weave.Addresses.First(a => a.Machine == Db).Outer, 81));
        await world.CheckAsync();
    }

    [Fact]
    public async Task A_fence_that_is_made_again_has_its_groups_again_and_other_ones_are_a_drift()
    {
        await using var world = await WithLabAsync();
        await world.CreateAsync("copy");
        await world.RulesAsync("copy", Shut);
        var tag = (await world.WeaveAsync("copy")).Tag;
        world.Host.BreakFence(tag);
        await world.Weaver.ReconcileAsync(new(RepairMode.Restore), default);
        Assert.Equal(Shut.Groups, world.Host.GroupsOf(tag));
        await using (var driver = new Simulator.SimulatedHypervisor(world.Host)) await driver.MakeFenceAsync(Branching.Fences.SpecOf(await world.WeaveAsync("copy")) with { Groups = [] }, default);
        Assert.Contains((await world.Weaver.ReconcileAsync(new(RepairMode.Look), default)).Findings, f => f.Text.Contains("security groups", StringComparison.Ordinal));
        await world.Weaver.ReconcileAsync(new(RepairMode.Repair), default);
        Assert.Equal(Shut.Groups, world.Host.GroupsOf(tag));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_weave_that_is_started_after_a_reboot_of_the_host_has_its_groups_before_its_machines(bool setMeanwhile)
    {
        await using var world = await WithLabAsync();
        await world.CreateAsync("copy");
        if (!setMeanwhile) await world.RulesAsync("copy", Shut);
        var tag = (await world.WeaveAsync("copy")).Tag;
        world.Host.Reboot();
        world.Restart();
        await world.Weaver.ReconcileAsync(new(RepairMode.Restore), default);
        Assert.Null(world.Host.GroupsOf(tag));
        if (setMeanwhile) await world.RulesAsync("copy", Shut);
        IReadOnlyList<SecurityGroup>? first = null;
        world.Calls.Arm(act: (_, boundary, _) =>
        {
            if (boundary == "driver.InstantiateAsync before") first = world.Host.GroupsOf(tag);
            return Task.CompletedTask;
        });
        await world.PowerAsync("copy", WeavePower.Start);
        Assert.Equal(Shut.Groups, first);
        await world.CheckAsync();
    }

    [Fact]
    public async Task Published_ports_have_the_policy_of_the_weave_to_which_they_lead()
    {
        await using var world = await WithLabAsync();
        await world.CreateAsync("copy");
        await world.RouteAsync(null, listen: 8080);
        await world.RouteAsync("main", listen: 8081);
        await world.RouteAsync("copy", listen: 8082);
        await world.RulesAsync("main", Of("10.0.0.0/8 192.0.2.1"));
        await world.RulesAsync("copy", Of(""));
        Assert.Equal(["10.0.0.0/8,192.0.2.1/32", "10.0.0.0/8,192.0.2.1/32", ""], world.Host.Sources.OrderBy(s => s.Key).Select(s => s.Value));
        Assert.NotNull(world.Host.AskPort(8080, client: "10.1.2.3"));
        Assert.Null(world.Host.AskPort(8080, client: "11.1.2.3"));
        Assert.Null(world.Host.AskPort(8082, client: "10.1.2.3"));
        // A route that follows the active weave has the policy of whichever is active.
        await world.ActivateAsync("copy");
        Assert.Equal(["", "10.0.0.0/8,192.0.2.1/32", ""], world.Host.Sources.OrderBy(s => s.Key).Select(s => s.Value));
        await world.RulesAsync("copy", EnvironmentRules.None);
        Assert.Equal([null, "10.0.0.0/8,192.0.2.1/32", null], world.Host.Sources.OrderBy(s => s.Key).Select(s => s.Value));
        await world.CheckAsync();
    }

    /// <summary>Looked at before and after each call by which rules are set. A fence that opens beside the old policy would let its clients through, and a new policy beside a fence that is still open its own.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Nobody_gets_through_between_the_old_rules_and_the_new_whom_neither_lets_through(bool shuts)
    {
        await using var world = await WithLabAsync();
        await world.CreateAsync("copy");
        await world.RouteAsync("copy", listen: 8080);
        var (shut, open) = (Shut with { Access = Of("10.0.0.0/8 192.0.2.7").Access }, Front with { Access = Of("192.0.2.0/24").Access });
        // Through the fence that is shut comes nobody, and through the open one whom its policy lets in.
        var (old, wanted) = shuts ? (open, shut) : (shut, open);
        await world.RulesAsync("copy", old);
        var (looks, through) = (0, 0);
        world.Calls.Counts = _ => true;
        world.Calls.Arm(act: (_, _, _) =>
        {
            looks++;
            through += world.Host.AskPort(8080, client: "10.1.2.3") is null ? 0 : 1;
            return Task.CompletedTask;
        });
        await world.RulesAsync("copy", wanted);
        world.Calls.Arm();
        Assert.True(looks > 20);
        Assert.Equal(0, through);
        Assert.Equal(!shuts, world.Host.AskPort(8080, client: "192.0.2.9") is not null);
        Assert.Equal(shuts ? "10.0.0.0/8,192.0.2.7/32" : "192.0.2.0/24", world.Host.Sources[8080]);
    }

    [Fact]
    public async Task Whom_both_the_old_and_the_new_rules_let_through_is_never_turned_away()
    {
        await using var world = await WithLabAsync();
        await world.CreateAsync("copy");
        await world.RouteAsync("copy", listen: 8080);
        await world.RulesAsync("copy", Front);
        var turned = 0;
        world.Calls.Counts = _ => true;
        world.Calls.Arm(act: (_, _, _) => Task.FromResult(turned += world.Host.AskPort(8080, client: "10.1.2.3") is null ? 1 : 0));
        await world.RulesAsync("copy", Of("10.1.0.0/16 192.0.2.0/24", ("other", "web", "in tcp from outside")));
        world.Calls.Arm();
        Assert.Equal(0, turned);
    }

    [Fact]
    public async Task Rules_that_cannot_be_set_leave_the_old_ones_on_the_host_and_in_the_store()
    {
        await using var world = await WithLabAsync();
        await world.CreateAsync("copy");
        await world.RouteAsync("copy", listen: 8080);
        await world.RulesAsync("copy", Front);
        var tag = (await world.WeaveAsync("copy")).Tag;
        foreach (var call in (string[])["driver.MakeFenceAsync", "driver.PublishAsync"])
            foreach (var when in (string[])["before", "after"])
            {
                var failed = false;
                world.Calls.Arm(act: (_, boundary, _) => !failed && boundary == $"{call} {when}" && (failed = true) ? throw new WeaveException(Fault.Exhausted, "No room.", "Make some.") : Task.CompletedTask);
                Assert.Equal("No room.", (await world.UndoneAsync(w => w.SetRulesAsync(Lab, WeaveId.Parse("copy"), Shut, Me, default))).Message);
                world.Calls.Arm();
                Assert.Equal(Front, await StoredAsync(world, "copy"));
                Assert.Equal(Front.Groups, world.Host.GroupsOf(tag));
                Assert.Equal("10.0.0.0/8", world.Host.Sources[8080]);
                await world.CheckAsync();
            }
    }

    [Fact]
    public async Task Rules_that_cannot_be_are_refused_and_so_are_weaves_that_cannot_have_any()
    {
        await using var world = await WithLabAsync();
        await world.SnapshotAsync();
        var wrong = await world.RefusedAsync(Fault.InvalidRequest, w => w.SetRulesAsync(Lab, Weave.Main, Of(null, ("g", "mail", "in tcp from nobody")), Me, default));
        Assert.Contains("'mail'", wrong.Message);
        Assert.Contains("'nobody'", wrong.Message);
        await world.RefusedAsync(Fault.NotFound, w => w.SetRulesAsync(Lab, WeaveId.Parse("none"), Front, Me, default));
        await world.RefusedAsync(Fault.NotFound, w => w.SetRulesAsync(EnvironmentId.Parse("none"), Weave.Main, Front, Me, default));
        // A weave that goes before its turn comes.
        await world.CreateAsync("copy");
        await world.Weaver.DeleteWeaveAsync(Lab, WeaveId.Parse("copy"), false, Me, default);
        Assert.Equal(Fault.NotFound, (await world.UndoneAsync(w => w.SetRulesAsync(Lab, WeaveId.Parse("copy"), Front, Me, default))).Fault);
    }

    [Fact]
    public async Task A_snapshot_is_verified_in_a_fence_without_groups()
    {
        await using var world = await WithLabAsync();
        await world.RulesAsync("main", Shut);
        var point = (await world.SnapshotAsync()).Snapshot;
        Assert.True((await world.VerifyAsync(point, new(Web, 80, null, TimeSpan.FromSeconds(1)))).Passed);
        Assert.Equal(Shut, (await world.SnapshotsAsync()).Single().Blueprint.Rules);
    }

    [Fact]
    public async Task Activation_with_a_probe_that_rules_shut_out_says_so_and_a_route_to_such_a_port_does_too()
    {
        await using var world = await WithLabAsync();
        await world.CreateAsync("copy");
        await world.RulesAsync("copy", Shut);
        var error = await world.UndoneAsync(w => w.ActivateAsync(new(Lab, WeaveId.Parse("copy"), new(Web, 80, null, TimeSpan.FromSeconds(1))), Me, default));
        Assert.Contains("no rule of group 'shut' lets it in to 'web'", error.NextStep);
        var route = await world.RunAsync(w => w.PublishRouteAsync(RouteOf("copy"), Me, default));
        Assert.Contains("nobody gets through", route.Steps.Single(s => s.Name == "settle").Note);
        // Of the originals nothing is enforced but who may use their ports.
        await world.RulesAsync("main", Shut);
        route = await world.RunAsync(w => w.PublishRouteAsync(RouteOf("main"), Me, default));
        Assert.Null(route.Steps.Single(s => s.Name == "settle").Note);
    }

    [Fact]
    public async Task Rules_are_read_of_a_weave_a_snapshot_or_a_time()
    {
        await using var world = await WithLabAsync();
        await world.RulesAsync("main", Front);
        var point = await world.SnapshotAsync();
        await world.RulesAsync("main", Shut);
        await world.CreateAsync("copy", snapshot: point.Snapshot);
        async Task<(string? Weave, bool Snapshot, EnvironmentRules Rules)> GetAsync(RulesQuery query) => await world.Weaver.GetRulesAsync(query, default) is var found ? (found.Weave?.Text, found.Snapshot == point.Snapshot && found.At == point.At, found.Blueprint.Rules) : default;
        Assert.Equal(("main", false, Shut), await GetAsync(new(Lab)));
        Assert.Equal(("main", false, Shut), await GetAsync(new(Lab, WeaveId.Parse("active"))));
        Assert.Equal(("copy", false, Front), await GetAsync(new(Lab, WeaveId.Parse("copy"))));
        Assert.Equal((null, true, Front), await GetAsync(new(Lab, Snapshot: point.Snapshot)));
        Assert.Equal((null, true, Front), await GetAsync(new(Lab, At: world.Now)));
        async Task<Fault> FaultAsync(RulesQuery query) => (await Assert.ThrowsAsync<WeaveException>(() => world.Weaver.GetRulesAsync(query, default))).Fault;
        Assert.Equal(Fault.InvalidRequest, await FaultAsync(new(Lab, Weave.Main, point.Snapshot)));
        Assert.Equal(Fault.InvalidRequest, await FaultAsync(new(Lab, Weave.Main, At: world.Now)));
        Assert.Equal(Fault.NotFound, await FaultAsync(new(Lab, Snapshot: SnapshotId.New(world.Clock))));
        Assert.Equal(Fault.NotFound, await FaultAsync(new(Lab, WeaveId.Parse("none"))));
        Assert.Equal(Fault.NotFound, await FaultAsync(new(EnvironmentId.Parse("none"))));
    }

    [Theory]
    [InlineData("outside", "web", RuleProtocol.Tcp, 80, true)]
    [InlineData("outside", "web", RuleProtocol.Tcp, 81, false)]
    [InlineData("203.0.113.9", "web", RuleProtocol.Tcp, 80, true)]
    [InlineData("10.20.0.77", "web", RuleProtocol.Tcp, 80, false)]
    // The address is db's own, which is not the outside.
    [InlineData("10.20.0.11", "web", RuleProtocol.Tcp, 80, false)]
    [InlineData("db", "10.20.0.10", RuleProtocol.Tcp, 80, false)]
    [InlineData("web", "db", RuleProtocol.Icmp, 0, true)]
    public async Task A_connection_is_asked_about_by_names_and_addresses(string from, string to, RuleProtocol protocol, int port, bool allowed)
    {
        await using var world = await WithLabAsync();
        await world.RulesAsync("main", Front);
        Assert.Equal(allowed, (await world.Weaver.AskRulesAsync(new(Lab), new(from, to, protocol, port), default)).Allowed);
    }

    [Theory]
    [InlineData("outside", "203.0.113.9", RuleProtocol.Tcp, 80, Fault.InvalidRequest)]
    [InlineData("web", "db", RuleProtocol.Any, 80, Fault.InvalidRequest)]
    [InlineData("web", "db", RuleProtocol.Tcp, 0, Fault.InvalidRequest)]
    [InlineData("web", "db", RuleProtocol.Udp, 65536, Fault.InvalidRequest)]
    [InlineData("mail", "db", RuleProtocol.Tcp, 80, Fault.NotFound)]
    [InlineData("web", "10.0.0.0/8", RuleProtocol.Tcp, 80, Fault.NotFound)]
    [InlineData("web", "010.0.0.1", RuleProtocol.Tcp, 80, Fault.NotFound)]
    public async Task What_is_no_question_about_rules_is_refused(string from, string to, RuleProtocol protocol, int port, Fault fault)
    {
        await using var world = await WithLabAsync();
        Assert.Equal(fault, (await Assert.ThrowsAsync<WeaveException>(() => world.Weaver.AskRulesAsync(new(Lab), new(from, to, protocol, port), default))).Fault);
    }

    [Fact]
    public async Task An_export_says_that_rules_do_not_go_along()
    {
        await using var world = await WithLabAsync();
        await world.RulesAsync("main", Front);
        Directory.CreateDirectory(world.Exports);
        var export = await world.ExportAsync("shop");
        Assert.Contains("its rules: 1 security group of 1 rule and published ports for 1 source", export.NotCarried);
        await world.LoseAsync();
        await world.ImportAsync("shop");
        Assert.True((await StoredAsync(world, "main")).IsNone);
    }

    [Fact]
    public async Task Where_the_driver_enforces_none_rules_are_refused_with_its_reason_and_a_way_out()
    {
        await using var world = await WithLabAsync();
        var point = (await world.SnapshotAsync()).Snapshot;
        await world.RulesAsync("main", Front);
        var ruled = (await world.SnapshotAsync()).Snapshot;
        world.RulesReason = "This host is too old for rules.";
        world.Restart();
        foreach (var rules in (EnvironmentRules[])[Front, Of(null, ("g", "web", "in any from any")), Of("")])
            Assert.Contains("too old for rules", (await world.RefusedAsync(Fault.Unsupported, w => w.SetRulesAsync(Lab, Weave.Main, rules, Me, default))).Message);
        Assert.Contains("weave rules clear lab", (await world.RefusedAsync(Fault.Unsupported, w => w.CreateWeaveAsync(CreationOf("new"), Me, default))).NextStep);
        Assert.Contains("weave rules clear lab", (await world.RefusedAsync(Fault.Unsupported, w => w.CreateWeaveAsync(CreationOf("new", snapshot: ruled), Me, default))).NextStep);
        await world.RefusedAsync(Fault.Unsupported, w => w.CreateWeaveAsync(CreationOf("new", snapshot: point) with { Rules = RulesOf.Now }, Me, default));
        // Nothing would have to be enforced: a moment without rules, a verification, and rules that go.
        await world.CreateAsync("old", snapshot: point);
        Assert.True((await world.VerifyAsync(ruled)).Passed);
        await world.RulesAsync("main", EnvironmentRules.None);
        var error = await world.RefusedAsync(Fault.Unsupported, w => w.CreateWeaveAsync(CreationOf("new", snapshot: ruled), Me, default));
        Assert.StartsWith("Repeat with `--rules now`", error.NextStep, StringComparison.Ordinal);
        await world.SucceedAsync(w => w.CreateWeaveAsync(CreationOf("new", snapshot: ruled) with { Rules = RulesOf.Now }, Me, default), WeavingJson.Default.CreateResult);
        Assert.True((await StoredAsync(world, "new")).IsNone);
        await world.CheckAsync();
    }

    [Fact]
    public void A_blueprint_of_before_there_were_rules_has_none_and_parts_that_are_missing_are_empty()
    {
        EnvironmentBlueprint Read(string rules) => (EnvironmentBlueprint)JsonSerializer.Deserialize($$"""{"schema":1,"machines":[],"networks":[]{{rules}}}""", WeavingJson.Default.GetTypeInfo(typeof(EnvironmentBlueprint))!)!;
        Assert.Equal(EnvironmentRules.None, Read("").Rules);
        Assert.True(Read(""","rules":{}""").Rules.IsNone);
        var group = Read(""","rules":{"groups":[{"name":"g","machines":["web"]}]}""").Rules.Groups.Single();
        Assert.Equal((null, 0), (group.Description, group.Rules.Count));
    }

    [Theory]
    [InlineData(null, "", "no security group and published ports for everyone")]
    [InlineData("", "a", "1 security group of 1 rule and published ports for nobody")]
    [InlineData("10.0.0.0/8 192.0.2.1", "a b", "2 security groups of 2 rules and published ports for 2 sources")]
    public void Rules_are_described_in_half_a_sentence(string? sources, string groups, string text) =>
        Assert.Equal(text, RulesGuard.Describe(Of(sources, [.. groups.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(g => (g, "web", "in any from any"))])));
}
