using WeaveHypervisor.Drivers;
using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Cim.Wrappers;
using WeaveHypervisor.HyperV.Machines;
using WeaveHypervisor.HyperV.Owned;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.HyperV.Starting;

/// <summary>Settings that copies have and their originals have not. Pure.</summary>
internal static class CopySettings
{
    /// <summary>AutomaticStartupAction, AutomaticShutdownAction, EnabledState of a connection.</summary>
    private const ushort StaysOff = 2, TurnsOff = 2, Connected = 2;

    /// <summary>
    /// System settings of a copy: its name, our mark, a folder of its own, and nothing that Hyper-V would do by itself: no start with the host, no checkpoints of its own.
    /// </summary>
    public static CimObject System(CimObject settings, CopyMachine copy, InstantiateRequest request, DriverContext context) =>
        MachineEditor.In(context.Paths.PlaceCopy(copy.Machine.Uuid), settings).With(VirtualSystemSettingData.ElementName, copy.Machine.HypervisorName)
            .With(VirtualSystemSettingData.Notes, new OwnedMark(context.Options.Prefix, MarkKind.Copy, copy.Machine.Uuid.ToString("D"), $"{request.Environment}/{request.Tag}/{request.Weave}/{copy.Machine.Name}").ToNotes())
            .With(VirtualSystemSettingData.AutomaticStartupAction, StaysOff).With(VirtualSystemSettingData.AutomaticShutdownAction, TurnsOff).With(VirtualSystemSettingData.AutomaticSnapshotsEnabled, false);

    /// <summary>Points each disk of a copy to its layer. Conflict where the machine has not the disks that the layers are for.</summary>
    public static IReadOnlyList<CimObject> Disks(MachineParts parts, CopyMachine copy) =>
        [.. copy.Heads.Select(head => parts.Disks.FirstOrDefault(d => d.Target == head.Target) is { } disk
            ? MachineEditor.Of(disk.Settings).With(StorageAllocationSettingData.HostResource, [head.Head.Path])
            : throw new WeaveException(Fault.Conflict, $"Machine '{copy.Machine.Name}' has no disk {head.Target} at that instant.", "Take another snapshot."))];

    /// <summary>
    /// Connects each adapter to its network of the fence; one that is on no network of the environment is disconnected. MACs are left as they are: the device state in memory has them.
    /// </summary>
    public static IReadOnlyList<CimObject> Connections(MachineParts parts, CopyMachine copy, IReadOnlyDictionary<NetworkName, CimPath> networks)
    {
        var changes = new List<CimObject>();
        foreach (var nic in parts.Nics.Where(n => n.Connection is not null))
        {
            var change = MachineEditor.Of(nic.Connection!);
            changes.Add(copy.Blueprint.Nics.FirstOrDefault(n => n.Mac.Equals(nic.Mac, StringComparison.OrdinalIgnoreCase)) is { } wanted
                ? change.With(EthernetPortAllocationSettingData.HostResource, [SwitchOf(wanted, copy, networks).ToString()]).With(EthernetPortAllocationSettingData.EnabledState, Connected)
                : change.With(EthernetPortAllocationSettingData.EnabledState, (ushort)3));
        }
        return changes;
    }

    /// <summary>Takes the serial ports of a copy from their named pipes, which are its original's: a pipe has one owner.</summary>
    public static IReadOnlyList<CimObject> Ports(MachineParts parts) =>
        [.. parts.All.Where(p => p.ClassName == SerialPortSettingData.ClassName && p.List(SerialPortSettingData.Connection).Any(c => c.Length > 0)).Select(p => MachineEditor.Of(p).With(SerialPortSettingData.Connection, [""]))];

    public static CimPath SwitchOf(NicBlueprint nic, CopyMachine copy, IReadOnlyDictionary<NetworkName, CimPath> networks) => networks.TryGetValue(nic.Network, out var path) ? path
        : throw new WeaveException(Fault.Conflict, $"The fence of machine '{copy.Machine.Name}' has no network '{nic.Network}'.", "Repair the weave: `weave repair`.");
}
