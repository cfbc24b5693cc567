using WeaveHypervisor.Model;

namespace WeaveHypervisor.Weaving.Retention;

/// <summary>
/// What a further snapshot of a weave costs. Refusals go by the worst case, which holds whatever the guests do; the likely cost is what recent snapshots of the same weave
/// took, and tells how long the pool will last.
/// </summary>
/// <param name="FloorBytes">Below this much free no automatic point is taken.</param>
/// <param name="WorstBytes">All memory of the machines that run, and the set-aside for each new layer.</param>
/// <param name="LikelyBytes">The mean of <paramref name="Points"/> recent snapshots, never below a safe minimum; the worst case where there is none.</param>
/// <param name="Points">How many snapshots it was measured on.</param>
public sealed record SpaceForecast(EnvironmentId Environment, WeaveId Weave, string Path, long FreeBytes, long FloorBytes, long WorstBytes, long LikelyBytes, int Points)
{
    private const int Recent = 5;
    /// <summary>Of memory at least this share is expected to have changed.</summary>
    private const int LeastShare = 128;

    /// <summary>About how many more automatic points are taken until the floor is reached, if the next cost as much as the last and nothing else is written.</summary>
    public long PointsLeft => FreeBytes - FloorBytes < WorstBytes ? 0 : (FreeBytes - FloorBytes - WorstBytes) / LikelyBytes + 1;

    /// <summary>Why no automatic point may be taken now, with the numbers; null where one may.</summary>
    public string? Refusal => PointsLeft > 0 ? null
        : $"a snapshot of '{Environment}/{Weave}' may need {SpaceGuard.Mib(WorstBytes)}, and for automatic ones {SpaceGuard.Mib(FloorBytes)} must stay free, but '{Path}' has only {SpaceGuard.Mib(FreeBytes)} free";

    /// <summary>From stored facts alone; free bytes are given.</summary>
    /// <param name="memory">With memory, or disks only.</param>
    internal static SpaceForecast Of(Weave weave, IReadOnlyList<Snapshot> snapshots, IReadOnlyDictionary<LayerId, Layer> layers, WeavingOptions options, string path, long freeBytes, bool memory)
    {
        var set = Math.Max(1, options.BytesPerLayer * weave.Machines.Sum(m => m.Heads.Count));
        var ram = memory ? weave.Machines.Where(m => m.RunState != RunState.Off).Sum(m => weave.Blueprint.Machines.FirstOrDefault(b => b.Name == m.Name)?.MemoryBytes ?? 0) : 0;
        var costs = snapshots.Where(s => s.Weave == weave.Id && s.State == SnapshotState.Ready && s.Machines.Any(m => m.Memory is not null) == memory)
            .Select(s => CostOf(s, layers)).OfType<long>().TakeLast(Recent).ToList();
        var worst = ram + set;
        return new(weave.Environment, weave.Id, path, freeBytes, options.FloorBytes, worst, costs.Count == 0 ? worst : Math.Max((long)costs.Average(), set + ram / LeastShare), costs.Count);
    }

    /// <summary>Memory that was stored, and what had been written to the disks since the snapshot before; null where that was not measured (the first one stands on the adopted disks).</summary>
    private static long? CostOf(Snapshot snapshot, IReadOnlyDictionary<LayerId, Layer> layers)
    {
        var written = 0L;
        foreach (var frozen in snapshot.Machines.SelectMany(m => m.Frozen))
        {
            if (!layers.TryGetValue(frozen.Layer, out var layer) || layer.FrozenBytes is not { } bytes) return null;
            written += bytes;
        }
        return written + snapshot.Machines.Sum(m => m.Memory?.StoredBytes ?? 0);
    }
}
