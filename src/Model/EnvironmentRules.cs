using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Net;
using System.Text.Json.Serialization;

namespace WeaveHypervisor.Model;

/// <summary>
/// Who may talk to whom in an environment: security groups, and the access policy of its published ports. Part of the metadata (<see cref="EnvironmentBlueprint"/>): versioned with every snapshot, and every weave
/// has rules of its own, those of its origin or of today.
/// <para><b>Groups.</b> A machine that is in no group is not limited. To one that is in at least one, a connection may be made only where a rule `in` of any of its groups allows it; and by it,
/// where any of its groups has a rule `out`, only what a rule `out` of any of them allows (groups without one limit nothing that goes out). Both ends must allow it. Rules only allow; their order means nothing.</para>
/// <para><b>What always passes.</b> What belongs to a connection that may be made: answers, of TCP also of connections that are older than the rules or the weave; errors of ICMP. ARP and IPv6 neighbour discovery, and a
/// machine's DHCP and DNS with the gateway of its network.</para>
/// <para><b>Where.</b> Enforced in the fences of weaves. The adopted originals are guarded by whatever guards them on their host: of `main` rules are recorded, and its access policy is enforced on its published ports.</para>
/// </summary>
public sealed record EnvironmentRules
{
    /// <summary>No group, and published ports for everyone.</summary>
    public static readonly EnvironmentRules None = new();
    /// <summary>At most so many groups, rules in a group, ports in a rule, and sources; characters of a description.</summary>
    public const int MostGroups = 64, MostRules = 256, MostPorts = 64, MostSources = 256, MostDescription = 200;

    public IReadOnlyList<SecurityGroup> Groups { get; init => field = value ?? []; } = [];
    /// <summary>Null: whoever reaches the host may use the published ports.</summary>
    public AccessPolicy? Access { get; init; }

    [JsonIgnore]
    public bool IsNone => Groups.Count == 0 && Access is null;
    /// <summary>Rules of all groups together.</summary>
    [JsonIgnore]
    public int RuleCount => Groups.Sum(g => g.Rules.Count);

    // Lists have no equality of their own. The order in which things were written down is a part of it.
    public bool Equals(EnvironmentRules? other) => other is not null && Groups.SequenceEqual(other.Groups) && Equals(Access, other.Access);
    public override int GetHashCode() => HashCode.Combine(Groups.Count, Access);

    /// <summary>Refuses (<see cref="Fault.InvalidRequest"/>, all reasons at once) what cannot be the rules of these machines: names twice, groups and machines that are not there, limits.</summary>
    public void Check(IReadOnlyList<MachineName> machines)
    {
        var wrong = new List<string>();
        if (Groups.Count > MostGroups) wrong.Add($"{Groups.Count} groups are more than {MostGroups}");
        foreach (var twice in Groups.GroupBy(g => g.Name).Where(g => g.Count() > 1)) wrong.Add($"there are {twice.Count()} groups '{twice.Key}'");
        var names = Groups.Select(g => g.Name).ToHashSet();
        foreach (var group in Groups)
        {
            // It is shown as it is: nothing in it may steer a terminal or turn the reading direction.
            if (group.Description is { } text && (text.Length > MostDescription || text.Any(c => char.IsControl(c) || char.GetUnicodeCategory(c) is UnicodeCategory.Format or UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator)))
                wrong.Add($"the description of group '{group.Name}' is not at most {MostDescription} printable characters");
            if (group.Rules.Count > MostRules) wrong.Add($"group '{group.Name}' has {group.Rules.Count} rules, more than {MostRules}");
            foreach (var machine in group.Machines.Where(m => !machines.Contains(m))) wrong.Add($"group '{group.Name}' names a machine '{machine}' that the environment does not have");
            foreach (var twice in group.Machines.GroupBy(m => m).Where(m => m.Count() > 1)) wrong.Add($"group '{group.Name}' names machine '{twice.Key}' twice");
            foreach (var rule in group.Rules)
                if (rule.Peer.Group is { } peer && !names.Contains(peer)) wrong.Add($"rule '{rule}' of group '{group.Name}' names a group '{peer}' that there is not{(machines.Any(m => m.Text == peer.Text) ? ": a machine is called so, and rules name groups" : "")}");
        }
        if (Access is { Sources.Count: > MostSources }) wrong.Add($"{Access.Sources.Count} sources are more than {MostSources}");
        if (wrong.Count > 0) throw new WeaveException(Fault.InvalidRequest, $"These rules cannot be: {string.Join("; ", wrong)}.", $"Machines are: {string.Join(", ", machines)}. Look at the present rules with `weave rules show`.");
    }
}

/// <summary>Machines with the same rules.</summary>
public sealed record SecurityGroup
{
    public required GroupName Name { get; init; }
    /// <summary>For people; at most 200 printable characters.</summary>
    public string? Description { get; init; }
    public required IReadOnlyList<MachineName> Machines { get; init; }
    public IReadOnlyList<SecurityRule> Rules { get; init => field = value ?? []; } = [];

    public bool Equals(SecurityGroup? other) => other is not null && Name == other.Name && Description == other.Description && Machines.SequenceEqual(other.Machines) && Rules.SequenceEqual(other.Rules);
    public override int GetHashCode() => HashCode.Combine(Name, Machines.Count, Rules.Count);
}

public enum RuleDirection { In, Out }

/// <summary>Any is every protocol over IPv4 and IPv6.</summary>
public enum RuleProtocol { Any, Tcp, Udp, Icmp }

/// <summary>Ports from <see cref="First"/> to <see cref="Last"/>, both 1–65535 and included.</summary>
public readonly record struct PortRange(int First, int Last)
{
    public bool Holds(int port) => port >= First && port <= Last;

    /// <summary>The same ports in ascending ranges, no port in two of them.</summary>
    /// <param name="touching">Ranges without a port between them become one, too.</param>
    public static List<PortRange> Union(IEnumerable<PortRange> ranges, bool touching = false)
    {
        var union = new List<PortRange>();
        foreach (var range in ranges.OrderBy(r => (r.First, r.Last)))
            if (union.Count > 0 && union[^1] is var last && range.First <= last.Last + (touching ? 1 : 0)) union[^1] = last with { Last = Math.Max(last.Last, range.Last) };
            else union.Add(range);
        return union;
    }

    public override string ToString() => First == Last ? First.ToString(CultureInfo.InvariantCulture) : string.Create(CultureInfo.InvariantCulture, $"{First}-{Last}");
}

/// <summary>Clients of published ports.</summary>
public sealed record AccessPolicy
{
    /// <summary>IPv4 prefixes from which published ports may be used; empty: from nowhere. What the host itself connects from (127.0.0.0/8, its own addresses) is only allowed where it is listed, too.</summary>
    public required IReadOnlyList<RulePrefix> Sources { get; init; }

    /// <summary>The sources, ascending, each once, joined by commas; one text for one policy. Empty where nobody may.</summary>
    public override string ToString() => string.Join(',', Sources.Distinct().Order());

    /// <summary>Whom both let in. A policy that is null lets everyone in.</summary>
    public static AccessPolicy? Both(AccessPolicy? one, AccessPolicy? other)
    {
        if (one is null || other is null) return one ?? other;
        // Of two prefixes that meet one holds the other: what both hold is the longer one.
        return new() { Sources = [.. one.Sources.SelectMany(a => other.Sources.Select(b => a.Length > b.Length ? (Longer: a, Other: b) : (Longer: b, Other: a))).Where(p => p.Other.Holds(p.Longer)).Select(p => p.Longer).Distinct().Order()] };
    }

    /// <summary>Reads what <see cref="ToString"/> writes; false where it is anything else, also another text of the same sources.</summary>
    public static bool TryParse(string text, [NotNullWhen(true)] out AccessPolicy? policy)
    {
        var sources = new List<RulePrefix>();
        policy = new() { Sources = sources };
        foreach (var source in text.Length == 0 ? [] : text.Split(','))
        {
            if (!RulePrefix.TryParse(source, out var prefix)) return false;
            sources.Add(prefix);
        }
        return policy.ToString() == text;
    }

    public bool LetsIn(IPAddress client) => Sources.Any(s => s.Holds(client));

    /// <summary>The same sources, however they were written down.</summary>
    public bool Equals(AccessPolicy? other) => other is not null && ToString() == other.ToString();
    public override int GetHashCode() => ToString().GetHashCode(StringComparison.Ordinal);
}
