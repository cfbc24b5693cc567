using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Weaving.Traffic;

/// <summary>
/// Makes what the host publishes equal to what the store says, for all environments on it in one atomic change. Runs one at a time, among all processes:
/// environments have leases of their own, but the host's published set is one.
/// </summary>
internal sealed class EndpointPublisher(Bench bench)
{
    /// <summary>
    /// Publishes all stored routes, with <paramref name="active"/> in place of the stored active weave of one environment, or <paramref name="changed"/> in place of the stored weave, where that is about to change.
    /// What makes that change in the store is <paramref name="store"/>: nobody else publishes what the store said before it.
    /// </summary>
    public async Task PublishAsync(CancellationToken stop, (EnvironmentId Environment, WeaveId Weave)? active = null, Weave? changed = null, Func<Task>? store = null)
    {
        await using var one = await bench.LockAsync("endpoints", stop);
        await bench.Driver.PublishAsync(await EndpointsAsync(stop, active, changed), stop);
        if (store is not null) await store();
        // Lost meanwhile: another may have published a newer set before this one. The step is done again then.
        await one.CheckAsync(stop);
    }

    /// <summary>What should be published now, each port for whom the weave lets in to which it leads. A route whose weave or machine has no address is left out.</summary>
    public async Task<IReadOnlyList<PublishedEndpoint>> EndpointsAsync(CancellationToken stop, (EnvironmentId Environment, WeaveId Weave)? active = null, Weave? changed = null)
    {
        var endpoints = new List<PublishedEndpoint>();
        foreach (var group in (await bench.Store.ListRoutesAsync(null, stop)).GroupBy(r => r.Environment))
        {
            if (await bench.Store.FindEnvironmentAsync(group.Key, stop) is not { } environment || !bench.IsHere(environment)) continue;
            foreach (var to in group.GroupBy(r => r.Weave ?? (active is { } a && a.Environment == r.Environment ? a.Weave : environment.ActiveWeave)))
            {
                if ((changed?.Environment == group.Key && changed.Id == to.Key ? changed : await bench.Store.FindWeaveAsync(group.Key, to.Key, stop)) is not { } weave) continue;
                foreach (var route in to)
                    if (TargetOf(weave, route.Machine) is { } target)
                        endpoints.Add(new(route.Id, route.Protocol, route.ListenAddress, route.ListenPort, target, route.TargetPort)
                        {
                            Sources = weave.Blueprint.Rules.Access?.ToString(), Fence = weave.IsMain ? null : weave.Tag,
                        });
            }
        }
        return endpoints;
    }

    /// <summary>The host address that leads to a machine of a weave; null where none is known.</summary>
    public static string? TargetOf(Weave weave, MachineName machine) =>
        weave.State is WeaveState.Deleting or WeaveState.Creating ? null : weave.Addresses.FirstOrDefault(a => a.Machine == machine)?.Outer;
}
