using WeaveHypervisor.Model;

namespace WeaveHypervisor.Simulator;

/// <summary>How the guest agent of a simulated machine behaves.</summary>
public enum SimulatedAgent
{
    /// <summary>The machine has no channel for one.</summary>
    Missing,
    /// <summary>There is a channel, and no agent.</summary>
    NotConnected,
    Works,
    /// <summary>It answers nothing.</summary>
    Hangs,
    /// <summary>It answers a request to freeze with an error.</summary>
    Refuses,
    /// <summary>It freezes some of its file systems only.</summary>
    FreezesSome,
    /// <summary>It answers until it is asked to freeze, then no more; once <see cref="SimulatedHost.WakeAgent"/> is called it freezes, and works again.</summary>
    HangsFreezing,
}

/// <content>Guest agents.</content>
public sealed partial class SimulatedHost
{
    /// <summary>Gives a machine an agent of that kind; machines have none at first, and copies have that of their original when they are started.</summary>
    public void GiveAgent(Guid uuid, SimulatedAgent agent) => Locked(() => Machines[uuid].Agent = agent);

    /// <summary>The same for the user's machines of that name.</summary>
    public void GiveAgent(MachineName name, SimulatedAgent agent) => Locked(() =>
    {
        foreach (var machine in Machines.Values.Where(m => m.Tag is null && m.Ref.Name == name)) machine.Agent = agent;
    });

    /// <summary>An agent that hangs goes on with what it was asked last.</summary>
    public void WakeAgent(Guid uuid) => Locked(() =>
    {
        var machine = Machines[uuid];
        if (machine is { Agent: SimulatedAgent.HangsFreezing, FrozenByCapture: true }) machine.Frozen = true;
        machine.Agent = SimulatedAgent.Works;
    });

    /// <summary>Somebody else freezes or thaws a machine's file systems: an order is refused while they are frozen.</summary>
    public void Freeze(Guid uuid, bool frozen) => Locked(() => Machines[uuid].Frozen = frozen);

    /// <summary>Hypervisor names of machines whose file systems are frozen.</summary>
    public IReadOnlyList<string> FrozenMachines => Locked(() => Machines.Values.Where(m => m.Frozen).Select(m => m.Ref.HypervisorName).Order(StringComparer.Ordinal).ToList());
}
