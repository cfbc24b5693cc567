using System.Net;

namespace WeaveHypervisor.Model;

/// <summary>
/// What rules say of one connection, by the definition of <see cref="EnvironmentRules"/>: for people who ask, and the measure for whatever enforces them. Pure.
/// </summary>
/// <param name="networks">The environment's networks at that instant.</param>
/// <param name="machines">Its machines with their addresses.</param>
public sealed class Reachability(IReadOnlyList<SecurityGroup> groups, IReadOnlyList<NetworkBlueprint> networks, IReadOnlyList<(MachineName Name, IReadOnlyList<NicBlueprint> Nics)> machines)
{
    public Reachability(EnvironmentBlueprint blueprint) : this(blueprint.Rules.Groups, blueprint.Networks, [.. blueprint.Machines.Select(m => (m.Name, m.Nics))]) { }

    /// <summary>Whether whoever comes by a published port or an outer address may reach a port of a machine.</summary>
    public Verdict AskFromOutside(MachineName machine, RouteProtocol protocol, int port) => Ask(RuleEnd.Outside, RuleEnd.Of(machine), protocol == RouteProtocol.Udp ? RuleProtocol.Udp : RuleProtocol.Tcp, port);

    /// <summary>Whether <paramref name="from"/> may make a connection to <paramref name="to"/>.</summary>
    /// <param name="protocol">Not <see cref="RuleProtocol.Any"/>.</param>
    /// <param name="port">1–65535 for TCP and UDP; ignored for ICMP.</param>
    public Verdict Ask(RuleEnd from, RuleEnd to, RuleProtocol protocol, int port)
    {
        if (from.Machine is { } itself && itself == to.Machine) return new(true, null, null, $"what '{itself}' sends to itself does not leave it");
        var sends = Side(from, RuleDirection.Out, to, protocol, port);
        if (!sends.Allowed) return sends;
        var takes = Side(to, RuleDirection.In, from, protocol, port);
        return takes.Allowed && takes.Rule is null && sends.Rule is not null ? sends : takes;
    }

    private Verdict Side(RuleEnd end, RuleDirection direction, RuleEnd peer, RuleProtocol protocol, int port)
    {
        if (end.Machine is not { } machine) return new(true, null, null, $"{end} is no machine of the environment");
        var own = groups.Where(g => g.Machines.Contains(machine)).ToList();
        if (own.Count == 0) return new(true, null, null, $"'{machine}' is in no security group");
        if (direction == RuleDirection.Out && own.All(g => g.Rules.All(r => r.Direction == RuleDirection.In))) return new(true, null, null, $"no group of '{machine}' limits what goes out");
        foreach (var group in own)
            foreach (var rule in group.Rules)
                if (rule.Direction == direction && (rule.Protocol == RuleProtocol.Any || rule.Protocol == protocol)
                    && (rule.Ports.Count == 0 || rule.Ports.Any(p => p.Holds(port))) && Is(peer, rule.Peer, direction, machine))
                    return new(true, group.Name, rule, $"rule '{rule}' of group '{group.Name}'");
        return new(false, null, null, $"no rule of {(own.Count == 1 ? "group" : "the groups")} {string.Join(", ", own.Select(g => $"'{g.Name}'"))} lets it {(direction == RuleDirection.In ? "in to" : "out of")} '{machine}'");
    }

    /// <param name="machine">Who meets it.</param>
    private bool Is(RuleEnd end, RulePeer peer, RuleDirection direction, MachineName machine)
    {
        if (peer.IsAny) return true;
        if (peer.Group is { } name) return end.Machine is { } member && groups.Any(g => g.Name == name && g.Machines.Contains(member));
        if (peer.Prefix is { } prefix) return Holds(prefix, end, direction, machine);
        // From a gateway's address comes what comes in by published ports; what is sent to that address stays within.
        return end.Machine is null && (end.Address is not { } address || direction == RuleDirection.In && networks.Any(n => n.Gateway == address.ToString()) || !networks.Any(n => IsIn(n, address)));
    }

    private bool Holds(RulePrefix prefix, RuleEnd end, RuleDirection direction, MachineName machine)
    {
        if (end.Address is { } address) return prefix.Holds(address);
        if (end.Machine is { } other) return NicsOf(other).SelectMany(n => n.Addresses).Any(a => prefix.Holds(IPAddress.Parse(a)));
        // Out to nobody in particular: only a prefix that is every address allows that. In: the machine sees the gateway of its network.
        if (direction == RuleDirection.Out) return prefix.Length == 0;
        var own = NicsOf(machine).Select(n => n.Network).ToHashSet();
        return networks.Any(n => n.Gateway is { } gateway && own.Contains(n.Name) && prefix.Holds(IPAddress.Parse(gateway)));
    }

    private IEnumerable<NicBlueprint> NicsOf(MachineName name) => machines.Where(m => m.Name == name).SelectMany(m => m.Nics);

    private static bool IsIn(NetworkBlueprint network, IPAddress address) => network.Gateway is { } gateway && RulePrefix.Around(IPAddress.Parse(gateway), network.PrefixLength).Holds(address);
}

/// <summary>One end of a connection: a machine; an address that is nobody's in the environment; or, with neither, whoever comes by a published port.</summary>
public readonly record struct RuleEnd
{
    public MachineName? Machine { get; private init; }
    public IPAddress? Address { get; private init; }
    public static readonly RuleEnd Outside = default;
    public static RuleEnd Of(MachineName machine) => new() { Machine = machine };
    public static RuleEnd Of(IPAddress address) => new() { Address = address };
    public override string ToString() => Machine is { } machine ? $"'{machine}'" : Address?.ToString() ?? "outside";
}

/// <param name="Group">Whose rule allows it; null where none was needed, and where it is not allowed.</param>
/// <param name="Reason">For people, without a full stop.</param>
public sealed record Verdict(bool Allowed, GroupName? Group, SecurityRule? Rule, string Reason);
