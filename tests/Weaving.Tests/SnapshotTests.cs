using WeaveHypervisor.Model;
using WeaveHypervisor.Weaving.Tests.Worlds;
using static WeaveHypervisor.Weaving.Tests.Worlds.World;

namespace WeaveHypervisor.Weaving.Tests;

public sealed class SnapshotTests
{
    [Fact]
    public async Task A_snapshot_freezes_all_volumes_while_the_machines_run_on()
    {
        await using var world = await WithLabAsync();
        var before = await world.AskAsync("main", Web);
        var result = await world.SnapshotAsync(label: "before the upgrade");
        Assert.Equal((Consistency.Machine, "main", "web"), (result.Consistency, result.Weave.Text, result.Machines[0].Name.Text));
        var snapshot = Assert.Single(await world.SnapshotsAsync());
        Assert.Equal((result.Snapshot, "before the upgrade", (SnapshotId?)null), (snapshot.Id, snapshot.Label, snapshot.Parent));
        Assert.All(snapshot.Machines, m => Assert.True(File.Exists(m.Memory!.FlatPath)));
        Assert.Equal(3, snapshot.Machines.Sum(m => m.Frozen.Count));
        Assert.Equal(before!.Nonce, (await world.AskAsync("main", Web))!.Nonce);
        await world.CheckAsync();
    }

    [Fact]
    public async Task Snapshots_of_a_line_follow_one_another()
    {
        await using var world = await WithLabAsync();
        var (first, second) = (await world.SnapshotAsync(), await world.SnapshotAsync());
        Assert.True(second.At > first.At);
        Assert.Equal([null, first.Snapshot], (await world.SnapshotsAsync()).Select(s => s.Parent));
        await world.CheckAsync();
    }

    [Fact]
    public async Task A_snapshot_without_memory_is_crash_consistent_and_writes_none()
    {
        await using var world = await WithLabAsync();
        Assert.Equal(Consistency.Crash, (await world.SnapshotAsync(memory: false)).Consistency);
        Assert.All((await world.SnapshotsAsync())[0].Machines, m => Assert.Null(m.Memory));
        await world.CheckAsync();
    }

    [Fact]
    public async Task A_snapshot_of_a_weave_belongs_to_its_line_and_follows_its_origin()
    {
        await using var world = await WithLabAsync();
        var origin = await world.SnapshotAsync();
        await world.CreateAsync("past", snapshot: origin.Snapshot);
        await world.SnapshotAsync();
        var own = await world.SnapshotAsync("past");
        var stored = (await world.SnapshotsAsync()).Single(s => s.Id == own.Snapshot);
        Assert.Equal(("past", origin.Snapshot), (stored.Weave.Text, stored.Parent!.Value));
        await world.CheckAsync();
    }

    [Fact]
    public async Task A_snapshot_of_a_stopped_weave_is_taken_of_its_disks()
    {
        await using var world = await WithLabAsync();
        await world.CreateAsync("past");
        await world.OrderAsync("past", Web, "kept");
        await world.PowerAsync("past", WeavePower.Stop);
        var own = await world.SnapshotAsync("past");
        Assert.All(own.Machines, m => Assert.Equal(("off", RunState.Off), (m.Method, m.RunState)));
        await world.CreateAsync("child", snapshot: own.Snapshot, start: StartMode.Boot);
        Assert.Equal(["kept"], (await world.AskAsync("child", Web))!.Orders);
        await world.CheckAsync();
    }

    [Fact]
    public async Task Without_a_weave_the_active_one_is_meant()
    {
        await using var world = await WithLabAsync();
        await world.CreateAsync("past");
        await world.ActivateAsync("past");
        Assert.Equal("past", (await world.SnapshotAsync()).Weave.Text);
        Assert.Equal("past", (await world.SnapshotAsync("active")).Weave.Text);
        Assert.Equal("main", (await world.SnapshotAsync("main")).Weave.Text);
    }

    [Fact]
    public async Task A_clock_that_was_set_back_never_dates_a_snapshot_before_its_parent()
    {
        await using var world = await WithLabAsync();
        var first = await world.SnapshotAsync();
        world.Clock.AdjustTime(world.Now.AddHours(-1));
        var second = await world.SnapshotAsync();
        Assert.Equal(first.At.AddMilliseconds(1), second.At);
        await world.CheckAsync();
    }

    [Fact]
    public async Task A_snapshot_that_would_fill_the_pool_is_refused_with_the_numbers_before_anything_is_touched()
    {
        await using var world = await WithLabAsync();
        world.Host.FreeBytes = world.Options.ReservedBytes + (4L << 20);
        var error = await world.UndoneAsync(w => w.SnapshotAsync(new(Lab, null, null, true, false), Me, default));
        Assert.Equal(Fault.Exhausted, error.Fault);
        Assert.Contains("5 MiB", error.Message);
        Assert.Contains("516 MiB free", error.Message);
        await world.CheckAsync();
        await world.SnapshotAsync(memory: false);
    }

    [Fact]
    public async Task A_disk_that_something_else_moved_is_never_frozen_as_ours()
    {
        await using var world = await WithLabAsync();
        await world.SnapshotAsync();
        var machine = (await world.WeaveAsync("main")).Machines[0];
        await using var driver = new Simulator.SimulatedHypervisor(world.Host);
        await driver.DetachVolumeAsync(machine.ToRef(), "vda", TimeSpan.Zero, default);
        var error = await world.UndoneAsync(w => w.SnapshotAsync(new(Lab, null, null, true, false), Me, default));
        Assert.Equal(Fault.Conflict, error.Fault);
        Assert.Contains("no file", error.Message);
        Assert.Single(await world.SnapshotsAsync());
    }

    [Theory]
    [InlineData("")]
    [InlineData("two\nlines")]
    [InlineData("turned \u202e round")]
    public async Task A_label_is_printable(string label)
    {
        await using var world = await WithLabAsync();
        await world.RefusedAsync(Fault.InvalidRequest, w => w.SnapshotAsync(new(Lab, null, label, true, false), Me, default));
    }

    [Fact]
    public async Task A_deleted_snapshot_takes_its_memory_and_what_only_it_needed_with_it()
    {
        await using var world = await WithLabAsync();
        await world.CreateAsync("past");
        await world.OrderAsync("past", Web, "one");
        var own = await world.SnapshotAsync("past");
        await world.OrderAsync("past", Web, "two");
        var snapshots = await world.SnapshotsAsync();
        var files = snapshots.Single(s => s.Id == own.Snapshot).MemoryFiles().Except(snapshots.Where(s => s.Id != own.Snapshot).SelectMany(s => s.MemoryFiles())).ToList();
        Assert.NotEmpty(files);
        await world.DeleteSnapshotAsync(own.Snapshot);
        Assert.All(files, f => Assert.False(File.Exists(f)));
        Assert.Equal(["one", "two"], (await world.AskAsync("past", Web))!.Orders);
        await world.CheckAsync();
    }

    [Fact]
    public async Task A_snapshot_is_held_by_the_weaves_made_from_it_until_the_last_is_gone()
    {
        await using var world = await WithLabAsync();
        var origin = (await world.SnapshotAsync()).Snapshot;
        await world.CreateAsync("a", snapshot: origin);
        await world.CreateAsync("b", snapshot: origin, start: StartMode.None);
        Assert.Equal(["lab/a", "lab/b"], (await world.RefusedAsync(Fault.Conflict, w => w.DeleteSnapshotAsync(origin, Me, default))).Holders);
        await world.DeleteAsync("a");
        Assert.Equal(["lab/b"], (await world.RefusedAsync(Fault.Conflict, w => w.DeleteSnapshotAsync(origin, Me, default))).Holders);
        await world.DeleteAsync("b");
        await world.DeleteSnapshotAsync(origin);
        Assert.Empty(await world.SnapshotsAsync());
        await world.CheckAsync();
    }

    [Fact]
    public async Task Those_after_a_deleted_snapshot_follow_on_what_was_before_it()
    {
        await using var world = await WithLabAsync();
        var (a, b, c) = (await world.SnapshotAsync(), await world.SnapshotAsync(), await world.SnapshotAsync());
        await world.DeleteSnapshotAsync(b.Snapshot);
        Assert.Equal([(a.Snapshot, null), (c.Snapshot, a.Snapshot)], (await world.SnapshotsAsync()).Select(s => (s.Id, s.Parent)));
        await world.RefusedAsync(Fault.NotFound, w => w.DeleteSnapshotAsync(b.Snapshot, Me, default));
        await world.CheckAsync();
    }

    /// <summary>The second is handed in before the first runs: what holds a snapshot is looked at again when its deletion runs.</summary>
    [Fact]
    public async Task A_weave_that_was_asked_for_first_holds_its_snapshot()
    {
        await using var world = await WithLabAsync();
        var origin = (await world.SnapshotAsync()).Snapshot;
        await world.Weaver.CreateWeaveAsync(CreationOf("past", snapshot: origin), Me, default);
        var error = await world.UndoneAsync(w => w.DeleteSnapshotAsync(origin, Me, default));
        Assert.Equal(["lab/past"], error.Holders);
        await world.CheckAsync();
    }

    [Fact]
    public async Task A_snapshot_whose_deletion_was_asked_for_first_makes_no_weave()
    {
        await using var world = await WithLabAsync();
        var origin = (await world.SnapshotAsync()).Snapshot;
        await world.Weaver.DeleteSnapshotAsync(origin, Me, default);
        Assert.Equal(Fault.NotFound, (await world.UndoneAsync(w => w.CreateWeaveAsync(CreationOf("past", snapshot: origin), Me, default))).Fault);
        Assert.Equal(["main"], await world.WeaveIdsAsync());
        await world.CheckAsync();
    }

    [Fact]
    public async Task A_chain_that_would_become_too_long_is_refused_before_anything_is_touched()
    {
        await using var world = new World(new() { FirstPort = 20000, LastPort = 20009, MaxChainLength = 3 }).WithMachines();
        await world.AdoptAsync();
        await world.SnapshotAsync(memory: false);
        await world.SnapshotAsync(memory: false);
        var refusal = await world.UndoneAsync(w => w.SnapshotAsync(new(Lab, null, null, false, false), Me, default));
        Assert.Equal(Fault.Exhausted, refusal.Fault);
        Assert.Contains("weave compact lab", refusal.NextStep);
        Assert.Equal(2, (await world.SnapshotsAsync()).Count);
        await world.CheckAsync();
    }
}
