using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Cim.Wrappers;
using WeaveHypervisor.HyperV.Machines;
using WeaveHypervisor.HyperV.Owned;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.HyperV.Fences;

/// <summary>A switch of ours.</summary>
/// <param name="Path">Its Msvm_VirtualEthernetSwitch.</param>
internal sealed record OwnedSwitch(CimPath Path, OwnedMark Mark);

/// <summary>Virtual switches of ours, known by their mark: names of switches need not be unique. Errors are <see cref="HostException"/>s and <see cref="WeaveException"/>s.</summary>
internal sealed class SwitchBoard(DriverContext context)
{
    /// <summary>Key of the uplink's mark, which is no fence's.</summary>
    public const string UplinkKey = "uplink";
    private readonly HostSwitches _switches = new(context);

    /// <summary>All switches of this service, in the order of their ids.</summary>
    public async Task<IReadOnlyList<OwnedSwitch>> ListAsync(CancellationToken stop) =>
        [.. (await _switches.ListAsync(stop)).Where(s => OwnedMark.Is(s.Mark, MarkKind.Switch, context.Options)).Select(s => new OwnedSwitch(s.Path, s.Mark!)).OrderBy(s => s.Path.ToString(), StringComparer.OrdinalIgnoreCase)];

    /// <summary>The switch of a network of a fence; null where there is none.</summary>
    public async Task<CimPath?> FindAsync(FenceTag tag, NetworkName network, CancellationToken stop) => Of(await ListAsync(stop), tag, network);

    public static CimPath? Of(IReadOnlyList<OwnedSwitch> switches, FenceTag tag, NetworkName network) => switches.FirstOrDefault(s => s.Mark.Key == tag.Text && s.Mark.Name == network.Text)?.Path;

    /// <summary>Makes the private switch of a network of a fence; there already: kept.</summary>
    public async Task<CimPath> EnsurePrivateAsync(FenceTag tag, NetworkName network, CancellationToken stop)
    {
        await context.UntilAsync($"Making the switch of network '{network}'", async () =>
        {
            if (await FindAsync(tag, network, stop) is not null) return true;
            await DefineAsync(context.Paths.NameSwitch(tag, network), new(context.Options.Prefix, MarkKind.Switch, tag.Text, network.Text), null, stop);
            return false;
        }, stop);
        return (await FindAsync(tag, network, stop))!;
    }

    /// <summary>The internal switch that all gateways are on; null where there is none.</summary>
    public async Task<CimPath?> FindUplinkAsync(CancellationToken stop) => (await ListAsync(stop)).FirstOrDefault(s => s.Mark.Key == UplinkKey)?.Path;

    /// <summary>Makes that switch, with an adapter of the host's on it; there already: kept.</summary>
    public async Task<CimPath> EnsureUplinkAsync(CancellationToken stop)
    {
        await context.UntilAsync("Making the uplink's switch", async () =>
        {
            if (await FindUplinkAsync(stop) is not null) return true;
            var host = (await HyperVFaults.AskAsync(() => context.Client.QueryAsync(HostNamespaces.Virtualization, Wql.From(ComputerSystem.ClassName).ToString(), stop), "Looking for the host")).FirstOrDefault(s => !Guid.TryParse(s.Get(ComputerSystem.Name), out _))
                ?? throw new WeaveException(Fault.Unavailable, "Hyper-V does not show the host itself.", "Look at the service vmms.");
            await DefineAsync(UplinkName, new(context.Options.Prefix, MarkKind.Switch, UplinkKey, UplinkKey), new CimObject(EthernetPortAllocationSettingData.ClassName)
                .With(EthernetPortAllocationSettingData.ResourceType, (ushort)33).With(EthernetPortAllocationSettingData.ResourceSubType, HardwareKinds.Connection)
                .With(EthernetPortAllocationSettingData.ElementName, UplinkName).With(EthernetPortAllocationSettingData.HostResource, [host.Reference.ToString()]), stop);
            return false;
        }, stop);
        return (await FindUplinkAsync(stop))!;
    }

    /// <summary>Name of the uplink's switch and of the host's adapter on it.</summary>
    public string UplinkName => $"{context.Options.Prefix}.uplink";

    /// <summary>Removes a switch; gone already: success. Machines on it lose their link.</summary>
    public async Task DestroyAsync(CimPath place, CancellationToken stop)
    {
        try
        {
            await context.Jobs.RunAsync(await context.Services.SwitchesAsync(stop), VirtualEthernetSwitchManagementService.DestroySystem(place), context.Options.StatePatience, stop);
        }
        catch (HostException e) when (e.Kind is HostErrorKind.InvalidRequest or HostErrorKind.NotFound or HostErrorKind.OutcomeUnknown)
        {
            if ((await ListAsync(stop)).Any(s => s.Path.Equals(place))) throw;
        }
    }

    private async Task DefineAsync(string name, OwnedMark mark, CimObject? port, CancellationToken stop) =>
        await context.Jobs.RunAsync(await context.Services.SwitchesAsync(stop), VirtualEthernetSwitchManagementService.DefineSystem(null, port is null ? null : [port],
            new CimObject(VirtualEthernetSwitchSettingData.ClassName).With(VirtualEthernetSwitchSettingData.ElementName, name).With(VirtualEthernetSwitchSettingData.Notes, mark.ToNotes())), context.Options.StatePatience, stop);
}
