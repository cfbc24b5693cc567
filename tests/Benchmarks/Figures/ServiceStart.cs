using System.Diagnostics;
using System.Globalization;
using System.Net.Http.Headers;
using System.Text.Json;
using WeaveHypervisor.Benchmarks.Hosts;
using WeaveHypervisor.Benchmarks.Reporting;
using WeaveHypervisor.Conformance.Stores;
using WeaveHypervisor.Model;
using WeaveHypervisor.State;
using WeaveHypervisor.Weaving;
using WeaveHypervisor.Weaving.Access;

namespace WeaveHypervisor.Benchmarks.Figures;

/// <summary>P11: the service on a large state, in SQLite and in PostgreSQL: from its start as a process until it is ready, and one page of the list of weaves.</summary>
internal sealed class ServiceStart : IFigure
{
    private const int Weaves = 10_000, PageSize = 100;
    private static readonly string Program = Path.GetFullPath(Path.Combine(AppContext.BaseDirectory, "../../../../../bin/app/WeaveHypervisor.Service"));

    public string Id => "P11";
    public string Goal => "service start to ready ≤ 2 s with 10,000 weaves in the store; list_weaves p99 ≤ 20 ms";

    public async Task<IReadOnlyList<Row>> MeasureAsync(Bench bench, CancellationToken stop)
    {
        using var server = new PostgresServer(durable: true);
        var rows = new List<Row>();
        foreach (var (name, connection) in new[] { ("SQLite", (string?)null), ("PostgreSQL", server.NewDatabase()) })
        {
            var folder = Path.Combine(bench.Folder, name);
            var secret = TokenSecret.New();
            bench.Log($"P11: {Weaves} weaves into {name}");
            await FillAsync(connection is null ? new() { SqlitePath = Path.Combine(folder, "weave.db") } : new() { PostgresConnection = connection }, Directory.CreateDirectory(Path.Combine(folder, "layers")).FullName, secret, stop);
            List<double> starts = [], lists = [], rested = [];
            var walk = new Walk();
            for (var turn = 0; turn < bench.Repetitions; turn++)
            {
                var port = FreePort();
                var clock = Stopwatch.StartNew();
                using var process = Process.Start(Settings(folder, connection, port))!;
                var compared = ComparedAsync(process.StandardError, stop);
                using var http = new HttpClient(new SocketsHttpHandler { UseProxy = false }) { BaseAddress = new Uri(string.Create(CultureInfo.InvariantCulture, $"http://127.0.0.1:{port}")) };
                http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", secret);
                try
                {
                    await Waiting.ForAsync("the service is ready", async () =>
                    {
                        try
                        {
                            using var answer = await http.GetAsync("/readyz", stop);
                            return answer.IsSuccessStatusCode ? "ready" : null;
                        }
                        catch (HttpRequestException)
                        {
                            return !process.HasExited ? null : throw new InvalidOperationException("the service has ended");
                        }
                    }, TimeSpan.FromMinutes(2), TimeSpan.FromMilliseconds(20), stop);
                    starts.Add(clock.Elapsed.TotalSeconds);
                    // The first one of a process compiles what it runs through.
                    lists.AddRange((await walk.PagesAsync(http, stop)).Skip(1));
                    await compared;
                    // What the comparison has left to collect, and code that is compiled anew because it is used much, belong to the start.
                    lists.AddRange(await walk.PagesAsync(http, stop));
                    for (var round = 0; round < 3; round++) rested.AddRange(await walk.PagesAsync(http, stop));
                }
                finally
                {
                    if (!process.HasExited) process.Kill();
                    await process.WaitForExitAsync(CancellationToken.None);
                }
            }
            var (ready, busy, listed) = (new Samples(starts), new Samples(lists), new Samples(rested));
            rows.Add(new($"start to ready, {name}", "s", ready, Check: new("median", ready.Median, Sense.AtMost, 2, "s"), Note: "process start to the first 200 of /readyz, looked at every 20 ms; simulated hypervisor"));
            rows.Add(new($"list_weaves, a page of {PageSize}, {name}", "ms", listed, Check: new("p99", listed.P99, Sense.AtMost, 20, "ms"), Note: "by HTTP on a warm connection, after those"));
            rows.Add(new($"the same right after the start, {name}", "ms", busy, Check: new("p99", busy.P99, Sense.AtMost, 20, "ms"), Note: "the first hundred pages of each process, while the service compares 10,000 stopped weaves with the host and right after that; without the very first"));
        }
        return rows;
    }

    /// <summary>Page after page through the list, and from its beginning again.</summary>
    private sealed class Walk
    {
        private string? _next;
        private int _from;

        /// <summary>The time that each of the next 50 pages takes.</summary>
        public async Task<List<double>> PagesAsync(HttpClient http, CancellationToken stop)
        {
            List<double> times = [];
            // A collection of this program's own would be taken for the service's time.
            GC.Collect();
            for (var page = 0; page < 50; page++)
            {
                var began = Stopwatch.GetTimestamp();
                var text = await http.GetStringAsync(string.Create(CultureInfo.InvariantCulture, $"/api/v1/environments/lab/weaves?limit={PageSize}{(_next is null ? "" : "&pageToken=" + _next)}"), stop);
                times.Add(Stopwatch.GetElapsedTime(began).TotalMilliseconds);
                if (!text.Contains($"\"w{_from + 1:00000}\"", StringComparison.Ordinal)) throw new InvalidOperationException($"the page from {_from} on is another one");
                using var parsed = JsonDocument.Parse(text);
                _next = parsed.RootElement.TryGetProperty("nextPageToken", out var token) ? token.GetString() : null;
                _from = _next is null ? 0 : _from + PageSize;
            }
            return times;
        }
    }

    /// <summary>Ends when a service has said that it has compared the host with the store; reads on, so that it is never held up by what it says.</summary>
    private static async Task ComparedAsync(StreamReader said, CancellationToken stop)
    {
        while (await said.ReadLineAsync(stop) is { } line)
            if (line.Contains("Host compared with the store", StringComparison.Ordinal))
            {
                _ = said.ReadToEndAsync(stop);
                return;
            }
        throw new InvalidOperationException("the service has ended without having compared the host with the store");
    }

    private static ProcessStartInfo Settings(string folder, string? postgres, int port)
    {
        var start = new ProcessStartInfo(Program, "serve") { RedirectStandardError = true };
        // As in weave.service.
        start.Environment["DOTNET_GCgen0size"] = "0x1000000";
        start.Environment["WEAVE_StatePath"] = folder;
        start.Environment["WEAVE_Driver"] = "simulator";
        start.Environment["WEAVE_Listen"] = string.Create(CultureInfo.InvariantCulture, $"http://127.0.0.1:{port}");
        start.Environment["WEAVE_Weaving__Host"] = "bench";
        if (postgres is not null) start.Environment["WEAVE_Storage__Postgres"] = postgres;
        return start;
    }

    /// <summary>Weaves that are stopped, as most of so many are, with all of their files: the host has what the store says.</summary>
    private static async Task FillAsync(StateOptions options, string layers, string secret, CancellationToken stop)
    {
        using var database = new WeaveDatabase(options, TimeProvider.System);
        await database.MigrateAsync(stop);
        await database.Tokens.AddAsync(new() { Name = "bench", Role = AccessRole.Admin, CreatedAt = StoredThings.Noon }, TokenSecret.Hash(secret), stop);
        Layer LayerAt(int n)
        {
            var path = Path.Combine(layers, string.Create(CultureInfo.InvariantCulture, $"{n}.qcow2"));
            File.WriteAllBytes(path, []);
            return StoredThings.Layer(n) with { Path = path };
        }
        var snapshot = StoredThings.Snapshot(1);
        await database.Store.CommitAsync(new()
        {
            AddEnvironment = StoredThings.Environment() with { Host = HostId.Parse("bench") },
            AddSnapshots = [snapshot with { Machines = [.. snapshot.Machines.Select(m => m with { Memory = null })] }], PutLayers = [LayerAt(1), LayerAt(2)],
        }, null, stop);
        foreach (var part in Enumerable.Range(0, Weaves).Chunk(500))
            await database.Store.CommitAsync(new StoreChange { PutWeaves = [.. part.Select(n => Stopped(StoredThings.Weave(n == 0 ? "main" : $"w{n:00000}", minutes: n, tag: n.ToString("x8", CultureInfo.InvariantCulture))))] }, null, stop);
    }

    private static Weave Stopped(Weave weave) => weave with { State = WeaveState.Stopped, Verifies = null, Drift = [], Machines = [.. weave.Machines.Select(m => m with { RunState = RunState.Off, MemoryFrom = null })] };

    private static int FreePort()
    {
        using var socket = new System.Net.Sockets.TcpListener(System.Net.IPAddress.Loopback, 0);
        socket.Start();
        return ((System.Net.IPEndPoint)socket.LocalEndpoint).Port;
    }
}
