using System.Diagnostics;
using WeaveHypervisor.Benchmarks.Hosts;
using WeaveHypervisor.Benchmarks.Reporting;
using WeaveHypervisor.Disks;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Benchmarks.Figures;

/// <summary>P8: which layer answers for which range of a large, fragmented disk, beside qemu-img.</summary>
internal sealed class AllocationMap : IFigure
{
    public string Id => "P8";
    public string Goal => "full allocation map of a fragmented 100 GiB image ≥ 10× faster, identical extents";

    public async Task<IReadOnlyList<Row>> MeasureAsync(Bench bench, CancellationToken stop)
    {
        var path = Path.Combine(bench.Folder, "fragmented.qcow2");
        DiskFiles.WriteFragmented(path);
        (await Shell.RunAsync("qemu-img", ["check", "-q", path], stop)).Succeeded();
        var extents = await CompareAsync(path, bench.Folder, stop);
        var rows = new List<Row>();
        foreach (var cold in (bool[])[false, true])
        {
            List<double> library = [], command = [], theirs = [];
            // The first turn is not counted: it compiles the code, and warms the cache.
            for (var turn = -1; turn < bench.Repetitions; turn++)
            {
                List<Func<Task>> sides =
                [
                    async () => Keep(library, turn, await MapAsync(path, stop)),
                    async () => Keep(theirs, turn, await DiskFiles.TimeAsync("qemu-img", ["map", "--output=json", "-f", "qcow2", path], stop)),
                ];
                if (DiskFiles.Command is { } weave) sides.Add(async () => Keep(command, turn, await DiskFiles.TimeAsync(weave, ["disk", "map", "--json", path], stop)));
                if (turn % 2 != 0) sides.Reverse();
                foreach (var side in sides)
                {
                    if (cold) DiskFiles.Forget(path);
                    await side();
                }
            }
            var (mine, other) = (new Samples(library), new Samples(theirs));
            var state = cold ? "file not in the page cache" : "page cache warm";
            rows.Add(new($"map of {extents} extents, the library, {state}", "ms", mine, "qemu-img map --output=json", other, Check.Faster(mine, other, 10), "all extents in this process; theirs is a program that writes text, which goes nowhere; same extents"));
            if (command.Count > 0) rows.Add(new($"the same, weave disk map --json, {state}", "ms", new(command), "qemu-img map --output=json", other, null, "whole runs of both programs, same text"));
        }
        return rows;
    }

    private static void Keep(List<double> values, int turn, double value)
    {
        if (turn >= 0) values.Add(value);
    }

    private static async Task<double> MapAsync(string path, CancellationToken stop)
    {
        var clock = Stopwatch.StartNew();
        await using var chain = await DiskChain.OpenAsync(path, DiskFormat.Qcow2, new FolderLocator(path), stop);
        long end = 0;
        await foreach (var batch in chain.ExtentBatchesAsync(0, chain.Capacity, 1, stop)) end = batch.Span[^1].End;
        return end == chain.Capacity ? clock.Elapsed.TotalMilliseconds : throw new InvalidOperationException("The map is not whole.");
    }

    /// <summary>The text of both maps is the same; the number of extents.</summary>
    private static async Task<long> CompareAsync(string path, string folder, CancellationToken stop)
    {
        var (ours, theirs) = (Path.Combine(folder, "ours.json"), Path.Combine(folder, "theirs.json"));
        (await Shell.RunAsync("/bin/sh", ["-c", "exec qemu-img map --output=json -f qcow2 \"$0\" > \"$1\"", path, theirs], stop)).Succeeded();
        await using (var to = File.Create(ours))
        {
            var console = new Service.Disks.DiskConsole { Out = TextWriter.Null, Error = TextWriter.Null, Raw = to };
            if (await Service.Disks.DiskCommand.RunAsync(["map", "--json", "--", path], console, stop) != 0) throw new InvalidOperationException("The map cannot be read.");
        }
        (await Shell.RunAsync("cmp", [ours, theirs], stop)).Succeeded();
        long lines = 0;
        await foreach (var _ in File.ReadLinesAsync(theirs, stop)) lines++;
        File.Delete(ours);
        File.Delete(theirs);
        return lines;
    }
}

/// <summary>P9: in what two siblings differ of which one per cent was written, beside qemu-img.</summary>
internal sealed class SiblingDifference : IFigure
{
    private const int Cluster = 65536;

    public string Id => "P9";
    public string Goal => "diff of sibling chains with 1 % changed ≥ 20× faster, reading ≤ 1.1 × (metadata + changed clusters)";

    public async Task<IReadOnlyList<Row>> MeasureAsync(Bench bench, CancellationToken stop)
    {
        var length = (bench.Quick ? 1L : 4) << 30;
        string At(string name) => Path.Combine(bench.Folder, name);
        DiskFiles.WritePatterned(At("base.raw"), length);
        (await Shell.RunAsync("qemu-img", ["create", "-q", "-f", "qcow2", "-F", "raw", "-b", At("base.raw"), At("left.qcow2")], stop)).Succeeded();
        await DiskFiles.WriteOverlayAsync(At("right.qcow2"), At("base.raw"), length, 9, changed: false, stop);
        await DiskFiles.WriteOverlayAsync(At("changed.qcow2"), At("base.raw"), length, 9, changed: true, stop);
        string[] files = [At("base.raw"), At("left.qcow2"), At("right.qcow2"), At("changed.qcow2")];
        var rows = new List<Row>();
        foreach (var cold in (bool[])[false, true])
        {
            List<double> library = [], command = [], theirs = [], changed = [];
            DifferenceResult? result = null;
            for (var turn = -1; turn < bench.Repetitions; turn++)
            {
                List<Func<Task>> sides =
                [
                    async () => { var (ms, found) = await DiffAsync(At("left.qcow2"), At("right.qcow2"), stop); result = found; if (turn >= 0) library.Add(ms); },
                    async () => { var (ms, _) = await DiffAsync(At("left.qcow2"), At("changed.qcow2"), stop); if (turn >= 0) changed.Add(ms); },
                    // It ends at the first difference, with 1.
                    async () => { var ms = await DiskFiles.TimeAsync("qemu-img", ["compare", "-f", "qcow2", "-F", "qcow2", At("left.qcow2"), At("right.qcow2")], stop, 1); if (turn >= 0) theirs.Add(ms); },
                ];
                if (DiskFiles.Command is { } weave) sides.Add(async () => { var ms = await DiskFiles.TimeAsync(weave, ["disk", "diff", "--json", At("left.qcow2"), At("right.qcow2")], stop); if (turn >= 0) command.Add(ms); });
                if (turn % 2 != 0) sides.Reverse();
                foreach (var side in sides)
                {
                    if (cold) DiskFiles.Forget(files);
                    await side();
                }
            }
            if (result is not { RangeCount: 1 } || result.DifferentBytes != Cluster) throw new InvalidOperationException("The one cluster that differs was not found.");
            var (mine, other) = (new Samples(library), new Samples(theirs));
            var state = cold ? "files not in the page cache" : "page cache warm";
            rows.Add(new($"siblings of {length >> 30} GiB, 1 % written, the library, {state}", "ms", mine, "qemu-img compare", other, Check.Faster(mine, other, 20),
                "written with the bytes that were there, but for the last cluster: qemu-img compare ends at the first difference"));
            rows.Add(new($"the same with every byte changed, the library, {state}", "ms", new(changed)));
            if (command.Count > 0) rows.Add(new($"the same, weave disk diff --json, {state}", "ms", new(command), "qemu-img compare", other, null, "whole runs of both programs"));
            if (!cold) rows.Add(Read(result, length));
        }
        return rows;
    }

    /// <summary>Both sides of every candidate must be read to be compared. Metadata: header, L1 table, refcounts and L2 tables of two overlays, a cluster each, one L2 table for each 512 MiB.</summary>
    private static Row Read(DifferenceResult result, long length)
    {
        var needed = 2 * result.ComparedBytes + 2 * (3 + length / (512L << 20)) * Cluster;
        return new("bytes read by that comparison", "MiB", Samples.Of(result.BytesRead / 1048576.0), "metadata, and both sides of the written clusters", Samples.Of(needed / 1048576.0), new("read / needed", (double)result.BytesRead / needed, Sense.AtMost, 1.1));
    }

    private static async Task<(double Ms, DifferenceResult Result)> DiffAsync(string left, string right, CancellationToken stop)
    {
        var clock = Stopwatch.StartNew();
        await using var one = await DiskChain.OpenAsync(left, DiskFormat.Qcow2, new FolderLocator(left), stop);
        await using var two = await DiskChain.OpenAsync(right, DiskFormat.Qcow2, new FolderLocator(right), stop);
        var result = await DiskDifference.CompareAsync(one, two, new(), null, stop);
        return (clock.Elapsed.TotalMilliseconds, result);
    }
}
