using LibvirtSharp;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt.Fences;

/// <summary>Names and MACs of the host's ends of the machines' links.</summary>
internal sealed partial class FenceKeeper
{
    /// <summary>Which links a machine's interfaces get, by MAC, in the order of its definition; none in a fence that was made by an earlier version, where libvirt names them.</summary>
    public static IReadOnlyList<(string Mac, string Tap)> PlugsOf(FenceRecord? record, MachineName machine) =>
        record is null ? [] : [.. record.Plugs.Where(p => p.Machine == machine).Select(p => (p.Mac, new FenceNames("", record.Tag).Tap(p.Number)))];

    /// <summary>The plugs of a fence's machines: those that were given before, and new ones behind them.</summary>
    internal static IReadOnlyList<FencePlug> GivePlugs(FenceSpec fence, IReadOnlyList<FencePlug> given)
    {
        var free = given.ToList();
        var plugs = given.ToList();
        foreach (var machine in fence.Machines)
            foreach (var nic in machine.Nics)
            {
                var mac = nic.Mac.ToLowerInvariant();
                if (free.FirstOrDefault(p => p.Machine == machine.Name && p.Mac == mac) is { } known) free.Remove(known);
                else plugs.Add(new(machine.Name, mac, plugs.Count));
            }
        return plugs;
    }

    /// <summary>
    /// Takes the gateway's MAC away from links of a machine that has just been made and does not run yet. A bridge of the host without a card of its own has the lowest MAC of its links
    /// (br_stp_recalculate_bridge_id), which is one that libvirt derives from a machine's; so a copy's link would have the MAC of its own gateway, and the fence's bridge takes in itself what is
    /// sent to a MAC of one of its links. Does nothing, and starts no program, where no MAC is shared.
    /// </summary>
    public static async Task SpareGatewayMacsAsync(FenceRecord? record, MachineBlueprint machine, LibvirtDomain domain, CancellationToken stop)
    {
        if (record is not { GatewayMacs: var taken }) return;
        if (!machine.Nics.Any(n => taken.Contains(LinkMac(n.Mac)))) return;
        foreach (var nic in DomainText.Parse(await domain.GetXmlAsync(cancellationToken: stop)).Descendants("interface"))
            if ((string?)nic.Element("target")?.Attribute("dev") is { } link && (string?)nic.Element("mac")?.Attribute("address") is { } mac && taken.Contains(LinkMac(mac)))
                await HostCommand.RunAsync("ip", ["link", "set", "dev", link, "address", SpareMac(mac, taken)], null, stop);
    }

    /// <summary>The MAC that libvirt gives the host's end of a machine's link (virNetDevTapCreateInBridgePort): the machine's with another first byte.</summary>
    internal static string LinkMac(string mac) => mac.ToLowerInvariant() is var lower && lower.StartsWith("fe:", StringComparison.Ordinal) ? "fa" + lower[2..] : "fe" + lower[2..];

    /// <summary>A locally administered MAC, as high as libvirt's, that neither a gateway nor the machine has.</summary>
    internal static string SpareMac(string mac, IReadOnlyList<string> taken) => new[] { "fe", "fa", "f6", "f2", "ee" }.Select(first => first + mac.ToLowerInvariant()[2..]).First(m => !taken.Contains(m) && !string.Equals(m, mac, StringComparison.OrdinalIgnoreCase));
}
