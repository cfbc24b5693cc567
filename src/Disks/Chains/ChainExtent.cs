using WeaveHypervisor.Model;

namespace WeaveHypervisor.Disks;

/// <summary>A range of a disk and who answers for it. Bytes; extents of one reading are ascending, without gaps or overlaps, and neighbours that say the same are one.</summary>
/// <param name="Offset">As the guest sees the disk.</param>
/// <param name="IsZero">Reads as zeroes, which is known from metadata alone.</param>
/// <param name="Layer">The layer that answers, 0 for the top; -1: none does. Then the range reads as zeroes, or, in a map of the upper layers only, is as below them.</param>
/// <param name="FileOffset">Where the first byte lies in the file of that layer; -1 where there is no such place (nothing there, or compressed). Where no layer
/// answers: the place that the lowest one reaching so far keeps free for the range, if it does.</param>
/// <param name="IsHole">The layer's tables say that it holds the bytes, and there its file has a hole: preallocated and never written.</param>
public readonly record struct ChainExtent(long Offset, long Length, bool IsZero, int Layer, long FileOffset, bool IsCompressed, bool IsHole = false)
{
    public long End => Offset + Length;

    /// <summary>Whether <paramref name="next"/>, which follows at once, says the same and goes on where this one ends.</summary>
    internal bool GoesOnWith(in ChainExtent next) => IsZero == next.IsZero && Layer == next.Layer && IsCompressed == next.IsCompressed && IsHole == next.IsHole
        && (next.FileOffset < 0 ? FileOffset < 0 : FileOffset >= 0 && FileOffset + Length == next.FileOffset);
}

/// <summary>One file of a chain, as it was when it was opened.</summary>
/// <param name="Capacity">Bytes that a guest would see of this layer.</param>
/// <param name="FileLength">Bytes of the file.</param>
/// <param name="AllocatedBytes">Bytes that the file takes on disk.</param>
/// <param name="Identity">Equal for two paths exactly where they lead to one file.</param>
public sealed record ChainLayer(string Path, DiskFormat Format, long Capacity, long FileLength, long AllocatedBytes, string Identity);
