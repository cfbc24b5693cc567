namespace WeaveHypervisor.Disks;

/// <summary>
/// Compares two disks. What neither has written since their nearest common layer is equal without a look; of the rest, what metadata tell to be zero on both sides
/// is too. Only what remains is read. So the cost is that of the metadata above the common layer and of what was written there, never that of the disk.
/// </summary>
public static class DiskDifference
{
    /// <summary>
    /// The ranges in which the disks differ, each with the side that is not as the common ancestor has it. What both have changed to the same is no difference. Behind its end
    /// a disk counts as zeroes. Without a common layer all is compared, which <see cref="DifferenceResult.CommonLayer"/> says.
    /// Errors as of <see cref="DiskChain"/>; InvalidRequest for options out of range.
    /// </summary>
    public static async Task<DifferenceResult> CompareAsync(DiskChain left, DiskChain right, DifferenceOptions options, IProgress<DifferenceProgress>? progress, CancellationToken stop)
    {
        options.Check();
        var (leftDepth, rightDepth) = Above(left, right);
        var common = leftDepth < left.Layers.Count ? left.Layers[leftDepth] : null;
        var ancestor = common is null ? null : new DiskView([.. left.Images.Skip(leftDepth)]);
        var candidates = new Candidates(new(left.Images, leftDepth), new(right.Images, rightDepth), ancestor is null ? null : new(ancestor.Images, ancestor.Images.Count), Math.Max(left.Capacity, right.Capacity), options.Granularity);
        var (leftView, rightView) = (new DiskView(left.Images), new DiskView(right.Images));
        var totals = new Totals(options.KeepRanges);
        var readBefore = BytesRead(left, right);

        using var cancel = CancellationTokenSource.CreateLinkedTokenSource(stop);
        var running = new Queue<(DifferenceWindow Window, Task<List<DifferenceRange>> Work)>();
        try
        {
            while (await candidates.NextAsync(stop).ConfigureAwait(false) is { } window)
            {
                running.Enqueue((window, Task.Run(() => window.CompareAsync(leftView, rightView, ancestor, cancel.Token), cancel.Token)));
                if (running.Count >= options.Parallelism) await TakeAsync().ConfigureAwait(false);
            }
            while (running.Count > 0) await TakeAsync().ConfigureAwait(false);
        }
        finally
        {
            // Nothing reads on once the caller has its answer, or its error.
            await cancel.CancelAsync().ConfigureAwait(false);
            await Task.WhenAll(running.Select(r => (Task)r.Work)).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
        left.EnsureUnchanged();
        right.EnsureUnchanged();
        progress?.Report(new(candidates.Capacity, candidates.Capacity, totals.Compared));
        return totals.Result(left, right, common, BytesRead(left, right) - readBefore);

        async ValueTask TakeAsync()
        {
            var (window, work) = running.Peek();
            totals.Add(await work.ConfigureAwait(false), window.Compared);
            running.Dequeue();
            progress?.Report(new(Math.Min(window.Offset + DifferenceWindow.Size, candidates.Capacity), candidates.Capacity, totals.Compared));
        }
    }

    /// <summary>How many layers each chain has above the nearest one that both have; all where they have none.</summary>
    private static (int Left, int Right) Above(DiskChain left, DiskChain right)
    {
        var known = new Dictionary<(string, Model.DiskFormat), int>();
        for (var i = 0; i < right.Layers.Count; i++) known[(right.Layers[i].Identity, right.Layers[i].Format)] = i;
        for (var i = 0; i < left.Layers.Count; i++)
            if (known.TryGetValue((left.Layers[i].Identity, left.Layers[i].Format), out var at)) return (i, at);
        return (left.Layers.Count, right.Layers.Count);
    }

    private static long BytesRead(DiskChain left, DiskChain right) => left.Images.Sum(i => i.BytesRead) + (right == left ? 0 : right.Images.Sum(i => i.BytesRead));

    private sealed class Totals(bool keep)
    {
        private readonly List<DifferenceRange> _ranges = [];
        private readonly long[] _bytes = new long[3];
        private DifferenceRange _last;
        private long _count;

        public long Compared { get; private set; }

        public void Add(List<DifferenceRange> ranges, long compared)
        {
            Compared += compared;
            foreach (var range in ranges)
            {
                _bytes[(int)range.Side] += range.Length;
                if (_last.Length > 0 && _last.Side == range.Side && _last.End == range.Offset)
                {
                    _last = _last with { Length = _last.Length + range.Length };
                    if (keep) _ranges[^1] = _last;
                    continue;
                }
                _last = range;
                _count++;
                if (keep) _ranges.Add(range);
            }
        }

        public DifferenceResult Result(DiskChain left, DiskChain right, ChainLayer? common, long bytesRead) => new()
        {
            Ranges = _ranges, RangeCount = _count, LeftOnlyBytes = _bytes[0], RightOnlyBytes = _bytes[1], BothBytes = _bytes[2], LeftCapacity = left.Capacity, RightCapacity = right.Capacity,
            CommonLayer = common, ComparedBytes = Compared, BytesRead = bytesRead,
        };
    }
}
