using LibvirtSharp;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt.Examining;

/// <summary>One network of an environment while it is examined.</summary>
internal sealed class Lan(NetworkBlueprint network, bool ofHost, IReadOnlyList<DhcpLease> leases)
{
    public NetworkBlueprint Network { get; private set; } = network;
    public IReadOnlyList<DhcpLease> Leases { get; } = leases;

    /// <summary>Keeps what a machine's neighbours could ask for: the name that its guest told the DHCP server; on a network of the host's, whose DHCP server no copy can reach, its address.</summary>
    public void Learn(string mac, IReadOnlyList<string> addresses, DhcpLease? lease)
    {
        if (lease is { Hostname: { Length: > 0 } hostname } && NetworkReading.Contains(Network, lease.IpAddress) && !Network.Hosts.Any(h => h.Names.Contains(hostname)))
            Network = Network with { Hosts = [.. Network.Hosts, new(null, lease.IpAddress, [hostname])] };
        if (ofHost && Network.Gateway is not null && addresses.Count > 0 && Network.Hosts.All(h => h.Mac != mac))
            Network = Network with { Dhcp = true, Hosts = [.. Network.Hosts, new(mac, addresses[0], [])] };
    }
}

/// <summary>
/// The networks that the machines of an environment are on. What is one wire is one network, whatever it is called by: a bridge of the host, a libvirt network that hands out that bridge, or a
/// libvirt network whose own bridge a machine names.
/// </summary>
internal sealed class LanRegister(LibvirtConnection connection, List<Refusal> refusals)
{
    private readonly Dictionary<string, Lan?> _bySegment = [];
    private readonly Dictionary<(string, bool, int), string?> _segments = [];
    private Dictionary<string, string>? _bridges;

    public IReadOnlyList<NetworkBlueprint> Networks => [.. _bySegment.Values.OfType<Lan>().Select(l => l.Network)];

    public Lan? Of(DeclaredNic nic) => _segments.GetValueOrDefault(Key(nic)) is { } segment ? _bySegment.GetValueOrDefault(segment) : null;

    public async Task AddAsync(DeclaredNic nic, CancellationToken stop)
    {
        if (_segments.ContainsKey(Key(nic))) return;
        _segments[Key(nic)] = null;
        var name = nic.Network;
        var host = nic.OfHost;
        _bridges ??= await BridgesAsync(stop).ConfigureAwait(false);
        if (host && nic.Vlan == 0 && _bridges.TryGetValue(name, out var owner)) (name, host) = (owner, false);
        NetworkReading? reading = null;
        List<DhcpLease> leases = [];
        if (!host)
        {
            if (await ReadAsync(name, leases, stop).ConfigureAwait(false) is not { } read) return;
            reading = read;
        }
        var device = host ? name : reading!.Device;
        var segment = device is null ? $"network {name}" : $"device {device}";
        if (nic.Vlan > 0) segment += $" vlan {nic.Vlan}";
        _segments[Key(nic)] = segment;
        if (_bySegment.ContainsKey(segment)) return;
        var called = NetworkName.Parse(nic.Vlan > 0 && name.Length < 53 ? $"{name}-vlan{nic.Vlan}" : name);
        // Which address the host has in a VLAN of a bridge is not told by the bridge.
        var network = device is null ? reading!.Blueprint with { Name = called } : nic.Vlan > 0 ? new NetworkBlueprint { Name = called } : await HostSegment.ReadAsync(called, device, stop).ConfigureAwait(false);
        if (Networks.Any(n => n.Name == called))
        {
            refusals.Add(new($"network {called}", "Two networks of the environment have this name: one of libvirt and a bridge or interface of the host.", "Rename the libvirt network."));
            return;
        }
        _bySegment[segment] = new(network, device is not null, leases);
    }

    private async Task<NetworkReading?> ReadAsync(string name, List<DhcpLease> leases, CancellationToken stop)
    {
        LibvirtNetwork network;
        try
        {
            network = await connection.LookupNetworkAsync(name, stop).ConfigureAwait(false);
        }
        catch (LibvirtException error) when (error.Code == VirErrorCode.NoNetwork)
        {
            refusals.Add(new($"network {name}", "libvirt has no network of this name.", "Look at `virsh net-list --all`."));
            return null;
        }
        using (network)
        {
            var reading = NetworkReading.Read(NetworkName.Parse(name), DomainText.Parse(await network.GetXmlAsync(0, stop).ConfigureAwait(false)));
            refusals.AddRange(reading.Refusals);
            if (reading.Blueprint.Dhcp && await network.IsActiveAsync(stop).ConfigureAwait(false)) leases.AddRange(await network.GetDhcpLeasesAsync(null, stop).ConfigureAwait(false));
            return reading;
        }
    }

    /// <summary>Networks of libvirt by the bridge that each has made for itself.</summary>
    private async Task<Dictionary<string, string>> BridgesAsync(CancellationToken stop)
    {
        var bridges = new Dictionary<string, string>();
        foreach (var network in await connection.ListNetworksAsync(cancellationToken: stop).ConfigureAwait(false))
            using (network)
            {
                try
                {
                    var xml = DomainText.Parse(await network.GetXmlAsync(0, stop).ConfigureAwait(false)).Root!;
                    if ((string?)xml.Element("forward")?.Attribute("mode") is null or "nat" or "route" or "open" && (string?)xml.Element("bridge")?.Attribute("name") is { } bridge) bridges[bridge] = network.Name;
                }
                catch (LibvirtException error) when (error.Code == VirErrorCode.NoNetwork)
                {
                    // It ended meanwhile.
                }
            }
        return bridges;
    }

    private static (string, bool, int) Key(DeclaredNic nic) => (nic.Network, nic.OfHost, nic.Vlan);
}
