namespace WeaveHypervisor.Client.V1;

/// <summary>Body of `POST /environments`.</summary>
public sealed record AdoptBody
{
    public required string Name { get; init; }
    public required IReadOnlyList<AdoptMachine> Machines { get; init; }
    /// <summary>Null: points are taken on request only.</summary>
    public PolicyBody? SnapshotPolicy { get; init; }
}

/// <summary>Adopt the hypervisor's machine `domain`, a name or a UUID, as `name` (null: under the name that was given).</summary>
public sealed record AdoptMachine
{
    public string? Name { get; init; }
    public required string Domain { get; init; }
}

public sealed record EnvironmentView
{
    public required string Name { get; init; }
    public required string Host { get; init; }
    /// <summary>adopting, managed or releasing.</summary>
    public required string State { get; init; }
    public required DateTimeOffset AdoptedAt { get; init; }
    public required string ActiveWeave { get; init; }
    public string? PreviousActiveWeave { get; init; }
    public required IReadOnlyList<string> Machines { get; init; }
    public required IReadOnlyList<NetworkView> Networks { get; init; }
    public required IReadOnlyList<VolumeView> Volumes { get; init; }
    public int Weaves { get; init; }
    public int Snapshots { get; init; }
    /// <summary>Null: points are taken on request only.</summary>
    public PolicyView? SnapshotPolicy { get; init; }
    /// <summary>The pool and what a further snapshot of the active weave costs; null in lists, and where the pool cannot be looked at.</summary>
    public SpaceView? Space { get; init; }
}

/// <param name="FloorBytes">Below this much free no automatic snapshot is taken.</param>
/// <param name="LikelyBytes">What a snapshot with memory costs, going by recent ones; the worst case where none was measured.</param>
/// <param name="WorstBytes">What it may cost at worst, by which snapshots are refused.</param>
/// <param name="PointsLeft">About how many more automatic snapshots there is room for above the floor.</param>
/// <param name="MeasuredOn">On how many snapshots this was measured.</param>
public sealed record SpaceView(string Path, long FreeBytes, long FloorBytes, long LikelyBytes, long WorstBytes, long PointsLeft, int MeasuredOn);

public sealed record NetworkView(string Name, string? Gateway, int PrefixLength, bool Dhcp);

/// <param name="Name">Machine and volume: "db/vdb".</param>
/// <param name="Path">The adopted file.</param>
public sealed record VolumeView(string Name, string Path, string Format);

/// <summary>The tree of an environment: all that `weave timeline` and `weave list --tree` show.</summary>
public sealed record TimelineView
{
    public required EnvironmentView Environment { get; init; }
    public required IReadOnlyList<WeaveView> Weaves { get; init; }
    public required IReadOnlyList<SnapshotView> Snapshots { get; init; }
    public required IReadOnlyList<ActivationView> Activations { get; init; }
}

public sealed record ActivationView(string Weave, DateTimeOffset From);

/// <summary>What became of a question to a machine's guest agent.</summary>
/// <param name="State">answers, off, paused, noChannel, notConnected, silent or refuses.</param>
public sealed record AgentView(string Machine, string State, string? Reason, string? NextStep);
