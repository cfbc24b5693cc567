using System.Net;
using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Cim.Wrappers;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.HyperV.Fences;

/// <summary>
/// The way between the host and all gateways: one internal switch, the host's address on it, and, where published ports or open uplinks need it, the host's translation of it (NetNat), of which Windows guarantees one.
/// </summary>
internal sealed class Uplink(DriverContext context, SwitchBoard switches)
{
    private const uint OverlappingAddress = 5010;
    private readonly UplinkPlan _plan = new(context.Options);

    /// <summary>Name of the translation; Windows takes at most 39 characters.</summary>
    public string NatName { get; } = NameNat(context.Options);

    /// <inheritdoc cref="NatName"/>
    public static string NameNat(HyperVOptions options) => $"{options.Prefix}.uplink";

    /// <summary>Makes the switch and the host's address. Conflict where the host has addresses of the uplink's elsewhere.</summary>
    public async Task<CimPath> EnsureAsync(CancellationToken stop)
    {
        var place = await switches.EnsureUplinkAsync(stop);
        await context.UntilAsync("Giving the host its address on the uplink", async () =>
        {
            if (await HasAddressAsync(stop)) return true;
            var index = await AdapterAsync(stop) ?? throw new WeaveException(Fault.Unavailable, $"The host shows no adapter 'vEthernet ({switches.UplinkName})'.", "Look at the host's adapters; try again.");
            try
            {
                await context.Jobs.RunAsync(CimPath.To(null, HostNamespaces.Standard, NetIPAddress.ClassName), NetIPAddress.Create(addressFamily: 2, interfaceIndex: index, iPAddress: _plan.Host, prefixLength: (byte)_plan.PrefixLength), context.Options.StatePatience, stop, retryBusy: false);
            }
            catch (HostException e) when (e.Code == OverlappingAddress.ToString(System.Globalization.CultureInfo.InvariantCulture))
            {
                throw new WeaveException(Fault.Conflict, $"The uplink's addresses {_plan.Prefix} are in use on another interface of this host.", $"Give the driver another prefix ({nameof(HyperVOptions.Uplink)}).", e);
            }
            return false;
        }, stop);
        return place;
    }

    /// <summary>Makes the host's translation of the uplink. Conflict where Windows has given its one prefix to another; Unsupported on editions without.</summary>
    public Task EnsureNatAsync(CancellationToken stop) => context.UntilAsync("Making the host's translation", async () =>
    {
        var nats = await NatsAsync(stop);
        if (nats.FirstOrDefault(n => n.Get(NetNat.Name) == NatName) is { } own)
        {
            if (own.Get(NetNat.InternalIPInterfaceAddressPrefix) == _plan.Prefix) return true;
            await DeleteAsync(own, stop);
            return false;
        }
        try
        {
            await context.Client.CreateAsync(HostNamespaces.Standard, new CimObject(NetNat.ClassName).With(NetNat.Name, NatName).With(NetNat.InternalIPInterfaceAddressPrefix, _plan.Prefix), stop);
        }
        catch (CimException e) when (nats.Count > 0 && HostErrors.Of(e, "Making the host's translation").Kind is not (HostErrorKind.Unavailable or HostErrorKind.OutcomeUnknown))
        {
            throw new WeaveException(Fault.Conflict, $"The host's one translated prefix is taken by {string.Join(", ", nats.Select(n => $"'{n.Get(NetNat.Name)}' ({n.Get(NetNat.InternalIPInterfaceAddressPrefix)})"))}.", "Remove it if nothing needs it: `Remove-NetNat`.", e, [.. nats.Select(n => n.Get(NetNat.Name) ?? "")]);
        }
        catch (CimException e)
        {
            throw HostErrors.Of(e, "Making the host's translation");
        }
        return false;
    }, stop);

    /// <summary>All translations of the host; Unsupported on editions without.</summary>
    public async Task<IReadOnlyList<CimObject>> NatsAsync(CancellationToken stop)
    {
        try
        {
            return await context.Client.QueryAsync(HostNamespaces.Standard, Wql.From(NetNat.ClassName).ToString(), stop);
        }
        catch (CimException e) when (e.Status == CimStatus.InvalidClass)
        {
            throw new WeaveException(Fault.Unsupported, "This edition of Windows cannot translate addresses.", "Use Windows Server, or an edition with the containers feature.", e);
        }
        catch (CimException e)
        {
            throw HostErrors.Of(e, "Asking for address translation");
        }
    }

    /// <summary>The mappings of a translation of the host.</summary>
    public async Task<IReadOnlyList<CimObject>> MappingsAsync(CancellationToken stop)
    {
        try
        {
            return await context.Client.QueryAsync(HostNamespaces.Standard, Wql.From(NetNatStaticMapping.ClassName).ToString(), stop);
        }
        catch (CimException e) when (e.Status == CimStatus.InvalidClass)
        {
            return [];
        }
        catch (CimException e)
        {
            throw HostErrors.Of(e, "Asking for published ports");
        }
    }

    /// <summary>Deletes a translation or a mapping; gone already: success.</summary>
    public async Task DeleteAsync(CimObject thing, CancellationToken stop)
    {
        try
        {
            await context.Client.DeleteAsync(thing.Reference, stop);
        }
        catch (CimException e) when (e.Status == CimStatus.NotFound)
        {
        }
        catch (CimException e)
        {
            throw HostErrors.Of(e, $"Removing {thing.ClassName} '{thing.Get(NetNat.InstanceID)}'");
        }
    }

    /// <summary>What is missing of it, a sentence each.</summary>
    public async Task<IReadOnlyList<string>> InspectAsync(bool withNat, CancellationToken stop)
    {
        if (await switches.FindUplinkAsync(stop) is null) return [$"the switch {switches.UplinkName} of the way to the host is gone"];
        var missing = new List<string>();
        if (!await HasAddressAsync(stop)) missing.Add($"the host's address {_plan.Host} on the way to the gateways is gone");
        if (withNat && !(await NatsAsync(stop)).Any(n => n.Get(NetNat.Name) == NatName)) missing.Add($"the host's translation {NatName} is gone");
        return missing;
    }

    /// <summary>Removes the translation, where nothing is mapped in it, and the switch with the host's address: for when no fence is left.</summary>
    public async Task RetireAsync(CancellationToken stop)
    {
        IReadOnlyList<CimObject> nats;
        try
        {
            nats = await NatsAsync(stop);
        }
        catch (WeaveException e) when (e.Fault == Fault.Unsupported)
        {
            nats = [];
        }
        if (nats.FirstOrDefault(n => n.Get(NetNat.Name) == NatName) is { } own)
        {
            if ((await MappingsAsync(stop)).Any(m => m.Get(NetNatStaticMapping.NatName) == NatName)) return;
            await DeleteAsync(own, stop);
        }
        foreach (var place in (await switches.ListAsync(stop)).Where(s => s.Mark.Key == SwitchBoard.UplinkKey)) await switches.DestroyAsync(place.Path, stop);
    }

    private async Task<bool> HasAddressAsync(CancellationToken stop)
    {
        if (await AdapterAsync(stop) is not { } index) return false;
        var addresses = await HyperVFaults.AskAsync(() => context.Client.QueryAsync(HostNamespaces.Standard, Wql.From(NetIPAddress.ClassName).ToString(), stop), "Looking at the host's addresses");
        return addresses.Any(a => a.Find(NetIPAddress.InterfaceIndex) == index && IPAddress.TryParse(a.Get(NetIPAddress.IPAddress), out var ip) && ip.ToString() == _plan.Host);
    }

    /// <summary>The index of the host's adapter on the uplink's switch: the port says its device, the adapter is that device's.</summary>
    private async Task<uint?> AdapterAsync(CancellationToken stop)
    {
        var ports = await HyperVFaults.AskAsync(() => context.Client.QueryAsync(HostNamespaces.Virtualization, Wql.From(InternalEthernetPort.ClassName).Where(InternalEthernetPort.ElementName, switches.UplinkName).ToString(), stop), "Looking for the host's ports");
        if (ports.Count == 0) return null;
        var adapters = await HyperVFaults.AskAsync(() => context.Client.QueryAsync(HostNamespaces.Standard, Wql.From(NetAdapter.ClassName).ToString(), stop), "Looking for the host's adapters");
        var device = ports[0].Get(InternalEthernetPort.DeviceID)?.Split(':')[^1].Trim('{', '}');
        return adapters.FirstOrDefault(a => (a.Get(NetAdapter.DeviceID) ?? a.Get(NetAdapter.InterfaceGuid))?.Trim('{', '}').Equals(device, StringComparison.OrdinalIgnoreCase) == true)?.Find(NetAdapter.InterfaceIndex);
    }
}
