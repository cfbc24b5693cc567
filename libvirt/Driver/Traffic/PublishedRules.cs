using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.Libvirt.Fences;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt.Traffic;

/// <summary>
/// The nft table of published ports: its text, and what a table that was read back says. Ports for everyone are in the maps `PROTOCOL_at` and `PROTOCOL_any`. A port for some clients is in `…_some`, and in `…_only` with the
/// chain of its sources: there a client of theirs goes on to `open`, which translates by `…_some`, and any other is dropped. So whatever is flushed closes such a port, and none of them is passed on to another one.
/// Chains are named by the sources, and shared. These are chains of NAT: they see the first packet of a connection alone, and a change leaves those that exist as they are.
/// What is translated to an address of a fence (`outer`) goes to the fence's uplink (`ways`) or nowhere: a fence may not be there, and then the host has another route for its addresses, or another fence has them.
/// </summary>
internal static class PublishedRules
{
    private static readonly string[] Protocols = ["tcp", "udp"];
    private static readonly string[] Base = ["guard", "arrive", "local", "leave", "open", "through", "begin", "stay", "refuse"];
    /// <summary>What the names of chains of sources begin with.</summary>
    private const string Only = "only_";

    /// <summary>Maps of this form, of whatever service, whose elements are ports.</summary>
    public static bool IsPorts(string map, RouteProtocol protocol) => PortMaps(protocol == RouteProtocol.Udp ? "udp" : "tcp").Contains(map);

    private static string[] PortMaps(string protocol) => [$"{protocol}_at", $"{protocol}_any", $"{protocol}_at_some", $"{protocol}_any_some"];

    /// <summary>The host's link to a fence.</summary>
    public static string Uplink(FenceTag fence) => new FenceNames("", fence).HostUplink;

    /// <summary>The name of the chain of some sources: the same for the same.</summary>
    private static string ChainOf(string sources) => Only + Convert.ToHexStringLower(SHA256.HashData(Encoding.ASCII.GetBytes(sources)))[..16];

    /// <summary>One transaction that makes exactly these the published ports.</summary>
    /// <param name="there">Chains of the table now.</param>
    public static string Write(string table, IReadOnlyList<PublishedEndpoint> endpoints, IReadOnlyCollection<string> there)
    {
        var sources = endpoints.Select(e => e.Sources).OfType<string>().Distinct().ToDictionary(ChainOf);
        var text = new StringBuilder($"table ip {table} {{\n");
        foreach (var protocol in Protocols)
        {
            foreach (var some in new[] { "", "_some" })
                text.Append($" map {protocol}_at{some} {{ type ipv4_addr . inet_service : ipv4_addr . inet_service; }}\n map {protocol}_any{some} {{ type inet_service : ipv4_addr . inet_service; }}\n");
            text.Append($" map {protocol}_at_only {{ type ipv4_addr . inet_service : verdict; }}\n map {protocol}_any_only {{ type inet_service : verdict; }}\n");
        }
        text.Append(" chain guard { type filter hook prerouting priority raw; }\n chain arrive { type nat hook prerouting priority dstnat - 5; }\n");
        text.Append(" chain local { type nat hook output priority -105; }\n chain leave { type nat hook postrouting priority srcnat - 5; }\n chain open { }\n");
        text.Append(" set outer { type ipv4_addr; }\n set ways { type ipv4_addr . ifname; }\n chain refuse { }\n chain through { type filter hook forward priority filter - 20; }\n");
        text.Append(" chain begin { type filter hook output priority filter - 20; }\n chain stay { type filter hook postrouting priority filter; }\n");
        foreach (var chain in sources.Keys) text.Append($" chain {chain} {{ }}\n");
        text.Append("}\n");
        foreach (var map in Protocols.SelectMany(p => PortMaps(p).Concat([$"{p}_at_only", $"{p}_any_only"]))) text.Append($"flush map ip {table} {map}\n");
        foreach (var set in new[] { "outer", "ways" }) text.Append($"flush set ip {table} {set}\n");
        foreach (var chain in Base.Concat(sources.Keys)) text.Append($"flush chain ip {table} {chain}\n");
        var old = there.Where(c => c.StartsWith(Only, StringComparison.Ordinal) && !sources.ContainsKey(c)).ToList();
        foreach (var chain in old) text.Append($"flush chain ip {table} {chain}\n");
        foreach (var (chain, rules) in Rules().Concat(sources.Select(s => (s.Key, OnlyRules(s.Value)))))
            foreach (var rule in rules) text.Append($"add rule ip {table} {chain} {rule}\n");
        foreach (var chain in old) text.Append($"delete chain ip {table} {chain}\n");
        var ways = new HashSet<(string Outer, FenceTag Fence)>();
        foreach (var e in endpoints)
        {
            var protocol = e.Protocol == RouteProtocol.Udp ? "udp" : "tcp";
            var any = e.ListenAddress == "0.0.0.0";
            var (map, key) = any ? ($"{protocol}_any", e.ListenPort.ToString(CultureInfo.InvariantCulture)) : ($"{protocol}_at", string.Create(CultureInfo.InvariantCulture, $"{e.ListenAddress} . {e.ListenPort}"));
            text.Append(CultureInfo.InvariantCulture, $"add element ip {table} {map}{(e.Sources is null ? "" : "_some")} {{ {key} comment \"{Comment(e)}\" : {e.TargetAddress} . {e.TargetPort} }}\n");
            if (e.Fence is { } fence) ways.Add((e.TargetAddress, fence));
            if (e.Sources is { } only) text.Append($"add element ip {table} {map}_only {{ {key} : goto {ChainOf(only)} }}\n");
        }
        foreach (var way in ways.GroupBy(w => w.Outer, w => w.Fence))
        {
            text.Append($"add element ip {table} outer {{ {way.Key} }}\n");
            // Of two fences that have one address (the record of one that is not there was lost) nobody can say by the packet which is meant: there is no way.
            if (way.Count() == 1) text.Append($"add element ip {table} ways {{ {way.Key} . \"{Uplink(way.First())}\" }}\n");
        }
        return text.ToString();
    }

    /// <summary>What the element of a port is known by: its route, and the fence that it leads into.</summary>
    private static string Comment(PublishedEndpoint endpoint) => endpoint.Fence is { } fence ? $"{endpoint.Id} {fence}" : endpoint.Id.ToString();

    private static IEnumerable<(string Chain, IReadOnlyList<string> Rules)> Rules()
    {
        // With route_localnet an address of the loopback net could be asked for from outside; nobody may.
        yield return ("guard", ["iifname != \"lo\" ip daddr 127.0.0.0/8 drop"]);
        foreach (var chain in new[] { "arrive", "local" })
            yield return (chain, [.. Protocols.SelectMany(p => new[]
            {
                $"ip daddr . {p} dport vmap @{p}_at_only", $"dnat ip to ip daddr . {p} dport map @{p}_at",
                $"fib daddr type local {p} dport vmap @{p}_any_only", $"fib daddr type local dnat ip to {p} dport map @{p}_any",
            })]);
        // An answer to a loopback address would never leave the machine that gives it.
        yield return ("leave", ["ct status dnat ip saddr 127.0.0.0/8 masquerade"]);
        yield return ("open", [.. Protocols.SelectMany(p => new[] { $"dnat ip to ip daddr . {p} dport map @{p}_at_some", $"fib daddr type local dnat ip to {p} dport map @{p}_any_some" })]);
        yield return ("through", ["ct status dnat ip daddr @outer ip daddr . oifname != @ways goto refuse"]);
        // In this hook the interface is still the one of before the translation; the next hop is the new one, and that of a fence's address is the address itself.
        yield return ("begin", ["ct status dnat ip daddr @outer rt ip nexthop != @outer goto refuse"]);
        yield return ("stay", ["ct status dnat ip daddr @outer ip daddr . oifname != @ways drop"]);
        // Connections that exist wait: their fence may be made whole. Neither a host nor a network that is unreachable would tell a client of UDP.
        yield return ("refuse", ["ct state != new drop", "meta l4proto tcp reject with tcp reset", "reject with icmp port-unreachable"]);
    }

    private static IReadOnlyList<string> OnlyRules(string sources) => [.. sources.Split(',', StringSplitOptions.RemoveEmptyEntries).Select(s => $"ip saddr {s} goto open"), "drop"];

    /// <param name="Endpoints">Elements of the maps, whether or not rules use them; their sources and fences are those that the kernel holds, none where it holds nothing.</param>
    /// <param name="Broken">Of them those that do not work: their own rules, or all, are not what they should be.</param>
    public sealed record Found(IReadOnlyList<PublishedEndpoint> Endpoints, IReadOnlySet<RouteId> Broken, IReadOnlyCollection<string> Chains);

    /// <summary>Reads what `nft -j list table` says.</summary>
    public static Found Read(string listing)
    {
        using var document = JsonDocument.Parse(listing);
        var items = document.RootElement.GetProperty("nftables").EnumerateArray().ToList();
        var rules = new Dictionary<string, List<JsonElement>>();
        foreach (var item in items)
            if (item.TryGetProperty("chain", out var chain)) rules.TryAdd(chain.GetProperty("name").GetString()!, []);
            else if (item.TryGetProperty("rule", out var rule) && rules.TryGetValue(rule.GetProperty("chain").GetString()!, out var list)) list.Add(rule.GetProperty("expr"));
        // A table of an earlier version is another one, too.
        var whole = Rules().All(r => rules.TryGetValue(r.Chain, out var there) && there.Count == r.Rules.Count);
        var chains = new Dictionary<(string, string), string>();
        foreach (var (name, elements) in Maps(items).Where(m => m.Name.EndsWith("_only", StringComparison.Ordinal)))
            foreach (var element in elements) chains[(name, Key(element[0]).ToString())] = element[1].TryGetProperty("goto", out var to) ? to.GetProperty("target").GetString()! : "";
        var guards = new Guards(items);
        var found = new List<PublishedEndpoint>();
        var broken = new HashSet<RouteId>();
        foreach (var (name, elements) in Maps(items))
            foreach (var protocol in new[] { RouteProtocol.Tcp, RouteProtocol.Udp })
                if (IsPorts(name, protocol))
                    foreach (var element in elements)
                    {
                        var key = Key(element[0]);
                        if (Comment(element[0])?.Split(' ') is not [var route, ..] words || !RouteId.TryCreate(route, out var id)) continue;
                        var target = element[1].GetProperty("concat");
                        var endpoint = new PublishedEndpoint(id, protocol, key.Address ?? "0.0.0.0", key.Port, target[0].GetString()!, target[1].GetInt32());
                        if (TagOf(words) is { } fence && guards.Hold(endpoint.TargetAddress, fence)) endpoint = endpoint with { Fence = fence };
                        if (!whole) broken.Add(id);
                        if (name.EndsWith("_some", StringComparison.Ordinal))
                        {
                            var chain = chains.GetValueOrDefault((name[..^4] + "only", key.ToString()), "");
                            var (sources, closed) = rules.TryGetValue(chain, out var only) ? Sources(only) : ("", false);
                            endpoint = endpoint with { Sources = sources };
                            if (!closed) broken.Add(id);
                        }
                        found.Add(endpoint);
                    }
        return new(found, broken, rules.Keys);
    }

    private static IEnumerable<(string Name, IReadOnlyList<JsonElement> Elements)> Maps(IEnumerable<JsonElement> items)
    {
        foreach (var item in items)
            if (item.TryGetProperty("map", out var map) && map.TryGetProperty("elem", out var elements)) yield return (map.GetProperty("name").GetString()!, [.. elements.EnumerateArray()]);
    }

    private static FenceTag? TagOf(string[] comment) => comment is [_, var tag] && FenceTag.TryCreate(tag, out var fence) ? fence : null;

    /// <summary>The outer addresses that the kernel holds, their ways, and the fences that ports claim them for.</summary>
    private sealed class Guards
    {
        private readonly HashSet<string> _outer;
        private readonly ILookup<string, string> _ways;
        private readonly ILookup<string, FenceTag> _claims;

        public Guards(IReadOnlyList<JsonElement> items)
        {
            IEnumerable<JsonElement> Elements(string name) => items.Select(i => i.TryGetProperty("set", out var set) && set.GetProperty("name").GetString() == name && set.TryGetProperty("elem", out var elements) ? elements : default)
                .Where(e => e.ValueKind == JsonValueKind.Array).SelectMany(e => e.EnumerateArray());
            _outer = [.. Elements("outer").Where(e => e.ValueKind == JsonValueKind.String).Select(e => e.GetString()!)];
            _ways = Elements("ways").Select(e => e.GetProperty("concat")).ToLookup(way => way[0].GetString()!, way => way[1].GetString()!);
            _claims = Maps(items).Where(m => IsPorts(m.Name, RouteProtocol.Tcp) || IsPorts(m.Name, RouteProtocol.Udp)).SelectMany(m => m.Elements)
                .Select(e => (Target: e[1].GetProperty("concat")[0].GetString()!, Fence: TagOf(Comment(e[0])?.Split(' ') ?? []))).Where(c => c.Fence is not null).Distinct().ToLookup(c => c.Target, c => c.Fence!.Value);
        }

        /// <summary>What is sent to the address goes into that fence; or nowhere, because two claim it.</summary>
        public bool Hold(string outer, FenceTag fence) => _outer.Contains(outer) && _ways[outer].SequenceEqual(_claims[outer].Count() == 1 ? [Uplink(fence)] : []);
    }

    private static (string? Address, int Port) Key(JsonElement key)
    {
        if (key.ValueKind == JsonValueKind.Object && key.TryGetProperty("elem", out var inner)) key = inner.GetProperty("val");
        return key.ValueKind == JsonValueKind.Object && key.TryGetProperty("concat", out var parts) ? (parts[0].GetString()!, parts[1].GetInt32()) : (null, key.GetInt32());
    }

    private static string? Comment(JsonElement key) => key.ValueKind == JsonValueKind.Object && key.TryGetProperty("elem", out var inner) && inner.TryGetProperty("comment", out var text) ? text.GetString() : null;

    /// <summary>The sources that a chain lets through, in the order of its rules; not closed where it has other rules than ours, or no end.</summary>
    private static (string Sources, bool Closed) Sources(List<JsonElement> rules)
    {
        var sources = new List<string>();
        for (var i = 0; i < rules.Count; i++)
        {
            if (i == rules.Count - 1 && rules[i].GetArrayLength() == 1 && rules[i][0].TryGetProperty("drop", out _)) return (string.Join(',', sources), true);
            if (Source(rules[i]) is not { } source) break;
            sources.Add(source);
        }
        return (string.Join(',', sources), false);
    }

    private static string? Source(JsonElement rule)
    {
        if (rule.GetArrayLength() != 2 || !rule[0].TryGetProperty("match", out var match) || match.GetProperty("op").GetString() != "==" || !rule[1].TryGetProperty("goto", out var to) || to.GetProperty("target").GetString() != "open") return null;
        if (!match.GetProperty("left").TryGetProperty("payload", out var payload) || !payload.TryGetProperty("field", out var field) || field.GetString() != "saddr") return null;
        var right = match.GetProperty("right");
        var text = right.ValueKind == JsonValueKind.String ? right.GetString()
            : right.TryGetProperty("prefix", out var prefix) ? string.Create(CultureInfo.InvariantCulture, $"{prefix.GetProperty("addr").GetString()}/{prefix.GetProperty("len").GetInt32()}") : null;
        return RulePrefix.TryParse(text, out var parsed) ? parsed.ToString() : null;
    }
}
