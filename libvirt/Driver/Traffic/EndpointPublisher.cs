using System.Net;
using System.Text;
using System.Text.Json;
using WeaveHypervisor.Disks;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt.Traffic;

/// <summary>
/// The published ports of this service: one nft table named by the prefix, whose maps say where each listening address and port leads (<see cref="PublishedRules"/>). A change is one
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
            var now = await ReadAsync(stop);
            await RefuseTakenAsync([.. endpoints.Where(e => now.Endpoints.All(n => Listen(n) != Listen(e)))], stop);
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
            await HostCommand.RunAsync("nft", ["-f", "-"], PublishedRules.Write(Table, endpoints, now.Chains), stop);
            await AcceptAsync(endpoints, stop);
        }
        finally
        {
            _one.Release();
        }
    }

    /// <summary>
    /// What is really published now, read back from the kernel: where rules were flushed nothing is, a port for some clients is not where theirs were, and an adopted machine's port is not where the accept ahead of
    /// libvirt's own rules is gone.
    /// </summary>
    public async Task<IReadOnlyList<PublishedEndpoint>> ListWorkingAsync(CancellationToken stop)
    {
        var table = await ReadAsync(stop);
        var found = table.Endpoints.Where(e => !table.Broken.Contains(e.Id)).ToList();
        if (found.All(InFence)) return found;
        var (_, accepts, _, _) = await HostCommand.TryAsync("iptables", ["-w", "-S", "FORWARD"], null, stop);
        return [.. found.Where(e => InFence(e) || accepts.Split('\n').Any(l => l.Contains($"-d {e.TargetAddress}/32 ", StringComparison.Ordinal) && l.Contains($"--dport {e.TargetPort} ", StringComparison.Ordinal) && l.Contains(Accepts, StringComparison.Ordinal)))];
    }

    /// <summary>A fence has been made, maybe after ports into it were published: clients at a loopback address get in, too.</summary>
    public async Task ReachAsync(FenceTag fence, CancellationToken stop)
    {
        await _one.WaitAsync(stop);
        try
        {
            if ((await ReadLocalnetAsync(stop)).Contains(PublishedRules.Uplink(fence))) await SwitchLocalnetAsync(PublishedRules.Uplink(fence), true, stop);
        }
        finally
        {
            _one.Release();
        }
    }

    private static bool InFence(PublishedEndpoint endpoint) => endpoint.Fence is not null;

    private async Task<PublishedRules.Found> ReadAsync(CancellationToken stop)
    {
        var (exit, output, error, _) = await HostCommand.TryAsync("nft", ["-j", "list", "table", "ip", Table], null, stop);
        if (exit == 0) return PublishedRules.Read(output);
        return error.Contains("No such file", StringComparison.Ordinal) ? new([], new HashSet<RouteId>(), []) : throw new WeaveException(Fault.Internal, $"nft cannot list the table {Table}: {error.Trim()}");
    }

    private static (RouteProtocol, string, int) Listen(PublishedEndpoint e) => (e.Protocol, e.ListenAddress, e.ListenPort);

    private static void Check(PublishedEndpoint endpoint)
    {
        foreach (var address in new[] { endpoint.ListenAddress, endpoint.TargetAddress })
            if (!IPAddress.TryParse(address, out var ip) || ip.ToString() != address || ip.AddressFamily != System.Net.Sockets.AddressFamily.InterNetwork)
                throw new WeaveException(Fault.InvalidRequest, $"{Ids.Quote(address)} is no IPv4 address.");
        if (endpoint.ListenPort is < 1 or > 65535 || endpoint.TargetPort is < 1 or > 65535) throw new WeaveException(Fault.InvalidRequest, $"Route {endpoint.Id} has no valid port.");
        // What is read back is told from this text: it has one form.
        if (endpoint.Sources is { } sources && !AccessPolicy.TryParse(sources, out _))
            throw new WeaveException(Fault.InvalidRequest, $"{Ids.Quote(sources)} are no sources of a published port.", "Give IPv4 prefixes, ascending, each once, joined by commas.");
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
            var mine = fresh.Where(e => PublishedRules.IsPorts(name, e.Protocol)).ToList();
            if (mine.Count == 0) continue;
            var text = await HostCommand.RunAsync("nft", ["list", "map", "ip", table, name], null, stop);
            foreach (var e in mine)
                if (text.Contains($"{(name.Contains("_any", StringComparison.Ordinal) ? "" : e.ListenAddress + " . ")}{e.ListenPort} ", StringComparison.Ordinal))
                    throw new WeaveException(Fault.Conflict, $"{e.ListenAddress}:{e.ListenPort} is published already, by the service '{table}'.", "Choose another port.", holders: [table]);
        }
    }

    /// <summary>The device behind each target, and whether a loopback listener leads there. That of a fence may not be there.</summary>
    private static async Task<IReadOnlyList<(string Device, bool Local)>> DevicesAsync(IReadOnlyList<PublishedEndpoint> endpoints, CancellationToken stop)
    {
        var devices = new List<(string, bool)>();
        foreach (var group in endpoints.Where(InFence).GroupBy(e => PublishedRules.Uplink(e.Fence!.Value))) devices.Add((group.Key, group.Any(IsLocal)));
        foreach (var group in endpoints.Where(e => !InFence(e)).GroupBy(e => e.TargetAddress))
        {
            var (exit, output, _, _) = await HostCommand.TryAsync("ip", ["-o", "route", "get", group.Key], null, stop);
            var words = output.Split(' ', StringSplitOptions.RemoveEmptyEntries);
            var at = Array.IndexOf(words, "dev");
            if (exit == 0 && at >= 0 && at + 1 < words.Length) devices.Add((words[at + 1], group.Any(IsLocal)));
        }
        return devices;

        static bool IsLocal(PublishedEndpoint e) => e.ListenAddress == "0.0.0.0" || e.ListenAddress.StartsWith("127.", StringComparison.Ordinal);
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
        var before = await ReadLocalnetAsync(stop);
        var opened = before.Where(devices.Contains).ToList();
        foreach (var device in devices.Where(d => d != "lo" && !opened.Contains(d)))
            if (!File.Exists(Switch(device)) || (await File.ReadAllTextAsync(Switch(device), stop)).Trim() == "0") opened.Add(device);
        if (opened.Count == 0) DurableFile.TryDelete(LocalnetRecord);
        else
        {
            DurableFile.CreateDirectory(context.Options.Root, DriverPaths.FolderMode);
            DurableFile.Write(LocalnetRecord, file => file.Write(Encoding.ASCII.GetBytes(string.Join('\n', opened.Distinct()))));
        }
        foreach (var device in opened) await SwitchLocalnetAsync(device, true, stop);
        foreach (var device in before.Where(d => !devices.Contains(d))) await SwitchLocalnetAsync(device, false, stop);
    }

    private async Task<IReadOnlyList<string>> ReadLocalnetAsync(CancellationToken stop) => File.Exists(LocalnetRecord) ? (await File.ReadAllTextAsync(LocalnetRecord, stop)).Split('\n', StringSplitOptions.RemoveEmptyEntries) : [];

    private static string Switch(string device) => $"/proc/sys/net/ipv4/conf/{device}/route_localnet";

    private static Task SwitchLocalnetAsync(string device, bool on, CancellationToken stop) => File.Exists(Switch(device)) ? File.WriteAllTextAsync(Switch(device), on ? "1" : "0", stop) : Task.CompletedTask;
}
