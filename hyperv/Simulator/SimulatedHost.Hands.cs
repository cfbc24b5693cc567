using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Cim.Wrappers;
using WeaveHypervisor.HyperV.Simulator.Cim;
using WeaveHypervisor.HyperV.Simulator.Machines;

namespace WeaveHypervisor.HyperV.Simulator;

/// <summary>What runs in a machine of a simulated host.</summary>
/// <param name="Boot">Another one after each boot, the same one after a restore from memory.</param>
/// <param name="Count">Seconds that the guest has run since its boot; a restored one counts on.</param>
/// <param name="IsCorrupt">It was resumed on disks that do not fit its memory.</param>
public sealed record SimulatedGuest(Guid Boot, long Count, bool IsCorrupt);

/// <summary>What a user and the guests do on a host, past its CIM server.</summary>
public sealed partial class SimulatedHost
{
    private long _named;

    /// <summary>By MAC.</summary>
    internal Dictionary<string, (string Address, string Mask, string? Gateway)> GuestAddresses { get; } = new(StringComparer.OrdinalIgnoreCase);

    /// <summary>
    /// Makes a machine that is off, with disks of the given sizes on a SCSI controller (first generation: the first two on IDE) and one NIC with a static address for each switch, as a user would have it.
    /// </summary>
    /// <returns>Its id, which is the Name of its Msvm_ComputerSystem.</returns>
    public Guid AddMachine(string name, IReadOnlyList<long> disks, IReadOnlyList<CimPath>? switches = null, int generation = 2, ulong memoryMegabytes = 1024, ushort checkpoints = 5)
    {
        lock (Gate)
        {
            var files = disks.Select((_, i) => HostPath.Join(DiskFolder, $"{name}-{i}-{_named++}.vhdx")).ToList();
            for (var i = 0; i < files.Count; i++) Disks.Create(files[i], 3, disks[i], null, 0, 0, 0);
            return AddMachineOn(files, name, switches, generation, memoryMegabytes, checkpoints);
        }
    }

    /// <summary>As <see cref="AddMachine"/>, with disk files that exist.</summary>
    public Guid AddMachineOn(IReadOnlyList<string> files, string name, IReadOnlyList<CimPath>? switches = null, int generation = 2, ulong memoryMegabytes = 1024, ushort checkpoints = 5)
    {
        lock (Gate)
        {
            var machine = Define(NewId(), new CimObject(VirtualSystemSettingData.ClassName).With(VirtualSystemSettingData.ElementName, name).With(VirtualSystemSettingData.VirtualSystemSubType, $"Microsoft:Hyper-V:SubType:{generation}")
                .With(VirtualSystemSettingData.UserSnapshotType, checkpoints).With(VirtualSystemSettingData.AutomaticSnapshotsEnabled, false));
            Machines.Add(machine);
            var own = machine.Own;
            own.Replace(own.Resources[0], own.Resources[0].With(MemorySettingData.VirtualQuantity, memoryMegabytes));
            var scsi = Add(machine, own, Templates.Settings(ResourceAllocationSettingData.ClassName, "", ResourceNames.Scsi, 6));
            for (var i = 0; i < files.Count; i++)
            {
                var controller = generation == 1 && i < 2 ? own.Resources.First(r => r.Get(ResourceAllocationSettingData.ResourceSubType) == ResourceNames.Ide && r.Get(ResourceAllocationSettingData.Address) == "0") : scsi;
                var drive = Add(machine, own, Templates.Settings(ResourceAllocationSettingData.ClassName, "", ResourceNames.DiskDrive, 17).With(ResourceAllocationSettingData.Parent, PathOf(controller).ToString()));
                Add(machine, own, Templates.Settings(StorageAllocationSettingData.ClassName, "", ResourceNames.HardDisk, 31).With(StorageAllocationSettingData.Parent, PathOf(drive).ToString()).With(StorageAllocationSettingData.HostResource, [files[i]]));
            }
            foreach (var place in switches ?? [])
            {
                var nic = Add(machine, own, Templates.Settings(SyntheticEthernetPortSettingData.ClassName, "", ResourceNames.SyntheticNic, 10).With(SyntheticEthernetPortSettingData.ElementName, "Network Adapter")
                    .With(SyntheticEthernetPortSettingData.Address, Network.NewMac()).With(SyntheticEthernetPortSettingData.StaticMacAddress, true));
                Add(machine, own, Templates.Settings(EthernetPortAllocationSettingData.ClassName, "", ResourceNames.Connection, 33).With(EthernetPortAllocationSettingData.Parent, PathOf(nic).ToString())
                    .With(EthernetPortAllocationSettingData.HostResource, [place.ToString()]).With(EthernetPortAllocationSettingData.EnabledState, (ushort)2));
            }
            Definitions.Keep(machine);
            return machine.Id;
        }
    }

    /// <summary>Makes a private switch, or an internal one that the host has an adapter on.</summary>
    public CimPath AddSwitch(string name, bool isInternal = false)
    {
        lock (Gate) return Network.AddSwitch(name, isInternal);
    }

    /// <summary>Adds a resource that a driver has to refuse, such as a GPU partition.</summary>
    public void AddDevice(Guid machine, string className)
    {
        lock (Gate) MachineNamed(machine).Own.Resources.Add(new CimObject(className).With(VirtualSystemSettingData.InstanceID, $@"Microsoft:{MachineFiles.Name(machine)}\{MachineFiles.Name(NewId())}"));
    }

    /// <summary>Whether the guest can freeze its file systems, shuts down when it is asked to, and has integration services at all.</summary>
    public void SetGuest(Guid machine, bool hasQuiescer = true, bool answersShutdown = true, bool hasHeartbeat = true)
    {
        lock (Gate) (MachineNamed(machine).HasQuiescer, MachineNamed(machine).AnswersShutdown, MachineNamed(machine).HasHeartbeat) = (hasQuiescer, answersShutdown, hasHeartbeat);
    }

    /// <summary>The address that guests give themselves on an adapter, while they run: copies have the same, because they have the same MAC and memory.</summary>
    public void SetAddress(Guid machine, int nic, string address, string mask = "255.255.255.0", string? gateway = null)
    {
        lock (Gate) GuestAddresses[MachineNamed(machine).Own.Nics.ElementAt(nic).Get(SyntheticEthernetPortSettingData.Address)!] = (address, mask, gateway);
    }

    /// <summary>What the firmware of a machine of the second generation has kept.</summary>
    public byte[] ReadFirmware(Guid machine)
    {
        lock (Gate) return Volume.Read(MachineFiles.FirmwareOf(MachineFiles.DefinitionOf(MachineNamed(machine))));
    }

    /// <summary>A machine's firmware keeps something else from now on.</summary>
    public void WriteFirmware(Guid machine, ReadOnlySpan<byte> bytes)
    {
        lock (Gate) Volume.Write(MachineFiles.FirmwareOf(MachineFiles.DefinitionOf(MachineNamed(machine))), bytes);
    }

    /// <summary>The machines of the host by name: names need not be unique.</summary>
    public IReadOnlyList<(Guid Id, string Name)> MachineNames()
    {
        lock (Gate) return [.. Machines.Where(m => !m.IsPlanned).Select(m => (m.Id, m.Name))];
    }

    /// <summary>The MAC of an adapter, as twelve hexadecimal digits, and the name of the switch that it is connected to; null where it is to none.</summary>
    public IReadOnlyList<(string Mac, string? Switch, string? Address)> Adapters(Guid machine)
    {
        lock (Gate)
        {
            var own = MachineNamed(machine).Own;
            return [.. own.Nics.Select(n => (n.Get(SyntheticEthernetPortSettingData.Address)!, Network.SwitchOf(own, n), GuestAddresses.TryGetValue(n.Get(SyntheticEthernetPortSettingData.Address)!, out var a) ? a.Address : null))];
        }
    }

    /// <summary>What runs in a machine now; null where nothing does.</summary>
    public SimulatedGuest? Guest(Guid machine)
    {
        lock (Gate)
        {
            Advance();
            return MachineNamed(machine).Guest is { } guest ? new(guest.Boot, guest.CountAt(Now), guest.IsCorrupt) : null;
        }
    }

    /// <summary>A running guest writes to its Nth disk. Where there is no space left, its machine is paused.</summary>
    /// <returns>False where the machine was paused by it.</returns>
    public bool WriteAsGuest(Guid machine, int disk, long offset, ReadOnlySpan<byte> bytes)
    {
        lock (Gate)
        {
            Advance();
            var found = MachineNamed(machine);
            if (found.State != RunState.Running) throw new InvalidOperationException($"{found.Name} does not run.");
            var own = found.Own.Disks.ElementAt(disk);
            try
            {
                Disks.WriteBytes(Configuration.File(own)!, offset, bytes);
            }
            catch (JobFailure e) when (e.WindowsError == JobFailure.DiskFull)
            {
                Pause(found);
                found.State = RunState.PausedCritical;
                return false;
            }
            _written.Add((found.Id, found.Own.Slot(own), offset, bytes.Length));
            return true;
        }
    }

    /// <summary>What a machine's Nth disk holds, whether it runs or not.</summary>
    public byte[] ReadDisk(Guid machine, int disk, long offset, int length)
    {
        lock (Gate)
        {
            Advance();
            return Disks.ReadBytes(Configuration.File(MachineNamed(machine).Own.Disks.ElementAt(disk))!, offset, length);
        }
    }

    /// <summary>A foreign hand writes into a disk file, whoever has it open or depends on it.</summary>
    public void WriteIntoFile(string path, long offset, ReadOnlySpan<byte> bytes)
    {
        lock (Gate) Disks.WriteBytes(path, offset, bytes);
    }

    /// <summary>Where a file of the host is on this system: disks are real VHDX files.</summary>
    public string RealPath(string path) => Volume.Real(path);

    /// <summary>True where a frame from one machine can reach the other.</summary>
    public bool Reaches(Guid from, Guid to)
    {
        lock (Gate)
        {
            Advance();
            return Network.Reaches(MachineNamed(from), MachineNamed(to));
        }
    }

    /// <summary>The Msvm_ComputerSystem of a machine.</summary>
    public CimPath SystemOf(Guid machine)
    {
        lock (Gate) return PathOf(MachineNamed(machine));
    }

    /// <summary>The state (EnabledState) of a machine.</summary>
    public ushort StateOf(Guid machine)
    {
        lock (Gate)
        {
            Advance();
            return MachineNamed(machine).State;
        }
    }

    /// <summary>The host's volume grows or shrinks; what is on it stays.</summary>
    public void SetCapacity(long bytes)
    {
        lock (Gate) Volume.Capacity = bytes;
    }

    private Machine MachineNamed(Guid id) => Machines.Find(m => m.Id == id) ?? throw new InvalidOperationException($"There is no machine {id}.");
}
