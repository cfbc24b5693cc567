using WeaveHypervisor.Model;

namespace WeaveHypervisor.Weaving.Branching;

/// <summary>The files that a moment of history needs: somebody may have moved or deleted them.</summary>
internal static class HistoryFiles
{
    /// <summary>A layer and all that it stands on, down to the adopted file.</summary>
    public static IEnumerable<Layer> ChainOf(IReadOnlyDictionary<LayerId, Layer> layers, LayerId head)
    {
        for (LayerId? id = head; id is { } layer; id = layers.Get(layer).Parent) yield return layers.Get(layer);
    }

    /// <summary>Refuses (<see cref="Fault.Conflict"/>), with every file named, a snapshot whose files are not all there.</summary>
    /// <param name="memory">Memory images are needed, too.</param>
    public static async Task RequireAsync(Bench bench, Snapshot snapshot, IReadOnlyDictionary<LayerId, Layer> layers, bool memory, CancellationToken stop)
    {
        if (await FindRefusalAsync(bench, snapshot, layers, memory, stop) is { } refusal) throw refusal;
    }

    /// <summary>The same, to be looked at: null where all files are there.</summary>
    public static async Task<WeaveException?> FindRefusalAsync(Bench bench, Snapshot snapshot, IReadOnlyDictionary<LayerId, Layer> layers, bool memory, CancellationToken stop)
    {
        // A machine cannot boot without the state of its firmware either.
        var disks = snapshot.Machines.SelectMany(m => m.Frozen.SelectMany(f => ChainOf(layers, f.Layer))).Select(l => l.Path).Concat(snapshot.StateFiles()).Distinct().ToList();
        var images = !memory ? [] : snapshot.Machines.Where(m => m.Memory is not null).SelectMany(m => new[] { m.Memory!.FlatPath, m.Memory.DeviceStatePath }).Distinct().ToList();
        var missing = await bench.Driver.FindMissingAsync([.. disks, .. images], stop);
        if (missing.Count == 0) return null;
        return new(Fault.Conflict, $"Snapshot '{snapshot.Id}' cannot be used: {(missing.Count == 1 ? "a file that it needs is" : $"{missing.Count} files that it needs are")} gone: {string.Join(", ", missing.Select(Ids.QuotePath))}.",
            missing.Any(disks.Contains) ? "Put it back where it was, or choose a snapshot that does not need it." : "Put it back where it was, or boot from the disks of that time with `--boot`.");
    }
}
