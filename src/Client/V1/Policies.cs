namespace WeaveHypervisor.Client.V1;

/// <summary>Body of `PUT /environments/{env}/policy`: when points of the active weave are taken by themselves, and which of those are kept. All times are UTC.</summary>
public sealed record PolicyBody
{
    /// <summary>A duration such as 30s, 5m or 1h30m: 1s to 31d. One point in each such slot of time, counted from the beginning of the calendar.</summary>
    public required string Every { get; init; }
    /// <summary>The newest so many automatic points are kept, 1 to 10000.</summary>
    public required int KeepLast { get; init; }
    /// <summary>Of the newest so many clock hours that have an automatic point, the newest point of each is kept. Default 0.</summary>
    public int? Hourly { get; init; }
    /// <summary>The same of days. Default 0.</summary>
    public int? Daily { get; init; }
    /// <summary>Of each so many slots one point is revived in isolation, asked, and removed again, as `snapshot verify` does. Default 0: none.</summary>
    public int? VerifyEvery { get; init; }
    /// <summary>Default true.</summary>
    public bool? Memory { get; init; }
    public bool? Quiesce { get; init; }
}

public sealed record PolicyView
{
    public required string Every { get; init; }
    public required int KeepLast { get; init; }
    public required int Hourly { get; init; }
    public required int Daily { get; init; }
    public int VerifyEvery { get; init; }
    public required bool Memory { get; init; }
    public required bool Quiesce { get; init; }
    /// <summary>When the next point is due.</summary>
    public required DateTimeOffset NextAt { get; init; }
    /// <summary>The operation of the last automatic point, and how it stands: one that was refused, for want of space for example, says why.</summary>
    public string? LastOperation { get; init; }
    public string? LastState { get; init; }
    public DateTimeOffset? LastAt { get; init; }
    public string? LastError { get; init; }
}

/// <summary>How long the chains of an environment's disks are, and what a compaction would do now.</summary>
public sealed record CompactionView
{
    public required IReadOnlyList<ChainView> Chains { get; init; }
    /// <summary>What would be done first; each changes what can be done after it.</summary>
    public required IReadOnlyList<string> Folds { get; init; }
    /// <summary>Layers that could be merged but for several running machines that have them open.</summary>
    public required IReadOnlyList<string> InUse { get; init; }
    /// <summary>Layers from which on a chain is shortened by itself.</summary>
    public required int Limit { get; init; }
}

/// <param name="Volume">Machine and volume: "db/vdb".</param>
/// <param name="Layers">The live one and the adopted file among them.</param>
public sealed record ChainView(string Weave, string Volume, int Layers);
