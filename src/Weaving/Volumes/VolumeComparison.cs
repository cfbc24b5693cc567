using WeaveHypervisor.Disks;
using WeaveHypervisor.Disks.Chains;
using WeaveHypervisor.Model;
using WeaveHypervisor.Weaving.Retention;

namespace WeaveHypervisor.Weaving.Volumes;

/// <summary>What the disks of one environment read as, from their files alone: images name their parents, and only layers that the store knows are opened.</summary>
internal sealed class VolumeReader(IReadOnlyDictionary<LayerId, Layer> layers)
{
    /// <summary>Bytes that count as one where disks are compared.</summary>
    public const int Step = 4096;
    /// <summary>The least that a disk writes at once: two sides that have each written to one of these have both changed it.</summary>
    public const int Sector = 512;

    private readonly Dictionary<string, LayerId> _ids = layers.Values.ToDictionary(l => l.Path, l => l.Id, StringComparer.Ordinal);

    public async ValueTask<DiskChain> OpenAsync(Layer top, CancellationToken stop)
    {
        var chain = Chains.From(top.Id, layers);
        var known = chain.ToDictionary(l => l.Path, l => l.Format, StringComparer.Ordinal);
        // The user's own file may stand on files of his.
        if (chain[^1] is { Adopted: true } adopted)
            foreach (var (path, format) in await BelowAsync(adopted, stop)) known.TryAdd(path, format);
        return await DiskChain.OpenAsync(top.Path, top.Format, new CatalogueLocator(known), stop);
    }

    /// <summary>Files that the user's own file stands on; of VHDX files those beside it.</summary>
    private static async ValueTask<IReadOnlyList<(string Path, DiskFormat Format)>> BelowAsync(Layer adopted, CancellationToken stop)
    {
        if (adopted.Format != DiskFormat.Vhdx) return [.. DiskChainInspector.Inspect(adopted.Path, adopted.Format).Skip(1).Select(f => (f.Path, f.Format))];
        await using var own = await DiskChain.OpenAsync(adopted.Path, adopted.Format, new FolderLocator(adopted.Path), stop);
        return [.. own.Layers.Skip(1).Select(l => (l.Path, adopted.Format))];
    }

    public LayerId? IdOf(string? path) => path is not null && _ids.TryGetValue(path, out var id) ? id : null;

    /// <summary>
    /// Compares two disks; <paramref name="found"/> gets every range that differs, ascending, in steps of <paramref name="granularity"/> bytes. Conflict where somebody writes to a file of theirs
    /// meanwhile, or where their sizes differ.
    /// </summary>
    public async Task<DifferenceTotals> CompareAsync(Layer left, Layer right, int granularity, Action<RangeFound> found, IProgress<(long Done, long Total)>? progress, CancellationToken stop)
    {
        if (left.VirtualSize != right.VirtualSize)
            throw new WeaveException(Fault.Conflict, $"The two disks have different sizes, {left.VirtualSize} and {right.VirtualSize} bytes.", "Compare disks of one size.");
        await using var a = await OpenAsync(left, stop);
        await using var b = await OpenAsync(right, stop);
        var picture = new DifferencePicture(left.VirtualSize);
        var difference = await DiskDifference.CompareAsync(a, b, new DifferenceOptions { Granularity = granularity }, progress is null ? null : new Relay(progress), stop);
        foreach (var range in difference.Ranges)
        {
            picture.Add(range.Offset, range.Length);
            found(new(range.Offset, range.Length, range.Side switch { DifferenceSide.LeftOnly => ChangedBy.Left, DifferenceSide.RightOnly => ChangedBy.Right, _ => ChangedBy.Both }));
        }
        var common = difference.CommonLayer?.Path;
        return new(left.VirtualSize, difference.LeftOnlyBytes, difference.RightOnlyBytes, difference.BothBytes, difference.RangeCount, IdOf(common), difference.BytesRead,
            common is null ? "all bytes, because there is no common layer" : "what is allocated above the common layer", picture.ToString());
    }

    private sealed class Relay(IProgress<(long, long)> progress) : IProgress<DifferenceProgress>
    {
        public void Report(DifferenceProgress value) => progress.Report((value.Position, value.Capacity));
    }
}

/// <summary>How much of each of 64 equal stretches of a disk differs, a digit each.</summary>
internal sealed class DifferencePicture(long capacity)
{
    public const int Cells = 64;
    private readonly long[] _bytes = new long[Cells];

    public void Add(long offset, long length)
    {
        for (var at = offset; at < offset + length;)
        {
            var cell = CellOf(at);
            var end = Math.Min(offset + length, BeginOf(cell + 1));
            _bytes[cell] += end - at;
            at = end;
        }
    }

    private int CellOf(long offset)
    {
        var cell = (int)Int128.Min(Cells - 1, (Int128)offset * Cells / capacity);
        // Integer division may put the boundary one cell too early.
        while (BeginOf(cell + 1) <= offset) cell++;
        return cell;
    }

    private long BeginOf(int cell) => cell >= Cells ? capacity : (long)((Int128)capacity * cell / Cells);

    public override string ToString() => string.Concat(Enumerable.Range(0, Cells).Select(Digit));

    /// <summary>0 only where nothing differs, 8 where all does, or nearly.</summary>
    private char Digit(int cell) => _bytes[cell] == 0 ? '0' : (char)('0' + Math.Clamp((int)((Int128)_bytes[cell] * 8 / (BeginOf(cell + 1) - BeginOf(cell))), 1, 8));
}
