using WeaveHypervisor.Simulator;
using WeaveHypervisor.Weaving;
using WeaveHypervisor.Weaving.Traffic;

namespace WeaveHypervisor.Service.Hosting;

/// <summary>Asks the machines of a simulated host: their addresses are nobody's on a network, and a request to one might leave this machine.</summary>
internal sealed class SimulatedProber(SimulatedHost host) : IProber
{
    /// <summary>At once: a simulated machine answers when it runs, at whatever port.</summary>
    public Task<string?> ProbeAsync(string address, ProbeSpec probe, CancellationToken stop) => Task.FromResult(host.Ask(address) is null ? "connection refused" : null);
}
