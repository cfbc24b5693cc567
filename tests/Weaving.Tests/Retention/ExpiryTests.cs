using WeaveHypervisor.Model;
using WeaveHypervisor.Operations;
using WeaveHypervisor.Weaving.Tests.Worlds;
using static WeaveHypervisor.Weaving.Tests.Worlds.World;

namespace WeaveHypervisor.Weaving.Tests.Retention;

/// <summary>What happens to a weave whose time to live is over.</summary>
public sealed class ExpiryTests
{
    private static readonly TimeSpan Life = TimeSpan.FromHours(4), Retry = TimeSpan.FromHours(1);
    private static readonly Caller Nobody = new("(expiry)");

    private static async Task<World> WithWeaveAsync(string id)
    {
        var world = await World.WithLabAsync();
        await MakeAsync(world, id);
        return world;
    }

    private static Task MakeAsync(World world, string id) =>
        world.SucceedAsync(w => w.CreateWeaveAsync(CreationOf(id) with { TimeToLive = Life }, Me, default), WeavingJson.Default.CreateResult);

    private static Task<ExpiryReport> LookAsync(World world) => world.Weaver.DeleteExpiredAsync(Retry, Nobody, default);
    private static Task<Operation> SubmitDeletionAsync(World world, Weave weave)
    {
        var plan = new Branching.DeletePlan { Environment = Lab, Weave = weave.Id, ExpiredAt = weave.ExpiresAt };
        return world.Process.Desk.SubmitAsync(Kinds.Delete, Lab, $"lab/{weave.Id}", System.Text.Json.JsonSerializer.Serialize(plan, WeavingJson.Default.DeletePlan), Nobody.Name);
    }

    private static Task<bool> RunAsync(World world) => world.Process.RunAsync(Lab);

    [Fact]
    public async Task A_weave_lives_to_its_end_and_no_longer()
    {
        await using var world = await WithWeaveAsync("past");
        await world.CreateAsync("forever");
        var end = (await world.WeaveAsync("past")).ExpiresAt!.Value;
        world.Clock.Advance(end - world.Now - TimeSpan.FromMilliseconds(1));
        Assert.Empty((await LookAsync(world)).Begun);
        world.Clock.Advance(TimeSpan.FromMilliseconds(1));
        var operation = Assert.Single((await LookAsync(world)).Begun);
        Assert.Equal(("weave.delete", "lab/past", "(expiry)"), (operation.Kind, operation.Subject, operation.RequestedBy));
        Assert.True(await RunAsync(world));
        Assert.Equal(OperationState.Succeeded, (await world.Process.Journal.FindAsync(operation.Id, default))!.State);
        Assert.Equal(["main", "forever"], await world.WeaveIdsAsync());
        var after = await LookAsync(world);
        Assert.Empty(after.Begun);
        Assert.Empty(after.Kept);
    }

    [Fact]
    public async Task A_look_while_the_deletion_waits_or_after_a_restart_begins_no_second_one()
    {
        await using var world = await WithWeaveAsync("past");
        world.Clock.Advance(Life);
        Assert.Single((await LookAsync(world)).Begun);
        Assert.Empty((await LookAsync(world)).Begun);
        world.Restart();
        Assert.Empty((await LookAsync(world)).Begun);
        Assert.True(await RunAsync(world));
        Assert.Equal(["main"], await world.WeaveIdsAsync());
    }

    [Fact]
    public async Task The_active_weave_outlives_its_time_until_another_is_active()
    {
        await using var world = await WithWeaveAsync("past");
        await world.ActivateAsync("past");
        world.Clock.Advance(Life);
        var report = await LookAsync(world);
        Assert.Empty(report.Begun);
        Assert.Contains("active weave", Assert.Single(report.Kept).Reason);
        await world.ActivateAsync("main");
        Assert.Single((await LookAsync(world)).Begun);
    }

    [Fact]
    public async Task A_weave_that_becomes_active_before_its_deletion_runs_is_kept()
    {
        await using var world = await WithWeaveAsync("past");
        world.Clock.Advance(Life);
        await world.Weaver.ActivateAsync(new(Lab, WeaveId.Parse("past"), null), Me, default);
        Assert.Empty((await LookAsync(world)).Begun);
        // As from a look that had read the journal just before.
        var operation = await SubmitDeletionAsync(world, await world.WeaveAsync("past"));
        Assert.True(await RunAsync(world));
        Assert.Equal(OperationState.Undone, (await world.Process.Journal.FindAsync(operation.Id, default))!.State);
        Assert.Equal("past", (await world.EnvironmentAsync()).ActiveWeave.Text);
        Assert.NotNull(await world.AskAsync("past", Web));
    }

    [Fact]
    public async Task A_weave_with_snapshots_of_its_own_is_kept_until_they_are_gone()
    {
        await using var world = await WithWeaveAsync("past");
        var snapshot = await world.SnapshotAsync("past");
        world.Clock.Advance(Life);
        var report = await LookAsync(world);
        Assert.Empty(report.Begun);
        Assert.Contains("1 snapshot of its own", Assert.Single(report.Kept).Reason);
        await world.DeleteSnapshotAsync(snapshot.Snapshot);
        Assert.Single((await LookAsync(world)).Begun);
    }

    [Fact]
    public async Task A_weave_that_something_is_at_work_on_is_left_to_the_next_look()
    {
        await using var world = await WithWeaveAsync("past");
        world.Clock.Advance(Life);
        await world.Weaver.ChangePowerAsync(Lab, WeaveId.Parse("past"), WeavePower.PowerOff, Me, default);
        Assert.Empty((await LookAsync(world)).Begun);
        Assert.True(await RunAsync(world));
        Assert.Single((await LookAsync(world)).Begun);
    }

    [Fact]
    public async Task A_deletion_that_failed_is_tried_again_later_and_not_at_every_look()
    {
        await using var world = await WithWeaveAsync("past");
        world.Clock.Advance(Life);
        // It is cancelled before it began: its weave is as it was.
        await world.Weaver.CancelAsync(Assert.Single((await LookAsync(world)).Begun).Id, default);
        Assert.True(await RunAsync(world));
        Assert.Contains("past", await world.WeaveIdsAsync());
        var report = await LookAsync(world);
        Assert.Empty(report.Begun);
        Assert.Contains("failed", Assert.Single(report.Kept).Reason);
        world.Clock.Advance(Retry);
        Assert.Single((await LookAsync(world)).Begun);
        Assert.True(await RunAsync(world));
        Assert.Equal(["main"], await world.WeaveIdsAsync());
    }

    [Fact]
    public async Task A_later_weave_of_the_same_id_is_not_taken_for_the_expired_one()
    {
        await using var world = await WithWeaveAsync("past");
        var first = await world.WeaveAsync("past");
        await world.DeleteAsync("past");
        await MakeAsync(world, "past");
        var second = await world.WeaveAsync("past");
        Assert.NotEqual(first.ExpiresAt, second.ExpiresAt);
        // The deletion of the first, handed in when a look had still seen it.
        var operation = await SubmitDeletionAsync(world, first);
        Assert.True(await RunAsync(world));
        Assert.Equal(OperationState.Undone, (await world.Process.Journal.FindAsync(operation.Id, default))!.State);
        Assert.Equal(second.Tag, (await world.WeaveAsync("past")).Tag);
    }

    [Fact]
    public async Task A_deletion_that_died_half_way_is_ended_by_the_next_service()
    {
        await using var world = await WithWeaveAsync("past");
        world.Clock.Advance(Life);
        await LookAsync(world);
        world.Calls.Arm(act: (_, boundary, _) => boundary.StartsWith("driver.RetireAsync", StringComparison.Ordinal) ? world.Calls.DieAsync() : Task.CompletedTask);
        Assert.False(await RunAsync(world));
        world.Restart();
        Assert.Empty((await LookAsync(world)).Begun);
        Assert.True(await RunAsync(world));
        Assert.Equal(["main"], await world.WeaveIdsAsync());
        await world.CheckAsync();
    }

    [Fact]
    public async Task A_weave_from_now_of_an_expiring_weave_takes_its_moment_with_it_and_then_the_weave_goes_in_time()
    {
        await using var world = await WithWeaveAsync("past");
        await world.CreateAsync("child", source: "past");
        var origin = (await world.SnapshotsAsync()).Single(s => s.Weave.Text == "past");
        Assert.True(origin.ForWeave);
        await world.CreateAsync("grandchild", snapshot: origin.Id);
        world.Clock.Advance(Life);
        Assert.Single((await LookAsync(world)).Kept);
        await world.DeleteAsync("child");
        Assert.NotNull(await world.Store.FindSnapshotAsync(origin.Id, default));
        Assert.Single((await LookAsync(world)).Kept);
        await world.DeleteAsync("grandchild");
        Assert.Null(await world.Store.FindSnapshotAsync(origin.Id, default));
        await world.CheckAsync();
        Assert.Single((await LookAsync(world)).Begun);
        Assert.True(await RunAsync(world));
        Assert.Equal(["main"], await world.WeaveIdsAsync());
        await world.CheckAsync();
    }

    [Fact]
    public async Task What_came_after_such_a_moment_follows_on_what_was_before_it()
    {
        await using var world = await World.WithLabAsync();
        var first = await world.SnapshotAsync();
        await world.CreateAsync("copy");
        var last = await world.SnapshotAsync();
        await world.DeleteAsync("copy");
        Assert.Equal([first.Snapshot, last.Snapshot], (await world.SnapshotsAsync()).Select(s => s.Id));
        Assert.Equal(first.Snapshot, (await world.Store.FindSnapshotAsync(last.Snapshot, default))!.Parent);
        await world.CheckAsync();
    }

    [Fact]
    public async Task A_weave_is_given_another_time_or_none_and_lives_by_that()
    {
        await using var world = await WithWeaveAsync("past");
        Task<Branching.KeepResult> KeepAsync(TimeSpan? life) => world.SucceedAsync(w => w.KeepWeaveAsync(Lab, WeaveId.Parse("past"), life, Me, default), WeavingJson.Default.KeepResult);
        var asked = world.Now;
        Assert.Equal(asked + TimeSpan.FromDays(2), (await KeepAsync(TimeSpan.FromDays(2))).ExpiresAt);
        world.Clock.Advance(Life);
        Assert.Equal((0, 0), ((await LookAsync(world)).Begun.Count, (await LookAsync(world)).Kept.Count));
        Assert.Null((await KeepAsync(null)).ExpiresAt);
        world.Clock.Advance(TimeSpan.FromDays(9));
        Assert.Empty((await LookAsync(world)).Begun);
        await KeepAsync(TimeSpan.FromSeconds(1));
        world.Clock.Advance(TimeSpan.FromSeconds(1));
        Assert.Single((await LookAsync(world)).Begun);
        await world.RefusedAsync(Fault.Conflict, w => w.KeepWeaveAsync(Lab, Weave.Main, Life, Me, default));
        await world.RefusedAsync(Fault.InvalidRequest, w => w.KeepWeaveAsync(Lab, WeaveId.Parse("past"), TimeSpan.Zero, Me, default));
        await world.RefusedAsync(Fault.NotFound, w => w.KeepWeaveAsync(Lab, WeaveId.Parse("nobody"), Life, Me, default));
    }

    [Fact]
    public async Task A_weave_that_is_kept_while_its_deletion_waits_lives_on()
    {
        await using var world = await WithWeaveAsync("past");
        var weave = await world.WeaveAsync("past");
        await world.Weaver.KeepWeaveAsync(Lab, weave.Id, null, Me, default);
        world.Clock.Advance(TimeSpan.FromMilliseconds(5));
        var deletion = await SubmitDeletionAsync(world, weave);
        Assert.True(await RunAsync(world));
        Assert.Equal(OperationState.Undone, (await world.Process.Journal.FindAsync(deletion.Id, default))!.State);
        Assert.Contains("past", await world.WeaveIdsAsync());
    }
}
