using System.Text;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt.Fences;

/// <summary>nftables rules of a fence: one file for the gateway's namespace, one for the host. Each is applied as one transaction.</summary>
internal static class FenceRules
{
    /// <summary>
    /// In the gateway: an outer address leads to its inner one; machines see their gateway as the peer, so that answers come back whatever their routes;
    /// nothing else passes between the fence and the outside, unless <paramref name="uplink"/> opens egress.
    /// </summary>
    public static string Gateway(FenceRecord record, UplinkMode uplink)
    {
        var rules = new StringBuilder("table ip weave\ndelete table ip weave\ntable ip weave {\n");
        rules.Append(" map outer { type ipv4_addr : ipv4_addr;");
        if (record.Addresses.Count > 0) rules.Append($" elements = {{ {string.Join(", ", record.Addresses.Select(a => $"{a.Outer} : {a.Inner}"))} }}");
        rules.Append(" }\n chain prerouting { type nat hook prerouting priority dstnat; iifname \"uplink\" dnat to ip daddr map @outer; }\n");
        rules.Append(" chain postrouting { type nat hook postrouting priority srcnat; oifname \"leg*\" ct status dnat masquerade;");
        if (uplink == UplinkMode.Nat) rules.Append(" oifname \"uplink\" masquerade;");
        rules.Append(" }\n chain forward { type filter hook forward priority filter; policy drop; ct state established,related accept; iifname \"uplink\" ct status dnat accept;");
        if (uplink == UplinkMode.Nat) rules.Append(" iifname \"leg*\" oifname \"uplink\" accept;");
        rules.Append(" }\n chain input { type filter hook input priority filter; policy drop; ct state established,related accept; iifname \"lo\" accept; iifname \"leg*\" udp dport { 53, 67 } accept; iifname \"leg*\" tcp dport 53 accept; ip protocol icmp accept; }\n}\n");
        return rules.ToString();
    }

    /// <summary>How many chains and rules a text of this class makes.</summary>
    public static (int Chains, int Rules) Count(string text)
    {
        // Each statement ends with a semicolon; that of a chain's own (its hook, its policy) is no rule.
        var chains = text.Split('\n').Where(l => l.StartsWith(" chain ", StringComparison.Ordinal)).ToList();
        return (chains.Count, chains.Sum(l => l.Count(c => c == ';') - 1 - (l.Contains("policy ", StringComparison.Ordinal) ? 1 : 0)));
    }

    /// <summary>On the host: a fence reaches neither the host nor another fence; what leaves it (uplink nat only) is masqueraded.</summary>
    public static string Host(FenceNames names, FenceRecord record, UplinkMode uplink, IReadOnlyList<string> bridges)
    {
        var rules = new StringBuilder($"table ip {names.HostTable}\ndelete table ip {names.HostTable}\ntable ip {names.HostTable} {{\n");
        // Where bridges pass their frames to the IP rules of the host (net.bridge.bridge-nf-call-iptables), connections with the same addresses in several fences
        // would be taken for one, and the NAT of the originals' network would be applied inside a fence. What is not tracked is neither.
        rules.Append($" chain bridged {{ type filter hook prerouting priority raw; iifname \"{names.Bridges}\" notrack; }}\n");
        // A frame to a bridge's own MAC is the host's to receive, whatever address is in it, and the host's to forward.
        rules.Append($" chain input {{ type filter hook input priority filter - 10; iifname \"{names.HostUplink}\" ct state new drop; iifname \"{names.Bridges}\" drop; }}\n");
        rules.Append($" chain forward {{ type filter hook forward priority filter - 10; iifname \"{names.HostUplink}\" oifname \"wv*\" ct state new drop;");
        // What passes a bridge may come here, too, as from the bridge to itself.
        foreach (var bridge in bridges) rules.Append($" iifname \"{bridge}\" oifname != \"{bridge}\" drop; iifname != \"{bridge}\" oifname \"{bridge}\" drop;");
        if (uplink == UplinkMode.None) rules.Append($" iifname \"{names.HostUplink}\" ct state new drop;");
        rules.Append(" }\n");
        if (uplink == UplinkMode.Nat) rules.Append($" chain postrouting {{ type nat hook postrouting priority srcnat; ip saddr {record.Subnet}.0/24 oifname != \"{names.HostUplink}\" masquerade; }}\n");
        return rules.Append("}\n").ToString();
    }
}
