using WeaveHypervisor.Model;

namespace WeaveHypervisor.Drivers;

/// <summary>
/// What the product asks of a hypervisor on one host. A driver holds no state of ours between calls: every call carries all it needs,
/// so any service process may make the next one after a crash.
/// <para><b>Twice.</b> Every call may be made again with the same arguments after it failed, was cancelled or the process died in it, and
/// then ends as if it had been made once: what is there already is kept, what is half made is finished or made anew.
/// <see cref="CaptureAsync"/> is the one exception: an instant cannot be had again; after a crash <see cref="AbandonCaptureAsync"/> is called instead.</para>
/// <para><b>Gone.</b> Retiring or deleting what is not there is success.</para>
/// <para><b>Errors.</b> <see cref="WeaveException"/> only, <see cref="WeaveException.NotWritten"/> where a file of the driver's own could not be written; cancellation is <see cref="OperationCanceledException"/>. After an error of any call
/// but the retiring ones nothing that the call made is left, or a second call (or its undo) finds and removes it.</para>
/// <para><b>Machines are never left paused</b> by a failed or cancelled call.</para>
/// </summary>
public interface IHypervisorDriver : IAsyncDisposable
{
    /// <summary>An optional ability of this driver, such as <see cref="IMachineExports"/>; null where it has it not.</summary>
    T? Facet<T>() where T : class => this as T;

    /// <summary>What this driver can do here. Callers ask this, never a driver's name.</summary>
    DriverCapabilities Capabilities { get; }

    /// <summary>Facts and known problems of the host, for `weave doctor` and the start of the service. Unavailable hypervisor: a finding, not an error.</summary>
    Task<HostFacts> InspectHostAsync(CancellationToken stop);

    /// <summary>Reads machines and their networks for adoption. Touches nothing. All refusals are reported together, not the first only.</summary>
    Task<Examination> ExamineAsync(IReadOnlyList<MachineRequest> machines, CancellationToken stop);

    /// <summary>The present of one machine; null where the hypervisor has no such machine (a copy that is off is not there).</summary>
    Task<MachineFacts?> InspectAsync(MachineRef machine, CancellationToken stop);

    /// <summary>
    /// Asks a machine's guest agent for a sign of life. What stands in its way is the answer; only a hypervisor that does not answer is an error. A machine without a channel, or without an
    /// agent at its end, is told of at once. Changes nothing.
    /// </summary>
    /// <param name="patience">More than zero; an agent that has not answered by then is <see cref="AgentCondition.Silent"/>.</param>
    Task<AgentFacts> AskAgentAsync(MachineRef machine, TimeSpan patience, CancellationToken stop);

    /// <summary>
    /// What a machine's guest agent says of file systems on a volume. One that is used without (swap, a database on the bare disk) is not mounted in this sense. Silence and nonsense of a guest are
    /// answers. Changes nothing.
    /// </summary>
    Task<VolumeMounts> FindMountsAsync(MachineRef machine, string target, TimeSpan patience, CancellationToken stop);

    /// <summary>
    /// Thaws guests that captures of this service froze, or asked to freeze, and of which no agent has said since that they are thawed: after a crash, or where an agent
    /// woke up late. Captures at work are left alone, and so is what others have frozen. Answers those that still cannot be vouched for; costs nothing where there are none.
    /// </summary>
    Task<IReadOnlyList<Finding>> ThawAsync(CancellationToken stop);

    /// <summary>The path at which a new layer is to be made. Pure: same arguments, same answer, nothing is touched.</summary>
    string PlaceLayer(EnvironmentId environment, FenceTag weave, LayerId layer);

    /// <summary>The name that a copy of a machine gets on the hypervisor. Pure.</summary>
    string NameCopy(EnvironmentId environment, WeaveId weave, MachineName machine) => $"weave.{environment}.{weave}.{machine}";

    /// <summary>The two paths (flat RAM file, device state) of a memory image to be made. Pure.</summary>
    (string Flat, string DeviceState) PlaceMemory(EnvironmentId environment, SnapshotId snapshot, MachineName machine);

    /// <summary>The path at which a machine's state is kept with a snapshot. Pure.</summary>
    string PlaceState(EnvironmentId environment, SnapshotId snapshot, MachineName machine, StateKind kind);

    /// <summary>The path of a copy's own state. Pure.</summary>
    string PlaceState(EnvironmentId environment, FenceTag weave, MachineRef copy, StateKind kind);

    /// <summary>Bytes that can still be written where layers and memory images are made.</summary>
    Task<StorageFacts> InspectStorageAsync(CancellationToken stop);

    /// <summary>Those of the files (layers, adopted disks, memory images) that are not there. In the order given; touches nothing.</summary>
    Task<IReadOnlyList<string>> FindMissingAsync(IReadOnlyList<string> paths, CancellationToken stop);

    /// <summary>Bytes that files take on disk, by path; those that are not there are left out. Touches nothing.</summary>
    Task<IReadOnlyDictionary<string, long>> MeasureFilesAsync(IReadOnlyList<string> paths, CancellationToken stop);

    /// <summary>Makes an empty layer on top of a frozen one: 0600, owner right, synced. Exists already with the same parent: success.</summary>
    Task CreateOverlayAsync(LayerRef layer, LayerRef parent, CancellationToken stop);

    /// <summary>
    /// Makes a layer on top of a frozen one that differs from it: 0600, owner right, synced, whole or absent after an error or a crash. Exists already with the same parent: success, untouched.
    /// Nothing but the content is read; space is the caller's to check.
    /// </summary>
    Task WriteLayerAsync(LayerRef layer, LayerRef parent, LayerContent content, IProgress<Progress>? progress, CancellationToken stop);

    /// <summary>Makes a copy's own state file from one that was captured: 0600, synced. Exists already: it is kept, because the copy may have written to it.</summary>
    Task CreateStateAsync(StateFile captured, string path, CancellationToken stop);

    /// <summary>Deletes files of ours by path: layers, memory images, state files (with what the hypervisor itself keeps of that state). A path outside the driver's own tree is refused (InvalidRequest).</summary>
    Task DeleteFilesAsync(IReadOnlyList<string> paths, CancellationToken stop);

    /// <summary>
    /// One consistent instant over all machines of <paramref name="request"/>: each volume's head is frozen and its new head (made by this call)
    /// takes over; state files are copied as they are at the instant; with memory, memory images of the same instant are written. Returns when everything is on disk. A machine that is off is
    /// captured as off; one that is paused stays paused. Reasons for a lesser method than the best are in the result. An image may share the flat file of
    /// <see cref="CaptureMachine.Base"/> or <see cref="CaptureMachine.Newest"/> (<see cref="MemoryImage.SharesBase"/>), which is then needed as long as that image is.
    /// On error or cancellation the machines run on; heads may have been switched: <see cref="AbandonCaptureAsync"/> tells.
    /// Guests are frozen as shortly as can be: all at once right before the pause, thawed right after the disk cut. An agent that fails never fails the capture.
    /// </summary>
    Task<CaptureResult> CaptureAsync(CaptureRequest request, IProgress<Progress>? progress, CancellationToken stop);

    /// <summary>
    /// Clears away after a capture that failed or died at any point: ends its memory transfer, resumes machines that it paused, thaws those that it froze, removes its own
    /// memory files (never one of an earlier image), its state files and those new heads that did not take over. Answers for each volume which of the two heads is the live one now. May be called any number of times.
    /// </summary>
    Task<IReadOnlyList<HeadReport>> AbandonCaptureAsync(CaptureRequest request, CancellationToken stop);

    /// <summary>
    /// Makes the isolated networks and the gateway of a weave. There already, or left in parts by whatever ended it: made whole again (a flushed rule set, a dead DNS server) and kept, under machines that run.
    /// A fence that a reboot of the host took gets the outer addresses that it had, unless somebody else on the host has them now.
    /// Machines never see a difference to the original network but for the outside. Answers host addresses that lead to the machines.
    /// </summary>
    Task<FenceFacts> MakeFenceAsync(FenceSpec fence, CancellationToken stop);

    /// <summary>
    /// What is missing of a fence, a sentence each without a full stop; empty: whole. Touches nothing. What is found is what <see cref="MakeFenceAsync"/> makes whole.
    /// </summary>
    Task<IReadOnlyList<string>> InspectFenceAsync(FenceSpec fence, CancellationToken stop);

    /// <summary>Removes all of a fence; refused (Conflict) by no one: machines still on it lose their link.</summary>
    Task RetireFenceAsync(FenceTag tag, CancellationToken stop);

    /// <summary>
    /// Starts copies inside a fence, all in parallel, under their own names and UUIDs, on their live layers: resumed from their memory images, or booted where
    /// there is none or the request says so. A state file of the copy's that is not there yet is made fresh by the hypervisor. A machine of that UUID that runs already is kept. All run or none: on error those that this call started are retired.
    /// With <see cref="InstantiateRequest.LeavePaused"/> they stay paused.
    /// </summary>
    Task<IReadOnlyList<StartedMachine>> InstantiateAsync(InstantiateRequest request, IProgress<Progress>? progress, CancellationToken stop);

    /// <summary>Changes the run state of existing machines: start (adopted ones only; copies start through <see cref="InstantiateAsync"/>), pause, resume, shut down, power off. Already so: success.</summary>
    Task ChangePowerAsync(IReadOnlyList<MachineRef> machines, PowerChange change, TimeSpan patience, CancellationToken stop);

    /// <summary>Ends a copy for good and removes its definition, never its layers. Refused (InvalidRequest) for a machine that this driver did not make.</summary>
    Task RetireAsync(MachineRef machine, CancellationToken stop);

    /// <summary>
    /// Gives an adopted machine its own disks back: all layers above the adopted file are merged down into exactly that file (never below it), and the machine
    /// uses it again, running or not as it is now. The layers themselves are left for <see cref="DeleteFilesAsync"/>.
    /// </summary>
    Task ReturnVolumesAsync(MachineRef machine, IReadOnlyList<ReturnedVolume> volumes, IProgress<Progress>? progress, CancellationToken stop);

    /// <summary>
    /// Takes layers out of the chain of one layer, which reads the same at every instant, before, meanwhile and afterwards, whatever ends in between. See <see cref="FoldRequest"/> for what
    /// may be folded. Machines run on. Where the layer is afterwards is in the answer; files that it does not need any more are left for <see cref="DeleteFilesAsync"/>.
    /// Refused (Conflict) where another process has a file open that would be written. Done already: success. On error or cancellation the layer stands as before or as wanted:
    /// <see cref="EndFoldAsync"/> tells, and must be called before anything else is done with these layers.
    /// </summary>
    Task<FoldResult> FoldAsync(FoldRequest request, IProgress<Progress>? progress, CancellationToken stop);

    /// <summary>
    /// Clears away after a fold that failed, was cancelled or died at any point: ends its block job, removes what was half written, finishes what can only be finished. Answers how the layer
    /// stands now. The machine may have been stopped or started meanwhile. May be called any number of times, also after a fold that went well.
    /// </summary>
    Task<FoldResult> EndFoldAsync(FoldRequest request, CancellationToken stop);

    /// <summary>
    /// Makes exactly <paramref name="endpoints"/> the published ports of this service on this host, in one atomic change; connections that exist go on to where they went.
    /// They outlive the service. A port that a local program listens on, or another owner's, is refused (Conflict) before anything changes.
    /// The fence behind a target need not be there: until it is made nobody gets through, and what is sent to the port goes nowhere else; then it leads in.
    /// </summary>
    Task PublishAsync(IReadOnlyList<PublishedEndpoint> endpoints, CancellationToken stop);

    /// <summary>Everything on the host that bears this service's mark: what reconciliation compares with the store.</summary>
    Task<OwnedThings> ListOwnedAsync(CancellationToken stop);

    /// <summary>Removes one owned thing that the store does not know.</summary>
    Task RemoveOwnedAsync(OwnedThing thing, CancellationToken stop);

    /// <summary>
    /// Hot-plugs a volume into a running machine, or adds it to a machine that is off, as the device that the machine's blueprint says, where it is given. Attached already: success. Another file is
    /// attached there: Conflict.
    /// </summary>
    Task AttachVolumeAsync(MachineRef machine, AttachedVolume volume, CancellationToken stop);

    /// <summary>
    /// Unplugs a volume, from a machine that is off at once; waits for the guest to let go at most <paramref name="patience"/>, then Busy, with the volume still attached. A guest is told, not asked:
    /// many let go of a volume that they have mounted, too. Not attached: success.
    /// </summary>
    Task DetachVolumeAsync(MachineRef machine, string target, TimeSpan patience, CancellationToken stop);
}

/// <summary>What a driver can do on this host, as data.</summary>
/// <param name="MemoryCapture">Memory can be captured at all.</param>
/// <param name="MemorySharing">Copies share memory images instead of loading them; false with the reason in <paramref name="MemorySharingReason"/>.</param>
/// <param name="HotPlug">Volumes can be attached to and detached from running machines.</param>
/// <param name="Fences">Networks are really isolated and routed here.</param>
/// <param name="LayerFormat">Format of layers that this driver makes.</param>
public sealed record DriverCapabilities(string Name, bool MemoryCapture, bool MemorySharing, string? MemorySharingReason, bool HotPlug, bool Fences, DiskFormat LayerFormat)
{
    /// <summary>Null where a fence enforces <see cref="FenceSpec.Groups"/> and published ports their <see cref="PublishedEndpoint.Sources"/>; else why not. A driver that does not refuses (Unsupported) a fence with groups, and ports with sources.</summary>
    public string? RulesReason { get; init; }
}

/// <summary>Progress of a driver call: what is being done, and how far in bytes where that is known (0 of 0: unknown).</summary>
public readonly record struct Progress(string Activity, long Done, long Total);

public sealed record HostFacts(string Hypervisor, string Version, IReadOnlyDictionary<string, string> Details, IReadOnlyList<Finding> Findings);

public enum FindingLevel { Ok, Note, Warning, Error }

/// <summary>One line of the doctor: what was looked at, what was found, what to do.</summary>
public sealed record Finding(FindingLevel Level, string Subject, string Text, string? NextStep);

public sealed record StorageFacts(string Path, long FreeBytes, long TotalBytes);

/// <summary>A machine on the hypervisor. Name and UUID must both match where both are known.</summary>
public sealed record MachineRef(MachineName Name, string HypervisorName, Guid Uuid);

/// <summary>Adopt the hypervisor's machine <paramref name="HypervisorName"/> as <paramref name="Name"/>.</summary>
/// <param name="HypervisorName">Its name there, or its UUID in the form of `virsh list --uuid`; <see cref="ExaminedMachine.Machine"/> has both.</param>
public sealed record MachineRequest(MachineName Name, string HypervisorName);

/// <summary>What examination found; with any refusal nothing may be adopted.</summary>
public sealed record Examination(EnvironmentBlueprint Blueprint, IReadOnlyList<ExaminedMachine> Machines, IReadOnlyList<Refusal> Refusals);

public sealed record ExaminedMachine(MachineRef Machine, RunState RunState, IReadOnlyList<ExaminedVolume> Volumes);

/// <param name="Path">The disk file in use now.</param>
public sealed record ExaminedVolume(VolumeName Volume, string Path, DiskFormat Format, long VirtualSize);

public sealed record Refusal(string Subject, string Reason, string NextStep);

/// <summary>The present of a machine: run state, the path that each volume's target uses now, IPv4 addresses by MAC, resident and private bytes of the process (0 where unknown).</summary>
public sealed record MachineFacts(RunState RunState, IReadOnlyDictionary<string, string> VolumePaths, IReadOnlyDictionary<string, IReadOnlyList<string>> Addresses, long ResidentBytes, long PrivateBytes)
{
    /// <summary>The hypervisor itself paused it, because it could not write to a disk; null where it did not.</summary>
    public DiskTrouble? Trouble { get; init; }
}

/// <summary>Why a hypervisor pauses a machine that writes: no space was left for the disk, or the write failed in another way.</summary>
public enum DiskTrouble { NoSpace, Failed }
