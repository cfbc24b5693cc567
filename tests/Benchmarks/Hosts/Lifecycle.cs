using System.Diagnostics;
using System.Globalization;
using System.Text.RegularExpressions;

namespace WeaveHypervisor.Benchmarks.Hosts;

/// <summary>A change of a machine's state, as libvirt told it. <paramref name="Ms"/> counts from any one moment.</summary>
public sealed record LifecycleEvent(string Domain, string What, double Ms);

/// <summary>Listens to libvirt's lifecycle events through `virsh event`: a look at pauses that is not the product's own.</summary>
public sealed partial class Lifecycle : IAsyncDisposable
{
    private readonly Process _virsh;
    private readonly List<LifecycleEvent> _events = [];

    private Lifecycle(Process virsh) => _virsh = virsh;

    public static Lifecycle Start()
    {
        var virsh = new Process
        {
            StartInfo = new("stdbuf", ["-oL", "virsh", "-q", "-c", "qemu:///system", "event", "--event", "lifecycle", "--loop", "--timestamp"])
            {
                RedirectStandardOutput = true, RedirectStandardInput = true, RedirectStandardError = true,
            },
        };
        var events = new Lifecycle(virsh);
        virsh.OutputDataReceived += (_, e) =>
        {
            if (e.Data is not null && Parse(e.Data) is { } told)
                lock (events._events) events._events.Add(told);
        };
        virsh.ErrorDataReceived += static (_, _) => { };
        virsh.Start();
        virsh.BeginOutputReadLine();
        virsh.BeginErrorReadLine();
        return events;
    }

    /// <summary>"2026-11-25 01:02:03.123+0000: event 'lifecycle' for domain 'x': Suspended Paused"; null for any other line.</summary>
    public static LifecycleEvent? Parse(string line) => Line().Match(line) is { Success: true } m
        ? new(m.Groups[2].Value, m.Groups[3].Value, (DateTimeOffset.Parse(m.Groups[1].Value, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal) - DateTimeOffset.UnixEpoch).TotalMilliseconds) : null;

    public int Mark()
    {
        lock (_events) return _events.Count;
    }

    private List<LifecycleEvent> Since(int mark, IReadOnlyCollection<string> domains)
    {
        lock (_events) return [.. _events.Skip(mark).Where(e => domains.Contains(e.Domain))];
    }

    /// <summary>Ms from the first Suspended after the mark to the last Resumed, per domain.</summary>
    public async Task<IReadOnlyDictionary<string, double>> PausesAsync(int mark, IReadOnlyCollection<string> domains, CancellationToken stop) => await Waiting.ForAsync($"libvirt tells of pause and resumption of {string.Join(", ", domains)}", () =>
    {
        var seen = Since(mark, domains);
        var pauses = new Dictionary<string, double>();
        foreach (var domain in domains)
        {
            var (began, ended) = (seen.FirstOrDefault(e => e.Domain == domain && e.What == "Suspended"), seen.LastOrDefault(e => e.Domain == domain && e.What == "Resumed"));
            if (began is not null && ended is not null && ended.Ms >= began.Ms) pauses[domain] = ended.Ms - began.Ms;
        }
        return Task.FromResult<IReadOnlyDictionary<string, double>?>(pauses.Count == domains.Count ? pauses : null);
    }, TimeSpan.FromSeconds(5), TimeSpan.FromMilliseconds(20), stop);

    /// <summary>Ms from the first machine that stood still to the last.</summary>
    public async Task<double> SkewAsync(int mark, IReadOnlyCollection<string> domains, CancellationToken stop)
    {
        var first = await Waiting.ForAsync($"libvirt tells of the pause of {string.Join(", ", domains)}", () =>
        {
            var began = Since(mark, domains).Where(e => e.What == "Suspended").DistinctBy(e => e.Domain).ToList();
            return Task.FromResult(began.Count == domains.Count ? began : null);
        }, TimeSpan.FromSeconds(5), TimeSpan.FromMilliseconds(20), stop);
        return first.Max(e => e.Ms) - first.Min(e => e.Ms);
    }

    public async ValueTask DisposeAsync()
    {
        // virsh is stdbuf's own process: it is replaced, not forked.
        if (!_virsh.HasExited) _virsh.Kill();
        await _virsh.WaitForExitAsync();
        _virsh.Dispose();
    }

    [GeneratedRegex(@"^(\S+ [\d:.]+\S*): event 'lifecycle' for domain '([^']+)': (\w+)")]
    private static partial Regex Line();
}
