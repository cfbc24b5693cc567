using Microsoft.Extensions.Time.Testing;
using WeaveHypervisor.Conformance.Stores;

namespace WeaveHypervisor.State.Tests;

/// <summary>A database of the test's own on the shared server, with this version's tables, removed at the end.</summary>
public sealed class TemporaryPostgres : IDisposable
{
    private static readonly Lazy<string> Template = new(() =>
    {
        var connection = PostgresServer.Shared.NewDatabase(more: ";Pooling=false");
        using var database = new WeaveDatabase(new() { PostgresConnection = connection }, TimeProvider.System);
        database.MigrateAsync(CancellationToken.None).GetAwaiter().GetResult();
        return NameOf(connection);
    });
    private readonly List<WeaveDatabase> _open = [];

    /// <param name="empty">Without any table.</param>
    public TemporaryPostgres(bool empty = false) => Connection = PostgresServer.Shared.NewDatabase(empty ? null : Template.Value);

    public FakeTimeProvider Clock { get; } = new(new DateTimeOffset(2030, 1, 1, 0, 0, 0, TimeSpan.Zero));
    public string Connection { get; }
    public string Name => NameOf(Connection);

    /// <summary>Opens it as a process does that has migrated it.</summary>
    public WeaveDatabase Open(string more = "")
    {
        var database = new WeaveDatabase(new() { PostgresConnection = Connection + more }, Clock);
        _open.Add(database);
        return database;
    }

    public string Sql(string text) => PostgresServer.Shared.Sql(Name, text);

    private static string NameOf(string connection) => new Npgsql.NpgsqlConnectionStringBuilder(connection).Database!;

    public void Dispose()
    {
        foreach (var database in _open) database.Dispose();
        PostgresServer.Shared.Sql("postgres", $"DROP DATABASE {Name} WITH (FORCE)");
    }
}
