using WeaveHypervisor.Model;

namespace WeaveHypervisor.Drivers;

/// <summary>A capture of a set of machines. All ids and paths are chosen before the call, so that a crash leaves nothing unknown.</summary>
public sealed record CaptureRequest
{
    public required EnvironmentId Environment { get; init; }
    public required SnapshotId Snapshot { get; init; }
    public required IReadOnlyList<CaptureMachine> Machines { get; init; }
    public required bool Memory { get; init; }
    /// <summary>Freeze file systems by the guest agent first, in machines whose memory is not captured; a guest without an agent is captured without; <see cref="CapturedMachine.Quiescing"/> says what was reached.</summary>
    public bool Quiesce { get; init; }
}

/// <param name="Exists">False for a copy that is off: the hypervisor has no such machine; only layers are made.</param>
/// <param name="Base">The memory image that the machine was started from and may still map, or null. To be verified by the driver.</param>
/// <param name="Newest">The newest memory image on the machine's line, or null: only what differs from its flat file need be stored. To be verified by the driver.</param>
public sealed record CaptureMachine(MachineRef Machine, bool Exists, IReadOnlyList<CaptureVolume> Volumes, string FlatPath, string DeviceStatePath, MemoryImage? Base = null, MemoryImage? Newest = null)
{
    /// <summary>The kinds of state that the machine keeps, each with the path that its copy of the instant gets.</summary>
    public IReadOnlyList<CaptureState> States { get; init => field = value ?? []; } = [];
}

/// <param name="Own">The file of a copy of ours; null for an adopted machine, whose definition names its file.</param>
public sealed record CaptureState(StateKind Kind, string Path, string? Own);

/// <param name="Target">The hypervisor's device name.</param>
/// <param name="Head">The live layer, to be frozen.</param>
/// <param name="NewHead">The layer that takes over; made by the capture.</param>
public sealed record CaptureVolume(VolumeName Volume, string Target, LayerRef Head, LayerRef NewHead);

/// <param name="At">The instant: when the last machine had been suspended, or the disk cut where none was.</param>
/// <param name="Skew">Between the first and the last machine's suspension (with a common pause, all states are of one instant nevertheless).</param>
public sealed record CaptureResult(DateTimeOffset At, Consistency Consistency, TimeSpan Skew, IReadOnlyList<CapturedMachine> Machines);

/// <param name="Method">"background" (write-protected, streamed while the machine runs), "live" (streamed while it runs, the last changes while it is suspended), "private" (its own pages of a shared image), "suspended" (it was paused), "disk", or "off".</param>
/// <param name="Nics">NICs with the addresses known at the instant.</param>
public sealed record CapturedMachine(MachineName Name, RunState RunState, MemoryImage? Memory, string Method, string? Reason, TimeSpan Pause, IReadOnlyList<NicBlueprint> Nics)
{
    /// <summary>State files of the instant. Missing: the machine had none yet, because it never ran.</summary>
    public IReadOnlyList<StateFile> States { get; init => field = value ?? []; } = [];
    /// <summary>Null where it was not asked for.</summary>
    public Quiescing? Quiescing { get; init; }
}

/// <summary>Which layer a volume writes to now.</summary>
public sealed record HeadReport(MachineName Machine, VolumeName Volume, LayerId LiveLayer);

public sealed record FenceSpec
{
    public required FenceTag Tag { get; init; }
    public required EnvironmentId Environment { get; init; }
    public required WeaveId Weave { get; init; }
    public required IReadOnlyList<NetworkBlueprint> Networks { get; init; }
    public required IReadOnlyList<FenceMachine> Machines { get; init; }
    public UplinkMode Uplink { get; init; }
    /// <summary>Enforced in the fence before the first frame of a machine passes, and from the end of the call on; see <see cref="EnvironmentRules"/>. Of the access policy a fence knows nothing: it belongs to published ports.</summary>
    public IReadOnlyList<SecurityGroup> Groups { get; init; } = [];
}

public sealed record FenceMachine(MachineName Name, IReadOnlyList<NicBlueprint> Nics);

/// <summary>The host address that leads to each machine's address: one outer address for every inner one.</summary>
public sealed record FenceFacts(IReadOnlyList<MachineAddress> Addresses);

public sealed record InstantiateRequest
{
    public required EnvironmentId Environment { get; init; }
    public required WeaveId Weave { get; init; }
    public required FenceTag Tag { get; init; }
    /// <summary>Names of the fence's networks, in the order of <see cref="FenceSpec.Networks"/>.</summary>
    public IReadOnlyList<NetworkName> Networks { get; init; } = [];
    public required IReadOnlyList<CopyMachine> Machines { get; init; }
    /// <summary>Start nothing that is not paused: for looking before leaping.</summary>
    public bool LeavePaused { get; init; }
}

/// <param name="Blueprint">The machine's definition at the instant that it continues.</param>
/// <param name="Heads">Live layer by target; made before by <see cref="IHypervisorDriver.CreateOverlayAsync"/>.</param>
/// <param name="Memory">Null: boot.</param>
/// <param name="RunState">What it is to be: Running, Paused, or Off (not started at all).</param>
public sealed record CopyMachine(MachineRef Machine, MachineBlueprint Blueprint, IReadOnlyList<CopyVolume> Heads, MemoryImage? Memory, RunState RunState)
{
    /// <summary>The copy's own state files; made before by <see cref="IHypervisorDriver.CreateStateAsync"/> where one was captured.</summary>
    public IReadOnlyList<StateFile> States { get; init; } = [];
}

public sealed record CopyVolume(VolumeName Volume, string Target, LayerRef Head);

/// <param name="Method">"shared", "whole", "boot", "kept" (it ran already), or "off".</param>
public sealed record StartedMachine(MachineName Name, RunState RunState, string Method, string? Reason, TimeSpan Create, TimeSpan Load, TimeSpan Resume);

public enum PowerChange { Start, Pause, Resume, ShutDown, PowerOff }

/// <param name="Adopted">The file to merge into.</param>
/// <param name="Chain">All layers above it, lowest first, the live one last; empty: nothing to merge.</param>
public sealed record ReturnedVolume(VolumeName Volume, string Target, LayerRef Adopted, IReadOnlyList<LayerRef> Chain);

/// <summary>
/// The layer <see cref="Layer"/> is to stand on <see cref="Parent"/> directly, without <see cref="Between"/>, which are between the two now. Two kinds:
/// <para><b>Merge</b> (<see cref="IsHead"/> false): nothing but <see cref="Layer"/> needs the content of <see cref="Between"/>, none of which has another child. Their files may be written to,
/// and the lowest may become the layer's own.</para>
/// <para><b>Pull</b> (<see cref="IsHead"/> true): the layer is a machine's live head, and the files between stay as they are, because others need them.</para>
/// </summary>
public sealed record FoldRequest
{
    /// <summary>The machine that the layer belongs to, which may have it open; null where it is in the chain of none that could. No other machine that runs has the layer in its chain.</summary>
    public MachineRef? Machine { get; init; }
    /// <summary>The machine's device; null without a machine.</summary>
    public string? Target { get; init; }
    public required LayerRef Layer { get; init; }
    public bool IsHead { get; init; }
    /// <summary>Lowest first, at least one; never an adopted file.</summary>
    public required IReadOnlyList<LayerRef> Between { get; init; }
    public required LayerRef Parent { get; init; }
    /// <summary>The layer right above <see cref="Layer"/> in the machine's chain; null for its head, and without a machine.</summary>
    public LayerRef? Above { get; init; }
    /// <summary>All other layers that stand on <see cref="Layer"/>; no running machine has them open.</summary>
    public IReadOnlyList<LayerRef> Others { get; init => field = value ?? []; } = [];
    /// <summary>The adopted machine of the same volume, running or not: its stored definition, which may name files of its chain, is made to name the head alone.</summary>
    public MachineRef? Defined { get; init; }
    /// <summary>Its device; null without it.</summary>
    public string? DefinedTarget { get; init; }
    /// <summary>Limit of what is copied in a second by a running machine; 0: none.</summary>
    public long BytesPerSecond { get; init; }
}

/// <param name="Done">The layer stands on the wanted parent.</param>
/// <param name="Layer">The layer, at the path where it is now.</param>
public sealed record FoldResult(bool Done, LayerRef Layer);

/// <summary>Host address and port that lead to an address and port of a machine (the outer address of a fence, or the machine's own for adopted ones).</summary>
public sealed record PublishedEndpoint(RouteId Id, RouteProtocol Protocol, string ListenAddress, int ListenPort, string TargetAddress, int TargetPort)
{
    /// <summary>Who may use it: IPv4 prefixes in canonical form, ascending, joined by commas (<see cref="AccessPolicy.ToString"/>); null: everyone. What others send to the port is dropped.</summary>
    public string? Sources { get; init; }
    /// <summary>The fence behind which the target is; null: the target is no copy.</summary>
    public FenceTag? Fence { get; init; }
}

public sealed record AttachedVolume(VolumeName Volume, string Target, LayerRef Layer)
{
    /// <summary>The machine's definition that has the volume's device: its bus, address, serial number. Null: a plain device.</summary>
    public MachineBlueprint? Blueprint { get; init; }
}

/// <summary>What a new layer holds.</summary>
/// <param name="Ranges">Where it differs from its parent: ascending, without overlaps, within its size. Enumerated once.</param>
/// <param name="Read">What it reads as in the ranges.</param>
/// <param name="Below">What its parent reads as anywhere.</param>
/// <param name="Bytes">Of all ranges, for progress; 0 where that is not known.</param>
public sealed record LayerContent(IAsyncEnumerable<DiskRange> Ranges, DiskReader Read, DiskReader Below, long Bytes);

/// <summary>Owned copies, fences and files on the host, and the endpoints that are published.</summary>
public sealed record OwnedThings(IReadOnlyList<OwnedThing> Things, IReadOnlyList<PublishedEndpoint> Endpoints);

public enum OwnedKind { Machine, Fence, File }

/// <param name="Key">Machine: its UUID. Fence: its tag. File: its path.</param>
/// <param name="Bytes">Allocated bytes of a file, else 0.</param>
public sealed record OwnedThing(OwnedKind Kind, string Key, string Description, long Bytes);
