using WeaveHypervisor.State.Sqlite;
using Microsoft.Data.Sqlite;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Time.Testing;

namespace WeaveHypervisor.State.Tests;

/// <summary>A database in a folder of its own, removed at the end.</summary>
public sealed class TemporaryDatabase : IDisposable
{
    public string Folder { get; } = Path.Combine(Path.GetTempPath(), "weave-state-" + Guid.NewGuid().ToString("N"));
    public FakeTimeProvider Clock { get; } = new(new DateTimeOffset(2030, 1, 1, 0, 0, 0, TimeSpan.Zero));
    public string File => Path.Combine(Folder, "weave.db");

    /// <summary>Opens it as a process at its start does.</summary>
    public WeaveDatabase Open()
    {
        var database = Closed();
        database.MigrateAsync(CancellationToken.None).GetAwaiter().GetResult();
        return database;
    }

    /// <summary>The database as it is before <see cref="WeaveDatabase.MigrateAsync"/>.</summary>
    public WeaveDatabase Closed() => new(new() { SqlitePath = File }, Clock);

    /// <summary>Runs SQL past the product, as a foreign hand.</summary>
    public long Sql(string text)
    {
        using var connection = new SqliteConnection(new SqliteConnectionStringBuilder { DataSource = File, Pooling = false }.ToString());
        connection.Open();
        using var command = connection.CreateCommand();
        command.CommandText = text;
        return command.ExecuteScalar() as long? ?? 0;
    }

    /// <summary>Closes the connections that the product keeps open, so that the files can be replaced; those of other tests stay.</summary>
    public void Close()
    {
        using var context = new WeaveDbContext(SqliteEngine.Configure(File));
        SqliteConnection.ClearPool((SqliteConnection)context.Database.GetDbConnection());
    }

    public void Dispose()
    {
        Close();
        if (Directory.Exists(Folder)) Directory.Delete(Folder, true);
    }
}
