using Microsoft.Extensions.Logging;
using WeaveHypervisor.Libvirt.Agents;

namespace WeaveHypervisor.Libvirt;

/// <summary>What every part of the driver gets: settings, the shared connection, guest agents, paths, clock and loggers. Holds no state of ours.</summary>
internal sealed record DriverContext(LibvirtDriverOptions Options, HostConnection Host, DriverPaths Paths, TimeProvider Clock, ILoggerFactory Loggers)
{
    /// <summary>XML namespace of the mark in the metadata of copies.</summary>
    public const string MarkNamespace = "urn:weavehypervisor:1";

    public GuestAgent Agent { get; } = new(Options.Uri);
    public FreezeMarks Marks { get; } = new(Paths);
}
