using System.Text.Json;

namespace WeaveHypervisor.Model.Tests;

/// <summary>What can be the rules of an environment, and when two are the same.</summary>
public sealed class EnvironmentRulesTests
{
    private static readonly MachineName[] Machines = [MachineName.Parse("web"), MachineName.Parse("db")];

    internal static SecurityGroup Group(string name, string machines, params string[] rules) => new()
    {
        Name = GroupName.Parse(name), Machines = [.. machines.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(MachineName.Parse)], Rules = [.. rules.Select(SecurityRule.Parse)],
    };

    private static AccessPolicy Access(params string[] sources) => new() { Sources = [.. sources.Select(RulePrefix.Parse)] };

    private static string Wrong(EnvironmentRules rules)
    {
        var refusal = Assert.Throws<WeaveException>(() => rules.Check(Machines));
        Assert.Equal(Fault.InvalidRequest, refusal.Fault);
        Assert.Contains("web, db", refusal.NextStep);
        return refusal.Message;
    }

    [Fact]
    public void Groups_of_these_machines_that_name_each_other_can_be()
    {
        new EnvironmentRules
        {
            Groups = [Group("web", "web", "in tcp/80 from outside", "out tcp/5432 to db"), Group("db", "db", "in tcp/5432 from web") with { Description = new('é', 200) }, Group("all", "web db"), Group("nobody", "")],
            Access = Access("10.0.0.0/8"),
        }.Check(Machines);
        EnvironmentRules.None.Check([]);
        Assert.True(EnvironmentRules.None.IsNone);
        Assert.False(new EnvironmentRules { Access = Access() }.IsNone);
    }

    [Fact]
    public void All_that_is_wrong_is_said_at_once()
    {
        var message = Wrong(new() { Groups = [Group("web", "web web mail", "in tcp/80 from cache"), Group("web", "db")] });
        foreach (var part in (string[])["there are 2 groups 'web'", "names a machine 'mail'", "names machine 'web' twice", "rule 'in tcp/80 from cache' of group 'web' names a group 'cache'"]) Assert.Contains(part, message);
    }

    [Fact]
    public void Whoever_names_a_machine_in_a_rule_is_told_that_rules_name_groups() =>
        Assert.Contains("a group 'web' that there is not: a machine is called so, and rules name groups", Wrong(new() { Groups = [Group("data", "db", "in tcp/5432 from web")] }));

    [Fact]
    public void Limits_are_kept()
    {
        Assert.Contains("65 groups are more than 64", Wrong(new() { Groups = [.. Enumerable.Range(0, 65).Select(i => Group($"g{i}", ""))] }));
        Assert.Contains("257 rules, more than 256", Wrong(new() { Groups = [Group("g", "", [.. Enumerable.Range(1, 257).Select(i => $"in tcp/{i} from any")])] }));
        Assert.Contains("257 sources are more than 256", Wrong(new() { Access = Access([.. Enumerable.Range(0, 257).Select(i => $"10.0.{i / 256}.{i % 256}")]) }));
        Assert.Contains("'g' is not at most 200", Wrong(new() { Groups = [Group("g", "") with { Description = new('x', 201) }] }));
    }

    [Theory]
    [InlineData("a\nb")]
    [InlineData("a\u001b[31m")]
    [InlineData("a\u202eb")]
    [InlineData("a\u2028b")]
    [InlineData("a\u200bb")]
    public void A_description_cannot_steer_a_terminal(string text) => Assert.Contains("printable", Wrong(new() { Groups = [Group("g", "") with { Description = text }] }));

    [Fact]
    public void Rules_with_the_same_content_are_the_same_and_every_difference_counts()
    {
        EnvironmentRules New() => new() { Groups = [Group("web", "web", "in tcp/80 from outside") with { Description = "front" }], Access = Access("10.0.0.0/8", "192.0.2.1") };
        Assert.Equal(New(), New());
        Assert.Equal(New().GetHashCode(), New().GetHashCode());
        Assert.Equal(New(), New() with { Access = Access("192.0.2.1", "10.0.0.0/8", "192.0.2.1") });
        var group = New().Groups[0];
        EnvironmentRules[] others =
        [
            EnvironmentRules.None, New() with { Access = null }, New() with { Access = Access() }, New() with { Access = Access("10.0.0.0/8") }, New() with { Groups = [] }, New() with { Groups = [group, Group("b", "")] },
            New() with { Groups = [group with { Name = GroupName.Parse("b") }] }, New() with { Groups = [group with { Description = null }] }, New() with { Groups = [group with { Machines = [] }] }, New() with { Groups = [group with { Rules = [] }] },
        ];
        Assert.All(others, o => Assert.NotEqual(New(), o));
    }

    [Fact]
    public void Rules_are_stored_as_texts_and_read_back()
    {
        var rules = new EnvironmentRules { Groups = [Group("web", "web", "in tcp/80 from outside"), Group("db", "db", "in any from web")], Access = Access("10.0.0.0/8") };
        var text = JsonSerializer.Serialize(rules, JsonSerializerOptions.Web);
        Assert.Contains("\"rules\":[\"in tcp/80 from outside\"]", text);
        Assert.Contains("\"access\":{\"sources\":[\"10.0.0.0/8\"]}", text);
        Assert.DoesNotContain("isNone", text);
        Assert.Equal(rules, JsonSerializer.Deserialize<EnvironmentRules>(text, JsonSerializerOptions.Web));
    }

    [Theory]
    [InlineData("", "")]
    [InlineData("192.0.2.1 10.0.0.0/8 192.0.2.1", "10.0.0.0/8,192.0.2.1/32")]
    public void A_policy_has_one_text(string sources, string text) => Assert.Equal(text, Access(sources.Split(' ', StringSplitOptions.RemoveEmptyEntries)).ToString());

    [Theory]
    [InlineData(null, null, null)]
    [InlineData(null, "10.0.0.0/8", "10.0.0.0/8")]
    [InlineData("10.0.0.0/8", null, "10.0.0.0/8")]
    [InlineData("10.0.0.0/8", "10.0.0.0/8", "10.0.0.0/8")]
    [InlineData("10.0.0.0/8", "10.1.0.0/16 192.0.2.0/24", "10.1.0.0/16")]
    [InlineData("10.1.0.0/16 10.2.0.0/16", "10.0.0.0/8", "10.1.0.0/16,10.2.0.0/16")]
    [InlineData("10.0.0.0/8", "192.168.0.0/16", "")]
    [InlineData("0.0.0.0/0", "", "")]
    [InlineData("0.0.0.0/0", "192.0.2.7", "192.0.2.7/32")]
    public void Whom_two_policies_let_in_is_whom_both_do(string? one, string? other, string? both)
    {
        static AccessPolicy? Of(string? text) => text is null ? null : Access(text.Split(' ', StringSplitOptions.RemoveEmptyEntries));
        Assert.Equal(both, AccessPolicy.Both(Of(one), Of(other))?.ToString());
        Assert.Equal(both, AccessPolicy.Both(Of(other), Of(one))?.ToString());
    }
}
