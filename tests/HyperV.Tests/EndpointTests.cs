using WeaveHypervisor.Drivers;
using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Cim.Wrappers;
using WeaveHypervisor.HyperV.Simulator;
using WeaveHypervisor.HyperV.Traffic;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.HyperV.Tests;

public sealed class EndpointTests : IDisposable
{
    private readonly Stand _stand = new(new() { Behaviour = new() { TakesSeveralNats = true } });
    private readonly EndpointPublisher _publisher;

    public EndpointTests() => _publisher = new(_stand.Context);

    public void Dispose()
    {
        _publisher.Dispose();
        _stand.Dispose();
    }

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private static PublishedEndpoint To(int port, string target = "100.64.9.10", int targetPort = 80, string listen = "0.0.0.0", RouteProtocol protocol = RouteProtocol.Tcp) => new(RouteId.New(TimeProvider.System), protocol, listen, port, target, targetPort);

    private Task<IReadOnlyList<CimObject>> MappingsAsync() => _stand.Host.Client.QueryAsync(HostNamespaces.Standard, Wql.From(NetNatStaticMapping.ClassName).ToString(), Stop);

    private async Task<string[]> TellAsync() => [.. (await MappingsAsync()).Select(m => $"{m.Find(NetNatStaticMapping.Protocol)} {m.Get(NetNatStaticMapping.ExternalIPAddress)}:{m.Find(NetNatStaticMapping.ExternalPort)} {m.Get(NetNatStaticMapping.InternalIPAddress)}:{m.Find(NetNatStaticMapping.InternalPort)}").Order(StringComparer.Ordinal)];

    private Task<CimObject> ForeignAsync(ushort port) => _stand.Host.Client.CreateAsync(HostNamespaces.Standard, new CimObject(NetNatStaticMapping.ClassName).With(NetNatStaticMapping.NatName, "users").With(NetNatStaticMapping.Protocol, 6u)
        .With(NetNatStaticMapping.ExternalIPAddress, "0.0.0.0").With(NetNatStaticMapping.ExternalPort, port).With(NetNatStaticMapping.InternalIPAddress, "192.168.7.5").With(NetNatStaticMapping.InternalPort, (ushort)80), Stop);

    private Task<CimObject> UsersNatAsync() => _stand.Host.Client.CreateAsync(HostNamespaces.Standard, new CimObject(NetNat.ClassName).With(NetNat.Name, "users").With(NetNat.InternalIPInterfaceAddressPrefix, "192.168.7.0/24"), Stop);

    [Fact]
    public async Task Exactly_what_is_given_is_published_and_listed_also_by_the_next_process()
    {
        var (one, two) = (To(8080), To(8081, protocol: RouteProtocol.Udp));
        for (var twice = 0; twice < 2; twice++) await _stand.Drive(_publisher.PublishAsync([one, two], Stop));
        Assert.Equal(["17 0.0.0.0:8081 100.64.9.10:80", "6 0.0.0.0:8080 100.64.9.10:80"], await TellAsync());
        using var other = new EndpointPublisher(_stand.NewContext());
        Assert.Equal([one, two], await other.ListAsync(Stop));
        var moved = To(8080, "100.64.9.11");
        await _stand.Drive(other.PublishAsync([moved], Stop));
        Assert.Equal(["6 0.0.0.0:8080 100.64.9.11:80"], await TellAsync());
        Assert.Equal([moved], await _publisher.ListAsync(Stop));
        for (var twice = 0; twice < 2; twice++) await _stand.Drive(_publisher.PublishAsync([], Stop));
        Assert.Empty(await TellAsync());
        Assert.Empty(await _publisher.ListAsync(Stop));
    }

    [Theory]
    [InlineData("10.0.0.0/8")]
    [InlineData("")]
    public async Task A_port_that_is_for_some_alone_is_refused_and_what_is_published_stays(string sources)
    {
        await _stand.Drive(_publisher.PublishAsync([To(8080)], Stop));
        var error = await Assert.ThrowsAsync<WeaveException>(() => _stand.Drive(_publisher.PublishAsync([To(8081), To(8080) with { Sources = sources }], Stop)));
        Assert.Equal(Fault.Unsupported, error.Fault);
        Assert.Contains("8080", error.Message);
        Assert.Contains("weave rules clear", error.NextStep);
        Assert.Equal(["6 0.0.0.0:8080 100.64.9.10:80"], await TellAsync());
    }

    [Fact]
    public async Task What_stays_is_not_touched()
    {
        var stays = To(8080);
        await _stand.Drive(_publisher.PublishAsync([stays, To(8081)], Stop));
        var before = (await MappingsAsync()).Single(m => m.Find(NetNatStaticMapping.ExternalPort) == 8080).Get(NetNatStaticMapping.InstanceID);
        await _stand.Drive(_publisher.PublishAsync([stays with { Id = RouteId.New(TimeProvider.System) }, To(8082)], Stop));
        Assert.Equal(before, (await MappingsAsync()).Single(m => m.Find(NetNatStaticMapping.ExternalPort) == 8080).Get(NetNatStaticMapping.InstanceID));
        Assert.Equal(["6 0.0.0.0:8080 100.64.9.10:80", "6 0.0.0.0:8082 100.64.9.10:80"], await TellAsync());
    }

    [Fact]
    public async Task A_port_that_is_taken_is_refused_and_all_is_as_it_was()
    {
        await UsersNatAsync();
        await ForeignAsync(9000);
        _stand.Host.TakePort(9001);
        var one = To(8080);
        await _stand.Drive(_publisher.PublishAsync([one], Stop));
        var before = await TellAsync();
        foreach (var taken in (int[])[9000, 9001])
            Assert.Equal(Fault.Conflict, await _stand.FaultOf(() => _publisher.PublishAsync([To(8081), To(taken), To(8080, "100.64.9.11")], Stop)));
        Assert.Equal(before, await TellAsync());
        Assert.Equal([one], await _publisher.ListAsync(Stop));
        // UDP is another port.
        await _stand.Drive(_publisher.PublishAsync([one, To(9000, protocol: RouteProtocol.Udp)], Stop));
        await _stand.Drive(_publisher.PublishAsync([], Stop));
        Assert.Equal(["6 0.0.0.0:9000 192.168.7.5:80"], await TellAsync());
    }

    [Fact]
    public async Task A_users_machine_is_led_to_where_the_host_translates_for_it_and_refused_elsewhere()
    {
        Assert.Equal(Fault.Unsupported, await _stand.FaultOf(() => _publisher.PublishAsync([To(8080), To(8081, "192.168.7.9")], Stop)));
        Assert.Empty(await TellAsync());
        await UsersNatAsync();
        await _stand.Drive(_publisher.PublishAsync([To(8081, "192.168.7.9")], Stop));
        Assert.Equal("users", Assert.Single(await MappingsAsync()).Get(NetNatStaticMapping.NatName));
        Assert.Single(await _stand.Host.Client.QueryAsync(HostNamespaces.Standard, Wql.From(NetNat.ClassName).ToString(), Stop));
    }

    [Theory]
    [InlineData("127.0.0.1", "100.64.9.10", 80, Fault.Unsupported)]
    [InlineData("0.0.0.0", "100.64.9.010", 80, Fault.InvalidRequest)]
    [InlineData("::", "100.64.9.10", 80, Fault.InvalidRequest)]
    [InlineData("0.0.0.0", "100.64.9.10", 0, Fault.InvalidRequest)]
    public async Task What_cannot_be_published_is_refused(string listen, string target, int port, Fault fault) =>
        Assert.Equal(fault, await _stand.FaultOf(() => _publisher.PublishAsync([To(8080, target, port, listen)], Stop)));

    [Fact]
    public async Task An_edition_that_cannot_translate_says_so_and_has_nothing_published()
    {
        using var stand = new Stand(new() { HasNat = false });
        using var publisher = new EndpointPublisher(stand.Context);
        Assert.Equal(Fault.Unsupported, await stand.FaultOf(() => publisher.PublishAsync([To(8080)], Stop)));
        await stand.Drive(publisher.PublishAsync([], Stop));
        Assert.Empty(await publisher.ListAsync(Stop));
    }

    [Theory]
    [InlineData("Create", 1, CallFault.LostAfter)]
    [InlineData("Create", 2, CallFault.RefusedBefore)]
    [InlineData("Create", 2, CallFault.LostAfter)]
    [InlineData("Create", 3, CallFault.LostBefore)]
    [InlineData("Delete", 1, CallFault.RefusedBefore)]
    [InlineData("Delete", 1, CallFault.LostAfter)]
    [InlineData("Files.Write", 1, CallFault.RefusedBefore)]
    [InlineData("Files.Write", 2, CallFault.LostAfter)]
    public async Task A_change_that_died_anywhere_is_ended_by_the_next_one(string call, int nth, CallFault fault)
    {
        await UsersNatAsync();
        await ForeignAsync(9000);
        await _stand.Drive(_publisher.PublishAsync([To(8080), To(8081)], Stop));
        await _stand.Host.Client.DeleteAsync((await _stand.Host.Client.QueryAsync(HostNamespaces.Standard, Wql.From(NetNat.ClassName).Where(NetNat.Name, "weave.uplink").ToString(), Stop))[0].Reference, Stop);
        await _stand.Drive(_publisher.PublishAsync([To(8080), To(8081)], Stop));
        PublishedEndpoint[] wanted = [To(8080, "100.64.9.11"), To(8082), To(8083), To(8084)];
        await Stand.OnceAsync(_stand.Host, call, nth, fault, () => _stand.Drive(_publisher.PublishAsync(wanted, Stop)));
        await _stand.Drive(_publisher.PublishAsync(wanted, Stop));
        Assert.Equal(["6 0.0.0.0:8080 100.64.9.11:80", "6 0.0.0.0:8082 100.64.9.10:80", "6 0.0.0.0:8083 100.64.9.10:80", "6 0.0.0.0:8084 100.64.9.10:80", "6 0.0.0.0:9000 192.168.7.5:80"], await TellAsync());
        await _stand.Drive(_publisher.PublishAsync([], Stop));
        Assert.Equal(["6 0.0.0.0:9000 192.168.7.5:80"], await TellAsync());
    }

    [Fact]
    public async Task What_a_change_that_died_has_mapped_goes_with_the_next_one_that_does_not_want_it()
    {
        await _stand.Drive(_publisher.PublishAsync([To(8080)], Stop));
        await Stand.OnceAsync(_stand.Host, "Create", 2, CallFault.LostBefore, () => _stand.Drive(_publisher.PublishAsync([To(8080), To(8082), To(8083)], Stop)));
        Assert.Equal(2, (await TellAsync()).Length);
        await _stand.Drive(_publisher.PublishAsync([], Stop));
        Assert.Empty(await TellAsync());
    }
}
