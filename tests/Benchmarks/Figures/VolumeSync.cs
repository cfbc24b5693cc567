using System.Diagnostics;
using System.Security.Cryptography;
using WeaveHypervisor.Benchmarks.Hosts;
using WeaveHypervisor.Benchmarks.Reporting;
using WeaveHypervisor.Disks;
using WeaveHypervisor.Disks.Qcow2;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Benchmarks.Figures;

/// <summary>
/// P10: a disk becomes what a sibling is, of which 1 % has changed: found and copied as a sync with a copy does it (the work on files alone: no machine is captured or switched), beside what copies
/// all of it, or reads all of it to find out. The result is compared by hash.
/// </summary>
internal sealed class VolumeSync : IFigure
{
    private const int Cluster = 64 << 10;

    public string Id => "P10";
    public string Goal => "sync of 1 % of a disk ≥ 10× faster than qemu-img convert and rsync --inplace, verified by hash";

    public async Task<IReadOnlyList<Row>> MeasureAsync(Bench bench, CancellationToken stop)
    {
        var size = (bench.Quick ? 1L : 4L) << 30;
        string In(string name) => Path.Combine(bench.Folder, name);
        var (below, source, destination) = (In("base.qcow2"), In("source.qcow2"), In("destination.qcow2"));
        bench.Log($"a disk of {size >> 30} GiB, and two siblings of which 1 % has changed");
        var clusters = (int)(size / Cluster);
        await WriteAsync(below, new(size), Enumerable.Range(0, clusters), 1);
        foreach (var (path, seed) in ((string, int)[])[(source, 2), (destination, 3)])
        {
            var random = new Random(seed);
            await WriteAsync(path, new(size, below), Enumerable.Range(0, clusters / 100).Select(_ => random.Next(clusters)).Distinct().Order(), seed);
        }
        (await Shell.RunAsync("qemu-img", ["convert", "-f", "qcow2", "-O", "raw", source, In("source.raw")], stop)).Succeeded();
        (await Shell.RunAsync("qemu-img", ["convert", "-f", "qcow2", "-O", "raw", destination, In("destination.raw")], stop)).Succeeded();

        var rsync = File.Exists("/usr/bin/rsync");
        List<double> ours = [], converted = [], copied = [];
        long bytes = 0;
        for (var turn = 0; turn < bench.Repetitions; turn++)
        {
            var result = In($"result-{turn}.qcow2");
            var clock = Stopwatch.StartNew();
            bytes = await SyncAsync(source, destination, result, size, stop);
            ours.Add(clock.Elapsed.TotalMilliseconds);
            if (await HashAsync(result) != await HashAsync(source)) throw new InvalidOperationException("the result does not read as the source");
            (await Shell.RunAsync("qemu-img", ["check", "-q", result], stop)).Succeeded();
            File.Delete(result);

            clock.Restart();
            (await Shell.RunAsync("qemu-img", ["convert", "-f", "qcow2", "-O", "qcow2", source, In("converted.qcow2")], stop)).Succeeded();
            (await Shell.RunAsync("sync", [In("converted.qcow2")], stop)).Succeeded();
            converted.Add(clock.Elapsed.TotalMilliseconds);
            File.Delete(In("converted.qcow2"));
            if (!rsync) continue;
            File.Copy(In("destination.raw"), In("target.raw"), overwrite: true);
            (await Shell.RunAsync("sync", [In("target.raw")], stop)).Succeeded();
            clock.Restart();
            (await Shell.RunAsync("rsync", ["--inplace", "--no-whole-file", "--ignore-times", In("source.raw"), In("target.raw")], stop)).Succeeded();
            (await Shell.RunAsync("sync", [In("target.raw")], stop)).Succeeded();
            copied.Add(clock.Elapsed.TotalMilliseconds);
        }
        Samples mine = new(ours), convert = new(converted);
        var name = $"sync of a disk of {size >> 30} GiB, 1 % changed on either side";
        var note = $"{bytes >> 20} MiB copied; synced to disk on every side; equal by SHA-256 and clean in qemu-img check each time; files alone";
        var rows = new List<Row> { new(name, "ms", mine, "qemu-img convert", convert, Check.Faster(mine, convert, 10), note) };
        if (rsync) rows.Add(new(name, "ms", mine, "rsync --inplace", new(copied), Check.Faster(mine, new(copied), 10), note));
        return rows;
    }

    private static async Task<long> SyncAsync(string source, string destination, string result, long size, CancellationToken stop)
    {
        await using var left = await OpenAsync(source, stop);
        await using var right = await OpenAsync(destination, stop);
        var found = await DiskDifference.CompareAsync(left, right, new(), null, stop);
        await Qcow2Writer.WriteAsync(result, new(size, destination), found.Ranges.Select(r => new DiskRange(r.Offset, r.Length)).ToAsyncEnumerable(), left.ReadAsync, right.ReadAsync, null, stop);
        return found.DifferentBytes;
    }

    private static async Task<string> HashAsync(string path)
    {
        await using var chain = await OpenAsync(path, default);
        await using var stream = chain.AsStream();
        return Convert.ToHexStringLower(await SHA256.HashDataAsync(stream));
    }

    private static ValueTask<DiskChain> OpenAsync(string path, CancellationToken stop) =>
        DiskChain.OpenAsync(path, DiskFormat.Qcow2, new CatalogueLocator(Directory.EnumerateFiles(Path.GetDirectoryName(path)!, "*.qcow2").ToDictionary(f => f, _ => DiskFormat.Qcow2)), stop);

    /// <summary>An image with those clusters filled at random; equal seeds make equal clusters.</summary>
    private static async Task WriteAsync(string path, Qcow2Shape shape, IEnumerable<int> clusters, int seed) =>
        await Qcow2Writer.WriteAsync(path, shape, clusters.Select(c => new DiskRange((long)c * Cluster, Cluster)).ToAsyncEnumerable(), (offset, into, _) =>
        {
            for (var at = 0; at < into.Length; at += Cluster) new Random(seed ^ (int)((offset + at) / Cluster)).NextBytes(into.Span.Slice(at, Math.Min(Cluster, into.Length - at)));
            return ValueTask.CompletedTask;
        }, null, null, default);
}
