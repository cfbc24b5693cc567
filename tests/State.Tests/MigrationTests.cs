using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Infrastructure;
using Microsoft.EntityFrameworkCore.Migrations;
using WeaveHypervisor.State.Sqlite;
using WeaveHypervisor.Conformance.Stores;
using WeaveHypervisor.Model;
using static WeaveHypervisor.Conformance.Stores.StoredThings;

namespace WeaveHypervisor.State.Tests;

public sealed class MigrationTests : IDisposable
{
    private static readonly CancellationToken Go = CancellationToken.None;
    private readonly TemporaryDatabase _temporary = new();

    public void Dispose() => _temporary.Dispose();

    private WeaveDbContext Context() => new(SqliteEngine.Configure(_temporary.File));

    [Fact]
    public async Task A_database_is_made_from_nothing_and_made_again_without_loss()
    {
        await _temporary.Open().Store.CommitAsync(new() { AddEnvironment = Environment() }, null, Go);
        await _temporary.Open().MigrateAsync(Go);
        Assert.Single(await _temporary.Open().Store.ListEnvironmentsAsync(Go));
        await using var context = Context();
        Assert.Equal(context.Database.GetMigrations(), await context.Database.GetAppliedMigrationsAsync(Go));
    }

    [Fact]
    public async Task Every_older_version_is_brought_up_to_date_with_what_it_holds()
    {
        await using var context = Context();
        var all = context.Database.GetMigrations().ToList();
        Assert.True(all.Count > 1);
        Directory.CreateDirectory(_temporary.Folder);
        await context.GetService<IMigrator>().MigrateAsync(all[0], Go);
        _temporary.Sql("INSERT INTO audit (At, Who, What, Subject, Result) VALUES (1, 'a', 'b', 'c', 'd')");
        foreach (var next in all.Skip(1))
        {
            await context.GetService<IMigrator>().MigrateAsync(next, Go);
            Assert.Equal(1, _temporary.Sql("SELECT count(*) FROM audit"));
        }
        Assert.Equal("a", Assert.Single(await _temporary.Open().Audit.ListAsync(10, null, Go)).Who);
    }

    [Fact]
    public async Task The_tables_are_those_of_the_model()
    {
        await using var context = Context();
        Assert.False(context.Database.HasPendingModelChanges(), "a migration is missing: see src/State/README.md");
    }

    [Fact]
    public async Task A_database_of_a_newer_version_is_refused_and_not_touched()
    {
        await _temporary.Open().Store.CommitAsync(new() { AddEnvironment = Environment() }, null, Go);
        _temporary.Sql("""INSERT INTO "__EFMigrationsHistory" VALUES ('29991231000000_FromTheFuture', '99.0.0'); DROP TRIGGER audit_is_not_changed; DELETE FROM "__EFMigrationsHistory" WHERE MigrationId LIKE '%AppendOnlyAudit'""");
        var refusal = await Assert.ThrowsAsync<WeaveException>(() => _temporary.Closed().MigrateAsync(Go));
        Assert.Equal(Fault.Unsupported, refusal.Fault);
        Assert.Contains("FromTheFuture", refusal.Message, StringComparison.Ordinal);
        Assert.Contains("backup", refusal.NextStep, StringComparison.Ordinal);
        Assert.Equal(0, _temporary.Sql("SELECT count(*) FROM sqlite_master WHERE name = 'audit_is_not_changed'"));
    }

    [Fact]
    public async Task A_process_that_was_killed_while_migrating_does_not_stop_the_next_one()
    {
        _temporary.Open();
        _temporary.Sql("""INSERT INTO "__EFMigrationsLock" VALUES (1, '2030-01-01 00:00:00')""");
        using var stop = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        await _temporary.Closed().MigrateAsync(stop.Token);
        await _temporary.Closed().Store.CommitAsync(new() { AddEnvironment = Environment() }, null, Go);
    }
}
