using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using Microsoft.Extensions.Logging.Abstractions;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.Libvirt.Fences;
using WeaveHypervisor.Libvirt.Tests.Conformance;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt.Tests.Rules;

/// <summary>
/// A real fence whose machines are network namespaces: each plugged into the fence's bridge by a link of the name that a copy's tap would have. `web`, `db` and `free` on the first network, `far` on the second;
/// the gateway routes between the two, which is the world's own doing; `world` is a host outside.
/// </summary>
internal sealed class FenceWorld : IAsyncDisposable
{
    public static readonly string[] Machines = ["web", "db", "free", "far"];
    public static readonly int[] TcpPorts = [80, 443, 5432, 8050], UdpPorts = [53, 514, 5000];

    private readonly string _prefix = "wvt" + Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(2));
    private readonly System.Collections.Concurrent.ConcurrentBag<IDisposable> _open = [];
    private readonly CancellationTokenSource _end = new();
    private readonly List<string> _spaces = [];
    private readonly int _outside = RandomNumberGenerator.GetInt32(1, 250);

    public FenceTag Tag { get; } = FenceTag.New();
    public FenceNames Names => new(_prefix, Tag);
    public LibvirtDriver Driver { get; }
    public FenceFacts Facts { get; private set; } = new([]);
    public FenceSpec Spec { get; private set; }
    /// <summary>The host's end of the link to `world`; a name like a fence's own would be taken for another fence.</summary>
    private string Card => $"we2w{_prefix[3..]}";
    public string WorldAddress => $"198.18.{_outside}.2";

    private FenceWorld()
    {
        Driver = new(new() { Prefix = _prefix, Root = $"/var/lib/{_prefix}/root" }, TimeProvider.System, NullLoggerFactory.Instance);
        Spec = new()
        {
            Tag = Tag, Environment = EnvironmentId.Parse("shop"), Weave = WeaveId.Parse("past"), Uplink = UplinkMode.Nat,
            Networks =
            [
                new() { Name = NetworkName.Parse("one"), Gateway = "10.1.0.1", PrefixLength = 24, Dhcp = true, DomainName = "shop.test" },
                new() { Name = NetworkName.Parse("two"), Gateway = "10.2.0.1", PrefixLength = 24 },
            ],
            Machines = [.. Machines.Select((m, i) => new FenceMachine(MachineName.Parse(m), [new(Mac(m), NetworkName.Parse(m == "far" ? "two" : "one"), [AddressOf(m)])]))],
        };
    }

    public static string AddressOf(string machine) => $"10.{(machine == "far" ? 2 : 1)}.0.{11 + Array.IndexOf(Machines, machine)}";
    public static string Mac(string machine) => $"52:54:00:aa:00:{1 + Array.IndexOf(Machines, machine):x2}";
    public string OuterOf(string machine) => Facts.Addresses.Single(a => a.Machine.Text == machine).Outer;
    /// <summary>The namespace of a machine, of `world`, or the host's own for any other name.</summary>
    public NetworkSpace Space(string who) => new(Machines.Contains(who) || who == "world" ? SpaceOf(who) : "");
    public Wire Wire(string machine) => Keep(Space(machine).Open("eth0"));
    public string Tap(string machine) => Names.Tap(Array.IndexOf(Machines, machine));
    private string SpaceOf(string who) => $"{_prefix}{who}";

    public static async Task<FenceWorld> NewAsync(CancellationToken stop, params SecurityGroup[] groups)
    {
        var world = new FenceWorld();
        try
        {
            await world.MakeAsync(stop, groups);
            foreach (var machine in Machines) await world.PlugAsync(machine, stop);
            await world.OutsideAsync(stop);
            foreach (var who in Machines.Append("world")) world.Serve(who);
            return world;
        }
        catch
        {
            await world.DisposeAsync();
            throw;
        }
    }

    /// <summary>The fence with these groups, made or changed.</summary>
    public async Task MakeAsync(CancellationToken stop, params SecurityGroup[] groups)
    {
        Spec = Spec with { Groups = groups };
        Facts = await Driver.MakeFenceAsync(Spec, stop);
        await RunAsync(stop, "ip", "netns", "exec", Names.Namespace, "nft", "insert rule ip weave forward iifname leg* oifname leg* accept");
    }

    public T Keep<T>(T thing) where T : IDisposable
    {
        _open.Add(thing);
        return thing;
    }

    private async Task PlugAsync(string machine, CancellationToken stop)
    {
        var space = SpaceOf(machine);
        await AddSpaceAsync(space, stop);
        await RunAsync(stop, "ip", "link", "add", Tap(machine), "type", "veth", "peer", "name", "eth0", "netns", space);
        await RunAsync(stop, "ip", "link", "set", Tap(machine), "master", Names.Bridge(machine == "far" ? 1 : 0), "up");
        await RunAsync(stop, "ip", "netns", "exec", space, "sh", "-ec",
            $"echo 0 > /proc/sys/net/ipv6/conf/eth0/accept_dad; ip link set lo up; ip link set eth0 address {Mac(machine)} up; ip addr add {AddressOf(machine)}/24 dev eth0; ip route add default via 10.{(machine == "far" ? 2 : 1)}.0.1");
    }

    /// <summary>A host beyond this one, to which the fence's uplink leads.</summary>
    private async Task OutsideAsync(CancellationToken stop)
    {
        var space = SpaceOf("world");
        await AddSpaceAsync(space, stop);
        await RunAsync(stop, "ip", "link", "add", Card, "type", "veth", "peer", "name", "eth0", "netns", space);
        await RunAsync(stop, "ip", "addr", "add", $"198.18.{_outside}.1/30", "dev", Card);
        await RunAsync(stop, "ip", "link", "set", Card, "up");
        await RunAsync(stop, "ip", "netns", "exec", space, "sh", "-ec", $"ip link set lo up; ip link set eth0 up; ip addr add {WorldAddress}/30 dev eth0; ip route add default via 198.18.{_outside}.1");
        // As the product does it for published ports; a network of libvirt's has mostly done it before.
        await File.WriteAllTextAsync("/proc/sys/net/ipv4/ip_forward", "1", stop);
    }

    private async Task AddSpaceAsync(string space, CancellationToken stop)
    {
        _spaces.Add(space);
        await RunAsync(stop, "ip", "netns", "add", space);
    }

    private void Serve(string who)
    {
        foreach (var port in TcpPorts) EchoServer.Accept(Keep(Space(who).Listen(port)), _end.Token);
        foreach (var port in UdpPorts) EchoServer.Datagrams(Keep(Space(who).Udp(port)), _end.Token);
    }

    /// <summary>Asks once, as a new connection of that protocol; ends when an answer came.</summary>
    public async Task AskAsync(string from, string address, RuleProtocol protocol, int port, CancellationToken stop)
    {
        var to = new IPEndPoint(IPAddress.Parse(address), port);
        var buffer = new byte[256];
        if (protocol == RuleProtocol.Tcp)
        {
            using var socket = Space(from).Tcp();
            await socket.ConnectAsync(to, stop);
            await socket.SendAsync("?"u8.ToArray(), stop);
            Assert.Equal(1, await socket.ReceiveAsync(buffer, stop));
        }
        else if (protocol == RuleProtocol.Udp)
        {
            using var socket = Space(from).Udp();
            await socket.ConnectAsync(to, stop);
            await socket.SendAsync("?"u8.ToArray(), stop);
            Assert.Equal(1, await socket.ReceiveAsync(buffer, stop));
        }
        else
        {
            using var socket = Space(from).Icmp();
            await socket.ConnectAsync(new IPEndPoint(to.Address, 0), stop);
            var ask = Frames.Echo(RandomNumberGenerator.GetInt32(65536));
            await socket.SendAsync(ask, stop);
            // Everything of ICMP comes to every such socket: the answer has the same number.
            while (await socket.ReceiveAsync(buffer, stop) is var count)
                if (count >= 28 && buffer[20] == 0 && buffer.AsSpan(24, 2).SequenceEqual(ask.AsSpan(4, 2))) return;
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _end.CancelAsync();
        foreach (var thing in _open) thing.Dispose();
        foreach (var space in _spaces) await HostCommand.TryAsync("ip", ["netns", "delete", space], null, default);
        foreach (var link in Machines.Select(Tap).Append(Card).Where(l => Directory.Exists("/sys/class/net/" + l))) await HostCommand.TryAsync("ip", ["link", "delete", link], null, default);
        await Driver.RetireFenceAsync(Tag, default);
        await Driver.DisposeAsync();
        if (Directory.Exists($"/var/lib/{_prefix}")) Directory.Delete($"/var/lib/{_prefix}", recursive: true);
        File.Delete($"/run/weave.{_prefix}.fences.lock");
        _end.Dispose();
    }

    public static async Task<string> RunAsync(CancellationToken stop, params string[] line) => await LibvirtBench.RunAsync(null, stop, line);
}
