using System.Text;
using Microsoft.Data.Sqlite;
using WeaveHypervisor.Conformance.Stores;
using WeaveHypervisor.Model;
using WeaveHypervisor.Operations;
using WeaveHypervisor.Weaving.Access;
using static WeaveHypervisor.Conformance.Stores.StoredThings;

namespace WeaveHypervisor.State.Tests;

/// <summary>What is on the disk: durability, several processes on one file, secrets, damage.</summary>
public sealed class SqliteFileTests : IDisposable
{
    private static readonly CancellationToken Go = CancellationToken.None;
    private readonly TemporaryDatabase _temporary = new();

    public void Dispose() => _temporary.Dispose();

    private Operation Operation() => new()
    {
        Id = OperationId.New(_temporary.Clock), Kind = "snapshot", Version = 1, Environment = Lab, Subject = "lab/main", RequestedBy = "admin", CreatedAt = Noon, State = OperationState.Queued, Plan = "{}",
        Steps = [new("one", StepState.Pending)],
    };

    private static async Task<WeaveException> RefusedAsync(Fault fault, Func<Task> act)
    {
        var refusal = await Assert.ThrowsAsync<WeaveException>(act);
        Assert.Equal(fault, refusal.Fault);
        Assert.False(string.IsNullOrWhiteSpace(refusal.NextStep), "a refusal says what to do next");
        return refusal;
    }

    [Fact]
    public async Task All_that_was_acknowledged_is_there_for_a_process_that_opens_the_file_later()
    {
        var (operation, hash) = (Operation(), TokenSecret.Hash(TokenSecret.New()));
        var first = _temporary.Open();
        await first.Journal.SubmitAsync(new(operation, "key", "request"), Go);
        var lease = (await first.Journal.TryAcquireAsync(Lab, "a", TimeSpan.FromMinutes(1), Go))!;
        await first.Store.CommitAsync(new() { AddEnvironment = Environment(), AddWeaves = [Weave("past", tag: "0123abcd")] }, lease, Go);
        await first.Tokens.AddAsync(new() { Name = "ci", Role = AccessRole.Viewer, CreatedAt = Noon }, hash, Go);
        var entry = await first.Audit.AppendAsync(new(0, Noon, "admin", "a", "b", "c"), Go);
        _temporary.Close();

        var second = _temporary.Open();
        Assert.Equivalent(operation, await second.Journal.FindAsync(operation.Id, Go), strict: true);
        Assert.Equal(operation.Id, (await second.Journal.FindRepeatedAsync("key", "request", Go))!.Id);
        Assert.Null(await second.Journal.TryAcquireAsync(Lab, "b", TimeSpan.FromMinutes(1), Go));
        Assert.Equivalent(Weave("past", tag: "0123abcd"), await second.Store.FindWeaveAsync(Lab, WeaveId.Parse("past"), Go), strict: true);
        Assert.Equal("ci", (await second.Tokens.FindAsync(hash, Go))!.Name);
        Assert.Equal(entry, Assert.Single(await second.Audit.ListAsync(10, null, Go)));
        Assert.True((await second.Audit.AppendAsync(entry, Go)).Number > entry.Number);
    }

    /// <summary>A killed process closes nothing. Its files at that moment are copied, without the index of the log, which lives in memory only.</summary>
    [Fact]
    public async Task All_that_was_acknowledged_is_in_the_files_of_a_process_that_never_closes_them()
    {
        var database = _temporary.Open();
        using var copy = new TemporaryDatabase();
        Directory.CreateDirectory(copy.Folder);
        for (var n = 1; n <= 20; n++)
        {
            await database.Store.CommitAsync(new() { AddWeaves = [Weave($"w{n}")] }, null, Go);
            foreach (var name in new[] { "", "-wal" })
                File.Copy(_temporary.File + name, copy.File + name);
            Assert.Equal(n, (await copy.Open().Store.ListWeavesAsync(Lab, Go)).Count);
            copy.Close();
            foreach (var file in Directory.GetFiles(copy.Folder)) File.Delete(file);
        }
    }

    [Fact]
    public async Task Two_processes_on_one_file_share_its_names_and_its_leases()
    {
        var (one, two) = (_temporary.Open(), _temporary.Open());
        await Task.WhenAll(Enumerable.Range(0, 20).Select(n => Task.Run(() => (n % 2 == 0 ? one : two).Store.CommitAsync(new() { AddWeaves = [Weave($"w{n}")] }, null, Go))));
        Assert.Equal(20, (await one.Store.ListWeavesAsync(Lab, Go)).Count);
        await RefusedAsync(Fault.AlreadyExists, () => two.Store.CommitAsync(new() { AddWeaves = [Weave("w0")] }, null, Go));
        var leases = await Task.WhenAll(Enumerable.Range(0, 8).Select(n => Task.Run(() => (n % 2 == 0 ? one : two).Journal.TryAcquireAsync(Lab, $"runner-{n}", TimeSpan.FromMinutes(1), Go))));
        Assert.Single(leases, l => l is not null);
    }

    [Fact]
    public async Task Of_two_writers_of_one_revision_one_is_told_that_the_other_was_first()
    {
        var (one, two) = (_temporary.Open(), _temporary.Open());
        var operation = await one.Journal.SubmitAsync(new(Operation(), null, null), Go);
        var lease = (await one.Journal.TryAcquireAsync(Lab, "a", TimeSpan.FromMinutes(1), Go))!;
        for (var revision = 1; revision <= 10; revision++)
        {
            var outcomes = await Task.WhenAll(new[] { one, two }.Select((d, n) => Task.Run(async () =>
                await Record.ExceptionAsync(() => d.Journal.SaveAsync(operation with { State = OperationState.Running, Plan = $"{{\"by\":{n}}}", Revision = revision }, lease, Go)))));
            Assert.Equal(Fault.Conflict, Assert.IsType<WeaveException>(Assert.Single(outcomes, o => o is not null)).Fault);
            Assert.Equal(revision, (await two.Journal.FindAsync(operation.Id, Go))!.Revision);
        }
    }

    [Fact]
    public async Task A_secret_is_in_none_of_the_files()
    {
        var database = _temporary.Open();
        var secret = TokenSecret.New();
        await database.Tokens.AddAsync(new() { Name = "needle-token", Role = AccessRole.Admin, CreatedAt = Noon }, TokenSecret.Hash(secret), Go);
        _temporary.Close();
        var files = Directory.GetFiles(_temporary.Folder).Select(f => Encoding.Latin1.GetString(File.ReadAllBytes(f))).ToList();
        Assert.Contains(files, f => f.Contains("needle-token", StringComparison.Ordinal) && f.Contains(TokenSecret.Hash(secret), StringComparison.Ordinal));
        Assert.DoesNotContain(files, f => f.Contains(secret[6..], StringComparison.OrdinalIgnoreCase));
    }

    [Theory]
    [InlineData("UPDATE audit SET Result = 'nothing'")]
    [InlineData("DELETE FROM audit")]
    [InlineData("UPDATE OR IGNORE audit SET Number = Number + 1")]
    public async Task The_database_itself_refuses_to_change_or_shorten_the_audit_log(string sql)
    {
        var database = _temporary.Open();
        var entry = await database.Audit.AppendAsync(new(0, Noon, "admin", "weave.delete", "lab/past", "accepted"), Go);
        Assert.Contains("only appended", Assert.Throws<SqliteException>(() => _temporary.Sql(sql)).Message, StringComparison.Ordinal);
        Assert.Equal(entry, Assert.Single(await database.Audit.ListAsync(10, null, Go)));
    }

    [Fact]
    public async Task A_file_that_is_no_database_is_refused_as_damage_and_stays_as_it_is()
    {
        Directory.CreateDirectory(_temporary.Folder);
        var text = Encoding.ASCII.GetBytes(new string('x', 10_000));
        File.WriteAllBytes(_temporary.File, text);
        var refusal = await RefusedAsync(Fault.DataLoss, () => _temporary.Closed().MigrateAsync(Go));
        Assert.Contains(_temporary.File, refusal.Message, StringComparison.Ordinal);
        Assert.Equal(text, File.ReadAllBytes(_temporary.File));
    }

    /// <summary>Every page but the first is overwritten: SQLite notices at whatever it needs first.</summary>
    [Fact]
    public async Task Damage_inside_the_file_is_told_as_damage_at_the_first_read_of_it()
    {
        await _temporary.Open().Store.CommitAsync(new() { AddEnvironment = Environment(), AddWeaves = [Weave("past")] }, null, Go);
        _temporary.Close();
        _temporary.Sql("PRAGMA wal_checkpoint(TRUNCATE)");
        _temporary.Close();
        using (var file = new FileStream(_temporary.File, FileMode.Open))
        {
            Assert.True(file.Length > 8192);
            file.Position = 4096;
            file.Write(Enumerable.Repeat((byte)0xff, (int)file.Length - 4096).ToArray());
        }
        var database = _temporary.Closed();
        await RefusedAsync(Fault.DataLoss, async () =>
        {
            await database.MigrateAsync(Go);
            await database.Store.ListWeavesAsync(Lab, Go);
        });
    }

    [Fact]
    public async Task A_document_that_cannot_be_read_is_damage_and_names_what_it_was()
    {
        var database = _temporary.Open();
        await database.Store.CommitAsync(new() { AddEnvironment = Environment(), AddWeaves = [Weave("past")] }, null, Go);
        foreach (var document in new[] { "{", "null", "[]", """{"id":"past"}""", """{"id":"../past"}""" })
        {
            _temporary.Sql($"UPDATE weaves SET Document = '{document}'");
            var refusal = await RefusedAsync(Fault.DataLoss, () => database.Store.ListWeavesAsync(Lab, Go));
            Assert.Contains("stored Weave", refusal.Message, StringComparison.Ordinal);
        }
        Assert.Single(await database.Store.ListEnvironmentsAsync(Go));
    }

    [Fact]
    public async Task A_path_that_cannot_be_a_file_is_refused_with_what_to_do()
    {
        Directory.CreateDirectory(_temporary.File);
        await RefusedAsync(Fault.Unavailable, () => _temporary.Closed().MigrateAsync(Go));
        var below = new WeaveDatabase(new() { SqlitePath = "/dev/null/weave.db" }, _temporary.Clock);
        await RefusedAsync(Fault.Unavailable, () => below.MigrateAsync(Go));
    }

    [Fact]
    public async Task Storage_that_is_not_named_is_refused()
    {
        await RefusedAsync(Fault.InvalidRequest, () => Task.FromResult(new WeaveDatabase(new(), _temporary.Clock)));
        Assert.False(Directory.Exists(_temporary.Folder));
    }

    [Fact]
    public void The_file_is_its_owners_alone()
    {
        _temporary.Open();
        if (OperatingSystem.IsWindows()) return;
        const UnixFileMode Owner = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        Assert.All(Directory.GetFiles(_temporary.Folder), f => Assert.Equal(Owner, File.GetUnixFileMode(f)));
        Assert.Equal(Owner | UnixFileMode.UserExecute, File.GetUnixFileMode(_temporary.Folder));
    }
}
