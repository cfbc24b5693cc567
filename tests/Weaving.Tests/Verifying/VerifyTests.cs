using WeaveHypervisor.Conformance;
using WeaveHypervisor.Model;
using WeaveHypervisor.Operations;
using WeaveHypervisor.Simulator;
using WeaveHypervisor.Weaving.Tests.Worlds;
using WeaveHypervisor.Weaving.Verifying;
using static WeaveHypervisor.Weaving.Tests.Worlds.World;

namespace WeaveHypervisor.Weaving.Tests.Verifying;

/// <summary>A snapshot is revived, asked and removed again; what came out stays with it.</summary>
public sealed class VerifyTests
{
    private static readonly ProbeSpec Port80 = new(Web, 80, null, TimeSpan.FromSeconds(1));

    private static async Task<(World World, SnapshotId Snapshot)> WithSnapshotAsync(bool memory = true, bool dbRuns = true)
    {
        var world = await World.WithLabAsync(dbRuns);
        await world.OrderAsync("main", Web, "one");
        return (world, (await world.SnapshotAsync(memory: memory)).Snapshot);
    }

    private static async Task<Verification> VerificationAsync(World world, SnapshotId id) => (await world.Store.FindSnapshotAsync(id, default))!.Verification!;

    [Fact]
    public async Task What_answers_is_recorded_with_how_it_came_back_and_nothing_else_is_left()
    {
        var (world, id) = await WithSnapshotAsync();
        await using var _ = world;
        var before = await world.SnapshotsAsync();
        string? asked = null;
        world.Probe = (address, probe) =>
        {
            asked = $"{world.Host.Ask(address)!.Machine}:{probe.Port} {probe.Timeout.TotalSeconds}";
            world.Clock.Advance(TimeSpan.FromMilliseconds(250));
            return null;
        };
        var result = await world.VerifyAsync(id, Port80 with { HttpPath = "/health" });
        Assert.Equal((true, VerificationLevel.Service, "http://web:80/health", null, 250.0), (result.Passed, result.Level, result.Probe, result.Reason, result.FirstReplyMs));
        Assert.Equal("web:80 30", asked);
        var recorded = await VerificationAsync(world, id);
        Assert.Equal((true, VerificationLevel.Service, "http://web:80/health", TimeSpan.FromMilliseconds(250)), (recorded.Passed, recorded.Level, recorded.Probe, recorded.FirstReply));
        Assert.Equal(["web shared", "db shared"], recorded.Machines.Select(m => $"{m.Name} {m.Method}"));
        Assert.Equal(["main"], await world.WeaveIdsAsync());
        Assert.Equal(before.Select(s => s.Id), (await world.SnapshotsAsync()).Select(s => s.Id));
        await world.CheckAsync();
    }

    [Fact]
    public async Task A_service_that_does_not_answer_is_a_result_with_its_reason_and_no_error()
    {
        var (world, id) = await WithSnapshotAsync();
        await using var _ = world;
        world.Probe = (_, _) => "connection refused within 30 s";
        var result = await world.VerifyAsync(id, Port80);
        Assert.Equal((false, "tcp://web:80", "connection refused within 30 s", null), (result.Passed, result.Probe, result.Reason, result.FirstReplyMs));
        Assert.False((await VerificationAsync(world, id)).Passed);
        await world.CheckAsync();
        // The next one says what is true now.
        world.Probe = null;
        Assert.True((await world.VerifyAsync(id, Port80)).Passed);
        Assert.True((await VerificationAsync(world, id)).Passed);
    }

    [Theory]
    [InlineData("layer", "gone")]
    [InlineData("memory", "gone")]
    [InlineData("damaged", "damaged")]
    [InlineData("short", "bytes")]
    public async Task A_snapshot_that_cannot_be_revived_has_failed_with_the_reason(string what, string why)
    {
        var (world, id) = await WithSnapshotAsync();
        await using var _ = world;
        await world.SnapshotAsync();
        var snapshot = (await world.Store.FindSnapshotAsync(id, default))!;
        var memory = snapshot.Machines[0].Memory!;
        var layer = (await world.Store.ListLayersAsync(Lab, default)).Single(l => l.Id == (what == "layer" ? snapshot.Machines[0].Frozen[0].Layer : snapshot.Machines[1].Frozen[0].Layer)).Path;
        if (what == "layer") File.Move(layer, layer + ".away");
        if (what == "memory") File.Delete(memory.DeviceStatePath);
        if (what == "damaged") File.WriteAllText(memory.DeviceStatePath, "noise");
        if (what == "short") File.WriteAllText(memory.FlatPath, "noise");
        var result = await world.VerifyAsync(id, Port80);
        Assert.False(result.Passed);
        Assert.StartsWith("it cannot be revived: ", result.Reason);
        Assert.Contains(why, result.Reason);
        Assert.Empty(result.Machines);
        Assert.Equal((false, result.Reason), ((await VerificationAsync(world, id)).Passed, (await VerificationAsync(world, id)).Reason));
        Assert.Equal(["main"], await world.WeaveIdsAsync());
        Assert.DoesNotContain(world.Host.RunStates.Keys, n => n.Contains("verify", StringComparison.Ordinal));
    }

    [Fact]
    public async Task That_there_is_no_room_for_it_says_nothing_of_the_snapshot()
    {
        var (world, id) = await WithSnapshotAsync();
        await using var _ = world;
        world.Host.FreeBytes = 0;
        Assert.Equal(Fault.Exhausted, (await world.UndoneAsync(w => w.VerifySnapshotAsync(VerificationOf(id), Me, default))).Fault);
        Assert.Null((await world.Store.FindSnapshotAsync(id, default))!.Verification);
        await world.CheckAsync();
    }

    [Fact]
    public async Task A_hypervisor_that_is_away_says_nothing_of_the_snapshot_but_one_that_only_ever_refuses_its_start_does()
    {
        var (world, id) = await WithSnapshotAsync();
        await using var _ = world;
        world.Calls.Counts = b => b.StartsWith("driver.", StringComparison.Ordinal);
        world.Calls.Arm(act: (_, boundary, _) => boundary is "driver.InstantiateAsync before" or "driver.InspectAsync before" ? throw new WeaveException(Fault.Unavailable, "Nobody answers.", "Start it.") : Task.CompletedTask);
        Assert.Equal(Fault.Unavailable, (await world.UndoneAsync(w => w.VerifySnapshotAsync(VerificationOf(id), Me, default))).Fault);
        Assert.Null((await world.Store.FindSnapshotAsync(id, default))!.Verification);
        world.Calls.Arm(act: (_, boundary, _) => boundary == "driver.InstantiateAsync before" ? throw new WeaveException(Fault.Unavailable, "QEMU has ended.", "Look.") : Task.CompletedTask);
        Assert.Equal("it cannot be revived: QEMU has ended", (await world.VerifyAsync(id)).Reason);
        world.Calls.Arm();
        await world.CheckAsync();
    }

    [Fact]
    public async Task A_file_of_the_copy_that_cannot_be_written_at_its_start_says_nothing_about_the_snapshot()
    {
        var (world, id) = await WithSnapshotAsync();
        await using var _ = world;
        world.Calls.Arm(act: (_, boundary, _) => boundary == "driver.InstantiateAsync before" ? throw new WeaveException(Fault.DataLoss, "Could not write the TPM's folder: the storage reported an input/output error.", "Look at the kernel log.") { NotWritten = true } : Task.CompletedTask);
        Assert.Equal(Fault.DataLoss, (await world.UndoneAsync(w => w.VerifySnapshotAsync(VerificationOf(id), Me, default))).Fault);
        Assert.Null((await world.Store.FindSnapshotAsync(id, default))!.Verification);
        world.Calls.Arm(act: (_, boundary, _) => boundary == "driver.InstantiateAsync before" ? throw new WeaveException(Fault.DataLoss, "The TPM state is damaged.", "Use another.") : Task.CompletedTask);
        Assert.Equal("it cannot be revived: The TPM state is damaged", (await world.VerifyAsync(id)).Reason);
        world.Calls.Arm();
        await world.CheckAsync();
    }

    [Fact]
    public async Task Without_a_probe_agents_are_asked_that_are_connected_and_else_it_is_said_that_nobody_was()
    {
        var (world, id) = await WithSnapshotAsync();
        await using var _ = world;
        var result = await world.VerifyAsync(id);
        Assert.Equal((true, VerificationLevel.Running, "running for 0 s", null), (result.Passed, result.Level, result.Probe, result.FirstReplyMs));
        world.Host.GiveAgent(Db, SimulatedAgent.Works);
        world.Host.GiveAgent(Web, SimulatedAgent.NotConnected);
        Assert.Equal((true, VerificationLevel.Agent, "guest agent of db"), Outcome(await world.VerifyAsync(id)));
        world.Host.GiveAgent(Web, SimulatedAgent.Works);
        Assert.Equal((true, VerificationLevel.Agent, "guest agents of web, db"), Outcome(await world.VerifyAsync(id)));
        Assert.Equal((true, VerificationLevel.Agent, "guest agents of all machines that run"), Outcome(await world.VerifyAsync(id, agents: true)));
        Assert.Equal((true, VerificationLevel.Agent, "guest agent of db"), Outcome(await world.VerifyAsync(id, agents: true, agentOf: "db")));
        await world.CheckAsync();

        static (bool, VerificationLevel, string) Outcome(VerifyResult r) => (r.Passed, r.Level, r.Probe);
    }

    [Fact]
    public async Task An_agent_that_hangs_is_not_waited_for_longer_than_asked()
    {
        var (world, id) = await WithSnapshotAsync();
        await using var _ = world;
        world.Host.GiveAgent(Db, SimulatedAgent.Hangs);
        world.Host.GiveAgent(Web, SimulatedAgent.Works);
        var operation = await world.Weaver.VerifySnapshotAsync(VerificationOf(id, agents: true, seconds: 8), Me, default);
        var began = world.Now;
        var run = world.Process.RunAsync(Lab);
        await Eventually.EndsAsync(run, () => world.Clock.Advance(TimeSpan.FromMilliseconds(100)));
        Assert.True(await run);
        var verification = await VerificationAsync(world, id);
        Assert.False(verification.Passed);
        Assert.StartsWith("db: the guest agent did not answer", verification.Reason);
        Assert.InRange(verification.At - began, TimeSpan.FromSeconds(7), TimeSpan.FromSeconds(60));
        Assert.Equal(OperationState.Succeeded, (await world.Process.Journal.FindAsync(operation.Id, default))!.State);
        await world.CheckAsync();
    }

    [Fact]
    public async Task Machines_that_end_after_their_start_fail_it_also_where_nobody_is_asked()
    {
        var (world, id) = await WithSnapshotAsync();
        await using var _ = world;
        world.Calls.Counts = b => b == "driver.InstantiateAsync after";
        world.Calls.Arm(act: async (_, _, _) => world.Host.KillMachine((await world.Store.ListWeavesAsync(Lab, default)).Single(w => !w.IsMain).Machines.First(m => m.Name == Db).Uuid));
        var result = await world.VerifyAsync(id);
        Assert.Equal((false, "machine db has ended"), (result.Passed, result.Reason));
        world.Probe = (_, _) => "refused";
        Assert.Equal("refused; machine db has ended", (await world.VerifyAsync(id, Port80)).Reason);
        world.Calls.Arm();
        await world.CheckAsync();
    }

    [Fact]
    public async Task A_snapshot_without_memory_is_booted_and_so_is_one_of_machines_that_were_off()
    {
        var (world, id) = await WithSnapshotAsync(memory: false);
        await using var _ = world;
        Assert.Equal(["boot", "boot"], (await world.VerifyAsync(id, Port80)).Machines.Select(m => m.Method));
        await world.PowerAsync("main", WeavePower.PowerOff);
        var off = (await world.SnapshotAsync()).Snapshot;
        Assert.Equal(["boot", "boot"], (await world.VerifyAsync(off, Port80)).Machines.Select(m => m.Method));
        await world.CheckAsync();
    }

    [Fact]
    public async Task While_it_is_revived_the_weave_is_nobodys_to_use_and_the_snapshot_is_kept()
    {
        var (world, id) = await WithSnapshotAsync();
        await using var _ = world;
        WeaveException? Refusal(Task<Operation> request) => Assert.Throws<WeaveException>(() => request.GetAwaiter().GetResult());
        var tried = 0;
        world.Probe = (_, _) =>
        {
            var weave = world.Store.ListWeavesAsync(Lab, default).GetAwaiter().GetResult().Single(w => !w.IsMain);
            Assert.Equal((id, true, UplinkMode.None), (weave.Verifies, Weave.IsReserved(weave.Id), weave.Uplink));
            foreach (var request in (Func<Task<Operation>>[])
            [
                () => world.Weaver.ActivateAsync(new(Lab, weave.Id, null), Me, default), () => world.Weaver.SnapshotAsync(new(Lab, weave.Id, null, true, false), Me, default),
                () => world.Weaver.CreateWeaveAsync(CreationOf("x", source: weave.Id.Text), Me, default), () => world.Weaver.CreateWeaveAsync(CreationOf("x", at: world.Now, source: weave.Id.Text), Me, default),
                () => world.Weaver.PublishRouteAsync(RouteOf(weave.Id.Text), Me, default), () => world.Weaver.ChangePowerAsync(Lab, weave.Id, WeavePower.Pause, Me, default),
                () => world.Weaver.DeleteWeaveAsync(Lab, weave.Id, false, Me, default), () => world.Weaver.KeepWeaveAsync(Lab, weave.Id, null, Me, default),
            ])
            {
                var refusal = Refusal(request())!;
                Assert.Equal(Fault.Conflict, refusal.Fault);
                Assert.Contains("only to verify", refusal.Message);
                tried++;
            }
            var held = Refusal(world.Weaver.DeleteSnapshotAsync(id, Me, default))!;
            Assert.Equal((Fault.Conflict, $"verification of {id}"), (held.Fault, Assert.Single(held.Holders)));
            Assert.Contains("being verified", held.Message);
            return null;
        };
        await world.VerifyAsync(id, Port80);
        Assert.Equal(8, tried);
        await world.DeleteSnapshotAsync(id);
        await world.CheckAsync();
    }

    [Fact]
    public async Task What_cannot_be_asked_is_refused_before_anything_is_made()
    {
        var (world, id) = await WithSnapshotAsync(dbRuns: false);
        await using var _ = world;
        Assert.Contains("off", (await world.RefusedAsync(Fault.Conflict, w => w.VerifySnapshotAsync(VerificationOf(id, Port80 with { Machine = Db }), Me, default))).Message);
        await world.RefusedAsync(Fault.Conflict, w => w.VerifySnapshotAsync(VerificationOf(id, agents: true, agentOf: "db"), Me, default));
        await world.RefusedAsync(Fault.NotFound, w => w.VerifySnapshotAsync(VerificationOf(id, Port80 with { Machine = MachineName.Parse("mail") }), Me, default));
        await world.RefusedAsync(Fault.NotFound, w => w.VerifySnapshotAsync(VerificationOf(SnapshotId.New(world.Clock)), Me, default));
        await world.RefusedAsync(Fault.InvalidRequest, w => w.VerifySnapshotAsync(VerificationOf(id, Port80 with { Port = 0 }), Me, default));
        await world.RefusedAsync(Fault.InvalidRequest, w => w.VerifySnapshotAsync(VerificationOf(id, Port80, agents: true), Me, default));
        await world.RefusedAsync(Fault.InvalidRequest, w => w.VerifySnapshotAsync(VerificationOf(id, seconds: 601), Me, default));
        await world.RefusedAsync(Fault.InvalidRequest, w => w.CreateWeaveAsync(CreationOf("verify-0123abcd"), Me, default));
        await world.CreateAsync("verify-this");
    }

    [Fact]
    public async Task One_that_is_cancelled_leaves_the_snapshot_as_it_was()
    {
        var (world, id) = await WithSnapshotAsync();
        await using var _ = world;
        await world.VerifyAsync(id, Port80);
        var before = await VerificationAsync(world, id);
        world.Probe = (_, _) =>
        {
            var running = world.Process.Journal.ListAsync(Lab, true, 10, null, default).GetAwaiter().GetResult().Single();
            Assert.True(world.Weaver.CancelAsync(running.Id, default).GetAwaiter().GetResult());
            return null;
        };
        Assert.Contains("Cancelled", (await world.UndoneAsync(w => w.VerifySnapshotAsync(VerificationOf(id, Port80), Me, default))).Message);
        Assert.Equal(before.At, (await VerificationAsync(world, id)).At);
        await world.CheckAsync();
    }

    [Fact]
    public async Task A_temporary_weave_that_an_operation_gave_up_on_is_removed_when_its_time_is_over()
    {
        var (world, id) = await WithSnapshotAsync();
        await using var _ = world;
        world.Calls.Counts = b => b == "driver.RetireFenceAsync before";
        world.Calls.Arm(act: (_, _, _) => throw new WeaveException(Fault.Internal, "The fence is stuck.", "Look."));
        Assert.Equal(OperationState.Failed, (await world.RunAsync(w => w.VerifySnapshotAsync(VerificationOf(id, Port80), Me, default))).State);
        Assert.True((await VerificationAsync(world, id)).Passed);
        world.Calls.Arm();
        Assert.Empty((await world.Weaver.DeleteExpiredAsync(TimeSpan.FromHours(1), Me, default)).Begun);
        world.Clock.Advance(TimeSpan.FromHours(2));
        Assert.Single((await world.Weaver.DeleteExpiredAsync(TimeSpan.FromHours(1), Me, default)).Begun);
        Assert.True(await world.Process.RunAsync(Lab));
        Assert.Equal(["main"], await world.WeaveIdsAsync());
        await world.CheckAsync();
    }
}
