using Microsoft.Extensions.Logging;
using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Inspecting;
using WeaveHypervisor.HyperV.Machines;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.HyperV;

/// <summary>What every part of the driver gets. Holds no state of ours. All paths within the driver are the host's (Windows paths); only the face of the driver translates.</summary>
internal sealed record DriverContext(HyperVOptions Options, ICimClient Client, IHostFiles Files, TimeProvider Clock, ILoggerFactory Loggers)
{
    /// <summary>All calls of methods go through this.</summary>
    public HostJobs Jobs { get; } = new(Client, Clock);
    public DriverPaths Paths { get; } = new(Options, Files);
    public MachineReader Machines { get; } = new(Client, Options);
    public HostServices Services { get; } = new(Client);
    /// <summary>What this host was found to do; see <see cref="CapabilityRecord"/>.</summary>
    public CapabilityStore Record => field ??= new(Options, Files, Services);

    /// <summary>More steps than anything needs: what is not there then, a host does not show.</summary>
    private const int MostSteps = 24;
    /// <summary>Longer than a host works at a step, unless it is in trouble.</summary>
    private static readonly TimeSpan Settles = TimeSpan.FromSeconds(10);

    /// <summary>
    /// Repeats a step, which looks and does one thing at most, until it answers that nothing is left to do. A step whose outcome is not told is followed by the next look, a while later: what it began may be at work still.
    /// </summary>
    public async Task UntilAsync(string what, Func<Task<bool>> step, CancellationToken stop)
    {
        for (var i = 0; i < MostSteps; i++)
        {
            stop.ThrowIfCancellationRequested();
            try
            {
                if (await step()) return;
            }
            catch (HostException e) when (e.Kind == HostErrorKind.OutcomeUnknown && i + 1 < MostSteps)
            {
                await Task.Delay(Settles, Clock, stop);
            }
        }
        throw new WeaveException(Fault.Internal, $"{what} does not come to an end: the host does not show what was done.", "Look at the machine in Hyper-V Manager.");
    }
}
