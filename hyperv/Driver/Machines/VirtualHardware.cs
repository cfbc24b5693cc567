using System.Globalization;
using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Cim.Wrappers;
using WeaveHypervisor.HyperV.Layers;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.HyperV.Machines;

/// <summary>
/// Adds, changes and takes away virtual hardware of a machine. Every step looks at what is there and does one thing; where its outcome is not told, the next look tells it. Made again, each call ends as if made once.
/// Errors are <see cref="HostException"/>s and <see cref="WeaveException"/>s.
/// </summary>
internal sealed class VirtualHardware(DriverContext context)
{
    /// <summary>Hyper-V's own limits.</summary>
    private const int MostControllers = 4, MostSlots = 64;
    private readonly DiskFiles _disks = new(context);

    /// <summary>The controller and slot of a target as <see cref="MachineDisk.Target"/> has it; null for any other text.</summary>
    public static (bool IsIde, int Controller, int Slot)? Place(string target)
    {
        var ide = target.StartsWith("ide", StringComparison.Ordinal);
        if (!ide && !target.StartsWith("scsi", StringComparison.Ordinal)) return null;
        return target[(ide ? 3 : 4)..].Split('-') is [var c, var s] && int.TryParse(c, NumberStyles.None, CultureInfo.InvariantCulture, out var controller) && int.TryParse(s, NumberStyles.None, CultureInfo.InvariantCulture, out var slot)
            && controller < (ide ? 2 : MostControllers) && slot < (ide ? 2 : MostSlots) ? (ide, controller, slot) : null;
    }

    /// <summary>
    /// A file at a target. There already: kept. Conflict where another file is there (two names of one file are one). Machines that run take disks on SCSI alone, and no new controllers: Conflict.
    /// </summary>
    public Task PutDiskAsync(HostMachine machine, string target, string file, CancellationToken stop) => context.UntilAsync($"Attaching '{target}' to '{machine.Name}'", async () =>
    {
        var (isIde, controllerIndex, slot) = Place(target) ?? throw new WeaveException(Fault.InvalidRequest, $"{Ids.Quote(target)} is no place for a disk of '{machine.Name}'.", "Name controller and slot, such as 'scsi0-1' or 'ide0-1'.");
        var parts = await context.Machines.ReadAsync(machine.Settings, stop);
        if (parts.Disks.FirstOrDefault(d => d.Target == target) is { } there)
            return await _disks.IsSameAsync(there.File, file, stop) ? true : throw new WeaveException(Fault.Conflict, $"Machine '{machine.Name}' has another disk at '{target}'.", "Choose another target.");
        if (isIde && machine.State != MachineStates.Off) throw new WeaveException(Fault.Conflict, $"Machine '{machine.Name}' takes a disk at '{target}' only while it is off: it is no SCSI disk.", "Shut it down, or attach it as a SCSI disk, such as 'scsi0-1'.");
        var controllers = parts.All.Where(r => r.Get(ResourceAllocationSettingData.ResourceSubType) == (isIde ? HardwareKinds.Ide : HardwareKinds.Scsi)).ToList();
        var controller = isIde ? controllers.Find(c => c.Get(ResourceAllocationSettingData.Address) == controllerIndex.ToString(CultureInfo.InvariantCulture)) : controllers.ElementAtOrDefault(controllerIndex);
        if (controller is null)
        {
            if (isIde) throw new WeaveException(Fault.Unsupported, $"Machine '{machine.Name}' has no IDE controllers: it is of the second generation.", "Attach it as a SCSI disk, such as 'scsi0-1'.");
            if (machine.State != MachineStates.Off) throw new WeaveException(Fault.Conflict, $"Machine '{machine.Name}' has no SCSI controller {controllerIndex} and gets none while it runs.", "Shut it down, or use a controller that it has.");
            await AddAsync(machine, (await TemplateAsync(ResourceAllocationSettingData.ClassName, HardwareKinds.Scsi, stop)).With(ResourceAllocationSettingData.VirtualSystemIdentifiers, ["{" + Guid.NewGuid().ToString("D").ToUpperInvariant() + "}"]), stop);
            return false;
        }
        var drive = parts.All.FirstOrDefault(r => r.Get(ResourceAllocationSettingData.ResourceSubType) == HardwareKinds.DiskDrive && parts.ParentOf(r) == controller && r.Get(ResourceAllocationSettingData.AddressOnParent) == slot.ToString(CultureInfo.InvariantCulture));
        if (drive is null)
        {
            if (parts.All.Any(r => r.ClassName == ResourceAllocationSettingData.ClassName && parts.ParentOf(r) == controller && r.Get(ResourceAllocationSettingData.AddressOnParent) == slot.ToString(CultureInfo.InvariantCulture)))
                throw new WeaveException(Fault.Conflict, $"Machine '{machine.Name}' has another device at '{target}'.", "Choose another target.");
            await AddAsync(machine, (await TemplateAsync(ResourceAllocationSettingData.ClassName, HardwareKinds.DiskDrive, stop)).With(ResourceAllocationSettingData.Parent, controller.Reference.ToString()).With(ResourceAllocationSettingData.AddressOnParent, slot.ToString(CultureInfo.InvariantCulture)), stop);
        }
        else await AddAsync(machine, (await TemplateAsync(StorageAllocationSettingData.ClassName, HardwareKinds.HardDisk, stop)).With(StorageAllocationSettingData.Parent, drive.Reference.ToString()).With(StorageAllocationSettingData.HostResource, [file]), stop);
        return false;
    }, stop);

    /// <summary>Takes away the disk at a target and its drive; not there: success. The file stays.</summary>
    public Task TakeDiskAsync(HostMachine machine, string target, CancellationToken stop) => context.UntilAsync($"Detaching '{target}' from '{machine.Name}'", async () =>
    {
        var parts = await context.Machines.ReadAsync(machine.Settings, stop);
        if (parts.Disks.FirstOrDefault(d => d.Target == target) is { } disk)
        {
            if (disk.Target.StartsWith("ide", StringComparison.Ordinal) && machine.State != MachineStates.Off) throw new WeaveException(Fault.Conflict, $"Machine '{machine.Name}' gives '{target}' away only while it is off: it is no SCSI disk.", "Shut it down first.");
            await RemoveAsync(disk.Settings, stop);
            return false;
        }
        // A drive without a disk is what a call that died has left.
        if (Place(target) is not var (isIde, index, slot)) return true;
        var empty = parts.All.FirstOrDefault(r => r.Get(ResourceAllocationSettingData.ResourceSubType) == HardwareKinds.DiskDrive && r.Get(ResourceAllocationSettingData.AddressOnParent) == slot.ToString(CultureInfo.InvariantCulture)
            && parts.ParentOf(r) is { } controller && controller.Get(ResourceAllocationSettingData.ResourceSubType) == (isIde ? HardwareKinds.Ide : HardwareKinds.Scsi)
            && (isIde ? controller.Get(ResourceAllocationSettingData.Address) == index.ToString(CultureInfo.InvariantCulture) : parts.All.Where(c => c.Get(ResourceAllocationSettingData.ResourceSubType) == HardwareKinds.Scsi).ToList().IndexOf(controller) == index)
            && !parts.All.Any(c => c.ClassName == StorageAllocationSettingData.ClassName && parts.ParentOf(c) == r));
        if (empty is null) return true;
        await RemoveAsync(empty, stop);
        return false;
    }, stop);

    /// <summary>An adapter with a static address on a switch. There already: connected to that switch.</summary>
    /// <param name="mac">As <c>00:15:5d:01:00:07</c>.</param>
    public Task PutNicAsync(HostMachine machine, string mac, string name, CimPath place, CancellationToken stop) => context.UntilAsync($"Giving '{machine.Name}' an adapter", async () =>
    {
        var nic = (await context.Machines.ReadAsync(machine.Settings, stop)).Nics.FirstOrDefault(n => n.Mac == mac.ToLowerInvariant());
        if (nic is null)
            await AddAsync(machine, (await TemplateAsync(SyntheticEthernetPortSettingData.ClassName, HardwareKinds.Adapter, stop))
                .With(SyntheticEthernetPortSettingData.VirtualSystemIdentifiers, ["{" + Guid.NewGuid().ToString("D").ToUpperInvariant() + "}"]).With(SyntheticEthernetPortSettingData.ElementName, name)
                .With(SyntheticEthernetPortSettingData.Address, mac.Replace(":", "", StringComparison.Ordinal).ToUpperInvariant()).With(SyntheticEthernetPortSettingData.StaticMacAddress, true), stop);
        else if (nic.Connection is null)
            await AddAsync(machine, (await TemplateAsync(EthernetPortAllocationSettingData.ClassName, HardwareKinds.Connection, stop)).With(EthernetPortAllocationSettingData.Parent, nic.Settings.Reference.ToString())
                .With(EthernetPortAllocationSettingData.HostResource, [place.ToString()]).With(EthernetPortAllocationSettingData.EnabledState, (ushort)2), stop);
        else if (nic.Switch is null || !nic.Switch.Equals(place)) await ConnectAsync(nic, place, stop);
        else return true;
        return false;
    }, stop);

    /// <summary>Connects an adapter that has a connection to another switch: at once, also while the machine runs.</summary>
    public Task ConnectAsync(MachineNic nic, CimPath place, CancellationToken stop) => ModifyAsync(new CimObject(EthernetPortAllocationSettingData.ClassName)
        .With(EthernetPortAllocationSettingData.InstanceID, nic.Connection!.Get(EthernetPortAllocationSettingData.InstanceID)).With(EthernetPortAllocationSettingData.HostResource, [place.ToString()]).With(EthernetPortAllocationSettingData.EnabledState, (ushort)2), stop);

    /// <summary>Makes a disk of a machine that is off, or is being imported, use another file.</summary>
    public Task PointAsync(MachineDisk disk, string file, CancellationToken stop) => ModifyAsync(new CimObject(StorageAllocationSettingData.ClassName)
        .With(StorageAllocationSettingData.InstanceID, disk.Settings.Get(StorageAllocationSettingData.InstanceID)).With(StorageAllocationSettingData.HostResource, [file]), stop);

    /// <summary>Sends settings of resources: their InstanceID and what is to be otherwise.</summary>
    public async Task ModifyAsync(CimObject settings, CancellationToken stop) =>
        await context.Jobs.RunAsync(await context.Services.SystemsAsync(stop), VirtualSystemManagementService.ModifyResourceSettings([settings]), context.Options.StatePatience, stop);

    private async Task<CimObject> TemplateAsync(string className, string kind, CancellationToken stop)
    {
        var found = await HyperVFaults.AskAsync(() => HardwareKinds.TemplateAsync(context.Client, className, kind, stop), $"Looking for the template of {kind}")
            ?? throw new WeaveException(Fault.Unavailable, $"The host has no template of {kind}.", "Look at the service vmms.");
        return new CimObject(className, null, found.Properties.Select(p => new KeyValuePair<string, CimValue?>(p.Key, p.Value)));
    }

    private async Task AddAsync(HostMachine machine, CimObject settings, CancellationToken stop) =>
        await context.Jobs.RunAsync(await context.Services.SystemsAsync(stop), VirtualSystemManagementService.AddResourceSettings(machine.Settings.Reference, [settings]), context.Options.StatePatience, stop);

    private async Task RemoveAsync(CimObject settings, CancellationToken stop) =>
        await context.Jobs.RunAsync(await context.Services.SystemsAsync(stop), VirtualSystemManagementService.RemoveResourceSettings([settings.Reference]), context.Options.StatePatience, stop);
}
