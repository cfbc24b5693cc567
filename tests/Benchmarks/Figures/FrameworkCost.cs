using System.Collections.Concurrent;
using System.Diagnostics;
using System.Text.Json.Serialization;
using Hangfire;
using Hangfire.AspNetCore;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;
using WeaveHypervisor.Benchmarks.Reporting;
using WeaveHypervisor.Conformance.Stores;
using WeaveHypervisor.Model;
using WeaveHypervisor.Operations;
using WeaveHypervisor.Service.Jobs;
using WeaveHypervisor.State;
using WeaveHypervisor.Weaving;

namespace WeaveHypervisor.Benchmarks.Figures;

internal sealed class EmptyPlan;

[JsonSerializable(typeof(EmptyPlan))]
internal sealed partial class EmptyJson : JsonSerializerContext;

/// <summary>P12: operations of one step that does nothing, in 16 environments, beside as many bare Hangfire jobs on the same storage and workers, submitted at once and counted when the last has ended.</summary>
internal sealed class FrameworkCost : IFigure
{
    private const int Workers = 16;

    public string Id => "P12";
    public string Goal => "an empty operation runs at ≥ 80 % of a bare Hangfire job's rate on the same storage; ≤ 2 Hangfire jobs per operation";

    public async Task<IReadOnlyList<Row>> MeasureAsync(Bench bench, CancellationToken stop)
    {
        using var server = new PostgresServer(durable: true);
        var rows = new List<Row>();
        foreach (var (name, connection, note) in new[]
        {
            ("PostgreSQL", server.NewDatabase(), "on disk when it has ended: of a bare job its own row, states and queue entry; of an operation that, and its request, lease, intent before and end after its step, result"),
            ("in memory, journal in SQLite", (string?)null, "on disk when it has ended: of a bare job nothing at all; of an operation its request, lease, intent before and end after its step, result"),
        })
        {
            var state = connection is null ? new StateOptions { SqlitePath = Path.Combine(bench.Folder, "p12.db") } : new StateOptions { PostgresConnection = connection };
            await using var framework = await Framework.StartAsync(state, connection, stop);
            var count = bench.Quick ? 64 : 320;
            List<double> ours = [], theirs = [], jobs = [];
            for (var turn = 0; turn <= bench.Repetitions; turn++)
            {
                var (bare, operations, each) = (await framework.BareAsync(count, stop), await framework.OperationsAsync(count, stop), framework.JobsPerOperation());
                // The first turn compiles what the others run.
                if (turn == 0) continue;
                theirs.Add(bare);
                ours.Add(operations);
                jobs.Add(each);
            }
            var (mine, other, most) = (new Samples(ours), new Samples(theirs), new Samples(jobs));
            rows.Add(new($"empty operations, {name}", "1/s", mine, "bare Hangfire jobs", other, new("ours / theirs, medians", mine.Median / other.Median * 100, Sense.AtLeast, 80, "%"), note));
            rows.Add(new($"jobs of one operation, {name}", "", most, Check: new("largest", most.Max, Sense.AtMost, 2)));
        }
        return rows;
    }

    /// <summary>The product's journal, runner and queue as the service puts them together, without the rest of it.</summary>
    private sealed class Framework : IAsyncDisposable
    {
        private static CountdownEvent _bareLeft = new(0);
        private readonly WeaveDatabase _database;
        private readonly JobStorage _storage;
        private readonly BackgroundJobServer _server;
        private readonly ServiceProvider _services;
        private readonly BackgroundJobClient _client;
        private readonly Queue _queue;

        private Framework(WeaveDatabase database, JobStorage storage)
        {
            (_database, _storage, _client) = (database, storage, new(storage));
            _queue = new(new HangfireOperationQueue(_client, new WeavingOptions(), NullLogger<HangfireOperationQueue>.Instance));
            var board = new ProgressBoard();
            var catalogue = new StepCatalogue([StepList.For("empty", 1, EmptyJson.Default.EmptyPlan).Then(new Nothing()).Build()]);
            var runner = new OperationRunner(database.Journal, catalogue, TimeProvider.System, board, "bench", new RunnerOptions(), NullLogger<OperationRunner>.Instance);
            _services = new ServiceCollection().AddSingleton(runner).AddSingleton<IOperationQueue>(_queue).AddSingleton(new OperationDesk(database.Journal, catalogue, _queue, board, TimeProvider.System)).BuildServiceProvider();
            _server = new(new BackgroundJobServerOptions { WorkerCount = Workers, Queues = [HangfireOperationQueue.QueueOf("local"), "default"], Activator = new AspNetCoreJobActivator(_services.GetRequiredService<IServiceScopeFactory>()) }, storage);
        }

        public static async Task<Framework> StartAsync(StateOptions state, string? postgres, CancellationToken stop)
        {
            var database = new WeaveDatabase(state, TimeProvider.System);
            await database.MigrateAsync(stop);
            return new(database, JobStorages.Make(postgres));
        }

        public static void Bare(string _) => _bareLeft.Signal();

        public async Task<double> BareAsync(int count, CancellationToken stop)
        {
            _bareLeft = new(count);
            var clock = Stopwatch.StartNew();
            await Parallel.ForEachAsync(Enumerable.Range(0, count), new ParallelOptions { MaxDegreeOfParallelism = Workers, CancellationToken = stop }, (n, _) =>
            {
                _client.Enqueue(() => Bare(OperationId.New(TimeProvider.System).Text));
                return default;
            });
            await Task.Run(() => _bareLeft.Wait(stop), stop);
            return count / clock.Elapsed.TotalSeconds;
        }

        public async Task<double> OperationsAsync(int count, CancellationToken stop)
        {
            _queue.Jobs.Clear();
            var desk = _services.GetRequiredService<OperationDesk>();
            var submitted = new ConcurrentBag<OperationId>();
            var clock = Stopwatch.StartNew();
            await Parallel.ForEachAsync(Enumerable.Range(0, count), new ParallelOptions { MaxDegreeOfParallelism = Workers, CancellationToken = stop }, async (n, s) =>
                submitted.Add((await desk.SubmitAsync("empty", EnvironmentId.Parse($"e{n % Workers}"), "nothing", "{}", "bench", stop: s)).Id));
            foreach (var id in submitted)
                if (await desk.WaitAsync(id, TimeSpan.FromMinutes(5), stop) is not { State: OperationState.Succeeded } other) throw new InvalidOperationException($"{id} did not succeed");
            return count / clock.Elapsed.TotalSeconds;
        }

        public int JobsPerOperation() => _queue.Jobs.Values.Max();

        public async ValueTask DisposeAsync()
        {
            _server.SendStop();
            await _server.WaitForShutdownAsync(CancellationToken.None);
            _server.Dispose();
            await _services.DisposeAsync();
            _database.Dispose();
        }

        private sealed class Nothing : IStep<EmptyPlan>
        {
            public string Name => "nothing";
            public Task DoAsync(StepContext<EmptyPlan> context, CancellationToken stop) => Task.CompletedTask;
            public Task UndoAsync(StepContext<EmptyPlan> context, CancellationToken stop) => Task.CompletedTask;
        }

        /// <summary>The product's queue, counted.</summary>
        private sealed class Queue(IOperationQueue inner) : IOperationQueue
        {
            public ConcurrentDictionary<OperationId, int> Jobs { get; } = [];

            public void Enqueue(OperationId id, HostId? host)
            {
                Jobs.AddOrUpdate(id, 1, (_, n) => n + 1);
                inner.Enqueue(id, host);
            }
        }
    }
}
