namespace WeaveHypervisor.Model;

/// <summary>A managed environment as it is stored.</summary>
public sealed record ManagedEnvironment
{
    public required EnvironmentId Id { get; init; }
    public required HostId Host { get; init; }
    public required DateTimeOffset AdoptedAt { get; init; }
    public required WeaveId ActiveWeave { get; init; }
    public WeaveId? PreviousActive { get; init; }
    public required EnvironmentState State { get; init; }
    /// <summary>Disks as they were adopted, by machine and volume: what `release` gives back.</summary>
    public required IReadOnlyList<AdoptedVolume> AdoptedVolumes { get; init; }
}

public enum EnvironmentState { Adopting, Managed, Releasing }

public sealed record AdoptedVolume(MachineName Machine, VolumeName Volume, LayerId Layer, string Path, DiskFormat Format);

/// <summary>
/// Life cycle of a weave. Creating → Running | Stopped | Paused; Running ⇄ Paused; Running, Paused → Stopped → Running;
/// every state but Creating → Deleting → (gone); any → Failed where an operation could neither finish nor undo.
/// </summary>
public enum WeaveState { Creating, Running, Paused, Stopped, Deleting, Failed }

public enum UplinkMode { None, Nat }

/// <summary>How a weave's machines begin.</summary>
public enum StartMode { Resume, Boot, None }

/// <summary>One line of existence of an environment.</summary>
public sealed record Weave
{
    public static readonly WeaveId Main = WeaveId.Parse("main");
    /// <summary>Not an id but an alias in requests: the weave that is active when the request is carried out.</summary>
    public const string ActiveAlias = "active";

    public required EnvironmentId Environment { get; init; }
    public required WeaveId Id { get; init; }
    public required FenceTag Tag { get; init; }
    public required WeaveState State { get; init; }
    public required DateTimeOffset CreatedAt { get; init; }
    /// <summary>The snapshot that it was made from; null for `main`.</summary>
    public SnapshotId? Origin { get; init; }
    /// <summary>The weave whose line it continues; null for `main`.</summary>
    public WeaveId? Source { get; init; }
    public required EnvironmentBlueprint Blueprint { get; init; }
    public required IReadOnlyList<WeaveMachine> Machines { get; init; }
    public UplinkMode Uplink { get; init; }
    /// <summary>Host addresses at which the machines are reached; empty before the fence is made.</summary>
    public IReadOnlyList<MachineAddress> Addresses { get; init; } = [];
    public DateTimeOffset? ExpiresAt { get; init; }
    /// <summary>What a foreign hand changed, found by the last look; empty where nothing.</summary>
    public IReadOnlyList<Drift> Drift { get; init; } = [];

    public bool IsMain => Id == Main;
}

/// <summary>A machine of a weave: its name on the hypervisor, its UUID there, and the live layer of each of its volumes.</summary>
public sealed record WeaveMachine
{
    public required MachineName Name { get; init; }
    public required string HypervisorName { get; init; }
    public required Guid Uuid { get; init; }
    public required IReadOnlyList<VolumeHead> Heads { get; init; }
    /// <summary>State files of a copy's own. Empty for adopted machines, whose files are the user's.</summary>
    public IReadOnlyList<StateFile> States { get; init; } = [];
    public RunState RunState { get; init; }
    /// <summary>How it was last started, for people: "memory shared", "whole stream: hugepages", "booted: …".</summary>
    public string? StartedBy { get; init; }
    /// <summary>The snapshot whose memory image it may still map; its images are kept until the machine is gone or was booted.</summary>
    public SnapshotId? MemoryFrom { get; init; }
}

public sealed record VolumeHead(VolumeName Volume, LayerId Layer);

/// <summary>Inner address of a NIC and the host address that leads to it (equal for `main`).</summary>
public sealed record MachineAddress(MachineName Machine, string Mac, string Inner, string Outer);

/// <summary>One consistent instant of a weave.</summary>
public sealed record Snapshot
{
    public required SnapshotId Id { get; init; }
    public required EnvironmentId Environment { get; init; }
    public required WeaveId Weave { get; init; }
    /// <summary>The snapshot before it on the same line, across the weave's origin.</summary>
    public SnapshotId? Parent { get; init; }
    /// <summary>The instant, UTC, millisecond precision; when the last machine was suspended.</summary>
    public required DateTimeOffset At { get; init; }
    public string? Label { get; init; }
    public required SnapshotState State { get; init; }
    public required Consistency Consistency { get; init; }
    public required EnvironmentBlueprint Blueprint { get; init; }
    public required IReadOnlyList<SnapshotMachine> Machines { get; init; }
    public TimeSpan Skew { get; init; }
}

public enum SnapshotState { Capturing, Ready, Deleting }

public sealed record SnapshotMachine
{
    public required MachineName Name { get; init; }
    public required RunState RunState { get; init; }
    /// <summary>The layer of each volume that was frozen at the instant.</summary>
    public required IReadOnlyList<VolumeHead> Frozen { get; init; }
    public MemoryImage? Memory { get; init; }
    /// <summary>Copies of the machine's state files as they were at the instant; a kind that had no file yet is missing.</summary>
    public IReadOnlyList<StateFile> States { get; init; } = [];
    /// <summary>How the memory was captured: "background", "live", "suspended", "disk", or "off".</summary>
    public required string Method { get; init; }
    /// <summary>Why a better method was not used, or null.</summary>
    public string? Reason { get; init; }
    public TimeSpan Pause { get; init; }
}

/// <summary>A disk layer as it is stored.</summary>
public sealed record Layer
{
    public required LayerId Id { get; init; }
    public required EnvironmentId Environment { get; init; }
    public required MachineName Machine { get; init; }
    public required VolumeName Volume { get; init; }
    public LayerId? Parent { get; init; }
    public required string Path { get; init; }
    public required DiskFormat Format { get; init; }
    public required long VirtualSize { get; init; }
    public required LayerState State { get; init; }
    /// <summary>A file of the user's: never deleted by us.</summary>
    public bool Adopted { get; init; }
    public required DateTimeOffset CreatedAt { get; init; }

    public LayerRef ToRef() => new(Id, Path, Format, VirtualSize);
}

public enum LayerState { Live, Frozen }

public enum RouteProtocol { Tcp, Udp }

/// <summary>A published port that leads to a port of a weave.</summary>
public sealed record Route
{
    public required RouteId Id { get; init; }
    public required EnvironmentId Environment { get; init; }
    /// <summary>Null: it follows the active weave.</summary>
    public WeaveId? Weave { get; init; }
    public required MachineName Machine { get; init; }
    public required RouteProtocol Protocol { get; init; }
    /// <summary>Host address to listen on; 0.0.0.0 for all of the host's own.</summary>
    public required string ListenAddress { get; init; }
    public required int ListenPort { get; init; }
    public required int TargetPort { get; init; }
    public required DateTimeOffset CreatedAt { get; init; }
}

/// <summary>A stretch of time in which one weave was active.</summary>
public sealed record Activation(EnvironmentId Environment, WeaveId Weave, DateTimeOffset From);
