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
    /// <summary>When points are taken by themselves and how long they are kept; null: none are, and none are removed.</summary>
    public SnapshotPolicy? Policy { get; init; }
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
    public IReadOnlyList<MachineAddress> Addresses { get; init => field = value ?? []; } = [];
    public DateTimeOffset? ExpiresAt { get; init; }
    /// <summary>What a foreign hand changed, found by the last look; empty where nothing.</summary>
    public IReadOnlyList<Drift> Drift { get; init => field = value ?? []; } = [];

    /// <summary>The snapshot that this weave was revived from to be tried, for the length of one operation only; null for every other weave. It is nobody's to use.</summary>
    public SnapshotId? Verifies { get; init; }

    /// <summary>What volumes stood on before they were synced: at most one layer of each volume, kept so that the sync can be taken back.</summary>
    public IReadOnlyList<KeptHead> Kept { get; init => field = value ?? []; } = [];

    public bool IsMain => Id == Main;

    private const string TemporaryPrefix = "verify-";
    /// <summary>The id of a weave that verifies a snapshot; people cannot give ids of this form.</summary>
    public static WeaveId TemporaryId(FenceTag tag) => WeaveId.Parse(TemporaryPrefix + tag);
    /// <summary>Ids that are no names for people to give.</summary>
    public static bool IsReserved(WeaveId id) => id == Main || id.Text == ActiveAlias || (id.Text.StartsWith(TemporaryPrefix, StringComparison.Ordinal) && FenceTag.TryCreate(id.Text[TemporaryPrefix.Length..], out _));
}

/// <summary>A machine of a weave: its name on the hypervisor, its UUID there, and the live layer of each of its volumes.</summary>
public sealed record WeaveMachine
{
    public required MachineName Name { get; init; }
    public required string HypervisorName { get; init; }
    public required Guid Uuid { get; init; }
    public required IReadOnlyList<VolumeHead> Heads { get; init; }
    /// <summary>State files of a copy's own. Empty for adopted machines, whose files are the user's.</summary>
    public IReadOnlyList<StateFile> States { get; init => field = value ?? []; } = [];
    public RunState RunState { get; init; }
    /// <summary>How it was last started, for people: "memory shared", "whole stream: hugepages", "booted: …".</summary>
    public string? StartedBy { get; init; }
    /// <summary>The snapshot whose memory image it may still map; its images are kept until the machine is gone or was booted.</summary>
    public SnapshotId? MemoryFrom { get; init; }
}

public sealed record VolumeHead(VolumeName Volume, LayerId Layer);

/// <summary>
/// The frozen layer that a volume of a weave stood on until it was synced. It is kept until the sync is forgotten, the volume is synced again (or that is taken back), or the weave is deleted.
/// </summary>
/// <param name="Sync">The operation that can be taken back.</param>
/// <param name="Source">The weave whose content it brought; null where it took another sync back.</param>
public sealed record KeptHead(OperationId Sync, MachineName Machine, VolumeName Volume, LayerId Layer, DateTimeOffset At, WeaveId? Source);

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
    /// <summary>Taken as the beginning of a weave from now, and not because somebody asked for a moment of history: it goes with the last weave that was made from it.</summary>
    public bool ForWeave { get; init; }
    /// <summary>The last trial whether it can be revived; null where it was never tried.</summary>
    public Verification? Verification { get; init; }
    /// <summary>Who asked for it: the name of a token, or <see cref="SnapshotPolicy.Maker"/>; null where that was not recorded yet.</summary>
    public string? MadeBy { get; init; }

    /// <summary>Taken by the policy of its environment, which removes it again when it is not kept any more.</summary>
    public bool IsAutomatic => MadeBy == SnapshotPolicy.Maker;
}

/// <summary>
/// What answered in a revived snapshot, best first. Service: a machine's port. Agent: guest agents, so the guests' kernels and user space. Running: nothing was asked;
/// the machines were started and did not end for some seconds.
/// </summary>
public enum VerificationLevel { Service, Agent, Running }

/// <summary>One trial of a snapshot: it was revived in isolation, asked, and removed again.</summary>
public sealed record Verification
{
    /// <summary>When the outcome was known.</summary>
    public required DateTimeOffset At { get; init; }
    public required bool Passed { get; init; }
    public required VerificationLevel Level { get; init; }
    /// <summary>What was asked, for people: "http://web:80/", "guest agent of db", "running for 10 s".</summary>
    public required string Probe { get; init; }
    /// <summary>Why it failed; null where it passed.</summary>
    public string? Reason { get; init; }
    /// <summary>From the beginning of the start to the first reply; null where none came, none was asked for, or the service was started anew in between.</summary>
    public TimeSpan? FirstReply { get; init; }
    /// <summary>How each machine came back; empty where it did not come to that.</summary>
    public IReadOnlyList<VerifiedMachine> Machines { get; init => field = value ?? []; } = [];
}

/// <param name="Method">How its memory came back: "shared", "whole", "boot", "kept" or "off".</param>
/// <param name="Reason">Why a better method was not used, or null.</param>
public sealed record VerifiedMachine(MachineName Name, RunState RunState, string Method, string? Reason = null);

public enum SnapshotState { Capturing, Ready, Deleting }

public sealed record SnapshotMachine
{
    public required MachineName Name { get; init; }
    public required RunState RunState { get; init; }
    /// <summary>The layer of each volume that was frozen at the instant.</summary>
    public required IReadOnlyList<VolumeHead> Frozen { get; init; }
    public MemoryImage? Memory { get; init; }
    /// <summary>Copies of the machine's state files as they were at the instant; a kind that had no file yet is missing.</summary>
    public IReadOnlyList<StateFile> States { get; init => field = value ?? []; } = [];
    /// <summary>How the memory was captured: "background", "live", "private", "suspended", "disk", or "off".</summary>
    public required string Method { get; init; }
    /// <summary>Why a better method was not used, or null.</summary>
    public string? Reason { get; init; }
    public TimeSpan Pause { get; init; }
    /// <summary>Null where it was not asked for.</summary>
    public Quiescing? Quiescing { get; init; }
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
    /// <summary>Bytes on disk when it was frozen: what was written since the snapshot before. Null for live layers, and where nobody measured.</summary>
    public long? FrozenBytes { get; init; }

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
