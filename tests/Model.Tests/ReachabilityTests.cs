using System.Net;
using static WeaveHypervisor.Model.Tests.EnvironmentRulesTests;

namespace WeaveHypervisor.Model.Tests;

/// <summary>What rules say of one connection: web and db on `lan`, db and mail on `back`, which has no gateway.</summary>
public sealed class ReachabilityTests
{
    private static readonly RuleEnd Web = RuleEnd.Of(MachineName.Parse("web")), Db = RuleEnd.Of(MachineName.Parse("db")), Mail = RuleEnd.Of(MachineName.Parse("mail"));

    private static RuleEnd At(string address) => RuleEnd.Of(IPAddress.Parse(address));

    private static MachineBlueprint Machine(string name, params (string Network, string Address)[] nics) => new()
    {
        Name = MachineName.Parse(name), Definition = "", MemoryBytes = 0, VirtualCpus = 1, Volumes = [], Nics = [.. nics.Select((n, i) => new NicBlueprint($"52:54:00:00:00:0{i}", NetworkName.Parse(n.Network), [n.Address]))],
    };

    private static Verdict Ask(RuleEnd from, RuleEnd to, string what, params SecurityGroup[] groups)
    {
        var blueprint = new EnvironmentBlueprint
        {
            Machines = [Machine("web", ("lan", "192.168.7.10")), Machine("db", ("lan", "192.168.7.11"), ("back", "10.9.0.11")), Machine("mail", ("back", "10.9.0.12"))],
            Networks = [new() { Name = NetworkName.Parse("lan"), Gateway = "192.168.7.1", PrefixLength = 24 }, new() { Name = NetworkName.Parse("back") }, new() { Name = NetworkName.Parse("dmz"), Gateway = "172.16.0.1", PrefixLength = 12 }],
            Rules = new() { Groups = groups },
        };
        blueprint.Rules.Check([.. blueprint.Machines.Select(m => m.Name)]);
        var parts = what.Split('/');
        return new Reachability(blueprint).Ask(from, to, Enum.Parse<RuleProtocol>(parts[0], ignoreCase: true), parts.Length > 1 ? int.Parse(parts[1], System.Globalization.CultureInfo.InvariantCulture) : 0);
    }

    [Fact]
    public void Without_a_group_nothing_is_limited()
    {
        Assert.Equal(new Verdict(true, null, null, "'db' is in no security group"), Ask(Web, Db, "tcp/5432"));
        Assert.True(Ask(RuleEnd.Outside, Web, "tcp/80", Group("db", "db")).Allowed);
        Assert.True(Ask(Web, RuleEnd.Outside, "udp/53", Group("db", "db")).Allowed);
    }

    [Fact]
    public void To_a_machine_in_a_group_only_what_a_rule_of_any_of_its_groups_allows_is_made()
    {
        SecurityGroup[] groups = [Group("db", "db", "in tcp/5432 from web"), Group("web", "web"), Group("watched", "db web", "in icmp from any")];
        var verdict = Ask(Web, Db, "tcp/5432", groups);
        Assert.Equal((true, "db", "in tcp/5432 from web", "rule 'in tcp/5432 from web' of group 'db'"), (verdict.Allowed, verdict.Group?.Text, verdict.Rule?.ToString(), verdict.Reason));
        Assert.Equal("watched", Ask(Mail, Db, "icmp", groups).Group?.Text);
        Assert.Equal(new Verdict(false, null, null, "no rule of the groups 'db', 'watched' lets it in to 'db'"), Ask(Mail, Db, "tcp/5432", groups));
        Assert.False(Ask(Web, Db, "tcp/5433", groups).Allowed);
        Assert.False(Ask(Web, Db, "udp/5432", groups).Allowed);
        // The other way it is another connection. Answers are not asked about.
        Assert.False(Ask(Db, Web, "tcp/5432", groups).Allowed);
        // A group that has no rule lets nothing in.
        Assert.False(Ask(RuleEnd.Outside, Web, "tcp/80", Group("web", "web")).Allowed);
    }

    [Fact]
    public void What_goes_out_is_limited_only_where_a_group_has_a_rule_for_it()
    {
        SecurityGroup[] groups = [Group("web", "web", "in any from any"), Group("limited", "web", "out tcp/5432 to db"), Group("db", "db", "in any from any")];
        Assert.True(Ask(Web, Db, "tcp/5432", groups).Allowed);
        Assert.Equal("no rule of the groups 'web', 'limited' lets it out of 'web'", Ask(Web, Db, "tcp/22", groups).Reason);
        Assert.False(Ask(Web, RuleEnd.Outside, "tcp/443", groups).Allowed);
        Assert.True(Ask(Web, RuleEnd.Outside, "tcp/443", [.. groups, Group("more", "web", "out tcp/443 to outside")]).Allowed);
        Assert.True(Ask(Db, Web, "tcp/22", groups).Allowed);
    }

    [Fact]
    public void Both_ends_must_allow_it()
    {
        var (sends, takes) = (Group("web", "web", "out tcp/5432 to any"), Group("db", "db", "in tcp/5432 from any"));
        Assert.True(Ask(Web, Db, "tcp/5432", sends, takes).Allowed);
        Assert.False(Ask(Web, Db, "tcp/5432", sends, Group("db", "db", "in tcp/22 from any")).Allowed);
        Assert.False(Ask(Web, Db, "tcp/5432", Group("web", "web", "out tcp/22 to any"), takes).Allowed);
        // Where one end needs no rule, the other one's is told.
        Assert.Equal("web", Ask(Web, Db, "tcp/5432", sends).Group?.Text);
    }

    [Fact]
    public void The_outside_is_whoever_is_no_machine_and_in_no_network_and_what_comes_by_a_gateway()
    {
        var group = Group("web", "web", "in tcp/80 from outside", "out tcp/443 to outside");
        Assert.True(Ask(RuleEnd.Outside, Web, "tcp/80", group).Allowed);
        Assert.True(Ask(At("203.0.113.9"), Web, "tcp/80", group).Allowed);
        Assert.True(Ask(At("192.168.7.1"), Web, "tcp/80", group).Allowed);
        Assert.False(Ask(At("192.168.7.99"), Web, "tcp/80", group).Allowed);
        Assert.False(Ask(At("172.31.255.9"), Web, "tcp/80", group).Allowed);
        Assert.True(Ask(At("172.32.0.1"), Web, "tcp/80", group).Allowed);
        Assert.False(Ask(Db, Web, "tcp/80", group).Allowed);
        Assert.True(Ask(Web, RuleEnd.Outside, "tcp/443", group).Allowed);
        Assert.True(Ask(Web, At("203.0.113.9"), "tcp/443", group).Allowed);
        // To the gateway itself nothing leaves.
        Assert.False(Ask(Web, At("192.168.7.1"), "tcp/443", group).Allowed);
    }

    [Fact]
    public void A_prefix_means_the_addresses_as_the_machine_sees_them()
    {
        var group = Group("db", "db", "in tcp/1 from 192.168.7.0/24", "in tcp/2 from 10.9.0.12", "in tcp/3 from 172.16.0.1", "in tcp/4 from 203.0.113.0/24");
        Assert.True(Ask(Web, Db, "tcp/1", group).Allowed);
        Assert.False(Ask(Mail, Db, "tcp/1", group).Allowed);
        Assert.True(Ask(Mail, Db, "tcp/2", group).Allowed);
        // By a published port it comes from the gateway of the machine's own network, whoever it is.
        Assert.True(Ask(RuleEnd.Outside, Db, "tcp/1", group).Allowed);
        Assert.False(Ask(RuleEnd.Outside, Db, "tcp/3", group).Allowed);
        Assert.False(Ask(RuleEnd.Outside, Db, "tcp/4", group).Allowed);
        Assert.True(Ask(At("203.0.113.9"), Db, "tcp/4", group).Allowed);
    }

    [Fact]
    public void Out_to_somewhere_only_a_prefix_of_all_addresses_allows()
    {
        Assert.True(Ask(Web, RuleEnd.Outside, "tcp/1", Group("web", "web", "out tcp to 0.0.0.0/0")).Allowed);
        Assert.False(Ask(Web, RuleEnd.Outside, "tcp/1", Group("web", "web", "out tcp to 192.168.7.0/24")).Allowed);
        Assert.True(Ask(Web, At("10.1.2.3"), "tcp/1", Group("web", "web", "out tcp to 10.0.0.0/8")).Allowed);
    }

    [Theory]
    [InlineData("in any from any", "tcp/1", true)]
    [InlineData("in any from any", "icmp", true)]
    [InlineData("in tcp from any", "tcp/65535", true)]
    [InlineData("in tcp from any", "udp/53", false)]
    [InlineData("in udp/50-60 from any", "udp/50", true)]
    [InlineData("in udp/50-60 from any", "udp/60", true)]
    [InlineData("in udp/50-60 from any", "udp/61", false)]
    [InlineData("in icmp from any", "icmp", true)]
    [InlineData("in icmp from any", "tcp/80", false)]
    public void Protocol_and_ports_decide(string rule, string what, bool allowed) => Assert.Equal(allowed, Ask(Web, Db, what, Group("db", "db", rule)).Allowed);

    [Fact]
    public void What_a_machine_sends_to_itself_no_rule_meets() => Assert.True(Ask(Web, Web, "tcp/80", Group("web", "web", "out tcp/1 to any")).Allowed);
}
