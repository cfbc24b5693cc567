using LibvirtSharp;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt.Fences;

/// <summary>MACs of the host's ends of the machines' links.</summary>
internal sealed partial class FenceKeeper
{
    /// <summary>
    /// Takes the gateway's MAC away from links of a machine that has just been made and does not run yet. A bridge of the host without a card of its own has the lowest MAC of its links
    /// (br_stp_recalculate_bridge_id), which is one that libvirt derives from a machine's; so a copy's link would have the MAC of its own gateway, and the fence's bridge takes in itself what is
    /// sent to a MAC of one of its links. Does nothing, and starts no program, where no MAC is shared.
    /// </summary>
    public async Task SpareGatewayMacsAsync(FenceTag tag, MachineBlueprint machine, LibvirtDomain domain, CancellationToken stop)
    {
        if (machine.Nics.Count == 0 || await ReadRecordAsync(tag, stop) is not { GatewayMacs: var taken }) return;
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
