using WeaveHypervisor.Model;
using WeaveHypervisor.Operations;
using WeaveHypervisor.Simulator;
using WeaveHypervisor.Weaving.Tests.Worlds;
using static WeaveHypervisor.Weaving.Tests.Worlds.World;

namespace WeaveHypervisor.Weaving.Tests;

/// <summary>Weaves are made, and go.</summary>
public sealed class BranchingTests
{
    [Fact]
    public async Task A_weave_of_a_time_continues_what_was_then_beside_what_is_now()
    {
        await using var world = await WithLabAsync();
        await world.OrderAsync("main", Web, "one");
        var snapshot = await world.SnapshotAsync();
        var then = world.Now;
        world.Clock.Advance(TimeSpan.FromMinutes(10));
        await world.OrderAsync("main", Web, "two");
        await world.SnapshotAsync();

        var result = await world.CreateAsync("past", at: then);
        Assert.Equal((snapshot.Snapshot, snapshot.At), (result.Snapshot, result.At));
        Assert.All(result.Machines, m => Assert.Equal((RunState.Running, "shared"), (m.RunState, m.Method)));
        var (main, past) = (await world.AskAsync("main", Web), await world.AskAsync("past", Web));
        Assert.Equal((main!.Nonce, 1, 2), (past!.Nonce, past.Counter, main.Counter));
        Assert.Equal(["one"], past.Orders);
        await world.OrderAsync("past", Web, "elsewhere");
        Assert.Equal(["one", "two"], (await world.AskAsync("main", Web))!.Orders);
        Assert.Equal(["one", "elsewhere"], (await world.AskAsync("past", Web))!.Orders);

        var weave = await world.WeaveAsync("past");
        Assert.Equal((WeaveState.Running, snapshot.Snapshot, "main"), (weave.State, weave.Origin!.Value, weave.Source!.Value.Text));
        var address = weave.Addresses.Single(a => a.Machine == Web);
        Assert.Equal("10.20.0.10", address.Inner);
        Assert.Equal(past.Uuid, world.Host.Ask(address.Outer)!.Uuid);
        Assert.Equal("main", (await world.EnvironmentAsync()).ActiveWeave.Text);
        await world.CheckAsync();
    }

    [Fact]
    public async Task A_weave_of_a_snapshot_continues_that_snapshot()
    {
        await using var world = await WithLabAsync();
        var first = await world.SnapshotAsync();
        await world.OrderAsync("main", Web, "later");
        await world.SnapshotAsync();
        Assert.Equal(first.Snapshot, (await world.CreateAsync("past", snapshot: first.Snapshot)).Snapshot);
        Assert.Empty((await world.AskAsync("past", Web))!.Orders);
        await world.CheckAsync();
    }

    [Fact]
    public async Task A_weave_from_now_records_the_instant_first_and_continues_it()
    {
        await using var world = await WithLabAsync();
        await world.OrderAsync("main", Db, "now");
        var result = await world.CreateAsync("twin");
        Assert.Equal(result.Snapshot, Assert.Single(await world.SnapshotsAsync()).Id);
        Assert.Equal(["now"], (await world.AskAsync("twin", Db))!.Orders);
        Assert.Equal((await world.AskAsync("main", Db))!.Nonce, (await world.AskAsync("twin", Db))!.Nonce);
        await world.CheckAsync();
    }

    [Fact]
    public async Task A_weave_of_a_weave_of_a_weave_has_the_history_of_all_three()
    {
        await using var world = await WithLabAsync();
        await world.OrderAsync("main", Web, "m");
        await world.CreateAsync("a");
        await world.OrderAsync("a", Web, "a");
        await world.CreateAsync("b", source: "a");
        await world.OrderAsync("a", Web, "a2");
        await world.OrderAsync("b", Web, "b");
        Assert.Equal("a", (await world.WeaveAsync("b")).Source!.Value.Text);
        Assert.Equal(["m", "a", "b"], (await world.AskAsync("b", Web))!.Orders);
        Assert.Equal(["m", "a", "a2"], (await world.AskAsync("a", Web))!.Orders);
        Assert.Equal(["m"], (await world.AskAsync("main", Web))!.Orders);
        await world.CheckAsync();
    }

    [Fact]
    public async Task A_weave_without_start_is_off_and_resumes_from_memory_at_its_first_start_only()
    {
        await using var world = await WithLabAsync();
        var nonce = (await world.AskAsync("main", Web))!.Nonce;
        await world.CreateAsync("past", start: StartMode.None);
        Assert.Equal(WeaveState.Stopped, (await world.WeaveAsync("past")).State);
        Assert.Null(await world.AskAsync("past", Web));
        await world.CheckAsync();
        await world.PowerAsync("past", WeavePower.Start);
        Assert.Equal(nonce, (await world.AskAsync("past", Web))!.Nonce);
        await world.OrderAsync("past", Web, "written");
        await world.PowerAsync("past", WeavePower.Stop);
        await world.PowerAsync("past", WeavePower.Start);
        var booted = await world.AskAsync("past", Web);
        Assert.NotEqual(nonce, booted!.Nonce);
        Assert.Equal(["written"], booted.Orders);
        await world.CheckAsync();
    }

    [Fact]
    public async Task A_weave_that_boots_needs_no_memory()
    {
        await using var world = await WithLabAsync();
        var nonce = (await world.AskAsync("main", Web))!.Nonce;
        var result = await world.CreateAsync("past", start: StartMode.Boot);
        Assert.All(result.Machines, m => Assert.Equal("boot", m.Method));
        Assert.NotEqual(nonce, (await world.AskAsync("past", Web))!.Nonce);
        Assert.All((await world.SnapshotsAsync())[0].Machines, m => Assert.Null(m.Memory));
        await world.CheckAsync();
    }

    [Fact]
    public async Task A_machine_that_was_off_stays_off_when_resuming_and_starts_when_booting()
    {
        await using var world = await WithLabAsync(dbRuns: false);
        await world.CreateAsync("resumed");
        await world.CreateAsync("booted", start: StartMode.Boot);
        Assert.Null(await world.AskAsync("resumed", Db));
        Assert.NotNull(await world.AskAsync("resumed", Web));
        Assert.NotNull(await world.AskAsync("booted", Db));
        await world.CheckAsync();
    }

    [Fact]
    public async Task A_paused_machine_is_captured_paused_and_its_copy_is_paused()
    {
        await using var world = await WithLabAsync();
        await world.PowerAsync("main", WeavePower.Pause);
        await world.CreateAsync("past");
        Assert.Equal(WeaveState.Paused, (await world.WeaveAsync("past")).State);
        Assert.Equal(WeaveState.Paused, (await world.WeaveAsync("main")).State);
        await world.PowerAsync("past", WeavePower.Resume);
        Assert.NotNull(await world.AskAsync("past", Web));
        Assert.Null(await world.AskAsync("main", Web));
        await world.CheckAsync();
    }

    [Fact]
    public async Task A_time_is_looked_up_on_the_line_that_was_active_then()
    {
        await using var world = await WithLabAsync();
        await world.SnapshotAsync();
        await world.CreateAsync("past");
        await world.ActivateAsync("past");
        await world.OrderAsync("past", Web, "on past");
        var own = await world.SnapshotAsync("past");
        var while_past = world.Now;
        await world.SnapshotAsync("main");
        await world.ActivateAsync("main");
        await world.SnapshotAsync("main");
        Assert.Equal(own.Snapshot, (await world.CreateAsync("again", at: while_past)).Snapshot);
        Assert.Equal(["on past"], (await world.AskAsync("again", Web))!.Orders);
        await world.CreateAsync("other", at: world.Now, source: "main");
        Assert.Empty((await world.AskAsync("other", Web))!.Orders);
        await world.CheckAsync();
    }

    [Fact]
    public async Task Where_the_line_that_was_active_then_is_gone_todays_line_is_asked()
    {
        await using var world = await WithLabAsync();
        var first = await world.SnapshotAsync();
        await world.CreateAsync("gone", snapshot: first.Snapshot);
        await world.ActivateAsync("gone");
        var then = world.Now;
        await world.ActivateAsync("main");
        await world.DeleteAsync("gone");
        Assert.Equal(first.Snapshot, (await world.CreateAsync("past", at: then)).Snapshot);
    }

    [Fact]
    public async Task Times_before_the_first_snapshot_and_in_the_future_are_refused()
    {
        await using var world = await WithLabAsync();
        await world.RefusedAsync(Fault.NotFound, w => w.CreateWeaveAsync(CreationOf("w", at: world.Now), Me, default));
        var first = await world.SnapshotAsync();
        Assert.Contains("begins at", (await world.RefusedAsync(Fault.NotFound, w => w.CreateWeaveAsync(CreationOf("w", at: first.At.AddMilliseconds(-1)), Me, default))).Message);
        await world.RefusedAsync(Fault.InvalidRequest, w => w.CreateWeaveAsync(CreationOf("w", at: world.Now.AddMilliseconds(1)), Me, default));
        Assert.Equal(first.Snapshot, (await world.CreateAsync("w", at: first.At)).Snapshot);
    }

    [Fact]
    public async Task Requests_that_make_no_sense_are_refused_at_once()
    {
        await using var world = await WithLabAsync();
        var snapshot = (await world.SnapshotAsync()).Snapshot;
        await world.RefusedAsync(Fault.InvalidRequest, w => w.CreateWeaveAsync(CreationOf("main"), Me, default));
        await world.RefusedAsync(Fault.InvalidRequest, w => w.CreateWeaveAsync(CreationOf("active"), Me, default));
        await world.RefusedAsync(Fault.InvalidRequest, w => w.CreateWeaveAsync(CreationOf("w", world.Now, snapshot), Me, default));
        await world.RefusedAsync(Fault.InvalidRequest, w => w.CreateWeaveAsync(CreationOf("w") with { TimeToLive = TimeSpan.Zero }, Me, default));
        await world.RefusedAsync(Fault.NotFound, w => w.CreateWeaveAsync(CreationOf("w", snapshot: SnapshotId.New(world.Clock)), Me, default));
        world.Host.AddUserMachine("lone", "10.20.0.12");
        await world.RunAsync(w => w.AdoptAsync(AdoptionOf("other", "lone"), Me, default));
        await world.RefusedAsync(Fault.NotFound, w => w.CreateWeaveAsync(CreationOf("w", snapshot: snapshot) with { Environment = EnvironmentId.Parse("other") }, Me, default));
    }

    [Fact]
    public async Task A_weave_id_is_used_once_at_a_time()
    {
        await using var world = await WithLabAsync();
        await world.CreateAsync("past");
        await world.RefusedAsync(Fault.AlreadyExists, w => w.CreateWeaveAsync(CreationOf("past"), Me, default));
        await world.DeleteAsync("past");
        await world.CreateAsync("past");
        await world.CheckAsync();
    }

    [Fact]
    public async Task Of_two_requests_for_one_id_that_wait_together_the_second_is_undone()
    {
        await using var world = await WithLabAsync();
        var first = await world.Weaver.CreateWeaveAsync(CreationOf("past"), Me, default);
        Assert.Equal(Fault.AlreadyExists, (await world.UndoneAsync(w => w.CreateWeaveAsync(CreationOf("past"), Me, default))).Fault);
        Assert.Equal(OperationState.Succeeded, (await world.Process.Journal.FindAsync(first.Id, default))!.State);
        Assert.Single(await world.SnapshotsAsync());
        await world.CheckAsync();
    }

    [Fact]
    public async Task Generated_ids_differ_also_for_requests_that_wait_together()
    {
        await using var world = await WithLabAsync();
        await world.CreateAsync(null);
        for (var i = 0; i < 3; i++) await world.Weaver.CreateWeaveAsync(CreationOf(null), Me, default);
        await world.CreateAsync(null);
        Assert.Equal(6, (await world.WeaveIdsAsync()).Count);
        await world.CheckAsync();
    }

    [Fact]
    public async Task A_deleted_weave_leaves_nothing_but_its_origin()
    {
        await using var world = await WithLabAsync();
        var origin = await world.SnapshotAsync();
        await world.CheckAsync();
        await world.CreateAsync("past", snapshot: origin.Snapshot);
        await world.RouteAsync("past");
        Assert.Equal(3, (await world.DeleteAsync("past")).LayersRemoved);
        Assert.Equal(["main"], await world.WeaveIdsAsync());
        Assert.Equal(origin.Snapshot, Assert.Single(await world.SnapshotsAsync()).Id);
        Assert.Empty(await world.Store.ListRoutesAsync(null, default));
        await world.CheckAsync();
    }

    [Fact]
    public async Task A_weave_with_snapshots_goes_only_with_them()
    {
        await using var world = await WithLabAsync();
        await world.CreateAsync("past");
        var own = await world.SnapshotAsync("past");
        Assert.Equal([own.Snapshot.Text], (await world.RefusedAsync(Fault.Conflict, w => w.DeleteWeaveAsync(Lab, WeaveId.Parse("past"), false, Me, default))).Holders);
        await world.CreateAsync("child", snapshot: own.Snapshot);
        Assert.Equal(["lab/child"], (await world.RefusedAsync(Fault.Conflict, w => w.DeleteWeaveAsync(Lab, WeaveId.Parse("past"), true, Me, default))).Holders);
        await world.DeleteAsync("child");
        await world.DeleteAsync("past", withSnapshots: true);
        Assert.DoesNotContain(await world.SnapshotsAsync(), s => s.Id == own.Snapshot);
        await world.CheckAsync();
    }

    [Fact]
    public async Task The_original_and_the_active_weave_are_not_deleted()
    {
        await using var world = await WithLabAsync();
        await world.CreateAsync("past");
        await world.RefusedAsync(Fault.Conflict, w => w.DeleteWeaveAsync(Lab, WeaveId.Parse("main"), false, Me, default));
        await world.ActivateAsync("past");
        var refusal = await world.RefusedAsync(Fault.Conflict, w => w.DeleteWeaveAsync(Lab, WeaveId.Parse("past"), false, Me, default));
        Assert.Contains("weave activate lab/main", refusal.NextStep);
        await world.RefusedAsync(Fault.Conflict, w => w.DeleteWeaveAsync(Lab, WeaveId.Parse("active"), false, Me, default));
        await world.CheckAsync();
    }

    [Fact]
    public async Task The_next_step_never_names_a_weave_that_is_gone()
    {
        await using var world = await WithLabAsync();
        await world.CreateAsync("a");
        await world.CreateAsync("b");
        await world.ActivateAsync("a");
        await world.ActivateAsync("b");
        await world.DeleteAsync("a");
        var refusal = await world.RefusedAsync(Fault.Conflict, w => w.DeleteWeaveAsync(Lab, WeaveId.Parse("b"), false, Me, default));
        Assert.Contains("weave activate lab/main", refusal.NextStep);
        await world.CheckAsync();
    }

    [Fact]
    public async Task A_weave_is_paused_and_resumed_with_its_memory()
    {
        await using var world = await WithLabAsync();
        await world.CreateAsync("past");
        var before = await world.AskAsync("past", Web);
        Assert.Equal(WeaveState.Paused, (await world.PowerAsync("past", WeavePower.Pause)).State);
        await world.CheckAsync();
        Assert.Equal(WeaveState.Running, (await world.PowerAsync("past", WeavePower.Resume)).State);
        Assert.Equal(before!.Nonce, (await world.AskAsync("past", Web))!.Nonce);
        await world.CheckAsync();
    }

    [Theory]
    [InlineData("main")]
    [InlineData("past")]
    public async Task Pause_and_resume_leave_machines_that_are_off_alone(string weave)
    {
        await using var world = await WithLabAsync(dbRuns: false);
        await world.CreateAsync("past");
        Assert.Equal(WeaveState.Paused, (await world.PowerAsync(weave, WeavePower.Pause)).State);
        await world.CheckAsync();
        Assert.Equal(WeaveState.Running, (await world.PowerAsync(weave, WeavePower.Resume)).State);
        Assert.Null(await world.AskAsync(weave, Db));
        await world.CheckAsync();
    }

    [Theory]
    [InlineData(WeavePower.Stop)]
    [InlineData(WeavePower.PowerOff)]
    public async Task Stopped_machines_keep_their_disks_and_boot_from_them(WeavePower how)
    {
        await using var world = await WithLabAsync();
        await world.CreateAsync("past");
        foreach (var weave in (string[])["main", "past"])
        {
            await world.OrderAsync(weave, Db, "kept");
            Assert.Equal(WeaveState.Stopped, (await world.PowerAsync(weave, how)).State);
            await world.CheckAsync();
            Assert.Equal(WeaveState.Running, (await world.PowerAsync(weave, WeavePower.Start)).State);
            var answer = await world.AskAsync(weave, Db);
            Assert.Equal(0, answer!.Counter);
            Assert.Equal(["kept"], answer.Orders);
            await world.CheckAsync();
        }
    }

    [Fact]
    public async Task Pausing_or_resuming_what_is_stopped_is_refused()
    {
        await using var world = await WithLabAsync();
        await world.PowerAsync("main", WeavePower.Stop);
        foreach (var change in (WeavePower[])[WeavePower.Pause, WeavePower.Resume])
            Assert.Contains("weave start lab/main", (await world.RefusedAsync(Fault.Conflict, w => w.ChangePowerAsync(Lab, WeaveId.Parse("main"), change, Me, default))).NextStep);
    }

    /// <summary>Its disks have gone on since the instant of its memory: to resume from that again would tear them apart.</summary>
    [Fact]
    public async Task A_copy_that_ran_and_was_ended_by_something_else_boots_from_its_disks()
    {
        await using var world = await WithLabAsync();
        await world.CreateAsync("past");
        await world.OrderAsync("past", Web, "written");
        var before = await world.AskAsync("past", Web);
        world.Host.Reboot();
        await world.PowerAsync("past", WeavePower.Start);
        var after = await world.AskAsync("past", Web);
        Assert.NotEqual(before!.Nonce, after!.Nonce);
        Assert.Equal(["written"], after.Orders);
        await world.PowerAsync("main", WeavePower.Start);
        await world.CheckAsync();
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_copy_that_was_lost_while_it_was_first_started_does_not_resume_on_disks_that_it_wrote_to(bool atCreation)
    {
        await using var world = await WithLabAsync();
        var nonce = (await world.AskAsync("main", Web))!.Nonce;
        if (!atCreation) await world.CreateAsync("past", start: StartMode.None);
        world.Calls.Arm(act: async (_, boundary, _) =>
        {
            if (boundary != "driver.InstantiateAsync after") return;
            await world.OrderAsync("past", Web, "lost");
            foreach (var machine in (await world.WeaveAsync("past")).Machines) world.Host.KillMachine(machine.Uuid);
            await world.Calls.DieAsync();
        });
        var operation = atCreation ? await world.Weaver.CreateWeaveAsync(CreationOf("past"), Me, default)
            : await world.Weaver.ChangePowerAsync(Lab, WeaveId.Parse("past"), WeavePower.Start, Me, default);
        Assert.False(await world.Process.RunAsync(Lab));
        world.Restart();
        Assert.Equal(OperationState.Succeeded, (await world.RunAsync(_ => Task.FromResult(operation))).State);
        var answer = await world.AskAsync("past", Web);
        Assert.Equal(nonce, answer!.Nonce);
        Assert.Empty(answer.Orders);
        await world.CheckAsync();
    }

    [Fact]
    public async Task What_a_reboot_of_the_host_stopped_is_told_by_the_next_look_and_repaired()
    {
        await using var world = await WithLabAsync();
        await world.CreateAsync("past");
        await world.RouteAsync("past");
        world.Host.Reboot();
        var report = await world.Weaver.ReconcileAsync(new(RepairMode.Look), default);
        Assert.Contains(report.Findings, f => f.Subject == "lab/past" && f.Text.Contains("stopped", StringComparison.Ordinal));
        Assert.Contains(report.Findings, f => f.Subject == "routes");
        Assert.Equal(WeaveState.Stopped, (await world.WeaveAsync("past")).State);
        Assert.NotEmpty((await world.Weaver.ReconcileAsync(new(RepairMode.Repair), default)).Repaired);
        Assert.Equal(Drivers.FindingLevel.Ok, (await world.Weaver.ReconcileAsync(new(RepairMode.Look), default)).Findings[0].Level);
        await world.CheckAsync();
    }

    [Fact]
    public async Task Things_of_ours_that_the_store_does_not_know_are_reported_and_removed_on_request_only()
    {
        await using var world = await WithLabAsync();
        await using var driver = new SimulatedHypervisor(world.Host);
        await driver.MakeFenceAsync(new() { Tag = FenceTag.New(), Environment = Lab, Weave = WeaveId.Parse("x"), Networks = [], Machines = [] }, default);
        Assert.Contains((await world.Weaver.ReconcileAsync(new(RepairMode.Look), default)).Findings, f => f.Subject == "left-over");
        Assert.Single((await driver.ListOwnedAsync(default)).Things);
        Assert.Single((await world.Weaver.ReconcileAsync(new(RepairMode.Repair), default)).Repaired);
        await world.CheckAsync();
    }

    [Fact]
    public async Task A_snapshot_whose_files_are_gone_is_refused_by_name_and_told_as_drift()
    {
        await using var world = await WithLabAsync();
        var snapshot = await world.SnapshotAsync();
        var gone = (await world.Store.ListLayersAsync(Lab, default)).Single(l => l.Adopted && l.Machine == Web).Path;
        File.Move(gone, gone + ".away");
        var refusal = await world.UndoneAsync(w => w.CreateWeaveAsync(CreationOf("w", snapshot: snapshot.Snapshot), Me, default));
        Assert.Equal(Fault.Conflict, refusal.Fault);
        Assert.Contains(gone, refusal.Message);
        var report = await world.Weaver.ReconcileAsync(new(RepairMode.Repair), default);
        Assert.Contains(report.Findings, f => f.Level == Drivers.FindingLevel.Error && f.Text.Contains(gone, StringComparison.Ordinal));
        Assert.Contains((await world.WeaveAsync("main")).Drift, d => d.Text.Contains(gone, StringComparison.Ordinal));
        File.Move(gone + ".away", gone);
        Assert.Equal(Drivers.FindingLevel.Ok, (await world.Weaver.ReconcileAsync(new(RepairMode.Look), default)).Findings[0].Level);

        var memory = (await world.SnapshotsAsync()).Single().Machines.First(m => m.Memory is not null).Memory!.FlatPath;
        File.Delete(memory);
        Assert.Contains("--boot", (await world.UndoneAsync(w => w.CreateWeaveAsync(CreationOf("w", snapshot: snapshot.Snapshot), Me, default))).NextStep);
        Assert.Equal(["main"], await world.WeaveIdsAsync());
    }

    [Fact]
    public async Task A_hypervisor_that_does_not_answer_is_met_before_anything_is_made()
    {
        await using var world = await WithLabAsync();
        await world.SnapshotAsync();
        world.Host.IsUp = false;
        Assert.Equal(Fault.Unavailable, (await world.UndoneAsync(w => w.CreateWeaveAsync(CreationOf("w", at: world.Now), Me, default))).Fault);
        Assert.Equal(["main"], await world.WeaveIdsAsync());
    }

    [Fact]
    public async Task Nothing_is_removed_while_an_operation_is_unfinished()
    {
        await using var world = await WithLabAsync();
        world.Calls.Arm(act: async (_, boundary, _) =>
        {
            if (boundary != "driver.InstantiateAsync after") return;
            var report = await world.Weaver.ReconcileAsync(new(RepairMode.Repair), default);
            Assert.Empty(report.Repaired);
        });
        await world.CreateAsync("past");
        await world.CheckAsync();
    }
}
