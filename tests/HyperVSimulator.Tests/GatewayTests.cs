using System.Text;
using WeaveHypervisor.Disks.Vhdx;
using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Cim.Wrappers;

namespace WeaveHypervisor.HyperV.Simulator.Tests;

/// <summary>Machines that are told to be gateways, and whom the host reaches.</summary>
public sealed class GatewayTests : IDisposable
{
    private const string Standard = @"root\StandardCimv2";
    private readonly Bench _bench = new(new() { Behaviour = new() { TakesSeveralNats = true } });
    private readonly CimPath _uplink, _inside;

    public GatewayTests() => (_uplink, _inside) = (_bench.Host.AddSwitch("uplink", isInternal: true), _bench.Host.AddSwitch("inside"));

    public void Dispose() => _bench.Dispose();

    /// <summary>A gateway with adapters on both switches, and a machine inside with the address 10.9.0.5.</summary>
    private async Task<(Guid Gateway, Guid Machine)> MakeAsync(Func<string, string, string>? tell = null)
    {
        var adapter = Assert.Single(await _bench.Client.QueryAsync(Standard, "SELECT * FROM MSFT_NetAdapter", Bench.Stop));
        await _bench.RunAsync(CimPath.To(null, Standard, NetIPAddress.ClassName), NetIPAddress.Create(addressFamily: 2, interfaceIndex: adapter.Find(NetAdapter.InterfaceIndex), iPAddress: "100.64.0.1", prefixLength: 16));
        var gateway = await _bench.MachineAsync("gateway", disks: 2, running: false, generation: 1, switches: [_uplink, _inside]);
        var macs = _bench.Host.Adapters(gateway).Select(a => a.Mac).ToList();
        var text = tell?.Invoke(macs[0], macs[1]) ?? $"weave-gateway 1\nuplink {macs[0]} 100.64.1.2/16 100.64.0.1\nleg {macs[1]} 10.9.0.1/24 0\nouter 100.64.1.10 10.9.0.5\negress nat\nend\n";
        await using (var disk = await VhdxLiveDisk.OpenAsync(_bench.Host.RealPath(await _bench.LeafAsync(gateway, 1)), Bench.Stop)) await disk.WriteAsync(0, Encoding.ASCII.GetBytes(text.PadRight(4096, '\0')), Bench.Stop);
        var machine = await _bench.MachineAsync("web", switches: [_inside]);
        _bench.Host.SetAddress(machine, 0, "10.9.0.5");
        return (gateway, machine);
    }

    [Fact]
    public async Task A_gateway_leads_from_an_address_of_the_uplink_to_a_machine_while_both_run()
    {
        var (gateway, machine) = await MakeAsync();
        Assert.Null(_bench.Host.Behind("100.64.1.10"));
        await _bench.PowerAsync(gateway, 2);
        Assert.Equal(machine, _bench.Host.Behind("100.64.1.10"));
        Assert.Null(_bench.Host.Behind("100.64.1.11"));
        Assert.Null(_bench.Host.Behind("10.9.0.5"));
        Assert.False(_bench.Host.ReachesOutside(machine));
        await _bench.Client.CreateAsync(Standard, new CimObject(NetNat.ClassName).With(NetNat.Name, "n").With(NetNat.InternalIPInterfaceAddressPrefix, "100.64.0.0/16"), Bench.Stop);
        Assert.True(_bench.Host.ReachesOutside(machine));
        await _bench.PowerAsync(machine, 9);
        Assert.Null(_bench.Host.Behind("100.64.1.10"));
    }

    [Theory]
    [InlineData("weave-gateway 2\nend\n")]
    [InlineData("weave-gateway 1\nuplink x\nend\n")]
    [InlineData("weave-gateway 1\nouter 100.64.1.10 10.9.0.5\nend\n")]
    [InlineData("weave-gateway 1\n")]
    [InlineData("")]
    public async Task Text_of_another_form_makes_no_gateway(string text)
    {
        var (gateway, _) = await MakeAsync((_, _) => text);
        await _bench.PowerAsync(gateway, 2);
        Assert.Null(_bench.Host.Behind("100.64.1.10"));
    }

    [Fact]
    public async Task A_published_port_leads_where_its_mapping_says_and_not_to_what_is_taken_or_beyond_the_prefix()
    {
        var (gateway, machine) = await MakeAsync();
        await _bench.PowerAsync(gateway, 2);
        await _bench.Client.CreateAsync(Standard, new CimObject(NetNat.ClassName).With(NetNat.Name, "n").With(NetNat.InternalIPInterfaceAddressPrefix, "100.64.0.0/16"), Bench.Stop);
        Task<CimObject> MapAsync(ushort port, string target) => _bench.Client.CreateAsync(Standard, new CimObject(NetNatStaticMapping.ClassName).With(NetNatStaticMapping.NatName, "n").With(NetNatStaticMapping.Protocol, 6u)
            .With(NetNatStaticMapping.ExternalIPAddress, "0.0.0.0").With(NetNatStaticMapping.ExternalPort, port).With(NetNatStaticMapping.InternalIPAddress, target).With(NetNatStaticMapping.InternalPort, (ushort)80), Bench.Stop);
        await MapAsync(8080, "100.64.1.10");
        Assert.Equal(machine, _bench.Host.BehindPort(8080));
        Assert.Null(_bench.Host.BehindPort(8081));
        Assert.Null(_bench.Host.BehindPort(8080, udp: true));
        _bench.Host.TakePort(8082);
        Assert.Equal(0x80070020u, (await Assert.ThrowsAsync<CimException>(() => MapAsync(8082, "100.64.1.10"))).WindowsError);
        Assert.Equal(CimStatus.InvalidParameter, (await Assert.ThrowsAsync<CimException>(() => MapAsync(8083, "10.9.0.5"))).Status);
    }

    [Fact]
    public async Task The_host_reaches_machines_on_its_own_switches_by_their_own_addresses()
    {
        var (_, _) = await MakeAsync();
        var direct = await _bench.MachineAsync("direct", switches: [_uplink]);
        _bench.Host.SetAddress(direct, 0, "100.64.200.7");
        Assert.Equal(direct, _bench.Host.Behind("100.64.200.7"));
    }
}
