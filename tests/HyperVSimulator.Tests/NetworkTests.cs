using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Cim.Wrappers;

namespace WeaveHypervisor.HyperV.Simulator.Tests;

public sealed class NetworkTests : IDisposable
{
    private const string Standard = @"root\StandardCimv2";
    private readonly Bench _bench = new();

    public void Dispose() => _bench.Dispose();

    private async Task<CimObject> NicAsync(Guid id) => Assert.Single(await _bench.ResourcesAsync(await _bench.SettingsAsync(id), SyntheticEthernetPortSettingData.ClassName));

    private async Task<CimPath> SwitchAsync(string name, bool isInternal)
    {
        var host = CimPath.To("HV1", Bench.V2, ComputerSystem.ClassName, ("CreationClassName", ComputerSystem.ClassName), ("Name", "HV1"));
        var outcome = await _bench.RunAsync(await _bench.Sws, VirtualEthernetSwitchManagementService.DefineSystem(systemSettings: new CimObject(VirtualEthernetSwitchSettingData.ClassName).With(VirtualEthernetSwitchSettingData.ElementName, name).With(VirtualEthernetSwitchSettingData.Notes, ["tag"]),
            resourceSettings: isInternal ? [new CimObject(EthernetPortAllocationSettingData.ClassName).With(EthernetPortAllocationSettingData.HostResource, [host.ToString()])] : null));
        return outcome.Answer.Get(VirtualEthernetSwitchManagementService.DefineSystemAnswer.ResultingSystem) ?? Assert.Single(await _bench.Jobs.ResultsAsync(outcome.Job!.Reference, VirtualEthernetSwitch.ClassName, Bench.Stop)).Reference;
    }

    [Fact]
    public async Task Machines_of_one_switch_reach_each_other_and_of_two_do_not()
    {
        var (a, b) = (await SwitchAsync("lan", false), await SwitchAsync("lan", false));
        Assert.NotEqual(a, b);
        var (one, two, other) = (await _bench.MachineAsync(switches: [a]), await _bench.MachineAsync(switches: [a]), await _bench.MachineAsync(switches: [b]));
        Assert.True(_bench.Host.Reaches(one, two));
        Assert.False(_bench.Host.Reaches(one, other));
        await _bench.PowerAsync(two, 9);
        Assert.False(_bench.Host.Reaches(one, two));
    }

    [Fact]
    public async Task Equal_addresses_on_one_switch_drop_both_and_on_two_switches_harm_nobody()
    {
        var (a, b) = (_bench.Host.AddSwitch("a"), _bench.Host.AddSwitch("b"));
        var (one, two, peer) = (await _bench.MachineAsync(switches: [a]), await _bench.MachineAsync(running: false, switches: [b]), await _bench.MachineAsync(switches: [a]));
        var mac = (await NicAsync(one)).Get(SyntheticEthernetPortSettingData.Address);
        await _bench.ModifyAsync(await NicAsync(two), n => n.With(SyntheticEthernetPortSettingData.Address, mac));
        await _bench.PowerAsync(two, 2);
        Assert.True(_bench.Host.Reaches(one, peer));
        var connection = Assert.Single(await _bench.ResourcesAsync(await _bench.SettingsAsync(two), EthernetPortAllocationSettingData.ClassName));
        await _bench.ModifyAsync(connection, c => c.With(EthernetPortAllocationSettingData.HostResource, [a.ToString()]));
        Assert.False(_bench.Host.Reaches(one, peer));
        await _bench.ModifyAsync(connection, c => c.With(EthernetPortAllocationSettingData.EnabledState, (ushort)3));
        Assert.True(_bench.Host.Reaches(one, peer));
    }

    [Fact]
    public async Task Dynamic_addresses_change_at_a_start_and_static_ones_do_not()
    {
        var id = await _bench.MachineAsync(running: false, switches: [_bench.Host.AddSwitch("a")]);
        async Task<string> StartAsync()
        {
            await _bench.PowerAsync(id, 2);
            await _bench.PowerAsync(id, 3);
            return (await NicAsync(id)).Get(SyntheticEthernetPortSettingData.Address)!;
        }
        Assert.Equal((await NicAsync(id)).Get(SyntheticEthernetPortSettingData.Address), await StartAsync());
        await _bench.ModifyAsync(await NicAsync(id), n => n.With(SyntheticEthernetPortSettingData.StaticMacAddress, false));
        Assert.NotEqual(await StartAsync(), await StartAsync());
    }

    [Fact]
    public async Task A_destroyed_switch_leaves_its_connections_dangling()
    {
        var place = await SwitchAsync("lan", false);
        var id = await _bench.MachineAsync(switches: [place]);
        await _bench.RunAsync(await _bench.Sws, VirtualEthernetSwitchManagementService.DestroySystem(affectedSystem: place));
        Assert.Equal(place.ToString(), Assert.Single(await _bench.ResourcesAsync(await _bench.SettingsAsync(id), EthernetPortAllocationSettingData.ClassName)).List(EthernetPortAllocationSettingData.HostResource)[0]);
        Assert.Empty(await _bench.Client.QueryAsync(Bench.V2, "SELECT * FROM Msvm_VirtualEthernetSwitch", Bench.Stop));
        Assert.Equal(32773u, await _bench.AnswerAsync(await _bench.Sws, VirtualEthernetSwitchManagementService.DestroySystem(affectedSystem: place)));
    }

    [Fact]
    public async Task The_host_has_an_adapter_on_internal_switches_and_refuses_addresses_that_overlap()
    {
        await SwitchAsync("private", false);
        await SwitchAsync("in", true);
        await SwitchAsync("out", true);
        var adapters = await _bench.Client.QueryAsync(Standard, "SELECT * FROM MSFT_NetAdapter", Bench.Stop);
        Assert.Equal(["vEthernet (in)", "vEthernet (out)"], adapters.Select(a => a.Get(NetAdapter.Name)!).Order(StringComparer.Ordinal));
        var addresses = CimPath.To(null, Standard, NetIPAddress.ClassName);
        async Task<uint> CreateAsync(int adapter, string address) => await _bench.AnswerAsync(addresses, NetIPAddress.Create(interfaceIndex: adapters[adapter].Find(NetAdapter.InterfaceIndex), iPAddress: address, addressFamily: 2, prefixLength: 24));
        Assert.Equal(0u, await CreateAsync(0, "10.1.2.1"));
        Assert.Equal(5010u, await CreateAsync(1, "10.1.2.200"));
        Assert.Equal(0u, await CreateAsync(1, "10.1.3.1"));
        Assert.Equal(87u, await CreateAsync(1, "10.1.4.999"));
        Assert.Equal(["10.1.2.1", "10.1.3.1"], (await _bench.Client.QueryAsync(Standard, "SELECT * FROM MSFT_NetIPAddress", Bench.Stop)).Select(a => a.Get(NetIPAddress.IPAddress)!).Order(StringComparer.Ordinal));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Translation_has_one_prefix_short_names_and_mappings_that_go_with_it(bool several)
    {
        using var bench = new Bench(new() { Behaviour = new() { TakesSeveralNats = several } });
        Task<CimObject> NatAsync(string name, string prefix) => bench.Client.CreateAsync(Standard, new CimObject(NetNat.ClassName).With(NetNat.Name, name).With(NetNat.InternalIPInterfaceAddressPrefix, prefix), Bench.Stop);
        await Assert.ThrowsAsync<CimException>(() => NatAsync(new string('x', 40), "10.1.0.0/24"));
        await Assert.ThrowsAsync<CimException>(() => NatAsync("weave", "no prefix"));
        var nat = await NatAsync("weave", "10.1.0.0/24");
        if (several) await NatAsync("other", "10.2.0.0/24");
        else Assert.Equal(CimStatus.InvalidParameter, (await Assert.ThrowsAsync<CimException>(() => NatAsync("other", "10.2.0.0/24"))).Status);
        Assert.Equal(CimStatus.AlreadyExists, (await Assert.ThrowsAsync<CimException>(() => NatAsync("weave", "10.3.0.0/24"))).Status);

        Task<CimObject> MapAsync(string name, ushort port) => bench.Client.CreateAsync(Standard, new CimObject(NetNatStaticMapping.ClassName).With(NetNatStaticMapping.NatName, name).With(NetNatStaticMapping.Protocol, 6u)
            .With(NetNatStaticMapping.ExternalIPAddress, "0.0.0.0").With(NetNatStaticMapping.ExternalPort, port).With(NetNatStaticMapping.InternalIPAddress, "10.1.0.5").With(NetNatStaticMapping.InternalPort, (ushort)80), Bench.Stop);
        var mapping = await MapAsync("weave", 8080);
        Assert.Equal(CimStatus.AlreadyExists, (await Assert.ThrowsAsync<CimException>(() => MapAsync("weave", 8080))).Status);
        Assert.Equal(CimStatus.NotFound, (await Assert.ThrowsAsync<CimException>(() => MapAsync("nobody", 8081))).Status);
        await MapAsync("weave", 8081);
        await bench.Client.DeleteAsync(mapping.Reference, Bench.Stop);
        Assert.Equal(CimStatus.NotFound, (await Assert.ThrowsAsync<CimException>(() => bench.Client.DeleteAsync(mapping.Reference, Bench.Stop))).Status);
        await bench.Client.DeleteAsync(nat.Reference, Bench.Stop);
        Assert.Empty(await bench.Client.QueryAsync(Standard, "SELECT * FROM MSFT_NetNatStaticMapping", Bench.Stop));
    }

    [Fact]
    public async Task An_edition_without_translation_has_no_such_class()
    {
        using var bench = new Bench(new() { HasNat = false });
        Assert.Equal(0x80041010u, (await Assert.ThrowsAsync<CimException>(() => bench.Client.QueryAsync(Standard, "SELECT * FROM MSFT_NetNat", Bench.Stop))).WindowsError);
    }
}
