using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Weaving;

/// <summary>Reads that refuse, with the next step, what is not there.</summary>
internal static class StoreReads
{
    public static async Task<ManagedEnvironment> GetEnvironmentAsync(this IWeaveStore store, EnvironmentId id, CancellationToken stop) =>
        await store.FindEnvironmentAsync(id, stop) ?? throw new WeaveException(Fault.NotFound, $"There is no environment '{id}'.",
            "List environments with `weave env list`, or adopt one with `weave env adopt`.");

    public static async Task<Weave> GetWeaveAsync(this IWeaveStore store, EnvironmentId environment, WeaveId id, CancellationToken stop)
    {
        if (await store.FindWeaveAsync(environment, id, stop) is { } weave) return weave;
        await store.GetEnvironmentAsync(environment, stop);
        throw new WeaveException(Fault.NotFound, $"Environment '{environment}' has no weave '{id}'.", $"List its weaves with `weave list {environment}`.");
    }

    public static async Task<Snapshot> GetSnapshotAsync(this IWeaveStore store, SnapshotId id, CancellationToken stop) =>
        await store.FindSnapshotAsync(id, stop) ?? throw new WeaveException(Fault.NotFound, $"There is no snapshot '{id}'.", "List snapshots with `weave timeline ENVIRONMENT`.");

    public static async Task<IReadOnlyDictionary<LayerId, Layer>> LayersByIdAsync(this IWeaveStore store, EnvironmentId environment, CancellationToken stop) =>
        (await store.ListLayersAsync(environment, stop)).ToDictionary(l => l.Id);

    public static Layer Get(this IReadOnlyDictionary<LayerId, Layer> layers, LayerId id) => layers.TryGetValue(id, out var layer) ? layer
        : throw new WeaveException(Fault.DataLoss, $"Layer '{id}' is not in the store, although something refers to it.", "Run `weave doctor`, and put the state database back from a backup.");

    public static MachineRef ToRef(this WeaveMachine machine) => new(machine.Name, machine.HypervisorName, machine.Uuid);

    public static string Target(this MachineBlueprint machine, VolumeName volume) => machine.Volumes.First(v => v.Name == volume).Target;

    /// <summary>Paths of all files that the memory images of a snapshot need, those among them that other snapshots need too.</summary>
    public static IEnumerable<string> MemoryFiles(this Snapshot snapshot) => snapshot.Machines.Select(m => m.Memory).OfType<MemoryImage>().SelectMany(m => new[] { m.FlatPath, m.DeviceStatePath });

    /// <summary>Paths of the state files that were captured with a snapshot.</summary>
    public static IEnumerable<string> StateFiles(this Snapshot snapshot) => snapshot.Machines.SelectMany(m => m.States).Select(s => s.Path);

    /// <summary>Paths of the state files of a weave's own machines, whether they are there yet or not.</summary>
    public static IEnumerable<string> StateFiles(this Weave weave) => weave.Machines.SelectMany(m => m.States).Select(s => s.Path);
}
