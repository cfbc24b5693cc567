using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Weaving.Capture;

/// <summary>What the store must say once a capture has, or has partly, moved the heads of a weave.</summary>
internal static class LayerSwitch
{
    /// <summary>
    /// The change for those volumes whose live layer is the capture's new head: the old head is frozen, the new one is a live layer, the weave points to it.
    /// <paramref name="switched"/> tells by machine and volume; a volume that did not switch stays as it is.
    /// </summary>
    public static (Weave Weave, IReadOnlyList<Layer> Layers) Apply(Weave weave, CaptureRequest request, IReadOnlyDictionary<LayerId, Layer> layers,
        Func<MachineName, CaptureVolume, bool> switched, DateTimeOffset now)
    {
        var changed = new List<Layer>();
        var machines = weave.Machines.ToList();
        foreach (var machine in request.Machines)
        {
            var index = machines.FindIndex(m => m.Name == machine.Machine.Name);
            var heads = machines[index].Heads.ToList();
            foreach (var volume in machine.Volumes.Where(v => switched(machine.Machine.Name, v)))
            {
                var old = layers.Get(volume.Head.Id);
                changed.Add(old with { State = LayerState.Frozen });
                changed.Add(new Layer
                {
                    Id = volume.NewHead.Id, Environment = weave.Environment, Machine = machine.Machine.Name, Volume = volume.Volume, Parent = old.Id,
                    Path = volume.NewHead.Path, Format = volume.NewHead.Format, VirtualSize = volume.NewHead.VirtualSize, State = LayerState.Live, CreatedAt = now,
                });
                var head = heads.FindIndex(h => h.Volume == volume.Volume);
                heads[head] = new(volume.Volume, volume.NewHead.Id);
            }
            machines[index] = machines[index] with { Heads = heads };
        }
        return (weave with { Machines = machines }, changed);
    }

    /// <summary>The layers, with what those take on disk that are frozen and ours: nothing writes to them any more, so it stays true.</summary>
    public static async Task<IReadOnlyList<Layer>> MeasureAsync(Bench bench, IReadOnlyList<Layer> layers, CancellationToken stop)
    {
        var bytes = await bench.Driver.MeasureFilesAsync([.. layers.Where(l => l is { State: LayerState.Frozen, Adopted: false }).Select(l => l.Path)], stop);
        return [.. layers.Select(l => bytes.TryGetValue(l.Path, out var size) ? l with { FrozenBytes = size } : l)];
    }

    /// <summary>The change for those volumes that the store has on the capture's new head although they write to the old one again: the new head is gone.</summary>
    public static (Weave Weave, IReadOnlyList<Layer> Layers, IReadOnlyList<LayerId> Gone) Revert(Weave weave, CaptureRequest request, IReadOnlyDictionary<LayerId, Layer> layers,
        Func<MachineName, CaptureVolume, bool> switched)
    {
        var live = new List<Layer>();
        var gone = new List<LayerId>();
        var volumes = request.Machines.SelectMany(m => m.Volumes.Where(v => !switched(m.Machine.Name, v)).Select(v => (m.Machine.Name, Volume: v))).ToList();
        var machines = weave.Machines.Select(machine => machine with
        {
            Heads = [.. machine.Heads.Select(head =>
            {
                if (volumes.FirstOrDefault(v => v.Name == machine.Name && v.Volume.NewHead.Id == head.Layer).Volume is not { } volume) return head;
                live.Add(layers.Get(volume.Head.Id) with { State = LayerState.Live });
                gone.Add(volume.NewHead.Id);
                return new VolumeHead(head.Volume, volume.Head.Id);
            })],
        }).ToList();
        return (weave with { Machines = machines }, live, gone);
    }
}
