using WeaveHypervisor.Drivers;
using WeaveHypervisor.Libvirt.Fences;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt.Tests.Rules;

/// <summary>The table of a fence's security groups: told when it is not what it should be, mended, and removed with the fence.</summary>
public sealed class GroupInspectionTests
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private static SecurityGroup Group(string name, string machines, params string[] rules) => GroupTextTests.Group(name, machines, rules);

    private static Task NftAsync(string text) => HostCommand.RunAsync("nft", ["-f", "-"], text + "\n", Stop);

    private static async Task<bool> HasTableAsync(FenceNames names) => (await HostCommand.TryAsync("nft", ["list", "table", "bridge", names.HostTable], null, Stop)).Exit == 0;

    [Fact]
    public async Task Rules_that_a_foreign_hand_changed_are_told_and_made_again()
    {
        SecurityGroup[] groups = [Group("front", "web", "in tcp/80 from outside"), Group("data", "db far", "in tcp/5432 from front", "out udp/53 to any")];
        await using var world = await FenceWorld.NewAsync(Stop, groups);
        var table = world.Names.HostTable;
        await world.Driver.MakeFenceAsync(world.Spec, Stop);
        Assert.Empty(await world.Driver.InspectFenceAsync(world.Spec, Stop));
        // What the rules remember of conversations is no change.
        await world.AskAsync("db", world.WorldAddress, RuleProtocol.Udp, 53, Stop).WaitAsync(TimeSpan.FromSeconds(20), Stop);
        Assert.Empty(await world.Driver.InspectFenceAsync(world.Spec, Stop));
        foreach (var damage in new[] { "delete table bridge {0}", "flush table bridge {0}", "flush chain bridge {0} g1_in", "flush set bridge {0} grouped", "insert rule bridge {0} forward accept", "add element bridge {0} g0_plugs {{ \"stranger\" }}" })
        {
            await NftAsync(string.Format(System.Globalization.CultureInfo.InvariantCulture, damage, table));
            Assert.Equal(["the rules of its security groups are not what they should be"], await world.Driver.InspectFenceAsync(world.Spec, Stop));
            await world.Driver.MakeFenceAsync(world.Spec, Stop);
            Assert.Empty(await world.Driver.InspectFenceAsync(world.Spec, Stop));
        }
        // Rules of as many words that say something else.
        var others = world.Spec with { Groups = [groups[0], groups[1] with { Rules = [SecurityRule.Parse("in tcp/5433 from front"), groups[1].Rules[1]] }] };
        Assert.Single(await world.Driver.InspectFenceAsync(others, Stop));
        await world.Driver.MakeFenceAsync(others, Stop);
        Assert.Empty(await world.Driver.InspectFenceAsync(others, Stop));
        Assert.Single(await world.Driver.InspectFenceAsync(world.Spec, Stop));
    }

    [Fact]
    public async Task The_table_is_there_as_long_as_there_are_groups_and_goes_with_the_fence()
    {
        await using var world = await FenceWorld.NewAsync(Stop);
        Assert.False(await HasTableAsync(world.Names));
        await world.MakeAsync(Stop, Group("shut", "db"));
        Assert.True(await HasTableAsync(world.Names));
        var empty = world.Spec with { Groups = [Group("empty", "", "in any from any")] };
        Assert.Contains("the rules of its security groups are not what they should be", await world.Driver.InspectFenceAsync(empty, Stop));
        await world.Driver.MakeFenceAsync(empty, Stop);
        Assert.Empty(await world.Driver.InspectFenceAsync(empty, Stop));
        Assert.False(await HasTableAsync(world.Names));
        await world.MakeAsync(Stop, Group("shut", "db"));
        for (var twice = 0; twice < 2; twice++) await world.Driver.RetireFenceAsync(world.Tag, Stop);
        Assert.False(await HasTableAsync(world.Names));
    }

    [Fact]
    public async Task A_table_that_is_left_of_a_dead_fence_is_found_by_its_name_and_removed()
    {
        await using var world = await FenceWorld.NewAsync(Stop);
        var dead = world.Names with { Tag = FenceTag.New() };
        await NftAsync($"table bridge {dead.HostTable} {{ chain forward {{ type filter hook forward priority filter; }}; }}");
        try
        {
            var left = Assert.Single((await world.Driver.ListOwnedAsync(Stop)).Things, t => t.Kind == OwnedKind.Fence && t.Key == dead.Tag.Text);
            await world.Driver.RemoveOwnedAsync(left, Stop);
            Assert.False(await HasTableAsync(dead));
            Assert.DoesNotContain((await world.Driver.ListOwnedAsync(Stop)).Things, t => t.Key == dead.Tag.Text);
        }
        finally
        {
            await NftAsync(GroupRules.Remove(dead));
        }
    }

    [Fact]
    public async Task This_host_takes_the_rules_and_its_doctor_says_so()
    {
        Assert.Null(await FenceKeeper.RefuseGroupsAsync(Stop));
        await using var world = await FenceWorld.NewAsync(Stop);
        Assert.Null(world.Driver.Capabilities.RulesReason);
        Assert.Contains((await world.Driver.InspectHostAsync(Stop)).Findings, f => f is { Level: FindingLevel.Ok, Subject: "security groups" });
    }
}
