using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace WeaveHypervisor.Model;

/// <summary>
/// One rule of a security group. Its text form is used everywhere: <c>in tcp/80,443 from outside</c>, <c>in tcp/5432 from web</c>, <c>out udp/53 to 10.0.0.0/8</c>, <c>in icmp from any</c>,
/// <c>in any from 192.168.7.0/24</c>. Direction; protocol, for TCP and UDP with ports (none: all), ascending and each once; the peer.
/// </summary>
[JsonConverter(typeof(SecurityRuleConverter))]
public sealed record SecurityRule(RuleDirection Direction, RuleProtocol Protocol, IReadOnlyList<PortRange> Ports, RulePeer Peer)
{
    private const string Form = "Write it as `in tcp/80,443 from PEER` or `out udp/53 to PEER`: in or out; any, icmp, tcp or udp, the last two with ports where they are meant (`tcp/8000-8100`); "
        + "and a peer: any, outside, an IPv4 prefix (10.0.0.0/8), or the name of a group.";

    /// <summary>Parses the text form, words divided by single blanks or more; false where it is none.</summary>
    public static bool TryParse(string? text, [NotNullWhen(true)] out SecurityRule? rule)
    {
        rule = null;
        if (text is null || text.Length > 1000 || text.Split(' ', StringSplitOptions.RemoveEmptyEntries) is not [var direction, var what, var word, var peer]) return false;
        RuleDirection way;
        if (direction == "in" && word == "from") way = RuleDirection.In;
        else if (direction == "out" && word == "to") way = RuleDirection.Out;
        else return false;
        var slash = what.IndexOf('/');
        RuleProtocol? protocol = (slash < 0 ? what : what[..slash]) switch { "any" => RuleProtocol.Any, "tcp" => RuleProtocol.Tcp, "udp" => RuleProtocol.Udp, "icmp" => RuleProtocol.Icmp, _ => null };
        if (protocol is null || !RulePeer.TryParse(peer, out var parsed)) return false;
        var ports = new List<PortRange>();
        if (slash >= 0)
        {
            if (protocol is not (RuleProtocol.Tcp or RuleProtocol.Udp)) return false;
            foreach (var part in what[(slash + 1)..].Split(','))
            {
                if (!TryPorts(part, out var range)) return false;
                ports.Add(range);
            }
            if (ports.Count > EnvironmentRules.MostPorts) return false;
            // What is allowed has one text, whichever way it was written.
            ports = PortRange.Union(ports);
        }
        rule = new(way, protocol.Value, ports, parsed);
        return true;
    }

    /// <summary>Parses or throws <see cref="WeaveException"/> (<see cref="Fault.InvalidRequest"/>) with the form.</summary>
    public static SecurityRule Parse(string? text) => TryParse(text, out var rule) ? rule : throw new WeaveException(Fault.InvalidRequest, $"{Ids.Quote(text)} is no rule of a security group.", Form);

    public override string ToString() => $"{(Direction == RuleDirection.In ? "in" : "out")} {Protocol.ToString().ToLowerInvariant()}{(Ports.Count == 0 ? "" : "/" + string.Join(',', Ports))} {(Direction == RuleDirection.In ? "from" : "to")} {Peer}";

    // Lists have no equality of their own; two rules with one text are one rule.
    public bool Equals(SecurityRule? other) => other is not null && ToString() == other.ToString();
    public override int GetHashCode() => ToString().GetHashCode(StringComparison.Ordinal);

    private static bool TryPorts(string text, out PortRange range)
    {
        range = default;
        var dash = text.IndexOf('-');
        if (!TryPort(dash < 0 ? text : text[..dash], out var first)) return false;
        var last = first;
        if (dash >= 0 && !TryPort(text[(dash + 1)..], out last)) return false;
        range = new(first, last);
        return first <= last;
    }

    // The framework takes zeros in front and U+0000 behind; a port has one text here.
    private static bool TryPort(string text, out int port) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out port) && port is >= 1 and <= 65535 && text == port.ToString(CultureInfo.InvariantCulture);
}

/// <summary>
/// The other end of what a rule allows. <c>any</c>: whoever it is. <c>outside</c>: no machine of the environment; what comes in by published ports and outer addresses, for which the network's gateway stands,
/// and what goes out to addresses that are in none of the environment's networks. A prefix: addresses as the machine sees them. A group: its machines, by the addresses that are known of them, and on the same network by their plug.
/// </summary>
[JsonConverter(typeof(RulePeerConverter))]
public readonly record struct RulePeer
{
    internal const string AnyText = "any", OutsideText = "outside";
    public static readonly RulePeer Any = default;
    public static readonly RulePeer Outside = new() { IsOutside = true };

    public bool IsOutside { get; private init; }
    public RulePrefix? Prefix { get; private init; }
    public GroupName? Group { get; private init; }
    public bool IsAny => !IsOutside && Prefix is null && Group is null;

    public static RulePeer Of(RulePrefix prefix) => new() { Prefix = prefix };
    public static RulePeer Of(GroupName group) => new() { Group = group };

    public static bool TryParse(string? text, out RulePeer peer)
    {
        peer = default;
        if (text == AnyText) return true;
        if (text == OutsideText) peer = Outside;
        else if (RulePrefix.TryParse(text, out var prefix)) peer = Of(prefix);
        else if (GroupName.TryCreate(text, out var group)) peer = Of(group);
        else return false;
        return true;
    }

    public override string ToString() => IsOutside ? OutsideText : Prefix?.ToString() ?? Group?.Text ?? AnyText;
}

/// <summary>An IPv4 prefix in canonical form: no bits set behind its length, `10.0.0.0/8`; a single address is a /32.</summary>
[JsonConverter(typeof(RulePrefixConverter))]
public readonly record struct RulePrefix : IComparable<RulePrefix>
{
    private RulePrefix(uint first, int length) => (First, Length) = (first, length);
    /// <summary>Lowest address, as a number in host order.</summary>
    public uint First { get; }
    /// <summary>0–32.</summary>
    public int Length { get; }
    /// <summary>Highest address.</summary>
    public uint Last => First | Behind(Length);

    private static uint Behind(int length) => (uint)((1UL << (32 - length)) - 1);

    /// <summary>Parses `a.b.c.d/n`, or `a.b.c.d` for a single address; decimal without leading zeros, no bits behind the length.</summary>
    public static bool TryParse(string? text, out RulePrefix prefix)
    {
        prefix = default;
        if (text is null || text.Length > 18) return false;
        var slash = text.IndexOf('/');
        var length = 32;
        var address = slash < 0 ? text : text[..slash];
        if (slash >= 0)
        {
            var digits = text[(slash + 1)..];
            if (!int.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out length) || length > 32 || digits != length.ToString(CultureInfo.InvariantCulture)) return false;
        }
        // IPAddress itself takes octal, hexadecimal and short forms; an address has one text here.
        if (!IPAddress.TryParse(address, out var ip) || ip.AddressFamily != AddressFamily.InterNetwork || ip.ToString() != address) return false;
        prefix = Around(ip, length);
        return prefix.First == Number(ip);
    }

    /// <summary>Parses or throws <see cref="WeaveException"/> (<see cref="Fault.InvalidRequest"/>).</summary>
    public static RulePrefix Parse(string? text) => TryParse(text, out var prefix) ? prefix
        : throw new WeaveException(Fault.InvalidRequest, $"{Ids.Quote(text)} is no IPv4 prefix.", "Write it as 10.0.0.0/8, without bits set behind its length, or as a single address.");

    /// <summary>The prefix of that length, 0–32, that an IPv4 address is in.</summary>
    public static RulePrefix Around(IPAddress address, int length) => new(Number(address) & ~Behind(length), length);

    public bool Holds(IPAddress address) => address.AddressFamily == AddressFamily.InterNetwork && Number(address) is var number && number >= First && number <= Last;

    /// <summary>Every address of the other one is in this one: also where they are one.</summary>
    public bool Holds(RulePrefix other) => First <= other.First && other.Last <= Last;

    private static uint Number(IPAddress address) => BinaryPrimitives.ReadUInt32BigEndian(address.GetAddressBytes());

    public int CompareTo(RulePrefix other) => (First, Length).CompareTo((other.First, other.Length));

    public override string ToString()
    {
        Span<byte> bytes = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32BigEndian(bytes, First);
        return string.Create(CultureInfo.InvariantCulture, $"{new IPAddress(bytes)}/{Length}");
    }
}

/// <summary>Reads and writes rules in their text form.</summary>
public sealed class SecurityRuleConverter : JsonConverter<SecurityRule>
{
    public override SecurityRule Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) => SecurityRule.Parse(reader.GetString());
    public override void Write(Utf8JsonWriter writer, SecurityRule value, JsonSerializerOptions options) => writer.WriteStringValue(value.ToString());
}

/// <summary>Reads and writes peers in their text form.</summary>
public sealed class RulePeerConverter : JsonConverter<RulePeer>
{
    public override RulePeer Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) => RulePeer.TryParse(reader.GetString(), out var peer) ? peer
        : throw new WeaveException(Fault.InvalidRequest, "That is no peer of a rule.", "Write any, outside, an IPv4 prefix, or the name of a group.");
    public override void Write(Utf8JsonWriter writer, RulePeer value, JsonSerializerOptions options) => writer.WriteStringValue(value.ToString());
}

/// <summary>Reads and writes prefixes in their text form.</summary>
public sealed class RulePrefixConverter : JsonConverter<RulePrefix>
{
    public override RulePrefix Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) => RulePrefix.Parse(reader.GetString());
    public override void Write(Utf8JsonWriter writer, RulePrefix value, JsonSerializerOptions options) => writer.WriteStringValue(value.ToString());
}
