using WeaveHypervisor.Model;

namespace WeaveHypervisor.Operations;

/// <summary>
/// The step journal and the leases: the truth about operations. Implemented by the stores; a conformance suite holds what is promised here.
/// All writes are durable when the task ends.
/// </summary>
public interface IJournal
{
    /// <summary>
    /// Writes a new operation and its idempotency key in one transaction. Same key and same hash: the operation that is there already is answered and nothing
    /// is written. Same key and another hash: <see cref="Fault.InvalidRequest"/>. Keys are kept at least 24 hours.
    /// </summary>
    Task<Operation> SubmitAsync(Submission submission, CancellationToken stop);

    /// <summary>
    /// The operation that <see cref="SubmitAsync"/> wrote under that idempotency key; null where there is none. Another hash: <see cref="Fault.InvalidRequest"/>.
    /// A request that is repeated must not be refused because its first sending has succeeded.
    /// </summary>
    Task<Operation?> FindRepeatedAsync(string idempotencyKey, string requestHash, CancellationToken stop) => Task.FromResult<Operation?>(null);

    Task<Operation?> FindAsync(OperationId id, CancellationToken stop);

    /// <summary>Newest first. <paramref name="before"/> is the last id of the page before.</summary>
    Task<IReadOnlyList<Operation>> ListAsync(EnvironmentId? environment, bool unfinishedOnly, int limit, OperationId? before, CancellationToken stop);

    /// <summary>The oldest unfinished operation of an environment, or null.</summary>
    Task<Operation?> NextAsync(EnvironmentId environment, CancellationToken stop);

    /// <summary>
    /// Replaces the operation if <paramref name="lease"/> is still the newest of its environment and the stored revision is one less than the given one;
    /// otherwise <see cref="Fault.Conflict"/> and nothing is written. <see cref="Operation.CancelRequested"/> is never reset by this call: a request for
    /// cancellation that was written meanwhile is kept, and answered.
    /// </summary>
    Task<Operation> SaveAsync(Operation operation, Lease lease, CancellationToken stop);

    /// <summary>
    /// The first write of a runner on an environment: takes the lease as <see cref="TryAcquireAsync"/> does and replaces the operation as <see cref="SaveAsync"/> does, in one transaction.
    /// Null, and nothing is written, where another holds the lease; <see cref="Fault.Conflict"/>, and nothing is written, where the stored revision is another.
    /// </summary>
    Task<Taken?> SaveFirstAsync(Operation operation, string owner, TimeSpan duration, CancellationToken stop);

    /// <summary>
    /// The last write of an operation: <see cref="SaveAsync"/>, with <paramref name="release"/> also <see cref="ReleaseAsync"/>, in one transaction; answers what
    /// <see cref="NextAsync"/> says of the environment then.
    /// </summary>
    Task<Ended> SaveLastAsync(Operation operation, Lease lease, bool release, CancellationToken stop);

    /// <summary>Asks for cancellation; needs no lease. False: it had ended.</summary>
    Task<bool> RequestCancelAsync(OperationId id, CancellationToken stop);

    /// <summary>Takes the environment's lease if it is free, has expired, or is <paramref name="owner"/>'s own; null where another holds it. A new holder gets a greater number.</summary>
    Task<Lease?> TryAcquireAsync(EnvironmentId environment, string owner, TimeSpan duration, CancellationToken stop);

    /// <summary>The lease as it was last taken or prolonged, also where it has expired since; null where it was given back or never taken. An expired one is that of a holder who died, or lost the journal.</summary>
    Task<Lease?> FindLeaseAsync(EnvironmentId environment, CancellationToken stop);

    /// <summary>Prolongs; null where it was lost.</summary>
    Task<Lease?> RenewAsync(Lease lease, TimeSpan duration, CancellationToken stop);

    /// <summary>Gives it back; no effect where it was lost.</summary>
    Task ReleaseAsync(Lease lease, CancellationToken stop);
}

/// <summary>What <see cref="IJournal.SaveFirstAsync"/> wrote, and under which lease.</summary>
public sealed record Taken(Operation Operation, Lease Lease);

/// <summary>What <see cref="IJournal.SaveLastAsync"/> wrote, and the oldest operation of the environment that is unfinished then.</summary>
public sealed record Ended(Operation Operation, Operation? Next);
