using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Simulator;

/// <content>Guest agents: freezing for a capture, and thawing whatever happens.</content>
public sealed partial class SimulatedHypervisor
{
    private static readonly TimeSpan FrozenTime = TimeSpan.FromMilliseconds(30);

    public Task<AgentFacts> AskAgentAsync(MachineRef machine, TimeSpan patience, CancellationToken stop) => Do(stop, () => Find(machine) is { } found ? Ask(found) : new(AgentCondition.Off, null));

    public Task<VolumeMounts> FindMountsAsync(MachineRef machine, string target, TimeSpan patience, CancellationToken stop) => Do(stop, () =>
    {
        var facts = Find(machine) is { } found ? Ask(found) : new(AgentCondition.Off, null);
        return new VolumeMounts(facts, facts.State == AgentCondition.Answers && Find(machine)!.Mounted.Contains(target) ? [$"'/mnt/{target}'"] : []);
    });

    public Task<IReadOnlyList<Finding>> ThawAsync(CancellationToken stop) => Do<IReadOnlyList<Finding>>(stop, () =>
    {
        var findings = new List<Finding>();
        foreach (var machine in host.Machines.Values.Where(m => m is { FrozenByCapture: true, Capturing: false }))
            if (!Thaw(machine)) findings.Add(new(FindingLevel.Error, $"machine {machine.Ref.HypervisorName}", "It was asked to freeze its file systems for a snapshot, and its guest agent does not say that they are thawed.", "Look into the guest."));
        return findings;
    });

    private static AgentFacts Ask(SimulatedMachine machine) => machine.RunState switch
    {
        RunState.Off => new(AgentCondition.Off, null),
        RunState.Paused => new(AgentCondition.Paused, null),
        _ => machine.Agent switch
        {
            SimulatedAgent.Missing => new(AgentCondition.NoChannel, "the machine has no channel for a guest agent"),
            SimulatedAgent.NotConnected => new(AgentCondition.NotConnected, "no guest agent listens"),
            SimulatedAgent.Hangs => new(AgentCondition.Silent, "the guest agent did not answer in time"),
            SimulatedAgent.HangsFreezing when machine.FrozenByCapture => new(AgentCondition.Silent, "the guest agent did not answer in time"),
            _ => new(AgentCondition.Answers, null),
        },
    };

    /// <summary>Null where the capture did not ask for it.</summary>
    private static Quiescing? Freeze(SimulatedMachine? machine, CaptureRequest request)
    {
        if (!request.Quiesce) return null;
        if (machine is not { RunState: RunState.Running }) return new(QuiesceOutcome.NotRunning, Reason: "the machine does not run");
        if (request.Memory && machine.MemoryRefusal is null) return new(QuiesceOutcome.MemoryCaptured, Reason: "its memory is of the same instant");
        var asked = Ask(machine);
        switch (asked.State)
        {
            case AgentCondition.NoChannel: return new(QuiesceOutcome.NoChannel, Reason: asked.Reason);
            case AgentCondition.NotConnected: return new(QuiesceOutcome.NotConnected, Reason: asked.Reason);
            case AgentCondition.Silent: return new(QuiesceOutcome.TimedOut, Reason: asked.Reason);
        }
        if (machine.Frozen) return new(QuiesceOutcome.Refused, Reason: "its file systems were frozen already, by something else");
        if (machine.Agent == SimulatedAgent.Refuses) return new(QuiesceOutcome.Refused, Reason: "the guest agent refused: 'not today'");
        machine.FrozenByCapture = true;
        if (machine.Agent == SimulatedAgent.HangsFreezing) return new(QuiesceOutcome.TimedOut, Reason: "the guest agent did not answer in time", NotThawed: "Look into the guest.");
        machine.Frozen = true;
        return machine.Agent == SimulatedAgent.FreezesSome ? new(QuiesceOutcome.Partial, 1, FrozenTime, "1 of 2 file systems were frozen") : new(QuiesceOutcome.Frozen, 1, FrozenTime);
    }

    /// <summary>False where a capture froze it, or may have, and its agent does not answer.</summary>
    private static bool Thaw(SimulatedMachine machine)
    {
        if (!machine.FrozenByCapture) return true;
        var state = Ask(machine).State;
        if (state is not (AgentCondition.Answers or AgentCondition.Off)) return false;
        machine.Frozen = machine.FrozenByCapture = false;
        return true;
    }
}
