using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Cim.Wrappers;

namespace WeaveHypervisor.HyperV.Machines;

/// <summary>
/// Rules that Hyper-V itself keeps to at a port of a virtual switch, and that security groups of Hyper-V are made of: port ACLs, extended port ACLs, and what an adapter may pretend to be. They name addresses, which
/// are the same in a copy. An imported copy has those that were exported with its original; one that is made anew is given those that its definition has.
/// </summary>
internal sealed class PortRules(DriverContext context)
{
    private static readonly TimeSpan Deadline = TimeSpan.FromMinutes(2);

    /// <summary>Bandwidth, offloads and the like are of the card below, and stay with the original.</summary>
    private static readonly string[] Kept = [EthernetSwitchPortExtendedAclSettingData.ClassName, EthernetSwitchPortAclSettingData.ClassName, EthernetSwitchPortSecuritySettingData.ClassName];

    /// <summary>The rules of each connected adapter that has some, by the InstanceID of its connection.</summary>
    public async Task<IReadOnlyDictionary<string, IReadOnlyList<CimObject>>> ReadAsync(MachineParts parts, CancellationToken stop)
    {
        var rules = new Dictionary<string, IReadOnlyList<CimObject>>(StringComparer.OrdinalIgnoreCase);
        foreach (var connection in parts.Nics.Select(n => n.Connection).OfType<CimObject>())
        {
            var found = await HyperVFaults.AskAsync(() => context.Client.AssociatorsAsync(connection.Reference, EthernetPortSettingDataComponent.ClassName, null, null, null, stop), "Reading the rules of a network adapter");
            CimObject[] kept = [.. found.Where(f => Kept.Contains(f.ClassName))];
            if (kept.Length > 0) rules[connection.Get(EthernetPortAllocationSettingData.InstanceID)!] = kept;
        }
        return rules;
    }

    /// <summary>Gives rules to a connection that has none. Errors are <see cref="HostException"/>s and <see cref="CimException"/>s.</summary>
    public async Task GiveAsync(CimPath connection, IReadOnlyList<CimObject> rules, CancellationToken stop)
    {
        if (rules.Count > 0) await context.Jobs.RunAsync(await context.Services.SystemsAsync(stop), VirtualSystemManagementService.AddFeatureSettings(connection, rules), Deadline, stop);
    }
}
