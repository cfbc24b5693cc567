using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Weaving.Volumes;

/// <summary>A volume at an instant at which it can be read: nobody writes to the layer, or nobody is said to.</summary>
/// <param name="Top">The layer that it stands on at that instant.</param>
/// <param name="IsHead">The layer is a live head; its machine is off.</param>
/// <param name="Words">Which instant that is, for people: "as it is (off)", "as of snapshot snap-… at …".</param>
/// <param name="Newer">A live layer above it that a machine writes to, whose content is not seen; null where there is none.</param>
internal sealed record VolumePoint(Layer Top, bool IsHead, string Words, Layer? Newer);

/// <summary>A volume of a machine, as people name it: `db/data`.</summary>
public readonly record struct VolumeId(MachineName Machine, VolumeName Volume)
{
    public override string ToString() => $"{Machine}/{Volume}";

    /// <summary>Parses "machine/volume"; InvalidRequest otherwise.</summary>
    public static VolumeId Parse(string text) => text.Split('/') is [var machine, var volume] ? new(MachineName.Parse(machine), VolumeName.Parse(volume))
        : throw new WeaveException(Fault.InvalidRequest, $"{Ids.Quote(text)} names no volume.", "Name machine and volume: db/data.");
}

internal static class VolumePoints
{
    /// <summary>NotFound, with those that there are, where the weave has no such volume.</summary>
    public static (WeaveMachine Machine, VolumeHead Head) Find(Weave weave, VolumeId volume)
    {
        var machine = weave.Machines.FirstOrDefault(m => m.Name == volume.Machine);
        return machine?.Heads.FirstOrDefault(h => h.Volume == volume.Volume) is { } head ? (machine, head)
            : throw new WeaveException(Fault.NotFound, $"'{weave.Environment}/{weave.Id}' has no volume '{volume}'.", $"Use one of: {string.Join(", ", weave.Machines.SelectMany(m => m.Heads.Select(h => $"{m.Name}/{h.Volume}")))}.");
    }

    /// <summary>The instant at which a volume of a snapshot was frozen.</summary>
    public static VolumePoint Of(Snapshot snapshot, VolumeId volume, IReadOnlyDictionary<LayerId, Layer> layers)
    {
        var frozen = snapshot.Machines.FirstOrDefault(m => m.Name == volume.Machine)?.Frozen.FirstOrDefault(f => f.Volume == volume.Volume)
            ?? throw new WeaveException(Fault.NotFound, $"Snapshot '{snapshot.Id}' has no volume '{volume}'.", $"Use one of: {string.Join(", ", snapshot.Machines.SelectMany(m => m.Frozen.Select(f => $"{m.Name}/{f.Volume}")))}.");
        return new(layers.Get(frozen.Layer), false, Words(snapshot), null);
    }

    /// <summary>
    /// The newest instant of a weave's volume at which it can be read: now, where its machine is off; else when its present head took over, because QEMU writes to the head and keeps a part of
    /// what is written in its memory. Refused (Conflict) where there is no such instant yet.
    /// </summary>
    public static VolumePoint Of(Weave weave, VolumeId volume, IReadOnlyDictionary<LayerId, Layer> layers, IReadOnlyList<Snapshot> snapshots)
    {
        var (machine, at) = Find(weave, volume);
        var head = layers.Get(at.Layer);
        if (machine.RunState == RunState.Off) return new(head, true, "as it is (its machine is off)", null);
        if (head.Parent is not { } parent)
            throw new WeaveException(Fault.Conflict, $"The disk of '{volume}' of '{weave.Environment}/{weave.Id}' is being written, and there is no point of it yet that could be looked at.",
                $"Take one with `weave snapshot {weave.Environment}/{weave.Id} --disk-only`, or repeat with `--now`.");
        var snapshot = snapshots.FirstOrDefault(s => s.Machines.Any(m => m.Name == volume.Machine && m.Frozen.Any(f => f.Volume == volume.Volume && f.Layer == parent)));
        return new(layers.Get(parent), false, snapshot is null ? $"as of {head.CreatedAt.Rfc()}" : Words(snapshot), head);
    }

    private static string Words(Snapshot snapshot) => $"as of {snapshot.Id}{(snapshot.Label is { } label ? $" ({label})" : "")} at {snapshot.At.Rfc()}";
}
