using System.Globalization;
using System.Net;
using System.Security.Cryptography;
using System.Text;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt.Fences;

/// <summary>
/// The security groups of a fence as one nftables table of the family bridge, on the host: every frame between two ports of the fence's bridges passes it, the gateway's leg being a port, too. Nothing is tracked
/// (see the notrack rule of <see cref="FenceRules"/>), so what answers a connection is told by its direction: of TCP by its flags and the rules read the other way round, of UDP by what was sent within
/// <see cref="AnswerSeconds"/>, of ICMP by its type. A machine is known by its plug, which no guest can forge, and by an address only where it is beyond the gateway.
/// <para>`ahead` judges a frame as the beginning of a connection: out of its sender, then `into` its receiver; `back` judges it as an answer. Chains return where they do not allow, and what returns to `forward` is dropped.</para>
/// </summary>
internal sealed class GroupRules
{
    /// <summary>How long an answer to a UDP datagram may take, and the pause between two of one conversation.</summary>
    public const int AnswerSeconds = 180;
    /// <summary>UDP conversations that a fence remembers at once; more of them get no answers to grouped machines.</summary>
    public const int MostAnswers = 65536;

    private const string NotBegin = "tcp flags & (fin|syn|rst|ack) != syn";

    private readonly FenceNames _names;
    private readonly FenceSpec _fence;
    private readonly StringBuilder _text = new();
    /// <summary>Addresses that belong to one machine alone, and are ones: what a guest's agent said of its own has no place in a rule otherwise.</summary>
    private readonly Dictionary<string, MachineName> _owners;
    private readonly IReadOnlyList<FencePlug> _plugs;
    private readonly IReadOnlyList<(MachineName Machine, int Index)> _links;
    private readonly List<MachineName> _grouped, _limited;

    /// <summary>One transaction: the table is replaced, or removed where there is nothing to enforce.</summary>
    public string Text { get; }
    /// <summary>What the table holds when nobody has changed it; elements without those of links by number and of answers.</summary>
    public (int Chains, int Rules, int Elements) Count { get; private set; }
    /// <summary>Comment of the first rule: names the text, so that a table of other rules is told from this one.</summary>
    public string Mark { get; }

    /// <summary>Whether a fence has a table of its own.</summary>
    public static bool Wanted(FenceSpec fence) => fence.Groups.Any(g => g.Machines.Count > 0);

    public static string Remove(FenceNames names) => $"table bridge {names.HostTable}\ndelete table bridge {names.HostTable}\n";

    /// <summary>A table that a host takes if it takes those of fences.</summary>
    public const string Probe = """
        table bridge weave_probe {
         set answers { type iface_index . iface_index . ipv4_addr . inet_service . ipv4_addr . inet_service; size 16; flags dynamic,timeout; timeout 10s; }
         set gateways { type ifname . ipv4_addr; elements = { "weave" . 192.0.2.1 }; }
         chain refused { counter drop; }
         chain forward { type filter hook forward priority filter; policy accept;
          iifname "weaveprobe*" ether type 8021q accept
          ip frag-off & 0x1fff != 0 accept
          frag frag-off != 0 accept
          icmpv6 type nd-neighbor-solicit accept
          iifname . ip saddr @gateways tcp flags & (fin|syn|rst|ack) != syn accept
          update @answers { oif . iif . ip daddr . udp dport . ip saddr . udp sport }
          oifname vmap { "weaveprobe" : goto refused }
         }
        }

        """;

    /// <param name="plugs">Names that the machines' taps have, or will have; kept with the fence.</param>
    /// <param name="links">Interface numbers of running machines' taps that have other names.</param>
    public GroupRules(FenceNames names, FenceSpec fence, IReadOnlyList<FencePlug> plugs, IReadOnlyList<(MachineName Machine, int Index)> links)
    {
        (_names, _fence, _plugs) = (names, fence, plugs);
        _grouped = [.. fence.Machines.Select(m => m.Name).Where(m => fence.Groups.Any(g => g.Machines.Contains(m)))];
        _limited = [.. _grouped.Where(m => fence.Groups.Any(g => g.Machines.Contains(m) && g.Rules.Any(r => r.Direction == RuleDirection.Out)))];
        _owners = fence.Machines.SelectMany(m => m.Nics.SelectMany(n => n.Addresses).Where(FenceKeeper.IsAddress).Distinct().Select(a => (Address: a, m.Name))).GroupBy(a => a.Address).Where(g => g.Count() == 1).ToDictionary(g => g.Key, g => g.Single().Name);
        _links = [];
        Mark = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(Write(""))))[..16];
        _links = links;
        _text.Clear();
        Text = Write(Mark);
    }

    private string Write(string mark)
    {
        _text.Append(Remove(_names));
        if (!Wanted(_fence)) return _text.ToString();
        Count = default;
        _text.Append($"table bridge {_names.HostTable} {{\n");
        Sets();
        Forward(mark);
        Ways();
        for (var i = 0; i < _grouped.Count; i++) Machine(i, _grouped[i]);
        for (var i = 0; i < _fence.Groups.Count; i++)
            if (_fence.Groups[i].Machines.Count > 0) Group(i, _fence.Groups[i]);
        return _text.Append("}\n").ToString();
    }

    private string Legs => $"\"{_names.HostLegPrefix}*\"";

    private void Sets()
    {
        Set("grouped", "ifname", Taps(_grouped.Contains));
        Set("limited", "ifname", Taps(_limited.Contains));
        Set("addresses", "ipv4_addr", Addresses(_grouped.Contains));
        Set("gateways", "ifname . ipv4_addr", _fence.Networks.Select((n, i) => (n.Gateway, Leg: _names.HostLeg(i))).Where(n => n.Gateway is not null).Select(n => $"\"{n.Leg}\" . {FenceKeeper.Checked(n.Gateway!)}"));
        Set("networks", "ipv4_addr; flags interval", Networks());
        Links("links", _ => true);
        Links("grouped_links", _grouped.Contains);
        Links("limited_links", _limited.Contains);
        Map("links_out", "out", _limited);
        Map("links_in", "in", _grouped);
        Map("links_out_back", "out_back", _limited);
        Map("links_in_back", "in_back", _grouped);
        foreach (var (kind, address) in new[] { (4, "ipv4_addr"), (6, "ipv6_addr") })
            _text.Append(CultureInfo.InvariantCulture, $" set answers{kind} {{ type iface_index . iface_index . {address} . inet_service . {address} . inet_service; size {MostAnswers}; flags dynamic,timeout; timeout {AnswerSeconds}s; }}\n");
        for (var i = 0; i < _fence.Groups.Count; i++)
        {
            var group = _fence.Groups[i];
            if (!IsPeer(group)) continue;
            Set($"g{i}_plugs", "ifname", Taps(group.Machines.Contains));
            Set($"g{i}_addresses", "ipv4_addr", Addresses(group.Machines.Contains));
            Links($"g{i}_links", group.Machines.Contains);
        }
    }

    private void Forward(string mark)
    {
        Begin("forward", "type filter hook forward priority filter; policy accept;");
        var own = $"\"{_names.LinkPrefix}*\"";
        Rule($"iifname != {own} oifname != {own} iif != @links oif != @links accept comment \"{mark}\"");
        Rule("ether type { 8021q, 8021ad } goto odd");
        Rule("ether type arp accept");
        Rule("ether type != { ip, ip6 } goto odd");
        // Later fragments bring no ports, and are nothing without the first one, which is judged; the second may not write over what was judged of it.
        Rule("ip frag-off & 0x1fff == 1 goto odd");
        Rule("ip frag-off & 0x1fff != 0 accept");
        Rule("frag frag-off 1 goto odd");
        Rule("frag frag-off != 0 accept");
        Rule("icmp type { echo-reply, destination-unreachable, time-exceeded, parameter-problem } accept");
        Rule("icmpv6 type { echo-reply, destination-unreachable, packet-too-big, time-exceeded, parameter-problem, nd-neighbor-solicit, nd-neighbor-advert } accept");
        // Whoever asked is known by the two ports of the bridge, too: no third machine can answer, whatever addresses it writes.
        foreach (var (kind, ip) in new[] { (4, "ip"), (6, "ip6") })
            Rule($"iif . oif . {ip} saddr . udp sport . {ip} daddr . udp dport @answers{kind} update @answers{kind} {{ iif . oif . {ip} saddr . udp sport . {ip} daddr . udp dport }} accept");
        Rule($"oifname {Legs} ip daddr 255.255.255.255 udp sport 68 udp dport 67 accept");
        Rule("oifname . ip daddr @gateways udp sport 68 udp dport 67 accept");
        Rule("iifname . ip saddr @gateways udp sport 67 udp dport 68 accept");
        Rule("oifname . ip daddr @gateways udp dport 53 goto pass");
        Rule("oifname . ip daddr @gateways tcp dport 53 accept");
        Rule($"iifname . ip saddr @gateways tcp sport 53 {NotBegin} accept");
        Rule("jump ahead");
        Rule($"{NotBegin} jump back");
        Rule("counter drop");
        End();
        Begin("odd");
        foreach (var end in new[] { "oifname @grouped", "oif @grouped_links", "iifname @limited", "iif @limited_links" }) Rule($"{end} counter drop");
        Rule("accept");
        End();
    }

    private void Ways()
    {
        Way("ahead", "into", "iif", "saddr", "out", _limited);
        Way("into", "pass", "oif", "daddr", "in", _grouped);
        Way("back", "back_into", "oif", "daddr", "out_back", _limited);
        Way("back_into", null, "iif", "saddr", "in_back", _grouped);
        Begin("pass");
        Rule("meta l4proto != udp accept");
        foreach (var end in new[] { "iifname @grouped", "oifname @grouped", "iif @grouped_links", "oif @grouped_links", "ip saddr @addresses", "ip daddr @addresses" }) Rule($"{end} goto note");
        Rule("accept");
        End();
        Begin("note");
        foreach (var (kind, ip) in new[] { (4, "ip"), (6, "ip6") }) Rule($"update @answers{kind} {{ oif . iif . {ip} daddr . udp dport . {ip} saddr . udp sport }}");
        Rule("accept");
        End();
    }

    /// <summary>From one end of a frame to the chain of its machine, by plug, or by address where it is beyond the gateway.</summary>
    private void Way(string name, string? next, string end, string address, string chain, List<MachineName> machines)
    {
        Begin(name);
        Verdicts($"{end}name", machines, m => Taps(n => n == m), chain);
        Rule($"{end} vmap @links_{chain}");
        Verdicts($"{end}name {Legs} ip {address}", machines, m => Addresses(n => n == m), chain);
        Rule(next is null ? "accept" : $"goto {next}");
        End();
    }

    private void Verdicts(string key, List<MachineName> machines, Func<MachineName, IEnumerable<string>> of, string chain)
    {
        var verdicts = machines.SelectMany(m => of(m).Select(k => $"{k} : goto m{_grouped.IndexOf(m)}_{chain}")).ToList();
        if (verdicts.Count > 0) Rule($"{key} vmap {{ {string.Join(", ", verdicts)} }}");
    }

    private void Machine(int index, MachineName machine)
    {
        var groups = Enumerable.Range(0, _fence.Groups.Count).Where(i => _fence.Groups[i].Machines.Contains(machine)).ToList();
        foreach (var way in _limited.Contains(machine) ? new[] { "in", "in_back", "out", "out_back" } : ["in", "in_back"])
        {
            Begin($"m{index}_{way}");
            foreach (var group in groups) Rule($"jump g{group}_{way}");
            End();
        }
    }

    private void Group(int index, SecurityGroup group)
    {
        foreach (var direction in new[] { RuleDirection.In, RuleDirection.Out })
            foreach (var back in new[] { false, true })
            {
                Begin($"g{index}_{(direction == RuleDirection.In ? "in" : "out")}{(back ? "_back" : "")}");
                var verdict = (direction, back) switch { (RuleDirection.In, false) => "goto pass", (RuleDirection.In, true) => "accept", (_, false) => "goto into", _ => "goto back_into" };
                foreach (var rule in United(group.Rules.Where(r => r.Direction == direction && !(back && r.Protocol is RuleProtocol.Udp or RuleProtocol.Icmp))))
                    foreach (var peer in Peers(rule, (direction == RuleDirection.In) != back)) Rule($"{peer}{What(rule, back)}{verdict}");
                End();
            }
    }

    /// <summary>Rules with one protocol and one peer are one: each costs a set in the kernel for each way to know the peer. nft takes no ranges that overlap.</summary>
    private static IEnumerable<SecurityRule> United(IEnumerable<SecurityRule> rules) =>
        rules.GroupBy(r => (r.Protocol, r.Peer)).Select(same => same.First() with { Ports = same.Any(r => r.Ports.Count == 0) ? [] : PortRange.Union(same.SelectMany(r => r.Ports), touching: true) });

    /// <summary>Conditions for the protocol; read backwards there is nothing but TCP, and the port is the sender's.</summary>
    private static string What(SecurityRule rule, bool back)
    {
        if (rule.Ports.Count > 0) return $"{(rule.Protocol == RuleProtocol.Tcp ? "tcp" : "udp")} {(back ? "sport" : "dport")} {(rule.Ports.Count == 1 ? rule.Ports[0] : $"{{ {string.Join(", ", rule.Ports)} }}")} ";
        return back ? "" : rule.Protocol switch { RuleProtocol.Tcp => "meta l4proto tcp ", RuleProtocol.Udp => "meta l4proto udp ", RuleProtocol.Icmp => "meta l4proto { icmp, ipv6-icmp } ", _ => "" };
    }

    /// <summary>Conditions for the peer, any of which is enough.</summary>
    /// <param name="source">The peer is the sender of the frame.</param>
    private IEnumerable<string> Peers(SecurityRule rule, bool source)
    {
        var (end, address) = source ? ("iif", "ip saddr") : ("oif", "ip daddr");
        if (rule.Peer.Group is { } name)
        {
            var group = Enumerable.Range(0, _fence.Groups.Count).First(i => _fence.Groups[i].Name == name);
            yield return $"{end}name @g{group}_plugs ";
            yield return $"{end} @g{group}_links ";
            yield return $"{end}name {Legs} {address} @g{group}_addresses ";
        }
        else if (rule.Peer.Prefix is { } prefix) yield return prefix.Length == 0 ? "meta protocol ip " : $"{address} {prefix} ";
        else if (rule.Peer.IsOutside)
        {
            // For whoever comes by a published port the gateway stands; to speak to the gateway itself is nothing outside.
            if (rule.Direction == RuleDirection.In) yield return $"{end}name . {address} @gateways ";
            yield return $"{end}name {Legs} {address} != @networks ";
        }
        else yield return "";
    }

    private bool IsPeer(SecurityGroup group) => _fence.Groups.Any(g => g.Rules.Any(r => r.Peer.Group == group.Name));

    private IEnumerable<string> Taps(Func<MachineName, bool> of) => _plugs.Where(p => of(p.Machine)).Select(p => $"\"{_names.Tap(p.Number)}\"");

    private IEnumerable<string> Addresses(Func<MachineName, bool> of) => _owners.Where(o => of(o.Value)).Select(o => o.Key).Order(StringComparer.Ordinal);

    /// <summary>The environment's networks, none within another: nft takes no intervals that overlap.</summary>
    private IEnumerable<string> Networks()
    {
        var all = _fence.Networks.Where(n => n.Gateway is not null).Select(n => RulePrefix.Around(IPAddress.Parse(n.Gateway!), n.PrefixLength)).Distinct().Order().ToList();
        return all.Where(p => !all.Any(o => o != p && o.Holds(p))).Select(p => p.ToString());
    }

    private void Set(string name, string type, IEnumerable<string> elements)
    {
        var all = elements.ToList();
        _text.Append($" set {name} {{ type {type};{(all.Count == 0 ? "" : $" elements = {{ {string.Join(", ", all)} }};")} }}\n");
        Count = Count with { Elements = Count.Elements + all.Count };
    }

    private void Links(string name, Func<MachineName, bool> of)
    {
        var all = _links.Where(l => of(l.Machine)).Select(l => l.Index.ToString(CultureInfo.InvariantCulture)).ToList();
        _text.Append($" set {name} {{ type iface_index;{(all.Count == 0 ? "" : $" elements = {{ {string.Join(", ", all)} }};")} }}\n");
    }

    private void Map(string name, string chain, List<MachineName> machines)
    {
        var all = _links.Where(l => machines.Contains(l.Machine)).Select(l => string.Create(CultureInfo.InvariantCulture, $"{l.Index} : goto m{_grouped.IndexOf(l.Machine)}_{chain}")).ToList();
        _text.Append($" map {name} {{ type iface_index : verdict;{(all.Count == 0 ? "" : $" elements = {{ {string.Join(", ", all)} }};")} }}\n");
    }

    private void Begin(string chain, string kind = "")
    {
        _text.Append($" chain {chain} {{{(kind.Length > 0 ? " " + kind : "")}\n");
        Count = Count with { Chains = Count.Chains + 1 };
    }

    private void Rule(string rule)
    {
        _text.Append("  ").Append(rule).Append('\n');
        Count = Count with { Rules = Count.Rules + 1 };
    }

    private void End() => _text.Append(" }\n");
}
