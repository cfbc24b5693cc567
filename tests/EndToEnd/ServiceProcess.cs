using System.Diagnostics;
using System.Globalization;

namespace WeaveHypervisor.EndToEnd;

/// <summary>One `weave serve`, which can be killed and started again on the same state.</summary>
internal sealed class ServiceProcess(string program, string state, string pool, string prefix, int port) : IAsyncDisposable
{
    private Process? _process;
    private StreamWriter? _log;

    public string Program => program;
    public string Url { get; } = string.Create(CultureInfo.InvariantCulture, $"http://127.0.0.1:{port}");
    public int ProcessId => _process?.Id ?? throw new InvalidOperationException("the service is not running");
    public bool Running => _process is { HasExited: false };

    public IReadOnlyDictionary<string, string> ClientSettings => new Dictionary<string, string> { ["WEAVE_URL"] = Url, ["WEAVE_TOKEN_FILE"] = Path.Combine(state, "admin.token"), ["NO_COLOR"] = "1" };

    /// <summary>Starts it unless it runs, and waits until it answers.</summary>
    /// <param name="killAt">Boundary of an operation at which it ends itself by SIGKILL: kind/step/point.</param>
    /// <param name="more">Further settings of the service.</param>
    public async Task StartAsync(string? killAt = null, IReadOnlyDictionary<string, string>? more = null)
    {
        if (Running) return;
        var start = new ProcessStartInfo(program, "serve") { RedirectStandardOutput = true, RedirectStandardError = true, RedirectStandardInput = true };
        foreach (var (name, value) in new Dictionary<string, string>(more ?? new Dictionary<string, string>())
        {
            ["WEAVE_Listen"] = Url, ["WEAVE_StatePath"] = state, ["WEAVE_Libvirt__Prefix"] = prefix, ["WEAVE_Libvirt__Root"] = pool,
        }) start.Environment[name] = value;
        if (killAt is not null) start.Environment["WEAVE_KILL_AT"] = killAt;
        Directory.CreateDirectory(state);
        _log = new StreamWriter(Path.Combine(state, "service.log"), append: true) { AutoFlush = true };
        var log = TextWriter.Synchronized(_log);
        _process = new Process { StartInfo = start };
        _process.OutputDataReceived += (_, e) => log.WriteLine(e.Data);
        _process.ErrorDataReceived += (_, e) => log.WriteLine(e.Data);
        _process.Start();
        _process.StandardInput.Close();
        _process.BeginOutputReadLine();
        _process.BeginErrorReadLine();
        using var http = new HttpClient(new SocketsHttpHandler { UseProxy = false });
        await Shell.UntilAsync("the service answers", async () =>
        {
            if (_process.HasExited) throw new InvalidOperationException("the service has ended:\n" + string.Join('\n', (await ReadLogAsync()).TakeLast(20)));
            using var _ = await http.GetAsync(new Uri(Url + "/api/v1/environments"));
            return true;
        });
    }

    /// <summary>Waits until it has ended by itself; returns at once where it has.</summary>
    public async Task EndedAsync()
    {
        if (_process is null) return;
        using var stop = new CancellationTokenSource(TimeSpan.FromMinutes(2));
        await _process.WaitForExitAsync(stop.Token);
        Close();
    }

    /// <summary>SIGKILL: no chance to tidy up.</summary>
    public async Task KillAsync()
    {
        _process!.Kill();
        await EndedAsync();
    }

    public async Task<IReadOnlyList<string>> ReadLogAsync()
    {
        using var reader = new StreamReader(new FileStream(Path.Combine(state, "service.log"), FileMode.Open, FileAccess.Read, FileShare.ReadWrite));
        return (await reader.ReadToEndAsync()).Split('\n');
    }

    /// <summary>Asks it to end as an init system does.</summary>
    public async ValueTask DisposeAsync()
    {
        if (Running)
        {
            await Shell.RunAsync("kill", "-TERM", ProcessId.ToString(CultureInfo.InvariantCulture));
            await EndedAsync();
        }
    }

    private void Close()
    {
        _log?.Dispose();
        _log = null;
        _process?.Dispose();
        _process = null;
    }
}
