using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Cim.Wrappers;
using WeaveHypervisor.HyperV.Simulator.Cim;
using WeaveHypervisor.HyperV.Simulator.Jobs;
using WeaveHypervisor.HyperV.Simulator.Machines;

namespace WeaveHypervisor.HyperV.Simulator;

/// <summary>How methods begin and end, whatever they do.</summary>
public sealed partial class SimulatedHost
{
    /// <summary>The realized machine of a path; 32773 for anything else.</summary>
    internal Machine MachineOf(CimPath path, bool planned = false) =>
        Machines.Find(m => PathOf(m).Equals(path) && (planned || !m.IsPlanned)) ?? throw new Refusal(Refusal.InvalidParameter, $"There is no machine {path}.");

    /// <summary>The machine and the configuration (its own, or that of a checkpoint) that system settings are of.</summary>
    internal (Machine Machine, Configuration Configuration) ConfigurationOf(string? id) =>
        Machines.SelectMany(m => m.Configurations.Select(c => (m, c))).FirstOrDefault(p => p.c.Id.Equals(id, StringComparison.OrdinalIgnoreCase)) is { m: not null } found ? found : throw new Refusal(Refusal.InvalidParameter, $"There are no settings {id}.");

    internal (Machine Machine, Checkpoint Checkpoint) CheckpointOf(CimPath path) =>
        Machines.SelectMany(m => m.Checkpoints.Select(c => (m, c))).FirstOrDefault(p => PathOf(p.c.Configuration.Settings).Equals(path)) is { m: not null } found ? found : throw new Refusal(Refusal.InvalidParameter, $"There is no checkpoint {path}.");

    /// <summary>Refuses where another operation is at work on the machine, as a host does: with one of two codes.</summary>
    internal void RequireFree(Machine machine)
    {
        if (machine.Busy is { } busy) throw new Refusal(Toss() ? Refusal.InUse : Refusal.InvalidState, $"{machine.Name} is at '{busy}'.");
    }

    internal static void RequireState(Machine machine, params ReadOnlySpan<ushort> states)
    {
        if (!states.Contains(machine.State)) throw new Refusal(Refusal.InvalidState, $"{machine.Name} is in state {machine.State}.");
    }

    /// <summary>A job on a machine: nothing else may begin on it meanwhile, and it is as before where the job comes to nothing.</summary>
    internal MethodReply Begin(MethodCall call, Machine machine, string caption, Func<JobEnd> effect, ushort? during = null, ushort? jobType = null, bool cancellable = false)
    {
        RequireFree(machine);
        var before = machine.State;
        machine.Busy = caption;
        machine.State = during ?? before;
        return MethodReply.Of(Jobs.Begin(ConcreteJob.ClassName, caption, Options.JobTime, () =>
        {
            var end = effect();
            machine.Busy = null;
            return end;
        }, () => (machine.Busy, machine.State) = (null, before), jobType, cancellable, call.Fault));
    }

    /// <summary>A job of the image service or of nobody's machine.</summary>
    internal MethodReply Begin(MethodCall call, string className, string caption, Func<JobEnd> effect, bool cancellable = false, params IReadOnlyList<(string Path, Disks.FileUse Use)> holds)
    {
        var by = new object();
        foreach (var (path, use) in holds) Holds.Add((path, use, by));
        void Release() => Holds.RemoveAll(h => h.By == by);
        return MethodReply.Of(Jobs.Begin(className, caption, Options.JobTime, () =>
        {
            Release();
            return effect();
        }, Release, null, cancellable, call.Fault));
    }

    /// <summary>A short call: now done at once, now by a job, as hosts do it. Out parameters are empty where there is a job.</summary>
    internal MethodReply Short(MethodCall call, Machine? machine, string caption, Func<(IReadOnlyList<CimPath> Affected, (string, object?)[] Outs)> effect)
    {
        if (machine is not null) RequireFree(machine);
        if (call.Fault is CallFault.JobFails or CallFault.JobHangs or CallFault.JobVanishes || Toss())
        {
            JobEnd End() => new(effect().Affected);
            return machine is null ? Begin(call, ConcreteJob.ClassName, caption, End) : Begin(call, machine, caption, End);
        }
        try
        {
            return MethodReply.Done(effect().Outs);
        }
        catch (JobFailure e)
        {
            return MethodReply.Of(Jobs.Begin(ConcreteJob.ClassName, caption, TimeSpan.Zero, () => throw new JobFailure(e.WindowsError, e.Message)));
        }
    }
}
