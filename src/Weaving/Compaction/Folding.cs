using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;
using WeaveHypervisor.Weaving.Retention;

namespace WeaveHypervisor.Weaving.Compaction;

/// <summary>One thing that shortens a chain.</summary>
/// <param name="Gone">Layers that are no more afterwards: merged ones. A pull leaves all.</param>
internal sealed record Fold(MachineName Machine, VolumeName Volume, FoldRequest Request, IReadOnlyList<LayerId> Gone)
{
    /// <summary>For people: "merge 3 layers of web/vda".</summary>
    public string What => $"{(Request.IsHead ? "pull" : "merge")} {Request.Between.Count} layer{(Request.Between.Count == 1 ? "" : "s")} of {Machine}/{Volume}{(Request.Machine is { } m ? $" under {m.HypervisorName}" : "")}";
}

/// <param name="Folds">What can be done now, in that order; each changes what can be done after it.</param>
/// <param name="InUse">Layers that nobody needs the content of but several running machines have open, for people.</param>
internal sealed record FoldPlan(IReadOnlyList<Fold> Folds, IReadOnlyList<string> InUse);

/// <summary>A head and its chain, and how long that is.</summary>
internal sealed record HeadChain(Weave Weave, WeaveMachine Machine, VolumeName Volume, IReadOnlyList<Layer> Layers);

/// <summary>
/// Finds what shortens chains without changing what anybody needs. A layer is pinned where a snapshot's frozen head or a weave's live head is it, or a sync can be taken back to it. Pure.
/// </summary>
internal static class Folding
{
    /// <param name="runs">Whether a machine's process is there, and has its chains open.</param>
    /// <param name="limit">Chains of that many layers are shortened, by a pull where nothing can be merged.</param>
    public static FoldPlan Plan(IReadOnlyDictionary<LayerId, Layer> layers, IReadOnlyList<Weave> weaves, IReadOnlyList<Snapshot> snapshots, Func<WeaveMachine, bool> runs, int limit, long bytesPerSecond)
    {
        var heads = HeadsOf(weaves, layers).ToList();
        var pinned = heads.Select(h => h.Layers[0].Id).Concat(snapshots.SelectMany(s => s.Machines).SelectMany(m => m.Frozen).Select(f => f.Layer))
            .Concat(weaves.SelectMany(w => w.Kept).Select(k => k.Layer)).ToHashSet();
        var children = layers.Values.Where(l => l.Parent is not null).ToLookup(l => l.Parent!.Value);
        bool Merges(Layer layer) => !layer.Adopted && layer.Parent is not null && !pinned.Contains(layer.Id) && children[layer.Id].Count() == 1;

        HeadChain? MainOf(MachineName machine, VolumeName volume) => heads.FirstOrDefault(h => h.Weave.IsMain && h.Machine.Name == machine && h.Volume == volume);
        var (folds, inUse) = (new List<Fold>(), new List<string>());
        foreach (var layer in layers.Values.Where(l => l is { State: LayerState.Frozen, Parent: not null }).OrderBy(l => l.CreatedAt).ThenBy(l => l.Id.Text, StringComparer.Ordinal))
        {
            // Its own child takes it along. A live head takes nothing: its file is named in its machine's definition.
            if (Merges(layer) && children[layer.Id].Single().State == LayerState.Frozen) continue;
            var between = new List<Layer>();
            for (var below = layers.Get(layer.Parent!.Value); Merges(below); below = layers.Get(below.Parent!.Value)) between.Insert(0, below);
            if (between.Count == 0) continue;
            var open = heads.Where(h => runs(h.Machine) && h.Layers.Any(l => l.Id == layer.Id)).ToList();
            if (open.Count > 1)
            {
                inUse.Add($"{between.Count} layer{(between.Count == 1 ? "" : "s")} of {layer.Machine}/{layer.Volume}: {string.Join(", ", open.Select(h => h.Machine.HypervisorName))} have them open");
                continue;
            }
            var above = open.Count == 0 ? null : open[0].Layers[open[0].Layers.ToList().FindIndex(l => l.Id == layer.Id) - 1];
            folds.Add(new(layer.Machine, layer.Volume, new FoldRequest
            {
                Machine = open.Count == 0 ? null : open[0].Machine.ToRef(), Target = open.Count == 0 ? null : TargetOf(open[0]), Layer = layer.ToRef(), Between = [.. between.Select(l => l.ToRef())],
                Parent = layers.Get(between[0].Parent!.Value).ToRef(), Above = above?.ToRef(), Others = [.. children[layer.Id].Where(l => l.Id != above?.Id).Select(l => l.ToRef())],
                Defined = MainOf(layer.Machine, layer.Volume)?.Machine.ToRef(), DefinedTarget = MainOf(layer.Machine, layer.Volume) is { } main ? TargetOf(main) : null, BytesPerSecond = bytesPerSecond,
            }, [.. between.Select(l => l.Id)]));
        }
        // What is merged may make a chain short enough; so pulls are looked for only where nothing merges.
        var merging = folds.Select(f => (f.Machine, f.Volume)).ToHashSet();
        foreach (var head in heads.Where(h => h.Layers.Count >= limit && !merging.Contains((h.Machine.Name, h.Volume))))
        {
            // Half of the limit: the next pull is as many snapshots away. On a pinned layer: one that is not could not be merged any more with a second child.
            var at = head.Layers.Count - Math.Max(1, limit / 2 - 1);
            while (at < head.Layers.Count - 1 && !pinned.Contains(head.Layers[at].Id)) at++;
            if (at < 2) continue;
            folds.Add(new(head.Machine.Name, head.Volume, new FoldRequest
            {
                Machine = IsKnown(head, runs) ? head.Machine.ToRef() : null, Target = IsKnown(head, runs) ? TargetOf(head) : null, Layer = head.Layers[0].ToRef(), IsHead = true,
                Between = [.. head.Layers.Take(at).Skip(1).Reverse().Select(l => l.ToRef())], Parent = head.Layers[at].ToRef(),
                Defined = MainOf(head.Machine.Name, head.Volume)?.Machine.ToRef(), DefinedTarget = MainOf(head.Machine.Name, head.Volume) is { } main ? TargetOf(main) : null, BytesPerSecond = bytesPerSecond,
            }, []));
        }
        return new(folds, inUse);
    }

    /// <summary>The heads of all weaves with their chains, head first.</summary>
    public static IEnumerable<HeadChain> HeadsOf(IEnumerable<Weave> weaves, IReadOnlyDictionary<LayerId, Layer> layers) =>
        weaves.SelectMany(w => w.Machines.SelectMany(m => m.Heads.Select(h => new HeadChain(w, m, h.Volume, Chains.From(h.Layer, layers)))));

    /// <summary>The hypervisor knows adopted machines also when they are off, and their definition might be started in the middle.</summary>
    private static bool IsKnown(HeadChain head, Func<WeaveMachine, bool> runs) => head.Weave.IsMain || runs(head.Machine);

    private static string TargetOf(HeadChain head) => head.Weave.Blueprint.Machine(head.Machine.Name).Target(head.Volume);
}
