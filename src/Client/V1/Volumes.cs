namespace WeaveHypervisor.Client.V1;

/// <summary>Body of `POST /environments/{env}/volume-syncs`.</summary>
public sealed record SyncBody
{
    /// <summary>The weave whose content is brought.</summary>
    public required string SourceWeave { get; init; }
    /// <summary>The weave whose volume changes.</summary>
    public required string DestinationWeave { get; init; }
    /// <summary>Machine and volume, such as "db/data".</summary>
    public required string Volume { get; init; }
    /// <summary>mirror (default): the destination becomes what the source is; merge: it gets what the source has changed since their common ancestor.</summary>
    public string? Strategy { get; init; }
    /// <summary>With merge, where both have changed the same bytes: fail (default), source or destination.</summary>
    public string? OnConflict { get; init; }
    /// <summary>Look only.</summary>
    public bool? DryRun { get; init; }
    /// <summary>Shut the destination's machine down and start it again, if it runs.</summary>
    public bool? Stop { get; init; }
    /// <summary>Have the source's guest agent freeze its file systems for the instant.</summary>
    public bool? Quiesce { get; init; }
}

/// <summary>Body of `POST /environments/{env}/volume-syncs/{id}/undo`; may be empty.</summary>
public sealed record UndoSyncBody
{
    /// <summary>Shut the machine down and start it again, if it runs.</summary>
    public bool? Stop { get; init; }
}

/// <summary>A sync that can be taken back.</summary>
/// <param name="Operation">Its id.</param>
/// <param name="Weave">Whose volume it changed.</param>
/// <param name="Source">The weave that the content came from; null where it took another sync back.</param>
/// <param name="Layer">What the volume stood on before.</param>
/// <param name="Bytes">What that layer takes on disk; null where it was not measured.</param>
public sealed record KeptSyncView(string Operation, string Weave, string Volume, string? Source, DateTimeOffset At, string Layer, long? Bytes);

/// <summary>Answer of `GET /environments/{env}/volume-diffs`.</summary>
public sealed record VolumeDiffsView
{
    public required string Environment { get; init; }
    public required string Left { get; init; }
    public required string Right { get; init; }
    public required IReadOnlyList<VolumeDiffView> Volumes { get; init; }
}

public sealed record VolumeDiffView
{
    public required string Volume { get; init; }
    /// <summary>Which instant of the left side was looked at, for people.</summary>
    public required string LeftInstant { get; init; }
    public required string RightInstant { get; init; }
    public required DifferenceView Difference { get; init; }
    /// <summary>Ranges that differ, ascending; as many as were asked for.</summary>
    public required IReadOnlyList<RangeView> Ranges { get; init; }
    /// <summary>Where to go on with `from`; null where these are all.</summary>
    public long? NextFrom { get; init; }
    /// <summary>What was not seen, because a machine is writing it.</summary>
    public required IReadOnlyList<string> Unseen { get; init; }
}

/// <param name="Capacity">Bytes of the disk.</param>
/// <param name="LeftBytes">Changed on the left alone since the common layer.</param>
/// <param name="BothBytes">Changed on both sides, to different content.</param>
/// <param name="CommonLayer">The nearest layer that both stand on; null: none, and all bytes were compared.</param>
/// <param name="BytesRead">Bytes of content that were read for the answer.</param>
/// <param name="Picture">A digit for each of 64 equal stretches of the disk: how much of it differs, 0 to 8.</param>
public sealed record DifferenceView(long Capacity, long LeftBytes, long RightBytes, long BothBytes, long Ranges, string? CommonLayer, long BytesRead, string Method, string Picture);

/// <param name="By">Who changed it: left, right or both.</param>
public sealed record RangeView(long Offset, long Length, string By);
