using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text.Json;
using WeaveHypervisor.Client;
using WeaveHypervisor.Client.V1;

namespace WeaveHypervisor.Benchmarks.Hosts;

/// <summary>An operation that succeeded.</summary>
public sealed record Done(OperationView Operation)
{
    public JsonElement Result => Operation.Result!.Value;
    public IEnumerable<(string Step, double Ms)> Steps => Operation.Steps.Where(s => s is { StartedAt: not null, EndedAt: not null }).Select(s => (s.Name, (s.EndedAt!.Value - s.StartedAt!.Value).TotalMilliseconds));
}

/// <summary>A copy that answered.</summary>
/// <param name="Total">Ms from the request to the first TCP reply of its guest.</param>
public sealed record Copy(string Environment, string Weave, Done Done, double Total, double Reply, string Said)
{
    public string Domain(string machine) => $"{Names.Weave}.{Environment}.{Weave}.{machine}";
    public string Address(string machine) => AddressOf(Done.Result, machine);
    public static string AddressOf(JsonElement result, string machine) => result.GetProperty("addresses").EnumerateArray().First(a => a.GetProperty("machine").GetString() == machine).GetProperty("outer").GetString()!;
    /// <summary>Ms that libvirt took to create the machine.</summary>
    public double CreateMs(string machine) => Done.Result.GetProperty("machines").EnumerateArray().First(m => m.GetProperty("name").GetString() == machine).GetProperty("createMs").GetDouble();
}

/// <summary>The product: a service of its own on a free loopback port, driven by its REST interface.</summary>
public sealed class Product : IAsyncDisposable
{
    private readonly Process _process;
    private readonly StreamWriter _log;
    private readonly WeaveClient _client;

    private Product(Process process, StreamWriter log, WeaveClient client) => (_process, _log, _client) = (process, log, client);

    /// <param name="folder">State, pool and log go below it.</param>
    public static async Task<Product> StartAsync(string folder, CancellationToken stop)
    {
        var program = Path.GetFullPath(Path.Combine(AppContext.BaseDirectory, "../../../../../bin/app/WeaveHypervisor.Service"));
        if (!File.Exists(program)) throw new InvalidOperationException($"{program} is missing; begin with tests/Benchmarks/run, which builds it");
        var (url, state) = ($"http://127.0.0.1:{FreePort()}", Path.Combine(folder, "state"));
        var start = new ProcessStartInfo(program, [$"--Weave:Listen={url}", $"--Weave:StatePath={state}", $"--Weave:Libvirt:Prefix={Names.Weave}", $"--Weave:Libvirt:Root={folder}/pool"])
        {
            RedirectStandardOutput = true, RedirectStandardError = true, RedirectStandardInput = true,
        };
        var log = new StreamWriter(Path.Combine(folder, "service.log")) { AutoFlush = true };
        var lines = TextWriter.Synchronized(log);
        var process = new Process { StartInfo = start };
        process.OutputDataReceived += (_, e) => lines.WriteLine(e.Data);
        process.ErrorDataReceived += (_, e) => lines.WriteLine(e.Data);
        process.Start();
        process.StandardInput.Close();
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        var token = Path.Combine(state, "admin.token");
        try
        {
            var client = await Waiting.ForAsync("the service answers", async () =>
            {
                if (process.HasExited) throw new InvalidOperationException($"the service has ended with {process.ExitCode}; its log is {folder}/service.log");
                if (!File.Exists(token)) return null;
                var client = new WeaveClient(new Uri(url), (await File.ReadAllTextAsync(token, stop)).Trim());
                try
                {
                    await client.ListEnvironmentsAsync(stop);
                    return client;
                }
                catch (ApiException)
                {
                    client.Dispose();
                    return null;
                }
            }, TimeSpan.FromSeconds(60), TimeSpan.FromMilliseconds(100), stop);
            return new(process, log, client);
        }
        catch
        {
            process.Kill();
            throw;
        }
    }

    public Task<Done> AdoptAsync(string environment, IEnumerable<(string Name, string Domain)> machines, CancellationToken stop) =>
        DoAsync(_client.AdoptAsync(new AdoptBody { Name = environment, Machines = [.. machines.Select(m => new AdoptMachine { Name = m.Name, Domain = m.Domain })] }, stop), stop);

    public Task<Done> SnapshotAsync(string environment, string weave, CancellationToken stop) => DoAsync(_client.SnapshotAsync(environment, new SnapshotBody { Weave = weave }, stop), stop);

    public Task<Done> DeleteWeaveAsync(string environment, string weave, bool withSnapshots, CancellationToken stop) => DoAsync(_client.DeleteWeaveAsync(environment, weave, withSnapshots, stop), stop);

    public Task<Done> CreateStoppedAsync(string environment, string weave, string snapshot, CancellationToken stop) =>
        DoAsync(_client.CreateWeaveAsync(environment, new CreateWeaveBody { WeaveId = weave, SnapshotId = snapshot, Start = "none" }, stop), stop);

    public Task<WeaveView> ShowAsync(string environment, string weave, CancellationToken stop) => _client.GetWeaveAsync(environment, weave, stop);

    /// <summary>Makes a copy and waits until <paramref name="machine"/> of it answers.</summary>
    /// <param name="snapshot">Null: from now.</param>
    /// <param name="source">The weave whose present it is from; null: the active one.</param>
    public async Task<Copy> CopyAsync(string environment, string weave, string? snapshot, string machine, CancellationToken stop, string? source = null)
    {
        var clock = Stopwatch.StartNew();
        var done = await DoAsync(_client.CreateWeaveAsync(environment, new CreateWeaveBody { WeaveId = weave, SnapshotId = snapshot, SourceWeave = source }, stop), stop);
        var made = clock.Elapsed.TotalMilliseconds;
        var said = await Guests.FirstReplyAsync(Copy.AddressOf(done.Result, machine), TimeSpan.FromSeconds(60), stop);
        return new(environment, weave, done, clock.Elapsed.TotalMilliseconds, clock.Elapsed.TotalMilliseconds - made, said);
    }

    private async Task<Done> DoAsync(Task<OperationView> request, CancellationToken stop)
    {
        var last = await request;
        if (!last.IsEnded()) await foreach (var view in _client.WatchAsync(last.Id, stop)) last = view;
        return last.State == "succeeded" ? new(last) : throw new InvalidOperationException($"{last.Kind} {last.Subject} {last.State}: {last.Error?.Detail}");
    }

    private static int FreePort()
    {
        using var socket = new TcpListener(IPAddress.Loopback, 0);
        socket.Start();
        return ((IPEndPoint)socket.LocalEndpoint).Port;
    }

    public async ValueTask DisposeAsync()
    {
        _client.Dispose();
        if (!_process.HasExited)
        {
            await Shell.RunAsync("kill", ["-TERM", _process.Id.ToString(CultureInfo.InvariantCulture)], CancellationToken.None);
            await _process.WaitForExitAsync();
        }
        _process.Dispose();
        await _log.DisposeAsync();
    }
}
