using System.Globalization;
using System.Net;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt.Traffic;

/// <summary>Ports on which programs of this host listen, from /proc/net (proc(5)).</summary>
internal static class Listening
{
    /// <summary>An address of null stands for every address.</summary>
    public static IReadOnlyList<(RouteProtocol Protocol, string? Address, int Port)> Read()
    {
        var found = new List<(RouteProtocol, string?, int)>();
        foreach (var (file, protocol, state) in new[] { ("tcp", RouteProtocol.Tcp, "0A"), ("tcp6", RouteProtocol.Tcp, "0A"), ("udp", RouteProtocol.Udp, "07"), ("udp6", RouteProtocol.Udp, "07") })
        {
            var path = "/proc/net/" + file;
            if (!File.Exists(path)) continue;
            foreach (var line in File.ReadLines(path).Skip(1))
            {
                var fields = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
                if (fields.Length < 4 || fields[3] != state || fields[1].Split(':') is not [var address, var port]) continue;
                found.Add((protocol, Address(address), int.Parse(port, NumberStyles.HexNumber, CultureInfo.InvariantCulture)));
            }
        }
        return found;
    }

    /// <summary>The kernel writes an IPv4 address as a number in host byte order; IPv6 sockets count where they serve IPv4 too.</summary>
    private static string? Address(string hex)
    {
        if (hex.All(c => c == '0')) return null;
        if (hex.Length == 8) return Text(hex);
        return hex.StartsWith("0000000000000000FFFF0000", StringComparison.Ordinal) ? Text(hex[24..]) : "::";

        static string Text(string word) => new IPAddress(uint.Parse(word, NumberStyles.HexNumber, CultureInfo.InvariantCulture)).ToString();
    }
}
