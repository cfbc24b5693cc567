using WeaveHypervisor.Model;

namespace WeaveHypervisor.Drivers;

/// <summary>
/// Optional ability of a driver: asking the agents that run in guests. What an agent says is a guest's word and may be anything: no call reads more than 64 KiB of it
/// or waits longer than it was told to. Errors of the hypervisor are <see cref="WeaveException"/>s; silence and nonsense of a guest are answers.
/// </summary>
public interface IGuestAgents
{
    /// <summary>Whether a machine has a channel for an agent, and one is listening at its end. A machine that is not there has none.</summary>
    Task<AgentState> FindAgentAsync(MachineRef machine, CancellationToken stop);

    /// <summary>Null where the agent answered a ping; otherwise what happened, for people, in one line without a full stop.</summary>
    Task<string?> PingAgentAsync(MachineRef machine, TimeSpan patience, CancellationToken stop);
}

/// <summary>None: there is no channel. Silent: there is one, and nothing has it open in the guest.</summary>
public enum AgentState { None, Silent, Connected }
