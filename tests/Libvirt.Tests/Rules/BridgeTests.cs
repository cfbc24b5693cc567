using System.Net;
using System.Net.Sockets;
using WeaveHypervisor.Conformance;
using WeaveHypervisor.Libvirt.Tests.Conformance;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt.Tests.Rules;

/// <summary>The bridges of a fence: the host is nobody there, its own rules part no machines, and those that earlier versions had libvirt make stay.</summary>
public sealed class BridgeTests
{
    private const int Port = 7077;
    private const string PassSetting = "/proc/sys/net/bridge/bridge-nf-call-iptables";
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_frame_to_the_bridge_itself_gets_neither_to_the_host_nor_through_it()
    {
        await using var world = await FenceWorld.NewAsync(Stop);
        var bridge = (await File.ReadAllTextAsync($"/sys/class/net/{world.Names.Bridge(0)}/address", Stop)).Trim();
        using var web = world.Wire("web");
        using var db = world.Wire("db");
        using var atHost = world.Space("host").Udp(Port);
        using var atWorld = world.Space("world").Udp(Port);
        byte[] To(string address, int number) => Frames.Ethernet(FenceWorld.Mac("web"), bridge, 0x800, Frames.Ip(FenceWorld.AddressOf("web"), address, 17, Frames.Udp(Port, Port, number)));
        var number = 100;
        foreach (var address in new[] { HostsOwn(world), world.WorldAddress }) web.Send(To(address, ++number));
        // What was sent before has come or will never come, once this has passed the same bridge, and an honest datagram has come out of the fence.
        await new Hearing(db).BarrierAsync(web, "web", "db");
        using (var honest = world.Space("web").Udp()) await honest.SendToAsync(BitConverter.GetBytes(IPAddress.HostToNetworkOrder(200)), new IPEndPoint(IPAddress.Parse(world.WorldAddress), Port), Stop);
        await Eventually.HoldsAsync("the world hears what comes by the gateway", () => Task.FromResult(atWorld.Available > 0), TimeSpan.FromSeconds(20), Stop);
        Assert.Equal([200], Heard(atWorld));
        Assert.Empty(Heard(atHost));
    }

    [Fact]
    public async Task The_host_does_not_say_to_machines_that_an_address_of_its_own_is_in_the_fence()
    {
        await using var world = await FenceWorld.NewAsync(Stop);
        using var web = world.Wire("web");
        byte[] WhoHas(string address) => Frames.Ethernet(FenceWorld.Mac("web"), "ff:ff:ff:ff:ff:ff", 0x806,
            [0, 1, 8, 0, 6, 4, 0, 1, .. Frames.MacOf(FenceWorld.Mac("web")), .. IPAddress.Parse(FenceWorld.AddressOf("web")).GetAddressBytes(), 0, 0, 0, 0, 0, 0, .. IPAddress.Parse(address).GetAddressBytes()]);
        web.Send(WhoHas(HostsOwn(world)));
        web.Send(WhoHas("10.1.0.1"));
        var answered = new List<string>();
        await Eventually.HoldsAsync("the gateway answers", () =>
        {
            while (web.Next() is { } frame)
                if (frame.Length >= 42 && frame[12] == 8 && frame[13] == 6 && frame[21] == 2) answered.Add(new IPAddress(frame.AsSpan(28, 4)).ToString());
            return Task.FromResult(answered.Contains("10.1.0.1"));
        }, TimeSpan.FromSeconds(20), Stop);
        Assert.DoesNotContain(HostsOwn(world), answered);
    }

    [Fact]
    public async Task Rules_of_the_host_that_stop_all_that_is_forwarded_do_not_part_machines_of_a_network()
    {
        Assert.SkipUnless(File.Exists(PassSetting) && (await File.ReadAllTextAsync(PassSetting, Stop)).Trim() == "1", "This host takes no frames of bridges to its IP rules.");
        await using var world = await FenceWorld.NewAsync(Stop);
        var bridge = world.Names.Bridge(0);
        // As Docker's policy does, but for this bridge alone.
        string[] drop = ["FORWARD", "-i", bridge, "-j", "DROP"];
        Task TalkAsync() => world.AskAsync("web", FenceWorld.AddressOf("db"), RuleProtocol.Tcp, 80, Stop).WaitAsync(TimeSpan.FromSeconds(20), Stop);
        await HostCommand.RunAsync("iptables", ["-w", "-A", .. drop], null, Stop);
        try
        {
            await TalkAsync();
            await HostCommand.RunAsync("iptables", ["-w", "-D", "FORWARD", "-i", bridge, "-o", bridge, "-j", "ACCEPT"], null, Stop);
            Assert.Contains($"the host may stop frames of its network {bridge}", await world.Driver.InspectFenceAsync(world.Spec, Stop));
            await Assert.ThrowsAsync<TimeoutException>(() => world.AskAsync("web", FenceWorld.AddressOf("db"), RuleProtocol.Udp, 53, Stop).WaitAsync(TimeSpan.FromSeconds(1), Stop));
            for (var twice = 0; twice < 2; twice++) await world.Driver.MakeFenceAsync(world.Spec, Stop);
            await TalkAsync();
            Assert.Single((await HostCommand.RunAsync("iptables", ["-w", "-S", "FORWARD"], null, Stop)).Split('\n'), l => l.Contains($"-o {bridge} ", StringComparison.Ordinal));
        }
        finally
        {
            await HostCommand.RunAsync("iptables", ["-w", "-D", .. drop], null, default);
        }
        await world.Driver.RetireFenceAsync(world.Tag, Stop);
        foreach (var save in new[] { "iptables-save", "ip6tables-save" }) Assert.DoesNotContain(bridge, await HostCommand.RunAsync(save, [], null, Stop), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_network_of_an_earlier_version_whose_bridge_is_libvirts_is_kept_while_it_is_whole_and_goes_with_the_fence()
    {
        await using var world = await FenceWorld.NewAsync(Stop);
        var (network, bridge) = (world.Names.Network(0), world.Names.Bridge(0));
        await LibvirtBench.VirshAsync(null, Stop, "net-destroy", network);
        await HostCommand.RunAsync("ip", ["link", "delete", bridge], null, Stop);
        await LibvirtBench.VirshAsync($"<network><name>{network}</name><bridge name='{bridge}' stp='off' delay='0'/></network>", Stop, "net-create", "/dev/stdin");
        foreach (var machine in new[] { "web", "db", "free" }) await HostCommand.RunAsync("ip", ["link", "set", world.Tap(machine), "master", bridge, "up"], null, Stop);
        async Task<bool> IsLibvirtsAsync() => !(await LibvirtBench.VirshAsync(null, Stop, "net-dumpxml", network)).Contains("<forward", StringComparison.Ordinal);
        await world.Driver.MakeFenceAsync(world.Spec, Stop);
        Assert.Empty(await world.Driver.InspectFenceAsync(world.Spec, Stop));
        Assert.True(await IsLibvirtsAsync());
        // Its machines have kept their plugs, and reach each other under the rules of now.
        await world.AskAsync("web", FenceWorld.AddressOf("db"), RuleProtocol.Tcp, 80, Stop).WaitAsync(TimeSpan.FromSeconds(20), Stop);
        // One that has lost its bridge is no longer whole.
        await HostCommand.RunAsync("ip", ["link", "delete", bridge], null, Stop);
        Assert.NotEmpty(await world.Driver.InspectFenceAsync(world.Spec, Stop));
        await world.Driver.MakeFenceAsync(world.Spec, Stop);
        Assert.Empty(await world.Driver.InspectFenceAsync(world.Spec, Stop));
        Assert.False(await IsLibvirtsAsync());
        await world.Driver.RetireFenceAsync(world.Tag, Stop);
        Assert.False(Directory.Exists($"/sys/class/net/{bridge}"));
        Assert.DoesNotContain(bridge, await HostCommand.RunAsync("iptables-save", [], null, Stop), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_fence_that_was_not_there_gets_other_addresses_where_somebody_else_has_its_own_now()
    {
        await using var world = await FenceWorld.NewAsync(Stop);
        var before = world.Facts.Addresses.Select(a => a.Outer).ToList();
        var route = new[] { SubnetOf(world) + ".0/24", "dev", "lo" };
        // As after a reboot: the record alone is left; then it is the same again.
        Task GoAsync() => HostCommand.RunAsync("ip", ["link", "delete", world.Names.HostUplink], null, Stop);
        await GoAsync();
        Assert.Equal(before, (await world.Driver.MakeFenceAsync(world.Spec, Stop)).Addresses.Select(a => a.Outer));
        await GoAsync();
        await HostCommand.RunAsync("ip", ["route", "add", .. route], null, Stop);
        try
        {
            var after = (await world.Driver.MakeFenceAsync(world.Spec, Stop)).Addresses.Select(a => a.Outer).ToList();
            Assert.Empty(before.Intersect(after));
            Assert.Empty(await world.Driver.InspectFenceAsync(world.Spec, Stop));
        }
        finally
        {
            await HostCommand.RunAsync("ip", ["route", "delete", .. route], null, default);
        }
    }

    /// <summary>The host's end of the fence's uplink.</summary>
    private static string HostsOwn(FenceWorld world) => SubnetOf(world) + ".1";

    private static string SubnetOf(FenceWorld world) => world.Facts.Addresses[0].Outer is var outer ? outer[..outer.LastIndexOf('.')] : "";

    private static List<int> Heard(Socket socket)
    {
        var heard = new List<int>();
        var buffer = new byte[64];
        while (socket.Available > 0 && socket.Receive(buffer) is var count) heard.Add(IPAddress.NetworkToHostOrder(BitConverter.ToInt32(buffer, count - 4)));
        return heard;
    }
}
