using System.Text.Json;

namespace WeaveHypervisor.Model.Tests;

/// <summary>The text form of rules, peers and prefixes.</summary>
public sealed class SecurityRuleTests
{
    [Theory]
    [InlineData("in tcp/80,443 from outside")]
    [InlineData("in tcp/5432 from web")]
    [InlineData("out udp/53 to 10.0.0.0/8")]
    [InlineData("in icmp from any")]
    [InlineData("in any from 192.168.7.0/24")]
    [InlineData("out any to outside")]
    [InlineData("in tcp from 192.0.2.7/32")]
    [InlineData("in udp/1,1024-65535 from 0.0.0.0/0")]
    [InlineData("out tcp/1-65535 to any-2")]
    [InlineData("in tcp from 10")]
    public void A_rule_is_read_and_written_as_the_same_text(string text)
    {
        Assert.True(SecurityRule.TryParse(text, out var rule));
        Assert.Equal(text, rule.ToString());
        Assert.Equal(rule, SecurityRule.Parse(rule.ToString()));
        Assert.Equal(rule, JsonSerializer.Deserialize<SecurityRule>(JsonSerializer.Serialize(rule)));
    }

    [Theory]
    [InlineData("  in   tcp/80  from  outside ", "in tcp/80 from outside")]
    [InlineData("in tcp/443,80 from any", "in tcp/80,443 from any")]
    [InlineData("in tcp/80,80 from any", "in tcp/80 from any")]
    [InlineData("in tcp/50-60,1-100,80-120 from any", "in tcp/1-120 from any")]
    [InlineData("in tcp/80,81 from any", "in tcp/80,81 from any")]
    [InlineData("in tcp/7-7 from any", "in tcp/7 from any")]
    [InlineData("in tcp from 192.0.2.7", "in tcp from 192.0.2.7/32")]
    public void What_is_allowed_has_one_text_whichever_way_it_was_written(string text, string written)
    {
        Assert.Equal(written, SecurityRule.Parse(text).ToString());
        Assert.Equal(SecurityRule.Parse(written), SecurityRule.Parse(text));
        Assert.Equal(SecurityRule.Parse(written).GetHashCode(), SecurityRule.Parse(text).GetHashCode());
    }

    public static TheoryData<string> NoRules =>
    [
        "", " ", "in", "in tcp/80", "in tcp/80 from", "in tcp/80 from web db", "In tcp/80 from web", "in TCP/80 from web", "in sctp/80 from web", "in tcp/80 to web", "out tcp/80 from web",
        "in any/80 from web", "in icmp/8 from web", "in tcp/ from web", "in tcp/80, from web", "in tcp/,80 from web", "in tcp/80,,81 from web", "in tcp/80 ,81 from web", "in /80 from web",
        "in tcp/0 from web", "in tcp/65536 from web", "in tcp/99999999999999999999 from web", "in tcp/080 from web", "in tcp/+80 from web", "in tcp/-80 from web", "in tcp/8_0 from web", "in tcp/0x50 from web",
        "in tcp/80- from web", "in tcp/-90 from web", "in tcp/90-80 from web", "in tcp/80-90-100 from web", "in tcp/0-80 from web", "in tcp/80-65536 from web", "in tcp/80/81 from web",
        "in tcp/80 from Web", "in tcp/80 from -web", "in tcp/80 from web_1", "in tcp/80 from 'web'", "in tcp/80 from ANY", "in tcp/80 from 10.0.0.0/33", "in tcp/80 from 10.0.0.1/8", "in tcp/80 from ::1",
        "in\ttcp/80\tfrom\tweb", "in tcp/80 from web\n", "in tcp/80 from web\0", "in tcp/80\0 from web", "in tcp/80 from w\u202eeb", "in tcp/\u0668\u0660 from web", "\u200bin tcp/80 from web", "in\u00a0tcp/80 from web",
        $"in tcp/{string.Join(',', Enumerable.Range(1, 65))} from web",
    ];

    [Theory, MemberData(nameof(NoRules))]
    public void What_is_no_rule_is_refused_with_the_form_and_without_its_control_characters(string text) => IsNoRule(text);

    [Fact]
    public void No_text_and_a_text_that_goes_on_and_on_are_no_rule()
    {
        foreach (var text in (string?[])[null, new('x', 1 << 20), "in tcp/" + new string('8', 1 << 20) + " from web", new(' ', 1 << 20), "in tcp/80 from web" + new string(' ', 1000)]) IsNoRule(text);
    }

    private static void IsNoRule(string? text)
    {
        Assert.False(SecurityRule.TryParse(text, out var rule));
        Assert.Null(rule);
        var refusal = Assert.Throws<WeaveException>(() => SecurityRule.Parse(text));
        Assert.Equal(Fault.InvalidRequest, refusal.Fault);
        Assert.Contains("in tcp/80,443 from PEER", refusal.NextStep);
        Assert.True(refusal.Message.Length < 600);
        Assert.DoesNotContain(refusal.Message, c => char.IsControl(c) || c is '\u202e' or '\u200b');
    }

    [Fact]
    public void As_many_ports_as_there_may_be_are_taken() =>
        Assert.Equal(64, SecurityRule.Parse($"in tcp/{string.Join(',', Enumerable.Range(0, 64).Select(i => 2 * i + 1))} from web").Ports.Count);

    [Fact]
    public void Rules_that_differ_in_anything_are_different()
    {
        string[] texts = ["in tcp/80 from web", "out tcp/80 to web", "in udp/80 from web", "in tcp/81 from web", "in tcp/80-81 from web", "in tcp/80 from db", "in tcp/80 from any", "in tcp/80 from outside", "in tcp/80 from 10.0.0.0/8", "in tcp from web"];
        Assert.Equal(texts.Length, texts.Select(SecurityRule.Parse).Distinct().Count());
    }

    [Theory]
    [InlineData("any", true, false)]
    [InlineData("outside", false, true)]
    [InlineData("web", false, false)]
    [InlineData("10.0.0.0/8", false, false)]
    public void A_peer_is_anybody_the_outside_a_prefix_or_a_group(string text, bool any, bool outside)
    {
        Assert.True(RulePeer.TryParse(text, out var peer));
        Assert.Equal((any, outside), (peer.IsAny, peer.IsOutside));
        Assert.Equal(text, peer.ToString());
        Assert.Equal(text == "web", peer.Group is not null);
        Assert.Equal(text == "10.0.0.0/8", peer.Prefix is not null);
        Assert.Equal(peer, JsonSerializer.Deserialize<RulePeer>(JsonSerializer.Serialize(peer)));
    }

    [Theory]
    [InlineData("any")]
    [InlineData("outside")]
    public void A_group_cannot_be_called_what_means_something_else_in_a_rule(string name)
    {
        Assert.False(GroupName.TryCreate(name, out _));
        Assert.Contains("are taken", Assert.Throws<WeaveException>(() => GroupName.Parse(name)).NextStep);
    }

    [Theory]
    [InlineData("10.0.0.0/8", "10.0.0.0/8", "10.255.255.255", "11.0.0.0")]
    [InlineData("0.0.0.0/0", "0.0.0.0/0", "255.255.255.255", null)]
    [InlineData("192.168.7.128/25", "192.168.7.128/25", "192.168.7.255", "192.168.7.127")]
    [InlineData("192.0.2.7", "192.0.2.7/32", "192.0.2.7", "192.0.2.8")]
    [InlineData("255.255.255.255/32", "255.255.255.255/32", "255.255.255.255", "255.255.255.254")]
    public void A_prefix_holds_its_addresses_and_no_other(string text, string written, string last, string? outside)
    {
        Assert.True(RulePrefix.TryParse(text, out var prefix));
        Assert.Equal(written, prefix.ToString());
        Assert.Equal(prefix, RulePrefix.Parse(written));
        Assert.Equal(prefix, JsonSerializer.Deserialize<RulePrefix>(JsonSerializer.Serialize(prefix)));
        Assert.True(prefix.Holds(System.Net.IPAddress.Parse(last)));
        Assert.True(prefix.Holds(System.Net.IPAddress.Parse(written.Split('/')[0])));
        if (outside is not null) Assert.False(prefix.Holds(System.Net.IPAddress.Parse(outside)));
        Assert.False(prefix.Holds(System.Net.IPAddress.Parse("::ffff:" + last)));
    }

    public static TheoryData<string> NoPrefixes =>
    [
        "", "/", "/8", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/33", "10.0.0.0/08", "10.0.0.0/ 8", "10.0.0.0/8 ", " 10.0.0.0/8", "10.0.0.0/8/8", "10.0.0.0/255.0.0.0", "10.0.0.0/8\0", "10.0.0.0\0/8", "10.0.0.0/8\n",
        "10.0.0.1/8", "10.0.0.0/4", "0.0.0.1/0", "192.168.7.128/24", "255.255.255.255/31",
        "10", "10.1", "10.0.0", "10.0.0.0.0", "010.0.0.0/8", "10.00.0.0/8", "012.0.0.0", "0x0a.0.0.0/8", "256.0.0.0/8", "-1.0.0.0", "1e1.0.0.0", "167772160/8",
        "::/0", "::1", "fe80::/10", "::ffff:10.0.0.0/8", "web", "any", "1\u0660.0.0.0/8", "\u202e10.0.0.0/8",
    ];

    [Theory, MemberData(nameof(NoPrefixes))]
    public void What_is_no_prefix_in_its_one_form_is_refused(string text) => IsNoPrefix(text);

    [Fact]
    public void No_text_and_a_text_that_goes_on_and_on_are_no_prefix()
    {
        foreach (var text in (string?[])[null, new('1', 1 << 20), "10.0.0.0/" + new string('0', 1 << 20)]) IsNoPrefix(text);
    }

    private static void IsNoPrefix(string? text)
    {
        Assert.False(RulePrefix.TryParse(text, out _));
        var refusal = Assert.Throws<WeaveException>(() => RulePrefix.Parse(text));
        Assert.Equal(Fault.InvalidRequest, refusal.Fault);
        Assert.Contains("10.0.0.0/8", refusal.NextStep);
        Assert.DoesNotContain(refusal.Message, c => char.IsControl(c) || c == '\u202e');
    }

    [Fact]
    public void Prefixes_are_in_the_order_of_their_addresses_and_a_wider_one_comes_first() =>
        Assert.Equal(["0.0.0.0/0", "9.0.0.0/8", "10.0.0.0/8", "10.0.0.0/16", "10.1.0.0/16", "192.0.0.0/8"],
            new[] { "192.0.0.0/8", "10.0.0.0/16", "10.1.0.0/16", "9.0.0.0/8", "10.0.0.0/8", "0.0.0.0/0" }.Select(RulePrefix.Parse).Order().Select(p => p.ToString()));
}
