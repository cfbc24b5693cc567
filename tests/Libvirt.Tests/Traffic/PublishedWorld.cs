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

/// <summary>A server behind this host, linked as a fence is, and a host with the addresses `near` and `far`; the publisher is as a service has it, without its libvirt.</summary>
internal sealed class PublishedWorld : IAsyncDisposable
{
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);
    private static int _nets = RandomNumberGenerator.GetInt32(200);
    private readonly int _net = 1 + (int)((uint)Interlocked.Increment(ref _nets) % 250);
    private readonly List<IDisposable> _open = [];
    private readonly CancellationTokenSource _end = new();
    private readonly DriverContext _context;

    private PublishedWorld()
    {
        LibvirtDriverOptions options = new() { Prefix = Prefix, Root = $"/var/lib/{Prefix}/root" };
        _context = new(options, new HostConnection(options.Uri), new DriverPaths(options), TimeProvider.System, NullLoggerFactory.Instance);
        Publisher = new(_context);
    }

    public string Prefix { get; } = "wvt" + Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(2));
    public EndpointPublisher Publisher { get; }
    /// <summary>Published, and the server's own; another one for each world, because a port is published once on a host.</summary>
    public int Port => 17600 + _net;
    public string Net => $"198.19.{_net}";
    public string Near => Net + ".2";
    public string Far => Net + ".200";
    public string Server => ServerNet + ".2";
    public FenceTag Fence { get; } = FenceTag.New();
    private string ServerNet => $"100.1.{_net}";
    private string BeyondNet => $"100.2.{_net}";
    private NetworkSpace Clients => new(Prefix + "c");
    private NetworkSpace Servers => new(Prefix + "s");
    /// <summary>Another host, to which the host's routes lead for the server's address too.</summary>
    private NetworkSpace Beyond => new(Prefix + "b");
    private string ClientLink => Prefix + "c0";
    private string BeyondLink => Prefix + "b0";
    private RouteId Id { get; } = RouteId.New(TimeProvider.System);

    public PublishedEndpoint Any(string? sources) => new(Id, RouteProtocol.Tcp, "0.0.0.0", Port, Server, Port) { Sources = sources, Fence = Fence };

    public static async Task<PublishedWorld> NewAsync(CancellationToken stop)
    {
        var world = new PublishedWorld();
        try
        {
            foreach (var space in new[] { world.Clients, world.Servers }) await FenceWorld.RunAsync(stop, "ip", "netns", "add", space.Name);
            await LinkAsync(world.ClientLink, world.Clients, world.Net, stop);
            await FenceWorld.RunAsync(stop, "ip", "netns", "exec", world.Clients.Name, "ip", "addr", "add", world.Far + "/24", "dev", "eth0");
            await world.StandAsync(world.Fence, stop);
            world.Serve(world.Servers);
            return world;
        }
        catch
        {
            await world.DisposeAsync();
            throw;
        }
    }

    /// <summary>Links the server as the fence of that tag.</summary>
    public Task StandAsync(FenceTag fence, CancellationToken stop) => LinkAsync(PublishedRules.Uplink(fence), Servers, ServerNet, stop);

    /// <summary>Takes that link away. Connections of the server wait for another one.</summary>
    public static Task FallAsync(FenceTag fence, CancellationToken stop) => FenceWorld.RunAsync(stop, "ip", "link", "delete", PublishedRules.Uplink(fence));

    private static async Task LinkAsync(string link, NetworkSpace space, string net, CancellationToken stop)
    {
        await FenceWorld.RunAsync(stop, "ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", space.Name);
        await FenceWorld.RunAsync(stop, "ip", "addr", "add", net + ".1/24", "dev", link);
        await FenceWorld.RunAsync(stop, "ip", "link", "set", link, "up");
        await FenceWorld.RunAsync(stop, "ip", "netns", "exec", space.Name, "sh", "-ec", $"ip link set lo up; ip link set eth0 up; ip addr add {net}.2/24 dev eth0; ip route add default via {net}.1");
    }

    /// <summary>Makes the other host, which has the server's address as well and serves there. What comes to it can be heard at the answer.</summary>
    public async Task<Wire> AddBeyondAsync(CancellationToken stop)
    {
        await FenceWorld.RunAsync(stop, "ip", "netns", "add", Beyond.Name);
        await LinkAsync(BeyondLink, Beyond, BeyondNet, stop);
        await FenceWorld.RunAsync(stop, "ip", "netns", "exec", Beyond.Name, "ip", "addr", "add", Server + "/32", "dev", "lo");
        await FenceWorld.RunAsync(stop, "ip", "route", "add", ServerNet + ".0/24", "via", BeyondNet + ".2", "metric", "1000");
        Serve(Beyond);
        var wire = Beyond.Open("eth0");
        _open.Add(wire);
        return wire;
    }

    /// <summary>Packets to the server's address among those that were heard since the last call.</summary>
    public int Heard(Wire wire)
    {
        var count = 0;
        while (wire.Next() is { } frame)
            if (frame.Length >= 34 && frame[12] == 8 && frame[13] == 0 && new IPAddress(frame.AsSpan(30, 4)).ToString() == Server) count++;
        return count;
    }

    private void Serve(NetworkSpace space)
    {
        var listener = space.Listen(Port);
        var datagrams = space.Udp(Port);
        _open.AddRange([listener, datagrams]);
        EchoServer.Accept(listener, _end.Token);
        EchoServer.Datagrams(datagrams, _end.Token);
    }

    /// <param name="client">`near`, `far`, `own` (the host, at its own address), or an address of the host's loopback net.</param>
    private async Task<Socket> OpenAsync(string client, bool udp, CancellationToken stop)
    {
        var space = client is "near" or "far" ? Clients : new NetworkSpace("");
        var address = client switch { "near" => IPAddress.Parse(Near), "far" => IPAddress.Parse(Far), _ => IPAddress.Any };
        var socket = udp ? space.Udp(0, address) : space.Tcp();
        try
        {
            if (!udp) socket.Bind(new IPEndPoint(address, 0));
            await socket.ConnectAsync(new IPEndPoint(IPAddress.Parse(client.StartsWith("127.", StringComparison.Ordinal) ? client : Net + ".1"), Port), stop);
            return socket;
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    /// <summary>How a client is refused, without waiting for long.</summary>
    public async Task<SocketError> RefusedAsync(string client, bool udp, CancellationToken stop)
    {
        using var end = CancellationTokenSource.CreateLinkedTokenSource(stop);
        end.CancelAfter(Patience);
        return (await Assert.ThrowsAsync<SocketException>(async () => (await ConnectAsync(client, end.Token, udp)).Dispose())).SocketErrorCode;
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
    public async Task ServesAsync(string what, IReadOnlyCollection<string> served, CancellationToken stop, bool udp = false)
    {
        using var end = CancellationTokenSource.CreateLinkedTokenSource(stop);
        string[] all = ["near", "far", "127.0.0.1"];
        var refused = all.Except(served).ToDictionary(c => c, c => ConnectAsync(c, end.Token, udp));
        foreach (var client in served) (await ConnectAsync(client, stop, udp).WaitAsync(Patience, stop)).Dispose();
        await Eventually.PauseAsync(stop);
        Assert.True(refused.Values.All(r => !r.IsCompletedSuccessfully), $"{what}: {string.Join(", ", refused.Where(r => r.Value.IsCompletedSuccessfully).Select(r => r.Key))} was served");
        await end.CancelAsync();
        await Task.WhenAll(refused.Values.Select(r => r.ContinueWith(static t => _ = t.Exception, TaskScheduler.Default)));
    }

    public async ValueTask DisposeAsync()
    {
        await _end.CancelAsync();
        foreach (var thing in _open) thing.Dispose();
        await Publisher.PublishAsync([], default);
        foreach (var space in new[] { Clients.Name, Servers.Name, Beyond.Name }.Where(s => File.Exists("/run/netns/" + s))) await HostCommand.TryAsync("ip", ["netns", "delete", space], null, default);
        foreach (var link in new[] { ClientLink, BeyondLink, PublishedRules.Uplink(Fence) }.Where(l => Directory.Exists("/sys/class/net/" + l))) await HostCommand.TryAsync("ip", ["link", "delete", link], null, default);
        if (Directory.Exists($"/var/lib/{Prefix}")) Directory.Delete($"/var/lib/{Prefix}", recursive: true);
        await _context.Host.DisposeAsync();
        await _context.Agent.DisposeAsync();
        _end.Dispose();
    }
}
