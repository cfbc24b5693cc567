using System.Runtime.CompilerServices;
using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Cim.Wrappers;
using WeaveHypervisor.HyperV.Simulator.Cim;
using WeaveHypervisor.HyperV.Simulator.Disks;
using WeaveHypervisor.HyperV.Simulator.Jobs;
using WeaveHypervisor.HyperV.Simulator.Machines;
using WeaveHypervisor.HyperV.Simulator.Networks;

namespace WeaveHypervisor.HyperV.Simulator;

/// <summary>
/// An imaginary Hyper-V host that is as strict as a real one is known to be. It outlives clients and "restarts" of a service. Nothing runs by itself: every call first brings the host up to the present of its
/// clock, so that tests drive it by the clock alone. Its disk files are real ones below a folder, which the caller deletes.
/// </summary>
public sealed partial class SimulatedHost
{

    private readonly Random _random;
    private readonly ConditionalWeakTable<CimObject, CimPath> _paths = [];
    private DateTimeOffset _downUntil = DateTimeOffset.MinValue;

    /// <param name="root">A folder of this system for the host's files; made where it is not there.</param>
    public SimulatedHost(string root, TimeProvider clock, SimulatedHostOptions? options = null)
    {
        Options = options ?? new();
        Clock = clock;
        Schema = CimSchema.Of(Options.Profile);
        _random = new(Options.Seed);
        Volume = new(root, Options.Capacity) { UseOf = UseOf };
        Disks = new(Volume);
        Definitions = new(Volume);
        Jobs = new(clock, NewId);
        Settings = new(Schema);
        Network = new(this);
        Catalogue = new(this);
        Methods = new(this);
        Volume.CreateFolder(DataRoot);
        Volume.CreateFolder(DiskFolder);
        Client = new SimulatedClient(this);
        Files = new SimulatedFiles(this);
    }

    /// <summary>The host's CIM server. Disposing it does nothing to the host.</summary>
    public ICimClient Client { get; }

    /// <summary>The host's files.</summary>
    public IHostFiles Files { get; }

    /// <summary>Which calls go wrong.</summary>
    public SimulatedFaults Faults { get; } = new();

    public SimulatedHostOptions Options { get; }

    /// <summary>Where machines are kept that are given no place of their own.</summary>
    public string DataRoot => @"C:\ProgramData\Microsoft\Windows\Hyper-V";

    /// <summary>Where <see cref="AddMachine"/> puts disks.</summary>
    public string DiskFolder => @"C:\Users\Public\Documents\Hyper-V\Virtual Hard Disks";

    internal Lock Gate { get; } = new();
    internal TimeProvider Clock { get; }
    internal CimSchema Schema { get; }
    internal HostVolume Volume { get; }
    internal VirtualDisks Disks { get; }
    internal MachineFiles Definitions { get; }
    internal JobTable Jobs { get; }
    internal SettingsReader Settings { get; }
    internal HostNetwork Network { get; }
    internal Catalogue Catalogue { get; }
    internal MethodTable Methods { get; }
    internal List<Machine> Machines { get; } = [];
    internal HostBehaviour Behaviour => Options.Behaviour;
    internal DateTimeOffset Now => Clock.GetUtcNow();
    internal bool IsDown => Now < _downUntil;

    /// <summary>Files that something at work has open, beside those of machines that run.</summary>
    internal List<(string Path, FileUse Use, object By)> Holds { get; } = [];

    internal Guid NewId()
    {
        var bytes = new byte[16];
        _random.NextBytes(bytes);
        return new(bytes);
    }

    internal bool Toss() => _random.Next(2) == 0;

    /// <summary>Brings the host up to the present of its clock.</summary>
    internal void Advance()
    {
        if (IsDown) return;
        Jobs.Advance();
        foreach (var machine in Machines) MergeOrphans(machine);
    }

    internal CimPath PathOf(string className, string @namespace, params ReadOnlySpan<(string, string)> keys) => CimPath.To(Options.Name, @namespace, className, keys);

    internal CimPath PathOf(Machine machine) => PathOf(machine.IsPlanned ? PlannedComputerSystem.ClassName : ComputerSystem.ClassName, HostNamespaces.Virtualization,
        ("CreationClassName", machine.IsPlanned ? PlannedComputerSystem.ClassName : ComputerSystem.ClassName), ("Name", MachineFiles.Name(machine.Id)));

    internal CimPath PathOf(CimObject settings) => _paths.GetValue(settings, s => PathOf(s.ClassName, HostNamespaces.Virtualization, ("InstanceID", s.Get(VirtualSystemSettingData.InstanceID)!)));

    internal CimPath PathOf(SimulatedJob job) => PathOf(job.ClassName, HostNamespaces.Virtualization, ("InstanceID", MachineFiles.Name(job.Id)));

    /// <summary>Who has a file open: machines that are not off or saved hold their own layer for writing and all below it for reading.</summary>
    private FileUse UseOf(string path)
    {
        var use = Holds.Where(h => Volume.IsSame(h.Path, path)).Select(h => h.Use).DefaultIfEmpty(FileUse.None).Max();
        foreach (var machine in Machines.Where(m => !m.IsPlanned && RunState.HoldsDisks(m.State)))
            foreach (var leaf in machine.Own.DiskFiles)
            {
                if (Volume.IsSame(leaf, path)) return FileUse.Exclusive;
                if (use == FileUse.None && IsAbove(path, leaf)) use = FileUse.Shared;
            }
        return use;
    }

    private bool IsAbove(string path, string leaf)
    {
        for (var at = leaf; at is not null && Volume.Exists(at); at = Disks.Read(at).ParentPath)
            if (Volume.IsSame(at, path)) return true;
        return false;
    }

    /// <summary>The virtual machine management service stops and answers nothing for a while; jobs are gone, and what they had not finished is undone. Machines run on.</summary>
    public void RestartService(TimeSpan down)
    {
        lock (Gate)
        {
            Advance();
            Jobs.Vanish();
            Holds.Clear();
            foreach (var machine in Machines) machine.MergesDisks = true;
            _downUntil = Now + down;
        }
    }

    /// <summary>The host restarts: machines are saved, shut down or turned off, each as it is set to, and are not started again.</summary>
    public void Reboot(TimeSpan down)
    {
        lock (Gate)
        {
            Advance();
            Jobs.Vanish();
            Holds.Clear();
            foreach (var machine in Machines.Where(m => !m.IsPlanned && RunState.HoldsDisks(m.State)))
            {
                if (machine.Own.Settings.Find(VirtualSystemSettingData.AutomaticShutdownAction) == 3) Save(machine);
                else TurnOff(machine);
            }
            _downUntil = Now + down;
        }
    }
}
