using System.Runtime.CompilerServices;

namespace WeaveHypervisor.Disks;

/// <summary>
/// Collects what an image says of a range into a given room: pieces come in ascending order, are cut to the range, and neighbours that say the same become one.
/// A mutable struct: passed by reference.
/// </summary>
internal struct ExtentList(long start, long end, int room)
{
    /// <summary>Extents that are complete or begun.</summary>
    public int Count { get; private set; }
    /// <summary>Where the next piece belongs.</summary>
    public long At { get; private set; } = start;
    public readonly bool IsComplete => At >= end;

    /// <summary>
    /// Takes the piece that begins at or before <see cref="At"/> and ends behind it. False where there is no room for it; what comes behind the range is left out.
    /// </summary>
    /// <param name="fileOffset">Of the piece's first byte, or -1.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public bool Add(Span<Extent> into, long offset, long length, ExtentKind kind, long fileOffset = -1, bool compressed = false, bool hole = false)
    {
        var last = Math.Min(offset + length, end);
        if (last <= At) return true;
        if (fileOffset >= 0) fileOffset += At - offset;
        if (Count > 0)
        {
            ref var before = ref into[Count - 1];
            if (before.Kind == kind && before.IsCompressed == compressed && before.IsHole == hole && (fileOffset < 0 ? before.FileOffset < 0 : before.FileOffset >= 0 && before.FileOffset + before.Length == fileOffset))
            {
                before = before with { Length = last - before.Offset };
                At = last;
                return true;
            }
        }
        if (Count == room) return false;
        into[Count++] = new(At, last - At, kind, fileOffset, compressed, hole);
        At = last;
        return true;
    }
}
