using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using WeaveHypervisor.Conformance;
using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Cim.Wrappers;
using WeaveHypervisor.HyperV.Inspecting;
using WeaveHypervisor.HyperV.SelfTest;
using WeaveHypervisor.HyperV.Simulator;

namespace WeaveHypervisor.HyperV.Tests.SelfTest;

/// <summary>A simulated host with a machine, a switch and a translation of somebody else, and self-tests on it.</summary>
internal sealed class TrialBench : IDisposable
{
    private static readonly string[] Counted = ["Msvm_ComputerSystem", "Msvm_PlannedComputerSystem", "Msvm_VirtualSystemSettingData", "Msvm_VirtualEthernetSwitch"];
    private readonly string _root = Directory.CreateTempSubdirectory("wvhv").FullName;

    public TrialBench(SimulatedHostOptions? options = null, Func<ICimClient, ICimClient>? client = null, Func<IHostFiles, IHostFiles>? files = null)
    {
        Host = new(_root, Clock, (options ?? new()) with { JobTime = TimeSpan.FromMilliseconds(50) });
        Host.AddMachine("somebodys", [1 << 24], [Host.AddSwitch("lan")]);
        Context = new(new(), client?.Invoke(Host.Client) ?? Host.Client, files?.Invoke(Host.Files) ?? Host.Files, Clock, NullLoggerFactory.Instance);
    }

    public FakeTimeProvider Clock { get; } = new(new DateTimeOffset(2026, 11, 1, 0, 0, 0, TimeSpan.Zero));
    public SimulatedHost Host { get; }
    public DriverContext Context { get; }
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    public void Dispose() => Directory.Delete(_root, recursive: true);

    public async Task<CapabilityRecord> RunAsync(Action<TrialAnswer>? told = null, CancellationToken? stop = null)
    {
        var run = new HostSelfTest(Context).RunAsync(told, stop ?? Stop);
        await Eventually.EndsAsync(run, () => Clock.Advance(TimeSpan.FromMilliseconds(500)));
        return await run;
    }

    /// <summary>Asks the questions of some trials alone; what they made stays.</summary>
    public async Task<TrialRun> AskAsync(params IReadOnlyList<IHostTrial> trials)
    {
        var asked = new TrialRun(Context, new(Context), new(Context), _ => { });
        foreach (var trial in trials)
        {
            var run = trial.AskAsync(asked, Stop);
            await Eventually.EndsAsync(run, () => Clock.Advance(TimeSpan.FromMilliseconds(500)));
            await run;
        }
        return asked;
    }

    /// <summary>All machines, imports, switches, translations and files of the host, but for the record and the logs of simulated guests.</summary>
    public async Task<IReadOnlyList<string>> EverythingAsync()
    {
        var all = new List<string>();
        foreach (var c in Counted) all.AddRange((await Host.Client.QueryAsync(HostNamespaces.Virtualization, Wql.From(c).ToString(), Stop)).Select(o => o.Reference.ToString()));
        all.AddRange((await Host.Client.QueryAsync(HostNamespaces.Standard, Wql.From(NetNat.ClassName).ToString(), Stop)).Select(o => o.Reference.ToString()));
        all.AddRange((await Host.Files.ListAsync(@"C:\", below: true, Stop)).Select(f => f.Path).Where(p => !HostPath.Comparer.Equals(p, Context.Record.Path) && !HostPath.Comparer.Equals(p, Context.Options.Root)));
        return [.. all.Order(StringComparer.OrdinalIgnoreCase)];
    }
}
