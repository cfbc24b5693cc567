using Microsoft.Extensions.Time.Testing;
using WeaveHypervisor.Conformance.Stores;
using WeaveHypervisor.Model;
using WeaveHypervisor.Operations;

namespace WeaveHypervisor.State.Tests;

/// <summary>A database in a folder of its own, removed at the end.</summary>
public sealed class TemporaryDatabase : IDisposable
{
    public string Folder { get; } = Path.Combine(Path.GetTempPath(), "weave-state-" + Guid.NewGuid().ToString("N"));
    public FakeTimeProvider Clock { get; } = new(new DateTimeOffset(2030, 1, 1, 0, 0, 0, TimeSpan.Zero));
    public string File => Path.Combine(Folder, "weave.db");

    public WeaveDatabase Open()
    {
        var database = new WeaveDatabase(new() { SqlitePath = File }, Clock);
        database.MigrateAsync(CancellationToken.None).GetAwaiter().GetResult();
        return database;
    }

    public void Dispose()
    {
        Microsoft.Data.Sqlite.SqliteConnection.ClearAllPools();
        if (Directory.Exists(Folder)) Directory.Delete(Folder, true);
    }
}

public sealed class SqliteJournalTests : JournalContract, IDisposable
{
    private readonly TemporaryDatabase _temporary = new();
    private readonly WeaveDatabase _database;

    public SqliteJournalTests() => _database = _temporary.Open();
    public void Dispose() => _temporary.Dispose();
    protected override IJournal Journal => _database.Journal;
    protected override TimeProvider Clock => _temporary.Clock;
    protected override void Pass(TimeSpan time) => _temporary.Clock.Advance(time);

    [Fact]
    public async Task An_operation_is_there_after_reopening()
    {
        var o = New();
        await Journal.SubmitAsync(new(o, null, null), default);
        Assert.Equivalent(o, await _temporary.Open().Journal.FindAsync(o.Id, default), strict: true);
    }

    [Fact]
    public void The_file_is_its_owners_alone()
    {
        if (OperatingSystem.IsWindows()) return;
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(_temporary.File));
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute, File.GetUnixFileMode(_temporary.Folder));
    }
}
