using WeaveHypervisor.Model;
using WeaveHypervisor.Weaving.Tests.Worlds;
using static WeaveHypervisor.Weaving.Tests.Worlds.World;

namespace WeaveHypervisor.Weaving.Tests.Compaction;

public sealed class CompactionTests
{
    [Fact]
    public async Task Layers_that_nobody_needs_are_merged_and_every_point_holds_what_it_held()
    {
        await using var world = await WithLabAsync();
        var expected = new Dictionary<SnapshotId, string>();
        for (var i = 0; i < 5; i++)
        {
            await world.OrderAsync("main", Web, $"o{i}");
            await world.SnapshotAsync(memory: false);
        }
        foreach (var s in await world.SnapshotsAsync()) expected[s.Id] = await world.HoldsAsync(s);
        var all = await world.SnapshotsAsync();
        foreach (var gone in (int[])[1, 2, 3]) await world.DeleteSnapshotAsync(all[gone].Id);
        // Adopted, three that are free, one that is pinned, the live one; of each of three disks.
        Assert.Equal(6, await world.LongestAsync());
        var preview = await world.Weaver.PreviewCompactionAsync(Lab, default);
        Assert.Equal(3, preview.Folds.Count);
        var result = await world.CompactAsync();
        Assert.Equal((9, 0, 6, 3), (result.LayersMerged, result.Pulls, result.LongestBefore, result.LongestAfter));
        foreach (var s in await world.SnapshotsAsync()) Assert.Equal(expected[s.Id], await world.HoldsAsync(s));
        Assert.Equal((await world.AskAsync("main", Web))!.Orders, ["o0", "o1", "o2", "o3", "o4"]);
        await world.CheckAsync();
        Assert.Equal(0, (await world.CompactAsync()).LayersMerged);
    }

    [Fact]
    public async Task A_layer_that_several_running_machines_have_open_is_left_until_one_is_gone()
    {
        await using var world = await WithLabAsync();
        for (var i = 0; i < 3; i++)
        {
            await world.OrderAsync("main", Web, $"o{i}");
            await world.SnapshotAsync(memory: false);
        }
        var all = await world.SnapshotsAsync();
        await world.CreateAsync("copy", snapshot: all[2].Id, start: StartMode.Boot);
        await world.DeleteSnapshotAsync(all[1].Id);
        var result = await world.CompactAsync();
        Assert.Equal(0, result.LayersMerged);
        Assert.Equal(3, result.InUse.Count);
        Assert.Contains("weave.lab.copy.web", result.InUse[0] + result.InUse[1] + result.InUse[2], StringComparison.Ordinal);
        await world.PowerAsync("copy", WeavePower.Stop);
        Assert.Equal(3, (await world.CompactAsync()).LayersMerged);
        await world.PowerAsync("copy", WeavePower.Start);
        Assert.Equal(["o0", "o1", "o2"], (await world.AskAsync("copy", Web))!.Orders);
        await world.CheckAsync();
    }

    [Fact]
    public async Task Where_every_layer_is_needed_the_live_head_takes_what_lies_below_it()
    {
        await using var world = await WithLabAsync();
        for (var i = 0; i < 12; i++)
        {
            await world.OrderAsync("main", Web, $"o{i}");
            await world.SnapshotAsync(memory: false);
            await world.LookAsync();
            Assert.True(await world.LongestAsync() <= world.Options.CompactAt, $"{await world.LongestAsync()} layers after {i} points");
        }
        var number = 0;
        foreach (var s in await world.SnapshotsAsync())
            Assert.StartsWith($"web/vda {string.Join(",", Enumerable.Range(0, ++number).Select(i => $"o{i}"))};", await world.HoldsAsync(s), StringComparison.Ordinal);
        await world.CheckAsync();
        await world.SucceedAsync(w => w.ReleaseAsync(Lab, false, Me, default), WeavingJson.Default.ReleaseResult);
        Assert.Equal(Enumerable.Range(0, 12).Select(i => $"o{i}"), world.Host.Ask("10.20.0.10")!.Orders);
    }

    [Fact]
    public async Task A_policy_of_many_points_keeps_chains_short_and_points_as_they_were()
    {
        await using var world = await WithLabAsync();
        await world.PolicyAsync(new() { Every = TimeSpan.FromSeconds(10), KeepLast = 4, Memory = false });
        var expected = new Dictionary<SnapshotId, string>();
        for (var i = 0; i < 40; i++)
        {
            await world.OrderAsync("main", Web, $"o{i}");
            await world.LookAsync();
            var newest = (await world.SnapshotsAsync())[^1];
            expected[newest.Id] = await world.HoldsAsync(newest);
            Assert.True(await world.LongestAsync() <= world.Options.CompactAt, $"{await world.LongestAsync()} layers after {i} points");
            foreach (var s in await world.SnapshotsAsync()) Assert.Equal(expected[s.Id], await world.HoldsAsync(s));
            world.Clock.Advance(TimeSpan.FromSeconds(10));
        }
        Assert.Equal(40, expected.Count);
        Assert.InRange((await world.SnapshotsAsync()).Count, 4, 5);
        await world.CheckAsync();
    }

    [Fact]
    public async Task A_fold_for_which_there_is_no_room_is_refused_with_the_numbers()
    {
        await using var world = await WithLabAsync();
        for (var i = 0; i < 3; i++) await world.SnapshotAsync(memory: false);
        await world.DeleteSnapshotAsync((await world.SnapshotsAsync())[1].Id);
        world.Host.FreeBytes = world.Options.ReservedBytes;
        var error = await world.UndoneAsync(w => w.CompactAsync(Lab, Me, default));
        Assert.Equal(Fault.Exhausted, error.Fault);
        Assert.Contains("merge 1 layer of", error.Message, StringComparison.Ordinal);
        await world.CheckAsync();
    }

    /// <summary>Whatever is done in whatever order, points and weaves hold what was written to them.</summary>
    [Theory]
    [InlineData(1), InlineData(2), InlineData(3)]
    public async Task No_content_changes_by_any_sequence_of_work(int seed)
    {
        await using var world = await WithLabAsync();
        var random = new Random(seed);
        var (points, lines) = (new Dictionary<SnapshotId, string>(), new Dictionary<string, List<string>> { ["main"] = [] });
        var history = new List<string>();
        for (var step = 0; step < 60; step++)
        {
            var weaves = await world.Store.ListWeavesAsync(Lab, default);
            var snapshots = await world.SnapshotsAsync();
            var weave = weaves[random.Next(weaves.Count)];
            var name = weave.Id.Text;
            switch (random.Next(10))
            {
                case 0 or 1 or 2 when weave.State == WeaveState.Running:
                    await world.OrderAsync(name, Web, $"o{step}");
                    lines[name].Add($"o{step}");
                    break;
                case 3 or 4 or 5:
                    var taken = await world.SnapshotAsync(name, memory: false);
                    points[taken.Snapshot] = string.Join(",", lines[name]);
                    break;
                case 6 when snapshots.Count > 0 && weaves.Count < 4:
                    var origin = snapshots[random.Next(snapshots.Count)];
                    var id = $"w{step}";
                    await world.CreateAsync(id, snapshot: origin.Id, start: StartMode.Boot);
                    lines[id] = [.. points[origin.Id].Split(',', StringSplitOptions.RemoveEmptyEntries)];
                    break;
                case 7 when snapshots.Count > 1:
                    var gone = snapshots[random.Next(snapshots.Count)];
                    if (weaves.All(w => w.Origin != gone.Id)) await world.DeleteSnapshotAsync(gone.Id);
                    break;
                case 8:
                    await world.PowerAsync(name, weave.State == WeaveState.Running ? WeavePower.PowerOff : WeavePower.Start);
                    break;
                case 9 when !weave.IsMain && random.Next(2) == 0:
                    if (weaves.All(w => w.Origin is not { } o || snapshots.First(s => s.Id == o).Weave != weave.Id)) await world.DeleteAsync(name, withSnapshots: true);
                    break;
                default:
                    history.Add($"{step}: {(await world.CompactAsync()).LayersMerged} merged");
                    break;
            }
            foreach (var s in await world.SnapshotsAsync())
                Assert.True($"web/vda {points[s.Id]}" == (await world.HoldsAsync(s)).Split("; ")[0], $"seed {seed}, step {step}: {s.Id} should hold {points[s.Id]}, and holds {await world.HoldsAsync(s)}. {string.Join(", ", history)}");
            foreach (var w in await world.Store.ListWeavesAsync(Lab, default))
                Assert.True($"web/vda {string.Join(",", lines[w.Id.Text])}" == (await world.HoldsAsync(w)).Split("; ")[0], $"seed {seed}, step {step}: {w.Id} holds {await world.HoldsAsync(w)}");
            await world.CheckAsync();
        }
        await world.SucceedAsync(w => w.ReleaseAsync(Lab, true, Me, default), WeavingJson.Default.ReleaseResult);
        Assert.Equal(lines["main"], world.Host.ReadDisk(Path.Combine(world.Host.UserFolder, "web-vda.raw")));
    }
}
