using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Microsoft.EntityFrameworkCore;
using Npgsql;
using WeaveHypervisor.Conformance.Stores;
using WeaveHypervisor.Model;
using WeaveHypervisor.Operations;
using WeaveHypervisor.State.Postgres;
using static WeaveHypervisor.Conformance.Stores.StoredThings;

namespace WeaveHypervisor.State.Tests;

/// <summary>What only a server can do: serve several processes, lose connections, die, and be of another version.</summary>
public sealed class PostgresTests
{
    private static readonly CancellationToken Go = CancellationToken.None;

    private static Operation Operation(TimeProvider clock) => new()
    {
        Id = OperationId.New(clock), Kind = "snapshot", Version = 1, Environment = Lab, Subject = "lab/main", RequestedBy = "admin", CreatedAt = Noon, State = OperationState.Queued, Plan = "{}",
        Steps = [new("one", StepState.Pending)],
    };

    private static async Task<WeaveException> RefusedAsync(Fault fault, Func<Task> act)
    {
        var refusal = await Assert.ThrowsAsync<WeaveException>(act);
        Assert.Equal(fault, refusal.Fault);
        Assert.False(string.IsNullOrWhiteSpace(refusal.NextStep), "a refusal says what to do next");
        Assert.DoesNotContain("se-cret", refusal.Message + refusal.NextStep, StringComparison.Ordinal);
        return refusal;
    }

    [Fact]
    public async Task Tables_are_made_by_several_processes_at_once_and_made_again_without_loss()
    {
        using var temporary = new TemporaryPostgres(empty: true);
        await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => Task.Run(() => temporary.Open().MigrateAsync(Go))));
        var database = temporary.Open();
        await database.Store.CommitAsync(new() { AddEnvironment = Environment() }, null, Go);
        await database.MigrateAsync(Go);
        Assert.Single(await database.Store.ListEnvironmentsAsync(Go));
        await using var connections = NpgsqlDataSource.Create(temporary.Connection);
        await using var context = new PostgresDbContext(PostgresEngine.Configure(connections));
        Assert.False(context.Database.HasPendingModelChanges(), "a migration is missing: see src/State/README.md");
        Assert.Equal(context.Database.GetMigrations(), await context.Database.GetAppliedMigrationsAsync(Go));
    }

    [Fact]
    public async Task A_process_that_was_killed_while_migrating_does_not_stop_the_next_one()
    {
        using var temporary = new TemporaryPostgres(empty: true);
        var connection = new NpgsqlConnection(temporary.Connection + ";Pooling=false");
        await connection.OpenAsync(Go);
        await using (var half = new NpgsqlCommand("BEGIN; CREATE SCHEMA weave; CREATE TABLE weave.environments (id text)", connection)) await half.ExecuteNonQueryAsync(Go);
        temporary.Sql($"SELECT pg_terminate_backend({connection.ProcessID})");
        await Record.ExceptionAsync(() => connection.CloseAsync());
        await temporary.Open().MigrateAsync(Go);
        await temporary.Open().Store.CommitAsync(new() { AddEnvironment = Environment() }, null, Go);
    }

    [Fact]
    public async Task A_database_of_a_newer_version_is_refused_and_not_touched()
    {
        using var temporary = new TemporaryPostgres();
        temporary.Sql("""INSERT INTO weave."__EFMigrationsHistory" VALUES ('29991231000000_FromTheFuture', '99.0.0'); DELETE FROM weave."__EFMigrationsHistory" WHERE "MigrationId" LIKE '%AppendOnlyAudit'; DROP TRIGGER audit_is_not_changed ON weave.audit""");
        Assert.Contains("FromTheFuture", (await RefusedAsync(Fault.Unsupported, () => temporary.Open().MigrateAsync(Go))).Message, StringComparison.Ordinal);
        Assert.Equal("0", temporary.Sql("SELECT count(*) FROM pg_trigger WHERE tgname = 'audit_is_not_changed'"));
    }

    [Theory]
    [InlineData("UPDATE weave.audit SET \"Result\" = 'nothing'")]
    [InlineData("DELETE FROM weave.audit")]
    [InlineData("TRUNCATE weave.audit")]
    public async Task The_database_itself_refuses_to_change_or_shorten_the_audit_log(string sql)
    {
        using var temporary = new TemporaryPostgres();
        var entry = await temporary.Open().Audit.AppendAsync(new(0, Noon, "admin", "weave.delete", "lab/past", "accepted"), Go);
        Assert.Contains("only appended", Assert.Throws<InvalidOperationException>(() => temporary.Sql(sql)).Message, StringComparison.Ordinal);
        Assert.Equal(entry, Assert.Single(await temporary.Open().Audit.ListAsync(10, null, Go)));
    }

    [Theory]
    [InlineData("a\\b", "\\\\", "\\u0000", "\ud800x\udc00", "\\\0\\u", "😀\0")]
    public void Any_text_is_written_so_that_PostgreSQL_takes_it_and_is_read_back(params string[] texts) => Assert.All(texts, t =>
    {
        var written = AnyText.Write(t);
        Assert.Equal(t, AnyText.Read(written));
        Assert.DoesNotContain('\0', written);
    });

    [Fact]
    public async Task Two_processes_share_names_leases_keys_and_locks()
    {
        using var temporary = new TemporaryPostgres();
        var (one, two) = (temporary.Open(), temporary.Open());
        await Task.WhenAll(Enumerable.Range(0, 20).Select(n => Task.Run(() => (n % 2 == 0 ? one : two).Store.CommitAsync(new() { AddWeaves = [Weave($"w{n}")] }, null, Go))));
        Assert.Equal(20, (await one.Store.ListWeavesAsync(Lab, Go)).Count);
        await RefusedAsync(Fault.AlreadyExists, () => two.Store.CommitAsync(new() { AddWeaves = [Weave("w0")] }, null, Go));
        // Two environments, whose writes do not wait for each other, and a name that is one for both.
        var routes = await Task.WhenAll(Enumerable.Range(0, 8).Select(n => Task.Run(async () => await Record.ExceptionAsync(() => (n % 2 == 0 ? one : two).Store.CommitAsync(new() { AddRoutes = [Route(n + 1, 80, n % 2 == 0 ? "lab" : "other")] }, null, Go)))));
        Assert.Single(routes, r => r is null);
        Assert.All(routes.Where(r => r is not null), r => Assert.Equal(Fault.AlreadyExists, Assert.IsType<WeaveException>(r).Fault));
        var leases = await Task.WhenAll(Enumerable.Range(0, 8).Select(n => Task.Run(() => (n % 2 == 0 ? one : two).Journal.TryAcquireAsync(Lab, $"runner-{n}", TimeSpan.FromMinutes(1), Go))));
        Assert.Single(leases, l => l is not null);
        var submitted = await Task.WhenAll(Enumerable.Range(0, 8).Select(n => Task.Run(() => (n % 2 == 0 ? one : two).Journal.SubmitAsync(new(Operation(temporary.Clock), "key", "hash"), Go))));
        Assert.Single(submitted.Select(o => o.Id).Distinct());
        var (inside, most) = (0, 0);
        await Task.WhenAll(Enumerable.Range(0, 8).Select(n => Task.Run(async () =>
        {
            await using var held = await (n % 2 == 0 ? one : two).Locks.TakeAsync("endpoints", Go);
            most = Math.Max(most, Interlocked.Increment(ref inside));
            await one.Store.ListEnvironmentsAsync(Go);
            await held.CheckAsync(Go);
            Interlocked.Decrement(ref inside);
        })));
        Assert.Equal(1, most);
    }

    [Fact]
    public async Task Who_loses_a_shared_lock_with_its_connection_is_told_and_the_next_gets_it()
    {
        using var temporary = new TemporaryPostgres();
        var held = await temporary.Open(";Application Name=holder").Locks.TakeAsync("endpoints", Go);
        temporary.Sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'holder'");
        await using (await temporary.Open().Locks.TakeAsync("endpoints", Go)) await RefusedAsync(Fault.Unavailable, () => held.CheckAsync(Go));
        await held.DisposeAsync();
    }

    [Fact]
    public async Task Of_two_writers_of_one_revision_one_is_told_that_the_other_was_first_and_the_same_write_twice_is_one()
    {
        using var temporary = new TemporaryPostgres();
        var (one, two) = (temporary.Open(), temporary.Open());
        var operation = await one.Journal.SubmitAsync(new(Operation(temporary.Clock), null, null), Go);
        var lease = (await one.Journal.TryAcquireAsync(Lab, "a", TimeSpan.FromMinutes(1), Go))!;
        for (var revision = 1; revision <= 10; revision++)
        {
            var outcomes = await Task.WhenAll(new[] { one, two }.Select((d, n) => Task.Run(async () =>
                await Record.ExceptionAsync(() => d.Journal.SaveAsync(operation with { State = OperationState.Running, Plan = $"{{\"by\":{n}}}", Revision = revision }, lease, Go)))));
            Assert.Equal(Fault.Conflict, Assert.IsType<WeaveException>(Assert.Single(outcomes, o => o is not null)).Fault);
            var stored = (await two.Journal.FindAsync(operation.Id, Go))!;
            Assert.Equal(stored, await one.Journal.SaveAsync(stored, lease, Go), (a, b) => a!.Revision == b!.Revision && a.Plan == b.Plan);
        }
    }

    [Fact]
    public async Task One_machine_alone_has_the_name_of_a_host()
    {
        using var temporary = new TemporaryPostgres();
        var database = temporary.Open();
        await database.ClaimHostAsync("a", "machine-1", false, Go);
        await database.ClaimHostAsync("a", "machine-1", false, Go);
        await database.ClaimHostAsync("b", "machine-2", false, Go);
        await RefusedAsync(Fault.Conflict, () => database.ClaimHostAsync("a", "machine-2", false, Go));
        await database.ClaimHostAsync("a", "machine-2", true, Go);
        await RefusedAsync(Fault.Conflict, () => database.ClaimHostAsync("a", "machine-1", false, Go));
    }

    [Fact]
    public async Task Connections_that_were_cut_are_not_noticed_by_the_next_calls()
    {
        using var temporary = new TemporaryPostgres();
        var database = temporary.Open(";Application Name=cut");
        await Task.WhenAll(Enumerable.Range(0, 8).Select(n => database.Store.CommitAsync(new() { AddWeaves = [Weave($"w{n}")] }, null, Go)));
        temporary.Sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'cut'");
        Assert.Equal(8, (await database.Store.ListWeavesAsync(Lab, Go)).Count);
        temporary.Sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'cut'");
        await database.Store.CommitAsync(new() { AddWeaves = [Weave("after")] }, null, Go);
        Assert.Equal(9, (await database.Store.ListWeavesAsync(Lab, Go)).Count);
    }

    /// <summary>Connections are cut again and again, in the middle of whatever they do; each commit is written once or refused.</summary>
    [Fact]
    public async Task Work_goes_on_while_connections_are_cut_in_the_middle_of_transactions()
    {
        using var temporary = new TemporaryPostgres();
        var database = temporary.Open(";Application Name=cut");
        var (written, cuts) = (0, 0);
        var cutting = Task.Run(() =>
        {
            // At most one for each commit, so that patience is not what is tried.
            for (var cutAt = -1; Volatile.Read(ref written) is var now and < 60;)
                if (now != cutAt && temporary.Sql("SELECT count(pg_terminate_backend(pid)) FROM (SELECT pid FROM pg_stat_activity WHERE application_name = 'cut' AND state <> 'idle' LIMIT 1) a") == "1") (cutAt, cuts) = (now, cuts + 1);
        }, Go);
        for (var n = 0; n < 60; Volatile.Write(ref written, ++n)) await database.Store.CommitAsync(new() { AddWeaves = [Weave($"w{n}")], AddActivations = [new(Lab, WeaveId.Parse($"w{n}"), Noon)] }, null, Go);
        await cutting;
        Assert.True(cuts > 0);
        Assert.Equal(60, (await database.Store.ListWeavesAsync(Lab, Go)).Count);
        Assert.Equal(60, (await database.Store.ListActivationsAsync(Lab, Go)).Count);
    }

    /// <summary>The answer to COMMIT is lost on its way, after the server has written it, or the COMMIT itself is.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_commit_whose_answer_was_lost_is_known_and_written_once(bool arrives)
    {
        using var temporary = new TemporaryPostgres();
        using var relay = new CommitRelay(PostgresServer.Shared.Port, arrives);
        using var database = new WeaveDatabase(new() { PostgresConnection = new NpgsqlConnectionStringBuilder(temporary.Connection) { Host = "127.0.0.1", Port = relay.Port, SslMode = SslMode.Disable, GssEncryptionMode = GssEncryptionMode.Disable }.ConnectionString }, temporary.Clock);
        await database.Audit.AppendAsync(new(0, Noon, "admin", "a", "first", "c"), Go);
        relay.CutNext();
        await database.Audit.AppendAsync(new(0, Noon, "admin", "a", "second", "c"), Go);
        Assert.True(relay.HasCut);
        Assert.Equal(["second", "first"], (await database.Audit.ListAsync(10, null, Go)).Select(e => e.Subject));
    }

    [Fact]
    public async Task A_server_that_is_killed_loses_nothing_acknowledged_and_is_used_again_when_it_is_back()
    {
        using var server = new PostgresServer(durable: true);
        using var database = new WeaveDatabase(new() { PostgresConnection = server.Connection("postgres") }, TimeProvider.System);
        await database.MigrateAsync(Go);
        var acknowledged = new List<string>();
        using var over = new CancellationTokenSource();
        var writing = Task.Run(async () =>
        {
            for (var n = 0; !over.IsCancellationRequested; n++)
                try
                {
                    await database.Store.CommitAsync(new() { AddWeaves = [Weave($"w{n}")] }, null, Go);
                    lock (acknowledged) acknowledged.Add($"w{n}");
                }
                catch (WeaveException e) when (e.Fault == Fault.Unavailable)
                {
                    // The server is away for longer than a call waits.
                }
        }, Go);
        for (var life = 0; life < 3; life++)
        {
            var before = acknowledged.Count;
            await Conformance.Eventually.HoldsAsync("it writes", () => Task.FromResult(acknowledged.Count > before + 5 || writing.IsFaulted), TimeSpan.FromSeconds(60), Go);
            server.Kill();
            server.Start();
        }
        await over.CancelAsync();
        await writing;
        Assert.Empty(acknowledged.Except((await database.Store.ListWeavesAsync(Lab, Go)).Select(w => w.Id.Text)));
    }

    [Fact]
    public async Task What_is_wrong_with_a_connection_is_told_without_the_password()
    {
        using var temporary = new TemporaryPostgres();
        async Task<string> Told(string connection, Fault fault = Fault.Unavailable)
        {
            using var database = new WeaveDatabase(new() { PostgresConnection = connection }, TimeProvider.System);
            return (await RefusedAsync(fault, () => database.MigrateAsync(Go))).Message;
        }
        Assert.Contains("There is no database", await Told(PostgresServer.Shared.Connection("nowhere") + ";Password=se-cret"), StringComparison.Ordinal);
        Assert.Contains("refuses the user", await Told(temporary.Connection.Replace("Username=postgres", "Username=nobody", StringComparison.Ordinal) + ";Password=se-cret"), StringComparison.Ordinal);
        Assert.Contains("cannot be reached", await Told("Host=127.0.0.1;Port=1;Database=weave;Username=weave;Password=se-cret"), StringComparison.Ordinal);
        foreach (var wrong in new[] { "postgres://u:se-cret@host/db", "Host=a;Password=se-cret", "Host=a;Database=b;Passwort=se-cret", "Host=a;Database=b;Port=se-cret", "Database=b;Password=se-cret" })
            await RefusedAsync(Fault.InvalidRequest, () => Task.FromResult(new WeaveDatabase(new() { PostgresConnection = wrong }, TimeProvider.System)));
        temporary.Sql($"ALTER DATABASE {temporary.Name} SET default_transaction_read_only = on");
        var refused = await RefusedAsync(Fault.Unavailable, () => temporary.Open().Store.CommitAsync(new() { AddEnvironment = Environment() }, null, Go));
        Assert.Contains("can only be read", refused.Message, StringComparison.Ordinal);
        Assert.StartsWith("PostgreSQL 1", await temporary.Open().DescribeAsync(Go), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Where_all_connections_are_in_use_a_call_is_refused_as_busy_and_the_next_succeeds()
    {
        using var temporary = new TemporaryPostgres();
        var database = temporary.Open(";Maximum Pool Size=2;Timeout=1");
        await using var holder = new NpgsqlConnection(temporary.Connection);
        await holder.OpenAsync(Go);
        await using (var block = new NpgsqlCommand("BEGIN; LOCK TABLE weave.weaves IN ACCESS EXCLUSIVE MODE", holder)) await block.ExecuteNonQueryAsync(Go);
        var waiting = Enumerable.Range(0, 2).Select(n => database.Store.ListWeavesAsync(Lab, Go)).ToList();
        await RefusedAsync(Fault.Busy, () => database.Store.ListEnvironmentsAsync(Go));
        await using (var free = new NpgsqlCommand("ROLLBACK", holder)) await free.ExecuteNonQueryAsync(Go);
        await Task.WhenAll(waiting);
        Assert.Empty(await database.Store.ListEnvironmentsAsync(Go));
    }

    [Theory]
    [InlineData("40001", Fault.Busy)]
    [InlineData("53300", Fault.Busy)]
    [InlineData("53100", Fault.Exhausted)]
    [InlineData("53400", Fault.Exhausted)]
    [InlineData("28P01", Fault.Unavailable)]
    [InlineData("42501", Fault.Unavailable)]
    [InlineData("57P03", Fault.Unavailable)]
    [InlineData("57014", Fault.Unavailable)]
    [InlineData("08006", Fault.Unavailable)]
    [InlineData("58030", Fault.Unavailable)]
    [InlineData("23505", Fault.AlreadyExists)]
    [InlineData("XX001", Fault.DataLoss)]
    public async Task A_state_of_SQL_becomes_the_fault_that_says_what_to_do_next(string state, Fault fault)
    {
        var error = new PostgresException("why", "ERROR", "ERROR", state);
        foreach (var thrown in new Exception[] { error, new DbUpdateException("while saving", error), new InvalidOperationException("transient", error) })
            Assert.Same(error, (await RefusedAsync(fault, () => PostgresFaults.TranslateAsync<int>("host/db", "reading a token", () => throw thrown))).InnerException);
        Assert.Equal(Fault.Internal, (await Assert.ThrowsAsync<WeaveException>(() => PostgresFaults.TranslateAsync<int>("host/db", "x", () => throw new PostgresException("why", "ERROR", "ERROR", "42601")))).Fault);
        var refusal = new WeaveException(Fault.Conflict, "m");
        Assert.Same(refusal, await Assert.ThrowsAsync<WeaveException>(() => PostgresFaults.TranslateAsync<int>("p", "x", () => throw refusal)));
        await Assert.ThrowsAsync<InvalidOperationException>(() => PostgresFaults.TranslateAsync<int>("p", "x", () => throw new InvalidOperationException("ours")));
    }

    /// <summary>Stands between a client and the server, and once cuts the connection at a COMMIT: before the server gets it, or after it has been carried out.</summary>
    private sealed class CommitRelay : IDisposable
    {
        private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
        private readonly int _server;
        private readonly bool _arrives;
        private int _cuts;

        public CommitRelay(int server, bool arrives)
        {
            (_server, _arrives) = (server, arrives);
            _listener.Start();
            _ = AcceptAsync();
        }

        public int Port => ((IPEndPoint)_listener.LocalEndpoint).Port;
        public bool HasCut { get; private set; }
        public void CutNext() => _cuts = 1;
        public void Dispose() => _listener.Dispose();

        private async Task AcceptAsync()
        {
            try
            {
                while (true) _ = ServeAsync(await _listener.AcceptTcpClientAsync());
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException)
            {
            }
        }

        private async Task ServeAsync(TcpClient client)
        {
            using var _ = client;
            using var server = new TcpClient();
            await server.ConnectAsync(IPAddress.Loopback, _server);
            var answers = server.GetStream().CopyToAsync(client.GetStream());
            var buffer = new byte[64 << 10];
            try
            {
                while (await client.GetStream().ReadAsync(buffer) is var read and > 0)
                {
                    if (buffer.AsSpan(0, read).IndexOf("COMMIT"u8) >= 0 && Interlocked.Exchange(ref _cuts, 0) == 1)
                    {
                        HasCut = true;
                        client.Client.Close(0);
                        if (_arrives) await server.GetStream().WriteAsync(buffer.AsMemory(0, read));
                        return;
                    }
                    await server.GetStream().WriteAsync(buffer.AsMemory(0, read));
                }
            }
            catch (Exception e) when (e is IOException or ObjectDisposedException)
            {
            }
            finally
            {
                server.Client.Shutdown(SocketShutdown.Send);
                await answers.ContinueWith(_ => { }, TaskScheduler.Default);
            }
        }
    }
}
