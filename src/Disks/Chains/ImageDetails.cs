namespace WeaveHypervisor.Disks;

/// <summary>What an image is made of, for people.</summary>
public sealed record ImageDetails
{
    /// <summary>Names and values in the words of the format, such as `cluster size` and `65536`.</summary>
    public required IReadOnlyList<KeyValuePair<string, string>> Features { get; init; }
    public IReadOnlyList<InternalSnapshot> Snapshots { get; init; } = [];
    public IReadOnlyList<StoredBitmap> Bitmaps { get; init; } = [];
    /// <summary>What is not as it should be, though the image can be read.</summary>
    public IReadOnlyList<string> Warnings { get; init; } = [];
}

/// <summary>A snapshot inside an image; its disk is not read.</summary>
/// <param name="StateBytes">Bytes of the machine's state that is stored with it; 0 for the disk alone.</param>
public sealed record InternalSnapshot(string Id, string Name, DateTimeOffset Time, long StateBytes)
{
    internal long L1Offset { get; init; }
    internal long L1Entries { get; init; }
    /// <summary>Bytes of its entry, without padding.</summary>
    internal int Length { get; init; }
}

/// <summary>A bitmap inside an image; its bits are not read.</summary>
/// <param name="Granularity">Bytes for one bit.</param>
/// <param name="IsAuto">It records writes.</param>
/// <param name="IsInUse">It was not saved, and its bits may be wrong.</param>
/// <param name="IsDirtyTracking">The one type that there is.</param>
public sealed record StoredBitmap(string Name, long Granularity, bool IsAuto, bool IsInUse, bool IsDirtyTracking)
{
    internal long TableOffset { get; init; }
    internal long TableEntries { get; init; }
}
