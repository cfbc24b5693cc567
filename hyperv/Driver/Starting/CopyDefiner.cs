using WeaveHypervisor.Drivers;
using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Cim.Wrappers;
using WeaveHypervisor.HyperV.Examining;
using WeaveHypervisor.HyperV.Machines;
using WeaveHypervisor.HyperV.States;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.HyperV.Starting;

/// <summary>
/// Makes a copy that boots, from the definition that was read of its original: processors, memory, firmware, controllers, disks and adapters with the rules of their ports. Other devices (DVD drives, serial ports, graphics) are Hyper-V's defaults.
/// Errors are <see cref="HostException"/>s and <see cref="CimException"/>s.
/// </summary>
internal sealed class CopyDefiner(DriverContext context, MachineEditor editor, StateKeeper firmware, PortRules ports)
{
    private static readonly TimeSpan Deadline = TimeSpan.FromMinutes(2);

    /// <summary>What a copy has of its original's system settings.</summary>
    private static readonly string[] Kept =
    [
        VirtualSystemSettingData.VirtualSystemSubType.Name, VirtualSystemSettingData.BIOSGUID.Name, VirtualSystemSettingData.BIOSSerialNumber.Name, VirtualSystemSettingData.BaseBoardSerialNumber.Name, VirtualSystemSettingData.ChassisSerialNumber.Name,
        VirtualSystemSettingData.ChassisAssetTag.Name, VirtualSystemSettingData.SecureBootEnabled.Name, VirtualSystemSettingData.SecureBootTemplateId.Name, VirtualSystemSettingData.BIOSNumLock.Name, VirtualSystemSettingData.BootOrder.Name,
        VirtualSystemSettingData.ConsoleMode.Name, VirtualSystemSettingData.LowMmioGapSize.Name, VirtualSystemSettingData.HighMmioGapSize.Name, VirtualSystemSettingData.GuestControlledCacheTypes.Name, VirtualSystemSettingData.VirtualNumaEnabled.Name,
    ];

    /// <summary>Of settings that every machine has: what says which they are is that of the new machine.</summary>
    private static readonly string[] OfIdentity = ["InstanceID", "Parent", "PoolID"];

    public async Task<HostMachine> DefineAsync(CopyMachine copy, InstantiateRequest request, IReadOnlyDictionary<NetworkName, CimPath> networks, CancellationToken stop)
    {
        var (settings, parts, rules) = MachineDefinition.Read(copy.Blueprint);
        await context.Files.CreateFolderAsync(context.Paths.PlaceCopy(copy.Machine.Uuid), stop);
        var system = CopySettings.System(new CimObject(VirtualSystemSettingData.ClassName, null, Kept.Select(k => new KeyValuePair<string, CimValue?>(k, settings[k]))), copy, request, context);
        await context.Jobs.RunAsync(await context.Services.SystemsAsync(stop), VirtualSystemManagementService.DefineSystem(systemSettings: system), Deadline, stop);
        var machine = await context.Machines.FindAsync(copy.Machine, stop) ?? throw new HostException(HostErrorKind.Failed, $"Hyper-V has defined '{copy.Machine.HypervisorName}', and shows no such machine");
        var own = await context.Machines.ReadAsync(machine.Settings, stop);
        await editor.ChangeAsync([.. from className in new[] { MemorySettingData.ClassName, ProcessorSettingData.ClassName }
            let wanted = parts.Find(className)
            let present = own.Find(className)
            where wanted is not null && present is not null
            select Without(wanted).With("InstanceID", present["InstanceID"])], stop);
        await AddDisksAsync(copy, machine, own, parts, stop);
        await AddAdaptersAsync(copy, machine, parts, rules, networks, stop);
        if (copy.States.FirstOrDefault(s => s.Kind == StateKind.Nvram) is { } state && await context.Files.FindAsync(state.Path, stop) is not null) await firmware.GiveAsync(machine, state.Path, stop);
        return machine;
    }

    private async Task AddDisksAsync(CopyMachine copy, HostMachine machine, MachineParts own, MachineParts parts, CancellationToken stop)
    {
        var controllers = new Dictionary<CimObject, CimPath>();
        foreach (var scsi in parts.All.Where(p => Sub(p) == HardwareKinds.Scsi)) controllers[scsi] = await editor.AddAsync(machine.Settings, Without(scsi), stop);
        foreach (var ide in parts.All.Where(p => Sub(p) == HardwareKinds.Ide))
            if (own.All.FirstOrDefault(p => Sub(p) == HardwareKinds.Ide && p.Get(ResourceAllocationSettingData.Address) == ide.Get(ResourceAllocationSettingData.Address)) is { } present) controllers[ide] = present.Reference;
        foreach (var head in copy.Heads)
        {
            var disk = parts.Disks.FirstOrDefault(d => d.Target == head.Target) ?? throw new WeaveException(Fault.Conflict, $"The definition of machine '{copy.Machine.Name}' has no disk {head.Target}.", "Take another snapshot.");
            if (parts.ParentOf(disk.Settings) is not { } drive || parts.ParentOf(drive) is not { } controller || !controllers.TryGetValue(controller, out var place))
                throw new WeaveException(Fault.DataLoss, $"The definition of machine '{copy.Machine.Name}' does not say where its disk {head.Target} is.", "Take another snapshot.");
            var added = await editor.AddAsync(machine.Settings, Without(drive).With(ResourceAllocationSettingData.ResourceSubType, HardwareKinds.DiskDrive).With(ResourceAllocationSettingData.Parent, place.ToString()), stop);
            await editor.AddAsync(machine.Settings, Without(disk.Settings).With(StorageAllocationSettingData.Parent, added.ToString()).With(StorageAllocationSettingData.HostResource, [head.Head.Path]), stop);
        }
    }

    private async Task AddAdaptersAsync(CopyMachine copy, HostMachine machine, MachineParts parts, IReadOnlyDictionary<string, IReadOnlyList<CimObject>> rules, IReadOnlyDictionary<NetworkName, CimPath> networks, CancellationToken stop)
    {
        foreach (var nic in parts.Nics)
        {
            var added = await editor.AddAsync(machine.Settings, Without(nic.Settings), stop);
            if (nic.Connection is null || copy.Blueprint.Nics.FirstOrDefault(n => n.Mac.Equals(nic.Mac, StringComparison.OrdinalIgnoreCase)) is not { } wanted) continue;
            var port = await editor.AddAsync(machine.Settings, Without(nic.Connection).With(EthernetPortAllocationSettingData.Parent, added.ToString())
                .With(EthernetPortAllocationSettingData.HostResource, [CopySettings.SwitchOf(wanted, copy, networks).ToString()]).With(EthernetPortAllocationSettingData.EnabledState, (ushort)2), stop);
            // Before its first start: there is no moment in which the copy runs without them.
            if (rules.TryGetValue(nic.Connection.Get(EthernetPortAllocationSettingData.InstanceID) ?? "", out var kept)) await ports.GiveAsync(port, [.. kept.Select(Without)], stop);
        }
    }

    private static string? Sub(CimObject part) => part.Get(ResourceAllocationSettingData.ResourceSubType);

    private static CimObject Without(CimObject part) => OfIdentity.Aggregate(new CimObject(part.ClassName, null, part.Properties.Select(p => new KeyValuePair<string, CimValue?>(p.Key, p.Value))), (p, name) => p.With(name, null));
}
