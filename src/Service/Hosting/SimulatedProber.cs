using WeaveHypervisor.Simulator;
using WeaveHypervisor.Weaving;
using WeaveHypervisor.Weaving.Traffic;

namespace WeaveHypervisor.Service.Hosting;

/// <summary>Asks the machines of a simulated host: their addresses are nobody's on a network, and a request to one might leave this machine.</summary>
internal sealed class SimulatedProber(SimulatedHost host) : IProber
{
    /// <summary>At once: a simulated machine answers when it runs, at whatever port the rules of its fence let somebody from outside in to.</summary>
    public Task<string?> ProbeAsync(string address, ProbeSpec probe, CancellationToken stop) => Task.FromResult(host.Reach(address, probe.Port) is null ? "connection refused" : null);
}
