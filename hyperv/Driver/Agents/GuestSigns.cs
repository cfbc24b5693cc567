using WeaveHypervisor.Drivers;
using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Cim.Wrappers;
using WeaveHypervisor.HyperV.Machines;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.HyperV.Agents;

/// <summary>
/// What Hyper-V tells of a guest's integration services: the heartbeat. Nothing can be asked of them: not which file systems are mounted, and whether one of them can freeze is only seen when a production checkpoint is made.
/// </summary>
internal sealed class GuestSigns(DriverContext context)
{
    private const string Install = "Install or restart the integration services in the guest.";
    private const ushort Ok = 2, NoContact = 12, Lost = 13;

    public async Task<AgentFacts> AskAsync(MachineRef machine, CancellationToken stop) => await context.Machines.FindAsync(machine, stop) is { } found ? await AskAsync(found, stop) : new(AgentCondition.Off, "The machine is not there.");

    public async Task<AgentFacts> AskAsync(HostMachine machine, CancellationToken stop)
    {
        if (machine.RunState == RunState.Off) return new(AgentCondition.Off, "The machine is off.");
        if (machine.RunState == RunState.Paused) return new(AgentCondition.Paused, "The machine is paused.");
        var query = Wql.From(HeartbeatComponent.ClassName).Where(HeartbeatComponent.SystemName, MachineReader.Name(machine.Id));
        var heart = (await HyperVFaults.AskAsync(() => context.Client.QueryAsync(HostNamespaces.Virtualization, query.ToString(), stop), $"Asking for the heartbeat of '{machine.Name}'")).FirstOrDefault();
        if (heart is null || heart.Find(HeartbeatComponent.EnabledState) == 3) return new(AgentCondition.NoChannel, "The heartbeat service is not enabled for the machine.") { NextStep = "Enable it: `Enable-VMIntegrationService -Name Heartbeat, VSS`." };
        return heart.List(HeartbeatComponent.OperationalStatus).FirstOrDefault() switch
        {
            Ok => new(AgentCondition.Answers, null),
            NoContact => new(AgentCondition.NotConnected, "No integration service of the guest has been heard of since it started.") { NextStep = Install },
            Lost => new(AgentCondition.Silent, "The guest's heartbeat has stopped.") { NextStep = Install },
            var other => new(AgentCondition.Refuses, $"The heartbeat service says {other}.") { NextStep = Install },
        };
    }

    public async Task<VolumeMounts> FindMountsAsync(MachineRef machine, CancellationToken stop)
    {
        var facts = await AskAsync(machine, stop);
        return new(facts.State == AgentCondition.Answers ? new(AgentCondition.NoChannel, "Hyper-V's integration services do not tell what a guest has mounted.") { NextStep = "Look inside the guest." } : facts, []);
    }
}
