using System.Globalization;
using System.Runtime.InteropServices;
using WeaveHypervisor.Benchmarks.Reporting;

namespace WeaveHypervisor.Benchmarks.Hosts;

/// <summary>Says what machine this is, and whether others work on it.</summary>
public sealed class Examination
{
    /// <summary>From this part of the processors' time on, figures are those of somebody else's work.</summary>
    public const double TooBusy = 0.15;
    private readonly string _load;
    private readonly double _busy;
    private readonly DateTimeOffset _at;

    private Examination(string load, double busy, DateTimeOffset at) => (_load, _busy, _at) = (load, busy, at);

    public bool Busy => _busy > TooBusy;
    public double BusyBefore => _busy;

    public static async Task<Examination> BeginAsync(TimeProvider time, CancellationToken stop) => new(Load(), await BusyAsync(stop), time.GetUtcNow());

    public async Task<MachineFacts> EndAsync(CancellationToken stop)
    {
        var busy = await BusyAsync(stop);
        var version = (await Shell.TryVirshAsync(stop, "version")).Lines.ToList();
        string Of(string start) => version.FirstOrDefault(l => l.StartsWith(start, StringComparison.Ordinal))?.Split(' ')[^1] ?? "none";
        var warnings = new List<string>();
        if (_busy > TooBusy) warnings.Add(string.Create(CultureInfo.InvariantCulture, $"other work took {_busy:P0} of the processors before the run"));
        if (busy > TooBusy) warnings.Add(string.Create(CultureInfo.InvariantCulture, $"other work took {busy:P0} of the processors after the run"));
        var kvm = File.Exists("/dev/kvm") && (Directory.Exists("/sys/module/kvm_intel") || Directory.Exists("/sys/module/kvm_amd"));
        return new(Field("/proc/cpuinfo", "model name") ?? RuntimeInformation.ProcessArchitecture.ToString(), Environment.ProcessorCount,
            double.Parse((Field("/proc/meminfo", "MemTotal") ?? "0 kB").Split(' ')[0], CultureInfo.InvariantCulture) / (1 << 20), File.ReadAllText("/proc/sys/kernel/osrelease").Trim(),
            File.ReadLines("/etc/os-release").FirstOrDefault(l => l.StartsWith("PRETTY_NAME=", StringComparison.Ordinal))?[12..].Trim('"') ?? "Linux", Of("Using library"), Of("Running hypervisor"),
            Environment.GetEnvironmentVariable("LAB_DOMAIN_TYPE") switch { "kvm" => "kvm", "qemu" => "tcg", _ => kvm ? "kvm" : "tcg" }, _at, _load, Load(), _busy, busy, warnings);
    }

    private static string? Field(string file, string name) => File.ReadLines(file).FirstOrDefault(l => l.StartsWith(name, StringComparison.Ordinal))?.Split(':', 2)[1].Trim();

    private static string Load() => string.Join(' ', File.ReadAllText("/proc/loadavg").Split(' ').Take(3));

    /// <summary>Part of the processors' time that was used, by whom ever, or stolen, in two seconds in which we do nothing.</summary>
    private static async Task<double> BusyAsync(CancellationToken stop)
    {
        var (busy, all) = Times();
        await Waiting.PauseAsync(TimeSpan.FromSeconds(2), stop);
        var (busyThen, allThen) = Times();
        return allThen > all ? (double)(busyThen - busy) / (allThen - all) : 0;
    }

    private static (long Busy, long All) Times()
    {
        // user nice system idle iowait irq softirq steal
        var times = File.ReadLines("/proc/stat").First().Split(' ', StringSplitOptions.RemoveEmptyEntries).Skip(1).Take(8).Select(t => long.Parse(t, CultureInfo.InvariantCulture)).ToArray();
        var all = times.Sum();
        return (all - times[3] - times[4], all);
    }
}
