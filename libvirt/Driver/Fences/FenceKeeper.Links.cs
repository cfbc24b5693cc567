using System.Security.Cryptography;
using System.Text;
using System.Xml.Linq;
using LibvirtSharp;
using WeaveHypervisor.Drivers;

namespace WeaveHypervisor.Libvirt.Fences;

/// <summary>Bridges, libvirt's networks on them, and the links of the gateway.</summary>
internal sealed partial class FenceKeeper
{
    private static IReadOnlyList<string> Bridges(FenceNames names, FenceSpec fence) => [.. Enumerable.Range(0, fence.Networks.Count).Select(names.Bridge)];

    /// <summary>
    /// A libvirt network that does nothing but name a bridge of ours. One that made its bridge itself would take 50 ms longer to make and 250 ms longer to end (measured, libvirt 9.0), most of them for iptables rules
    /// that a fence has in nftables; fences of earlier versions have such networks, and keep them while they are whole.
    /// </summary>
    private async Task EnsureNetworkAsync(FenceNames names, int index, FenceSpec fence, CancellationToken stop)
    {
        var name = names.Network(index);
        XNamespace mark = DriverContext.MarkNamespace;
        await context.Host.CallAsync($"make the network '{name}'", async connection =>
        {
            try
            {
                using var there = await connection.LookupNetworkAsync(name, stop);
                var ours = XElement.Parse(await there.GetXmlAsync(cancellationToken: stop)).Element("forward") is not null;
                if (await there.IsActiveAsync(stop) && (ours || Directory.Exists($"/sys/class/net/{names.Bridge(index)}"))) return;
                // One of an earlier version takes its bridge along, of which something may be left: so it goes before ours is made.
                await EndNetworkAsync(there, stop);
            }
            catch (LibvirtException e) when (e.Code == VirErrorCode.NoNetwork)
            {
                // To be made.
            }
            var xml = new XElement("network", new XElement("name", name),
                new XElement("metadata", new XElement(mark + "fence", new XAttribute(XNamespace.Xmlns + "weave", mark.NamespaceName), new XAttribute("owner", context.Options.Prefix),
                    new XAttribute("environment", fence.Environment.Text), new XAttribute("weave", fence.Weave.Text))),
                new XElement("forward", new XAttribute("mode", "bridge")), new XElement("bridge", new XAttribute("name", names.Bridge(index))));
            using var made = await connection.CreateNetworkAsync(xml.ToString(SaveOptions.DisableFormatting), stop);
        }, stop);
    }

    private static async Task EnsureNamespaceAsync(FenceNames names, CancellationToken stop)
    {
        if (!IsThere(names)) await HostCommand.RunAsync("ip", ["netns", "add", names.Namespace], null, stop);
    }

    /// <param name="server">What starts the name server, as a line of a shell; empty where that is not wanted.</param>
    private static async Task EnsureLinksAsync(FenceNames names, FenceRecord record, FenceSpec fence, string server, CancellationToken stop)
    {
        var links = Links().ToHashSet();
        var host = new StringBuilder();
        var inside = new StringBuilder("link set lo up\n");
        for (var i = 0; i < fence.Networks.Count; i++)
        {
            var network = fence.Networks[i];
            if (!links.Contains(names.Bridge(i))) host.Append($"link add {names.Bridge(i)} address {NewMac()} type bridge stp_state 0 forward_delay 0\n");
            // A bridge takes the smallest MTU of its links until one is set; machines learn it from their bridge.
            host.Append($"link set {names.Bridge(i)} {(network.Mtu > 0 ? $"mtu {network.Mtu} " : "")}up\n");
            var mac = network.GatewayMac is { } m && System.Net.NetworkInformation.PhysicalAddress.TryParse(m.Replace(':', '-').ToUpperInvariant(), out _) ? $" address {m}" : "";
            if (!links.Contains(names.HostLeg(i))) host.Append($"link add {names.HostLeg(i)} type veth peer name {FenceNames.Leg(i)} netns {names.Namespace}{mac}\n");
            host.Append($"link set {names.HostLeg(i)} {(network.Mtu > 0 ? $"mtu {network.Mtu} " : "")}master {names.Bridge(i)} up\n");
            if (network.Mtu > 0) inside.Append($"link set {FenceNames.Leg(i)} mtu {network.Mtu}\n");
            inside.Append($"link set {FenceNames.Leg(i)} up\n");
            if (network.Gateway is { } gateway) inside.Append($"addr replace {Checked(gateway)}/{network.PrefixLength} dev {FenceNames.Leg(i)}\n");
        }
        if (!links.Contains(names.HostUplink)) host.Append($"link add {names.HostUplink} type veth peer name {FenceNames.Uplink} netns {names.Namespace}\n");
        host.Append($"addr replace {record.HostAddress}/24 dev {names.HostUplink}\nlink set {names.HostUplink} up\n");
        inside.Append($"link set {FenceNames.Uplink} up\naddr replace {record.GatewayAddress}/24 dev {FenceNames.Uplink}\n");
        foreach (var address in record.Addresses) inside.Append($"addr replace {address.Outer}/32 dev {FenceNames.Uplink}\n");
        inside.Append($"route replace default via {record.HostAddress} dev {FenceNames.Uplink}\n");
        await HostCommand.RunAsync("ip", ["-batch", "-"], host.ToString(), stop);
        Quieten(names, fence);
        // One entry into the namespace for all. New links are down until its last part but one, and rules that are there are replaced in one transaction: nothing passes without them.
        await HostCommand.RunAsync("ip", ["netns", "exec", names.Namespace, "sh", "-es"],
            $"{Settings}nft -f - << 'END-OF-RULES'\n{FenceRules.Gateway(record, fence.Uplink)}END-OF-RULES\nip -batch - << 'END-OF-LINKS'\n{inside}END-OF-LINKS\n{server}\n", stop);
    }

    /// <summary>The gateway forwards, takes packets from wherever they come, and speaks no IPv6. For its links too, which have been made with other defaults.</summary>
    private const string Settings = """
        echo 1 > /proc/sys/net/ipv4/ip_forward
        for f in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 0 > $f; done
        for f in /proc/sys/net/ipv6/conf/*/disable_ipv6; do [ ! -e $f ] || echo 1 > $f; done

        """;

    /// <summary>
    /// The host speaks to nobody in a fence: no end of the uplink and no bridge has IPv6, and at a bridge the host answers for none of its addresses (without that, where rp_filter is 0, it says to machines that
    /// an address of its own is there, and the gateway of the originals' network often is one).
    /// </summary>
    private static void Quieten(FenceNames names, FenceSpec fence)
    {
        var bridges = Bridges(names, fence);
        foreach (var device in (string[])[names.HostUplink, .. bridges, .. Enumerable.Range(0, bridges.Count).Select(names.HostLeg)]) Set($"/proc/sys/net/ipv6/conf/{device}/disable_ipv6", "1");
        foreach (var bridge in bridges) Set($"/proc/sys/net/ipv4/conf/{bridge}/arp_ignore", "8");

        static void Set(string path, string value)
        {
            if (File.Exists(path)) File.WriteAllText(path, value);
        }
    }

    /// <summary>Locally administered, and nobody's: a bridge without one of its own has the lowest of its links', and takes in what is sent to its own.</summary>
    private static string NewMac() => "0a:" + string.Join(':', RandomNumberGenerator.GetBytes(5).Select(b => b.ToString("x2", System.Globalization.CultureInfo.InvariantCulture)));
}
