using System.Data.Common;
using Microsoft.Data.Sqlite;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Design;
using Microsoft.EntityFrameworkCore.Diagnostics;
using Microsoft.EntityFrameworkCore.Infrastructure;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.State.Sqlite;

/// <summary>State in one file. Every write is one BEGIN IMMEDIATE transaction, which holds the write lock of the whole file: what it checks still holds when it writes.</summary>
internal sealed class SqliteEngine(string path, IReadOnlyList<IInterceptor> interceptors) : StateEngine
{
    private readonly PooledDbContextFactory<WeaveDbContext> _contexts = new(Configure(path, interceptors));

    public override async Task MigrateAsync(CancellationToken stop)
    {
        try
        {
            MakeFile(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new WeaveException(Fault.Unavailable, $"The database {path} cannot be made or opened: {e.Message}", "Give the service a folder that it may write.", e);
        }
        await using var context = _contexts.CreateDbContext();
        await SqliteFaults.TranslateAsync(path, "bringing the database up to date", async () =>
        {
            await NewerVersions.RefuseAsync(context, path, stop).ConfigureAwait(false);
            await context.Database.ExecuteSqlRawAsync("PRAGMA journal_mode=WAL;", stop).ConfigureAwait(false);
            // Whoever was killed while migrating has left this behind, and it would be waited for without end; migrating is one process's at a time by our own rule.
            await context.Database.ExecuteSqlRawAsync("""DROP TABLE IF EXISTS "__EFMigrationsLock";""", stop).ConfigureAwait(false);
            await context.Database.MigrateAsync(stop).ConfigureAwait(false);
            return 0;
        }).ConfigureAwait(false);
    }

    public override async Task<T> ReadAsync<T>(string what, Func<WeaveDbContext, Task<T>> read)
    {
        await using var context = _contexts.CreateDbContext();
        return await SqliteFaults.TranslateAsync(path, what, () => read(context)).ConfigureAwait(false);
    }

    public override async Task<T> WriteAsync<T>(string what, IReadOnlyCollection<string> locks, Func<WeaveDbContext, Task<T>> write, CancellationToken stop)
    {
        for (var attempt = 1; ; attempt++)
        {
            try
            {
                await using var context = _contexts.CreateDbContext();
                return await SqliteFaults.TranslateAsync(path, what, async () =>
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

    public override Task<string> DescribeAsync(CancellationToken stop) => Task.FromResult($"SQLite in {path}");

    internal static DbContextOptions<WeaveDbContext> Configure(string path, IReadOnlyList<IInterceptor>? interceptors = null)
    {
        var connection = new SqliteConnectionStringBuilder { DataSource = path, Mode = SqliteOpenMode.ReadWriteCreate, ForeignKeys = true, DefaultTimeout = 15 }.ToString();
        return new DbContextOptionsBuilder<WeaveDbContext>().UseSqlite(connection).AddInterceptors([Pragmas.Instance, .. interceptors ?? []])
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
internal sealed class SqliteDesignTimeFactory : IDesignTimeDbContextFactory<WeaveDbContext>
{
    public WeaveDbContext CreateDbContext(string[] args) => new(SqliteEngine.Configure("design.db"));
}
