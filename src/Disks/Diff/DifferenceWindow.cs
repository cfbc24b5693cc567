using System.Buffers;
using System.Numerics;

namespace WeaveHypervisor.Disks;

/// <summary>What metadata say of a granule: which of the two disks has something of its own there.</summary>
[Flags]
internal enum GranuleMarks : byte { None = 0, LeftHas = 1, RightHas = 2, LeftDiffers = 4, RightDiffers = 8, Unequal = 16 }

/// <summary>A part of the disks, a number of granules, of which some have to be looked at. Used once.</summary>
/// <param name="offset">A multiple of the window's size.</param>
internal sealed class DifferenceWindow(long offset, long capacity, int granularity)
{
    /// <summary>1 MiB: large enough that the way through the thread pool does not count, small enough for many at once.</summary>
    public const int Size = DifferenceOptions.MostGranularity;

    private readonly GranuleMarks[] _marks = new GranuleMarks[Size / granularity];

    public long Offset => offset;
    public long Compared { get; private set; }

    /// <summary>The range, which touches the window, has to be looked at.</summary>
    public void Mark(long start, long end, GranuleMarks marks)
    {
        var last = Math.Min(Size, end - offset - 1 + granularity) / granularity;
        for (var i = Math.Max(0, start - offset) / granularity; i < last; i++) _marks[i] |= marks;
    }

    /// <summary>Reads and compares what is marked, with the ancestor where both sides have something of their own and differ. Ranges are added in ascending order.</summary>
    /// <param name="ancestor">Null where there is none.</param>
    public async Task<List<DifferenceRange>> CompareAsync(DiskView left, DiskView right, DiskView? ancestor, CancellationToken stop)
    {
        var (one, two) = (ArrayPool<byte>.Shared.Rent(Size), ArrayPool<byte>.Shared.Rent(Size));
        try
        {
            for (var first = 0; first < _marks.Length;)
            {
                if (_marks[first] == GranuleMarks.None)
                {
                    first++;
                    continue;
                }
                // A run of granules that the same sides have: read at once.
                var run = 1;
                while (first + run < _marks.Length && _marks[first + run] == _marks[first]) run++;
                var start = offset + (long)first * granularity;
                var length = (int)Math.Min((long)run * granularity, capacity - start);
                await left.ReadAsync(start, one.AsMemory(0, length), stop).ConfigureAwait(false);
                await right.ReadAsync(start, two.AsMemory(0, length), stop).ConfigureAwait(false);
                Compared += length;
                var has = _marks[first];
                if (ancestor is null || has != (GranuleMarks.LeftHas | GranuleMarks.RightHas))
                    Differ(one.AsSpan(0, length), two.AsSpan(0, length), first, ancestor is null ? GranuleMarks.LeftDiffers | GranuleMarks.RightDiffers : has == GranuleMarks.LeftHas ? GranuleMarks.LeftDiffers : GranuleMarks.RightDiffers);
                else await ThreeWayAsync(one, two, start, length, first, ancestor, stop).ConfigureAwait(false);
                first += run;
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(one);
            ArrayPool<byte>.Shared.Return(two);
        }
        return Ranges();
    }

    /// <summary>Both sides have something of their own: the ancestor says who has changed what, where they are not equal.</summary>
    private async ValueTask ThreeWayAsync(byte[] left, byte[] right, long start, int length, int first, DiskView ancestor, CancellationToken stop)
    {
        Differ(left.AsSpan(0, length), right.AsSpan(0, length), first, GranuleMarks.Unequal);
        for (var at = 0; at < length;)
        {
            var run = 0;
            while (at + run < length && (_marks[first + (at + run) / granularity] & GranuleMarks.Unequal) != 0) run += granularity;
            if (run == 0)
            {
                at += granularity;
                continue;
            }
            run = Math.Min(run, length - at);
            var third = ArrayPool<byte>.Shared.Rent(run);
            try
            {
                await ancestor.ReadAsync(start + at, third.AsMemory(0, run), stop).ConfigureAwait(false);
                for (var end = at + run; at < end; at += granularity)
                {
                    var bytes = Math.Min(granularity, end - at);
                    _marks[first + at / granularity] |= Sides(left.AsSpan(at, bytes), right.AsSpan(at, bytes), third.AsSpan(run - (end - at), bytes));
                }
            }
            finally
            {
                ArrayPool<byte>.Shared.Return(third);
            }
        }
    }

    /// <summary>Which sides are not as the ancestor in bytes in which they are not equal.</summary>
    private static GranuleMarks Sides(ReadOnlySpan<byte> left, ReadOnlySpan<byte> right, ReadOnlySpan<byte> ancestor)
    {
        var (byLeft, byRight, at) = (Vector<byte>.Zero, Vector<byte>.Zero, 0);
        for (; at + Vector<byte>.Count <= left.Length; at += Vector<byte>.Count)
        {
            var (l, r, a) = (new Vector<byte>(left[at..]), new Vector<byte>(right[at..]), new Vector<byte>(ancestor[at..]));
            var unequal = ~Vector.Equals(l, r);
            byLeft |= unequal & ~Vector.Equals(l, a);
            byRight |= unequal & ~Vector.Equals(r, a);
        }
        var (leftDiffers, rightDiffers) = (byLeft != Vector<byte>.Zero, byRight != Vector<byte>.Zero);
        for (; at < left.Length; at++)
        {
            leftDiffers |= left[at] != right[at] && left[at] != ancestor[at];
            rightDiffers |= left[at] != right[at] && right[at] != ancestor[at];
        }
        return (leftDiffers ? GranuleMarks.LeftDiffers : 0) | (rightDiffers ? GranuleMarks.RightDiffers : 0);
    }

    /// <summary>Sets <paramref name="differs"/> for the granules in which the two are not equal.</summary>
    private void Differ(ReadOnlySpan<byte> one, ReadOnlySpan<byte> two, int first, GranuleMarks differs)
    {
        for (var at = 0; at < one.Length;)
        {
            var equal = one[at..].CommonPrefixLength(two[at..]);
            if (at + equal == one.Length) return;
            var granule = (at + equal) / granularity;
            _marks[first + granule] |= differs;
            at = (granule + 1) * granularity;
        }
    }

    private List<DifferenceRange> Ranges()
    {
        var ranges = new List<DifferenceRange>();
        for (var i = 0; i < _marks.Length; i++)
        {
            DifferenceSide side;
            switch (_marks[i] & (GranuleMarks.LeftDiffers | GranuleMarks.RightDiffers))
            {
                case GranuleMarks.None: continue;
                case GranuleMarks.LeftDiffers: side = DifferenceSide.LeftOnly; break;
                case GranuleMarks.RightDiffers: side = DifferenceSide.RightOnly; break;
                default: side = DifferenceSide.Both; break;
            }
            var start = offset + (long)i * granularity;
            var length = Math.Min(granularity, capacity - start);
            if (ranges.Count > 0 && ranges[^1].Side == side && ranges[^1].End == start) ranges[^1] = ranges[^1] with { Length = ranges[^1].Length + length };
            else ranges.Add(new(start, length, side));
        }
        return ranges;
    }
}

/// <summary>Reads a disk, or what is below its uppermost layers, as if it went on with zeroes behind its end.</summary>
internal sealed class DiskView(IReadOnlyList<LayerImage> images)
{
    public IReadOnlyList<LayerImage> Images => images;
    public long Capacity => images[0].Capacity;

    public async ValueTask ReadAsync(long offset, Memory<byte> into, CancellationToken stop)
    {
        var within = (int)Math.Clamp(Capacity - offset, 0, into.Length);
        if (within > 0) await DiskChain.ReadAsync(images, offset, into[..within], stop).ConfigureAwait(false);
        into.Span[within..].Clear();
    }
}
