using System.Text.Json;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt.Examining;

/// <summary>
/// The host's neighbour table, for guests that have their addresses from elsewhere than libvirt's DHCP. Read by `ip`, because libvirt's own reading of it
/// (virDomainInterfaceAddresses with the source ARP) fails on newer kernels: "wrong nlmsg len" (tried: libvirt 9.0 on Linux 6.18).
/// </summary>
internal static class HostNeighbours
{
    /// <summary>MACs in lower case with IPv4 addresses that the host has seen them at; empty where the table cannot be read: addresses are a help, not a condition.</summary>
    public static async Task<IReadOnlyList<(string Mac, string Address)>> ReadAsync(CancellationToken stop)
    {
        try
        {
            return Read(await HostCommand.RunAsync("ip", ["-json", "-4", "neighbour", "show"], null, stop).ConfigureAwait(false));
        }
        catch (WeaveException)
        {
            return [];
        }
    }

    /// <summary>Entries with a link address; those that have failed are nobody's.</summary>
    internal static IReadOnlyList<(string Mac, string Address)> Read(string json)
    {
        if (string.IsNullOrWhiteSpace(json)) return [];
        try
        {
            using var document = JsonDocument.Parse(json);
            return [.. from entry in document.RootElement.EnumerateArray()
                       let mac = entry.TryGetProperty("lladdr", out var link) ? link.GetString() : null
                       let address = entry.TryGetProperty("dst", out var to) ? to.GetString() : null
                       where mac is not null && address is not null
                       where !entry.TryGetProperty("state", out var states) || states.EnumerateArray().All(s => s.GetString() != "FAILED")
                       select (mac.ToLowerInvariant(), address)];
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            return [];
        }
    }
}
