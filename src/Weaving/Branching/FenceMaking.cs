using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;
using WeaveHypervisor.Operations;
using WeaveHypervisor.Weaving.Traffic;

namespace WeaveHypervisor.Weaving.Branching;

/// <summary>
/// The fence of a copy that is about to be started. Nobody looks after it while the copy is stopped: it may be whole, in parts, or gone with a reboot of the host.
/// </summary>
internal sealed class FenceMaking(Bench bench, EndpointPublisher publisher)
{
    /// <summary>
    /// Makes it whole. The answer, which is stored, is the weave with the addresses that the fence has; published ports lead to these. Where they cannot be published (a port of any weave has been taken by another program)
    /// the weave is started all the same, and the next look tells what is not published.
    /// </summary>
    public async Task<Weave> MakeAsync(Weave weave, Lease lease, CancellationToken stop)
    {
        var facts = await bench.Driver.MakeFenceAsync(Fences.SpecOf(weave), stop);
        var made = weave with { Addresses = facts.Addresses, Drift = [.. weave.Drift.Where(d => d.Kind != DriftKind.Fence)] };
        Task StoreAsync() => made.Addresses.SequenceEqual(weave.Addresses) && made.Drift.Count == weave.Drift.Count ? Task.CompletedTask : bench.Store.CommitAsync(new StoreChange { PutWeaves = [made] }, lease, stop);
        // Also where the addresses are those of before: this may be repeated because it is not known what another service has published meanwhile.
        if (await IsPublishedAsync(weave, stop))
            try
            {
                await publisher.PublishAsync(stop, changed: made, store: StoreAsync);
                return made;
            }
            catch (WeaveException e) when (e.Fault == Fault.Conflict)
            {
                // Said by the look; nobody waits for the weave because of it.
            }
        await StoreAsync();
        return made;
    }

    private async Task<bool> IsPublishedAsync(Weave weave, CancellationToken stop)
    {
        var routes = await bench.Store.ListRoutesAsync(weave.Environment, stop);
        return routes.Any(r => r.Weave == weave.Id) || routes.Any(r => r.Weave is null) && (await bench.Store.GetEnvironmentAsync(weave.Environment, stop)).ActiveWeave == weave.Id;
    }
}
