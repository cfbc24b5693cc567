namespace WeaveHypervisor.Client.V1;

/// <summary>Body of `POST …/snapshots`.</summary>
public sealed record SnapshotBody
{
    /// <summary>Null: the active one.</summary>
    public string? Weave { get; init; }
    public string? Label { get; init; }
    /// <summary>Default true.</summary>
    public bool? Memory { get; init; }
    public bool? Quiesce { get; init; }
}

public sealed record SnapshotView
{
    public required string Id { get; init; }
    public required string Environment { get; init; }
    public required string Weave { get; init; }
    public string? Parent { get; init; }
    public required DateTimeOffset At { get; init; }
    public string? Label { get; init; }
    /// <summary>capturing, ready or deleting.</summary>
    public required string State { get; init; }
    /// <summary>machine, filesystem or crash.</summary>
    public required string Consistency { get; init; }
    public required double SkewMs { get; init; }
    public required double LongestPauseMs { get; init; }
    public required long MemoryBytes { get; init; }
    public required IReadOnlyList<SnapshotMachineView> Machines { get; init; }
}

public sealed record SnapshotMachineView
{
    public required string Name { get; init; }
    public required string RunState { get; init; }
    public required string Method { get; init; }
    public string? Reason { get; init; }
    public required double PauseMs { get; init; }
    public required long MemoryBytes { get; init; }
}
