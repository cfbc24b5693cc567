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
            ("PostgreSQL", server.NewDatabase(), "on disk when it has ended: of a bare job its row and states; of an operation its request, lease, intent before and end after its step, result. Hangfire's own commits wait for the disk beside, where the job is all there is, and not in the product, whose journal is the truth"),
            ("in memory, journal in SQLite", (string?)null, "for information, it is not one storage: on disk when it has ended, of a bare job nothing at all; of an operation its request, lease, intent before and end after its step, result"),
        })
        {
            var state = connection is null ? new StateOptions { SqlitePath = Path.Combine(bench.Folder, "p12.db") } : new StateOptions { PostgresConnection = connection };
            await using var framework = await Framework.StartAsync(state, connection, stop);
            var count = bench.Quick ? 64 : 320;
            List<double> ours = [], theirs = [], relaxed = [], jobs = [];
            for (var turn = 0; turn <= bench.Repetitions; turn++)
            {
                var (bare, operations, each) = (await framework.BareAsync(durable: true, count, stop), await framework.OperationsAsync(count, stop), framework.JobsPerOperation());
                var undurable = connection is null ? 0 : await framework.BareAsync(durable: false, count, stop);
                // The first turn compiles what the others run.
                if (turn == 0) continue;
                theirs.Add(bare);
                ours.Add(operations);
                relaxed.Add(undurable);
                jobs.Add(each);
            }
            var (mine, other, most) = (new Samples(ours), new Samples(theirs), new Samples(jobs));
            rows.Add(new($"empty operations, {name}", "1/s", mine, "bare Hangfire jobs", other, connection is null ? null : new("ours / theirs, medians", mine.Median / other.Median * 100, Sense.AtLeast, 80, "%"), note));
            if (connection is not null)
                rows.Add(new($"empty operations, {name}", "1/s", mine, "bare jobs that may be lost", new Samples(relaxed), Note: "for information: bare Hangfire jobs whose commits wait for no disk, so that a power cut takes those of the last moments"));
            rows.Add(new($"jobs of one operation, {name}", "", most, Check: new("largest", most.Max, Sense.AtMost, 2)));
        }
        return rows;
    }

    /// <summary>The product's journal, runner and queue as the service puts them together, without the rest of it; and Hangfire alone.</summary>
    private sealed class Framework : IAsyncDisposable
    {
        private static CountdownEvent _bareLeft = new(0);
        private readonly WeaveDatabase _database;
        private readonly JobStorage _ours, _bare;
        private readonly ServiceProvider _services;
        private readonly Queue _queue;

        private Framework(WeaveDatabase database, JobStorage ours, JobStorage bare)
        {
            (_database, _ours, _bare) = (database, ours, bare);
            var onTheWay = new JobsOnTheWay();
            _queue = new(new HangfireOperationQueue(new BackgroundJobClient(ours, new JobFilters()), onTheWay, new WeavingOptions(), NullLogger<HangfireOperationQueue>.Instance));
            var board = new ProgressBoard();
            var catalogue = new StepCatalogue([StepList.For("empty", 1, EmptyJson.Default.EmptyPlan).Then(new Nothing()).Build()]);
            var runner = new OperationRunner(database.Journal, catalogue, TimeProvider.System, board, "bench", new RunnerOptions(), NullLogger<OperationRunner>.Instance);
            _services = new ServiceCollection().AddSingleton(runner).AddSingleton<IOperationQueue>(_queue).AddSingleton(onTheWay).AddSingleton(new OperationDesk(database.Journal, catalogue, _queue, board, TimeProvider.System)).BuildServiceProvider();
        }

        private OperationDesk Desk => _services.GetRequiredService<OperationDesk>();

        public static async Task<Framework> StartAsync(StateOptions state, string? postgres, CancellationToken stop)
        {
            var database = new WeaveDatabase(state, TimeProvider.System);
            await database.MigrateAsync(stop);
            return new(database, JobStorages.Make(postgres), JobStorages.Make(postgres, durable: true));
        }

        public static void Bare(string _) => _bareLeft.Signal();

        public async Task<double> BareAsync(bool durable, int count, CancellationToken stop)
        {
            var storage = durable ? _bare : _ours;
            var client = new BackgroundJobClient(storage);
            void Enqueue() => client.Enqueue(() => Bare(OperationId.New(TimeProvider.System).Text));
            return await WithServerAsync(new BackgroundJobServerOptions { Queues = ["default"] }, storage, async () =>
            {
                _bareLeft = new(1);
                Enqueue();
                await Task.Run(() => _bareLeft.Wait(stop), stop);
            }, async () =>
            {
                _bareLeft = new(count);
                await Parallel.ForEachAsync(Enumerable.Range(0, count), new ParallelOptions { MaxDegreeOfParallelism = Workers, CancellationToken = stop }, (n, _) =>
                {
                    Enqueue();
                    return default;
                });
                await Task.Run(() => _bareLeft.Wait(stop), stop);
            }, count);
        }

        public async Task<double> OperationsAsync(int count, CancellationToken stop)
        {
            async Task<OperationId> SubmitAsync(int n, CancellationToken s) => (await Desk.SubmitAsync("empty", EnvironmentId.Parse($"e{n % Workers}"), "nothing", "{}", "bench", stop: s)).Id;
            async Task EndAsync(OperationId id)
            {
                if (await Desk.WaitAsync(id, TimeSpan.FromMinutes(5), stop) is not { State: OperationState.Succeeded }) throw new InvalidOperationException($"{id} did not succeed");
            }
            return await WithServerAsync(new BackgroundJobServerOptions
            {
                Queues = [HangfireOperationQueue.QueueOf("local")], Activator = new AspNetCoreJobActivator(_services.GetRequiredService<IServiceScopeFactory>()), FilterProvider = new JobFilters(),
            }, _ours, async () => await EndAsync(await SubmitAsync(0, stop)), async () =>
            {
                _queue.Jobs.Clear();
                var submitted = new ConcurrentBag<OperationId>();
                await Parallel.ForEachAsync(Enumerable.Range(0, count), new ParallelOptions { MaxDegreeOfParallelism = Workers, CancellationToken = stop }, async (n, s) => submitted.Add(await SubmitAsync(n, s)));
                foreach (var id in submitted) await EndAsync(id);
            }, count);
        }

        public int JobsPerOperation() => _queue.Jobs.Values.Max();

        /// <summary>Each side with workers of its own, which have begun: neither is told of, or looks for, the other's jobs.</summary>
        private static async Task<double> WithServerAsync(BackgroundJobServerOptions options, JobStorage storage, Func<Task> begin, Func<Task> measured, int count)
        {
            options.WorkerCount = Workers;
            using var server = new BackgroundJobServer(options, storage);
            await begin();
            var clock = Stopwatch.StartNew();
            await measured();
            var rate = count / clock.Elapsed.TotalSeconds;
            server.SendStop();
            await server.WaitForShutdownAsync(CancellationToken.None);
            return rate;
        }

        public async ValueTask DisposeAsync()
        {
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
