using System.Globalization;
using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Cim.Wrappers;
using WeaveHypervisor.HyperV.Owned;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.HyperV.Machines;

/// <summary>EnabledState of Msvm_ComputerSystem, as far as decisions depend on it.</summary>
internal static class MachineStates
{
    public const ushort Running = 2, Off = 3, Saved = 6, Paused = 9;
    private const ushort FirstCritical = 32784;

    /// <summary>The host itself has stopped the machine, because it cannot reach or write its storage.</summary>
    public static bool IsCritical(ushort state) => state >= FirstCritical;

    /// <summary>What the contract calls it. A saved machine is off: it has no process, and its memory is kept. What is on its way, or paused by the host itself, counts as what it was.</summary>
    public static RunState Of(ushort state) => state switch
    {
        Off or Saved => RunState.Off,
        Paused or 32776 or 32781 or >= FirstCritical => RunState.Paused, // pausing; resuming; critical states
        _ => RunState.Running,
    };
}

/// <summary>A disk file of a machine, and where it is attached.</summary>
/// <param name="Target">Our name of the place: <c>scsi0-3</c> is slot 3 of the first SCSI controller, <c>ide0-1</c> the second disk of the first IDE controller.</param>
/// <param name="File">What the machine reads and writes now.</param>
/// <param name="Settings">Its Msvm_StorageAllocationSettingData.</param>
internal sealed record MachineDisk(string Target, string File, CimObject Settings);

/// <summary>A network adapter of a machine.</summary>
/// <param name="Mac">As <c>00:15:5d:01:00:07</c>.</param>
/// <param name="Settings">Its Msvm_SyntheticEthernetPortSettingData or Msvm_EmulatedEthernetPortSettingData.</param>
/// <param name="Connection">Its Msvm_EthernetPortAllocationSettingData; null where it never had one.</param>
/// <param name="Switch">The switch that it is connected to; null where it is to none.</param>
internal sealed record MachineNic(string Mac, bool IsStatic, CimObject Settings, CimObject? Connection, CimPath? Switch);

/// <summary>A machine of the host, or one that is being imported, as it was when it was read.</summary>
/// <param name="Id">Hyper-V's id of it. For copies of ours, <see cref="Uuid"/> is what the rest of the product knows.</param>
/// <param name="System">Its Msvm_ComputerSystem or Msvm_PlannedComputerSystem.</param>
/// <param name="Settings">Its Msvm_VirtualSystemSettingData.</param>
/// <param name="State">EnabledState.</param>
internal sealed record HostMachine(Guid Id, CimPath System, CimObject Settings, ushort State, bool IsPlanned)
{
    public string Name => Settings.Get(VirtualSystemSettingData.ElementName) ?? "";
    public OwnedMark? Mark { get; } = OwnedMark.Of(Settings);
    /// <summary>A copy of ours that is saved is one that is to be paused: it has its memory, and not one instruction of it has run.</summary>
    public RunState RunState => State == MachineStates.Saved && Mark is { Kind: MarkKind.Copy } ? RunState.Paused : MachineStates.Of(State);
    public bool IsSecondGeneration => Settings.Get(VirtualSystemSettingData.VirtualSystemSubType) == HardwareKinds.SecondGeneration;

    /// <summary>What the rest of the product calls it by: of a copy the UUID that was chosen for it, of any other machine Hyper-V's own id.</summary>
    public Guid Uuid => Mark is { Kind: MarkKind.Copy } mark && Guid.TryParse(mark.Key, out var uuid) ? uuid : Id;
}

/// <summary>All settings of a machine or of a checkpoint.</summary>
internal sealed class MachineParts
{
    public MachineParts(IReadOnlyList<CimObject> all)
    {
        All = all;
        Disks = [.. All.Where(IsDisk).Select(d => new MachineDisk(Place(d), d.List(StorageAllocationSettingData.HostResource).FirstOrDefault() ?? "", d)).OrderBy(d => d.Target, StringComparer.Ordinal)];
        Nics = [.. All.Where(r => r.ClassName is SyntheticEthernetPortSettingData.ClassName or EmulatedEthernetPortSettingData.ClassName).Select(Nic)];
    }

    /// <summary>Every setting, in the order in which the host told them.</summary>
    public IReadOnlyList<CimObject> All { get; }
    /// <summary>Disk files, by target.</summary>
    public IReadOnlyList<MachineDisk> Disks { get; }
    public IReadOnlyList<MachineNic> Nics { get; }

    /// <summary>Its memory; 0 where the settings do not say.</summary>
    public long MemoryBytes => (long)(Find(MemorySettingData.ClassName)?.Find(MemorySettingData.VirtualQuantity) ?? 0) << 20;

    public CimObject? Find(string className) => All.FirstOrDefault(r => r.ClassName == className);

    /// <summary>What the Parent of a setting names; null where that is nothing of this machine.</summary>
    public CimObject? ParentOf(CimObject setting) =>
        CimPath.TryParse(setting.Get(ResourceAllocationSettingData.Parent), out var parent) ? All.FirstOrDefault(r => parent["InstanceID"] is { } id && id.Equals(r.Get(ResourceAllocationSettingData.InstanceID), StringComparison.OrdinalIgnoreCase)) : null;

    public static bool IsDisk(CimObject setting) => setting.ClassName == StorageAllocationSettingData.ClassName && setting.Get(StorageAllocationSettingData.ResourceSubType) == HardwareKinds.HardDisk;

    private string Place(CimObject disk)
    {
        var drive = ParentOf(disk);
        var controller = drive is null ? null : ParentOf(drive);
        var slot = drive?.Get(ResourceAllocationSettingData.AddressOnParent) ?? "0";
        return controller?.Get(ResourceAllocationSettingData.ResourceSubType) switch
        {
            HardwareKinds.Ide => $"ide{controller.Get(ResourceAllocationSettingData.Address) ?? "0"}-{slot}",
            HardwareKinds.Scsi => string.Create(CultureInfo.InvariantCulture, $"scsi{All.Where(r => r.Get(ResourceAllocationSettingData.ResourceSubType) == HardwareKinds.Scsi).ToList().IndexOf(controller)}-{slot}"),
            _ => $"disk-{slot}",
        };
    }

    private MachineNic Nic(CimObject nic)
    {
        var connection = All.FirstOrDefault(r => r.ClassName == EthernetPortAllocationSettingData.ClassName && ParentOf(r) == nic);
        var connected = connection is not null && connection.Find(EthernetPortAllocationSettingData.EnabledState) != 3;
        var place = connected && CimPath.TryParse(connection!.List(EthernetPortAllocationSettingData.HostResource).FirstOrDefault(), out var path) ? path : null;
        var address = nic.Get(SyntheticEthernetPortSettingData.Address) ?? "";
        var mac = address.Length == 12 ? string.Join(':', address.Chunk(2).Select(c => new string(c))).ToLowerInvariant() : address;
        return new(mac, nic.Find(SyntheticEthernetPortSettingData.StaticMacAddress) is true, nic, connection, place);
    }
}
