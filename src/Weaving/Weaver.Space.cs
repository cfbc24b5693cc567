using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;
using WeaveHypervisor.Weaving.Retention;

namespace WeaveHypervisor.Weaving;

/// <summary>Space of the pool.</summary>
internal sealed partial class Weaver
{
    public async Task<SpaceForecast> ForecastAsync(EnvironmentId environment, WeaveId? weave, bool memory, CancellationToken stop)
    {
        var managed = await Store.GetEnvironmentAsync(environment, stop);
        return await new PoolLook(bench).ForecastAsync(await Store.GetWeaveAsync(environment, Resolve(weave, managed) ?? managed.ActiveWeave, stop), memory, stop);
    }

    public Task<IReadOnlyList<Finding>> LookAtPoolAsync(CancellationToken stop) => new PoolLook(bench).RunAsync(stop);
}
