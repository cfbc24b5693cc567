using WeaveHypervisor.Model;
using WeaveHypervisor.Operations;

namespace WeaveHypervisor.Conformance.Stores;

/// <summary>A journal without a disk, which passes <see cref="JournalContract"/>: for tests of what stands on journals.</summary>
public sealed class InMemoryJournal(TimeProvider clock) : IJournal
{
    private readonly Lock _gate = new();
    private readonly List<Operation> _operations = [];
    private readonly Dictionary<string, (string? Hash, OperationId Id)> _keys = [];
    private readonly Dictionary<EnvironmentId, (string? Owner, long Number, DateTimeOffset Expires)> _leases = [];

    public Task<Operation> SubmitAsync(Submission submission, CancellationToken stop) => Do(() =>
    {
        if (submission.IdempotencyKey is { } key)
        {
            if (_keys.TryGetValue(key, out var known))
                return known.Hash == submission.RequestHash ? Get(known.Id)! : throw new WeaveException(Fault.InvalidRequest, "The idempotency key was used for another request.");
            _keys[key] = (submission.RequestHash, submission.Operation.Id);
        }
        _operations.Add(submission.Operation);
        return submission.Operation;
    });

    public Task<Operation?> FindRepeatedAsync(string idempotencyKey, string requestHash, CancellationToken stop) => Do(() =>
        !_keys.TryGetValue(idempotencyKey, out var known) ? null
        : known.Hash == requestHash ? Get(known.Id) : throw new WeaveException(Fault.InvalidRequest, "The idempotency key was used for another request."));

    public Task<Operation?> FindAsync(OperationId id, CancellationToken stop) => Do(() => Get(id));

    public Task<IReadOnlyList<Operation>> ListAsync(EnvironmentId? environment, bool unfinishedOnly, int limit, OperationId? before, CancellationToken stop) => Do<IReadOnlyList<Operation>>(() =>
    {
        var end = before is { } b ? _operations.FindIndex(o => o.Id == b) : _operations.Count;
        return [.. _operations.Take(end).Reverse().Where(o => (environment is null || o.Environment == environment) && !(unfinishedOnly && o.IsEnded)).Take(limit)];
    });

    public Task<Operation?> NextAsync(EnvironmentId environment, CancellationToken stop) => Do(() => Next(environment));

    private Operation? Next(EnvironmentId environment) => _operations.FirstOrDefault(o => o.Environment == environment && !o.IsEnded);

    public Task<Operation> SaveAsync(Operation operation, Lease lease, CancellationToken stop) => Do(() => Save(operation, lease.Number));

    public Task<Taken?> SaveFirstAsync(Operation operation, string owner, TimeSpan duration, CancellationToken stop) => Do(() =>
    {
        var before = _leases.GetValueOrDefault(operation.Environment);
        if (Acquire(operation.Environment, owner, duration) is not { } lease) return null;
        try
        {
            return new Taken(Save(operation, lease.Number), lease);
        }
        catch
        {
            _leases[operation.Environment] = before;
            throw;
        }
    });

    public Task<Ended> SaveLastAsync(Operation operation, Lease lease, bool release, CancellationToken stop) => Do(() =>
    {
        var ended = Save(operation, lease.Number);
        if (release) Release(lease);
        return new Ended(ended, Next(operation.Environment));
    });

    private Operation Save(Operation operation, long lease)
    {
        var at = _operations.FindIndex(o => o.Id == operation.Id);
        if (!_leases.TryGetValue(operation.Environment, out var l) || l.Number != lease || at < 0 || _operations[at].Revision != operation.Revision - 1)
            throw new WeaveException(Fault.Conflict, "Another hand wrote it, or holds the environment.");
        return _operations[at] = operation with { CancelRequested = operation.CancelRequested || _operations[at].CancelRequested };
    }

    public Task<bool> RequestCancelAsync(OperationId id, CancellationToken stop) => Do(() =>
    {
        var at = _operations.FindIndex(o => o.Id == id);
        if (at < 0 || _operations[at].IsEnded) return false;
        _operations[at] = _operations[at] with { CancelRequested = true };
        return true;
    });

    public Task<Lease?> TryAcquireAsync(EnvironmentId environment, string owner, TimeSpan duration, CancellationToken stop) => Do(() => Acquire(environment, owner, duration));

    private Lease? Acquire(EnvironmentId environment, string owner, TimeSpan duration)
    {
        var l = _leases.GetValueOrDefault(environment);
        var held = l.Owner is not null && l.Expires > clock.GetUtcNow();
        if (held && l.Owner != owner) return null;
        l = (owner, held ? l.Number : l.Number + 1, clock.GetUtcNow() + duration);
        _leases[environment] = l;
        return new(environment, owner, l.Number, l.Expires);
    }

    public Task<Lease?> FindLeaseAsync(EnvironmentId environment, CancellationToken stop) => Do<Lease?>(() =>
        _leases.TryGetValue(environment, out var l) && l.Owner is not null ? new(environment, l.Owner, l.Number, l.Expires) : null);

    public Task<Lease?> RenewAsync(Lease lease, TimeSpan duration, CancellationToken stop) => Do<Lease?>(() =>
    {
        var l = _leases.GetValueOrDefault(lease.Environment);
        if (l.Owner != lease.Owner || l.Number != lease.Number) return null;
        _leases[lease.Environment] = (l.Owner, l.Number, clock.GetUtcNow() + duration);
        return lease with { ExpiresAt = clock.GetUtcNow() + duration };
    });

    public Task ReleaseAsync(Lease lease, CancellationToken stop) => Do(() =>
    {
        Release(lease);
        return 0;
    });

    private void Release(Lease lease)
    {
        var l = _leases.GetValueOrDefault(lease.Environment);
        if (l.Owner == lease.Owner && l.Number == lease.Number) _leases[lease.Environment] = (null, l.Number, default);
    }

    private Operation? Get(OperationId id) => _operations.FirstOrDefault(o => o.Id == id);

    private Task<T> Do<T>(Func<T> work)
    {
        try
        {
            lock (_gate) return Task.FromResult(work());
        }
        catch (WeaveException e)
        {
            return Task.FromException<T>(e);
        }
    }
}
