using System.Text.Json;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt.Examining;

/// <summary>
/// What this host knows of the network behind a bridge or interface of its own, of which libvirt knows nothing: the default gateway where the host's own goes that way, else the host's own
/// address there. A fence answers at that address; without one (a bridge on which the host has no address) its machines reach each other, and nothing reaches them.
/// </summary>
internal static class HostSegment
{
    /// <param name="device">The bridge or interface.</param>
    public static async Task<NetworkBlueprint> ReadAsync(NetworkName name, string device, CancellationToken stop) =>
        Read(name, await AskAsync(["-j", "-4", "address", "show", "dev", device], stop), await AskAsync(["-j", "-4", "route", "show", "default", "dev", device], stop),
            await AskAsync(["-j", "neigh", "show", "dev", device], stop), await AskAsync(["-j", "link", "show", "dev", device], stop));

    /// <summary>From the JSON of `ip address`, `ip route show default`, `ip neigh` and `ip link`; empty text where one failed.</summary>
    internal static NetworkBlueprint Read(NetworkName name, string addresses, string routes, string neighbours, string links)
    {
        var none = new NetworkBlueprint { Name = name, Mtu = Items(links).Select(l => Number(l, "mtu")).FirstOrDefault() is var mtu && mtu is > 0 and not 1500 ? mtu : 0 };
        var own = Items(addresses).SelectMany(a => a.TryGetProperty("addr_info", out var info) ? info.EnumerateArray() : Enumerable.Empty<JsonElement>())
            .Where(i => Text(i, "family") == "inet" && Number(i, "prefixlen") is >= 1 and <= 30).Select(i => (Address: Text(i, "local")!, Prefix: Number(i, "prefixlen"))).FirstOrDefault();
        if (own.Address is null) return none;
        var known = none with { Gateway = own.Address, PrefixLength = own.Prefix, GatewayMac = Items(links).Select(l => Text(l, "address")).FirstOrDefault() };
        var gateway = Items(routes).Select(r => Text(r, "gateway")).FirstOrDefault(g => g is not null);
        if (gateway is null || !NetworkReading.Contains(known, gateway)) return known;
        return known with { Gateway = gateway, GatewayMac = Items(neighbours).Where(n => Text(n, "dst") == gateway).Select(n => Text(n, "lladdr")).FirstOrDefault(m => m is not null) };
    }

    private static async Task<string> AskAsync(string[] arguments, CancellationToken stop)
    {
        // A device that is not there (an OVS bridge whose port is down, another namespace) tells nothing.
        var (exit, output, _, _) = await HostCommand.TryAsync("ip", arguments, null, stop);
        return exit == 0 ? output : "";
    }

    private static IEnumerable<JsonElement> Items(string json)
    {
        if (string.IsNullOrWhiteSpace(json)) return [];
        using var document = JsonDocument.Parse(json);
        return [.. document.RootElement.Clone().EnumerateArray().Where(i => i.ValueKind == JsonValueKind.Object)];
    }

    private static string? Text(JsonElement item, string name) => item.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String ? value.GetString()!.ToLowerInvariant() : null;
    private static int Number(JsonElement item, string name) => item.TryGetProperty(name, out var value) && value.TryGetInt32(out var number) ? number : 0;
}
