using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Cim.Wrappers;
using WeaveHypervisor.HyperV.Simulator.Cim;
using WeaveHypervisor.HyperV.Simulator.Machines;

namespace WeaveHypervisor.HyperV.Simulator;

/// <summary>Checkpoints and what becomes of their layers (Msvm_VirtualSystemSnapshotService).</summary>
public sealed partial class SimulatedHost
{
    private const ushort FullSnapshot = 2, DiskSnapshot = 3, RecoverySnapshot = 32768;

    internal MethodReply CreateSnapshot(MethodCall call)
    {
        var machine = MachineOf(call.NeedPath("AffectedSystem"));
        if (call.Text("SnapshotSettings") is { } text) Settings.Read(text, "CIM_SettingData");
        var type = call.Number("SnapshotType");
        if (type is not (FullSnapshot or DiskSnapshot or RecoverySnapshot)) throw new Refusal(Refusal.InvalidParameter);
        RequireFree(machine);
        var wanted = machine.Own.Settings.Find(VirtualSystemSettingData.UserSnapshotType) ?? 3;
        if (wanted == 2 && type != RecoverySnapshot) throw new Refusal(Refusal.NotSupported, "The machine is set to have no checkpoints.");
        if (!(machine.State == RunState.Paused && Behaviour.ChecksPaused)) RequireState(machine, RunState.Running, RunState.Off, RunState.Saved);
        if (machine.Own.Resources.Exists(r => r.ClassName is GpuPartitionSettingData.ClassName or PciExpressSettingData.ClassName)) throw new Refusal(Refusal.NotSupported, "A machine with devices of the host has no checkpoints.");
        return Begin(call, machine, "Creating a checkpoint", () =>
        {
            var runs = machine.State is RunState.Running or RunState.Paused;
            var production = type == RecoverySnapshot || (runs && ((type == DiskSnapshot && Behaviour.HonoursDiskSnapshots) || wanted == 4 || (wanted == 3 && machine.HasQuiescer)));
            if (production && runs && wanted == 4 && type == FullSnapshot && !machine.HasQuiescer) throw new JobFailure(0x800423F4, $"The guest of '{machine.Name}' could not be quiesced");
            var memory = production ? null : machine.State == RunState.Saved ? machine.Saved : runs ? Remember(machine) : null;
            return new([PathOf(Check(machine, memory, type == RecoverySnapshot).Configuration.Settings)]);
        });
    }

    /// <summary>Freezes the disks of a machine under new layers, and keeps its configuration and, where there is some, its memory.</summary>
    internal Checkpoint Check(Machine machine, SavedImage? memory, bool recovery)
    {
        foreach (var disk in machine.Own.DiskFiles) _ = Disks.Chain(disk);
        var configuration = machine.Own.CopyAs(NewId());
        var checkpoint = new Checkpoint(configuration.Guid, configuration) { Memory = memory, Parent = machine.Current, IsRecovery = recovery };
        configuration.Settings = configuration.Settings
            .With(VirtualSystemSettingData.VirtualSystemType, recovery ? "Microsoft:Hyper-V:Snapshot:Recovery" : "Microsoft:Hyper-V:Snapshot:Realized").With(VirtualSystemSettingData.CreationTime, CimTime.At(Now))
            .With(VirtualSystemSettingData.ElementName, $"{machine.Name} - ({Now:yyyy-MM-dd HH:mm:ss})").With(VirtualSystemSettingData.IsSaved, memory is not null)
            .With(VirtualSystemSettingData.ConfigurationDataRoot, machine.Own.Settings.Get(VirtualSystemSettingData.SnapshotDataRoot)).With(VirtualSystemSettingData.ConfigurationFile, $@"{MachineFiles.SnapshotsFolder}\{MachineFiles.Name(checkpoint.Id)}.vmcx");
        foreach (var leaf in machine.Own.DiskFiles) machine.Own.PointDisk(leaf, NewLayer(machine, leaf));
        machine.Checkpoints.Add(checkpoint);
        machine.Current = checkpoint.Id;
        machine.Own.Settings = machine.Own.Settings.With(VirtualSystemSettingData.Parent, PathOf(configuration.Settings).ToString());
        Definitions.Keep(machine, checkpoint);
        Definitions.Keep(machine);
        return checkpoint;
    }

    /// <summary>A new differencing disk beside its parent, named as Hyper-V does: the name of the first layer and a new id.</summary>
    private string NewLayer(Machine machine, string parent)
    {
        var stem = HostPath.Stem(parent);
        if (HostPath.Ending(parent).Equals(".avhdx", StringComparison.OrdinalIgnoreCase) && stem.Length > 37 && Guid.TryParse(stem[^36..], out _)) stem = stem[..^37];
        var layer = HostPath.Join(HostPath.Folder(parent), $"{stem}_{MachineFiles.Name(NewId())}.avhdx");
        Disks.Create(layer, 4, 0, parent, 0, 0, 0);
        Volume.Grant(layer, machine.Id);
        return layer;
    }

    internal MethodReply ApplySnapshot(MethodCall call)
    {
        var (machine, checkpoint) = CheckpointOf(call.NeedPath("Snapshot"));
        RequireFree(machine);
        RequireState(machine, RunState.Off, RunState.Saved);
        return Begin(call, machine, "Applying a checkpoint", () =>
        {
            var left = machine.Own.DiskFiles;
            var own = checkpoint.Configuration.CopyAs(machine.Id);
            foreach (var frozen in own.DiskFiles) own.PointDisk(frozen, NewLayer(machine, frozen));
            own.Settings = machine.Own.Settings.With(VirtualSystemSettingData.Parent, PathOf(checkpoint.Configuration.Settings).ToString());
            machine.Own = own;
            machine.Current = checkpoint.Id;
            machine.Saved = checkpoint.Memory;
            if (own.IsSecondGeneration) Volume.Write(MachineFiles.FirmwareOf(MachineFiles.DefinitionOf(machine)), Volume.Read(MachineFiles.FirmwareOf(MachineFiles.DefinitionOf(machine, checkpoint))));
            machine.State = machine.Saved is null ? RunState.Off : RunState.Saved;
            KeepSaved(machine);
            foreach (var layer in left.Where(l => HostPath.Ending(l).Equals(".avhdx", StringComparison.OrdinalIgnoreCase) && !machine.Checkpoints.Exists(c => c.Configuration.Disks.Any(d => HostPath.Comparer.Equals(Configuration.File(d), l))))) Volume.Delete(layer);
            return new([PathOf(machine)]);
        });
    }

    internal MethodReply DestroySnapshot(MethodCall call)
    {
        var (machine, checkpoint) = CheckpointOf(call.NeedPath("AffectedSnapshot"));
        return Destroy(call, machine, [checkpoint]);
    }

    internal MethodReply DestroySnapshotTree(MethodCall call)
    {
        var (machine, checkpoint) = CheckpointOf(call.NeedPath("SnapshotSettingData"));
        var tree = new List<Checkpoint> { checkpoint };
        for (var i = 0; i < tree.Count; i++) tree.AddRange(machine.Checkpoints.Where(c => c.Parent == tree[i].Id));
        return Destroy(call, machine, tree);
    }

    private MethodReply Destroy(MethodCall call, Machine machine, IReadOnlyList<Checkpoint> gone) => Begin(call, machine, "Removing checkpoints", () =>
    {
        foreach (var checkpoint in gone) Forget(machine, checkpoint);
        return new([PathOf(machine)]);
    });

    /// <summary>Takes a checkpoint out of the tree. Its layers are merged later, in the background.</summary>
    internal void Forget(Machine machine, Checkpoint checkpoint)
    {
        machine.Checkpoints.Remove(checkpoint);
        foreach (var child in machine.Checkpoints.Where(c => c.Parent == checkpoint.Id))
        {
            child.Parent = checkpoint.Parent;
            child.Configuration.Settings = child.Configuration.Settings.With(VirtualSystemSettingData.Parent, checkpoint.Configuration.Settings.Get(VirtualSystemSettingData.Parent));
        }
        if (machine.Current == checkpoint.Id)
        {
            machine.Current = checkpoint.Parent;
            machine.Own.Settings = machine.Own.Settings.With(VirtualSystemSettingData.Parent, checkpoint.Configuration.Settings.Get(VirtualSystemSettingData.Parent));
        }
        if (machine.IsPlanned) return;
        Definitions.Remove(MachineFiles.DefinitionOf(machine, checkpoint));
        foreach (var frozen in checkpoint.Configuration.DiskFiles) machine.Orphans.Add(frozen);
        machine.MergeAt = Now + Options.JobTime;
    }

    /// <summary>
    /// Merges the layer above a forgotten one into it, as a host does by itself: the frozen file is rewritten, also where disks of others depend on it, because a host counts children only within a machine's own tree.
    /// </summary>
    private void MergeOrphans(Machine machine)
    {
        if (!machine.MergesDisks || machine.Busy is not null || Now < machine.MergeAt) return;
        foreach (var orphan in machine.Orphans.ToList())
        {
            var named = machine.Configurations.SelectMany(c => c.DiskFiles).ToHashSet(HostPath.Comparer);
            var above = Layers(named).Where(l => HostPath.Comparer.Equals(Disks.Read(l).ParentPath, orphan)).ToList();
            if (!Volume.Exists(orphan) || above.Count == 0)
            {
                machine.Orphans.Remove(orphan);
                if (Volume.Exists(orphan) && !named.Contains(orphan) && HostPath.Ending(orphan).Equals(".avhdx", StringComparison.OrdinalIgnoreCase)) Volume.Delete(orphan);
                continue;
            }
            // Between branches, or while somebody else's running machine holds it, a layer stays as it is.
            if (named.Contains(orphan) || above.Count > 1) continue;
            var heldByOthers = Machines.Exists(m => m != machine && RunState.HoldsDisks(m.State) && m.Own.DiskFiles.Any(l => IsAbove(orphan, l)));
            if (heldByOthers) continue;
            Merge(machine, above[0], orphan);
            machine.Orphans.Remove(orphan);
            if (machine.Orphans.Remove(above[0])) machine.Orphans.Add(orphan);
        }
    }

    /// <summary>All layers below and with the named ones.</summary>
    private HashSet<string> Layers(IEnumerable<string> named)
    {
        var all = new HashSet<string>(HostPath.Comparer);
        foreach (var leaf in named)
            for (var at = leaf; at is not null && Volume.Exists(at) && all.Add(at); at = Disks.Read(at).ParentPath)
            {
            }
        return all;
    }

    private void Merge(Machine machine, string child, string parent)
    {
        var children = Layers(machine.Configurations.SelectMany(c => c.DiskFiles)).Where(l => HostPath.Comparer.Equals(Disks.Read(l).ParentPath, child)).ToList();
        // The machine itself may run on the child: its own merge is done under it.
        var state = machine.State;
        machine.State = RunState.Off;
        try
        {
            Disks.MergeInto(child, parent);
            foreach (var above in children) Disks.SetParent(above, parent, ignoreMismatch: true);
        }
        finally
        {
            machine.State = state;
        }
        foreach (var configuration in machine.Configurations) configuration.PointDisk(child, parent);
        foreach (var checkpoint in machine.Checkpoints) Definitions.Keep(machine, checkpoint);
        Definitions.Keep(machine);
    }
}
