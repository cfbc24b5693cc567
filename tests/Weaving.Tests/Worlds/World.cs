using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using WeaveHypervisor.Conformance.Stores;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;
using WeaveHypervisor.Operations;
using WeaveHypervisor.Simulator;
using WeaveHypervisor.State;
using WeaveHypervisor.Weaving.Adoption;
using WeaveHypervisor.Weaving.Branching;
using WeaveHypervisor.Weaving.Capture;
using WeaveHypervisor.Weaving.Compaction;
using WeaveHypervisor.Weaving.Exporting;
using WeaveHypervisor.Weaving.Importing;
using WeaveHypervisor.Weaving.Policies;
using WeaveHypervisor.Weaving.Rules;
using WeaveHypervisor.Weaving.Traffic;
using WeaveHypervisor.Weaving.Verifying;

namespace WeaveHypervisor.Weaving.Tests.Worlds;

/// <summary>
/// A simulated host with users' machines, a SQLite store in a folder of its own, and one service process at a time on both. The host and the store stay when the
/// process ends. Operations run where the test says, on a clock that stands still but for a second after each.
/// </summary>
internal sealed partial class World : IAsyncDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(2);
    public static readonly EnvironmentId Lab = EnvironmentId.Parse("lab");
    public static readonly MachineName Web = MachineName.Parse("web"), Db = MachineName.Parse("db");
    public static readonly Caller Me = new("me");
    private readonly string _folder = Directory.CreateTempSubdirectory("weave-world").FullName;

    /// <param name="sql">Passes all commands of the service processes on the database.</param>
    /// <param name="inMemory">Keep the state in memory: for very many worlds.</param>
    /// <param name="postgres">Keep it in a database of the tests' PostgreSQL.</param>
    public World(WeavingOptions? options = null, SqlFaults? sql = null, bool inMemory = false, bool postgres = false)
    {
        Sql = sql;
        if (inMemory) Memory = (new(), new(Clock));
        Options = options ?? new() { FirstPort = 20000, LastPort = 20009, VerifyRunTime = TimeSpan.Zero, CompactAt = 6 };
        Host = new(Path.Combine(_folder, "host"), Clock);
        Host.At = (point, stop) => Process.Calls.PassAsync("host." + point, stop);
        Directory.CreateDirectory(Path.Combine(_folder, "state"));
        if (postgres) _postgres = PostgresServer.Shared.NewDatabase(NameOf(EmptyPostgres.Value), Unpooled);
        else if (!inMemory) CopyDatabase(EmptyDatabase.Value, Database);
        Restart();
    }

    public SqlFaults? Sql { get; }
    public (InMemoryStore Store, Conformance.Stores.InMemoryJournal Journal)? Memory { get; }

    /// <summary>Made once for all worlds: bringing a new database up to date takes longer than most tests.</summary>
    private static readonly Lazy<string> EmptyDatabase = new(() =>
    {
        var path = Path.Combine(Directory.CreateTempSubdirectory("weave-empty").FullName, "weave.db");
        new WeaveDatabase(new() { SqlitePath = path }, TimeProvider.System).MigrateAsync(CancellationToken.None).GetAwaiter().GetResult();
        Microsoft.Data.Sqlite.SqliteConnection.ClearAllPools();
        AppDomain.CurrentDomain.ProcessExit += (_, _) => Directory.Delete(Path.GetDirectoryName(path)!, true);
        return path;
    });

    private static readonly Lazy<string> EmptyPostgres = new(() =>
    {
        var connection = PostgresServer.Shared.NewDatabase(more: Unpooled);
        using var database = new WeaveDatabase(new() { PostgresConnection = connection }, TimeProvider.System);
        database.MigrateAsync(CancellationToken.None).GetAwaiter().GetResult();
        return connection;
    });

    /// <summary>A database can be copied only while nobody is connected to it.</summary>
    private const string Unpooled = ";Pooling=false";
    private string? _postgres, _postgresCheckpoint;
    private static string NameOf(string connection) => new Npgsql.NpgsqlConnectionStringBuilder(connection).Database!;
    private static void Drop(string? connection)
    {
        if (connection is not null) PostgresServer.Shared.Sql("postgres", $"DROP DATABASE {NameOf(connection)} WITH (FORCE)");
    }

    private StateOptions State(string database) => _postgres is { } connection ? new() { PostgresConnection = connection } : new() { SqlitePath = database };

    private int _life;
    private string Database => Path.Combine(_folder, "state", $"weave-{_life}.db");
    private HostCheckpoint? _checkpoint;

    /// <summary>Keeps host and store as they are now.</summary>
    public void Save()
    {
        _checkpoint = Host.Save(Path.Combine(_folder, "checkpoint"));
        if (_postgres is { } now) _postgresCheckpoint = PostgresServer.Shared.NewDatabase(NameOf(now), Unpooled);
        else CopyDatabase(Database, Path.Combine(_folder, "checkpoint.db"));
    }

    /// <summary>Host and store as they were at <see cref="Save"/>, and a new service process.</summary>
    public void Restore()
    {
        Host.Restore(_checkpoint!);
        _life++;
        if (_postgres is { } before)
        {
            _postgres = PostgresServer.Shared.NewDatabase(NameOf(_postgresCheckpoint!), Unpooled);
            Drop(before);
        }
        else CopyDatabase(Path.Combine(_folder, "checkpoint.db"), Database);
        Restart();
    }

    private static void CopyDatabase(string from, string to)
    {
        foreach (var part in (string[])["", "-wal"])
            if (File.Exists(from + part)) File.Copy(from + part, to + part);
    }

    public FakeTimeProvider Clock { get; } = new(new DateTimeOffset(2030, 1, 1, 12, 0, 0, TimeSpan.Zero));
    public SimulatedHost Host { get; }
    public WeavingOptions Options { get; }
    public ServiceProcess Process { get; private set; } = null!;
    /// <summary>Why the driver of the next process enforces no rules; null: it does.</summary>
    public string? RulesReason { get; set; }
    /// <summary>What the prober says; null: whether the machine behind the address runs.</summary>
    public Func<string, ProbeSpec, string?>? Probe { get; set; }

    public IWeaver Weaver => Process.Weaver;
    public IWeaveStore Store => Process.Store;
    public Calls Calls => Process.Calls;
    public DateTimeOffset Now => Clock.GetUtcNow();

    /// <summary>Another service process takes over; the one before never goes on.</summary>
    public void Restart() => Process = new(this, Database);

    /// <summary>Two users' machines: web with one disk and a UEFI firmware, db with two (and off where asked).</summary>
    public World WithMachines(bool dbRuns = true)
    {
        Host.GiveNvram(Host.AddUserMachine("web", "10.20.0.10", memoryBytes: 1 << 20).Uuid, "factory");
        Host.AddUserMachine("db", "10.20.0.11", running: dbRuns, memoryBytes: 1 << 20, disks: ["vda", "data"]);
        return this;
    }

    public static async Task<World> WithLabAsync(bool dbRuns = true)
    {
        var world = new World().WithMachines(dbRuns);
        await world.AdoptAsync();
        return world;
    }

    /// <summary>Hands a request in and runs its environment till nothing is left; the operation as it ended. Requests that are refused at once throw.</summary>
    public async Task<Operation> RunAsync(Func<IWeaver, Task<Operation>> ask)
    {
        var operation = await ask(Weaver);
        Assert.True(await Process.RunAsync(operation.Environment), "the process died");
        Clock.Advance(TimeSpan.FromSeconds(1));
        var ended = await Process.Journal.FindAsync(operation.Id, default);
        Assert.True(ended!.IsEnded);
        return ended;
    }

    public async Task<T> SucceedAsync<T>(Func<IWeaver, Task<Operation>> ask, JsonTypeInfo<T> result)
    {
        var ended = await RunAsync(ask);
        Assert.True(ended.State == OperationState.Succeeded, $"{ended.State}: {ended.Error?.Message}");
        return JsonSerializer.Deserialize(ended.Result!, result)!;
    }

    /// <summary>The operation must end undone; its error.</summary>
    public async Task<OperationError> UndoneAsync(Func<IWeaver, Task<Operation>> ask)
    {
        var ended = await RunAsync(ask);
        Assert.True(ended.State == OperationState.Undone, $"{ended.State}: {ended.Error?.Message}");
        return ended.Error!;
    }

    /// <summary>The request must be refused before there is an operation; the refusal.</summary>
    public async Task<WeaveException> RefusedAsync(Fault fault, Func<IWeaver, Task<Operation>> ask)
    {
        var before = await Process.Journal.ListAsync(null, false, 1000, null, default);
        var refusal = await Assert.ThrowsAsync<WeaveException>(() => ask(Weaver));
        Assert.Equal((fault, false), (refusal.Fault, string.IsNullOrWhiteSpace(refusal.NextStep)));
        Assert.Equal(before.Count, (await Process.Journal.ListAsync(null, false, 1000, null, default)).Count);
        return refusal;
    }

    public static AdoptRequest AdoptionOf(string environment, params string[] machines) =>
        new(EnvironmentId.Parse(environment), [.. machines.Select(m => new MachineRequest(MachineName.Parse(m), m))]);

    public Task<AdoptResult> AdoptAsync() => SucceedAsync(w => w.AdoptAsync(AdoptionOf("lab", "web", "db"), Me, default), WeavingJson.Default.AdoptResult);

    public Task<SnapshotResult> SnapshotAsync(string? weave = null, bool memory = true, string? label = null, bool quiesce = false) =>
        SucceedAsync(w => w.SnapshotAsync(new(Lab, weave is null ? null : WeaveId.Parse(weave), label, memory, quiesce), Me, default), WeavingJson.Default.SnapshotResult);

    public Task<CreateResult> CreateAsync(string? id, DateTimeOffset? at = null, SnapshotId? snapshot = null, string? source = null, StartMode start = StartMode.Resume) =>
        SucceedAsync(w => w.CreateWeaveAsync(CreationOf(id, at, snapshot, source, start), Me, default), WeavingJson.Default.CreateResult);

    public static CreateWeaveRequest CreationOf(string? id, DateTimeOffset? at = null, SnapshotId? snapshot = null, string? source = null, StartMode start = StartMode.Resume) => new()
    {
        Environment = Lab, Weave = id is null ? null : WeaveId.Parse(id), At = at, Snapshot = snapshot, Source = source is null ? null : WeaveId.Parse(source), Start = start,
    };

    public Task<RouteResult> RouteAsync(string? weave, int port = 80, int? listen = null, string machine = "web") =>
        SucceedAsync(w => w.PublishRouteAsync(RouteOf(weave, port, listen, machine), Me, default), WeavingJson.Default.RouteResult);

    public static RouteRequest RouteOf(string? weave, int port = 80, int? listen = null, string? machine = "web", string? address = null) =>
        new(Lab, weave is null ? null : WeaveId.Parse(weave), machine is null ? null : MachineName.Parse(machine), port, RouteProtocol.Tcp, address, listen);

    public Task<PowerResult> PowerAsync(string weave, WeavePower change) =>
        SucceedAsync(w => w.ChangePowerAsync(Lab, WeaveId.Parse(weave), change, Me, default), WeavingJson.Default.PowerResult);

    public Task<ActivateResult> ActivateAsync(string weave, ProbeSpec? probe = null) =>
        SucceedAsync(w => w.ActivateAsync(new(Lab, WeaveId.Parse(weave), probe), Me, default), WeavingJson.Default.ActivateResult);

    public Task<DeleteResult> DeleteAsync(string weave, bool withSnapshots = false) =>
        SucceedAsync(w => w.DeleteWeaveAsync(Lab, WeaveId.Parse(weave), withSnapshots, Me, default), WeavingJson.Default.DeleteResult);

    public Task<VerifyResult> VerifyAsync(SnapshotId id, ProbeSpec? probe = null, bool agents = false, string? agentOf = null, int seconds = 30) =>
        SucceedAsync(w => w.VerifySnapshotAsync(VerificationOf(id, probe, agents, agentOf, seconds), Me, default), WeavingJson.Default.VerifyResult);

    public static VerifyRequest VerificationOf(SnapshotId id, ProbeSpec? probe = null, bool agents = false, string? agentOf = null, int seconds = 30) =>
        new(id, probe, agents, agentOf is null ? null : MachineName.Parse(agentOf), TimeSpan.FromSeconds(seconds));

    public async Task DeleteSnapshotAsync(SnapshotId id) =>
        Assert.Equal(id, (await SucceedAsync(w => w.DeleteSnapshotAsync(id, Me, default), WeavingJson.Default.SnapshotDeleteResult)).Snapshot);

    /// <summary>Where exports are made; not there until a test makes it.</summary>
    public string Exports => Path.Combine(Host.Root, "exports");

    /// <param name="snapshot">Null: the active weave as it is now.</param>
    public ExportRequest ExportOf(string folder, SnapshotId? snapshot = null) => new() { Environment = Lab, Snapshot = snapshot, Folder = Path.Combine(Exports, folder) };

    public Task<ExportResult> ExportAsync(string folder, SnapshotId? snapshot = null) => SucceedAsync(w => w.ExportAsync(ExportOf(folder, snapshot), Me, default), WeavingJson.Default.ExportResult);

    public Task<ImportResult> ImportAsync(string folder, string? name = null) =>
        SucceedAsync(w => w.ImportAsync(Path.Combine(Exports, folder), name is null ? null : EnvironmentId.Parse(name), Me, default), WeavingJson.Default.ImportResult);

    /// <summary>The environment is released, and its machines are deleted.</summary>
    public async Task LoseAsync()
    {
        var machines = (await WeaveAsync("main")).Machines.Select(m => m.Uuid).ToList();
        await SucceedAsync(w => w.ReleaseAsync(Lab, true, Me, default), WeavingJson.Default.ReleaseResult);
        foreach (var machine in machines) Host.RemoveMachine(machine);
    }

    public Task<CompactResult> CompactAsync() => SucceedAsync(w => w.CompactAsync(Lab, Me, default), WeavingJson.Default.CompactResult);

    public Task<PolicyResult> PolicyAsync(SnapshotPolicy? policy) => SucceedAsync(w => w.SetPolicyAsync(Lab, policy, Me, default), WeavingJson.Default.PolicyResult);

    public Task<RulesResult> RulesAsync(string weave, EnvironmentRules rules) => SucceedAsync(w => w.SetRulesAsync(Lab, WeaveId.Parse(weave), rules, Me, default), WeavingJson.Default.RulesResult);

    /// <summary>One look at the policies, and all work that it began; what was begun and left out.</summary>
    public async Task<PolicyReport> LookAsync()
    {
        var report = await Weaver.RunPoliciesAsync(default);
        Assert.True(await Process.RunAsync(Lab), "the process died");
        return report;
    }

    /// <summary>Layers of the longest chain of a live head.</summary>
    public async Task<int> LongestAsync() => (await Weaver.PreviewCompactionAsync(Lab, default)).Chains.Max(c => c.Layers);

    /// <summary>What the disks of a snapshot, or the live disks of a weave, hold, by machine and volume.</summary>
    public async Task<string> HoldsAsync(IEnumerable<(MachineName Machine, VolumeHead Head)> heads)
    {
        var layers = (await Store.ListLayersAsync(Lab, default)).ToDictionary(l => l.Id);
        return string.Join("; ", heads.Select(h => $"{h.Machine}/{h.Head.Volume} {string.Join(",", Host.ReadDisk(layers[h.Head.Layer].Path))}{Host.Digest(layers[h.Head.Layer].Path)}"));
    }

    public Task<string> HoldsAsync(Snapshot snapshot) => HoldsAsync(snapshot.Machines.SelectMany(m => m.Frozen.Select(f => (m.Name, f))));
    public Task<string> HoldsAsync(Weave weave) => HoldsAsync(weave.Machines.SelectMany(m => m.Heads.Select(h => (m.Name, h))));

    public async Task<Weave> WeaveAsync(string id) => (await Store.FindWeaveAsync(Lab, WeaveId.Parse(id), default))!;
    public async Task<ManagedEnvironment> EnvironmentAsync() => (await Store.FindEnvironmentAsync(Lab, default))!;
    public async Task<IReadOnlyList<Snapshot>> SnapshotsAsync() => await Store.ListSnapshotsAsync(Lab, null, null, default);
    public async Task<IReadOnlyList<string>> WeaveIdsAsync() => [.. (await Store.ListWeavesAsync(Lab, default)).Select(w => w.Id.Text)];

    /// <summary>What a machine of a weave says of itself; null where it does not run.</summary>
    public async Task<SimulatedAnswer?> AskAsync(string weave, MachineName machine) => Host.Ask((await WeaveAsync(weave)).Machines.First(m => m.Name == machine).Uuid);

    /// <summary>Has a machine of a weave write an order to its first disk.</summary>
    public async Task OrderAsync(string weave, MachineName machine, string order) => Host.Order((await WeaveAsync(weave)).Machines.First(m => m.Name == machine).Uuid, order);

    public ValueTask DisposeAsync()
    {
        if (Memory is null) Microsoft.Data.Sqlite.SqliteConnection.ClearAllPools();
        Host.Dispose();
        Directory.Delete(_folder, recursive: true);
        foreach (var connection in new[] { _postgres, _postgresCheckpoint }) Drop(connection);
        return default;
    }

    /// <summary>One life of the service.</summary>
    internal sealed class ServiceProcess
    {
        private readonly OperationRunner _runner;

        public ServiceProcess(World world, string database)
        {
            var plain = world.Memory is null ? new WeaveDatabase(world.State(database), world.Clock) : null;
            (Store, Journal) = plain is null ? (world.Memory!.Value.Store, world.Memory.Value.Journal) : (plain.Store, plain.Journal);
            var state = (Store, Journal);
            if (world.Sql is { } sql)
            {
                var failing = new WeaveDatabase(world.State(database) with { Interceptors = [sql] }, world.Clock);
                state = (failing.Store, failing.Journal);
            }
            var services = new ServiceCollection().AddSingleton<TimeProvider>(world.Clock)
                .AddSingleton(Calls.Watch<IWeaveStore>("store", state.Store)).AddSingleton(Calls.Watch<IJournal>("journal", state.Journal))
                .AddSingleton(Calls.Watch<IHypervisorDriver>("driver", new SimulatedHypervisor(world.Host, world.RulesReason)))
                .AddSingleton<IProber>(new HostProber(world)).AddSingleton<ProgressBoard>().AddSingleton<OperationDesk>().AddSingleton<IOperationQueue, NoQueue>()
                .AddWeaving(world.Options).BuildServiceProvider();
            Weaver = services.GetRequiredService<IWeaver>();
            Desk = services.GetRequiredService<OperationDesk>();
            Catalogue = services.GetRequiredService<StepCatalogue>();
            _runner = new(services.GetRequiredService<IJournal>(), Catalogue, world.Clock, services.GetRequiredService<ProgressBoard>(), "node",
                new() { FirstBackoff = TimeSpan.Zero, LongestBackoff = TimeSpan.Zero }, NullLogger<OperationRunner>.Instance);
        }

        public Calls Calls { get; } = new();
        public IWeaver Weaver { get; }
        public OperationDesk Desk { get; }
        /// <summary>The store and the journal as a test looks at them: not counted, not failing.</summary>
        public IWeaveStore Store { get; }
        public IJournal Journal { get; }
        public StepCatalogue Catalogue { get; }

        /// <summary>Runs an environment till nothing is left to do; false where the process died in it.</summary>
        public async Task<bool> RunAsync(EnvironmentId environment)
        {
            var run = Task.Run(() => _runner.RunEnvironmentAsync(environment, CancellationToken.None));
            if (await Task.WhenAny(run, Calls.Died).WaitAsync(Patience) != run) return false;
            await run;
            return true;
        }
    }

    private sealed class NoQueue : IOperationQueue
    {
        public void Enqueue(OperationId id, HostId? host) { }
    }

    private sealed class HostProber(World world) : IProber
    {
        public Task<string?> ProbeAsync(string address, ProbeSpec probe, CancellationToken stop) =>
            Task.FromResult(world.Probe is { } say ? say(address, probe) : world.Host.Reach(address, probe.Port) is null ? "connection refused" : null);
    }
}
