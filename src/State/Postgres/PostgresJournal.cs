using Npgsql;
using WeaveHypervisor.Model;
using WeaveHypervisor.Operations;

namespace WeaveHypervisor.State.Postgres;

/// <summary>
/// What every operation passes through, each in one round trip. A write that finds something else than it expects is made once more in the general way, which looks and tells what it is.
/// </summary>
internal sealed class PostgresJournal(PostgresEngine database, TimeProvider clock) : Journal(database, clock)
{
    private const string Columns = """ "Document", "CancelRequested" """;
    /// <summary>$1 id, $2 document, $3 revision, $4 ended, $5 cancel requested; a condition on the lease follows.</summary>
    private const string Put = """UPDATE weave.operations SET "Document" = $2, "Revision" = $3, "Ended" = $4, "CancelRequested" = "CancelRequested" OR $5 WHERE "Id" = $1 AND "Revision" = $3 - 1 AND """;
    private const string Oldest = "SELECT" + Columns + """FROM weave.operations WHERE "Environment" = $1 AND NOT "Ended" ORDER BY "Number" LIMIT 1""";

    private readonly TimeProvider _clock = clock;

    public override Task<Operation> SubmitAsync(Submission submission, CancellationToken stop)
    {
        // Keys are looked for, and old ones forgotten.
        if (submission.IdempotencyKey is not null) return base.SubmitAsync(submission, stop);
        var operation = submission.Operation;
        return database.BatchAsync("submitting an operation", [Of(operation.Environment)], batch => Add(batch,
            """INSERT INTO weave.operations ("Id", "Environment", "Ended", "Revision", "CancelRequested", "Document") VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT ("Id") DO NOTHING""",
            Text(Need(operation.Id)), Text(Need(operation.Environment)), Flag(operation.IsEnded), Number(operation.Revision), Flag(operation.CancelRequested), Text(Write(operation))), _ => Task.FromResult(operation), stop);
    }

    public override Task<Operation?> FindAsync(OperationId id, CancellationToken stop) => database.BatchAsync("reading an operation", [],
        batch => Add(batch, "SELECT" + Columns + """FROM weave.operations WHERE "Id" = $1""", Text(Need(id))), ReadAsync, stop);

    public override Task<Operation?> NextAsync(EnvironmentId environment, CancellationToken stop) =>
        database.BatchAsync("looking for the next operation", [], batch => Add(batch, Oldest, Text(Need(environment))), ReadAsync, stop);

    public override async Task<Operation> SaveAsync(Operation operation, Lease lease, CancellationToken stop) =>
        await database.BatchAsync($"saving operation {operation.Id}", Locks(operation), batch => AddPut(batch, operation, lease), reader => PutAsync(reader, operation), stop).ConfigureAwait(false)
        ?? await base.SaveAsync(operation, lease, stop).ConfigureAwait(false);

    public override async Task<Taken?> SaveFirstAsync(Operation operation, string owner, TimeSpan duration, CancellationToken stop)
    {
        var now = _clock.GetUtcNow();
        var until = now + duration;
        var taken = await database.BatchAsync($"beginning operation {operation.Id}", Locks(operation), batch =>
        {
            // Only where the operation is as it is expected: all or nothing.
            Add(batch, """
                INSERT INTO weave.leases AS l ("Environment", "Owner", "Number", "ExpiresAt") SELECT $1, $2, 1, $3 WHERE EXISTS (SELECT 1 FROM weave.operations WHERE "Id" = $5 AND "Revision" = $6)
                ON CONFLICT ("Environment") DO UPDATE SET "Owner" = $2, "ExpiresAt" = $3, "Number" = l."Number" + CASE WHEN l."Owner" IS NOT NULL AND l."ExpiresAt" > $4 THEN 0 ELSE 1 END
                WHERE l."Owner" IS NULL OR l."ExpiresAt" <= $4 OR l."Owner" = $2 RETURNING l."Number"
                """, Text(Need(operation.Environment)), Text(owner), Number(until.UtcTicks), Number(now.UtcTicks), Text(Need(operation.Id)), Number(operation.Revision - 1));
            Add(batch, Put + """EXISTS (SELECT 1 FROM weave.leases WHERE "Environment" = $6 AND "Owner" = $7 AND "ExpiresAt" = $8) RETURNING "CancelRequested" """,
                [.. New(operation), Text(operation.Environment.Text), Text(owner), Number(until.UtcTicks)]);
        }, async reader =>
        {
            if (!await reader.ReadAsync(CancellationToken.None).ConfigureAwait(false)) return null;
            var lease = new Lease(operation.Environment, owner, reader.GetInt64(0), until);
            await reader.NextResultAsync(CancellationToken.None).ConfigureAwait(false);
            return await PutAsync(reader, operation).ConfigureAwait(false) is { } put ? new Taken(put, lease) : null;
        }, stop).ConfigureAwait(false);
        return taken ?? await base.SaveFirstAsync(operation, owner, duration, stop).ConfigureAwait(false);
    }

    public override async Task<Ended> SaveLastAsync(Operation operation, Lease lease, bool release, CancellationToken stop) =>
        await database.BatchAsync($"ending operation {operation.Id}", Locks(operation), batch =>
        {
            AddPut(batch, operation, lease);
            if (release)
                Add(batch, """UPDATE weave.leases SET "Owner" = NULL, "ExpiresAt" = 0 WHERE "Environment" = $1 AND "Number" = $2 AND "Owner" = $3 AND EXISTS (SELECT 1 FROM weave.operations WHERE "Id" = $4 AND "Revision" = $5)""",
                    Text(lease.Environment.Text), Number(lease.Number), Text(lease.Owner), Text(operation.Id.Text), Number(operation.Revision));
            Add(batch, Oldest, Text(operation.Environment.Text));
        }, async reader =>
        {
            if (await PutAsync(reader, operation).ConfigureAwait(false) is not { } put) return null;
            await reader.NextResultAsync(CancellationToken.None).ConfigureAwait(false);
            return new Ended(put, await ReadAsync(reader).ConfigureAwait(false));
        }, stop).ConfigureAwait(false)
        ?? await base.SaveLastAsync(operation, lease, release, stop).ConfigureAwait(false);

    private static void AddPut(NpgsqlBatch batch, Operation operation, Lease lease) =>
        Add(batch, Put + """ "Environment" = $6 AND EXISTS (SELECT 1 FROM weave.leases WHERE "Environment" = $6 AND "Number" = $7) RETURNING "CancelRequested" """, [.. New(operation), Text(Need(lease.Environment)), Number(lease.Number)]);

    /// <summary>The parameters of <see cref="Put"/>.</summary>
    private static NpgsqlParameter[] New(Operation operation) => [Text(Need(operation.Id)), Text(Write(operation)), Number(operation.Revision), Flag(operation.IsEnded), Flag(operation.CancelRequested)];

    /// <summary>The operation as it was written; null where it was not.</summary>
    private static async Task<Operation?> PutAsync(NpgsqlDataReader reader, Operation operation) =>
        await reader.ReadAsync(CancellationToken.None).ConfigureAwait(false) ? operation with { CancelRequested = reader.GetBoolean(0) } : null;

    private static async Task<Operation?> ReadAsync(NpgsqlDataReader reader) => await reader.ReadAsync(CancellationToken.None).ConfigureAwait(false)
        ? StateJson.Read(reader.GetString(0), StateJson.Default.Operation) with { CancelRequested = reader.GetBoolean(1) } : null;

    private static string Write(Operation operation) => StateJson.Write(operation, StateJson.Default.Operation);

    private static void Add(NpgsqlBatch batch, string sql, params NpgsqlParameter[] parameters)
    {
        var command = new NpgsqlBatchCommand(sql);
        foreach (var parameter in parameters) command.Parameters.Add(parameter);
        batch.BatchCommands.Add(command);
    }

    private static NpgsqlParameter<string> Text(string value) => new() { TypedValue = value };
    private static NpgsqlParameter<long> Number(long value) => new() { TypedValue = value };
    private static NpgsqlParameter<bool> Flag(bool value) => new() { TypedValue = value };
}
