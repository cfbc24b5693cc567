using Microsoft.EntityFrameworkCore;
using WeaveHypervisor.Model;
using WeaveHypervisor.Operations;

namespace WeaveHypervisor.State;

/// <summary>The journal by EF Core, for every database. What runs for each operation may be overridden where a database can do it in fewer round trips.</summary>
internal class Journal(StateEngine database, TimeProvider clock) : IJournal
{
    private static readonly TimeSpan KeysKept = TimeSpan.FromHours(48);

    public virtual Task<Operation> SubmitAsync(Submission submission, CancellationToken stop) => database.WriteAsync("submitting an operation", Locks(submission), async db =>
    {
        var operation = submission.Operation;
        var id = Need(operation.Id);
        var environment = Need(operation.Environment);
        var now = clock.GetUtcNow().UtcTicks;
        if (submission.IdempotencyKey is { } key)
        {
            var kept = now - KeysKept.Ticks;
            await db.Idempotency.Where(r => r.At < kept).ExecuteDeleteAsync(stop).ConfigureAwait(false);
            var known = await db.Idempotency.AsNoTracking().FirstOrDefaultAsync(r => r.Key == key, stop).ConfigureAwait(false);
            if (known is not null)
            {
                if (known.Hash != submission.RequestHash) throw OtherRequest(key);
                return Read(await db.Operations.AsNoTracking().FirstAsync(r => r.Id == known.Operation, stop).ConfigureAwait(false));
            }
            db.Add(new IdempotencyRow { Key = key, Hash = submission.RequestHash, Operation = id, At = now });
        }
        var row = new OperationRow
        {
            Id = id, Environment = environment, Ended = operation.IsEnded, Revision = operation.Revision, CancelRequested = operation.CancelRequested,
            Document = StateJson.Write(operation, StateJson.Default.Operation),
        };
        db.Add(row);
        return Read(row);
    }, stop);

    public Task<Operation?> FindRepeatedAsync(string idempotencyKey, string requestHash, CancellationToken stop) => database.ReadAsync("looking for a repeated request", async db =>
    {
        var known = await db.Idempotency.AsNoTracking().FirstOrDefaultAsync(r => r.Key == idempotencyKey, stop).ConfigureAwait(false);
        if (known is null) return null;
        if (known.Hash != requestHash) throw OtherRequest(idempotencyKey);
        return ReadOrNull(await db.Operations.AsNoTracking().FirstOrDefaultAsync(r => r.Id == known.Operation, stop).ConfigureAwait(false));
    });

    public virtual Task<Operation?> FindAsync(OperationId id, CancellationToken stop) => database.ReadAsync("reading an operation", async db =>
    {
        var text = Need(id);
        return ReadOrNull(await db.Operations.AsNoTracking().FirstOrDefaultAsync(r => r.Id == text, stop).ConfigureAwait(false));
    });

    public Task<IReadOnlyList<Operation>> ListAsync(EnvironmentId? environment, bool unfinishedOnly, int limit, OperationId? before, CancellationToken stop) =>
        database.ReadAsync<IReadOnlyList<Operation>>("listing operations", async db =>
        {
            var rows = db.Operations.AsNoTracking();
            if (environment is { } e)
            {
                var text = Need(e);
                rows = rows.Where(r => r.Environment == text);
            }
            if (unfinishedOnly) rows = rows.Where(r => !r.Ended);
            if (before is { } last)
            {
                var text = Need(last);
                var number = await db.Operations.Where(r => r.Id == text).Select(r => (long?)r.Number).FirstOrDefaultAsync(stop).ConfigureAwait(false)
                    ?? throw new WeaveException(Fault.InvalidRequest, $"There is no operation '{text}' to list from.", "Begin the list anew.");
                rows = rows.Where(r => r.Number < number);
            }
            return [.. (await rows.OrderByDescending(r => r.Number).Take(Math.Max(0, limit)).ToListAsync(stop).ConfigureAwait(false)).Select(Read)];
        });

    public virtual Task<Operation?> NextAsync(EnvironmentId environment, CancellationToken stop) =>
        database.ReadAsync("looking for the next operation", db => OldestAsync(db, environment, stop));

    private static async Task<Operation?> OldestAsync(WeaveDbContext db, EnvironmentId environment, CancellationToken stop)
    {
        var text = Need(environment);
        return ReadOrNull(await db.Operations.AsNoTracking().Where(r => r.Environment == text && !r.Ended).OrderBy(r => r.Number).FirstOrDefaultAsync(stop).ConfigureAwait(false));
    }

    public virtual Task<Operation> SaveAsync(Operation operation, Lease lease, CancellationToken stop) => database.WriteAsync($"saving operation {operation.Id}", Locks(operation), async db =>
    {
        await CheckAsync(db, operation, lease, stop).ConfigureAwait(false);
        return await PutAsync(db, operation, stop).ConfigureAwait(false);
    }, stop);

    public virtual Task<Taken?> SaveFirstAsync(Operation operation, string owner, TimeSpan duration, CancellationToken stop) => database.WriteAsync<Taken?>($"beginning operation {operation.Id}", Locks(operation), async db =>
    {
        var lease = await AcquireAsync(db, operation.Environment, owner, duration, stop).ConfigureAwait(false);
        return lease is null ? null : new(await PutAsync(db, operation, stop).ConfigureAwait(false), lease);
    }, stop);

    public virtual Task<Ended> SaveLastAsync(Operation operation, Lease lease, bool release, CancellationToken stop) => database.WriteAsync($"ending operation {operation.Id}", Locks(operation), async db =>
    {
        await CheckAsync(db, operation, lease, stop).ConfigureAwait(false);
        var ended = await PutAsync(db, operation, stop).ConfigureAwait(false);
        await db.SaveChangesAsync(stop).ConfigureAwait(false);
        if (release) await GiveBackAsync(db, lease, stop).ConfigureAwait(false);
        return new Ended(ended, await OldestAsync(db, operation.Environment, stop).ConfigureAwait(false));
    }, stop);

    private static Task CheckAsync(WeaveDbContext db, Operation operation, Lease lease, CancellationToken stop) => lease.Environment == operation.Environment ? CheckAsync(db, lease, stop)
        : throw new WeaveException(Fault.Conflict, $"The lease of {lease.Environment} does not cover operation {operation.Id} of {operation.Environment}.");

    /// <summary>Replaces the revision before.</summary>
    private static async Task<Operation> PutAsync(WeaveDbContext db, Operation operation, CancellationToken stop)
    {
        var id = Need(operation.Id);
        var row = await db.Operations.FirstOrDefaultAsync(r => r.Id == id, stop).ConfigureAwait(false)
            ?? throw new WeaveException(Fault.Conflict, $"Operation {operation.Id} is not in the journal.");
        var document = StateJson.Write(operation, StateJson.Default.Operation);
        // The same write once more: its first answer was lost.
        if (row.Revision == operation.Revision && row.Document == document) return Read(row);
        if (row.Revision != operation.Revision - 1)
            throw new WeaveException(Fault.Conflict, $"Operation {operation.Id} was written by another hand: revision {row.Revision}, expected {operation.Revision - 1}.");
        row.Revision = operation.Revision;
        row.Ended = operation.IsEnded;
        row.CancelRequested |= operation.CancelRequested;
        row.Document = document;
        return Read(row);
    }

    public Task<bool> RequestCancelAsync(OperationId id, CancellationToken stop) => database.WriteAsync($"cancelling operation {id}", [Of(id)], async db =>
    {
        var text = Need(id);
        return await db.Operations.Where(r => r.Id == text && !r.Ended).ExecuteUpdateAsync(s => s.SetProperty(r => r.CancelRequested, true), stop).ConfigureAwait(false) == 1;
    }, stop);

    public Task<Lease?> TryAcquireAsync(EnvironmentId environment, string owner, TimeSpan duration, CancellationToken stop) =>
        database.WriteAsync($"taking the lease of {environment}", [Of(environment)], db => AcquireAsync(db, environment, owner, duration, stop), stop);

    private async Task<Lease?> AcquireAsync(WeaveDbContext db, EnvironmentId environment, string owner, TimeSpan duration, CancellationToken stop)
    {
        var text = Need(environment);
        var now = clock.GetUtcNow();
        var row = await db.Leases.FirstOrDefaultAsync(r => r.Environment == text, stop).ConfigureAwait(false);
        if (row is null) db.Add(row = new() { Environment = text, Number = 0, ExpiresAt = 0 });
        var held = row.Owner is not null && row.ExpiresAt > now.UtcTicks;
        if (held && row.Owner != owner) return null;
        if (!held) row.Number++;
        row.Owner = owner;
        row.ExpiresAt = (now + duration).UtcTicks;
        return new Lease(environment, owner, row.Number, now + duration);
    }

    public Task<Lease?> FindLeaseAsync(EnvironmentId environment, CancellationToken stop) => database.ReadAsync<Lease?>($"looking at the lease of {environment}", async db =>
    {
        var text = Need(environment);
        var row = await db.Leases.AsNoTracking().FirstOrDefaultAsync(r => r.Environment == text, stop).ConfigureAwait(false);
        return row?.Owner is { } owner ? new(environment, owner, row.Number, new(row.ExpiresAt, TimeSpan.Zero)) : null;
    });

    public Task<Lease?> RenewAsync(Lease lease, TimeSpan duration, CancellationToken stop) => database.WriteAsync<Lease?>($"prolonging the lease of {lease.Environment}", [Of(lease.Environment)], async db =>
    {
        var text = Need(lease.Environment);
        var until = clock.GetUtcNow() + duration;
        var written = await db.Leases.Where(r => r.Environment == text && r.Number == lease.Number && r.Owner == lease.Owner)
            .ExecuteUpdateAsync(s => s.SetProperty(r => r.ExpiresAt, until.UtcTicks), stop).ConfigureAwait(false);
        return written == 1 ? lease with { ExpiresAt = until } : null;
    }, stop);

    public Task ReleaseAsync(Lease lease, CancellationToken stop) =>
        database.WriteAsync($"giving back the lease of {lease.Environment}", [Of(lease.Environment)], db => GiveBackAsync(db, lease, stop), stop);

    private static async Task<int> GiveBackAsync(WeaveDbContext db, Lease lease, CancellationToken stop)
    {
        var text = Need(lease.Environment);
        return await db.Leases.Where(r => r.Environment == text && r.Number == lease.Number && r.Owner == lease.Owner)
            .ExecuteUpdateAsync(s => s.SetProperty(r => r.Owner, (string?)null).SetProperty(r => r.ExpiresAt, 0L), stop).ConfigureAwait(false);
    }

    /// <summary><see cref="Fault.Conflict"/> where the lease is not the newest of its environment.</summary>
    internal static async Task CheckAsync(WeaveDbContext db, Lease lease, CancellationToken stop)
    {
        var text = Need(lease.Environment);
        var newest = await db.Leases.Where(r => r.Environment == text).Select(r => (long?)r.Number).FirstOrDefaultAsync(stop).ConfigureAwait(false);
        if (newest != lease.Number)
            throw new WeaveException(Fault.Conflict, $"Another runner has taken environment {lease.Environment} (lease {newest}, not {lease.Number}).", "The other runner continues the work.");
    }

    internal static string Need<T>(T id) where T : struct, ITextId<T> => id.Text is { Length: > 0 } text ? text
        : throw new WeaveException(Fault.InvalidRequest, $"An empty {T.Noun} was given.", $"Give a {T.Noun}.");

    internal static string Of(EnvironmentId environment) => "environment/" + environment;
    private static string Of(OperationId operation) => "operation/" + operation;
    /// <summary>What a write of an operation touches.</summary>
    protected static string[] Locks(Operation operation) => [Of(operation.Environment), Of(operation.Id)];
    private static string[] Locks(Submission s) => s.IdempotencyKey is { } key ? [Of(s.Operation.Environment), "key/" + key] : [Of(s.Operation.Environment)];

    private static WeaveException OtherRequest(string key) => new(Fault.InvalidRequest, $"The idempotency key {Ids.Quote(key)} was used for another request.", "Use a new key for a new request.");

    private static Operation? ReadOrNull(OperationRow? row) => row is null ? null : Read(row);
    private static Operation Read(OperationRow row) => StateJson.Read(row.Document, StateJson.Default.Operation) with { CancelRequested = row.CancelRequested };
}
