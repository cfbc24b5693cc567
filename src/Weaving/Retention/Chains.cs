using WeaveHypervisor.Model;

namespace WeaveHypervisor.Weaving.Retention;

/// <summary>Layers and their parents.</summary>
internal static class Chains
{
    /// <summary>A layer and all its ancestors, the layer first. A cycle or a missing parent is <see cref="Fault.DataLoss"/>.</summary>
    public static IReadOnlyList<Layer> From(LayerId head, IReadOnlyDictionary<LayerId, Layer> layers)
    {
        var chain = new List<Layer>();
        for (LayerId? next = head; next is { } id;)
        {
            var layer = layers.Get(id);
            if (chain.Count > layers.Count) throw new WeaveException(Fault.DataLoss, $"The chain of layer '{head}' runs in a circle.", "Put the state database back from a backup.");
            chain.Add(layer);
            next = layer.Parent;
        }
        return chain;
    }

    /// <summary>All layers that a snapshot or a weave needs, ancestors included: a weave its live ones, and those that its syncs can be taken back to.</summary>
    public static HashSet<LayerId> Needed(IReadOnlyCollection<Weave> weaves, IEnumerable<Snapshot> snapshots, IReadOnlyDictionary<LayerId, Layer> layers)
    {
        var needed = new HashSet<LayerId>();
        var heads = weaves.SelectMany(w => w.Machines).SelectMany(m => m.Heads).Select(h => h.Layer).Concat(weaves.SelectMany(w => w.Kept).Select(k => k.Layer))
            .Concat(snapshots.SelectMany(s => s.Machines).SelectMany(m => m.Frozen).Select(h => h.Layer));
        foreach (var head in heads)
            for (LayerId? next = head; next is { } id && layers.TryGetValue(id, out var layer) && needed.Add(id);) next = layer.Parent;
        return needed;
    }
}
