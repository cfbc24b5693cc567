namespace WeaveHypervisor.Disks;

/// <summary>
/// What one image says of a range. Three answers, not two: without <see cref="Zero"/> a discarded block could not be told from one that was never touched.
/// </summary>
public enum ExtentKind
{
    /// <summary>The image itself holds the bytes.</summary>
    Data,
    /// <summary>The image says that the range reads as zeroes, whatever is below it.</summary>
    Zero,
    /// <summary>The image says nothing: its parent answers, and where there is none the range reads as zeroes.</summary>
    Inherited,
}

/// <summary>A range of one image. Bytes; extents of one reading are ascending, without gaps or overlaps, and neighbours that say the same are one.</summary>
/// <param name="Offset">As the guest sees the disk.</param>
/// <param name="FileOffset">Where the first byte lies in the image's file, and the following after it; -1 where there are no such bytes (nothing there, or compressed). A range
/// without data in the image has a place too where one is kept free for it; ranges with places are one only where the places follow each other.</param>
/// <param name="IsHole">The image's tables say that it holds the bytes, and there its file has a hole, so that they are zero: preallocated and never written.</param>
public readonly record struct Extent(long Offset, long Length, ExtentKind Kind, long FileOffset = -1, bool IsCompressed = false, bool IsHole = false)
{
    public long End => Offset + Length;

    /// <summary>Whether <paramref name="next"/>, which follows at once, says the same and goes on where this one ends.</summary>
    internal bool GoesOnWith(in Extent next) => Kind == next.Kind && IsCompressed == next.IsCompressed && IsHole == next.IsHole
        && (next.FileOffset < 0 ? FileOffset < 0 : FileOffset >= 0 && FileOffset + Length == next.FileOffset);
}
