using System.Globalization;
using System.Net;
using System.Text;
using System.Text.Json;
using WeaveHypervisor.Disks;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt.Traffic;

/// <summary>
/// The published ports of this service: one nft table named by the prefix, whose maps say where each listening address and port leads. A change is one
/// transaction that replaces elements; connections that exist go on to where they went, because the kernel remembers their translation.
/// </summary>
internal sealed class EndpointPublisher(DriverContext context)
{
    private readonly SemaphoreSlim _one = new(1, 1);
    private string Table => context.Options.Prefix;
    private string Accepts => $"{context.Options.Prefix} published";
    private string LocalnetRecord => Path.Combine(context.Options.Root, "localnet");

    public async Task PublishAsync(IReadOnlyList<PublishedEndpoint> endpoints, CancellationToken stop)
    {
        foreach (var endpoint in endpoints) Check(endpoint);
        await _one.WaitAsync(stop);
        try
        {
            var now = await ListAsync(stop);
            await RefuseTakenAsync([.. endpoints.Where(e => now.All(n => Listen(n) != Listen(e)))], stop);
            if (endpoints.Count == 0)
            {
                await HostCommand.RunAsync("nft", ["-f", "-"], $"table ip {Table}\ndelete table ip {Table}\n", stop);
                await AcceptAsync([], stop);
                await LocalnetAsync([], stop);
                return;
            }
            // Ways are opened before they are published and closed after they are not.
            var devices = await DevicesAsync(endpoints, stop);
            await AcceptAsync(endpoints, stop, keepOld: true);
            await LocalnetAsync([.. devices.Where(d => d.Local).Select(d => d.Device)], stop);
            await File.WriteAllTextAsync("/proc/sys/net/ipv4/ip_forward", "1", stop);
            await HostCommand.RunAsync("nft", ["-f", "-"], Rules(endpoints), stop);
            await AcceptAsync(endpoints, stop);
        }
        finally
        {
            _one.Release();
        }
    }

    /// <summary>
    /// What is really published now, read back from the kernel: where rules were flushed nothing is, and an adopted machine's port is not where the accept ahead of libvirt's own rules is gone.
    /// </summary>
    public async Task<IReadOnlyList<PublishedEndpoint>> ListWorkingAsync(CancellationToken stop)
    {
        var (exit, output, _, _) = await HostCommand.TryAsync("nft", ["list", "table", "ip", Table], null, stop);
        if (exit != 0 || output.Split("dnat ip to ").Length < 9) return [];
        var found = await ListAsync(stop);
        if (found.All(InFence)) return found;
        var (_, accepts, _, _) = await HostCommand.TryAsync("iptables", ["-w", "-S", "FORWARD"], null, stop);
        return [.. found.Where(e => InFence(e) || accepts.Split('\n').Any(l => l.Contains($"-d {e.TargetAddress}/32 ", StringComparison.Ordinal) && l.Contains($"--dport {e.TargetPort} ", StringComparison.Ordinal) && l.Contains(Accepts, StringComparison.Ordinal)))];
    }

    private static bool InFence(PublishedEndpoint endpoint) => endpoint.TargetAddress.StartsWith("100.", StringComparison.Ordinal);

    /// <summary>The elements of the maps, whether or not rules use them.</summary>
    public async Task<IReadOnlyList<PublishedEndpoint>> ListAsync(CancellationToken stop)
    {
        var (exit, output, error, _) = await HostCommand.TryAsync("nft", ["-j", "list", "table", "ip", Table], null, stop);
        if (exit != 0) return error.Contains("No such file", StringComparison.Ordinal) ? [] : throw new WeaveException(Fault.Internal, $"nft cannot list the table {Table}: {error.Trim()}");
        var found = new List<PublishedEndpoint>();
        using var document = JsonDocument.Parse(output);
        foreach (var item in document.RootElement.GetProperty("nftables").EnumerateArray())
        {
            if (!item.TryGetProperty("map", out var map) || !map.TryGetProperty("elem", out var elements)) continue;
            var name = map.GetProperty("name").GetString()!;
            var protocol = name.StartsWith("udp", StringComparison.Ordinal) ? RouteProtocol.Udp : RouteProtocol.Tcp;
            foreach (var element in elements.EnumerateArray())
            {
                var key = element[0];
                string? comment = null;
                if (key.ValueKind == JsonValueKind.Object && key.TryGetProperty("elem", out var inner))
                {
                    comment = inner.TryGetProperty("comment", out var text) ? text.GetString() : null;
                    key = inner.GetProperty("val");
                }
                var listen = key.ValueKind == JsonValueKind.Object ? [.. key.GetProperty("concat").EnumerateArray()] : new[] { key };
                var target = element[1].GetProperty("concat");
                if (!RouteId.TryCreate(comment, out var id)) continue;
                found.Add(new(id, protocol, listen.Length == 2 ? listen[0].GetString()! : "0.0.0.0", listen[^1].GetInt32(), target[0].GetString()!, target[1].GetInt32()));
            }
        }
        return found;
    }

    private string Rules(IReadOnlyList<PublishedEndpoint> endpoints)
    {
        var text = new StringBuilder();
        text.Append(CultureInfo.InvariantCulture, $"table ip {Table} {{\n");
        foreach (var protocol in new[] { "tcp", "udp" })
            text.Append($" map {protocol}_at {{ type ipv4_addr . inet_service : ipv4_addr . inet_service; }}\n map {protocol}_any {{ type inet_service : ipv4_addr . inet_service; }}\n");
        text.Append(" chain guard { type filter hook prerouting priority raw; }\n chain arrive { type nat hook prerouting priority dstnat - 5; }\n");
        text.Append(" chain local { type nat hook output priority -105; }\n chain leave { type nat hook postrouting priority srcnat - 5; }\n}\n");
        foreach (var chain in new[] { "guard", "arrive", "local", "leave" }) text.Append($"flush chain ip {Table} {chain}\n");
        foreach (var map in new[] { "tcp_at", "tcp_any", "udp_at", "udp_any" }) text.Append($"flush map ip {Table} {map}\n");
        // With route_localnet an address of the loopback net could be asked for from outside; nobody may.
        text.Append($"add rule ip {Table} guard iifname != \"lo\" ip daddr 127.0.0.0/8 drop\n");
        foreach (var chain in new[] { "arrive", "local" })
            foreach (var protocol in new[] { "tcp", "udp" })
            {
                text.Append($"add rule ip {Table} {chain} dnat ip to ip daddr . {protocol} dport map @{protocol}_at\n");
                text.Append($"add rule ip {Table} {chain} fib daddr type local dnat ip to {protocol} dport map @{protocol}_any\n");
            }
        // An answer to a loopback address would never leave the machine that gives it.
        text.Append($"add rule ip {Table} leave ct status dnat ip saddr 127.0.0.0/8 masquerade\n");
        foreach (var e in endpoints)
        {
            var protocol = e.Protocol == RouteProtocol.Udp ? "udp" : "tcp";
            text.Append(e.ListenAddress == "0.0.0.0"
                ? string.Create(CultureInfo.InvariantCulture, $"add element ip {Table} {protocol}_any {{ {e.ListenPort} comment \"{e.Id}\" : {e.TargetAddress} . {e.TargetPort} }}\n")
                : string.Create(CultureInfo.InvariantCulture, $"add element ip {Table} {protocol}_at {{ {e.ListenAddress} . {e.ListenPort} comment \"{e.Id}\" : {e.TargetAddress} . {e.TargetPort} }}\n"));
        }
        return text.ToString();
    }

    private static (RouteProtocol, string, int) Listen(PublishedEndpoint e) => (e.Protocol, e.ListenAddress, e.ListenPort);

    private static void Check(PublishedEndpoint endpoint)
    {
        foreach (var address in new[] { endpoint.ListenAddress, endpoint.TargetAddress })
            if (!IPAddress.TryParse(address, out var ip) || ip.ToString() != address || ip.AddressFamily != System.Net.Sockets.AddressFamily.InterNetwork)
                throw new WeaveException(Fault.InvalidRequest, $"{Ids.Quote(address)} is no IPv4 address.");
        if (endpoint.ListenPort is < 1 or > 65535 || endpoint.TargetPort is < 1 or > 65535) throw new WeaveException(Fault.InvalidRequest, $"Route {endpoint.Id} has no valid port.");
    }

    /// <summary>Refuses ports on which a program of the host listens, or that another table of our form publishes.</summary>
    private async Task RefuseTakenAsync(IReadOnlyList<PublishedEndpoint> fresh, CancellationToken stop)
    {
        if (fresh.Count == 0) return;
        var listening = Listening.Read();
        foreach (var e in fresh)
            if (listening.Any(l => l.Protocol == e.Protocol && l.Port == e.ListenPort && (l.Address is null || e.ListenAddress == "0.0.0.0" || l.Address == e.ListenAddress)))
                throw new WeaveException(Fault.Conflict, $"A program of this host listens on {e.ListenAddress}:{e.ListenPort} already.", "Choose another port, or stop that program (`ss -lntup` names it).", holders: [$"{e.ListenAddress}:{e.ListenPort}"]);
        using var ruleset = JsonDocument.Parse(await HostCommand.RunAsync("nft", ["-j", "list", "maps", "ip"], null, stop));
        foreach (var item in ruleset.RootElement.GetProperty("nftables").EnumerateArray())
        {
            if (!item.TryGetProperty("map", out var map) || map.GetProperty("table").GetString() is not { } table || table == Table) continue;
            var name = map.GetProperty("name").GetString()!;
            if (name is not ("tcp_at" or "tcp_any" or "udp_at" or "udp_any")) continue;
            var text = await HostCommand.RunAsync("nft", ["list", "map", "ip", table, name], null, stop);
            foreach (var e in fresh.Where(e => name.StartsWith(e.Protocol == RouteProtocol.Udp ? "udp" : "tcp", StringComparison.Ordinal)))
                if (text.Contains($"{(name.EndsWith("any", StringComparison.Ordinal) ? "" : e.ListenAddress + " . ")}{e.ListenPort} ", StringComparison.Ordinal))
                    throw new WeaveException(Fault.Conflict, $"{e.ListenAddress}:{e.ListenPort} is published already, by the service '{table}'.", "Choose another port.", holders: [table]);
        }
    }

    /// <summary>The device behind each target, and whether a loopback listener leads there.</summary>
    private static async Task<IReadOnlyList<(string Device, bool Local)>> DevicesAsync(IReadOnlyList<PublishedEndpoint> endpoints, CancellationToken stop)
    {
        var devices = new List<(string, bool)>();
        foreach (var group in endpoints.GroupBy(e => e.TargetAddress))
        {
            var (exit, output, _, _) = await HostCommand.TryAsync("ip", ["-o", "route", "get", group.Key], null, stop);
            var words = output.Split(' ', StringSplitOptions.RemoveEmptyEntries);
            var at = Array.IndexOf(words, "dev");
            if (exit == 0 && at >= 0 && at + 1 < words.Length) devices.Add((words[at + 1], group.Any(e => e.ListenAddress == "0.0.0.0" || e.ListenAddress.StartsWith("127.", StringComparison.Ordinal))));
        }
        return devices;
    }

    /// <summary>
    /// Connections from other hosts to adopted machines: libvirt rejects new ones to its own networks in the chain FORWARD, so an accept must stand before that,
    /// for exactly the published targets.
    /// </summary>
    private async Task AcceptAsync(IReadOnlyList<PublishedEndpoint> endpoints, CancellationToken stop, bool keepOld = false)
    {
        var wanted = endpoints.Where(e => !InFence(e))
            .Select(e => $"-d {e.TargetAddress}/32 -p {(e.Protocol == RouteProtocol.Udp ? "udp" : "tcp")} -m {(e.Protocol == RouteProtocol.Udp ? "udp" : "tcp")} --dport {e.TargetPort} -m conntrack --ctstate DNAT -m comment --comment \"{Accepts}\" -j ACCEPT").ToHashSet();
        var (exit, output, _, _) = await HostCommand.TryAsync("iptables", ["-w", "-S", "FORWARD"], null, stop);
        if (exit != 0)
        {
            if (wanted.Count == 0) return;
            throw new WeaveException(Fault.Unavailable, "iptables cannot be run; published ports of adopted machines would be rejected by libvirt's own rules.", "Install iptables.");
        }
        var there = output.Split('\n').Where(l => l.StartsWith("-A FORWARD ", StringComparison.Ordinal) && l.Contains($"--comment \"{Accepts}\"", StringComparison.Ordinal)).Select(l => l["-A FORWARD ".Length..].Trim()).ToList();
        foreach (var rule in wanted.Where(w => !there.Contains(w))) await HostCommand.RunAsync("iptables", ["-w", "-I", "FORWARD", "1", .. Words(rule)], null, stop);
        if (keepOld) return;
        foreach (var rule in there.Where(t => !wanted.Contains(t))) await HostCommand.RunAsync("iptables", ["-w", "-D", "FORWARD", .. Words(rule)], null, stop);
    }

    private IEnumerable<string> Words(string rule) => rule.Replace($"\"{Accepts}\"", "\u0001", StringComparison.Ordinal).Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(w => w == "\u0001" ? Accepts : w);

    /// <summary>Lets packets that came from a loopback address pass through these devices; devices that we had opened and are no longer needed are closed again.</summary>
    private async Task LocalnetAsync(IReadOnlyCollection<string> devices, CancellationToken stop)
    {
        static string Switch(string device) => $"/proc/sys/net/ipv4/conf/{device}/route_localnet";
        var before = File.Exists(LocalnetRecord) ? (await File.ReadAllTextAsync(LocalnetRecord, stop)).Split('\n', StringSplitOptions.RemoveEmptyEntries) : [];
        var opened = before.Where(devices.Contains).ToList();
        foreach (var device in devices.Where(d => d != "lo" && !opened.Contains(d)))
            if (File.Exists(Switch(device)) && (await File.ReadAllTextAsync(Switch(device), stop)).Trim() == "0") opened.Add(device);
        if (opened.Count == 0) DurableFile.TryDelete(LocalnetRecord);
        else
        {
            DurableFile.CreateDirectory(context.Options.Root, DriverPaths.FolderMode);
            DurableFile.Write(LocalnetRecord, file => file.Write(Encoding.ASCII.GetBytes(string.Join('\n', opened.Distinct()))));
        }
        foreach (var device in opened) if (File.Exists(Switch(device))) await File.WriteAllTextAsync(Switch(device), "1", stop);
        foreach (var device in before.Where(d => !devices.Contains(d))) if (File.Exists(Switch(device))) await File.WriteAllTextAsync(Switch(device), "0", stop);
    }
}
