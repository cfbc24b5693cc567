using WeaveHypervisor.Model;
using WeaveHypervisor.Weaving.Tests.Worlds;
using WeaveHypervisor.Weaving.Volumes;
using static WeaveHypervisor.Weaving.Tests.Worlds.World;

namespace WeaveHypervisor.Weaving.Tests.Volumes;

public sealed class DiffTests
{
    private const long Block = 4096;
    private static readonly VolumeId Data = VolumeId.Parse("db/data");

    private static Task<IReadOnlyList<VolumeDiff>> DiffAsync(World world, string left, string right, VolumeId? volume = null) =>
        world.Weaver.DiffVolumesAsync(new(Lab, left, right, volume, 0, 100), null, default);

    [Fact]
    public async Task Moments_of_one_line_differ_by_what_was_written_between_them_and_nothing_is_changed_by_the_look()
    {
        await using var world = await WithLabAsync();
        await world.SnapshotAsync();
        await world.WriteAsync("main", Data, 5, 'a');
        await world.SnapshotAsync(memory: false);
        await world.WriteAsync("main", Data, 9, 'b');
        var points = (await world.SnapshotsAsync()).Select(s => s.Id.Text).ToList();
        var before = await world.PictureAsync();
        var diff = (await DiffAsync(world, points[0], points[1], Data)).Single();
        Assert.Equal([new RangeFound(5 * Block, Block, ChangedBy.Right)], diff.Ranges);
        Assert.Empty(diff.Unseen);
        // A weave that runs is its newest point, and what came after that is told to be missing.
        var now = (await DiffAsync(world, points[0], "main", Data)).Single();
        Assert.Equal(diff.Ranges, now.Ranges);
        Assert.Contains(points[1], Assert.Single(now.Unseen), StringComparison.Ordinal);
        await world.PowerAsync("main", WeavePower.PowerOff);
        var off = (await DiffAsync(world, "active", points[0], Data)).Single();
        Assert.Equal([new RangeFound(5 * Block, Block, ChangedBy.Left), new RangeFound(9 * Block, Block, ChangedBy.Left)], off.Ranges);
        Assert.Empty(off.Unseen);
        await world.PowerAsync("main", WeavePower.Start);
        Assert.Equal(["db/data", "db/vda", "web/vda"], (await DiffAsync(world, points[0], points[1])).Select(d => d.Volume.ToString()).Order());
        Assert.Equal(before.Split('\n').Where(l => l.StartsWith("holds", StringComparison.Ordinal)), (await world.PictureAsync()).Split('\n').Where(l => l.StartsWith("holds", StringComparison.Ordinal)));
        await world.CheckAsync();
    }

    [Fact]
    public async Task What_is_not_there_or_cannot_be_looked_at_yet_is_refused_with_a_way_out()
    {
        await using var world = await WithLabAsync();
        async Task RefusedAsync(Fault fault, string says, string left, string right, VolumeId? volume = null)
        {
            var e = await Assert.ThrowsAsync<WeaveException>(() => DiffAsync(world, left, right, volume));
            Assert.Equal(fault, e.Fault);
            Assert.Contains(says, e.NextStep, StringComparison.Ordinal);
        }
        await RefusedAsync(Fault.Conflict, "--now", "main", "main");
        await world.SnapshotAsync();
        await RefusedAsync(Fault.NotFound, "weave list", "main", "nowhere");
        await RefusedAsync(Fault.NotFound, "weave timeline", SnapshotId.New(world.Clock).Text, "main");
        await RefusedAsync(Fault.NotFound, "db/data", "main", "main", VolumeId.Parse("db/other"));
        Assert.All(await DiffAsync(world, "main", "main"), d => Assert.Equal(0, d.Totals.Bytes));
    }
}
