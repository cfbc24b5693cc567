using WeaveHypervisor.Drivers;
using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Cim.Wrappers;
using WeaveHypervisor.HyperV.Fences;
using WeaveHypervisor.HyperV.Machines;
using WeaveHypervisor.HyperV.Simulator;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.HyperV.Tests;

public sealed class FenceTests
{
    private const string Address = "192.168.7.20";
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private static FenceSpec Spec(string weave, string? mac = null, UplinkMode uplink = UplinkMode.None, bool gateway = true) => new()
    {
        Tag = FenceTag.New(), Environment = EnvironmentId.Parse("shop"), Weave = WeaveId.Parse(weave), Uplink = uplink,
        Networks = [new NetworkBlueprint { Name = NetworkName.Parse("lan"), Gateway = gateway ? "192.168.7.1" : null, PrefixLength = gateway ? 24 : 0, GatewayMac = "52:54:00:aa:bb:01" }],
        Machines = [new(MachineName.Parse("web"), mac is null ? [] : [new(mac, NetworkName.Parse("lan"), [Address])])],
    };

    /// <summary>A running copy in a fence, with the MAC and the address that every copy of the machine has.</summary>
    private static async Task<(FenceSpec Fence, FenceFacts Facts, Guid Copy)> WeaveAsync(Stand stand, FenceKeeper keeper, string weave, UplinkMode uplink = UplinkMode.None, string mac = "00:15:5d:07:00:20")
    {
        var fence = Spec(weave, mac, uplink);
        var facts = await stand.Drive(keeper.MakeAsync(fence, Stop));
        var place = (await new HostSwitches(stand.Context).OfFenceAsync(fence.Tag, Stop))[fence.Networks[0].Name];
        var copy = await stand.MachineAsync(stand.Context.Paths.NameCopy(fence.Environment, fence.Weave, fence.Machines[0].Name), [place], running: false, copyOf: Guid.NewGuid());
        var machine = (await stand.Context.Machines.FindAsync(copy, Stop))!;
        var nic = (await stand.PartsAsync(copy)).Nics[0];
        await stand.Drive(stand.Context.Jobs.RunAsync(await stand.ServiceAsync(VirtualSystemManagementService.ClassName), VirtualSystemManagementService.ModifyResourceSettings([new CimObject(SyntheticEthernetPortSettingData.ClassName)
            .With(SyntheticEthernetPortSettingData.InstanceID, nic.Settings.Get(SyntheticEthernetPortSettingData.InstanceID)).With(SyntheticEthernetPortSettingData.Address, mac.Replace(":", "", StringComparison.Ordinal).ToUpperInvariant())]), TimeSpan.FromMinutes(1), Stop));
        stand.Host.SetAddress(machine.Id, 0, Address);
        await stand.PowerAsync(machine.Id, 2);
        return (fence, facts, machine.Id);
    }

    [Theory]
    [InlineData(HostProfile.Server2019)]
    [InlineData(HostProfile.Server23H2)]
    public async Task Two_weaves_of_the_same_addresses_are_each_reached_by_addresses_of_their_own(HostProfile profile)
    {
        using var stand = new Stand(new() { Profile = profile });
        using var keeper = new FenceKeeper(stand.Context);
        var (one, oneFacts, first) = await WeaveAsync(stand, keeper, "one");
        var (two, twoFacts, second) = await WeaveAsync(stand, keeper, "two");
        var (a, b) = (Assert.Single(oneFacts.Addresses), Assert.Single(twoFacts.Addresses));
        Assert.Equal((Address, Address), (a.Inner, b.Inner));
        Assert.NotEqual(a.Outer, b.Outer);
        Assert.Equal((first, second), (stand.Host.Behind(a.Outer), stand.Host.Behind(b.Outer)));
        Assert.Null(stand.Host.Behind(Address));
        Assert.False(stand.Host.Reaches(first, second));
        Assert.False(stand.Host.ReachesOutside(first));
        Assert.Empty(await keeper.InspectAsync(one, Stop));
        Assert.Equal(new[] { one.Tag, two.Tag }.OrderBy(t => t.Text, StringComparer.Ordinal), await keeper.ListAsync(Stop));
    }

    [Fact]
    public async Task A_gateway_starts_on_a_host_that_grants_a_machine_the_disk_alone_that_is_attached_to_it()
    {
        using var stand = new Stand(new() { Behaviour = new() { GrantsParents = false } });
        using var keeper = new FenceKeeper(stand.Context);
        var (fence, facts, copy) = await WeaveAsync(stand, keeper, "one");
        Assert.Empty(await keeper.InspectAsync(fence, Stop));
        Assert.Equal(copy, stand.Host.Behind(Assert.Single(facts.Addresses).Outer));
    }

    [Fact]
    public async Task Made_twice_a_fence_is_what_it_was_and_nothing_is_called_for_it()
    {
        using var stand = new Stand();
        using var keeper = new FenceKeeper(stand.Context);
        var (fence, facts, copy) = await WeaveAsync(stand, keeper, "one");
        stand.Host.Faults.Forget();
        using var other = new FenceKeeper(stand.NewContext());
        Assert.Equal(facts.Addresses, (await stand.Drive(other.MakeAsync(fence, Stop))).Addresses);
        Assert.Equal(copy, stand.Host.Behind(facts.Addresses[0].Outer));
        Assert.Empty(stand.Host.Faults.Calls.Keys.Except(["Get", "Query", "Associators", "Files.Read", "Files.Find", "Files.List", "Files.Names", "Files.CreateFolder", "Files.Write"]));
    }

    [Fact]
    public async Task Retired_nothing_is_left_of_it_and_with_the_last_one_goes_the_way_to_the_host()
    {
        using var stand = new Stand();
        using var keeper = new FenceKeeper(stand.Context);
        var (one, facts, _) = await WeaveAsync(stand, keeper, "one", UplinkMode.Nat);
        var two = Spec("two");
        await stand.Drive(keeper.MakeAsync(two, Stop));
        for (var twice = 0; twice < 2; twice++) await stand.Drive(keeper.RetireAsync(two.Tag, Stop));
        Assert.Equal(["it is gone from the host"], await keeper.InspectAsync(two, Stop));
        Assert.NotNull(stand.Host.Behind(facts.Addresses[0].Outer));
        for (var twice = 0; twice < 2; twice++) await stand.Drive(keeper.RetireAsync(one.Tag, Stop));
        Assert.Empty(await stand.Host.Client.QueryAsync(HostNamespaces.Virtualization, Wql.From(VirtualEthernetSwitch.ClassName).ToString(), Stop));
        Assert.Empty(await stand.Host.Client.QueryAsync(HostNamespaces.Standard, Wql.From(NetNat.ClassName).ToString(), Stop));
        Assert.Empty(await stand.Host.Client.QueryAsync(HostNamespaces.Standard, Wql.From(NetIPAddress.ClassName).ToString(), Stop));
        Assert.DoesNotContain(stand.Host.MachineNames(), m => m.Name.EndsWith(".gateway", StringComparison.Ordinal));
        Assert.Empty(await stand.Host.Files.ListAsync(@"C:\Weave\fences", true, Stop));
        Assert.Empty(await keeper.ListAsync(Stop));
    }

    [Fact]
    public async Task Without_an_image_weaves_have_their_networks_and_no_way_in()
    {
        using var stand = new Stand(gateway: false);
        using var keeper = new FenceKeeper(stand.Context);
        var fence = Spec("one", "00:15:5d:07:00:20", UplinkMode.Nat);
        Assert.Empty((await stand.Drive(keeper.MakeAsync(fence, Stop))).Addresses);
        Assert.Empty(await keeper.InspectAsync(fence, Stop));
        Assert.Empty(stand.Host.MachineNames());
        Assert.Empty(await stand.Host.Client.QueryAsync(HostNamespaces.Standard, Wql.From(NetAdapter.ClassName).ToString(), Stop));
        Assert.Single(await stand.Host.Client.QueryAsync(HostNamespaces.Virtualization, Wql.From(VirtualEthernetSwitch.ClassName).ToString(), Stop));
        // Given an image later, the fence gets its gateway.
        stand.MakeDisk(Stand.Image);
        using var later = new FenceKeeper(stand.Context with { Options = stand.Options with { GatewayImage = Stand.Image } });
        Assert.NotEmpty(await later.InspectAsync(fence, Stop));
        Assert.Single((await stand.Drive(later.MakeAsync(fence, Stop))).Addresses);
        Assert.Empty(await later.InspectAsync(fence, Stop));
    }

    [Fact]
    public async Task A_network_without_a_gateway_has_none_here_either()
    {
        using var stand = new Stand();
        using var keeper = new FenceKeeper(stand.Context);
        var fence = Spec("one", "00:15:5d:07:00:20", gateway: false);
        Assert.Empty((await stand.Drive(keeper.MakeAsync(fence, Stop))).Addresses);
        Assert.Empty(await keeper.InspectAsync(fence, Stop));
        Assert.Empty(stand.Host.MachineNames());
    }

    [Fact]
    public async Task An_open_uplink_lets_machines_out_where_the_host_translates()
    {
        using var stand = new Stand();
        using var keeper = new FenceKeeper(stand.Context);
        var (fence, _, copy) = await WeaveAsync(stand, keeper, "one", UplinkMode.Nat);
        Assert.True(stand.Host.ReachesOutside(copy));
        var nat = Assert.Single(await stand.Host.Client.QueryAsync(HostNamespaces.Standard, Wql.From(NetNat.ClassName).ToString(), Stop));
        Assert.Equal(("weave.uplink", "100.64.0.0/14"), (nat.Get(NetNat.Name), nat.Get(NetNat.InternalIPInterfaceAddressPrefix)));
        // Another uplink is another gateway, with the same addresses.
        var before = await stand.Drive(keeper.MakeAsync(fence, Stop));
        var after = await stand.Drive(keeper.MakeAsync(fence with { Uplink = UplinkMode.None }, Stop));
        Assert.Equal(before.Addresses, after.Addresses);
        Assert.Equal(copy, stand.Host.Behind(after.Addresses[0].Outer));
        Assert.False(stand.Host.ReachesOutside(copy));
    }

    [Fact]
    public async Task Where_the_hosts_translation_is_somebody_elses_only_open_uplinks_are_refused()
    {
        using var stand = new Stand();
        await stand.Host.Client.CreateAsync(HostNamespaces.Standard, new CimObject(NetNat.ClassName).With(NetNat.Name, "docker").With(NetNat.InternalIPInterfaceAddressPrefix, "172.20.0.0/16"), Stop);
        using var keeper = new FenceKeeper(stand.Context);
        var error = await Assert.ThrowsAsync<WeaveException>(() => stand.Drive(keeper.MakeAsync(Spec("one", uplink: UplinkMode.Nat), Stop)));
        Assert.Equal(Fault.Conflict, error.Fault);
        Assert.Contains("docker", error.Message, StringComparison.Ordinal);
        await stand.Drive(keeper.MakeAsync(Spec("two"), Stop));
    }

    [Fact]
    public async Task Addresses_that_the_host_has_elsewhere_are_not_taken()
    {
        using var stand = new Stand(options: o => o with { Uplink = "10.8.0.0/16" });
        stand.Host.AddSwitch("vpn", isInternal: true);
        var adapter = Assert.Single(await stand.Host.Client.QueryAsync(HostNamespaces.Standard, Wql.From(NetAdapter.ClassName).ToString(), Stop));
        await stand.Drive(stand.Context.Jobs.RunAsync(CimPath.To(null, HostNamespaces.Standard, NetIPAddress.ClassName), NetIPAddress.Create(addressFamily: 2, interfaceIndex: adapter.Find(NetAdapter.InterfaceIndex), iPAddress: "10.8.3.1", prefixLength: 24), TimeSpan.FromMinutes(1), Stop));
        using var keeper = new FenceKeeper(stand.Context);
        Assert.Equal(Fault.Conflict, await stand.FaultOf(() => keeper.MakeAsync(Spec("one"), Stop)));
    }

    [Fact]
    public async Task A_missing_image_is_told_of()
    {
        using var stand = new Stand(gateway: false, options: o => o with { GatewayImage = @"C:\Images\other.vhdx" });
        using var keeper = new FenceKeeper(stand.Context);
        Assert.Equal(Fault.Unavailable, await stand.FaultOf(() => keeper.MakeAsync(Spec("one"), Stop)));
        Assert.Single(await keeper.ListAsync(Stop));
    }

    [Theory]
    [InlineData(null, FindingLevel.Note)]
    [InlineData(Stand.Image, FindingLevel.Ok)]
    [InlineData(@"C:\Images\gone.vhdx", FindingLevel.Error)]
    public async Task The_doctor_says_whether_anything_leads_into_weaves(string? image, FindingLevel level)
    {
        using var stand = new Stand(options: o => o with { GatewayImage = image });
        Task<HostFacts> InspectAsync() => stand.Drive(new Inspecting.HostInspector(stand.Context).InspectAsync(Stop));
        var finding = Assert.Single((await InspectAsync()).Findings, f => f.Subject == "gateway");
        Assert.Equal((level, level == FindingLevel.Ok), (finding.Level, finding.NextStep is null));
        if (level != FindingLevel.Ok) return;
        // The host's one translation is none of others', where it is ours.
        using var keeper = new FenceKeeper(stand.Context);
        await stand.Drive(keeper.MakeAsync(Spec("one", uplink: UplinkMode.Nat), Stop));
        Assert.Equal(FindingLevel.Ok, Assert.Single((await InspectAsync()).Findings, f => f.Subject == "address translation").Level);
    }

    public static TheoryData<string> Damages => new("switch", "gateway", "off", "uplink", "nat", "record", "unplugged", "adapter", "settings");

    [Theory]
    [MemberData(nameof(Damages))]
    public async Task What_a_foreign_hand_broke_is_told_of_and_made_whole_under_the_machines(string what)
    {
        using var stand = new Stand();
        using var keeper = new FenceKeeper(stand.Context);
        var (fence, facts, copy) = await WeaveAsync(stand, keeper, "one", UplinkMode.Nat);
        await DamageAsync(stand, fence, what);
        var missing = await keeper.InspectAsync(fence, Stop);
        Assert.NotEmpty(missing);
        Assert.All(missing, m => Assert.False(m.EndsWith('.')));
        Assert.Equal(facts.Addresses, (await stand.Drive(keeper.MakeAsync(fence, Stop))).Addresses);
        Assert.Empty(await keeper.InspectAsync(fence, Stop));
        Assert.Equal(copy, stand.Host.Behind(facts.Addresses[0].Outer));
        Assert.True(stand.Host.ReachesOutside(copy));
    }

    private static async Task DamageAsync(Stand stand, FenceSpec fence, string what)
    {
        var switches = new SwitchBoard(stand.Context);
        var gateway = (await stand.Context.Machines.ListAsync(Stop)).Single(m => m.Name.EndsWith(".gateway", StringComparison.Ordinal));
        async Task RunAsync(string service, CimCall call) => await stand.Drive(stand.Context.Jobs.RunAsync(await stand.ServiceAsync(service), call, TimeSpan.FromMinutes(1), Stop));
        switch (what)
        {
            case "switch":
                await RunAsync(VirtualEthernetSwitchManagementService.ClassName, VirtualEthernetSwitchManagementService.DestroySystem((await switches.FindAsync(fence.Tag, fence.Networks[0].Name, Stop))!));
                break;
            case "gateway":
                await stand.PowerAsync(gateway.Id, 3);
                await RunAsync(VirtualSystemManagementService.ClassName, VirtualSystemManagementService.DestroySystem(gateway.System));
                break;
            case "off":
                await stand.PowerAsync(gateway.Id, 3);
                break;
            case "uplink":
                await RunAsync(VirtualEthernetSwitchManagementService.ClassName, VirtualEthernetSwitchManagementService.DestroySystem((await switches.FindUplinkAsync(Stop))!));
                break;
            case "nat":
                await stand.Host.Client.DeleteAsync(Assert.Single(await stand.Host.Client.QueryAsync(HostNamespaces.Standard, Wql.From(NetNat.ClassName).ToString(), Stop)).Reference, Stop);
                break;
            case "record":
                await stand.Host.Files.DeleteAsync($@"C:\Weave\fences\{fence.Tag}\fence.json", Stop);
                break;
            case "unplugged":
                var copy = (await stand.Context.Machines.ListAsync(Stop)).Single(m => m != gateway && !m.Name.EndsWith(".gateway", StringComparison.Ordinal));
                await RunAsync(VirtualSystemManagementService.ClassName, VirtualSystemManagementService.ModifyResourceSettings([new CimObject(EthernetPortAllocationSettingData.ClassName)
                    .With(EthernetPortAllocationSettingData.InstanceID, (await stand.Context.Machines.ReadAsync(copy.Settings, Stop)).Nics[0].Connection!.Get(EthernetPortAllocationSettingData.InstanceID)).With(EthernetPortAllocationSettingData.EnabledState, (ushort)3)]));
                break;
            case "adapter":
                await stand.PowerAsync(gateway.Id, 3);
                await RunAsync(VirtualSystemManagementService.ClassName, VirtualSystemManagementService.RemoveResourceSettings([(await stand.Context.Machines.ReadAsync(gateway.Settings, Stop)).Nics[0].Settings.Reference]));
                await stand.PowerAsync(gateway.Id, 2);
                break;
            default:
                await stand.PowerAsync(gateway.Id, 3);
                await RunAsync(VirtualSystemManagementService.ClassName, VirtualSystemManagementService.RemoveResourceSettings([(await stand.Context.Machines.ReadAsync(gateway.Settings, Stop)).Disks[1].Settings.Reference]));
                await stand.Host.Files.DeleteAsync($@"C:\Weave\fences\{fence.Tag}\settings.vhdx", Stop);
                break;
        }
    }

    public static TheoryData<string, int, CallFault> Faults()
    {
        var data = new TheoryData<string, int, CallFault>();
        foreach (var fault in (CallFault[])[CallFault.RefusedBefore, CallFault.LostBefore, CallFault.LostAfter, CallFault.JobFails, CallFault.JobVanishes])
        {
            foreach (var (call, nth) in ((string, int)[])[("DefineSystem", 1), ("DefineSystem", 2), ("DefineSystem", 3), ("AddResourceSettings", 1), ("AddResourceSettings", 4), ("AddResourceSettings", 8), ("ModifyResourceSettings", 1), ("CreateVirtualHardDisk", 1), ("RequestStateChange", 1)])
                data.Add(call, nth, fault);
            if (fault is CallFault.JobFails or CallFault.JobVanishes) continue;
            foreach (var call in (string[])["Create", "Files.CreateFolder", "Files.Write"]) data.Add(call, 1, fault);
        }
        return data;
    }

    [Theory]
    [MemberData(nameof(Faults))]
    public async Task Whatever_goes_wrong_once_the_next_call_ends_it_and_nothing_is_there_twice(string call, int nth, CallFault fault)
    {
        using var stand = new Stand();
        using var keeper = new FenceKeeper(stand.Context);
        var fence = Spec("one", "00:15:5d:07:00:20", UplinkMode.Nat);
        stand.Host.Faults.Add(call, nth, fault);
        try
        {
            await stand.Drive(keeper.MakeAsync(fence, Stop));
        }
        catch (WeaveException)
        {
        }
        Assert.True(stand.Host.Faults.Calls.GetValueOrDefault(call) >= nth);
        stand.Host.Faults.Forget();
        await stand.Drive(keeper.MakeAsync(fence, Stop));
        Assert.Empty(await keeper.InspectAsync(fence, Stop));
        Assert.Single(stand.Host.MachineNames());
        Assert.Equal(2, (await stand.Host.Client.QueryAsync(HostNamespaces.Virtualization, Wql.From(VirtualEthernetSwitch.ClassName).ToString(), Stop)).Count);
        await stand.Drive(keeper.RetireAsync(fence.Tag, Stop));
        Assert.Empty(stand.Host.MachineNames());
        Assert.Empty(await stand.Host.Client.QueryAsync(HostNamespaces.Virtualization, Wql.From(VirtualEthernetSwitch.ClassName).ToString(), Stop));
    }

    [Theory]
    [InlineData("DestroySystem", 1, CallFault.LostAfter)]
    [InlineData("DestroySystem", 1, CallFault.JobFails)]
    [InlineData("DestroySystem", 2, CallFault.LostAfter)]
    [InlineData("DestroySystem", 3, CallFault.LostBefore)]
    [InlineData("RequestStateChange", 1, CallFault.JobVanishes)]
    [InlineData("Delete", 1, CallFault.LostAfter)]
    [InlineData("Files.Delete", 3, CallFault.RefusedBefore)]
    public async Task A_removal_that_died_is_ended_by_the_next_one(string call, int nth, CallFault fault)
    {
        using var stand = new Stand();
        using var keeper = new FenceKeeper(stand.Context);
        var fence = Spec("one", "00:15:5d:07:00:20", UplinkMode.Nat);
        await stand.Drive(keeper.MakeAsync(fence, Stop));
        await Stand.OnceAsync(stand.Host, call, nth, fault, () => stand.Drive(keeper.RetireAsync(fence.Tag, Stop)));
        await stand.Drive(keeper.RetireAsync(fence.Tag, Stop));
        Assert.Empty(stand.Host.MachineNames());
        Assert.Empty(await stand.Host.Client.QueryAsync(HostNamespaces.Virtualization, Wql.From(VirtualEthernetSwitch.ClassName).ToString(), Stop));
        Assert.Empty(await keeper.ListAsync(Stop));
    }

    [Fact]
    public async Task The_gateway_is_told_what_it_has_to_do_line_by_line()
    {
        using var stand = new Stand();
        using var keeper = new FenceKeeper(stand.Context);
        var fence = Spec("one", "00:15:5d:07:00:20") with { Tag = FenceTag.Parse("00000102") };
        await stand.Drive(keeper.MakeAsync(fence, Stop));
        var text = (await new FenceStore(stand.Context).ReadAsync(fence.Tag, Stop))!.Settings;
        Assert.Equal("""
            weave-gateway 1
            uplink 02:57:00:00:01:02 100.65.2.2/14 100.64.0.1
            leg 52:54:00:aa:bb:01 192.168.7.1/24 0
            outer 100.65.2.10 192.168.7.20
            egress none
            end

            """.ReplaceLineEndings("\n"), text);
    }

    [Fact]
    public async Task Security_groups_are_refused_before_anything_is_made_and_never_called_whole()
    {
        using var stand = new Stand();
        using var keeper = new FenceKeeper(stand.Context);
        var fence = Spec("one", "00:15:5d:07:00:20");
        var grouped = fence with { Groups = [new() { Name = GroupName.Parse("front"), Machines = [MachineName.Parse("web")] }] };
        var error = await Assert.ThrowsAsync<WeaveException>(() => stand.Drive(keeper.MakeAsync(grouped, Stop)));
        Assert.Equal(Fault.Unsupported, error.Fault);
        Assert.Contains("port ACLs", error.NextStep);
        Assert.Equal(["it is gone from the host"], await keeper.InspectAsync(grouped, Stop));
        await stand.Drive(keeper.MakeAsync(fence, Stop));
        Assert.Empty(await keeper.InspectAsync(fence, Stop));
        Assert.Contains("security groups", Assert.Single(await keeper.InspectAsync(grouped, Stop)));
    }

    [Fact]
    public async Task Fences_whose_tags_lead_to_one_block_get_two()
    {
        using var stand = new Stand();
        using var keeper = new FenceKeeper(stand.Context);
        var outer = new List<string>();
        foreach (var tag in (string[])["00000401", "00000801"])
            outer.Add(Assert.Single((await stand.Drive(keeper.MakeAsync(Spec("w" + tag, "00:15:5d:07:00:20") with { Tag = FenceTag.Parse(tag) }, Stop))).Addresses).Outer);
        Assert.Equal(["100.64.1.10", "100.64.2.10"], outer);
    }
}
