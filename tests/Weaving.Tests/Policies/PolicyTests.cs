using WeaveHypervisor.Model;
using WeaveHypervisor.Operations;
using WeaveHypervisor.Weaving.Policies;
using WeaveHypervisor.Weaving.Tests.Worlds;
using static WeaveHypervisor.Weaving.Tests.Worlds.World;

namespace WeaveHypervisor.Weaving.Tests.Policies;

public sealed class PolicyTests
{
    private static readonly SnapshotPolicy Often = new() { Every = TimeSpan.FromMinutes(5), KeepLast = 3, Memory = false };

    private static async Task<World> WithPolicyAsync(SnapshotPolicy policy)
    {
        var world = await WithLabAsync();
        await world.PolicyAsync(policy);
        // The clock stands at 12:00 and some seconds: the slot has begun.
        return world;
    }

    private static void ToNextSlot(World world, SnapshotPolicy policy) => world.Clock.Advance(PolicyRules.SlotOf(policy, world.Now) + policy.Every - world.Now);
    private static async Task<IReadOnlyList<Snapshot>> PointsAsync(World world) => [.. (await world.SnapshotsAsync()).Where(s => s.IsAutomatic)];

    [Fact]
    public async Task A_policy_is_set_at_adoption_changed_and_taken_away()
    {
        await using var world = new World().WithMachines();
        await world.SucceedAsync(w => w.AdoptAsync(AdoptionOf("lab", "web", "db") with { Policy = Often }, Me, default), WeavingJson.Default.AdoptResult);
        Assert.Equal(Often, (await world.EnvironmentAsync()).Policy);
        Assert.Equal(Often with { Daily = 7 }, (await world.PolicyAsync(Often with { Daily = 7 })).Policy);
        await world.PolicyAsync(null);
        Assert.Null((await world.EnvironmentAsync()).Policy);
        await world.CheckAsync();
    }

    [Theory]
    [InlineData(0, 1, 0), InlineData(0.5, 1, 0), InlineData(32 * 86400, 1, 0), InlineData(60, 0, 0), InlineData(60, -1, 0), InlineData(60, 1, -1), InlineData(60, 1, 10001)]
    public async Task What_cannot_be_a_policy_is_refused(double seconds, int keepLast, int hourly)
    {
        await using var world = await WithLabAsync();
        await world.RefusedAsync(Fault.InvalidRequest, w => w.SetPolicyAsync(Lab, new() { Every = TimeSpan.FromSeconds(seconds), KeepLast = keepLast, Hourly = hourly }, Me, default));
    }

    [Fact]
    public async Task One_point_of_each_so_many_slots_is_verified_once_also_by_a_service_that_was_started_again()
    {
        var policy = Often with { KeepLast = 10, VerifyEvery = 3 };
        await using var world = await WithPolicyAsync(policy);
        for (var slot = 0; slot < 9; slot++)
        {
            for (var look = 0; look < 3; look++)
            {
                await world.LookAsync();
                if (look == 1) world.Restart();
            }
            ToNextSlot(world, policy);
        }
        var points = await PointsAsync(world);
        Assert.Equal(9, points.Count);
        Assert.All(points.GroupBy(p => PolicyRules.GroupOf(policy, p.At)), group => Assert.Single(group, p => p.Verification is not null));
        Assert.All(points.Where(p => p.Verification is not null), p => Assert.True(p.Verification!.Passed));
        var verifications = (await world.Process.Journal.ListAsync(Lab, false, 1000, null, default)).Where(o => o.Kind == Kinds.Verify).ToList();
        Assert.InRange(verifications.Count, 3, 4);
        Assert.All(verifications, o => Assert.Equal((SnapshotPolicy.Maker, OperationState.Succeeded), (o.RequestedBy, o.State)));
        await world.CheckAsync();
    }

    [Fact]
    public async Task A_point_that_fails_its_verification_says_so_and_its_slots_get_no_other_one()
    {
        var policy = Often with { KeepLast = 10, VerifyEvery = 10_000 };
        await using var world = await WithPolicyAsync(policy);
        await world.LookAsync();
        world.Calls.Arm(act: (_, boundary, _) => boundary == "driver.InstantiateAsync before" ? throw new WeaveException(Fault.DataLoss, "The state is damaged.", "Look.") : Task.CompletedTask);
        await world.LookAsync();
        world.Calls.Arm();
        for (var slot = 0; slot < 3; slot++)
        {
            ToNextSlot(world, policy);
            await world.LookAsync();
            await world.LookAsync();
        }
        Assert.False(Assert.Single(await PointsAsync(world), p => p.Verification is not null).Verification!.Passed);
        await world.CheckAsync();
    }

    [Fact]
    public async Task One_point_is_taken_in_each_slot_however_often_somebody_looks()
    {
        await using var world = await WithPolicyAsync(Often);
        for (var slot = 1; slot <= 3; slot++)
        {
            for (var look = 0; look < 3; look++)
            {
                await world.LookAsync();
                world.Clock.Advance(TimeSpan.FromSeconds(20));
                if (look == 1) world.Restart();
            }
            Assert.Equal(slot, (await PointsAsync(world)).Count);
            ToNextSlot(world, Often);
        }
        Assert.All(await PointsAsync(world), p => Assert.Equal((SnapshotPolicy.Maker, (string?)null, Weave.Main), (p.MadeBy, p.Label, p.Weave)));
        var standing = await world.Weaver.PolicyStandingAsync(await world.EnvironmentAsync(), default);
        Assert.Equal((OperationState.Succeeded, world.Now + Often.Every), (standing!.Last!.State, standing.NextAt));
        await world.CheckAsync();
    }

    [Fact]
    public async Task Services_that_look_at_the_same_moment_take_one_point_together()
    {
        await using var world = await WithPolicyAsync(Often);
        var first = world.Process;
        world.Restart();
        await Task.WhenAll(Enumerable.Range(0, 8).Select(i => (i % 2 == 0 ? first : world.Process).Weaver.RunPoliciesAsync(default)));
        Assert.True(await world.Process.RunAsync(Lab));
        Assert.Single(await PointsAsync(world));
        Assert.Single(await world.Process.Journal.ListAsync(Lab, false, 100, null, default), o => o.RequestedBy == SnapshotPolicy.Maker);
    }

    [Fact]
    public async Task Slots_in_which_nobody_looked_are_not_made_up_for()
    {
        await using var world = await WithPolicyAsync(Often);
        await world.LookAsync();
        world.Clock.Advance(TimeSpan.FromHours(10));
        await world.LookAsync();
        await world.LookAsync();
        Assert.Equal(2, (await PointsAsync(world)).Count);
    }

    [Fact]
    public async Task A_point_is_left_out_and_said_while_the_one_before_it_waits()
    {
        await using var world = await WithPolicyAsync(Often);
        Assert.Single((await world.Weaver.RunPoliciesAsync(default)).Begun);
        ToNextSlot(world, Often);
        for (var look = 0; look < 2; look++)
        {
            var report = await world.Weaver.RunPoliciesAsync(default);
            Assert.Empty(report.Begun);
            Assert.Contains("still waiting", Assert.Single(report.Skipped).Reason, StringComparison.Ordinal);
        }
        Assert.True(await world.Process.RunAsync(Lab));
        Assert.Single(await PointsAsync(world));
    }

    [Fact]
    public async Task Machines_that_are_off_get_one_point_and_no_more_until_they_run_again()
    {
        await using var world = await WithPolicyAsync(Often);
        await world.LookAsync();
        await world.PowerAsync("main", WeavePower.PowerOff);
        for (var i = 0; i < 3; i++)
        {
            ToNextSlot(world, Often);
            await world.LookAsync();
        }
        Assert.Equal(2, (await PointsAsync(world)).Count);
        await world.PowerAsync("main", WeavePower.Start);
        ToNextSlot(world, Often);
        await world.LookAsync();
        Assert.Equal(3, (await PointsAsync(world)).Count);
    }

    [Fact]
    public async Task Below_the_floor_points_are_left_out_and_said_with_the_numbers_and_go_on_when_there_is_room_again()
    {
        await using var world = await WithPolicyAsync(Often);
        await world.LookAsync();
        var free = world.Host.FreeBytes;
        // Enough for what somebody asks for, not for what nobody did.
        world.Host.FreeBytes = world.Options.FloorBytes;
        ToNextSlot(world, Often);
        for (var look = 0; look < 2; look++)
        {
            var report = await world.LookAsync();
            Assert.Empty(report.Begun);
            Assert.Contains($"{world.Options.FloorBytes >> 20} MiB must stay free", Assert.Single(report.Skipped).Reason, StringComparison.Ordinal);
        }
        Assert.Single(await PointsAsync(world));
        await world.SnapshotAsync(memory: false);
        await world.CheckAsync();
        // Still in the same slot.
        world.Host.FreeBytes = free;
        Assert.Empty((await world.LookAsync()).Skipped);
        Assert.Equal(2, (await PointsAsync(world)).Count);
        await world.CheckAsync();
    }

    [Fact]
    public async Task A_point_whose_room_is_gone_when_its_turn_comes_is_refused_with_the_numbers_and_touches_nothing()
    {
        await using var world = await WithPolicyAsync(Often);
        Assert.Single((await world.Weaver.RunPoliciesAsync(default)).Begun);
        world.Host.FreeBytes = world.Options.FloorBytes;
        Assert.True(await world.Process.RunAsync(Lab));
        Assert.Empty(await PointsAsync(world));
        var standing = await world.Weaver.PolicyStandingAsync(await world.EnvironmentAsync(), default);
        Assert.Equal((OperationState.Undone, Fault.Exhausted), (standing!.Last!.State, standing.Last.Error!.Fault));
        Assert.Contains($"{world.Options.FloorBytes >> 20} MiB must stay free", standing.Last.Error.Message, StringComparison.Ordinal);
        await world.CheckAsync();
    }

    [Fact]
    public async Task A_hypervisor_that_cannot_be_asked_for_its_space_puts_the_point_off_and_holds_up_nothing_else()
    {
        await using var world = await WithPolicyAsync(Often);
        world.Host.AddUserMachine("mail", "10.20.0.12", memoryBytes: 1 << 20);
        await world.SucceedAsync(w => w.AdoptAsync(AdoptionOf("post", "mail") with { Policy = Often }, Me, default), WeavingJson.Default.AdoptResult);
        world.Host.IsUp = false;
        var report = await world.Weaver.RunPoliciesAsync(default);
        Assert.Empty(report.Begun);
        Assert.Equal(["lab", "post"], report.Skipped.Select(s => s.Environment.Text).Order());
        Assert.All(report.Skipped, s => Assert.Contains("does not answer", s.Reason, StringComparison.Ordinal));
        world.Host.IsUp = true;
        report = await world.Weaver.RunPoliciesAsync(default);
        Assert.Equal((2, 0), (report.Begun.Count, report.Skipped.Count));
    }

    [Fact]
    public async Task Points_that_are_not_kept_go_and_nothing_else_does()
    {
        await using var world = await WithPolicyAsync(Often);
        var mine = await world.SnapshotAsync(memory: false);
        for (var i = 0; i < 3; i++)
        {
            await world.LookAsync();
            if (i == 0) await world.CreateAsync("held", snapshot: (await PointsAsync(world))[0].Id);
            ToNextSlot(world, Often);
        }
        for (var i = 0; i < 3; i++)
        {
            await world.LookAsync();
            ToNextSlot(world, Often);
        }
        await world.LookAsync();
        await world.LookAsync();
        var points = await PointsAsync(world);
        // The newest three, and the one that a weave was made from.
        Assert.Equal(4, points.Count);
        Assert.Equal(points[0].Id, (await world.WeaveAsync("held")).Origin);
        Assert.Contains(await world.SnapshotsAsync(), s => s.Id == mine.Snapshot);
        await world.DeleteAsync("held");
        await world.LookAsync();
        Assert.Equal(3, (await PointsAsync(world)).Count);
        var removals = (await world.Process.Journal.ListAsync(Lab, false, 100, null, default)).Where(o => o.Kind == Kinds.DeleteSnapshot).ToList();
        Assert.All(removals, o => Assert.Equal((SnapshotPolicy.Maker, OperationState.Succeeded), (o.RequestedBy, o.State)));
        await world.CheckAsync();
    }
}
