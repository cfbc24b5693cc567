using System.Net.Sockets;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.Libvirt.Tests.Rules;
using WeaveHypervisor.Libvirt.Traffic;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt.Tests.Traffic;

/// <summary>Published ports into a fence that is not there, on a host whose routes lead its addresses to another host.</summary>
public sealed class FenceGuardTests
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public async Task What_is_sent_to_a_port_into_a_fence_that_is_not_there_is_refused_at_once_and_leaves_the_host_nowhere()
    {
        await using var world = await PublishedWorld.NewAsync(Stop);
        PublishedEndpoint[] published = [world.Any(null), world.Any(null) with { Protocol = RouteProtocol.Udp }];
        await PublishedWorld.FallAsync(world.Fence, Stop);
        var beyond = await world.AddBeyondAsync(Stop);
        await world.Publisher.PublishAsync(published, Stop);
        Assert.Equal(published.ToHashSet(), (await world.Publisher.ListWorkingAsync(Stop)).ToHashSet());
        foreach (var client in new[] { "near", "far", "own" }) Assert.Equal(SocketError.ConnectionRefused, await world.RefusedAsync(client, udp: false, Stop));
        Assert.Equal(SocketError.ConnectionRefused, await world.RefusedAsync("near", udp: true, Stop));
        Assert.Equal(SocketError.AccessDenied, await world.RefusedAsync("own", udp: true, Stop));
        foreach (var udp in new[] { false, true }) await world.ServesAsync("no fence", [], Stop, udp);
        Assert.Equal(0, world.Heard(beyond));

        // The link of a fence that is made afterwards leads in, from everywhere, without another word of the publisher's.
        await world.StandAsync(world.Fence, Stop);
        await world.Publisher.ReachAsync(world.Fence, Stop);
        foreach (var udp in new[] { false, true }) await world.ServesAsync("made", ["near", "far", "127.0.0.1"], Stop, udp);
        (await world.ConnectAsync("own", Stop)).Dispose();
        Assert.Equal(0, world.Heard(beyond));
    }

    [Fact]
    public async Task Connections_into_a_fence_wait_while_it_is_not_there_and_go_on_when_it_is_made_whole()
    {
        await using var world = await PublishedWorld.NewAsync(Stop);
        var beyond = await world.AddBeyondAsync(Stop);
        await world.Publisher.PublishAsync([world.Any(null)], Stop);
        using var near = await world.ConnectAsync("near", Stop);
        using var own = await world.ConnectAsync("own", Stop);
        await PublishedWorld.FallAsync(world.Fence, Stop);
        foreach (var socket in new[] { near, own }) await socket.SendAsync("?"u8.ToArray(), Stop);
        Assert.Equal(SocketError.ConnectionRefused, await world.RefusedAsync("near", udp: false, Stop));
        await world.StandAsync(world.Fence, Stop);
        foreach (var socket in new[] { near, own }) Assert.Equal(1, await socket.ReceiveAsync(new byte[8], Stop).AsTask().WaitAsync(PublishedWorld.Patience, Stop));
        Assert.Equal(0, world.Heard(beyond));
    }

    [Fact]
    public async Task A_port_leads_into_no_other_fence_that_has_got_its_addresses()
    {
        await using var world = await PublishedWorld.NewAsync(Stop);
        var gone = world.Any(null) with { Fence = FenceTag.New() };
        await world.Publisher.PublishAsync([gone], Stop);
        Assert.Equal([gone], await world.Publisher.ListWorkingAsync(Stop));
        foreach (var client in new[] { "near", "far" }) Assert.Equal(SocketError.ConnectionRefused, await world.RefusedAsync(client, udp: false, Stop));
        await world.ServesAsync("another fence", [], Stop);
        await world.Publisher.PublishAsync([world.Any(null)], Stop);
        await world.ServesAsync("its own fence", ["near", "far", "127.0.0.1"], Stop);
    }

    [Fact]
    public async Task Of_two_fences_that_have_one_address_none_is_led_into()
    {
        await using var world = await PublishedWorld.NewAsync(Stop);
        PublishedEndpoint[] both = [world.Any(null), world.Any(null) with { Id = RouteId.New(TimeProvider.System), ListenPort = world.Any(null).ListenPort + 1, Fence = FenceTag.New() }];
        await world.Publisher.PublishAsync(both, Stop);
        Assert.Equal(both.ToHashSet(), (await world.Publisher.ListWorkingAsync(Stop)).ToHashSet());
        await world.ServesAsync("two fences", [], Stop);
        await world.Publisher.PublishAsync([both[0]], Stop);
        await world.ServesAsync("one of them", ["near", "far", "127.0.0.1"], Stop);
    }

    [Fact]
    public async Task A_port_of_an_original_leads_to_whatever_address_it_has()
    {
        await using var world = await PublishedWorld.NewAsync(Stop);
        await PublishedWorld.FallAsync(world.Fence, Stop);
        var beyond = await world.AddBeyondAsync(Stop);
        var original = world.Any(null) with { Fence = null };
        await world.Publisher.PublishAsync([original], Stop);
        Assert.Equal([original], await world.Publisher.ListWorkingAsync(Stop));
        await world.ServesAsync("an original", ["near", "far", "127.0.0.1"], Stop);
        Assert.NotEqual(0, world.Heard(beyond));
    }
}
