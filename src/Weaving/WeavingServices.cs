using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.Operations;
using WeaveHypervisor.Weaving.Traffic;

namespace WeaveHypervisor.Weaving;

/// <summary>Registration of the product's rules.</summary>
public static class WeavingServices
{
    /// <summary>
    /// Adds <see cref="IWeaver"/> and the <see cref="StepCatalogue"/> of all operations. Needs <see cref="IWeaveStore"/>, <see cref="IJournal"/>,
    /// <see cref="IHypervisorDriver"/>, <see cref="OperationDesk"/> and <see cref="TimeProvider"/> from the same container; an <see cref="IProber"/> registered before is kept.
    /// </summary>
    /// <param name="place">Null: this process alone works on the state.</param>
    public static IServiceCollection AddWeaving(this IServiceCollection services, WeavingOptions options, ProcessPlace? place = null)
    {
        place ??= new("service", SeveralHosts: false);
        services.AddSingleton(options);
        services.TryAddSingleton<ISharedLocks, LocksOfOneProcess>();
        services.TryAddSingleton<IProber>(p => new NetworkProber(p.GetRequiredService<TimeProvider>()));
        services.AddSingleton(p => new Bench(p.GetRequiredService<IWeaveStore>(), p.GetRequiredService<IHypervisorDriver>(), p.GetRequiredService<TimeProvider>(), options, p.GetRequiredService<ISharedLocks>(), place));
        services.AddSingleton(p => new EndpointPublisher(p.GetRequiredService<Bench>()));
        services.AddSingleton(p => new StepCatalogue(StepLists.All(p.GetRequiredService<Bench>(), p.GetRequiredService<EndpointPublisher>(), p.GetRequiredService<IProber>())));
        services.AddSingleton(p => new Reconciler(p.GetRequiredService<Bench>(), p.GetRequiredService<IJournal>(), p.GetRequiredService<EndpointPublisher>()));
        services.AddSingleton<IWeaver>(p => new Weaver(p.GetRequiredService<Bench>(), p.GetRequiredService<OperationDesk>(), p.GetRequiredService<IJournal>(), p.GetRequiredService<Reconciler>()));
        return services;
    }
}
