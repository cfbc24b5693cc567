using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;
using WeaveHypervisor.Simulator;
using WeaveHypervisor.Weaving.Tests.Worlds;
using static WeaveHypervisor.Weaving.Tests.Worlds.World;

namespace WeaveHypervisor.Weaving.Tests;

public sealed class QuiesceTests
{
    [Theory]
    [InlineData(SimulatedAgent.Works, QuiesceOutcome.Frozen, Consistency.Filesystem)]
    [InlineData(SimulatedAgent.FreezesSome, QuiesceOutcome.Partial, Consistency.Crash)]
    [InlineData(SimulatedAgent.Missing, QuiesceOutcome.NoChannel, Consistency.Crash)]
    [InlineData(SimulatedAgent.NotConnected, QuiesceOutcome.NotConnected, Consistency.Crash)]
    [InlineData(SimulatedAgent.Refuses, QuiesceOutcome.Refused, Consistency.Crash)]
    [InlineData(SimulatedAgent.Hangs, QuiesceOutcome.TimedOut, Consistency.Crash)]
    public async Task A_snapshot_says_for_each_machine_how_far_it_was_frozen_and_is_worth_what_the_least_of_them_is(SimulatedAgent agent, QuiesceOutcome outcome, Consistency consistency)
    {
        await using var world = await WithLabAsync();
        await GiveAsync(world, Db, SimulatedAgent.Works);
        await GiveAsync(world, Web, agent);
        var result = await world.SnapshotAsync(memory: false, quiesce: true);
        Assert.Equal((consistency, outcome, QuiesceOutcome.Frozen), (result.Consistency, Of(result, Web).Outcome, Of(result, Db).Outcome));
        Assert.Equal(outcome == QuiesceOutcome.Frozen, Of(result, Web).Reason is null);
        Assert.True(Of(result, Db).FrozenMs > 0);
        Assert.Empty(world.Host.FrozenMachines);
        Assert.Equal([outcome, QuiesceOutcome.Frozen], (await world.SnapshotsAsync())[0].Machines.OrderBy(m => m.Name == Db).Select(m => m.Quiescing!.Outcome));
        await world.CheckAsync();
    }

    [Fact]
    public async Task Machines_that_are_off_or_whose_memory_is_captured_need_no_agent()
    {
        await using var world = await WithLabAsync(dbRuns: false);
        var whole = await world.SnapshotAsync(quiesce: true);
        Assert.Equal((Consistency.Machine, QuiesceOutcome.MemoryCaptured, QuiesceOutcome.NotRunning), (whole.Consistency, Of(whole, Web).Outcome, Of(whole, Db).Outcome));
        await GiveAsync(world, Web, SimulatedAgent.Works);
        Assert.Equal(Consistency.Filesystem, (await world.SnapshotAsync(memory: false, quiesce: true)).Consistency);
        var plain = await world.SnapshotAsync(memory: false);
        Assert.All(plain.Machines, m => Assert.Null(m.Quiescing));
    }

    [Fact]
    public async Task What_somebody_else_has_frozen_is_neither_counted_nor_thawed()
    {
        await using var world = await WithLabAsync();
        var web = await GiveAsync(world, Web, SimulatedAgent.Works);
        world.Host.Freeze(web, true);
        var result = await world.SnapshotAsync(memory: false, quiesce: true);
        Assert.Equal((QuiesceOutcome.Refused, Consistency.Crash), (Of(result, Web).Outcome, result.Consistency));
        Assert.DoesNotContain((await world.Weaver.ReconcileAsync(new(RepairMode.Repair), default)).Findings, f => f.Level == FindingLevel.Error);
        Assert.Single(world.Host.FrozenMachines);
    }

    [Fact]
    public async Task A_guest_whose_agent_freezes_it_after_the_snapshot_is_thawed_and_until_it_can_be_that_is_an_error()
    {
        await using var world = await WithLabAsync();
        var web = await GiveAsync(world, Web, SimulatedAgent.HangsFreezing);
        var result = await world.SnapshotAsync(memory: false, quiesce: true);
        Assert.Equal((QuiesceOutcome.TimedOut, false), (Of(result, Web).Outcome, Of(result, Web).NotThawed is null));
        Assert.Contains((await world.Weaver.ReconcileAsync(new(RepairMode.Look), default)).Findings, f => f.Level == FindingLevel.Error && f.Subject.Contains("web", StringComparison.Ordinal));
        Assert.Contains(await world.Weaver.ExamineAgentsAsync(null, default), f => f.Level == FindingLevel.Error && f.NextStep is not null);
        world.Host.WakeAgent(web);
        Assert.Single(world.Host.FrozenMachines);
        await world.Weaver.ReconcileAsync(new(RepairMode.Look), default);
        Assert.Empty(world.Host.FrozenMachines);
        await world.OrderAsync("main", Web, "after");
    }

    [Fact]
    public async Task A_snapshot_that_fails_while_guests_are_frozen_thaws_them()
    {
        await using var world = await WithLabAsync();
        await GiveAsync(world, Web, SimulatedAgent.Works);
        await GiveAsync(world, Db, SimulatedAgent.Works);
        world.Host.At = (point, _) => point == "capture:frozen:db" ? throw new WeaveException(Fault.Exhausted, "No space.") : Task.CompletedTask;
        await world.UndoneAsync(w => w.SnapshotAsync(new(Lab, null, null, false, true), Me, default));
        world.Host.At = null;
        Assert.Empty(world.Host.FrozenMachines);
        await world.OrderAsync("main", Web, "after");
        await world.CheckAsync();
    }

    [Fact]
    public async Task The_doctor_says_which_agents_answer_and_what_to_do_about_the_others()
    {
        await using var world = await WithLabAsync();
        await GiveAsync(world, Db, SimulatedAgent.Works);
        var findings = await world.Weaver.ExamineAgentsAsync(null, default);
        Assert.Equal([("lab/db", FindingLevel.Ok, false), ("lab/web", FindingLevel.Note, true)], findings.OrderBy(f => f.Subject, StringComparer.Ordinal).Select(f => (f.Subject, f.Level, f.NextStep is not null)));
        Assert.Equal([AgentCondition.Answers, AgentCondition.NoChannel], (await world.Weaver.AskAgentsAsync(Lab, null, default)).OrderBy(a => a.Machine.Text, StringComparer.Ordinal).Select(a => a.Agent.State));
    }

    private static async Task<Guid> GiveAsync(World world, MachineName machine, SimulatedAgent agent)
    {
        var uuid = (await world.WeaveAsync("main")).Machines.First(m => m.Name == machine).Uuid;
        world.Host.GiveAgent(uuid, agent);
        return uuid;
    }

    private static Capture.QuiescingResult Of(Capture.SnapshotResult result, MachineName machine) => result.Machines.First(m => m.Name == machine).Quiescing!;
}
