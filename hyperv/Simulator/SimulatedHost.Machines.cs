using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Cim.Wrappers;
using WeaveHypervisor.HyperV.Simulator.Cim;
using WeaveHypervisor.HyperV.Simulator.Jobs;
using WeaveHypervisor.HyperV.Simulator.Machines;

namespace WeaveHypervisor.HyperV.Simulator;

/// <summary>Definition, change and removal of machines (Msvm_VirtualSystemManagementService).</summary>
public sealed partial class SimulatedHost
{
    /// <summary>What may be changed of a machine that runs.</summary>
    private static readonly string[] ChangesAlways = ["InstanceID", "ElementName", "Notes", "UserSnapshotType", "AutomaticSnapshotsEnabled", "AutomaticStartupAction", "AutomaticShutdownAction", "AutomaticStartupActionDelay", "IncrementalBackupEnabled"];

    internal MethodReply DefineSystem(MethodCall call)
    {
        var given = call.NeedSettings("SystemSettings");
        var resources = call.AllSettings("ResourceSettings", "CIM_ResourceAllocationSettingData");
        return Short(call, null, "Defining a virtual machine", () =>
        {
            var machine = Define(NewId(), given);
            Machines.Add(machine);
            foreach (var resource in resources) Add(machine, machine.Own, resource);
            Definitions.Keep(machine);
            return ([PathOf(machine)], [("ResultingSystem", PathOf(machine))]);
        });
    }

    /// <summary>A machine with the settings that every one has, and those that were given.</summary>
    internal Machine Define(Guid id, CimObject given)
    {
        var name = MachineFiles.Name(id);
        var root = given.Get(VirtualSystemSettingData.ConfigurationDataRoot) ?? DataRoot;
        var settings = new CimObject(VirtualSystemSettingData.ClassName)
            .With(VirtualSystemSettingData.ElementName, "New Virtual Machine").With(VirtualSystemSettingData.VirtualSystemSubType, "Microsoft:Hyper-V:SubType:2")
            .With(VirtualSystemSettingData.SnapshotDataRoot, root).With(VirtualSystemSettingData.SuspendDataRoot, root).With(VirtualSystemSettingData.SwapFileDataRoot, root).With(VirtualSystemSettingData.LogDataRoot, root)
            .With(VirtualSystemSettingData.GuestStateDataRoot, root).With(VirtualSystemSettingData.UserSnapshotType, (ushort)3).With(VirtualSystemSettingData.AutomaticSnapshotsEnabled, true)
            .With(VirtualSystemSettingData.AutomaticStartupAction, (ushort)3).With(VirtualSystemSettingData.AutomaticShutdownAction, (ushort)3).With(VirtualSystemSettingData.Notes, [""])
            .With(VirtualSystemSettingData.BIOSGUID, $"{{{MachineFiles.Name(NewId())}}}").With(VirtualSystemSettingData.BIOSSerialNumber, Serial()).With(VirtualSystemSettingData.ChassisSerialNumber, Serial())
            .With(VirtualSystemSettingData.BaseBoardSerialNumber, Serial()).With(VirtualSystemSettingData.Version, Options.Profile == HostProfile.Server2019 ? "9.0" : "12.0");
        settings = given.Properties.Aggregate(settings, (s, p) => s.With(p.Key, p.Value))
            .With(VirtualSystemSettingData.InstanceID, "Microsoft:" + name).With(VirtualSystemSettingData.VirtualSystemIdentifier, name).With(VirtualSystemSettingData.VirtualSystemType, "Microsoft:Hyper-V:System:Realized")
            .With(VirtualSystemSettingData.ConfigurationDataRoot, root).With(VirtualSystemSettingData.ConfigurationFile, $@"{MachineFiles.MachinesFolder}\{name}.vmcx").With(VirtualSystemSettingData.CreationTime, CimTime.At(Now)).With(VirtualSystemSettingData.IsSaved, false);
        if (settings.Get(VirtualSystemSettingData.VirtualSystemSubType) == "Microsoft:Hyper-V:SubType:2") settings = settings.With(VirtualSystemSettingData.GuestStateFile, $@"{MachineFiles.MachinesFolder}\{name}.vmgs");
        CimObject[] resources =
        [
            Templates.Settings(MemorySettingData.ClassName, $@"Microsoft:{name}\4764334D-E001-4176-82EE-5594EC9B530E", ResourceNames.Memory, 4).With(MemorySettingData.VirtualQuantity, 1024ul).With(MemorySettingData.DynamicMemoryEnabled, false),
            Templates.Settings(ProcessorSettingData.ClassName, $@"Microsoft:{name}\B637F346-6A0E-4DEC-AF52-BD70CB80A21D\0", ResourceNames.Processor, 3).With(ProcessorSettingData.VirtualQuantity, 1ul),
            new CimObject(SecuritySettingData.ClassName).With(SecuritySettingData.InstanceID, $@"Microsoft:{name}\52E1B6BC-2A64-4A56-95FD-0E55D9E1BC4D").With(SecuritySettingData.TpmEnabled, false).With(SecuritySettingData.ShieldingRequested, false),
            .. settings.Get(VirtualSystemSettingData.VirtualSystemSubType) == "Microsoft:Hyper-V:SubType:1"
                ? from port in new[] { "0", "1" } select Templates.Settings(SerialPortSettingData.ClassName, $@"Microsoft:{name}\8E3A359F-559A-4B6A-98A9-1690A6100ED7\{port}", ResourceNames.SerialPort, 21).With(SerialPortSettingData.Connection, [""])
                : [],
            .. settings.Get(VirtualSystemSettingData.VirtualSystemSubType) == "Microsoft:Hyper-V:SubType:1"
                ? from number in new[] { "0", "1" } select Templates.Settings(ResourceAllocationSettingData.ClassName, $@"Microsoft:{name}\83F8638B-8DCA-4152-9EDA-2CA8B33039B4\{number}", ResourceNames.Ide, 5).With(ResourceAllocationSettingData.Address, number)
                : [],
        ];
        return new(id, new(settings, resources, []));
    }

    private string Serial() => string.Join('-', Enumerable.Range(0, 7).Select(_ => _random.Next(10000).ToString("0000", System.Globalization.CultureInfo.InvariantCulture)));

    internal MethodReply DestroySystem(MethodCall call)
    {
        var machine = MachineOf(call.NeedPath("AffectedSystem"), planned: true);
        RequireFree(machine);
        if (!machine.IsPlanned) RequireState(machine, RunState.Off, RunState.Saved);
        return Begin(call, machine, "Removing the virtual machine", () =>
        {
            if (!machine.IsPlanned)
            {
                foreach (var checkpoint in machine.Checkpoints) Definitions.Remove(MachineFiles.DefinitionOf(machine, checkpoint));
                Definitions.Remove(MachineFiles.DefinitionOf(machine));
            }
            Machines.Remove(machine);
            return new([]);
        });
    }

    internal MethodReply ModifySystemSettings(MethodCall call)
    {
        var given = call.NeedSettings("SystemSettings");
        var (machine, configuration) = ConfigurationOf(given.Get(VirtualSystemSettingData.InstanceID));
        if (configuration != machine.Own && given.Properties.Keys.Any(k => k is not ("InstanceID" or "ElementName" or "Notes")) && !machine.IsPlanned) throw new Refusal(Refusal.InvalidState, "A checkpoint has only its name to change.");
        if (!machine.IsPlanned && machine.State != RunState.Off && given.Properties.Keys.Except(ChangesAlways).Any()) throw new Refusal(Refusal.InvalidState);
        return Short(call, machine, "Changing the settings", () =>
        {
            configuration.Settings = given.Properties.Where(p => p.Key != "InstanceID").Aggregate(configuration.Settings, (s, p) => s.With(p.Key, p.Value));
            Keep(machine, configuration);
            return ([PathOf(configuration.Settings)], []);
        });
    }

    private void Keep(Machine machine, Configuration configuration)
    {
        if (machine.IsPlanned) return;
        if (machine.Checkpoints.Find(c => c.Configuration == configuration) is { } checkpoint) Definitions.Keep(machine, checkpoint);
        else Definitions.Keep(machine);
    }

    internal MethodReply AddResourceSettings(MethodCall call)
    {
        var (machine, configuration) = ConfigurationOf(call.NeedPath("AffectedConfiguration")["InstanceID"]);
        var given = call.AllSettings("ResourceSettings");
        if (given.Count == 0) throw new Refusal(Refusal.InvalidParameter);
        RequireFree(machine);
        foreach (var settings in given) RequireAddable(machine, configuration, settings);
        return Short(call, machine, "Adding virtual hardware", () =>
        {
            var added = given.Select(g => PathOf(Add(machine, configuration, g))).ToArray();
            Keep(machine, configuration);
            return (added, [("ResultingResourceSettings", added)]);
        });
    }

    private void RequireAddable(Machine machine, Configuration configuration, CimObject settings)
    {
        var subType = settings.Get(ResourceAllocationSettingData.ResourceSubType);
        if (subType is null) throw new Refusal(Refusal.InvalidParameter, "ResourceSubType is missing.");
        var needsParent = subType is ResourceNames.HardDisk or ResourceNames.Dvd or ResourceNames.DiskDrive or ResourceNames.DvdDrive or ResourceNames.Connection;
        if (needsParent && ParentOf(configuration, settings) is null) throw new Refusal(Refusal.InvalidParameter, "Parent is missing, or names nothing of this machine.");
        if (subType is ResourceNames.HardDisk or ResourceNames.Dvd && settings.List(StorageAllocationSettingData.HostResource).Count == 0) throw new Refusal(Refusal.InvalidParameter, "HostResource is missing.");
        if (machine.State is RunState.Off || machine.IsPlanned) return;
        var hot = machine.State == RunState.Running && (subType is ResourceNames.HardDisk or ResourceNames.Dvd or ResourceNames.DiskDrive
            ? ParentOf(configuration, settings) is { } parent && !IsOnIde(configuration, parent)
            : subType is ResourceNames.Connection || (subType == ResourceNames.SyntheticNic && configuration.IsSecondGeneration));
        if (!hot) throw new Refusal(Refusal.InvalidState, $"{subType} cannot be added in state {machine.State}.");
    }

    private static bool IsOnIde(Configuration configuration, CimObject resource) => resource.Get(ResourceAllocationSettingData.ResourceSubType) == ResourceNames.Ide || (ParentOf(configuration, resource) is { } parent && IsOnIde(configuration, parent));

    internal static CimObject? ParentOf(Configuration configuration, CimObject resource) =>
        CimPath.TryParse(resource.Get(ResourceAllocationSettingData.Parent), out var parent) ? configuration.Resources.Find(r => parent["InstanceID"] == r.Get(ResourceAllocationSettingData.InstanceID)) : null;

    /// <summary>Adds a resource under the InstanceID that a host gives it.</summary>
    internal CimObject Add(Machine machine, Configuration configuration, CimObject given)
    {
        var parent = ParentOf(configuration, given);
        var parentId = parent?.Get(ResourceAllocationSettingData.InstanceID);
        var subType = given.Get(ResourceAllocationSettingData.ResourceSubType);
        var id = subType switch
        {
            ResourceNames.DiskDrive or ResourceNames.DvdDrive or ResourceNames.PhysicalDrive => $@"{parentId}\{Slot(configuration, given)}\D",
            ResourceNames.HardDisk or ResourceNames.Dvd => parentId![..^1] + "L",
            ResourceNames.Connection => $@"{parentId}\C",
            ResourceNames.EmulatedNic => $@"{configuration.Id}\{MachineFiles.Name(NewId())}\0",
            ResourceNames.SyntheticNic => $@"{configuration.Id}\{MachineFiles.Name(NewId())}",
            _ => $@"{configuration.Id}\{MachineFiles.Name(NewId())}\0",
        };
        if (configuration.Resources.Exists(r => id.Equals(r.Get(ResourceAllocationSettingData.InstanceID), StringComparison.OrdinalIgnoreCase))) throw new JobFailure(0x800700B7, $"There is something at '{id}' already");
        var added = given.With(ResourceAllocationSettingData.InstanceID, id);
        if (parent is not null) added = added.With(ResourceAllocationSettingData.Parent, PathOf(parent).ToString());
        if (subType is ResourceNames.DiskDrive or ResourceNames.DvdDrive) added = added.With(ResourceAllocationSettingData.AddressOnParent, Slot(configuration, given));
        if (subType is ResourceNames.SyntheticNic or ResourceNames.EmulatedNic && given.Get(SyntheticEthernetPortSettingData.Address) is not { Length: 12 }) added = added.With(SyntheticEthernetPortSettingData.Address, "000000000000");
        if (subType == ResourceNames.HardDisk) Attach(machine, added);
        configuration.Resources.Add(added);
        return added;
    }

    /// <summary>The address on its controller that a drive is given, or the first free one.</summary>
    private static string Slot(Configuration configuration, CimObject drive) => drive.Get(ResourceAllocationSettingData.AddressOnParent) is { Length: > 0 } given ? given
        : Enumerable.Range(0, 64).Select(i => i.ToString(System.Globalization.CultureInfo.InvariantCulture)).First(i => !configuration.Resources.Exists(r =>
            r.Get(ResourceAllocationSettingData.Parent) is { } parent && CimPath.TryParse(parent, out var p) && CimPath.TryParse(drive.Get(ResourceAllocationSettingData.Parent), out var d) && p.Equals(d) && r.Get(ResourceAllocationSettingData.AddressOnParent) == i));

    private void Attach(Machine machine, CimObject disk)
    {
        var file = Configuration.File(disk)!;
        if (!machine.IsPlanned) _ = Disks.Chain(file);
        GrantDisk(machine, file);
    }

    internal MethodReply ModifyResourceSettings(MethodCall call)
    {
        var given = call.AllSettings("ResourceSettings");
        if (given.Count == 0) throw new Refusal(Refusal.InvalidParameter);
        var found = given.Select(g => (Given: g, Found: ResourceOf(g.Get(ResourceAllocationSettingData.InstanceID)))).ToList();
        var machine = found[0].Found.Machine;
        foreach (var (settings, (owner, configuration, resource)) in found)
        {
            if (owner != machine || settings.ClassName != resource.ClassName) throw new Refusal(Refusal.InvalidParameter);
            if (configuration != owner.Own && !owner.IsPlanned) throw new Refusal(Refusal.InvalidState, "The resources of a checkpoint do not change.");
            if (!owner.IsPlanned && owner.State != RunState.Off && settings.ClassName != EthernetPortAllocationSettingData.ClassName) throw new Refusal(Refusal.InvalidState, $"{settings.ClassName} cannot be changed in state {owner.State}.");
            if (settings[StorageAllocationSettingData.HostResource.Name] is not null && settings.ClassName == StorageAllocationSettingData.ClassName && settings.List(StorageAllocationSettingData.HostResource).Count == 0) throw new Refusal(Refusal.InvalidParameter);
        }
        return Short(call, machine, "Changing virtual hardware", () =>
        {
            var changed = new List<CimPath>();
            foreach (var (settings, (owner, configuration, _)) in found)
            {
                var resource = ResourceOf(settings.Get(ResourceAllocationSettingData.InstanceID)).Resource;
                var now = settings.Properties.Where(p => p.Key != "InstanceID").Aggregate(resource, (r, p) => r.With(p.Key, p.Value));
                if (now.Get(ResourceAllocationSettingData.ResourceSubType) == ResourceNames.HardDisk) Attach(owner, now);
                configuration.Replace(resource, now);
                Keep(owner, configuration);
                changed.Add(PathOf(now));
            }
            return (changed, [("ResultingResourceSettings", changed.ToArray())]);
        });
    }

    private (Machine Machine, Configuration Configuration, CimObject Resource) ResourceOf(string? id) =>
        Machines.SelectMany(m => m.Configurations.SelectMany(c => c.Resources.Select(r => (m, c, r)))).FirstOrDefault(f => f.r.Get(ResourceAllocationSettingData.InstanceID)!.Equals(id, StringComparison.OrdinalIgnoreCase)) is { m: not null } found
            ? found : throw new Refusal(Refusal.InvalidParameter, $"There are no settings {id}.");

    internal MethodReply RemoveResourceSettings(MethodCall call)
    {
        var found = call.Paths("ResourceSettings").Select(p => ResourceOf(p["InstanceID"])).ToList();
        if (found.Count == 0 || found.Exists(f => f.Machine != found[0].Machine)) throw new Refusal(Refusal.InvalidParameter);
        var machine = found[0].Machine;
        if (machine.IsPlanned && found.Exists(f => f.Resource.ClassName == StorageAllocationSettingData.ClassName)) throw new Refusal(Refusal.InvalidState, "Disks of a planned machine cannot be removed.");
        if (!machine.IsPlanned && machine.State != RunState.Off && found.Exists(f => machine.State != RunState.Running || IsOnIde(f.Configuration, f.Resource))) throw new Refusal(Refusal.InvalidState);
        return Short(call, machine, "Removing virtual hardware", () =>
        {
            foreach (var (_, configuration, resource) in found)
            {
                var id = resource.Get(ResourceAllocationSettingData.InstanceID)!;
                configuration.Resources.RemoveAll(r => r == resource || (ParentOf(configuration, r)?.Get(ResourceAllocationSettingData.InstanceID) == id) || r.Get(ResourceAllocationSettingData.InstanceID)!.StartsWith(id + @"\", StringComparison.OrdinalIgnoreCase));
                Keep(machine, configuration);
            }
            return ([], []);
        });
    }

    internal MethodReply AddFeatureSettings(MethodCall call)
    {
        var (machine, configuration, connection) = ResourceOf(call.NeedPath("AffectedConfiguration")["InstanceID"]);
        var given = call.AllSettings("FeatureSettings", "Msvm_FeatureSettingData");
        if (given.Count == 0 || connection.ClassName != EthernetPortAllocationSettingData.ClassName) throw new Refusal(Refusal.InvalidParameter);
        foreach (var acl in given.Where(g => g.ClassName == EthernetSwitchPortExtendedAclSettingData.ClassName)) Network.RequireValid(acl);
        return Short(call, machine, "Adding features of a port", () =>
        {
            var added = given.Select(g => g.With(VirtualSystemSettingData.InstanceID, $@"{connection.Get(ResourceAllocationSettingData.InstanceID)}\CD168FF0-A16D-4514-B7B5-8BBBA791A928\{MachineFiles.Name(NewId())}")).ToList();
            configuration.Features.AddRange(added);
            Keep(machine, configuration);
            var paths = added.Select(PathOf).ToArray();
            return (paths, [("ResultingFeatureSettings", paths)]);
        });
    }

    internal MethodReply ModifyFeatureSettings(MethodCall call)
    {
        var found = call.AllSettings("FeatureSettings", "Msvm_FeatureSettingData").Select(g => (Given: g, Found: FeatureOf(g.Get(VirtualSystemSettingData.InstanceID)))).ToList();
        if (found.Count == 0) throw new Refusal(Refusal.InvalidParameter);
        return Short(call, found[0].Found.Machine, "Changing features of a port", () =>
        {
            foreach (var (given, (machine, configuration, feature)) in found)
            {
                configuration.Features[configuration.Features.IndexOf(feature)] = given.Properties.Aggregate(feature, (f, p) => f.With(p.Key, p.Value));
                Keep(machine, configuration);
            }
            var paths = found.Select(f => PathOf(f.Given)).ToArray();
            return (paths, [("ResultingFeatureSettings", paths)]);
        });
    }

    internal MethodReply RemoveFeatureSettings(MethodCall call)
    {
        var found = call.Paths("FeatureSettings").Select(p => FeatureOf(p["InstanceID"])).ToList();
        if (found.Count == 0) throw new Refusal(Refusal.InvalidParameter);
        return Short(call, found[0].Machine, "Removing features of a port", () =>
        {
            foreach (var (machine, configuration, feature) in found)
            {
                configuration.Features.Remove(feature);
                Keep(machine, configuration);
            }
            return ([], []);
        });
    }

    private (Machine Machine, Configuration Configuration, CimObject Feature) FeatureOf(string? id) =>
        Machines.SelectMany(m => m.Configurations.SelectMany(c => c.Features.Select(f => (m, c, f)))).FirstOrDefault(f => f.f.Get(VirtualSystemSettingData.InstanceID)!.Equals(id, StringComparison.OrdinalIgnoreCase)) is { m: not null } found
            ? found : throw new Refusal(Refusal.InvalidParameter, $"There are no settings {id}.");

    internal MethodReply ModifyDiskMergeSettings(MethodCall call)
    {
        var given = call.NeedSettings("SettingData");
        var machine = Machines.Find(m => !m.IsPlanned && m.Own.Id.Equals(given.Get(DiskMergeSettingData.InstanceID), StringComparison.OrdinalIgnoreCase)) ?? throw new Refusal(Refusal.InvalidParameter);
        if (given.Find(DiskMergeSettingData.EnabledState) is not (0 or 1)) throw new Refusal(Refusal.InvalidParameter);
        return Short(call, machine, "Changing disk merges", () =>
        {
            machine.MergesDisks = given.Find(DiskMergeSettingData.EnabledState) == 1;
            machine.MergeAt = Now + Options.JobTime;
            return ([], []);
        });
    }
}
