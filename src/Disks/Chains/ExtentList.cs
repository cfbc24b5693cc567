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
    public bool Add(Span<Extent> into, long offset, long length, ExtentKind kind, long fileOffset = -1, bool compressed = false, bool hole = false)
    {
        var last = Math.Min(offset + length, end);
        if (last <= At) return true;
        if (fileOffset >= 0) fileOffset += At - offset;
        var next = new Extent(At, last - At, kind, fileOffset, compressed, hole);
        if (Count > 0 && into[Count - 1].GoesOnWith(next)) into[Count - 1] = into[Count - 1] with { Length = last - into[Count - 1].Offset };
        else if (Count == room) return false;
        else into[Count++] = next;
        At = last;
        return true;
    }
}
