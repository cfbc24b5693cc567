using System.Runtime.CompilerServices;
using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Cim.Wrappers;
using WeaveHypervisor.HyperV.Simulator.Machines;

namespace WeaveHypervisor.HyperV.Simulator.Cim;

/// <summary>An association between two objects.</summary>
internal sealed record Link(string Class, string LeftRole, CimPath Left, string RightRole, CimPath Right);

/// <summary>Everything that a host shows of itself, made anew from its state for each look. What the host's build does not have is left out.</summary>
internal sealed class Catalogue(SimulatedHost host)
{
    /// <summary>Objects as they are shown, of such as never change.</summary>
    private readonly ConditionalWeakTable<CimObject, CimObject> _shown = [];
    private IReadOnlyList<CimObject>? _fixed;
    private IReadOnlyList<Link>? _fixedLinks;

    /// <summary>The objects of those classes whose names are wanted.</summary>
    public IEnumerable<CimObject> Objects(Func<string, bool> wants)
    {
        _fixed ??= [.. Services().Concat(Host()).Concat(Templates.Objects()).Select(Identify)];
        return _fixed.Where(o => wants(o.ClassName))
            .Concat(host.Machines.SelectMany(m => Objects(m, wants)).Select(o => _shown.TryGetValue(o, out var shown) ? shown : Identify(o)))
            .Concat(host.Jobs.Jobs.Where(j => wants(j.ClassName)).Select(host.Jobs.Describe).Concat(host.Network.Objects().Concat(host.ReferencePoints()).Where(o => wants(o.ClassName))).Select(Identify))
            .Concat(host.Network.StandardObjects().Where(o => wants(o.ClassName)));
    }

    /// <summary>Settings are replaced where something of them changes: they are shown alike as long as they are there.</summary>
    private CimObject Keep(CimObject settings)
    {
        if (!_shown.TryGetValue(settings, out _)) _shown.Add(settings, Identify(settings));
        return settings;
    }

    public IEnumerable<Link> Links()
    {
        foreach (var job in host.Jobs.Jobs)
            foreach (var affected in job.Affected)
                yield return new(job.ClassName == StorageJob.ClassName ? AffectedStorageJobElement.ClassName : AffectedJobElement.ClassName, "AffectingElement", host.PathOf(job), "AffectedElement", affected);
        foreach (var link in host.Machines.SelectMany(Links).Concat(_fixedLinks ??= [.. Templates.Links(host)]).Concat(host.Network.Links()).Concat(host.ReferencePointLinks())) yield return link;
    }

    /// <summary>Gives an object its path, and takes from it what this build of Windows does not know.</summary>
    private CimObject Identify(CimObject o)
    {
        var type = host.Schema.Find(o.ClassName)!;
        var path = new CimPath(host.Options.Name, type.Namespace, type.Name, type.Keys.Select(k => new KeyValuePair<string, CimValue>(k, o[k] ?? throw new InvalidOperationException($"{type.Name} has no {k}."))));
        return new(type.Name, path, o.Properties.Where(p => type.Properties.ContainsKey(p.Key)).Select(p => new KeyValuePair<string, CimValue?>(p.Key, p.Value)));
    }

    private IEnumerable<CimObject> Host()
    {
        yield return new CimObject(Win32OperatingSystem.ClassName).With(Win32OperatingSystem.Name, @"Microsoft Windows Server Datacenter|C:\Windows|\Device\Harddisk0\Partition3").With(Win32OperatingSystem.Caption, "Microsoft Windows Server Datacenter")
            .With(Win32OperatingSystem.BuildNumber, host.Options.Build).With(Win32OperatingSystem.Version, "10.0." + host.Options.Build);
        yield return new CimObject(ComputerSystem.ClassName).With(ComputerSystem.CreationClassName, ComputerSystem.ClassName).With(ComputerSystem.Name, host.Options.Name)
            .With(ComputerSystem.ElementName, host.Options.Name).With(ComputerSystem.EnabledState, (ushort)2).With("Caption", CimValue.Of("Hosting Computer System"));
        yield return new CimObject(VirtualSystemManagementServiceSettingData.ClassName).With(VirtualSystemManagementServiceSettingData.InstanceID, "Microsoft:VMMS")
            .With(VirtualSystemManagementServiceSettingData.DefaultExternalDataRoot, host.DataRoot).With(VirtualSystemManagementServiceSettingData.DefaultVirtualHardDiskPath, host.DiskFolder)
            .With(VirtualSystemManagementServiceSettingData.MinimumMacAddress, "00155D010000").With(VirtualSystemManagementServiceSettingData.MaximumMacAddress, "00155D0100FF");
    }

    private IEnumerable<CimObject> Services() =>
        from service in new[] { (VirtualSystemManagementService.ClassName, "vmms"), (VirtualSystemSnapshotService.ClassName, "vssnapsvc"), (ImageManagementService.ClassName, "vhdsvc"), (VirtualEthernetSwitchManagementService.ClassName, "nvspsvc"), (VirtualSystemReferencePointService.ClassName, "vsrefsvc") }
        select new CimObject(service.ClassName).With(VirtualSystemManagementService.CreationClassName, service.ClassName).With(VirtualSystemManagementService.Name, service.Item2)
            .With("SystemCreationClassName", CimValue.Of(ComputerSystem.ClassName)).With(VirtualSystemManagementService.SystemName, host.Options.Name);

    private IEnumerable<CimObject> Objects(Machine machine, Func<string, bool> wants)
    {
        var className = machine.IsPlanned ? PlannedComputerSystem.ClassName : ComputerSystem.ClassName;
        var name = MachineFiles.Name(machine.Id);
        if (wants(className))
            yield return new CimObject(className).With(ComputerSystem.CreationClassName, className).With(ComputerSystem.Name, name).With(ComputerSystem.ElementName, machine.Name)
                .With("Caption", CimValue.Of("Virtual Machine")).With(ComputerSystem.EnabledState, machine.State).With("HealthState", CimValue.Of((ushort)5))
                .With(ComputerSystem.OperationalStatus, machine.Orphans.Count > 0 && machine.MergesDisks ? [2, 32772] : new ushort[] { 2 })
                .With(ComputerSystem.OnTimeInMilliseconds, machine.Guest is { RunsSince: { } since } ? (ulong)(host.Now - since).TotalMilliseconds : 0);
        foreach (var configuration in machine.Configurations)
            foreach (var settings in configuration.Resources.Concat(configuration.Features).Prepend(configuration.Settings))
                if (wants(settings.ClassName)) yield return Keep(settings);
        if (machine.IsPlanned) yield break;
        if (wants(VirtualSystemExportSettingData.ClassName))
            yield return new CimObject(VirtualSystemExportSettingData.ClassName).With(VirtualSystemExportSettingData.InstanceID, $@"{machine.Own.Id}\Export")
                .With(VirtualSystemExportSettingData.CopySnapshotConfiguration, (byte)0).With(VirtualSystemExportSettingData.CopyVmRuntimeInformation, true).With(VirtualSystemExportSettingData.CopyVmStorage, true)
                .With(VirtualSystemExportSettingData.CreateVmExportSubdirectory, true).With(VirtualSystemExportSettingData.CaptureLiveState, (byte)1);
        if (wants(DiskMergeSettingData.ClassName)) yield return new CimObject(DiskMergeSettingData.ClassName).With(DiskMergeSettingData.InstanceID, machine.Own.Id).With(DiskMergeSettingData.EnabledState, machine.MergesDisks ? 1u : 0u);
        foreach (var nic in machine.State == RunState.Running && wants(GuestNetworkAdapterConfiguration.ClassName) ? machine.Own.Nics : [])
            if (host.GuestAddresses.TryGetValue(nic.Get(SyntheticEthernetPortSettingData.Address)!, out var given))
                yield return new CimObject(GuestNetworkAdapterConfiguration.ClassName).With(GuestNetworkAdapterConfiguration.InstanceID, $@"Microsoft:GuestNetwork\{name}\{machine.Own.Slot(nic).Split('\\')[0]}")
                    .With(GuestNetworkAdapterConfiguration.IPAddresses, [given.Address, "fe80::1"]).With(GuestNetworkAdapterConfiguration.Subnets, [given.Mask, "64"])
                    .With(GuestNetworkAdapterConfiguration.DefaultGateways, given.Gateway is null ? [] : new[] { given.Gateway }).With(GuestNetworkAdapterConfiguration.DHCPEnabled, true);
        foreach (var (component, device) in new[] { (HeartbeatComponent.ClassName, "84EAAE65-2F2E-45F5-9BB5-0E857DC8EB47"), (ShutdownComponent.ClassName, "9F8233AC-BE49-4C79-8EE3-E7E1985B2077"), (KvpExchangeComponent.ClassName, "2A34B1C2-FD73-4043-8A5B-DD2159BC743F") })
        {
            // Components other than the settings of the machine are there while it runs.
            if (machine.State != RunState.Running || !machine.HasHeartbeat || !wants(component)) continue;
            yield return new CimObject(component).With("CreationClassName", CimValue.Of(component)).With("DeviceID", CimValue.Of($@"Microsoft:{device}\{name}")).With("SystemCreationClassName", CimValue.Of(ComputerSystem.ClassName))
                .With("SystemName", CimValue.Of(name)).With("OperationalStatus", CimValue.Of(new ushort[] { 2, 2 })).With("EnabledState", CimValue.Of((ushort)2));
        }
    }

    private IEnumerable<Link> Links(Machine machine)
    {
        var system = host.PathOf(machine);
        foreach (var configuration in machine.Configurations)
        {
            var settings = host.PathOf(configuration.Settings);
            if (configuration == machine.Own) yield return new(SettingsDefineState.ClassName, "ManagedElement", system, "SettingData", settings);
            if (machine.IsPlanned) yield return new(ElementSettingData.ClassName, "ManagedElement", system, "SettingData", settings);
            foreach (var resource in configuration.Resources) yield return new(VirtualSystemSettingDataComponent.ClassName, "GroupComponent", settings, "PartComponent", host.PathOf(resource));
            foreach (var feature in configuration.Features)
                if (configuration.Resources.Find(r => feature.Get(StorageAllocationSettingData.InstanceID)!.StartsWith(r.Get(StorageAllocationSettingData.InstanceID)! + @"\", StringComparison.OrdinalIgnoreCase) && r.ClassName == EthernetPortAllocationSettingData.ClassName) is { } connection)
                    yield return new(EthernetPortSettingDataComponent.ClassName, "GroupComponent", host.PathOf(connection), "PartComponent", host.PathOf(feature));
        }
        if (machine.IsPlanned) yield break;
        foreach (var checkpoint in machine.Checkpoints)
        {
            var settings = host.PathOf(checkpoint.Configuration.Settings);
            yield return new(SnapshotOfVirtualSystem.ClassName, "Antecedent", system, "Dependent", settings);
            if (checkpoint.Id == machine.Current)
            {
                yield return new(MostCurrentSnapshotInBranch.ClassName, "Antecedent", system, "Dependent", settings);
                yield return new(LastAppliedSnapshot.ClassName, "Antecedent", settings, "Dependent", system);
            }
        }
        yield return new(SystemExportSettingData.ClassName, "ManagedElement", system, "SettingData", host.PathOf(VirtualSystemExportSettingData.ClassName, HostNamespaces.Virtualization, ("InstanceID", $@"{machine.Own.Id}\Export")));
        yield return new(ElementSettingData.ClassName, "ManagedElement", system, "SettingData", host.PathOf(DiskMergeSettingData.ClassName, HostNamespaces.Virtualization, ("InstanceID", machine.Own.Id)));
    }
}
