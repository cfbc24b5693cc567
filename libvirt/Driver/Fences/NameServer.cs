using System.Globalization;
using System.Net;
using System.Text;
using WeaveHypervisor.Disks;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt.Fences;

/// <summary>The DHCP and DNS server of a fence: a dnsmasq of its own in the gateway's namespace, which outlives the service.</summary>
internal sealed class NameServer(string folder)
{
    private string Config => Path.Combine(folder, "dnsmasq.conf");
    private string PidFile => Path.Combine(folder, "dnsmasq.pid");

    /// <summary>
    /// Writes the wanted configuration; a server that runs with another is ended. True: <see cref="Start"/> is to be run in the gateway's namespace, once its addresses are there;
    /// false: it runs already, or nobody is to be served.
    /// </summary>
    public async Task<bool> PrepareAsync(FenceSpec fence, CancellationToken stop)
    {
        var wanted = Write(fence);
        if (wanted is not null && File.Exists(Config) && await File.ReadAllTextAsync(Config, stop) == wanted && RunningPid() is not null) return false;
        await StopAsync(stop);
        if (wanted is null) return false;
        DurableFile.Write(Config, file => file.Write(Encoding.UTF8.GetBytes(wanted)));
        return true;
    }

    /// <summary>A line of a shell that returns when the server serves.</summary>
    public string Start => $"dnsmasq --conf-file='{Config.Replace("'", @"'\''", StringComparison.Ordinal)}' < /dev/null";

    /// <summary>It runs with the wanted configuration, or nobody is to be served.</summary>
    public bool Serves(FenceSpec fence) => Write(fence) is not { } wanted || (File.Exists(Config) && File.ReadAllText(Config) == wanted && RunningPid() is not null);

    /// <summary>Returns when it no longer serves, at the latest after 5 s. Not running: success.</summary>
    public async Task StopAsync(CancellationToken stop)
    {
        if (RunningPid() is not { } pid) return;
        try
        {
            using var process = System.Diagnostics.Process.GetProcessById(pid);
            process.Kill();
        }
        catch (Exception e) when (e is ArgumentException or InvalidOperationException)
        {
            // It ended by itself.
        }
        // A dead process has no command line any more; until somebody buries it, it would still count as running.
        for (var tries = 0; tries < 1000 && RunningPid() is not null; tries++) await Task.Delay(TimeSpan.FromMilliseconds(5), stop);
    }

    /// <summary>Its process, recognised by its configuration file: a number that now belongs to another program is not taken for it.</summary>
    private int? RunningPid()
    {
        try
        {
            if (!int.TryParse(File.ReadAllText(PidFile).Trim(), NumberStyles.None, CultureInfo.InvariantCulture, out var pid)) return null;
            return File.ReadAllText($"/proc/{pid}/cmdline").Contains(Config, StringComparison.Ordinal) ? pid : null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    /// <summary>Configuration text; null where no network has a gateway, and so nobody to serve.</summary>
    private string? Write(FenceSpec fence)
    {
        var text = new StringBuilder();
        var served = 0;
        for (var i = 0; i < fence.Networks.Count; i++)
        {
            var network = fence.Networks[i];
            if (network.Gateway is null) continue;
            served++;
            text.Append(CultureInfo.InvariantCulture, $"interface={FenceNames.Leg(i)}\n");
            if (network.DomainName is { } domain && Plain(domain)) text.Append(CultureInfo.InvariantCulture, $"domain={domain}\nlocal=/{domain}/\n");
            var mask = Mask(network.PrefixLength);
            if (network.Dhcp)
                text.Append(network is { DhcpStart: { } start, DhcpEnd: { } end }
                    ? $"dhcp-range={start},{end},{mask},{network.LeaseSeconds}\n" : $"dhcp-range={network.Gateway},static,{mask},{network.LeaseSeconds}\n");
            var hosts = network.Hosts.ToList();
            // Machines keep the addresses that they had at the instant, also those that were given out freely.
            foreach (var machine in fence.Machines)
                foreach (var nic in machine.Nics.Where(n => n.Network == network.Name && n.Addresses.Count > 0 && hosts.All(h => !string.Equals(h.Mac, n.Mac, StringComparison.OrdinalIgnoreCase))))
                    hosts.Add(new(nic.Mac, nic.Addresses[0], [machine.Name.Text]));
            foreach (var host in hosts)
            {
                var name = host.Names.FirstOrDefault(Plain);
                if (host.Mac is { } mac && network.Dhcp) text.Append($"dhcp-host={mac},{host.Address}{(name is null ? "" : "," + name)}\n");
                foreach (var alias in host.Names.Where(Plain))
                    text.Append($"host-record={alias}{(network.DomainName is { } d && Plain(d) && !alias.Contains('.') ? $",{alias}.{d}" : "")},{host.Address}\n");
            }
        }
        if (served == 0) return null;
        var user = File.ReadLines("/etc/passwd").Any(l => l.StartsWith("libvirt-dnsmasq:", StringComparison.Ordinal)) ? "libvirt-dnsmasq" : "nobody";
        text.Append($"bind-interfaces\nexcept-interface=lo\nno-hosts\nno-resolv\nno-ping\ndhcp-authoritative\nexpand-hosts\nuser={user}\npid-file={PidFile}\ndhcp-leasefile={Path.Combine(folder, "leases")}\n");
        if (fence.Uplink == UplinkMode.Nat)
            foreach (var server in Upstream()) text.Append($"server={server}\n");
        return text.ToString();
    }

    private static IEnumerable<string> Upstream() => File.Exists("/etc/resolv.conf")
        ? File.ReadLines("/etc/resolv.conf").Select(l => l.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)).Where(f => f is ["nameserver", _, ..])
            .Select(f => f[1]).Where(a => IPAddress.TryParse(a, out var ip) && !IPAddress.IsLoopback(ip) && ip.AddressFamily == System.Net.Sockets.AddressFamily.InterNetwork)
        : [];

    private static string Mask(int prefix) => new IPAddress(System.Buffers.Binary.BinaryPrimitives.ReverseEndianness(prefix == 0 ? 0u : uint.MaxValue << (32 - prefix))).ToString();

    /// <summary>Names reach a configuration file only where they are host names.</summary>
    private static bool Plain(string name) => name.Length is > 0 and <= 253 && name.All(c => char.IsAsciiLetterOrDigit(c) || c is '.' or '-' or '_');
}
