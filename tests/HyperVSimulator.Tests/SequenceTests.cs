using WeaveHypervisor.Disks;
using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Cim.Wrappers;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.HyperV.Simulator.Tests;

/// <summary>Random sequences of what is done to a machine, against a model of what its disk holds and what its guest remembers.</summary>
public sealed class SequenceTests(ITestOutputHelper output)
{
    private const int Sequences = 4, Steps = 14;

    [Fact]
    public async Task Whatever_is_done_to_a_machine_its_disk_and_its_memory_are_those_of_the_moment()
    {
        var seed = Environment.TickCount;
        output.WriteLine($"seed {seed}");
        for (var i = 0; i < Sequences; i++) await RunAsync(new Random(seed + i), seed + i);
    }

    private sealed record Moment(byte Disk, Guid? Boot);

    private static async Task RunAsync(Random random, int seed)
    {
        using var bench = new Bench(new() { Seed = seed });
        var id = await bench.MachineAsync();
        byte disk = 0;
        Guid? boot = bench.Host.Guest(id)!.Boot, saved = null;
        var points = new Dictionary<CimPath, Moment>();
        var done = new List<string>();
        async Task PowerAsync(ushort state)
        {
            done.Add($"state {state}");
            await bench.PowerAsync(id, state);
        }
        for (var step = 0; step < Steps; step++)
        {
            var state = bench.Host.StateOf(id);
            var point = points.Count > 0 ? points.Keys.ElementAt(random.Next(points.Count)) : null;
            switch (random.Next(8))
            {
                case 0 or 1 when state == 2:
                    done.Add($"write {++disk}");
                    bench.Host.WriteAsGuest(id, 0, 4096, [disk]);
                    break;
                case 2 or 3 when points.Count < 4:
                    done.Add("checkpoint");
                    points.Add((await bench.CheckAsync(id)).Reference, new(disk, state == 6 ? saved : boot));
                    break;
                case 4 when point is not null:
                    done.Add("destroy");
                    await bench.RunAsync(await bench.Sns, VirtualSystemSnapshotService.DestroySnapshot(affectedSnapshot: point));
                    points.Remove(point);
                    if (random.Next(2) == 0) bench.Wait(10);
                    break;
                case 5 when point is not null:
                    if (state is not (3 or 6)) await PowerAsync(3);
                    done.Add("apply");
                    await bench.RunAsync(await bench.Sns, VirtualSystemSnapshotService.ApplySnapshot(snapshot: point));
                    (disk, saved, boot) = (points[point].Disk, points[point].Boot, null);
                    break;
                case 6 when state == 2:
                    await PowerAsync(6);
                    (saved, boot) = (boot, null);
                    break;
                case 7 when state == 2:
                    await PowerAsync(3);
                    (saved, boot) = (null, null);
                    break;
                default:
                    if (state is not (3 or 6)) break;
                    await PowerAsync(2);
                    var guest = bench.Host.Guest(id)!;
                    if (saved is { } resumed) Assert.True(guest.Boot == resumed && !guest.IsCorrupt, $"seed {seed}: {string.Join(", ", done)}");
                    (boot, saved) = (guest.Boot, null);
                    break;
            }
            Assert.True(bench.Host.ReadDisk(id, 0, 4096, 1)[0] == disk, $"seed {seed}: {string.Join(", ", done)}");
        }
        if (bench.Host.StateOf(id) == 2) await PowerAsync(3);
        bench.Wait(30);
        foreach (var file in (await bench.Host.Files.ListAsync(bench.Host.DiskFolder, true, Bench.Stop)).Where(f => !f.IsFolder))
        {
            await using var chain = await DiskChain.OpenAsync(bench.Host.RealPath(file.Path), DiskFormat.Vhdx, new FolderLocator(bench.Host.RealPath(file.Path)), Bench.Stop);
            Assert.Equal(0, (await chain.CheckAsync(0, null, Bench.Stop)).Errors);
        }
    }
}
