using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;
using WeaveHypervisor.Operations;
using WeaveHypervisor.Weaving.Retention;

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
    Task<bool> CancelAsync(OperationId operation, CancellationToken stop);

    /// <summary>The timeline of an environment, snapshots and weaves as one tree.</summary>
    Task<Timeline> TimelineAsync(EnvironmentId environment, DateTimeOffset? from, DateTimeOffset? to, CancellationToken stop);
    /// <summary>What a further snapshot of a weave (null: the active one) costs, and how many more the pool has room for. Asks for the pool's free space, not the hypervisor.</summary>
    Task<SpaceForecast> ForecastAsync(EnvironmentId environment, WeaveId? weave, bool memory, CancellationToken stop);
    /// <summary>The pool for the doctor: free space and floor, a forecast for each active weave, machines that the hypervisor paused because they could not write.</summary>
    Task<IReadOnlyList<Finding>> LookAtPoolAsync(CancellationToken stop);
    /// <summary>Where a route can be reached, from stored facts.</summary>
    Task<IReadOnlyList<RouteView>> RoutesAsync(EnvironmentId environment, WeaveId? weave, CancellationToken stop);
    /// <summary>Compares the store with the host: what is left over, missing or changed; and repairs what can be where it is asked to. NotFound for a scope that is not there.</summary>
    Task<ReconciliationReport> ReconcileAsync(Reconciliation request, CancellationToken stop);
    /// <summary>
    /// Begins the deletion of every weave whose time to live is over, one operation each; none for a weave at which an operation is at work, or whose deletion failed less than
    /// <paramref name="retryAfter"/> ago. Kept are `main`, active weaves, and weaves with snapshots of their own.
    /// </summary>
    Task<ExpiryReport> DeleteExpiredAsync(TimeSpan retryAfter, Caller caller, CancellationToken stop);
}

/// <summary>Who asks, for the audit log and the journal, with the key that makes a repeated request the same request.</summary>
public sealed record Caller(string Name, string? IdempotencyKey = null, string? RequestHash = null);

public sealed record AdoptRequest(EnvironmentId Environment, IReadOnlyList<MachineRequest> Machines);

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
}

/// <param name="Probe">Must answer on the target weave before anything is switched; null: none.</param>
public sealed record ActivateRequest(EnvironmentId Environment, WeaveId Weave, ProbeSpec? Probe);

/// <param name="HttpPath">Null: a TCP connection is enough; otherwise GET of this path must answer 2xx or 3xx.</param>
public sealed record ProbeSpec(MachineName Machine, int Port, string? HttpPath, TimeSpan Timeout);

public enum WeavePower { Start, Stop, PowerOff, Pause, Resume }

/// <param name="Weave">Null: the route follows the active weave.</param>
/// <param name="Machine">Null: allowed where the environment has one machine only.</param>
/// <param name="ListenAddress">Null: 127.0.0.1.</param>
/// <param name="ListenPort">Null: a free one is chosen from the service's range.</param>
public sealed record RouteRequest(EnvironmentId Environment, WeaveId? Weave, MachineName? Machine, int TargetPort, RouteProtocol Protocol, string? ListenAddress, int? ListenPort);

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

/// <param name="Findings">Empty but for an Ok where all is well. After a repair: what could not be repaired, and why.</param>
/// <param name="Repaired">What was done, a sentence each; empty without repair.</param>
/// <param name="Repairable">What a repair would do, a sentence each; empty with repair.</param>
/// <param name="Busy">Environments that were not looked at, because operations are at work there.</param>
public sealed record ReconciliationReport(IReadOnlyList<Finding> Findings, IReadOnlyList<string> Repaired, IReadOnlyList<string> Repairable, IReadOnlyList<EnvironmentId> Busy);
