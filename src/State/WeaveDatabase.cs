using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using WeaveHypervisor.Model;
using WeaveHypervisor.Operations;
using WeaveHypervisor.State.Postgres;
using WeaveHypervisor.State.Sqlite;
using WeaveHypervisor.Weaving;
using WeaveHypervisor.Weaving.Access;

namespace WeaveHypervisor.State;

/// <summary>Where the state is kept: in PostgreSQL where a connection is given, otherwise in a file of SQLite.</summary>
public sealed record StateOptions
{
    /// <summary>Absolute path of SQLite's database file; its folder is made 0700 where it does not exist, the file 0600.</summary>
    public string? SqlitePath { get; init; }
    /// <summary>Connection to an existing database of PostgreSQL 13 or newer, in Npgsql's form "Host=…;Database=…;Username=…". Its tables are made in the schema `weave`.</summary>
    public string? PostgresConnection { get; init; }

    /// <summary>For tests that let commands fail.</summary>
    internal IReadOnlyList<Microsoft.EntityFrameworkCore.Diagnostics.IInterceptor> Interceptors { get; init; } = [];

    /// <summary>InvalidRequest where that text is no connection to PostgreSQL; the text, which may hold a password, is not repeated.</summary>
    public static void CheckPostgres(string connection) => PostgresAddress.Parse(connection);
}

public static class WeaveStateServices
{
    /// <summary>
    /// Adds <see cref="WeaveDatabase"/>, <see cref="IWeaveStore"/>, <see cref="IJournal"/>, <see cref="ITokenStore"/>, <see cref="IAuditLog"/> and <see cref="ISharedLocks"/>.
    /// Call <see cref="WeaveDatabase.MigrateAsync"/> before their first use.
    /// </summary>
    public static IServiceCollection AddWeaveState(this IServiceCollection services, StateOptions options)
    {
        services.TryAddSingleton(TimeProvider.System);
        services.AddSingleton(s => new WeaveDatabase(options, s.GetRequiredService<TimeProvider>()));
        services.AddSingleton(s => s.GetRequiredService<WeaveDatabase>().Store);
        services.AddSingleton(s => s.GetRequiredService<WeaveDatabase>().Journal);
        services.AddSingleton(s => s.GetRequiredService<WeaveDatabase>().Tokens);
        services.AddSingleton(s => s.GetRequiredService<WeaveDatabase>().Audit);
        services.AddSingleton(s => s.GetRequiredService<WeaveDatabase>().Locks);
        return services;
    }
}

/// <summary>One database and the stores on it. Every call uses a context of its own; safe for concurrent use, also by several processes.</summary>
public sealed class WeaveDatabase : IDisposable
{
    private readonly StateEngine _engine;

    public WeaveDatabase(StateOptions options, TimeProvider clock)
    {
        _engine = options switch
        {
            { PostgresConnection: { Length: > 0 } connection } => new PostgresEngine(connection, clock, options.Interceptors),
            { SqlitePath: { Length: > 0 } path } => new SqliteEngine(Path.GetFullPath(path), options.Interceptors),
            _ => throw new WeaveException(Fault.InvalidRequest, "No database is configured.", "Set the absolute path of a SQLite file, or a connection to PostgreSQL."),
        };
        Store = new WeaveStore(_engine);
        Journal = _engine.MakeJournal(clock);
        Tokens = new TokenStore(_engine);
        Audit = new AuditLog(_engine);
        Locks = new SharedLocks(_engine);
    }

    public IWeaveStore Store { get; }
    public IJournal Journal { get; }
    public ITokenStore Tokens { get; }
    public IAuditLog Audit { get; }
    public ISharedLocks Locks { get; }

    /// <summary>
    /// Makes the tables or brings them to this version, at the start of a process. Repeatable; a process that is killed in it leaves the older version or the newer one. With PostgreSQL
    /// processes that start at once wait for each other; a file of SQLite is migrated by one process at a time. <see cref="Fault.Unsupported"/>, with nothing changed, where a newer
    /// version has written it; <see cref="Fault.DataLoss"/> where it is damaged or no database; <see cref="Fault.Unavailable"/> where it cannot be made, opened or reached.
    /// </summary>
    public Task MigrateAsync(CancellationToken stop) => _engine.MigrateAsync(stop);

    /// <summary>
    /// Notes that <paramref name="host"/> is the name of the machine with that identity. <see cref="Fault.Conflict"/> where the database, which several hosts may share, knows another machine by that name,
    /// unless <paramref name="replace"/>. No effect with SQLite, which is one host's own.
    /// </summary>
    public Task ClaimHostAsync(string host, string machine, bool replace, CancellationToken stop) => _engine.ClaimHostAsync(host, machine, replace, stop);

    /// <summary>One line for people: which database, where; never a password. Asks it, so the usual faults where it cannot be reached.</summary>
    public Task<string> DescribeAsync(CancellationToken stop) => _engine.DescribeAsync(stop);

    /// <summary>Closes the connections that are kept open for the next call.</summary>
    public void Dispose() => _engine.Dispose();

    private sealed class SharedLocks(StateEngine engine) : ISharedLocks
    {
        public Task<IHeldLock> TakeAsync(string name, CancellationToken stop) => engine.LockAsync(name, stop);
    }
}
