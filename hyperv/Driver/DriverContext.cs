using Microsoft.Extensions.Logging;
using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Inspecting;
using WeaveHypervisor.HyperV.Machines;

namespace WeaveHypervisor.HyperV;

/// <summary>What every part of the driver gets. Holds no state of ours. All paths within the driver are the host's (Windows paths); only the face of the driver translates.</summary>
internal sealed record DriverContext(HyperVOptions Options, ICimClient Client, IHostFiles Files, TimeProvider Clock, ILoggerFactory Loggers)
{
    /// <summary>Namespace of Hyper-V's classes.</summary>
    public const string Virtualization = @"root\virtualization\v2";
    /// <summary>Namespace of the host's own addresses and their translation.</summary>
    public const string Standard = @"root\StandardCimv2";

    /// <summary>Namespace of Windows' own facts.</summary>
    public const string Windows = @"root\cimv2";

    /// <summary>All calls of methods go through this.</summary>
    public HostJobs Jobs { get; } = new(Client, Clock);
    public DriverPaths Paths { get; } = new(Options, Files);
    public MachineReader Machines { get; } = new(Client, Options);
    public HostServices Services { get; } = new(Client);
    /// <summary>What this host was found to do; see <see cref="CapabilityRecord"/>.</summary>
    public CapabilityStore Record => field ??= new(Options, Files, Services);
}
