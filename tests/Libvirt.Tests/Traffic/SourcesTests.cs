using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using Microsoft.Extensions.Logging.Abstractions;
using WeaveHypervisor.Conformance;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.Libvirt.Tests.Rules;
using WeaveHypervisor.Libvirt.Traffic;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt.Tests.Traffic;

/// <summary>Published ports for some clients: from this host, and from two addresses of another one, which is a namespace.</summary>
public sealed class SourcesTests
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);

    [Fact]
    public async Task A_port_serves_those_that_it_is_for_and_nobody_else()
    {
        await using var world = await World.NewAsync(Stop);
        foreach (var (sources, served) in new[]
                 {
                     (null, new[] { "near", "far", "127.0.0.1" }), ("", []), (world.Near + "/32", ["near"]), ("127.0.0.0/8", ["127.0.0.1"]), ("0.0.0.0/0", ["near", "far", "127.0.0.1"]),
                     ($"0.0.0.0/1,{world.Near}/32", ["near", "127.0.0.1"]), (world.Net + ".0/24", ["near", "far"]), ($"{world.Net}.0/24,{world.Far}/32", ["near", "far"]), ("10.0.0.0/8,10.1.0.0/16,10.1.2.3/32", Array.Empty<string>()),
                 })
        {
            PublishedEndpoint[] published = [world.Any(sources), world.Any(sources) with { Protocol = RouteProtocol.Udp }];
            for (var twice = 0; twice < 2; twice++) await world.Publisher.PublishAsync(published, Stop);
            Assert.Equal(published.ToHashSet(), (await world.Publisher.ListWorkingAsync(Stop)).ToHashSet());
            foreach (var udp in new[] { false, true }) await world.ServesAsync(sources ?? "everyone", served, udp);
        }
    }

    [Fact]
    public async Task A_client_that_a_port_is_not_for_is_not_passed_on_to_the_same_port_of_all_addresses()
    {
        await using var world = await World.NewAsync(Stop);
        var at = world.Any(world.Far + "/32") with { ListenAddress = world.Net + ".1", Id = RouteId.New(TimeProvider.System) };
        PublishedEndpoint[] both = [world.Any(null), at];
        await world.Publisher.PublishAsync(both, Stop);
        Assert.Equal(both.ToHashSet(), (await world.Publisher.ListWorkingAsync(Stop)).ToHashSet());
        // The host itself goes to 127.0.0.1, and from its own address to that address.
        await world.ServesAsync("one address for some, all addresses for everyone", ["far", "127.0.0.1"]);
        await world.Publisher.PublishAsync([world.Any(world.Near + "/32"), at with { Sources = null }], Stop);
        await world.ServesAsync("one address for everyone, all addresses for some", ["near", "far"]);
        await world.Publisher.PublishAsync([world.Any(world.Near + "/32"), at], Stop);
        await world.ServesAsync("both for some", ["far"]);
    }

    [Fact]
    public async Task Connections_that_exist_go_on_when_their_client_is_one_no_longer()
    {
        await using var world = await World.NewAsync(Stop);
        await world.Publisher.PublishAsync([world.Any(null)], Stop);
        using var near = await world.ConnectAsync("near", Stop).WaitAsync(Patience, Stop);
        using var own = await world.ConnectAsync("127.0.0.1", Stop).WaitAsync(Patience, Stop);
        foreach (var sources in new[] { "", world.Far + "/32", "", world.Net + ".0/24" })
        {
            await world.Publisher.PublishAsync([world.Any(sources)], Stop);
            foreach (var socket in new[] { near, own }) await World.AnswersAsync(socket, Stop);
        }
        // The chains of those sources are gone with them.
        var table = await HostCommand.RunAsync("nft", ["list", "table", "ip", world.Prefix], null, Stop);
        Assert.Single(table.Split('\n'), l => l.TrimStart().StartsWith("chain only_", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("flush chain ip {0} {1}")]
    [InlineData("flush map ip {0} tcp_any_only")]
    [InlineData("flush map ip {0} tcp_any_some")]
    [InlineData("flush chain ip {0} arrive")]
    [InlineData("flush chain ip {0} open")]
    [InlineData("delete rule ip {0} {1} handle {2}")]
    [InlineData("insert rule ip {0} {1} counter")]
    [InlineData("insert rule ip {0} {1} ip saddr 192.0.2.0/24 goto open")]
    [InlineData("flush table ip {0}")]
    public async Task What_a_foreign_hand_did_to_the_sources_is_told_and_opens_nothing(string damage)
    {
        await using var world = await World.NewAsync(Stop);
        var published = world.Any(world.Far + "/32");
        await world.Publisher.PublishAsync([published], Stop);
        Assert.Equal([published], await world.Publisher.ListWorkingAsync(Stop));
        var listing = (await HostCommand.RunAsync("nft", ["-a", "list", "table", "ip", world.Prefix], null, Stop)).Split('\n');
        var chain = listing.Single(l => l.Contains("chain only_", StringComparison.Ordinal)).Split(' ', StringSplitOptions.RemoveEmptyEntries)[1];
        var handle = listing.Single(l => l.Contains("saddr " + world.Far, StringComparison.Ordinal)).Split(' ')[^1];
        await HostCommand.RunAsync("nft", ["-f", "-"], string.Format(System.Globalization.CultureInfo.InvariantCulture, damage, world.Prefix, chain, handle) + "\n", Stop);
        Assert.DoesNotContain(published, await world.Publisher.ListWorkingAsync(Stop));
        using var end = CancellationTokenSource.CreateLinkedTokenSource(Stop);
        var refused = world.ConnectAsync("near", end.Token);
        await Eventually.PauseAsync(Stop);
        Assert.False(refused.IsCompletedSuccessfully);
        await world.Publisher.PublishAsync([published], Stop);
        Assert.Equal([published], await world.Publisher.ListWorkingAsync(Stop));
        await world.ServesAsync("mended", ["far"]);
        Assert.False(refused.IsCompletedSuccessfully);
        await end.CancelAsync();
        await refused.ContinueWith(static t => _ = t.Exception, TaskScheduler.Default);
    }

    [Fact]
    public async Task The_table_of_an_earlier_version_is_taken_over_under_its_connections()
    {
        await using var world = await World.NewAsync(Stop);
        var published = world.Any(null);
        await HostCommand.RunAsync("nft", ["-f", "-"], $$"""
            table ip {{world.Prefix}} {
             map tcp_at { type ipv4_addr . inet_service : ipv4_addr . inet_service; }
             map tcp_any { type inet_service : ipv4_addr . inet_service; elements = { {{World.Port}} comment "{{published.Id}}" : {{world.Server}} . {{World.Port}} } }
             map udp_at { type ipv4_addr . inet_service : ipv4_addr . inet_service; }
             map udp_any { type inet_service : ipv4_addr . inet_service; }
             chain guard { type filter hook prerouting priority raw; iifname != "lo" ip daddr 127.0.0.0/8 drop; }
             chain arrive { type nat hook prerouting priority dstnat - 5; dnat ip to ip daddr . tcp dport map @tcp_at; fib daddr type local dnat ip to tcp dport map @tcp_any; }
             chain local { type nat hook output priority -105; fib daddr type local dnat ip to tcp dport map @tcp_any; }
             chain leave { type nat hook postrouting priority srcnat - 5; ct status dnat ip saddr 127.0.0.0/8 masquerade; }
            }

            """, Stop);
        using var near = await world.ConnectAsync("near", Stop).WaitAsync(Patience, Stop);
        Assert.Empty(await world.Publisher.ListWorkingAsync(Stop));
        await world.Publisher.PublishAsync([published with { Sources = "" }], Stop);
        Assert.Equal([published with { Sources = "" }], await world.Publisher.ListWorkingAsync(Stop));
        await World.AnswersAsync(near, Stop);
        await world.ServesAsync("nobody", []);
    }

    [Theory]
    [InlineData("10.0.0.0/8,9.0.0.0/8")]
    [InlineData("10.0.0.0/8,10.0.0.0/8")]
    [InlineData("10.0.0.1")]
    [InlineData("10.0.0.1/8")]
    [InlineData("0.0.0.0/0; drop")]
    [InlineData(",")]
    public async Task Sources_in_another_form_than_the_one_that_is_read_back_are_refused(string sources)
    {
        await using var world = await World.NewAsync(Stop);
        Assert.Equal(Fault.InvalidRequest, (await Assert.ThrowsAsync<WeaveException>(() => world.Publisher.PublishAsync([world.Any(sources)], Stop))).Fault);
    }

    /// <summary>A server behind this host, and a host with the addresses `near` and `far`; the publisher is as a service has it, without its libvirt.</summary>
    private sealed class World : IAsyncDisposable
    {
        public const int Port = 17653;
        private static int _nets = RandomNumberGenerator.GetInt32(200);
        private readonly int _net = 1 + (int)((uint)Interlocked.Increment(ref _nets) % 250);
        private readonly List<IDisposable> _open = [];
        private readonly CancellationTokenSource _end = new();
        private readonly DriverContext _context;

        private World()
        {
            LibvirtDriverOptions options = new() { Prefix = Prefix, Root = $"/var/lib/{Prefix}/root" };
            _context = new(options, new HostConnection(options.Uri), new DriverPaths(options), TimeProvider.System, NullLoggerFactory.Instance);
            Publisher = new(_context);
        }

        public string Prefix { get; } = "wvt" + Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(2));
        public EndpointPublisher Publisher { get; }
        public string Net => $"198.19.{_net}";
        public string Near => Net + ".2";
        public string Far => Net + ".200";
        /// <summary>As of a fence: not behind libvirt's own rules.</summary>
        public string Server => $"100.1.{_net}.2";
        private NetworkSpace Clients => new(Prefix + "c");
        private NetworkSpace Servers => new(Prefix + "s");
        private RouteId Id { get; } = RouteId.New(TimeProvider.System);

        public PublishedEndpoint Any(string? sources) => new(Id, RouteProtocol.Tcp, "0.0.0.0", Port, Server, Port) { Sources = sources };

        public static async Task<World> NewAsync(CancellationToken stop)
        {
            var world = new World();
            try
            {
                foreach (var (space, net, host) in new[] { (world.Clients.Name, world.Net, "2"), (world.Servers.Name, $"100.1.{world._net}", "2") })
                {
                    await FenceWorld.RunAsync(stop, "ip", "netns", "add", space);
                    await FenceWorld.RunAsync(stop, "ip", "link", "add", space + "0", "type", "veth", "peer", "name", "eth0", "netns", space);
                    await FenceWorld.RunAsync(stop, "ip", "addr", "add", net + ".1/24", "dev", space + "0");
                    await FenceWorld.RunAsync(stop, "ip", "link", "set", space + "0", "up");
                    await FenceWorld.RunAsync(stop, "ip", "netns", "exec", space, "sh", "-ec", $"ip link set lo up; ip link set eth0 up; ip addr add {net}.{host}/24 dev eth0; ip route add default via {net}.1");
                }
                await FenceWorld.RunAsync(stop, "ip", "netns", "exec", world.Clients.Name, "ip", "addr", "add", world.Far + "/24", "dev", "eth0");
                world.Serve();
                return world;
            }
            catch
            {
                await world.DisposeAsync();
                throw;
            }
        }

        private void Serve()
        {
            var listener = Servers.Listen(Port);
            var datagrams = Servers.Udp(Port);
            _open.AddRange([listener, datagrams]);
            EchoServer.Accept(listener, _end.Token);
            EchoServer.Datagrams(datagrams, _end.Token);
        }

        private async Task<Socket> OpenAsync(string client, bool udp, CancellationToken stop)
        {
            var space = client.StartsWith("127.", StringComparison.Ordinal) ? new NetworkSpace("") : Clients;
            var address = client switch { "near" => IPAddress.Parse(Near), "far" => IPAddress.Parse(Far), _ => IPAddress.Any };
            var socket = udp ? space.Udp(0, address) : space.Tcp();
            if (!udp) socket.Bind(new IPEndPoint(address, 0));
            await socket.ConnectAsync(new IPEndPoint(IPAddress.Parse(space.Name.Length == 0 ? client : Net + ".1"), Port), stop);
            return socket;
        }

        /// <summary>A connection that has been answered.</summary>
        public async Task<Socket> ConnectAsync(string client, CancellationToken stop, bool udp = false)
        {
            var socket = await OpenAsync(client, udp, stop);
            await AnswersAsync(socket, stop);
            return socket;
        }

        public static async Task AnswersAsync(Socket socket, CancellationToken stop)
        {
            await socket.SendAsync("?"u8.ToArray(), stop);
            Assert.Equal(1, await socket.ReceiveAsync(new byte[8], stop).AsTask().WaitAsync(Patience, stop));
        }

        /// <summary>Exactly these clients of all get an answer; the others ask first.</summary>
        public async Task ServesAsync(string what, IReadOnlyCollection<string> served, bool udp = false)
        {
            using var end = CancellationTokenSource.CreateLinkedTokenSource(Stop);
            string[] all = ["near", "far", "127.0.0.1"];
            var refused = all.Except(served).ToDictionary(c => c, c => ConnectAsync(c, end.Token, udp));
            foreach (var client in served) (await ConnectAsync(client, Stop, udp).WaitAsync(Patience, Stop)).Dispose();
            await Eventually.PauseAsync(Stop);
            Assert.True(refused.Values.All(r => !r.IsCompletedSuccessfully), $"{what}: {string.Join(", ", refused.Where(r => r.Value.IsCompletedSuccessfully).Select(r => r.Key))} was served");
            await end.CancelAsync();
            await Task.WhenAll(refused.Values.Select(r => r.ContinueWith(static t => _ = t.Exception, TaskScheduler.Default)));
        }

        public async ValueTask DisposeAsync()
        {
            await _end.CancelAsync();
            foreach (var thing in _open) thing.Dispose();
            await Publisher.PublishAsync([], default);
            foreach (var space in new[] { Clients.Name, Servers.Name })
            {
                await HostCommand.TryAsync("ip", ["netns", "delete", space], null, default);
                if (Directory.Exists($"/sys/class/net/{space}0")) await HostCommand.TryAsync("ip", ["link", "delete", space + "0"], null, default);
            }
            if (Directory.Exists($"/var/lib/{Prefix}")) Directory.Delete($"/var/lib/{Prefix}", recursive: true);
            await _context.Host.DisposeAsync();
            await _context.Agent.DisposeAsync();
            _end.Dispose();
        }
    }
}
