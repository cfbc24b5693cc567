using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;
using WeaveHypervisor.Operations;
using WeaveHypervisor.Weaving.Retention;
using WeaveHypervisor.Weaving.Volumes;

namespace WeaveHypervisor.Weaving;

/// <summary>
/// The product's verbs. Each checks what can be checked from our own state, writes one operation to the journal, wakes a runner and answers the operation;
/// it never waits for a hypervisor. What is refused here (NotFound, AlreadyExists, Conflict with holders, InvalidRequest) leaves no trace.
/// </summary>
public interface IWeaver
{
    Task<Operation> AdoptAsync(AdoptRequest request, Caller caller, CancellationToken stop);
    /// <summary>Gives the machines back as they were adopted. Refused with holders while other weaves exist, unless forced: then those and all history go first.</summary>
    Task<Operation> ReleaseAsync(EnvironmentId environment, bool force, Caller caller, CancellationToken stop);
    Task<Operation> SnapshotAsync(SnapshotRequest request, Caller caller, CancellationToken stop);
    Task<Operation> DeleteSnapshotAsync(SnapshotId snapshot, Caller caller, CancellationToken stop);
    /// <summary>
    /// Revives the snapshot in isolation as a weave that is nobody's to use, asks it, writes the outcome to the snapshot and removes the weave. That it fails the trial is a
    /// result of the operation and no error; what says nothing about the snapshot (no space, a hypervisor that does not answer) is an error and leaves the snapshot as it was.
    /// </summary>
    Task<Operation> VerifySnapshotAsync(VerifyRequest request, Caller caller, CancellationToken stop);
    Task<Operation> CreateWeaveAsync(CreateWeaveRequest request, Caller caller, CancellationToken stop);
    /// <summary>Refused for `main`, the active weave, and one with snapshots, unless <paramref name="withSnapshots"/>.</summary>
    Task<Operation> DeleteWeaveAsync(EnvironmentId environment, WeaveId weave, bool withSnapshots, Caller caller, CancellationToken stop);
    Task<Operation> ActivateAsync(ActivateRequest request, Caller caller, CancellationToken stop);
    Task<Operation> ChangePowerAsync(EnvironmentId environment, WeaveId weave, WeavePower change, Caller caller, CancellationToken stop);
    /// <summary>Gives a weave another time to live from now on, or none (<paramref name="timeToLive"/> null): then it lives until it is deleted. `main` has none.</summary>
    Task<Operation> KeepWeaveAsync(EnvironmentId environment, WeaveId weave, TimeSpan? timeToLive, Caller caller, CancellationToken stop);
    Task<Operation> PublishRouteAsync(RouteRequest request, Caller caller, CancellationToken stop);
    Task<Operation> WithdrawRouteAsync(EnvironmentId environment, RouteId route, Caller caller, CancellationToken stop);
    /// <summary>Gives an environment another policy, or none with null; points that there are stay until the new policy does not keep them.</summary>
    Task<Operation> SetPolicyAsync(EnvironmentId environment, SnapshotPolicy? policy, Caller caller, CancellationToken stop);
    /// <summary>
    /// Gives one weave other rules, in place of those that it has. Of `main` they are recorded, and go into snapshots and the weaves made of them; what is enforced of it is its access policy. When the operation has
    /// succeeded, no connection is begun that the new rules do not allow. <see cref="Fault.Unsupported"/> where the driver enforces none, unless there are to be none.
    /// </summary>
    Task<Operation> SetRulesAsync(EnvironmentId environment, WeaveId weave, EnvironmentRules rules, Caller caller, CancellationToken stop);
    /// <summary>The rules of a weave, or of a moment, with the machines and networks that they speak of.</summary>
    Task<KnownRules> GetRulesAsync(RulesQuery query, CancellationToken stop);
    /// <summary>What those rules say of one connection.</summary>
    Task<Verdict> AskRulesAsync(RulesQuery query, RulesQuestion question, CancellationToken stop);
    /// <summary>Shortens the chains of an environment's disks: merges layers that nobody needs the content of, and pulls into a live head what makes a chain too long.</summary>
    Task<Operation> CompactAsync(EnvironmentId environment, Caller caller, CancellationToken stop);
    /// <summary>How long the chains are, and what <see cref="CompactAsync"/> would do now, from stored facts.</summary>
    Task<CompactionPreview> PreviewCompactionAsync(EnvironmentId environment, CancellationToken stop);
    /// <summary>
    /// What volumes differ by between two weaves or snapshots, from files alone. A volume that a running machine writes to is looked at as of its newest point, and the answer says so.
    /// Busy where too many comparisons are at work; Conflict where something wrote to a file that was being read.
    /// </summary>
    Task<IReadOnlyList<VolumeDiff>> DiffVolumesAsync(DiffRequest request, IProgress<(VolumeId Volume, long Done, long Total)>? progress, CancellationToken stop);
    /// <summary>
    /// Brings what a volume holds in one weave into another: the destination becomes what the source is at one instant, or gets the source's changes merged in. The source runs on. What the
    /// destination's volume stood on before is kept for <see cref="UndoSyncAsync"/>.
    /// </summary>
    Task<Operation> SyncVolumeAsync(SyncRequest request, Caller caller, CancellationToken stop);
    /// <summary>Puts a volume back to what it was before a sync. What was written to it since is kept in its turn: this, too, can be taken back. NotFound where nothing of the sync is kept any more.</summary>
    Task<Operation> UndoSyncAsync(EnvironmentId environment, OperationId sync, bool stopMachine, Caller caller, CancellationToken stop);
    /// <summary>Gives up that a sync can be taken back, and with it the space of what was there before.</summary>
    Task<Operation> ForgetSyncAsync(EnvironmentId environment, OperationId sync, Caller caller, CancellationToken stop);
    /// <summary>The syncs of an environment that can be taken back, oldest first.</summary>
    Task<IReadOnlyList<KeptSync>> ListSyncsAsync(EnvironmentId environment, CancellationToken stop);
    /// <summary>
    /// Writes what the disks of a snapshot, or of a weave now, hold into a folder of the host that works on the environment, as a Vagrant lab. A weave's now is a moment without memory that is taken for it and
    /// goes again; machines run on. Refused where the folder is there and not empty, or where others than root and the service could change it (see <see cref="ExportRequest.Folder"/>).
    /// </summary>
    Task<Operation> ExportAsync(ExportRequest request, Caller caller, CancellationToken stop);
    /// <summary>
    /// Makes machines, which are off, of a folder that <see cref="ExportAsync"/> wrote, and adopts them. All checksums are compared before anything is made. The machines and their disks are the user's
    /// from then on: they stay when the environment is released.
    /// </summary>
    /// <param name="folder">Full path on this service's host, as safe as one that is exported to.</param>
    /// <param name="name">Null: the environment's name in the manifest.</param>
    Task<Operation> ImportAsync(string folder, EnvironmentId? name, Caller caller, CancellationToken stop);
    Task<bool> CancelAsync(OperationId operation, CancellationToken stop);

    /// <summary>The timeline of an environment, snapshots and weaves as one tree.</summary>
    Task<Timeline> TimelineAsync(EnvironmentId environment, DateTimeOffset? from, DateTimeOffset? to, CancellationToken stop);
    /// <summary>What a further snapshot of a weave (null: the active one) costs, and how many more the pool has room for. Asks for the pool's free space, not the hypervisor.</summary>
    Task<SpaceForecast> ForecastAsync(EnvironmentId environment, WeaveId? weave, bool memory, CancellationToken stop);
    /// <summary>The pool for the doctor: free space and floor, a forecast for each active weave, machines that the hypervisor paused because they could not write.</summary>
    Task<IReadOnlyList<Finding>> LookAtPoolAsync(CancellationToken stop);
    /// <summary>Where a route can be reached, from stored facts.</summary>
    Task<IReadOnlyList<RouteView>> RoutesAsync(EnvironmentId environment, WeaveId? weave, CancellationToken stop);
    /// <summary>Asks the guest agents of a weave's machines, all at once; null: those of the active weave. A few seconds at most for each that hangs.</summary>
    Task<IReadOnlyList<MachineAgent>> AskAgentsAsync(EnvironmentId environment, WeaveId? weave, CancellationToken stop);
    /// <summary>What is to be said of guest agents for the doctor: of every machine of `main` whose agent does not answer as it should, and of guests that a snapshot may have left frozen.</summary>
    /// <param name="only">Speak of these environments alone; null: of all, and of the host.</param>
    Task<IReadOnlyList<Finding>> ExamineAgentsAsync(IReadOnlyCollection<EnvironmentId>? only, CancellationToken stop);
    /// <summary>Compares the store with the host: what is left over, missing or changed; and repairs what can be where it is asked to. NotFound for a scope that is not there.</summary>
    Task<ReconciliationReport> ReconcileAsync(Reconciliation request, CancellationToken stop);
    /// <summary>
    /// Begins the deletion of every weave whose time to live is over, one operation each; none for a weave at which an operation is at work, or whose deletion failed less than
    /// <paramref name="retryAfter"/> ago. Kept are `main`, active weaves, and weaves with snapshots of their own.
    /// </summary>
    Task<ExpiryReport> DeleteExpiredAsync(TimeSpan retryAfter, Caller caller, CancellationToken stop);
    /// <summary>
    /// Begins what the policies of all environments want done now: points that are due, the removal of those that are not kept. May be called at any time, by any number
    /// of services on one store, and does nothing twice.
    /// </summary>
    Task<PolicyReport> RunPoliciesAsync(CancellationToken stop);
    /// <summary>What the policy of an environment did last and does next; null where it has none.</summary>
    Task<PolicyStanding?> PolicyStandingAsync(ManagedEnvironment environment, CancellationToken stop);
}

public sealed record MachineAgent(MachineName Machine, AgentFacts Agent);

/// <summary>Who asks, for the audit log and the journal, with the key that makes a repeated request the same request.</summary>
public sealed record Caller(string Name, string? IdempotencyKey = null, string? RequestHash = null);

/// <param name="Policy">Null: points are taken on request only.</param>
public sealed record AdoptRequest(EnvironmentId Environment, IReadOnlyList<MachineRequest> Machines, SnapshotPolicy? Policy = null);

/// <param name="Weave">Null: the active one.</param>
public sealed record SnapshotRequest(EnvironmentId Environment, WeaveId? Weave, string? Label, bool Memory, bool Quiesce);

/// <param name="Probe">What must answer; its own time limit is not used.</param>
/// <param name="Agents">Guest agents must answer: of <paramref name="AgentOf"/>, or of every machine that runs. With neither probe nor agents: those agents that are connected, or else only that the machines run.</param>
/// <param name="Timeout">How long an answer may take.</param>
public sealed record VerifyRequest(SnapshotId Snapshot, ProbeSpec? Probe, bool Agents, MachineName? AgentOf, TimeSpan Timeout);

/// <summary>At most one of <see cref="At"/> and <see cref="Snapshot"/>; neither: from now.</summary>
public sealed record CreateWeaveRequest
{
    public required EnvironmentId Environment { get; init; }
    /// <summary>Null: one is generated.</summary>
    public WeaveId? Weave { get; init; }
    public DateTimeOffset? At { get; init; }
    public SnapshotId? Snapshot { get; init; }
    /// <summary>The line on which <see cref="At"/> is looked up, or the weave whose now is taken; null: what was (or is) active.</summary>
    public WeaveId? Source { get; init; }
    public StartMode Start { get; init; } = StartMode.Resume;
    public UplinkMode Uplink { get; init; } = UplinkMode.None;
    public TimeSpan? TimeToLive { get; init; }
    public RulesOf Rules { get; init; } = RulesOf.Then;
}

/// <summary>With which rules a weave begins; they are its own from then on. Then: those of the instant that it continues. Now: those that `main` has when the weave is begun.</summary>
public enum RulesOf { Then, Now }

/// <summary>Whose rules. At most one of <see cref="Weave"/>, <see cref="Snapshot"/> and <see cref="At"/>; none: those of `main`.</summary>
/// <param name="At">The newest snapshot at or before it, on the line of what was active then.</param>
public sealed record RulesQuery(EnvironmentId Environment, WeaveId? Weave = null, SnapshotId? Snapshot = null, DateTimeOffset? At = null);

/// <param name="Weave">Null: they are those of <paramref name="Snapshot"/>, which is of the instant <paramref name="At"/>.</param>
public sealed record KnownRules(WeaveId? Weave, SnapshotId? Snapshot, DateTimeOffset? At, EnvironmentBlueprint Blueprint);

/// <summary>A connection that is asked about.</summary>
/// <param name="From">A machine's name, `outside`, or an IPv4 address.</param>
/// <param name="Protocol">Not Any.</param>
/// <param name="Port">1–65535; 0 for ICMP.</param>
public sealed record RulesQuestion(string From, string To, RuleProtocol Protocol, int Port);

/// <param name="Probe">Must answer on the target weave before anything is switched; null: none.</param>
public sealed record ActivateRequest(EnvironmentId Environment, WeaveId Weave, ProbeSpec? Probe);

/// <param name="HttpPath">Null: a TCP connection is enough; otherwise GET of this path must answer 2xx or 3xx.</param>
public sealed record ProbeSpec(MachineName Machine, int Port, string? HttpPath, TimeSpan Timeout);

/// <param name="DryRun">Look only: tell what would be done.</param>
/// <param name="Stop">Shut the destination's machine down and start it again, if it runs.</param>
/// <param name="Quiesce">Have the source's guest agent freeze its file systems for the instant.</param>
public sealed record SyncRequest(EnvironmentId Environment, WeaveId Source, WeaveId Destination, VolumeId Volume, SyncStrategy Strategy = SyncStrategy.Mirror, OnConflict OnConflict = OnConflict.Fail,
    bool DryRun = false, bool Stop = false, bool Quiesce = false);

/// <param name="Destination">The weave whose volume it is.</param>
/// <param name="Layer">What it stood on before.</param>
public sealed record KeptSync(WeaveId Destination, KeptHead Kept, Layer Layer);

/// <summary>At most one of <see cref="Weave"/> and <see cref="Snapshot"/>; neither: the active weave.</summary>
public sealed record ExportRequest
{
    public required EnvironmentId Environment { get; init; }
    public WeaveId? Weave { get; init; }
    public SnapshotId? Snapshot { get; init; }
    /// <summary>
    /// Full path of the folder that is made, on the service's host. The service writes there with its own rights: no part of the way to it may be a link, or be changed by others than root and
    /// the service's user, and it is not in the pool. It is made 0700, of the service's user.
    /// </summary>
    public required string Folder { get; init; }
    /// <summary>Vagrant's provider: "libvirt".</summary>
    public string Provider { get; init; } = "libvirt";
}

public enum WeavePower { Start, Stop, PowerOff, Pause, Resume }

/// <param name="Weave">Null: the route follows the active weave.</param>
/// <param name="Machine">Null: allowed where the environment has one machine only.</param>
/// <param name="ListenAddress">Null: 127.0.0.1.</param>
/// <param name="ListenPort">Null: a free one is chosen from the service's range.</param>
public sealed record RouteRequest(EnvironmentId Environment, WeaveId? Weave, MachineName? Machine, int TargetPort, RouteProtocol Protocol, string? ListenAddress, int? ListenPort)
{
    /// <summary>In place of a weave: the newest one that was made of what the environment was at that time. The route stays with that weave.</summary>
    public DateTimeOffset? At { get; init; }
}

/// <param name="Weave">The weave that it leads to now.</param>
/// <param name="FollowsActive">True: it moves with activation.</param>
/// <param name="Target">Host address and port behind it now; null where the weave has no such machine any more.</param>
public sealed record RouteView(Route Route, WeaveId Weave, bool FollowsActive, string? Target);

/// <summary>All that the tree view shows, in one read.</summary>
public sealed record Timeline(ManagedEnvironment Environment, IReadOnlyList<Weave> Weaves, IReadOnlyList<Snapshot> Snapshots, IReadOnlyList<Activation> Activations);

/// <param name="Begun">Deletions that were begun now.</param>
/// <param name="Kept">Expired weaves that are not deleted, and why.</param>
public sealed record ExpiryReport(IReadOnlyList<Operation> Begun, IReadOnlyList<KeptWeave> Kept);

public sealed record KeptWeave(EnvironmentId Environment, WeaveId Weave, DateTimeOffset ExpiredAt, string Reason);

/// <summary>What a comparison of the store with the host is to do, and of what. Routes are one set of the whole host, and are always compared.</summary>
/// <param name="Environment">Only of this one; null: of all, and of what belongs to none.</param>
/// <param name="Weave">Only of this one of <paramref name="Environment"/>.</param>
public sealed record Reconciliation(RepairMode Mode, EnvironmentId? Environment = null, WeaveId? Weave = null);

/// <summary>
/// Look: change nothing on the host. Restore: also remove left-overs, publish routes again, make fences whole; that machines were stopped by something else stays with their weave as drift.
/// Repair: that, too, is then taken as known. Run states in the store are brought up to date by all three.
/// </summary>
public enum RepairMode { Look, Restore, Repair }

/// <param name="Begun">Operations that were begun now.</param>
/// <param name="Skipped">Points that were due and are left out.</param>
public sealed record PolicyReport(IReadOnlyList<Operation> Begun, IReadOnlyList<SkippedPoint> Skipped);

/// <param name="Slot">When it was due.</param>
public sealed record SkippedPoint(EnvironmentId Environment, DateTimeOffset Slot, string Reason);

/// <param name="NextAt">When the next slot begins.</param>
/// <param name="Last">The operation of the last automatic point, however it ended; null where there was none.</param>
public sealed record PolicyStanding(SnapshotPolicy Policy, DateTimeOffset NextAt, Operation? Last);

/// <param name="Folds">What would be done first, for people; each changes what can be done after it.</param>
/// <param name="InUse">Layers that could be merged but for several running machines that have them open.</param>
/// <param name="Limit">Layers from which on a chain is shortened by itself.</param>
public sealed record CompactionPreview(IReadOnlyList<ChainLength> Chains, IReadOnlyList<string> Folds, IReadOnlyList<string> InUse, int Limit);

/// <param name="Layers">The live one and the adopted file among them.</param>
public sealed record ChainLength(WeaveId Weave, MachineName Machine, VolumeName Volume, int Layers);

/// <param name="Findings">Empty but for an Ok where all is well. After a repair: what could not be repaired, and why.</param>
/// <param name="Repaired">What was done, a sentence each; empty without repair.</param>
/// <param name="Repairable">What a repair would do, a sentence each; empty with repair.</param>
/// <param name="Busy">Environments that were not looked at, because operations are at work there.</param>
public sealed record ReconciliationReport(IReadOnlyList<Finding> Findings, IReadOnlyList<string> Repaired, IReadOnlyList<string> Repairable, IReadOnlyList<EnvironmentId> Busy);
