using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Xml.Linq;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt.Examining;

/// <summary>What a network's XML says, and all reasons in it why a fence could not stand for it. Pure: looks at text only.</summary>
/// <param name="Device">The bridge or interface of the host that it hands its machines to; null for a network of libvirt's own.</param>
internal sealed record NetworkReading(NetworkBlueprint Blueprint, IReadOnlyList<Refusal> Refusals, string? Device = null)
{
    /// <summary>What libvirt gives a lease where nothing is said.</summary>
    private const int DefaultLease = 3600;
    /// <summary>Stands for a lease without end: a year.</summary>
    private const int LongestLease = 365 * 24 * 3600;

    public static NetworkReading Read(NetworkName name, XDocument definition)
    {
        var network = definition.Root!;
        List<Refusal> refusals = [];
        void Refuse(string reason, string next) => refusals.Add(new($"network {name}", reason, next));

        var mode = network.Element("forward") is { } forward ? (string?)forward.Attribute("mode") ?? "nat" : "isolated";
        if (network.Descendants("vlan").Any()) Refuse("It has VLANs, of which each would be a network of its own.", "Name the VLAN on the machines' interfaces with `virsh edit`, and take it out of the network.");
        if (mode is "bridge" or "private" or "vepa" or "passthrough")
        {
            var device = (string?)network.Element("bridge")?.Attribute("name") ?? (string?)network.Element("forward")!.Elements("interface").FirstOrDefault()?.Attribute("dev")
                ?? (string?)network.Element("forward")!.Attribute("dev");
            if (device is null || !NetworkName.TryCreate(device, out _)) Refuse("It hands its machines to the host's network, and names no bridge or interface of it that can be used.", "Name one with `virsh net-edit`.");
            else return new(new() { Name = name }, refusals, device);
        }
        else if (mode is not ("isolated" or "nat" or "route" or "open")) Refuse($"It gives its machines cards of the host (forward mode {Ids.Quote(mode)}).", "Use a network of mode nat, route, open, bridge or none.");
        if (network.Element("virtualport") is not null) Refuse("It has a virtual port of an outer switch.", "Use a network with a Linux bridge of libvirt's own.");
        if (network.Elements("route").Any()) Refuse("It has static routes, which are not built yet.", "Remove <route> with `virsh net-edit`.");

        var addresses = network.Elements("ip").ToLookup(ip => (string?)ip.Attribute("family") == "ipv6" || ((string?)ip.Attribute("address"))?.Contains(':') == true);
        if (addresses[true].Any()) Refuse("It has IPv6 addresses, which are not built yet.", "Remove the IPv6 <ip> with `virsh net-edit`.");
        if (addresses[false].Count() > 1) Refuse("It has more than one IPv4 address.", "Keep one <ip> with `virsh net-edit`.");
        var ip = addresses[false].FirstOrDefault();
        var gateway = (string?)ip?.Attribute("address");
        var prefix = 0;
        if (ip is not null)
        {
            prefix = Prefix(ip, gateway);
            if (!IsIPv4(gateway) || prefix is < 1 or > 30) Refuse($"Its address {Ids.Quote(gateway)} with its netmask is no IPv4 network of prefix 1 to 30.", "Correct <ip> with `virsh net-edit`.");
        }

        var dhcp = ip?.Element("dhcp");
        var ranges = dhcp?.Elements("range").ToList() ?? [];
        if (ranges.Count > 1) Refuse("It has more than one DHCP range.", "Keep one <range> with `virsh net-edit`.");
        if (dhcp?.Element("bootp") is not null || ip?.Element("tftp") is not null) Refuse("It boots machines from the network (bootp, tftp), which is not built yet.", "Remove <bootp> and <tftp> with `virsh net-edit`.");
        List<HostEntry> hosts = [];
        foreach (var host in dhcp?.Elements("host") ?? [])
            if ((string?)host.Attribute("ip") is { } address && IsIPv4(address))
                hosts.Add(new(((string?)host.Attribute("mac"))?.ToLowerInvariant(), address, (string?)host.Attribute("name") is { } called ? [called] : []));
        foreach (var host in network.Element("dns")?.Elements("host") ?? [])
            if ((string?)host.Attribute("ip") is { } address && IsIPv4(address))
                hosts.Add(new(null, address, [.. host.Elements("hostname").Select(h => h.Value.Trim())]));

        return new(new()
        {
            Name = name, Gateway = gateway, PrefixLength = prefix, GatewayMac = gateway is null ? null : ((string?)network.Element("mac")?.Attribute("address"))?.ToLowerInvariant(),
            DomainName = (string?)network.Element("domain")?.Attribute("name"), Dhcp = dhcp is not null,
            DhcpStart = (string?)ranges.FirstOrDefault()?.Attribute("start"), DhcpEnd = (string?)ranges.FirstOrDefault()?.Attribute("end"),
            LeaseSeconds = Lease(ranges.FirstOrDefault()?.Element("lease")), Hosts = hosts,
            Mtu = int.TryParse((string?)network.Element("mtu")?.Attribute("size"), NumberStyles.None, CultureInfo.InvariantCulture, out var mtu) ? mtu : 0,
        }, refusals);
    }

    /// <summary>True for a host address inside the network; for a network without a gateway every IPv4 address is.</summary>
    public static bool Contains(NetworkBlueprint network, string address) =>
        IsIPv4(address) && (network.Gateway is null || network.PrefixLength is >= 1 and <= 30 && IsIPv4(network.Gateway) && (Number(address) ^ Number(network.Gateway)) >> (32 - network.PrefixLength) == 0);

    /// <summary>True where the two share an address.</summary>
    public static bool Overlap(NetworkBlueprint left, NetworkBlueprint right)
    {
        if (left.Gateway is null || right.Gateway is null) return false;
        var bits = Math.Min(left.PrefixLength, right.PrefixLength);
        return bits == 0 || (Number(left.Gateway) ^ Number(right.Gateway)) >> (32 - bits) == 0;
    }

    private static uint Number(string address) => System.Buffers.Binary.BinaryPrimitives.ReadUInt32BigEndian(IPAddress.Parse(address).GetAddressBytes());

    // Four numbers: IPAddress alone would also take "1" and octal forms.
    private static bool IsIPv4(string? text) => text is not null && IPAddress.TryParse(text, out var address) && address.AddressFamily == AddressFamily.InterNetwork && address.ToString() == text;

    private static int Prefix(XElement ip, string? gateway)
    {
        if (int.TryParse((string?)ip.Attribute("prefix"), NumberStyles.None, CultureInfo.InvariantCulture, out var prefix)) return prefix;
        if ((string?)ip.Attribute("netmask") is { } mask)
        {
            if (!IsIPv4(mask)) return 0;
            var bits = Number(mask);
            var length = System.Numerics.BitOperations.LeadingZeroCount(~bits);
            return length == 0 || bits << length != 0 ? 0 : length;
        }
        // libvirt falls back on the address class (virNetworkIPDefPrefix).
        return IsIPv4(gateway) ? (Number(gateway!) >> 24) switch { < 128 => 8, < 192 => 16, < 224 => 24, _ => 0 } : 0;
    }

    private static int Lease(XElement? lease)
    {
        if (lease is null || !long.TryParse((string?)lease.Attribute("expiry"), NumberStyles.None, CultureInfo.InvariantCulture, out var expiry)) return DefaultLease;
        if (expiry == 0) return LongestLease;
        long unit = (string?)lease.Attribute("unit") switch { "seconds" => 1, "hours" => 3600, _ => 60 };
        return (int)Math.Clamp(expiry > LongestLease ? LongestLease : expiry * unit, 120, LongestLease);
    }
}
