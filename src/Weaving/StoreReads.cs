using System.Runtime.CompilerServices;
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

    /// <summary>All weaves of an environment, oldest first, in parts, so that thousands are not in memory at once. One that is there all the while comes once, whatever is made and deleted meanwhile.</summary>
    /// <param name="together">So many in each part but the last.</param>
    public static async IAsyncEnumerable<IReadOnlyList<Weave>> WeavePartsAsync(this IWeaveStore store, EnvironmentId environment, int together, [EnumeratorCancellation] CancellationToken stop)
    {
        WeavePlace? after = null;
        while (await store.PageWeavesAsync(environment, after, together, stop) is { Count: > 0 } part)
        {
            yield return part;
            if (part.Count < together) yield break;
            after = WeavePlace.Of(part[^1]);
        }
    }

    /// <summary>
    /// Weaves, snapshots and layers that fit together, for whoever looks without the environment's lease: an operation may write between two reads, and a layer that one of them names
    /// be gone, or not there yet, in another. Read again then, a few times; what does not fit even so is what the store really says.
    /// </summary>
    public static async Task<StoredHistory> ReadHistoryAsync(this IWeaveStore store, EnvironmentId environment, CancellationToken stop)
    {
        for (var attempt = 1; ; attempt++)
        {
            var weaves = await store.ListWeavesAsync(environment, stop);
            var snapshots = await store.ListSnapshotsAsync(environment, null, null, stop);
            var history = new StoredHistory(weaves, snapshots, await store.LayersByIdAsync(environment, stop));
            if (history.Fits || attempt == MostReads) return history;
        }
    }

    private const int MostReads = 10;

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

/// <summary>What the store says of an environment's disks.</summary>
internal sealed record StoredHistory(IReadOnlyList<Weave> Weaves, IReadOnlyList<Snapshot> Snapshots, IReadOnlyDictionary<LayerId, Layer> Layers)
{
    /// <summary>Every layer that is named is there.</summary>
    public bool Fits => Weaves.SelectMany(w => w.Machines).SelectMany(m => m.Heads).Concat(Snapshots.SelectMany(s => s.Machines).SelectMany(m => m.Frozen)).All(h => Layers.ContainsKey(h.Layer))
        && Weaves.SelectMany(w => w.Kept).All(k => Layers.ContainsKey(k.Layer))
        && Layers.Values.All(l => l.Parent is not { } parent || Layers.ContainsKey(parent));
}
