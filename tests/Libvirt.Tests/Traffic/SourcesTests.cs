using WeaveHypervisor.Conformance;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt.Tests.Traffic;

/// <summary>Published ports for some clients: from this host, and from two addresses of another one, which is a namespace.</summary>
public sealed class SourcesTests
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_port_serves_those_that_it_is_for_and_nobody_else()
    {
        await using var world = await PublishedWorld.NewAsync(Stop);
        foreach (var (sources, served) in new[]
                 {
                     (null, new[] { "near", "far", "127.0.0.1" }), ("", []), (world.Near + "/32", ["near"]), ("127.0.0.0/8", ["127.0.0.1"]), ("0.0.0.0/0", ["near", "far", "127.0.0.1"]),
                     ($"0.0.0.0/1,{world.Near}/32", ["near", "127.0.0.1"]), (world.Net + ".0/24", ["near", "far"]), ($"{world.Net}.0/24,{world.Far}/32", ["near", "far"]), ("10.0.0.0/8,10.1.0.0/16,10.1.2.3/32", Array.Empty<string>()),
                 })
        {
            PublishedEndpoint[] published = [world.Any(sources), world.Any(sources) with { Protocol = RouteProtocol.Udp }];
            for (var twice = 0; twice < 2; twice++) await world.Publisher.PublishAsync(published, Stop);
            Assert.Equal(published.ToHashSet(), (await world.Publisher.ListWorkingAsync(Stop)).ToHashSet());
            foreach (var udp in new[] { false, true }) await world.ServesAsync(sources ?? "everyone", served, Stop, udp);
        }
    }

    [Fact]
    public async Task A_client_that_a_port_is_not_for_is_not_passed_on_to_the_same_port_of_all_addresses()
    {
        await using var world = await PublishedWorld.NewAsync(Stop);
        var at = world.Any(world.Far + "/32") with { ListenAddress = world.Net + ".1", Id = RouteId.New(TimeProvider.System) };
        PublishedEndpoint[] both = [world.Any(null), at];
        await world.Publisher.PublishAsync(both, Stop);
        Assert.Equal(both.ToHashSet(), (await world.Publisher.ListWorkingAsync(Stop)).ToHashSet());
        // The host itself goes to 127.0.0.1, and from its own address to that address.
        await world.ServesAsync("one address for some, all addresses for everyone", ["far", "127.0.0.1"], Stop);
        await world.Publisher.PublishAsync([world.Any(world.Near + "/32"), at with { Sources = null }], Stop);
        await world.ServesAsync("one address for everyone, all addresses for some", ["near", "far"], Stop);
        await world.Publisher.PublishAsync([world.Any(world.Near + "/32"), at], Stop);
        await world.ServesAsync("both for some", ["far"], Stop);
    }

    [Fact]
    public async Task Connections_that_exist_go_on_when_their_client_is_one_no_longer()
    {
        await using var world = await PublishedWorld.NewAsync(Stop);
        await world.Publisher.PublishAsync([world.Any(null)], Stop);
        using var near = await world.ConnectAsync("near", Stop).WaitAsync(PublishedWorld.Patience, Stop);
        using var own = await world.ConnectAsync("127.0.0.1", Stop).WaitAsync(PublishedWorld.Patience, Stop);
        foreach (var sources in new[] { "", world.Far + "/32", "", world.Net + ".0/24" })
        {
            await world.Publisher.PublishAsync([world.Any(sources)], Stop);
            foreach (var socket in new[] { near, own }) await PublishedWorld.AnswersAsync(socket, Stop);
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
    [InlineData("flush set ip {0} ways")]
    [InlineData("flush set ip {0} outer")]
    [InlineData("flush chain ip {0} through")]
    [InlineData("flush chain ip {0} begin")]
    [InlineData("flush chain ip {0} stay")]
    [InlineData("flush chain ip {0} refuse")]
    public async Task What_a_foreign_hand_did_to_the_sources_is_told_and_opens_nothing(string damage)
    {
        await using var world = await PublishedWorld.NewAsync(Stop);
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
        await world.ServesAsync("mended", ["far"], Stop);
        Assert.False(refused.IsCompletedSuccessfully);
        await end.CancelAsync();
        await refused.ContinueWith(static t => _ = t.Exception, TaskScheduler.Default);
    }

    [Fact]
    public async Task The_table_of_an_earlier_version_is_taken_over_under_its_connections()
    {
        await using var world = await PublishedWorld.NewAsync(Stop);
        var published = world.Any(null);
        await HostCommand.RunAsync("nft", ["-f", "-"], $$"""
            table ip {{world.Prefix}} {
             map tcp_at { type ipv4_addr . inet_service : ipv4_addr . inet_service; }
             map tcp_any { type inet_service : ipv4_addr . inet_service; elements = { {{world.Port}} comment "{{published.Id}}" : {{world.Server}} . {{world.Port}} } }
             map udp_at { type ipv4_addr . inet_service : ipv4_addr . inet_service; }
             map udp_any { type inet_service : ipv4_addr . inet_service; }
             chain guard { type filter hook prerouting priority raw; iifname != "lo" ip daddr 127.0.0.0/8 drop; }
             chain arrive { type nat hook prerouting priority dstnat - 5; dnat ip to ip daddr . tcp dport map @tcp_at; fib daddr type local dnat ip to tcp dport map @tcp_any; }
             chain local { type nat hook output priority -105; fib daddr type local dnat ip to tcp dport map @tcp_any; }
             chain leave { type nat hook postrouting priority srcnat - 5; ct status dnat ip saddr 127.0.0.0/8 masquerade; }
            }

            """, Stop);
        using var near = await world.ConnectAsync("near", Stop).WaitAsync(PublishedWorld.Patience, Stop);
        Assert.Empty(await world.Publisher.ListWorkingAsync(Stop));
        await world.Publisher.PublishAsync([published with { Sources = "" }], Stop);
        Assert.Equal([published with { Sources = "" }], await world.Publisher.ListWorkingAsync(Stop));
        await PublishedWorld.AnswersAsync(near, Stop);
        await world.ServesAsync("nobody", [], Stop);
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
        await using var world = await PublishedWorld.NewAsync(Stop);
        Assert.Equal(Fault.InvalidRequest, (await Assert.ThrowsAsync<WeaveException>(() => world.Publisher.PublishAsync([world.Any(sources)], Stop))).Fault);
    }
}
