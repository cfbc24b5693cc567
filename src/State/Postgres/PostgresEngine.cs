using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Diagnostics;
using Microsoft.EntityFrameworkCore.Infrastructure;
using Npgsql;
using WeaveHypervisor.Model;
using WeaveHypervisor.Weaving;

namespace WeaveHypervisor.State.Postgres;

/// <summary>
/// State in PostgreSQL, shared by several processes. A write takes transaction-scoped advisory locks on the things that it names before its first look, and then reads what is committed: writes of
/// different environments run side by side, those of one never overlap. A commit whose answer was lost is looked up by its transaction id.
/// </summary>
internal sealed class PostgresEngine : StateEngine
{
    private const int MostAttempts = 6;
    private static readonly TimeSpan MigrationPatience = TimeSpan.FromMinutes(2), OutcomePatience = TimeSpan.FromSeconds(20);
    private readonly PostgresAddress _address;
    private readonly TimeProvider _clock;
    private readonly NpgsqlDataSource _connections;
    private readonly PooledDbContextFactory<PostgresDbContext> _contexts;

    public PostgresEngine(string connection, TimeProvider clock, IReadOnlyList<IInterceptor>? interceptors = null)
    {
        _address = PostgresAddress.Parse(connection);
        _clock = clock;
        _connections = new NpgsqlDataSourceBuilder(_address.Connection.ConnectionString).Build();
        _contexts = new(Configure(_connections, interceptors));
    }

    public static DbContextOptions<PostgresDbContext> Configure(NpgsqlDataSource connections, IReadOnlyList<IInterceptor>? interceptors = null) =>
        new DbContextOptionsBuilder<PostgresDbContext>().UseNpgsql(connections, p => p.MigrationsHistoryTable("__EFMigrationsHistory", PostgresDbContext.Schema))
            .AddInterceptors(interceptors ?? []).ConfigureWarnings(w => w.Ignore(RelationalEventId.PendingModelChangesWarning)).Options;

    public override async Task MigrateAsync(CancellationToken stop)
    {
        const string what = "bringing the database up to date";
        await PostgresFaults.TranslateAsync(_address.Name, what, async () =>
        {
            await using var lockHolder = await OpenAloneAsync(stop).ConfigureAwait(false);
            if (lockHolder.PostgreSqlVersion.Major < 13)
                throw new WeaveException(Fault.Unsupported, $"The database {_address.Name} is PostgreSQL {lockHolder.PostgreSqlVersion}; 13 or newer is needed.", "Upgrade it.");
            // Held by the connection, so whoever dies while migrating lets the next one in; each migration is one transaction.
            for (var began = TimeProvider.System.GetTimestamp(); !await TryLockAsync(lockHolder, "migration", stop).ConfigureAwait(false);)
            {
                if (TimeProvider.System.GetElapsedTime(began) > MigrationPatience)
                    throw new WeaveException(Fault.Busy, $"Another process has been {what} {_address.Name} for long.", "Wait for it, or end its connection (`SELECT * FROM pg_stat_activity`).");
                await Task.Delay(TimeSpan.FromMilliseconds(200), TimeProvider.System, stop).ConfigureAwait(false);
            }
            await using var context = _contexts.CreateDbContext();
            await NewerVersions.RefuseAsync(context, _address.Name, stop).ConfigureAwait(false);
            await context.Database.MigrateAsync(stop).ConfigureAwait(false);
            return 0;
        }).ConfigureAwait(false);
    }

    public override Task<T> ReadAsync<T>(string what, Func<WeaveDbContext, Task<T>> read) => PostgresFaults.TranslateAsync(_address.Name, what, () => AgainAsync(async () =>
    {
        await using var context = _contexts.CreateDbContext();
        return await read(context).ConfigureAwait(false);
    }, CancellationToken.None));

    public override Task<T> WriteAsync<T>(string what, IReadOnlyCollection<string> locks, Func<WeaveDbContext, Task<T>> write, CancellationToken stop) =>
        PostgresFaults.TranslateAsync(_address.Name, what, () => AgainAsync(async () =>
        {
            await using var context = _contexts.CreateDbContext();
            await using var transaction = await context.Database.BeginTransactionAsync(System.Data.IsolationLevel.ReadCommitted, stop).ConfigureAwait(false);
            string id;
            T answer;
            try
            {
                id = await EnterAsync(context, locks, stop).ConfigureAwait(false);
                answer = await write(context).ConfigureAwait(false);
                await context.SaveChangesAsync(stop).ConfigureAwait(false);
            }
            catch (InvalidOperationException e) when (!PostgresFaults.IsLost(e) && !context.Database.GetDbConnection().State.HasFlag(System.Data.ConnectionState.Open))
            {
                // Cut between two commands: the second is told that its transaction is over.
                throw new NpgsqlException("The connection was lost.", e);
            }
            try
            {
                // Not cancelled: whether it was written must be known.
                await transaction.CommitAsync(CancellationToken.None).ConfigureAwait(false);
            }
            catch (Exception e) when (PostgresFaults.IsLost(e))
            {
                if (!await WasCommittedAsync(id, what, e, stop).ConfigureAwait(false)) throw;
            }
            return answer;
        }, stop));

    public override Operations.IJournal MakeJournal(TimeProvider clock) => new PostgresJournal(this, clock);

    /// <summary>
    /// Runs the commands that <paramref name="fill"/> gives in one round trip and, with more than one, in one transaction; possibly again where the connection is lost, also when they had been done:
    /// so only what may be done twice. With <paramref name="locks"/> as <see cref="WriteAsync"/>; the first result is then that of the first command after the locks.
    /// </summary>
    internal Task<T> BatchAsync<T>(string what, IReadOnlyCollection<string> locks, Action<NpgsqlBatch> fill, Func<NpgsqlDataReader, Task<T>> read, CancellationToken stop) => PostgresFaults.TranslateAsync(_address.Name, what, () => AgainAsync(async () =>
    {
        await using var connection = await _connections.OpenConnectionAsync(stop).ConfigureAwait(false);
        await using var batch = connection.CreateBatch();
        if (locks.Count > 0)
        {
            var keys = locks.Select(Key).Distinct().Order().ToList();
            var command = new NpgsqlBatchCommand($"SELECT {string.Join(", ", keys.Select((_, i) => $"pg_advisory_xact_lock(${i + 1})"))}");
            foreach (var key in keys) command.Parameters.Add(new NpgsqlParameter<long> { TypedValue = key });
            batch.BatchCommands.Add(command);
        }
        fill(batch);
        // What has been sent is not cancelled: whether it was written must be known.
        await using var reader = await batch.ExecuteReaderAsync(CancellationToken.None).ConfigureAwait(false);
        if (locks.Count > 0) await reader.NextResultAsync(CancellationToken.None).ConfigureAwait(false);
        var answer = await read(reader).ConfigureAwait(false);
        while (await reader.NextResultAsync(CancellationToken.None).ConfigureAwait(false))
        {
        }
        return answer;
    }, stop));

    /// <summary>Takes the locks, in one order for all, and answers the transaction's id.</summary>
    private static async Task<string> EnterAsync(WeaveDbContext context, IReadOnlyCollection<string> locks, CancellationToken stop)
    {
        await using var command = context.Database.GetDbConnection().CreateCommand();
        var keys = locks.Select(Key).Distinct().Order().ToList();
        command.CommandText = $"SELECT pg_current_xact_id()::text{string.Concat(keys.Select((_, i) => $", pg_advisory_xact_lock(${i + 1})"))}";
        foreach (var key in keys) command.Parameters.Add(new NpgsqlParameter<long> { TypedValue = key });
        return (string)(await command.ExecuteScalarAsync(stop).ConfigureAwait(false))!;
    }

    /// <summary>Asks what became of a transaction whose commit was not answered. <see cref="Fault.Unavailable"/> where that cannot be found out.</summary>
    private async Task<bool> WasCommittedAsync(string id, string what, Exception lost, CancellationToken stop)
    {
        for (var began = TimeProvider.System.GetTimestamp(); TimeProvider.System.GetElapsedTime(began) < OutcomePatience;)
        {
            try
            {
                await using var connection = await OpenAloneAsync(stop).ConfigureAwait(false);
                await using var command = new NpgsqlCommand("SELECT pg_xact_status($1::xid8)", connection) { Parameters = { new NpgsqlParameter<string> { TypedValue = id } } };
                // "in progress": the server has not noticed yet that we are gone.
                if (await command.ExecuteScalarAsync(stop).ConfigureAwait(false) is string status and ("committed" or "aborted")) return status == "committed";
            }
            catch (PostgresException e) when (e.SqlState == PostgresErrorCodes.InvalidParameterValue)
            {
                // "transaction ID … is in the future": nothing of it had reached the disk when the server died.
                return false;
            }
            catch (Exception e) when (PostgresFaults.IsLost(e))
            {
                // It is still being started again.
            }
            await Task.Delay(TimeSpan.FromMilliseconds(100), TimeProvider.System, stop).ConfigureAwait(false);
        }
        throw new WeaveException(Fault.Unavailable, $"The connection to the database {_address.Name} was lost in the last moment of {what}; whether it was written is not known.", "Look whether it was done before it is tried again.", lost);
    }

    private async Task<T> AgainAsync<T>(Func<Task<T>> once, CancellationToken stop)
    {
        for (var attempt = 1; ; attempt++)
        {
            try
            {
                return await once().ConfigureAwait(false);
            }
            catch (Exception e) when (attempt < MostAttempts && PostgresFaults.MayRetry(e) is var retry and not Retry.Never)
            {
                // Others of the pool are as dead after a restart of the server.
                if (retry == Retry.NewConnection) _connections.Clear();
                await Task.Delay(TimeSpan.FromMilliseconds((retry == Retry.NewConnection ? 100 : 10) << (attempt - 1)), TimeProvider.System, stop).ConfigureAwait(false);
            }
        }
    }

    public override async Task<string> DescribeAsync(CancellationToken stop) => await PostgresFaults.TranslateAsync(_address.Name, "looking at it", async () =>
    {
        await using var connection = await OpenAloneAsync(stop).ConfigureAwait(false);
        return $"PostgreSQL {connection.PostgreSqlVersion.ToString(2)} at {_address.Name}, as user {_address.Connection.Username ?? Environment.UserName}";
    }).ConfigureAwait(false);

    public override Task ClaimHostAsync(string host, string machine, bool replace, CancellationToken stop) => WriteAsync("noting the host", ["hosts"], async db =>
    {
        var hosts = ((PostgresDbContext)db).Hosts;
        var known = await hosts.FirstOrDefaultAsync(r => r.Name == host, stop).ConfigureAwait(false);
        if (known is null) hosts.Add(new() { Name = host, Machine = machine, Since = _clock.GetUtcNow().UtcTicks });
        else if (known.Machine != machine && !replace)
            throw new WeaveException(Fault.Conflict, $"The database {_address.Name} knows the host '{host}' as another machine ({known.Machine}, not {machine}).",
                "Give this host a name of its own (Weave:Weaving:Host). Where it has taken the place of that machine, with its disks and machines, start once with --Weave:Storage:ReplaceHost=true.");
        else known.Machine = machine;
        return 0;
    }, stop);

    protected override async Task<IHeldLock?> LockAmongProcessesAsync(string name, CancellationToken stop) => await PostgresFaults.TranslateAsync<IHeldLock?>(_address.Name, $"taking the lock '{name}'", () => AgainAsync<IHeldLock?>(async () =>
    {
        var connection = await OpenAloneAsync(stop).ConfigureAwait(false);
        try
        {
            await using var command = new NpgsqlCommand("SELECT pg_advisory_lock($1)", connection) { CommandTimeout = 0, Parameters = { new NpgsqlParameter<long> { TypedValue = Key(name) } } };
            await command.ExecuteNonQueryAsync(stop).ConfigureAwait(false);
            return new Held(connection, _address.Name, name);
        }
        catch
        {
            await connection.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }, stop)).ConfigureAwait(false);

    public override void Dispose() => _connections.Dispose();

    private static async Task<bool> TryLockAsync(NpgsqlConnection connection, string name, CancellationToken stop)
    {
        await using var command = new NpgsqlCommand("SELECT pg_try_advisory_lock($1)", connection) { Parameters = { new NpgsqlParameter<long> { TypedValue = Key(name) } } };
        return (bool)(await command.ExecuteScalarAsync(stop).ConfigureAwait(false))!;
    }

    /// <summary>A connection outside of the pool: what is held for long must not use it up, and what asks after a failure must not meet a dead one.</summary>
    private async Task<NpgsqlConnection> OpenAloneAsync(CancellationToken stop)
    {
        var connection = new NpgsqlConnection(new NpgsqlConnectionStringBuilder(_address.Connection.ConnectionString) { Pooling = false }.ConnectionString);
        try
        {
            await connection.OpenAsync(stop).ConfigureAwait(false);
            return connection;
        }
        catch
        {
            await connection.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    /// <summary>Advisory locks have numbers for names. Two names that share one only wait for each other without need.</summary>
    private static long Key(string name) => BinaryPrimitives.ReadInt64BigEndian(SHA256.HashData(Encoding.UTF8.GetBytes("weave/" + name)));

    private sealed class Held(NpgsqlConnection connection, string database, string name) : IHeldLock
    {
        public Task CheckAsync(CancellationToken stop) => PostgresFaults.TranslateAsync(database, $"holding the lock '{name}'", async () =>
        {
            await using var command = new NpgsqlCommand("SELECT 1", connection);
            return await command.ExecuteScalarAsync(stop).ConfigureAwait(false);
        });

        /// <summary>The server lets go of the lock with the connection.</summary>
        public ValueTask DisposeAsync() => connection.DisposeAsync();
    }
}
