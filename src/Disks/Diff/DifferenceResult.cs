using WeaveHypervisor.Model;

namespace WeaveHypervisor.Disks;

/// <summary>Which disk is not as the common ancestor in a range, as far as bytes go in which the disks are not equal: what both have changed to the same does not count.</summary>
public enum DifferenceSide
{
    /// <summary>Only the left disk is not as the ancestor.</summary>
    LeftOnly,
    /// <summary>Only the right disk is not as the ancestor.</summary>
    RightOnly,
    /// <summary>Both have changed the range, in the same bytes or in different bytes of one granule. Without a common ancestor: they are not equal.</summary>
    Both,
}

/// <summary>A range of the disks, in bytes, in which they are not equal: whole granules, but for the end of a disk.</summary>
public readonly record struct DifferenceRange(long Offset, long Length, DifferenceSide Side)
{
    public long End => Offset + Length;
}

/// <summary>How two disks are compared.</summary>
public sealed record DifferenceOptions
{
    public const int LeastGranularity = 512, MostGranularity = 1 << 20, DefaultGranularity = 4096;

    /// <summary>Bytes that count as one; a power of two from 512 to 1 MiB. A granule is different where one byte of it is.</summary>
    public int Granularity { get; init; } = DefaultGranularity;
    /// <summary>How many parts of the disks are read and compared at once; each takes up to 3 MiB of memory.</summary>
    public int Parallelism { get; init; } = 4;
    /// <summary>False: only the totals are wanted, and memory does not grow with the number of ranges.</summary>
    public bool KeepRanges { get; init; } = true;

    /// <summary>InvalidRequest where a value is out of its range.</summary>
    internal void Check()
    {
        if (Granularity is < LeastGranularity or > MostGranularity || !System.Numerics.BitOperations.IsPow2(Granularity))
            throw new WeaveException(Fault.InvalidRequest, $"Disks cannot be compared in steps of {Granularity} bytes.", "Use a power of two from 512 to 1048576.");
        if (Parallelism is < 1 or > 64) throw new WeaveException(Fault.InvalidRequest, $"{Parallelism} parts of a disk cannot be compared at once.", "Use 1 to 64.");
    }
}

/// <summary>How far a comparison is.</summary>
/// <param name="Position">Bytes of the disk, up to <paramref name="Capacity"/>, of the larger disk.</param>
/// <param name="BytesCompared">Bytes that had to be looked at so far.</param>
public readonly record struct DifferenceProgress(long Position, long Capacity, long BytesCompared);

/// <summary>In what two disks differ.</summary>
public sealed record DifferenceResult
{
    /// <summary>Ascending, without overlaps; neighbours of one side are one. Empty where <see cref="DifferenceOptions.KeepRanges"/> was not set.</summary>
    public required IReadOnlyList<DifferenceRange> Ranges { get; init; }
    public required long RangeCount { get; init; }
    /// <summary>Bytes of all ranges of a side.</summary>
    public required long LeftOnlyBytes { get; init; }
    public required long RightOnlyBytes { get; init; }
    public required long BothBytes { get; init; }
    public long DifferentBytes => LeftOnlyBytes + RightOnlyBytes + BothBytes;
    public required long LeftCapacity { get; init; }
    public required long RightCapacity { get; init; }
    /// <summary>The nearest layer that both chains have; null where they have none, and everything that is not known to be zero had to be compared.</summary>
    public ChainLayer? CommonLayer { get; init; }
    /// <summary>Bytes that metadata could not tell to be equal, and that were compared.</summary>
    public required long ComparedBytes { get; init; }
    /// <summary>Bytes that were read from files, metadata and data, compressed ones as they are in the file.</summary>
    public required long BytesRead { get; init; }
    public bool IsEqual => RangeCount == 0 && LeftCapacity == RightCapacity;
}
