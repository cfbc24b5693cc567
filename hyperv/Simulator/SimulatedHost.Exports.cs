using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Cim.Wrappers;
using WeaveHypervisor.HyperV.Simulator.Cim;
using WeaveHypervisor.HyperV.Simulator.Machines;

namespace WeaveHypervisor.HyperV.Simulator;

/// <summary>Export of machines, and import of what was exported as planned machines.</summary>
public sealed partial class SimulatedHost
{
    private const byte AllSnapshots = 0, NoSnapshots = 1, OneSnapshot = 2, OneSnapshotForBackup = 3;

    internal MethodReply ExportSystemDefinition(MethodCall call)
    {
        var machine = MachineOf(call.NeedPath("ComputerSystem"));
        var folder = call.NeedText("ExportDirectory");
        if (!HostPath.IsAbsolute(folder)) throw new Refusal(Refusal.InvalidParameter);
        var how = call.NeedSettings("ExportSettingData");
        var mode = how.Find(VirtualSystemExportSettingData.CopySnapshotConfiguration) ?? AllSnapshots;
        if (mode > OneSnapshotForBackup) throw new Refusal(Refusal.InvalidParameter);
        var point = how.Get(VirtualSystemExportSettingData.SnapshotVirtualSystem) is { Length: > 0 } path
            ? CimPath.TryParse(path, out var parsed) ? CheckpointOf(parsed).Checkpoint : throw new Refusal(Refusal.InvalidParameter) : null;
        if (mode is OneSnapshot or OneSnapshotForBackup && (point is null || !machine.Checkpoints.Contains(point))) throw new Refusal(Refusal.InvalidParameter, "SnapshotVirtualSystem names no checkpoint of this machine.");
        var runtime = mode == OneSnapshot || (how.Find(VirtualSystemExportSettingData.CopyVmRuntimeInformation) ?? true);
        var storage = mode == OneSnapshot || (how.Find(VirtualSystemExportSettingData.CopyVmStorage) ?? true);
        var live = how.Find(VirtualSystemExportSettingData.CaptureLiveState) is not null && storage;
        RequireFree(machine);
        if (point is null && !(live && machine.State is RunState.Running or RunState.Paused)) RequireState(machine, RunState.Off, RunState.Saved);
        if (how.Find(VirtualSystemExportSettingData.CreateVmExportSubdirectory) is true) folder = HostPath.Join(folder, machine.Name);
        return Begin(call, machine, "Exporting the virtual machine", () =>
        {
            if (Volume.List(folder, below: true).Count > 0) throw new JobFailure(JobFailure.FileExists, $"'{folder}' is not empty");
            Volume.CreateFolder(folder);
            var definition = HostPath.Join(folder, MachineFiles.MachinesFolder, MachineFiles.Name(machine.Id) + ".vmcx");
            Configuration Out(Configuration configuration) => storage ? CopyDisks(configuration, folder, flat: mode == OneSnapshot) : configuration;
            if (point is not null)
            {
                var exported = point.Configuration.CopyAs(machine.Id);
                exported.Settings = exported.Settings.With(VirtualSystemSettingData.VirtualSystemType, machine.Own.Settings.Get(VirtualSystemSettingData.VirtualSystemType)).With(VirtualSystemSettingData.ElementName, machine.Name).With(VirtualSystemSettingData.Parent, null);
                var memory = runtime && (mode == OneSnapshot || Behaviour.ExportsMemoryOfCheckpoints) ? point.Memory : null;
                Definitions.Write(definition, machine.Id, Out(exported), false, memory, MachineFiles.DefinitionOf(machine, point));
            }
            else
            {
                var memory = !runtime ? null : machine.State is RunState.Running or RunState.Paused ? Remember(machine) : machine.Saved;
                Definitions.Write(definition, machine.Id, Out(machine.Own), false, memory, MachineFiles.DefinitionOf(machine));
                foreach (var checkpoint in mode == AllSnapshots ? machine.Checkpoints : [])
                    Definitions.Write(HostPath.Join(folder, MachineFiles.SnapshotsFolder, MachineFiles.Name(checkpoint.Id) + ".vmcx"), machine.Id, Out(checkpoint.Configuration), true, runtime ? checkpoint.Memory : null, MachineFiles.DefinitionOf(machine, checkpoint));
            }
            if (!storage && Behaviour.SuspendsMerges) machine.MergesDisks = false;
            return new([PathOf(machine)]);
        });
    }

    /// <summary>Copies a configuration's disks, flat or layer by layer, and answers it with the copies.</summary>
    private Configuration CopyDisks(Configuration configuration, string folder, bool flat)
    {
        var exported = configuration.CopyAs(configuration.Guid);
        var disks = HostPath.Join(folder, MachineFiles.DisksFolder);
        Volume.CreateFolder(disks);
        foreach (var leaf in configuration.DiskFiles)
        {
            var chain = Disks.Chain(leaf);
            string To(string path) => HostPath.Join(disks, HostPath.Name(path));
            if (flat)
            {
                var target = HostPath.Join(disks, HostPath.Stem(chain[^1].Path) + ".vhdx");
                Disks.Flatten(leaf, target, 3, chain[^1].Disk.BlockSize);
                exported.PointDisk(leaf, target);
                continue;
            }
            foreach (var (path, disk) in chain.Reverse())
            {
                if (Volume.Exists(To(path))) continue;
                Volume.Copy(path, To(path), evenInUse: true);
                if (disk.ParentPath is not null) Disks.SetParent(To(path), To(disk.ParentPath), ignoreMismatch: false);
            }
            exported.PointDisk(leaf, To(leaf));
        }
        return exported;
    }

    internal MethodReply ImportSystemDefinition(MethodCall call)
    {
        var file = call.NeedText("SystemDefinitionFile");
        var snapshots = call.Text("SnapshotFolder");
        var fresh = call.Truth("GenerateNewSystemIdentifier") ?? false;
        if (!HostPath.IsAbsolute(file) || (snapshots is not null && !HostPath.IsAbsolute(snapshots))) throw new Refusal(Refusal.InvalidParameter);
        return Begin(call, ConcreteJob.ClassName, "Importing a virtual machine", () =>
        {
            if (Machines.Where(m => !m.IsPlanned).Any(m => m.Checkpoints.Select(c => MachineFiles.DefinitionOf(m, c)).Prepend(MachineFiles.DefinitionOf(m)).Contains(file, HostPath.Comparer)))
                throw new JobFailure(JobFailure.SharingViolation, $"'{file}' is the definition of a machine of this host");
            var (definition, read, memory) = Definitions.Read(file);
            if (definition.IsCheckpoint && !Behaviour.ImportsCopiedCheckpoints) throw new JobFailure(JobFailure.InvalidArgument, $"'{file}' is the definition of a checkpoint");
            var id = fresh ? NewId() : definition.Machine;
            if (Machines.Exists(m => m.Id == id)) throw new JobFailure(0x800700B7, $"There is a machine {id} already");
            var own = read.CopyAs(id);
            own.Settings = Plan(own.Settings, id, "Microsoft:Hyper-V:System:Planned").With(VirtualSystemSettingData.Parent, null).With(VirtualSystemSettingData.IsSaved, memory is not null);
            if (!Behaviour.KeepsBiosGuid && fresh) own.Settings = own.Settings.With(VirtualSystemSettingData.BIOSGUID, $"{{{MachineFiles.Name(NewId())}}}").With(VirtualSystemSettingData.BIOSSerialNumber, Serial());
            var planned = new Machine(id, own) { IsPlanned = true, Saved = memory, ImportedFrom = file };
            if (snapshots is not null) ImportSnapshots(planned, snapshots, fresh);
            Machines.Add(planned);
            return new([PathOf(planned)]);
        });
    }

    private static CimObject Plan(CimObject settings, Guid machine, string type) => settings
        .With(VirtualSystemSettingData.VirtualSystemIdentifier, MachineFiles.Name(machine)).With(VirtualSystemSettingData.VirtualSystemType, type);

    private void ImportSnapshots(Machine planned, string folder, bool fresh)
    {
        var read = Volume.List(folder, below: false).Where(f => HostPath.Ending(f.Path).Equals(".vmcx", StringComparison.OrdinalIgnoreCase)).Select(f => Definitions.Read(f.Path)).ToList();
        var ids = read.ToDictionary(r => r.Configuration.Guid, r => fresh ? NewId() : r.Configuration.Guid);
        foreach (var (_, configuration, memory) in read)
        {
            var copy = configuration.CopyAs(ids[configuration.Guid]);
            Guid? parent = CimPath.TryParse(copy.Settings.Get(VirtualSystemSettingData.Parent), out var path) && Guid.TryParse(path["InstanceID"]?["Microsoft:".Length..], out var old) && ids.TryGetValue(old, out var known) ? known : null;
            copy.Settings = Plan(copy.Settings, planned.Id, "Microsoft:Hyper-V:Snapshot:Planned")
                .With(VirtualSystemSettingData.Parent, parent is { } p ? PathOf(VirtualSystemSettingData.ClassName, HostNamespaces.Virtualization, ("InstanceID", "Microsoft:" + MachineFiles.Name(p))).ToString() : null);
            planned.Checkpoints.Add(new(copy.Guid, copy) { Memory = memory, Parent = parent });
        }
    }

    internal MethodReply ValidatePlannedSystem(MethodCall call)
    {
        var planned = MachineOf(call.NeedPath("PlannedSystem"), planned: true);
        if (!planned.IsPlanned) throw new Refusal(Refusal.InvalidParameter);
        return Begin(call, planned, "Validating", () => new([PathOf(planned)], [.. Findings(planned)], Quiet: Toss()));
    }

    private IEnumerable<HostMessage> Findings(Machine planned)
    {
        foreach (var configuration in planned.Configurations)
        {
            foreach (var file in configuration.DiskFiles.Where(f => !Volume.Exists(f))) yield return new("40010", $"The virtual hard disk '{file}' was not found.", PathOf(configuration.Settings).ToString());
            foreach (var connection in configuration.Resources.Where(r => r.ClassName == EthernetPortAllocationSettingData.ClassName && r.Find(EthernetPortAllocationSettingData.EnabledState) != 3))
                if (!Network.HasSwitch(connection.List(EthernetPortAllocationSettingData.HostResource).FirstOrDefault())) yield return new("33012", "The virtual switch was not found.", PathOf(connection).ToString());
        }
        if (planned.Saved is { } image && image.Shape != Shape(planned.Own)) yield return new("21502", "The saved state does not fit the configuration.", PathOf(planned).ToString());
    }

    internal MethodReply RealizePlannedSystem(MethodCall call)
    {
        var planned = MachineOf(call.NeedPath("PlannedSystem"), planned: true);
        if (!planned.IsPlanned) throw new Refusal(Refusal.InvalidParameter);
        return Begin(call, planned, "Realizing", () =>
        {
            if (planned.ImportedFrom is { } from && !Volume.Exists(from)) throw new JobFailure(JobFailure.FileNotFound, $"The system cannot find the file '{from}'");
            foreach (var file in planned.Configurations.SelectMany(c => c.DiskFiles)) _ = Disks.Chain(file);
            planned.IsPlanned = false;
            if (planned.ImportedFrom is { } source && planned.Own.IsSecondGeneration && Volume.Exists(MachineFiles.FirmwareOf(source)))
                Volume.Write(MachineFiles.FirmwareOf(MachineFiles.DefinitionOf(planned)), Volume.Read(MachineFiles.FirmwareOf(source)));
            var root = planned.Own.Settings.Get(VirtualSystemSettingData.ConfigurationDataRoot)!;
            planned.Own.Settings = Plan(planned.Own.Settings, planned.Id, "Microsoft:Hyper-V:System:Realized").With(VirtualSystemSettingData.ConfigurationDataRoot, root).With(VirtualSystemSettingData.ConfigurationFile, $@"{MachineFiles.MachinesFolder}\{MachineFiles.Name(planned.Id)}.vmcx");
            if (planned.Own.IsSecondGeneration) planned.Own.Settings = planned.Own.Settings.With(VirtualSystemSettingData.GuestStateFile, $@"{MachineFiles.MachinesFolder}\{MachineFiles.Name(planned.Id)}.vmgs");
            foreach (var file in planned.Configurations.SelectMany(c => c.DiskFiles)) GrantDisk(planned, file);
            foreach (var checkpoint in planned.Checkpoints)
            {
                checkpoint.Configuration.Settings = checkpoint.Configuration.Settings.With(VirtualSystemSettingData.VirtualSystemType, "Microsoft:Hyper-V:Snapshot:Realized");
                Definitions.Keep(planned, checkpoint);
            }
            planned.State = planned.Saved is null ? RunState.Off : RunState.Saved;
            KeepSaved(planned);
            return new([PathOf(planned)]);
        });
    }
}
