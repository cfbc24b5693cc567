using System.Data.Common;
using Microsoft.Data.Sqlite;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Design;
using Microsoft.EntityFrameworkCore.Diagnostics;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using WeaveHypervisor.Model;
using WeaveHypervisor.Operations;
using WeaveHypervisor.Weaving;
using WeaveHypervisor.Weaving.Access;

namespace WeaveHypervisor.State;

/// <summary>Where the state is kept.</summary>
public sealed record StateOptions
{
    /// <summary>"sqlite". "postgres" is refused (<see cref="Fault.Unsupported"/>): its migrations are not built yet.</summary>
    public string Provider { get; init; } = "sqlite";
    /// <summary>Absolute path of the database file; its folder is made 0700 where it does not exist, the file 0600.</summary>
    public string? SqlitePath { get; init; }
    public string? PostgresConnection { get; init; }
}

public static class WeaveStateServices
{
    /// <summary>Adds <see cref="WeaveDatabase"/>, <see cref="IWeaveStore"/>, <see cref="IJournal"/>, <see cref="ITokenStore"/> and <see cref="IAuditLog"/>. Call <see cref="WeaveDatabase.MigrateAsync"/> before their first use.</summary>
    public static IServiceCollection AddWeaveState(this IServiceCollection services, StateOptions options)
    {
        services.TryAddSingleton(TimeProvider.System);
        services.AddSingleton(s => new WeaveDatabase(options, s.GetRequiredService<TimeProvider>()));
        services.AddSingleton<IWeaveStore>(s => s.GetRequiredService<WeaveDatabase>().Store);
        services.AddSingleton<IJournal>(s => s.GetRequiredService<WeaveDatabase>().Journal);
        services.AddSingleton<ITokenStore>(s => s.GetRequiredService<WeaveDatabase>().Tokens);
        services.AddSingleton<IAuditLog>(s => s.GetRequiredService<WeaveDatabase>().Audit);
        return services;
    }
}

/// <summary>One database and the stores on it. Every call uses a context of its own; safe for concurrent use, also by several processes on one file.</summary>
public sealed class WeaveDatabase
{
    private readonly PooledFactory _contexts;
    private readonly string _path;

    public WeaveDatabase(StateOptions options, TimeProvider clock)
    {
        if (options.Provider != "sqlite")
            throw new WeaveException(Fault.Unsupported, $"State in {Ids.Quote(options.Provider)} is not built yet.", "Use the provider sqlite.");
        _path = options.SqlitePath is { Length: > 0 } path ? Path.GetFullPath(path)
            : throw new WeaveException(Fault.InvalidRequest, "No path for the SQLite database is configured.", "Set SqlitePath to an absolute path.");
        _contexts = new(Configure(_path));
        Store = new WeaveStore(this);
        Journal = new Journal(this, clock);
        Tokens = new TokenStore(this);
        Audit = new AuditLog(this);
    }

    public IWeaveStore Store { get; }
    public IJournal Journal { get; }
    public ITokenStore Tokens { get; }
    public IAuditLog Audit { get; }

    /// <summary>
    /// Makes the database or brings it to this version's tables; run by one process at a time, at its start. Repeatable. <see cref="Fault.Unsupported"/>, with nothing changed,
    /// where a newer version has written it; <see cref="Fault.DataLoss"/> where the file is damaged or no database; <see cref="Fault.Unavailable"/> where it cannot be made or opened.
    /// </summary>
    public async Task MigrateAsync(CancellationToken stop)
    {
        try
        {
            MakeFile(_path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new WeaveException(Fault.Unavailable, $"The database {_path} cannot be made or opened: {e.Message}", "Give the service a folder that it may write.", e);
        }
        await using var context = _contexts.Create();
        await SqliteFaults.TranslateAsync(_path, "bringing the database up to date", async () =>
        {
            await RefuseNewerAsync(context, stop).ConfigureAwait(false);
            await context.Database.ExecuteSqlRawAsync("PRAGMA journal_mode=WAL;", stop).ConfigureAwait(false);
            // Whoever was killed while migrating has left this behind, and it would be waited for without end; migrating is one process's at a time by our own rule.
            await context.Database.ExecuteSqlRawAsync("""DROP TABLE IF EXISTS "__EFMigrationsLock";""", stop).ConfigureAwait(false);
            await context.Database.MigrateAsync(stop).ConfigureAwait(false);
            return 0;
        }).ConfigureAwait(false);
    }

    /// <summary>Tables of another shape would be read wrongly, or written so that the newer version cannot go on.</summary>
    private async Task RefuseNewerAsync(WeaveDbContext context, CancellationToken stop)
    {
        var known = context.Database.GetMigrations().ToHashSet(StringComparer.Ordinal);
        var unknown = (await context.Database.GetAppliedMigrationsAsync(stop).ConfigureAwait(false)).Where(m => !known.Contains(m)).ToList();
        if (unknown.Count > 0)
            throw new WeaveException(Fault.Unsupported, $"The database {_path} was written by a newer version of the service ({string.Join(", ", unknown)} is not known here).",
                "Start the version that wrote it, or put back a backup from before it was started.");
    }

    internal async Task<T> ReadAsync<T>(string what, Func<WeaveDbContext, Task<T>> read)
    {
        await using var context = _contexts.Create();
        return await SqliteFaults.TranslateAsync(_path, what, () => read(context)).ConfigureAwait(false);
    }

    /// <summary>Runs <paramref name="write"/> in one transaction that holds the database's write lock from its first line, so that what it checks still holds when it writes.</summary>
    internal async Task<T> WriteAsync<T>(string what, Func<WeaveDbContext, Task<T>> write, CancellationToken stop)
    {
        for (var attempt = 1; ; attempt++)
        {
            try
            {
                await using var context = _contexts.Create();
                return await SqliteFaults.TranslateAsync(_path, what, async () =>
                {
                    // Serializable and not deferred: Microsoft.Data.Sqlite sends BEGIN IMMEDIATE.
                    await using var transaction = await context.Database.BeginTransactionAsync(System.Data.IsolationLevel.Serializable, stop).ConfigureAwait(false);
                    var answer = await write(context).ConfigureAwait(false);
                    await context.SaveChangesAsync(stop).ConfigureAwait(false);
                    // Not cancelled: whether it was written must be known.
                    await transaction.CommitAsync(CancellationToken.None).ConfigureAwait(false);
                    return answer;
                }).ConfigureAwait(false);
            }
            catch (WeaveException e) when (e.Fault == Fault.Busy && attempt < 3)
            {
            }
        }
    }

    internal static DbContextOptions<WeaveDbContext> Configure(string path)
    {
        var connection = new SqliteConnectionStringBuilder { DataSource = path, Mode = SqliteOpenMode.ReadWriteCreate, ForeignKeys = true, DefaultTimeout = 15 }.ToString();
        return new DbContextOptionsBuilder<WeaveDbContext>().UseSqlite(connection).AddInterceptors(Pragmas.Instance)
            .ConfigureWarnings(w => w.Ignore(RelationalEventId.PendingModelChangesWarning)).Options;
    }

    private static void MakeFile(string path)
    {
        var folder = Path.GetDirectoryName(path)!;
        if (OperatingSystem.IsWindows())
        {
            Directory.CreateDirectory(folder);
            return;
        }
        if (!Directory.Exists(folder)) Directory.CreateDirectory(folder, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        // The -wal and -shm files take their mode from this one.
        using var _ = new FileStream(path, new FileStreamOptions { Mode = FileMode.OpenOrCreate, Access = FileAccess.ReadWrite, Share = FileShare.ReadWrite, UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite });
    }

    private sealed class PooledFactory(DbContextOptions<WeaveDbContext> options)
    {
        private readonly Microsoft.EntityFrameworkCore.Infrastructure.PooledDbContextFactory<WeaveDbContext> _pool = new(options);
        public WeaveDbContext Create() => _pool.CreateDbContext();
    }

    /// <summary>Settings that SQLite keeps per connection.</summary>
    private sealed class Pragmas : DbConnectionInterceptor
    {
        public static readonly Pragmas Instance = new();
        private const string Sql = "PRAGMA synchronous=FULL; PRAGMA busy_timeout=5000;";

        public override void ConnectionOpened(DbConnection connection, ConnectionEndEventData eventData)
        {
            using var command = connection.CreateCommand();
            command.CommandText = Sql;
            command.ExecuteNonQuery();
        }

        public override async Task ConnectionOpenedAsync(DbConnection connection, ConnectionEndEventData eventData, CancellationToken cancellationToken = default)
        {
            await using var command = connection.CreateCommand();
            command.CommandText = Sql;
            await command.ExecuteNonQueryAsync(cancellationToken).ConfigureAwait(false);
        }
    }
}

/// <summary>For the migration tool only.</summary>
internal sealed class DesignTimeFactory : IDesignTimeDbContextFactory<WeaveDbContext>
{
    public WeaveDbContext CreateDbContext(string[] args) => new(WeaveDatabase.Configure("design.db"));
}
