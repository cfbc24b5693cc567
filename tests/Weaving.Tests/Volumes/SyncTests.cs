using WeaveHypervisor.Model;
using WeaveHypervisor.Operations;
using WeaveHypervisor.Simulator;
using WeaveHypervisor.Weaving.Tests.Worlds;
using WeaveHypervisor.Weaving.Volumes;
using static WeaveHypervisor.Weaving.Tests.Worlds.World;

namespace WeaveHypervisor.Weaving.Tests.Volumes;

/// <summary>Syncs of db/data, of which main and the weave `past` have different content, on the simulated host with real bytes.</summary>
public sealed class SyncTests
{
    private static readonly VolumeId Data = VolumeId.Parse("db/data"), System = VolumeId.Parse("db/vda");
    private const long Block = 4096;

    /// <summary>An instant in common; then both sides write: the same place differently, and a place each.</summary>
    private static async Task<World> ApartAsync(bool pastRuns = true)
    {
        var world = await WithLabAsync();
        await world.WriteAsync("main", Data, 0, 'c');
        await world.SnapshotAsync();
        await world.CreateAsync("past", snapshot: (await world.SnapshotsAsync())[0].Id);
        await world.WriteAsync("main", Data, 20, 'm');
        await world.WriteAsync("past", Data, 120, 'p');
        await world.WriteAsync("main", Data, 70, 'M');
        await world.WriteAsync("past", Data, 70, 'P');
        if (!pastRuns) await world.PowerAsync("past", WeavePower.PowerOff);
        return world;
    }

    [Fact]
    public async Task A_weave_that_is_off_becomes_what_the_running_source_is_without_a_copy()
    {
        await using var world = await ApartAsync(pastRuns: false);
        var before = await world.ReadAsync("past", Data);
        var result = await world.SyncAsync("main", "past", Data);
        Assert.Equal((SyncMethod.Overlay, 0L, false), (result.Method, result.BytesCopied, result.Restarted));
        Assert.Equal(await world.ReadAsync("main", Data), await world.ReadAsync("past", Data));
        Assert.NotEqual(before, await world.ReadAsync("past", Data));
        Assert.Equal(RunState.Running, (await world.WeaveAsync("main")).Machines.First(m => m.Name == Db).RunState);
        await world.CheckAsync();
        // Each goes on for itself.
        await world.WriteAsync("main", Data, 0, 'l');
        Assert.NotEqual(await world.ReadAsync("main", Data), await world.ReadAsync("past", Data));
        await world.CheckAsync();
    }

    [Fact]
    public async Task A_machine_that_was_stopped_for_it_is_started_after_a_reboot_of_the_host_too()
    {
        await using var world = await ApartAsync();
        var operation = await world.Weaver.SyncVolumeAsync(new(Lab, Weave.Main, WeaveId.Parse("past"), Data, Stop: true), Me, default);
        world.Calls.Counts = b => b == "driver.DetachVolumeAsync before" || b == "driver.InstantiateAsync before";
        world.Calls.Arm(dieAt: 0);
        Assert.False(await world.Process.RunAsync(Lab));
        world.Host.Reboot();
        world.Restart();
        Assert.Equal(OperationState.Succeeded, (await world.RunAsync(_ => Task.FromResult(operation))).State);
        Assert.Equal(await world.ReadAsync("main", Data), await world.ReadAsync("past", Data));
        await world.Weaver.ReconcileAsync(new(RepairMode.Restore), default);
        var past = await world.WeaveAsync("past");
        Assert.Equal([(Db, RunState.Running), (Web, RunState.Off)], past.Machines.Select(m => (m.Name, m.RunState)).OrderBy(m => m.Name.Text));
        Assert.True(world.Host.HasFence(past.Tag));
    }

    [Fact]
    public async Task A_running_machine_gets_the_volume_under_it_and_its_other_disks_stay()
    {
        await using var world = await ApartAsync();
        var system = await world.ReadAsync("past", System);
        var result = await world.SyncAsync("main", "past", Data);
        Assert.False(result.Restarted);
        Assert.Contains("no guest agent could say", Assert.Single(result.Notes), StringComparison.Ordinal);
        Assert.Equal(await world.ReadAsync("main", Data), await world.ReadAsync("past", Data));
        Assert.Equal(system, await world.ReadAsync("past", System));
        Assert.Equal(RunState.Running, (await world.WeaveAsync("past")).Machines.First(m => m.Name == Db).RunState);
        await world.CheckAsync();
    }

    [Fact]
    public async Task The_original_gets_a_copy_on_its_own_history_and_is_given_back_with_it()
    {
        await using var world = await ApartAsync();
        var result = await world.SyncAsync("past", "main", Data);
        Assert.Equal(SyncMethod.Copy, result.Method);
        // What differs, and not more than that.
        Assert.Equal(3 * Block, result.BytesCopied);
        var past = await world.ReadAsync("past", Data);
        Assert.Equal(past, await world.ReadAsync("main", Data));
        await world.CheckAsync();
        Assert.Equal(OperationState.Succeeded, (await world.RunAsync(w => w.ReleaseAsync(Lab, true, Me, default))).State);
        Assert.Equal(past, world.Host.ReadBytes(Path.Combine(world.Host.UserFolder, "db-data.raw")));
    }

    [Fact]
    public async Task A_merge_without_a_decision_writes_nothing_and_names_the_bytes_that_both_changed()
    {
        await using var world = await ApartAsync();
        var before = await world.ReadAsync("past", Data);
        var error = await world.UndoneAsync(w => w.SyncVolumeAsync(new(Lab, Weave.Main, WeaveId.Parse("past"), Data, SyncStrategy.Merge), Me, default));
        Assert.Equal(Fault.Conflict, error.Fault);
        Assert.Contains("nothing was written", error.Message, StringComparison.Ordinal);
        Assert.Equal([$"db/data {70 * Block}+{Block}"], error.Holders);
        Assert.Equal(before, await world.ReadAsync("past", Data));
        await world.CheckAsync();
    }

    [Theory]
    [InlineData(OnConflict.Source, 'M')]
    [InlineData(OnConflict.Destination, 'P')]
    public async Task A_merge_takes_what_the_source_changed_and_leaves_what_it_did_not(OnConflict decision, char both)
    {
        await using var world = await ApartAsync();
        var result = await world.SyncAsync("main", "past", Data, SyncStrategy.Merge, decision);
        Assert.Equal(SyncMethod.Copy, result.Method);
        Assert.Equal(('c', 'm', 'p', both), (await world.BlockAsync("past", Data, 0), await world.BlockAsync("past", Data, 20), await world.BlockAsync("past", Data, 120), await world.BlockAsync("past", Data, 70)));
        Assert.Equal(('c', 'm', '\0', 'M'), (await world.BlockAsync("main", Data, 0), await world.BlockAsync("main", Data, 20), await world.BlockAsync("main", Data, 120), await world.BlockAsync("main", Data, 70)));
        await world.CheckAsync();
    }

    [Fact]
    public async Task A_dry_run_tells_what_would_be_done_and_does_nothing()
    {
        await using var world = await ApartAsync(pastRuns: false);
        await world.SnapshotAsync("main", memory: false);
        var before = await world.PictureAsync();
        var result = await world.SyncAsync("main", "past", Data, SyncStrategy.Merge, dryRun: true);
        Assert.True(result.DryRun);
        Assert.Equal((Block, Block, Block, Block), (result.Difference!.LeftBytes, result.Difference.RightBytes, result.Difference.BothBytes, result.BytesCopied));
        Assert.Equal([new RangeFound(70 * Block, Block, ChangedBy.Both)], result.Conflicts);
        Assert.Null(result.Kept);
        Assert.Equal(before, await world.PictureAsync());
        await world.CheckAsync();
    }

    [Fact]
    public async Task What_reads_the_same_already_is_left_as_it_is()
    {
        await using var world = await ApartAsync();
        await world.SyncAsync("past", "main", Data);
        var head = (await world.WeaveAsync("main")).Machines.First(m => m.Name == Db).Heads.First(h => h.Volume == Data.Volume);
        var result = await world.SyncAsync("past", "main", Data);
        Assert.Equal((SyncMethod.None, null), (result.Method, result.Kept));
        Assert.Equal(head, (await world.WeaveAsync("main")).Machines.First(m => m.Name == Db).Heads.First(h => h.Volume == Data.Volume));
        await world.CheckAsync();
    }

    [Fact]
    public async Task The_first_disk_of_a_running_machine_needs_a_stop_and_the_machine_comes_back()
    {
        await using var world = await ApartAsync();
        var error = await world.UndoneAsync(w => w.SyncVolumeAsync(new(Lab, Weave.Main, WeaveId.Parse("past"), System), Me, default));
        Assert.Equal(Fault.Conflict, error.Fault);
        Assert.Contains("--stop", error.NextStep, StringComparison.Ordinal);
        var nonce = (await world.AskAsync("past", Db))!.Nonce;
        var result = await world.SyncAsync("main", "past", System, stop: true);
        Assert.True(result.Restarted);
        Assert.NotEqual(nonce, (await world.AskAsync("past", Db))!.Nonce);
        Assert.NotNull(await world.AskAsync("past", Web));
        await world.CheckAsync();
    }

    [Fact]
    public async Task The_original_is_shut_down_and_started_again_where_that_is_allowed()
    {
        await using var world = await ApartAsync();
        var result = await world.SyncAsync("past", "main", Data, stop: true);
        Assert.True(result.Restarted);
        Assert.Equal(await world.ReadAsync("past", Data), await world.ReadAsync("main", Data));
        Assert.NotNull(await world.AskAsync("main", Db));
        await world.CheckAsync();
    }

    [Fact]
    public async Task A_volume_that_the_guest_has_mounted_is_refused_where_its_agent_says_so()
    {
        await using var world = await ApartAsync();
        var db = (await world.WeaveAsync("past")).Machines.First(m => m.Name == Db);
        world.Host.GiveAgent(db.Uuid, SimulatedAgent.Works);
        world.Host.MountVolume(db.Uuid, "data");
        var error = await world.UndoneAsync(w => w.SyncVolumeAsync(new(Lab, Weave.Main, WeaveId.Parse("past"), Data), Me, default));
        Assert.Equal(Fault.Conflict, error.Fault);
        Assert.Contains("/mnt/data", error.Message, StringComparison.Ordinal);
        Assert.Contains(await NotesAsync(), n => n.StartsWith("as things are it would be refused: ", StringComparison.Ordinal) && n.Contains("/mnt/data", StringComparison.Ordinal));
        async Task<IReadOnlyList<string>> NotesAsync() => (await world.SyncAsync("main", "past", Data, dryRun: true)).Notes;
        await world.CheckAsync();
        Assert.True((await world.SyncAsync("main", "past", Data, stop: true)).Restarted);
        await world.CheckAsync();
    }

    [Fact]
    public async Task A_guest_that_does_not_let_go_keeps_its_volume_as_it_was()
    {
        await using var world = await ApartAsync();
        var before = await world.ReadAsync("past", Data);
        world.Host.HoldVolume((await world.WeaveAsync("past")).Machines.First(m => m.Name == Db).Uuid, "data");
        var error = await world.UndoneAsync(w => w.SyncVolumeAsync(new(Lab, Weave.Main, WeaveId.Parse("past"), Data), Me, default));
        Assert.Equal(Fault.Conflict, error.Fault);
        Assert.Contains("did not let go", error.Message, StringComparison.Ordinal);
        Assert.Equal(before, await world.ReadAsync("past", Data));
        await world.CheckAsync();
    }

    [Fact]
    public async Task A_paused_destination_is_refused()
    {
        await using var world = await ApartAsync();
        await world.PowerAsync("past", WeavePower.Pause);
        Assert.Contains("paused", (await world.UndoneAsync(w => w.SyncVolumeAsync(new(Lab, Weave.Main, WeaveId.Parse("past"), Data), Me, default))).Message, StringComparison.Ordinal);
        Assert.Contains("paused", (await world.UndoneAsync(w => w.SyncVolumeAsync(new(Lab, Weave.Main, WeaveId.Parse("past"), Data, Stop: true), Me, default))).Message, StringComparison.Ordinal);
        await world.CheckAsync();
    }

    [Fact]
    public async Task A_sync_can_be_taken_back_and_that_too()
    {
        await using var world = await ApartAsync();
        var (before, main) = (await world.ReadAsync("past", Data), await world.ReadAsync("main", Data));
        var sync = await world.RunAsync(w => w.SyncVolumeAsync(new(Lab, Weave.Main, WeaveId.Parse("past"), Data), Me, default));
        await world.WriteAsync("past", Data, 170, 's');
        var since = await world.ReadAsync("past", Data);
        var undo = await world.RunAsync(w => w.UndoSyncAsync(Lab, sync.Id, false, Me, default));
        Assert.Equal(OperationState.Succeeded, undo.State);
        Assert.Equal(before, await world.ReadAsync("past", Data));
        Assert.Equal(main, await world.ReadAsync("main", Data));
        Assert.Equal(undo.Id, Assert.Single(await world.Weaver.ListSyncsAsync(Lab, default)).Kept.Sync);
        await world.RefusedAsync(Fault.NotFound, w => w.UndoSyncAsync(Lab, sync.Id, false, Me, default));
        Assert.Equal(OperationState.Succeeded, (await world.RunAsync(w => w.UndoSyncAsync(Lab, undo.Id, false, Me, default))).State);
        Assert.Equal(since, await world.ReadAsync("past", Data));
        await world.CheckAsync();
    }

    [Fact]
    public async Task What_was_there_before_is_kept_from_everything_until_it_is_forgotten()
    {
        await using var world = await ApartAsync(pastRuns: false);
        var before = await world.ReadAsync("past", Data);
        var sync = await world.RunAsync(w => w.SyncVolumeAsync(new(Lab, Weave.Main, WeaveId.Parse("past"), Data), Me, default));
        var kept = Assert.Single(await world.Weaver.ListSyncsAsync(Lab, default));
        for (var i = 0; i < 4; i++) await world.SnapshotAsync("past", memory: false);
        foreach (var snapshot in (await world.SnapshotsAsync()).Where(s => s.Weave.Text == "past")) await world.DeleteSnapshotAsync(snapshot.Id);
        await world.CompactAsync();
        Assert.Equal(before, world.Host.ReadBytes((await world.Store.ListLayersAsync(Lab, default)).Single(l => l.Id == kept.Layer.Id).Path));
        await world.CheckAsync();
        var files = Directory.GetFiles(world.Host.Tree, "*", SearchOption.AllDirectories).Length;
        Assert.Equal(OperationState.Succeeded, (await world.RunAsync(w => w.ForgetSyncAsync(Lab, sync.Id, Me, default))).State);
        Assert.True(Directory.GetFiles(world.Host.Tree, "*", SearchOption.AllDirectories).Length < files);
        Assert.Empty(await world.Weaver.ListSyncsAsync(Lab, default));
        await world.RefusedAsync(Fault.NotFound, w => w.ForgetSyncAsync(Lab, sync.Id, Me, default));
        await world.CheckAsync();
    }

    [Fact]
    public async Task The_next_sync_of_a_volume_gives_up_the_one_before_and_another_volumes_stays()
    {
        await using var world = await ApartAsync(pastRuns: false);
        await world.SyncAsync("main", "past", System);
        await world.SyncAsync("main", "past", Data);
        var first = await world.Weaver.ListSyncsAsync(Lab, default);
        await world.WriteAsync("main", Data, 0, 'n');
        await world.SyncAsync("main", "past", Data);
        var second = await world.Weaver.ListSyncsAsync(Lab, default);
        Assert.Equal((2, 2), (first.Count, second.Count));
        Assert.Contains(second, s => s.Kept == first[0].Kept);
        Assert.DoesNotContain(second, s => s.Kept == first[1].Kept);
        Assert.Equal('n', await world.BlockAsync("past", Data, 0));
        await world.CheckAsync();
    }

    [Fact]
    public async Task The_source_may_be_deleted_while_the_destination_stands_on_it()
    {
        await using var world = await ApartAsync(pastRuns: false);
        await world.CreateAsync("other", snapshot: (await world.SnapshotsAsync())[0].Id);
        await world.WriteAsync("other", Data, 0, 'o');
        await world.SyncAsync("other", "past", Data);
        var expected = await world.ReadAsync("other", Data);
        await world.DeleteAsync("other");
        Assert.Equal(expected, await world.ReadAsync("past", Data));
        await world.CheckAsync();
        await world.CompactAsync();
        Assert.Equal(expected, await world.ReadAsync("past", Data));
        await world.CheckAsync();
        await world.DeleteAsync("past");
        await world.CheckAsync();
    }

    [Fact]
    public async Task A_weave_that_was_not_started_yet_boots_instead_of_resuming_memory_of_another_disk()
    {
        await using var world = await ApartAsync();
        await world.CreateAsync("new", snapshot: (await world.SnapshotsAsync())[0].Id, start: StartMode.None);
        var result = await world.SyncAsync("main", "new", Data);
        Assert.Contains("boots at its first start", Assert.Single(result.Notes), StringComparison.Ordinal);
        await world.PowerAsync("new", WeavePower.Start);
        Assert.Equal(("shared", "boot"), ((await world.WeaveAsync("new")).Machines.First(m => m.Name == Web).StartedBy, (await world.WeaveAsync("new")).Machines.First(m => m.Name == Db).StartedBy));
        Assert.Equal(await world.ReadAsync("main", Data), await world.ReadAsync("new", Data));
        await world.CheckAsync();
    }

    [Fact]
    public async Task A_source_that_is_off_is_captured_too()
    {
        await using var world = await ApartAsync(pastRuns: false);
        await world.CreateAsync("new", snapshot: (await world.SnapshotsAsync())[0].Id, start: StartMode.None);
        await world.SyncAsync("past", "new", Data);
        Assert.Equal(await world.ReadAsync("past", Data), await world.ReadAsync("new", Data));
        await world.CheckAsync();
    }

    [Fact]
    public async Task Requests_that_can_never_be_carried_out_are_refused_at_once()
    {
        await using var world = await ApartAsync();
        var past = WeaveId.Parse("past");
        await world.RefusedAsync(Fault.InvalidRequest, w => w.SyncVolumeAsync(new(Lab, past, past, Data), Me, default));
        await world.RefusedAsync(Fault.InvalidRequest, w => w.SyncVolumeAsync(new(Lab, WeaveId.Parse("active"), Weave.Main, Data), Me, default));
        await world.RefusedAsync(Fault.InvalidRequest, w => w.SyncVolumeAsync(new(Lab, Weave.Main, past, Data, OnConflict: OnConflict.Source), Me, default));
        await world.RefusedAsync(Fault.NotFound, w => w.SyncVolumeAsync(new(Lab, Weave.Main, WeaveId.Parse("nowhere"), Data), Me, default));
        Assert.Contains("db/data", (await world.RefusedAsync(Fault.NotFound, w => w.SyncVolumeAsync(new(Lab, Weave.Main, past, VolumeId.Parse("db/other")), Me, default))).NextStep, StringComparison.Ordinal);
        Assert.Throws<WeaveException>(() => VolumeId.Parse("data"));
        await world.CheckAsync();
    }

    [Fact]
    public async Task What_does_not_fit_is_refused_with_the_numbers_before_anything_is_touched()
    {
        await using var world = await ApartAsync();
        world.Host.FreeBytes = 1000;
        var error = await world.UndoneAsync(w => w.SyncVolumeAsync(new(Lab, WeaveId.Parse("past"), Weave.Main, Data), Me, default));
        Assert.Equal(Fault.Exhausted, error.Fault);
        await world.CheckAsync();
    }
}
