using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Cim.Wrappers;
using WeaveHypervisor.HyperV.Owned;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.HyperV.Machines;

/// <summary>A virtual switch of the host.</summary>
/// <param name="Path">Of its Msvm_VirtualEthernetSwitch, as connections name it.</param>
/// <param name="Settings">Its Msvm_VirtualEthernetSwitchSettingData.</param>
internal sealed record HostSwitch(CimPath Path, CimObject Settings)
{
    public string Name => Settings.Get(VirtualEthernetSwitchSettingData.ElementName) ?? "";
    public OwnedMark? Mark { get; } = OwnedMark.Of(Settings);
}

/// <summary>Finds virtual switches. Touches nothing.</summary>
internal sealed class HostSwitches(DriverContext context)
{
    /// <summary>All switches; names need not be unique.</summary>
    public Task<IReadOnlyList<HostSwitch>> ListAsync(CancellationToken stop) => HyperVFaults.AskAsync<IReadOnlyList<HostSwitch>>(async () =>
    {
        var switches = (await context.Client.QueryAsync(HostNamespaces.Virtualization, Wql.From(VirtualEthernetSwitch.ClassName).ToString(), stop)).ToLookup(s => s.Get(VirtualEthernetSwitch.Name) ?? "", StringComparer.OrdinalIgnoreCase);
        return [.. from settings in await context.Client.QueryAsync(HostNamespaces.Virtualization, Wql.From(VirtualEthernetSwitchSettingData.ClassName).ToString(), stop)
            let found = switches[settings.Get(VirtualEthernetSwitchSettingData.VirtualSystemIdentifier) ?? ""].FirstOrDefault()
            where found is not null
            select new HostSwitch(found.Reference, settings)];
    }, "Looking for virtual switches");

    /// <summary>The switches of a fence by network; empty where there is no such fence.</summary>
    public async Task<IReadOnlyDictionary<NetworkName, CimPath>> OfFenceAsync(FenceTag tag, CancellationToken stop)
    {
        var found = new Dictionary<NetworkName, CimPath>();
        foreach (var s in await ListAsync(stop))
            if (OwnedMark.Is(s.Mark, MarkKind.Switch, context.Options) && s.Mark!.Key == tag.Text && NetworkName.TryCreate(s.Mark.Name, out var network)) found[network] = s.Path;
        return found;
    }
}
