using System.Net;
using System.Text;

namespace WeaveHypervisor.HyperV.Simulator.Networks;

/// <summary>
/// What the program of <c>hyperv/gateway</c> does in a machine: it reads at its start, from the beginning of the second disk, what it has to do, and translates each address of the uplink to one inside. Text that is not
/// of its form makes it do nothing.
/// </summary>
internal sealed record GatewayGuest(string UplinkMac, string Address, int PrefixLength, string Host, IReadOnlyList<(string Mac, IPNetwork Network)> Legs, IReadOnlyDictionary<string, string> Outer, bool Egress)
{
    public const int MostBytes = 64 << 10;
    private const string First = "weave-gateway 1";

    public static GatewayGuest? Read(ReadOnlySpan<byte> disk)
    {
        var lines = Encoding.ASCII.GetString(disk[..Math.Max(0, disk.IndexOf((byte)0))]).Split('\n');
        if (lines is not [First, .., "end", ""]) return null;
        (string Mac, string Address, int Length, string Host)? uplink = null;
        var legs = new List<(string, IPNetwork)>();
        var outer = new Dictionary<string, string>(StringComparer.Ordinal);
        var egress = false;
        foreach (var line in lines[1..^2])
            switch (line.Split(' '))
            {
                case ["uplink", var mac, var at, var host] when at.Split('/') is [var address, var length] && int.TryParse(length, out var bits):
                    uplink = (Plain(mac), address, bits, host);
                    break;
                case ["leg", var mac, var at, _] when at.Split('/') is [var address, var length] && int.TryParse(length, out var bits):
                    legs.Add((Plain(mac), new(HostNetwork.Mask(IPAddress.Parse(address), bits), bits)));
                    break;
                case ["outer", var address, var inner]:
                    outer[address] = inner;
                    break;
                case ["egress", "nat" or "none"]:
                    egress = line.EndsWith("nat", StringComparison.Ordinal);
                    break;
                default:
                    return null;
            }
        return uplink is var (m, a, l, h) ? new(m, a, l, h, legs, outer, egress) : null;
    }

    private static string Plain(string mac) => mac.Replace(":", "", StringComparison.Ordinal).ToUpperInvariant();
}
