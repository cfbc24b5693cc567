using WeaveHypervisor.Model;
using WeaveHypervisor.Operations;

namespace WeaveHypervisor.Weaving.Retention;

/// <summary>Removes what nothing needs any more. Layers: files first, then rows, so that a crash leaves rows that say what is still to be removed.</summary>
internal sealed class GarbageCollector(Bench bench)
{
    /// <summary>Removes all unneeded layers of an environment; the user's own files are never among them. Answers how many went.</summary>
    public async Task<int> CollectAsync(EnvironmentId environment, Lease lease, CancellationToken stop)
    {
        var layers = await bench.Store.LayersByIdAsync(environment, stop);
        var weaves = await bench.Store.ListWeavesAsync(environment, stop);
        var snapshots = await bench.Store.ListSnapshotsAsync(environment, null, null, stop);
        var needed = Chains.Needed(weaves, snapshots, layers);
        var unneeded = layers.Values.Where(l => !l.Adopted && !needed.Contains(l.Id)).ToList();
        if (unneeded.Count == 0) return 0;
        await bench.Driver.DeleteFilesAsync([.. unneeded.Select(l => l.Path)], stop);
        await bench.Store.CommitAsync(new StoreChange { DeleteLayers = [.. unneeded.Select(l => l.Id)] }, lease, stop);
        return unneeded.Count;
    }

    /// <summary>
    /// Removes those files of memory images whose snapshots are gone from the store (<paramref name="files"/>, written down before that) that no snapshot needs any more. A base thus stays until
    /// the last image on it is gone, whichever snapshot made it; machines that map one hold a snapshot that needs it. Repeatable.
    /// </summary>
    public async Task RemoveMemoryAsync(EnvironmentId environment, IReadOnlyCollection<string> files, CancellationToken stop)
    {
        if (files.Count == 0) return;
        var needed = (await bench.Store.ListSnapshotsAsync(environment, null, null, stop)).SelectMany(s => s.MemoryFiles()).ToHashSet(StringComparer.Ordinal);
        await bench.Driver.DeleteFilesAsync([.. files.Where(f => !needed.Contains(f)).Distinct(StringComparer.Ordinal)], stop);
    }
}
