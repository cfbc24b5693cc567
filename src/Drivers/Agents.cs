using WeaveHypervisor.Model;

namespace WeaveHypervisor.Drivers;

/// <summary>What became of asking a machine's guest agent. What an agent says is a guest's word and may be anything: silence and nonsense are answers, too.</summary>
public enum AgentCondition
{
    /// <summary>It answers as it should.</summary>
    Answers,
    /// <summary>The machine is off, or not there.</summary>
    Off,
    /// <summary>The machine is paused; its agent cannot answer.</summary>
    Paused,
    /// <summary>The machine has no channel for one.</summary>
    NoChannel,
    /// <summary>There is a channel, and no agent listens.</summary>
    NotConnected,
    /// <summary>It did not answer in time.</summary>
    Silent,
    /// <summary>It answered with an error, or with nonsense.</summary>
    Refuses,
}

/// <param name="Reason">What was heard, where it is not <see cref="AgentCondition.Answers"/>; safe to print.</param>
public sealed record AgentFacts(AgentCondition State, string? Reason)
{
    /// <summary>What an administrator does about it; null where there is nothing to do. As of QEMU's agent, unless the driver says something else.</summary>
    public string? NextStep
    {
        get => field ?? Usual;
        init;
    }

    private string? Usual => State switch
    {
        AgentCondition.NoChannel => "Give the machine a channel org.qemu.guest_agent.0, and install qemu-guest-agent in the guest.",
        AgentCondition.NotConnected => "Install and start qemu-guest-agent in the guest.",
        AgentCondition.Silent or AgentCondition.Refuses => "Restart qemu-guest-agent in the guest.",
        _ => null,
    };
}

/// <param name="Agent">Whether it could be heard.</param>
/// <param name="Places">Where file systems of the volume are mounted in the guest, safe to print; empty where none is, or where nobody could tell.</param>
public sealed record VolumeMounts(AgentFacts Agent, IReadOnlyList<string> Places);

/// <summary>What a snapshot is worth, by what was reached for each machine.</summary>
public static class Consistencies
{
    /// <summary>
    /// `machine`: memory of every machine that is not off. `filesystem`: asked for, and every machine that is not off was frozen, or has its memory. `crash`: all else.
    /// </summary>
    public static Consistency Of(CaptureRequest request, IReadOnlyCollection<CapturedMachine> machines) =>
        request.Memory && machines.All(m => m.RunState == RunState.Off || m.Memory is not null) ? Consistency.Machine
        : request.Quiesce && machines.All(m => m.RunState == RunState.Off || m.Memory is not null || m.Quiescing?.Outcome == QuiesceOutcome.Frozen) ? Consistency.Filesystem
        : Consistency.Crash;
}
