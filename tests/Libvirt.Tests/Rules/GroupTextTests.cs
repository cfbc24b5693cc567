using WeaveHypervisor.Drivers;
using WeaveHypervisor.Libvirt.Fences;
using WeaveHypervisor.Libvirt.Tests.Definitions;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt.Tests.Rules;

/// <summary>The nftables text of security groups, as golden files beside this one; `WEAVE_GOLDEN=renew` writes them anew.</summary>
public sealed class GroupTextTests
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;
    private static readonly FenceTag Tag = FenceTag.Parse("0a1b2c3d");
    private static readonly FenceNames Names = new("weave", Tag);

    /// <summary>Three machines on two networks, one of them on both.</summary>
    internal static FenceSpec Spec(params SecurityGroup[] groups) => new()
    {
        Tag = Tag, Environment = EnvironmentId.Parse("shop"), Weave = WeaveId.Parse("past"), Groups = groups,
        Networks = [new() { Name = NetworkName.Parse("front"), Gateway = "10.1.0.1", PrefixLength = 24 }, new() { Name = NetworkName.Parse("back"), Gateway = "10.2.0.1", PrefixLength = 16 }, new() { Name = NetworkName.Parse("lone") }],
        Machines =
        [
            new(MachineName.Parse("web"), [new("52:54:00:00:00:01", NetworkName.Parse("front"), ["10.1.0.11"]), new("52:54:00:00:00:02", NetworkName.Parse("back"), ["10.2.0.11"])]),
            new(MachineName.Parse("db"), [new("52:54:00:00:00:03", NetworkName.Parse("back"), ["10.2.0.12", "10.2.0.99"])]),
            new(MachineName.Parse("free"), [new("52:54:00:00:00:04", NetworkName.Parse("lone"), ["10.2.0.99"])]),
        ],
    };

    internal static SecurityGroup Group(string name, string machines, params string[] rules) => new()
    {
        Name = GroupName.Parse(name), Machines = [.. machines.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(MachineName.Parse)], Rules = [.. rules.Select(SecurityRule.Parse)],
    };

    public static TheoryData<string> All => ["none", "shop", "all-peers", "old-links", "no-gateway"];

    private static GroupRules Rules(string name)
    {
        var spec = name switch
        {
            "none" => Spec(Group("empty", "")),
            "shop" or "old-links" => Spec(Group("front", "web", "in tcp/80,443 from outside", "in icmp from any"), Group("data", "db", "in tcp/5432 from front", "out udp/53 to 10.0.0.0/8", "out tcp to front")),
            "all-peers" => Spec(Group("odd-name", "web db", "in any from any", "in udp/1000-2000,1500-3000,3001,5 from 0.0.0.0/0", "out icmp to outside", "out any to odd-name"), Group("unused", "", "in tcp from odd-name"), Group("closed", "db")),
            _ => Spec(Group("front", "web", "in tcp from outside", "out tcp to outside")) with { Networks = [new() { Name = NetworkName.Parse("front") }, new() { Name = NetworkName.Parse("back") }, new() { Name = NetworkName.Parse("lone") }] },
        };
        return new(Names, spec, FenceKeeper.GivePlugs(spec, []), name == "old-links" ? [(MachineName.Parse("db"), 4071), (MachineName.Parse("free"), 4072)] : []);
    }

    [Theory]
    [MemberData(nameof(All))]
    public void Groups_become_the_text_of_their_golden_file(string name)
    {
        var golden = Path.Combine(MachineDefinitionTests.Checkout(), "tests", "Libvirt.Tests", "Rules", name + ".golden");
        var text = Rules(name).Text;
        if (Environment.GetEnvironmentVariable("WEAVE_GOLDEN") == "renew") File.WriteAllText(golden, text);
        Assert.Equal(File.Exists(golden) ? File.ReadAllText(golden) : "(no golden file)", text);
    }

    [Theory]
    [MemberData(nameof(All))]
    public async Task Nft_takes_them_and_the_kernel_too(string name)
    {
        var (exit, _, error, _) = await HostCommand.TryAsync("nft", ["-c", "-f", "-"], Rules(name).Text, Stop);
        Assert.True(exit == 0, error);
    }

    [Fact]
    public async Task So_they_do_with_the_most_groups_and_the_most_rules_and_ports_of_one()
    {
        var rules = Enumerable.Range(1, EnvironmentRules.MostRules).Select(i => $"{(i % 2 == 0 ? "in" : "out")} tcp/{string.Join(',', Enumerable.Range(0, EnvironmentRules.MostPorts).Select(p => (p * 256) + i))} {(i % 2 == 0 ? "from" : "to")} g{i % EnvironmentRules.MostGroups}").ToArray();
        var spec = Spec([.. Enumerable.Range(0, EnvironmentRules.MostGroups).Select(g => Group($"g{g}", "web db", g < 1 ? rules : [.. rules.Take(8)]))]);
        var (exit, _, error, _) = await HostCommand.TryAsync("nft", ["-c", "-f", "-"], new GroupRules(Names, spec, FenceKeeper.GivePlugs(spec, []), []).Text, Stop);
        Assert.True(exit == 0, error.Length > 500 ? error[..500] : error);
    }

    [Fact]
    public void The_mark_is_that_of_the_rules_and_plugs_and_not_of_links_by_number()
    {
        Assert.Equal(Rules("shop").Mark, Rules("old-links").Mark);
        Assert.Equal(Rules("shop").Count, Rules("old-links").Count);
        Assert.NotEqual(Rules("shop").Mark, Rules("all-peers").Mark);
    }

    [Fact]
    public void What_is_no_address_never_comes_into_the_text()
    {
        var spec = Spec(Group("data", "db free", "in any from data"));
        Assert.DoesNotContain("accept }", new GroupRules(Names, spec with { Machines = [.. spec.Machines.Select(m => m with { Nics = [m.Nics[0] with { Addresses = ["10.1.0.5 } accept }", "fe80::1", "010.1.0.5", "10.1.5"] }] })] }, [], []).Text, StringComparison.Ordinal);
        Assert.Throws<WeaveException>(() => new GroupRules(Names, spec with { Networks = [spec.Networks[0] with { Gateway = "10.1.0.1 }" }] }, [], []));
    }

    [Fact]
    public void A_plug_stays_with_its_interface_whatever_machines_come_and_go()
    {
        var spec = Spec();
        var first = FenceKeeper.GivePlugs(spec, []);
        Assert.Equal([("web", 0), ("web", 1), ("db", 2), ("free", 3)], first.Select(p => (p.Machine.Text, p.Number)));
        var less = FenceKeeper.GivePlugs(spec with { Machines = [spec.Machines[2], spec.Machines[1]] }, first);
        Assert.Equal(first, less);
        var more = FenceKeeper.GivePlugs(spec with { Machines = [new(MachineName.Parse("late"), [new("52:54:00:00:00:01", NetworkName.Parse("front"), [])]), .. spec.Machines] }, first);
        Assert.Equal([.. first, new(MachineName.Parse("late"), "52:54:00:00:00:01", 4)], more);
        // The machine that is started alone reads its own.
        Assert.Equal([("52:54:00:00:00:03", "wv0a1b2c3dt2")], FenceKeeper.PlugsOf(new(Tag, "100.64.0", []) { Plugs = more }, MachineName.Parse("db")));
        Assert.Empty(FenceKeeper.PlugsOf(null, MachineName.Parse("db")));
        Assert.True(Names.Tap(9999).Length <= 15);
    }
}
