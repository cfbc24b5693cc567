using WeaveHypervisor.Model;
using WeaveHypervisor.Weaving.Tests.Worlds;
using static WeaveHypervisor.Weaving.Tests.Worlds.World;

namespace WeaveHypervisor.Weaving.Tests.Retention;

/// <summary>Flat memory files that several images share: made by one snapshot, needed by others, removed with the last.</summary>
public sealed class BaseTests
{
    private static async Task<MemoryImage> ImageAsync(World world, SnapshotId snapshot) => (await world.SnapshotsAsync()).Single(s => s.Id == snapshot).Machines.Single(m => m.Name == Web).Memory!;

    [Fact]
    public async Task A_further_snapshot_of_a_machine_stores_only_what_differs_from_the_base_before()
    {
        await using var world = await WithLabAsync();
        var (first, second) = (await ImageAsync(world, (await world.SnapshotAsync()).Snapshot), await ImageAsync(world, (await world.SnapshotAsync()).Snapshot));
        Assert.Equal((false, true, first.FlatPath), (first.SharesBase, second.SharesBase, second.FlatPath));
        Assert.NotEqual(first.DeviceStatePath, second.DeviceStatePath);
        await world.CheckAsync();
    }

    [Fact]
    public async Task A_machine_that_was_booted_since_gets_a_base_of_its_own()
    {
        await using var world = await WithLabAsync();
        var first = await ImageAsync(world, (await world.SnapshotAsync()).Snapshot);
        await world.PowerAsync("main", WeavePower.PowerOff);
        await world.PowerAsync("main", WeavePower.Start);
        var second = await ImageAsync(world, (await world.SnapshotAsync()).Snapshot);
        Assert.False(second.SharesBase);
        Assert.NotEqual(first.FlatPath, second.FlatPath);
        Assert.Equal(second.FlatPath, (await ImageAsync(world, (await world.SnapshotAsync()).Snapshot)).FlatPath);
        await world.CheckAsync();
    }

    [Fact]
    public async Task A_base_outlives_the_snapshot_that_made_it_and_goes_with_the_last_that_needs_it()
    {
        await using var world = await WithLabAsync();
        var maker = (await world.SnapshotAsync()).Snapshot;
        await world.OrderAsync("main", Web, "one");
        var middle = (await world.SnapshotAsync()).Snapshot;
        await world.OrderAsync("main", Web, "two");
        var last = (await world.SnapshotAsync()).Snapshot;
        var (made, shared) = (await ImageAsync(world, maker), await ImageAsync(world, last));

        await world.DeleteSnapshotAsync(maker);
        Assert.Equal((true, false), (File.Exists(made.FlatPath), File.Exists(made.DeviceStatePath)));
        await world.CheckAsync();
        Assert.Empty((await world.Weaver.ReconcileAsync(new(RepairMode.Repair), default)).Repaired);
        await world.CreateAsync("past", snapshot: last);
        Assert.Equal(2, (await world.AskAsync("past", Web))!.Counter);

        await world.DeleteSnapshotAsync(middle);
        Assert.True(File.Exists(made.FlatPath));
        await world.DeleteAsync("past");
        await world.DeleteSnapshotAsync(last);
        Assert.False(File.Exists(made.FlatPath) || File.Exists(shared.DeviceStatePath));
        await world.CheckAsync();
    }

    [Fact]
    public async Task Weaves_of_weaves_share_the_base_of_the_first_and_keep_it_when_those_before_are_gone()
    {
        await using var world = await WithLabAsync();
        await world.CreateAsync("one");
        await world.OrderAsync("one", Web, "one");
        await world.CreateAsync("two", source: "one");
        await world.OrderAsync("two", Web, "two");
        await world.CreateAsync("three", source: "two");
        var snapshots = await world.SnapshotsAsync();
        Assert.Equal(["background", "private", "private"], snapshots.Select(s => s.Machines.Single(m => m.Name == Web).Method));
        Assert.Single(snapshots.Select(s => s.Machines.Single(m => m.Name == Web).Memory!.FlatPath).Distinct());
        Assert.Equal(2, (await world.AskAsync("three", Web))!.Counter);
        await world.CheckAsync();

        var path = (await ImageAsync(world, snapshots[0].Id)).FlatPath;
        await world.SnapshotAsync("three");
        await world.PowerAsync("three", WeavePower.PowerOff);
        await world.DeleteAsync("three", withSnapshots: true);
        await world.CreateAsync("again", snapshot: snapshots[1].Id, start: StartMode.None);
        await world.DeleteAsync("two", withSnapshots: true);
        Assert.True(File.Exists(path));
        await world.PowerAsync("again", WeavePower.Start);
        Assert.Equal(1, (await world.AskAsync("again", Web))!.Counter);
        await world.CheckAsync();
    }

    [Fact]
    public async Task A_capture_that_is_undone_never_takes_the_base_along()
    {
        await using var world = await WithLabAsync();
        var first = await ImageAsync(world, (await world.SnapshotAsync()).Snapshot);
        world.Calls.Arm(act: (_, boundary, _) => boundary == "host.capture:done" ? throw new WeaveException(Fault.Exhausted, "No space is left.", "Make some.") : Task.CompletedTask);
        Assert.Equal(Fault.Exhausted, (await world.UndoneAsync(w => w.SnapshotAsync(new(Lab, null, null, true, false), Me, default))).Fault);
        Assert.True(File.Exists(first.FlatPath));
        await world.CheckAsync();
    }

    [Fact]
    public async Task A_base_that_is_gone_is_reported_once_and_refuses_what_stands_on_it()
    {
        await using var world = await WithLabAsync();
        await world.SnapshotAsync();
        var second = await world.SnapshotAsync();
        var image = await ImageAsync(world, second.Snapshot);
        File.Delete(image.FlatPath);
        Assert.Single((await world.Weaver.ReconcileAsync(new(RepairMode.Look), default)).Findings, f => f.Text.Contains(Ids.QuotePath(image.FlatPath), StringComparison.Ordinal));
        Assert.Contains(Ids.QuotePath(image.FlatPath), (await world.UndoneAsync(w => w.CreateWeaveAsync(CreationOf("w", snapshot: second.Snapshot), Me, default))).Message);
        // The next snapshot does not build on what is gone.
        Assert.False((await ImageAsync(world, (await world.SnapshotAsync()).Snapshot)).SharesBase);
    }
}
