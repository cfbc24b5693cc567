using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Cim.Wrappers;
using WeaveHypervisor.HyperV.Simulator.Cim;
using WeaveHypervisor.HyperV.Simulator.Disks;
using WeaveHypervisor.HyperV.Simulator.Jobs;
using WeaveHypervisor.HyperV.Simulator.Machines;

namespace WeaveHypervisor.HyperV.Simulator;

/// <summary>Run states of machines, and the truth of their memory.</summary>
public sealed partial class SimulatedHost
{
    private const ushort JobStart = 12, JobRestore = 15;

    internal MethodReply RequestStateChange(MethodCall call)
    {
        var machine = MachineOf(call.Target);
        RequireFree(machine);
        switch (call.Number("RequestedState"))
        {
            case 2 when machine.State == RunState.Paused:
                return Begin(call, machine, "Resuming", () => Run(machine), RunState.Resuming);
            case 2:
                RequireState(machine, RunState.Off, RunState.Saved);
                var restores = machine.State == RunState.Saved;
                return Begin(call, machine, restores ? "Restoring" : "Starting", () => Start(machine, restores), RunState.Starting, restores ? JobRestore : JobStart);
            case 3:
                RequireState(machine, RunState.Running, RunState.Paused, RunState.Saved, RunState.PausedCritical);
                return Begin(call, machine, "Turning off", () => TurnOff(machine), RunState.Stopping);
            case 4:
                RequireState(machine, RunState.Running);
                return ShutDown(call, machine);
            case 6:
                if (!(machine.State == RunState.Paused && Behaviour.SavesPaused)) RequireState(machine, RunState.Running);
                return Begin(call, machine, "Saving", () => Save(machine), RunState.Saving, cancellable: true);
            case 9:
                RequireState(machine, RunState.Running);
                return Begin(call, machine, "Pausing", () => Pause(machine), RunState.Pausing);
            case 10 or 11:
                RequireState(machine, RunState.Running);
                return Begin(call, machine, "Resetting", () =>
                {
                    Boot(machine);
                    return new([PathOf(machine)]);
                });
            default:
                throw new Refusal(Refusal.InvalidParameter);
        }
    }

    internal MethodReply InitiateShutdown(MethodCall call)
    {
        var machine = Machines.Find(m => !m.IsPlanned && MachineFiles.Name(m.Id).Equals(call.Target["SystemName"], StringComparison.OrdinalIgnoreCase)) ?? throw new Refusal(Refusal.InvalidParameter);
        RequireState(machine, RunState.Running);
        return ShutDown(call, machine);
    }

    private MethodReply ShutDown(MethodCall call, Machine machine) => machine.AnswersShutdown
        ? Begin(call, machine, "Shutting down", () => TurnOff(machine), RunState.Stopping)
        : throw new Refusal(32781, "The guest's screen is locked.");

    private JobEnd Run(Machine machine)
    {
        machine.State = RunState.Running;
        machine.Guest!.RunsSince = Now;
        return new([PathOf(machine)]);
    }

    private JobEnd Pause(Machine machine)
    {
        machine.Guest!.Halt(Now);
        machine.State = RunState.Paused;
        return new([PathOf(machine)]);
    }

    internal JobEnd TurnOff(Machine machine)
    {
        machine.Guest = null;
        machine.Saved = null;
        machine.State = RunState.Off;
        Definitions.Keep(machine);
        return new([PathOf(machine)]);
    }

    internal JobEnd Save(Machine machine)
    {
        machine.Guest!.Halt(Now);
        machine.Saved = Remember(machine);
        machine.Guest = null;
        machine.State = RunState.Saved;
        KeepSaved(machine);
        return new([PathOf(machine)]);
    }

    internal void KeepSaved(Machine machine)
    {
        machine.Own.Settings = machine.Own.Settings.With(VirtualSystemSettingData.IsSaved, machine.Saved is not null);
        Definitions.Keep(machine);
    }

    /// <summary>A machine's memory as it is now, with what it fits to.</summary>
    internal SavedImage Remember(Machine machine)
    {
        var files = machine.Own.Disks.Where(d => Configuration.File(d) is not null).ToDictionary(machine.Own.Slot, d => Configuration.File(d)!);
        return new(files.ToDictionary(f => f.Key, f => Disks.Hash(f.Value)), files, Shape(machine.Own), machine.Guest!.Boot, machine.Guest.CountAt(Now), machine.Guest.SaysCount);
    }

    /// <summary>What device state in memory depends on: sizes, devices and addresses, but not where files and switches are.</summary>
    internal static string Shape(Configuration configuration) => string.Join('|', configuration.Resources.Select(r =>
        $"{r.ClassName} {configuration.Slot(r)} {r.Get(ResourceAllocationSettingData.ResourceSubType)} {r.Find(ResourceAllocationSettingData.VirtualQuantity)} {(r.ClassName is SyntheticEthernetPortSettingData.ClassName or EmulatedEthernetPortSettingData.ClassName ? r.Get(SyntheticEthernetPortSettingData.Address) : "")}").Order(StringComparer.Ordinal));

    private JobEnd Start(Machine machine, bool restores)
    {
        foreach (var disk in machine.Own.DiskFiles) RequireOpens(machine, disk);
        RequirePipes(machine);
        if (!restores)
        {
            foreach (var nic in machine.Own.Nics.Where(n => n.Find(SyntheticEthernetPortSettingData.StaticMacAddress) is not true).ToList())
                machine.Own.Replace(nic, nic.With(SyntheticEthernetPortSettingData.Address, Network.NewMac()));
            Boot(machine);
            Definitions.Keep(machine);
            return new([PathOf(machine)]);
        }
        var image = machine.Saved ?? throw new JobFailure(JobFailure.FileNotFound, $"'{machine.Name}' has no saved state");
        if (image.Shape != Shape(machine.Own)) throw new JobFailure(JobFailure.InvalidArgument, $"'{machine.Name}' could not be restored: its configuration does not fit the saved state");
        var files = machine.Own.Disks.ToDictionary(machine.Own.Slot, d => Configuration.File(d)!);
        if (!Behaviour.ResumesOnOtherDisks && files.Any(f => !HostPath.Comparer.Equals(image.DiskFiles.GetValueOrDefault(f.Key), f.Value)))
            throw new JobFailure(JobFailure.InvalidArgument, $"'{machine.Name}' could not be restored: its disks are not those of the saved state");
        machine.Guest = new() { Boot = image.Boot, Counted = image.Counter, SaysCount = image.SaysCount, RunsSince = Now, IsCorrupt = files.Any(f => image.DiskHashes.GetValueOrDefault(f.Key) != Disks.Hash(f.Value)) };
        machine.Saved = null;
        machine.State = RunState.Running;
        KeepSaved(machine);
        return new([PathOf(machine)]);
    }

    private void Boot(Machine machine)
    {
        machine.Guest = new() { Boot = NewId(), SaysCount = BootsCounter(machine), RunsSince = Now };
        machine.State = RunState.Running;
    }

    /// <summary>What opening a machine's disk meets: a missing or changed parent, somebody else's use, a read-only leaf, or no right to a file.</summary>
    private void RequireOpens(Machine machine, string leaf)
    {
        var chain = Disks.Chain(leaf);
        for (var i = 0; i < chain.Count; i++)
        {
            var path = chain[i].Path;
            var used = Machines.Where(m => m != machine && !m.IsPlanned && RunState.HoldsDisks(m.State)).SelectMany(m => m.Own.DiskFiles).Any(f => Volume.IsSame(f, path));
            if (used || Holds.Any(h => Volume.IsSame(h.Path, path) && h.Use == FileUse.Exclusive) || (i == 0 && Machines.Any(m => m != machine && RunState.HoldsDisks(m.State) && m.Own.DiskFiles.Any(f => IsAbove(path, f)))))
                throw HostVolume.Sharing(path);
            if (i == 0 && Volume.IsReadOnly(path)) throw new JobFailure(JobFailure.AccessDenied, $"'{path}' is read-only");
            if ((i == 0 || !Behaviour.GrantsParents) && !Volume.IsGranted(path, machine.Id)) throw new JobFailure(JobFailure.AccessDenied, $"'{machine.Name}' may not open '{path}'");
        }
    }

    /// <summary>Gives a machine the right to a disk file that is attached to it, and to what is below it where the host does that.</summary>
    internal void GrantDisk(Machine machine, string leaf)
    {
        if (!Volume.Exists(leaf)) return;
        Volume.Grant(leaf, machine.Id);
        if (!Behaviour.GrantsParents) return;
        for (var path = Disks.Read(leaf).ParentPath; path is not null && Volume.Exists(path); path = Disks.Read(path).ParentPath) Volume.Grant(path, machine.Id);
    }
}
