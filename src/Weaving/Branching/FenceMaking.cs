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
    /// <summary>Makes it whole. The answer, which is stored, is the weave with the addresses that the fence has; published ports lead to these.</summary>
    public async Task<Weave> MakeAsync(Weave weave, Lease lease, CancellationToken stop)
    {
        var facts = await bench.Driver.MakeFenceAsync(Fences.SpecOf(weave), stop);
        var made = weave with { Addresses = facts.Addresses, Drift = [.. weave.Drift.Where(d => d.Kind != DriftKind.Fence)] };
        Task StoreAsync() => bench.Store.CommitAsync(new StoreChange { PutWeaves = [made] }, lease, stop);
        if (!made.Addresses.SequenceEqual(weave.Addresses))
        {
            // Ports first: stored alone, the addresses would tell a step that runs again that nothing has changed.
            if (await IsPublishedAsync(weave, stop)) await publisher.PublishAsync(stop, changed: made, store: StoreAsync);
            else await StoreAsync();
        }
        else if (made.Drift.Count < weave.Drift.Count) await StoreAsync();
        return made;
    }

    private async Task<bool> IsPublishedAsync(Weave weave, CancellationToken stop)
    {
        var routes = await bench.Store.ListRoutesAsync(weave.Environment, stop);
        return routes.Any(r => r.Weave == weave.Id) || routes.Any(r => r.Weave is null) && (await bench.Store.GetEnvironmentAsync(weave.Environment, stop)).ActiveWeave == weave.Id;
    }
}
