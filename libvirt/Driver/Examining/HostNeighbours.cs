using System.Net;

namespace WeaveHypervisor.Libvirt.Examining;

/// <summary>
/// The host's IPv4 neighbour table, for guests that have their addresses from elsewhere than libvirt's DHCP. Read from the kernel's own file (proc(5), /proc/net/arp), which starts no program, because
/// libvirt's reading of it (virDomainInterfaceAddresses with the source ARP) fails on newer kernels: "wrong nlmsg len" (tried: libvirt 9.0 on Linux 6.18).
/// </summary>
internal static class HostNeighbours
{
    private const string Table = "/proc/net/arp";
    /// <summary>The entry has a link address (ATF_COM of linux/if_arp.h); one that failed, or is asked for, has not.</summary>
    private const uint Complete = 0x2;

    /// <summary>MACs in lower case with IPv4 addresses that the host has seen them at; empty where the table cannot be read: addresses are a help, not a condition.</summary>
    public static IReadOnlyList<(string Mac, string Address)> Read()
    {
        try
        {
            return Read(File.ReadAllText(Table));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return [];
        }
    }

    /// <summary>Of the table's text, what is complete and of Ethernet: address, hardware type, flags, MAC, mask, device.</summary>
    internal static IReadOnlyList<(string Mac, string Address)> Read(string table) =>
        [.. from line in table.Split('\n').Skip(1)
            let words = line.Split(' ', StringSplitOptions.RemoveEmptyEntries)
            where words is [_, "0x1", _, { Length: 17 }, _, _] && IPAddress.TryParse(words[0], out _) && (Flags(words[2]) & Complete) != 0 && words[3] != "00:00:00:00:00:00"
            select (words[3].ToLowerInvariant(), words[0])];

    private static uint Flags(string text) => text.StartsWith("0x", StringComparison.Ordinal) && uint.TryParse(text.AsSpan(2), System.Globalization.NumberStyles.AllowHexSpecifier, null, out var flags) ? flags : 0;
}
