namespace WeaveHypervisor.Client.V1;

/// <summary>Body of `POST …/weaves`. No timestamp and no snapshot: from now.</summary>
public sealed record CreateWeaveBody
{
    /// <summary>Null: one is generated.</summary>
    public string? WeaveId { get; init; }
    public DateTimeOffset? Timestamp { get; init; }
    public string? SnapshotId { get; init; }
    public string? SourceWeave { get; init; }
    /// <summary>resume (default), boot or none.</summary>
    public string? Start { get; init; }
    /// <summary>none (default) or nat.</summary>
    public string? Uplink { get; init; }
    /// <summary>Time to live such as "90s", "30m", "4h", "7d"; null: for ever.</summary>
    public string? Ttl { get; init; }
    /// <summary>With whose rules it begins: then (default), those of its instant, or now, those that main has today.</summary>
    public string? Rules { get; init; }
}

public sealed record WeaveView
{
    public required string Environment { get; init; }
    public required string Id { get; init; }
    /// <summary>creating, running, paused, stopped, deleting or failed.</summary>
    public required string State { get; init; }
    public required bool Active { get; init; }
    public required DateTimeOffset CreatedAt { get; init; }
    /// <summary>The snapshot that it was made from; null for main.</summary>
    public string? Origin { get; init; }
    /// <summary>The instant that it continues; null for main.</summary>
    public DateTimeOffset? OriginAt { get; init; }
    public string? Source { get; init; }
    public required string Uplink { get; init; }
    public DateTimeOffset? ExpiresAt { get; init; }
    /// <summary>The snapshot that this temporary weave verifies; it cannot be used, and goes by itself. Null for all others.</summary>
    public string? Verifies { get; init; }
    public required IReadOnlyList<MachineView> Machines { get; init; }
    /// <summary>What something else changed; empty where nothing.</summary>
    public required IReadOnlyList<DriftView> Drift { get; init; }
    /// <summary>Syncs of its volumes that can be taken back; each keeps the layer of before. Their sizes are in the list of syncs.</summary>
    public IReadOnlyList<KeptSyncView> Kept { get; init => field = value ?? []; } = [];
    /// <summary>Null where it has no rules.</summary>
    public RulesSummaryView? Rules { get; init; }
}

/// <param name="Kind">stopped, gone, disk, file, fence, unfinished, space or other.</param>
/// <param name="FoundAt">When it was noticed first.</param>
public sealed record DriftView(string Kind, string Text, DateTimeOffset FoundAt);

public sealed record MachineView
{
    public required string Name { get; init; }
    /// <summary>Its name on the hypervisor.</summary>
    public required string Domain { get; init; }
    public required string Uuid { get; init; }
    /// <summary>off, running or paused.</summary>
    public required string RunState { get; init; }
    /// <summary>How it was last started: "shared", "whole: …", "boot"…</summary>
    public string? StartedBy { get; init; }
    public required IReadOnlyList<AddressView> Addresses { get; init; }
    public required IReadOnlyList<HeadView> Volumes { get; init; }
}

/// <param name="Inner">Inside the weave.</param>
/// <param name="Outer">The host's address that leads there.</param>
public sealed record AddressView(string Mac, string Inner, string Outer);

public sealed record HeadView(string Name, string Layer);

/// <summary>Body of `PATCH …/weaves/{weave}`.</summary>
public sealed record KeepBody
{
    /// <summary>Time to live from now on, such as "4h"; "never": until it is deleted.</summary>
    public required string Ttl { get; init; }
}

/// <summary>Body of `POST …/activate`; may be empty.</summary>
public sealed record ActivateBody
{
    public ProbeBody? Probe { get; init; }
}

public sealed record ProbeBody
{
    public required string Machine { get; init; }
    public required int Port { get; init; }
    /// <summary>Null: a TCP connection is enough.</summary>
    public string? HttpPath { get; init; }
    public double? TimeoutSeconds { get; init; }
}

/// <summary>Body of `POST …/weaves/{weave}/routes` and `POST /environments/{env}/routes`.</summary>
public sealed record RouteBody
{
    public string? Machine { get; init; }
    public required int TargetPort { get; init; }
    /// <summary>tcp (default) or udp.</summary>
    public string? Protocol { get; init; }
    /// <summary>Address and port such as "127.0.0.1:18080", an address, or ":18080"; null: 127.0.0.1 and a free port.</summary>
    public string? Listen { get; init; }
    /// <summary>For `POST /environments/{env}/routes` only: the weave is the newest one that was made of what the environment was at that time.</summary>
    public DateTimeOffset? Timestamp { get; init; }
}

public sealed record RouteView
{
    public required string Id { get; init; }
    public required string Environment { get; init; }
    /// <summary>The weave that it leads to now.</summary>
    public required string Weave { get; init; }
    public required bool FollowsActive { get; init; }
    public required string Machine { get; init; }
    public required string Protocol { get; init; }
    public required string Listen { get; init; }
    /// <summary>Address and port to connect to from this host.</summary>
    public required string Connect { get; init; }
    public required int TargetPort { get; init; }
    /// <summary>Host address and port behind it now; null where there is none.</summary>
    public string? Target { get; init; }
    public required DateTimeOffset CreatedAt { get; init; }
}
