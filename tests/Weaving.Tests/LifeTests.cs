using WeaveHypervisor.Model;
using WeaveHypervisor.Operations;
using WeaveHypervisor.Simulator;
using WeaveHypervisor.Weaving.Tests.Worlds;
using static WeaveHypervisor.Weaving.Tests.Worlds.World;

namespace WeaveHypervisor.Weaving.Tests;

/// <summary>Adoption, and what a released environment leaves.</summary>
public sealed class LifeTests
{
    private static readonly EnvironmentId Other = EnvironmentId.Parse("other");

    [Fact]
    public async Task An_adopted_environment_is_recorded_whole_and_its_machines_are_not_touched()
    {
        await using var world = new World().WithMachines();
        var before = world.Host.Ask("10.20.0.10");
        var result = await world.AdoptAsync();
        Assert.Equal(["web", "db"], result.Machines);
        Assert.Equal(["web/vda", "db/vda", "db/data"], result.Volumes);
        Assert.Equal(["lan"], result.Networks);
        var main = await world.WeaveAsync("main");
        Assert.Equal(WeaveState.Running, main.State);
        Assert.Equal(["10.20.0.10", "10.20.0.11"], main.Addresses.Select(a => a.Outer));
        Assert.Equal(before!.Nonce, (await world.AskAsync("main", Web))!.Nonce);
        Assert.Equal("main", (await world.EnvironmentAsync()).ActiveWeave.Text);
        Assert.Equal(["main"], (await world.Store.ListActivationsAsync(Lab, default)).Select(a => a.Weave.Text));
        await world.CheckAsync();
    }

    [Fact]
    public async Task What_the_driver_refuses_is_refused_with_every_reason_and_nothing_is_recorded()
    {
        await using var world = new World().WithMachines();
        world.Host.RefuseAdoption("web", "it has a passed-through GPU");
        world.Host.RefuseAdoption("db", "its disk is encrypted");
        var error = await world.UndoneAsync(w => w.AdoptAsync(AdoptionOf("lab", "web", "db", "ghost"), Me, default));
        Assert.Equal(Fault.Unsupported, error.Fault);
        Assert.All(new[] { "passed-through GPU", "encrypted", "ghost" }, reason => Assert.Contains(reason, error.Message));
        Assert.False(string.IsNullOrWhiteSpace(error.NextStep));
        Assert.Empty(await world.Store.ListEnvironmentsAsync(default));
        Assert.DoesNotContain(world.Calls.Passed, c => c.StartsWith("store.Commit", StringComparison.Ordinal));
        await world.CheckAsync();
    }

    [Fact]
    public async Task A_machine_belongs_to_one_environment_only()
    {
        await using var world = await WithLabAsync();
        var error = await world.UndoneAsync(w => w.AdoptAsync(AdoptionOf("other", "db"), Me, default));
        Assert.Equal(Fault.Unsupported, error.Fault);
        Assert.Contains("'lab'", error.Message);
        Assert.Contains("weave env release lab", error.NextStep);
        Assert.Null(await world.Store.FindEnvironmentAsync(Other, default));
    }

    /// <summary>Environments have leases of their own: two adoptions do run at the same time.</summary>
    [Fact]
    public async Task Of_two_adoptions_of_one_machine_at_the_same_time_one_is_undone()
    {
        await using var world = new World().WithMachines();
        var second = false;
        world.Calls.Arm(act: async (_, boundary, _) =>
        {
            if (second || boundary != "journal.SaveAsync before" || world.Calls.Passed.Count(b => b == "driver.ExamineAsync after") == 0) return;
            second = true;
            await world.Weaver.AdoptAsync(AdoptionOf("other", "web"), Me, default);
            Assert.True(await world.Process.RunAsync(Other));
        });
        var first = await world.RunAsync(w => w.AdoptAsync(AdoptionOf("lab", "web", "db"), Me, default));
        var other = Assert.Single(await world.Process.Journal.ListAsync(Other, false, 10, null, default));
        Assert.Equal((OperationState.Undone, OperationState.Succeeded), (first.State, other.State));
        Assert.Contains("'other'", first.Error!.Message);
        Assert.Equal([Other], (await world.Store.ListEnvironmentsAsync(default)).Select(e => e.Id));
        await world.CheckAsync();
    }

    [Fact]
    public async Task A_copy_is_not_adopted()
    {
        await using var world = await WithLabAsync();
        await world.CreateAsync("copy");
        var copy = (await world.WeaveAsync("copy")).Machines[0].HypervisorName;
        var error = await world.UndoneAsync(w => w.AdoptAsync(new(Other, [new(Web, copy)]), Me, default));
        Assert.Equal(Fault.Unsupported, error.Fault);
    }

    [Fact]
    public async Task An_environment_name_is_used_once()
    {
        await using var world = await WithLabAsync();
        await world.RefusedAsync(Fault.AlreadyExists, w => w.AdoptAsync(AdoptionOf("lab", "web"), Me, default));
    }

    [Fact]
    public async Task Adoptions_that_can_never_succeed_are_refused_at_once()
    {
        await using var world = new World().WithMachines();
        await world.RefusedAsync(Fault.InvalidRequest, w => w.AdoptAsync(AdoptionOf("lab"), Me, default));
        await world.RefusedAsync(Fault.InvalidRequest, w => w.AdoptAsync(new(Lab, [new(Web, "web"), new(Web, "db")]), Me, default));
        await world.RefusedAsync(Fault.InvalidRequest, w => w.AdoptAsync(new(Lab, [new(Web, "web"), new(Db, "web")]), Me, default));
        await world.RefusedAsync(Fault.InvalidRequest, w => w.AdoptAsync(new(Lab, [new(Web, "we\nb")]), Me, default));
        await world.RefusedAsync(Fault.InvalidRequest, w => w.AdoptAsync(AdoptionOf("lab", [.. Enumerable.Range(0, 65).Select(i => $"m{i}")]), Me, default));
    }

    [Fact]
    public async Task Machines_that_are_off_are_adopted_as_stopped()
    {
        await using var world = new World();
        world.Host.AddUserMachine("web", "10.20.0.10", running: false);
        await world.RunAsync(w => w.AdoptAsync(AdoptionOf("lab", "web"), Me, default));
        Assert.Equal(WeaveState.Stopped, (await world.WeaveAsync("main")).State);
        await world.CheckAsync();
    }

    [Fact]
    public async Task Release_gives_the_machines_back_as_they_are_now_and_leaves_nothing()
    {
        await using var world = await WithLabAsync();
        await world.OrderAsync("main", Web, "one");
        await world.SnapshotAsync();
        await world.OrderAsync("main", Web, "two");
        await world.SnapshotAsync(memory: false);
        await world.OrderAsync("main", Web, "three");
        await world.RouteAsync(null);
        var before = await world.AskAsync("main", Web);
        var uuid = before!.Uuid;
        await world.SucceedAsync(w => w.ReleaseAsync(Lab, false, Me, default), WeavingJson.Default.ReleaseResult);

        var after = world.Host.Ask(uuid);
        Assert.Equal((before.Nonce, before.Counter), (after!.Nonce, after.Counter));
        Assert.Equal(["one", "two", "three"], after.Orders);
        await using var driver = new SimulatedHypervisor(world.Host);
        var facts = await driver.InspectAsync(new(Web, "web", uuid), default);
        Assert.Equal(Path.Combine(world.Host.UserFolder, "web-vda.raw"), facts!.VolumePaths["vda"]);
        var owned = await driver.ListOwnedAsync(default);
        Assert.Empty(owned.Things);
        Assert.Empty(owned.Endpoints);
        Assert.Empty(await world.Store.ListEnvironmentsAsync(default));
        Assert.Equal(2, world.Host.RunStates.Count);
        await world.CheckAsync();

        await world.AdoptAsync();
        await world.SnapshotAsync();
        await world.CheckAsync();
    }

    [Fact]
    public async Task Release_is_refused_while_weaves_exist_and_names_them()
    {
        await using var world = await WithLabAsync();
        await world.CreateAsync("past");
        var refusal = await world.RefusedAsync(Fault.Conflict, w => w.ReleaseAsync(Lab, false, Me, default));
        Assert.Equal(["lab/past"], refusal.Holders);
        Assert.Contains("--force", refusal.NextStep);
        await world.CheckAsync();
    }

    [Fact]
    public async Task Forced_release_ends_the_weaves_the_active_one_too_and_leaves_nothing()
    {
        await using var world = await WithLabAsync();
        await world.CreateAsync("past");
        await world.SnapshotAsync("past");
        await world.ActivateAsync("past");
        await world.RouteAsync(null);
        await world.RouteAsync("past");
        await world.OrderAsync("past", Web, "elsewhere");
        await world.OrderAsync("main", Web, "here");
        await world.SucceedAsync(w => w.ReleaseAsync(Lab, true, Me, default), WeavingJson.Default.ReleaseResult);
        Assert.Equal(["here"], world.Host.Ask("10.20.0.10")!.Orders);
        Assert.Equal(["db", "web"], world.Host.RunStates.Keys.Order());
        await world.CheckAsync();
    }

    [Fact]
    public async Task Release_is_refused_before_anything_ends_where_a_machine_is_on_a_file_that_is_not_ours()
    {
        await using var world = await WithLabAsync();
        await world.SnapshotAsync();
        var main = await world.WeaveAsync("main");
        await using var driver = new SimulatedHypervisor(world.Host);
        await driver.DetachVolumeAsync(main.Machines[0].ToRef(), "vda", TimeSpan.Zero, default);
        var foreign = Path.Combine(world.Host.UserFolder, "foreign.raw");
        await File.WriteAllBytesAsync(foreign, new byte[512]);
        await driver.AttachVolumeAsync(main.Machines[0].ToRef(), new(VolumeName.Parse("vda"), "vda", new(LayerId.New(world.Clock), foreign, DiskFormat.Raw, 512)), default);
        var error = await world.UndoneAsync(w => w.ReleaseAsync(Lab, false, Me, default));
        Assert.Equal(Fault.Conflict, error.Fault);
        Assert.Contains(foreign, error.Message);
        Assert.Equal(EnvironmentState.Managed, (await world.EnvironmentAsync()).State);
        Assert.Single(await world.SnapshotsAsync());
    }

    [Fact]
    public async Task An_unknown_environment_is_not_found_by_any_verb()
    {
        await using var world = new World();
        var (snapshot, route) = (SnapshotId.New(world.Clock), RouteId.New(world.Clock));
        Func<IWeaver, Task<Operation>>[] verbs =
        [
            w => w.ReleaseAsync(Lab, false, Me, default), w => w.SnapshotAsync(new(Lab, null, null, true, false), Me, default), w => w.CreateWeaveAsync(CreationOf("w"), Me, default),
            w => w.DeleteWeaveAsync(Lab, WeaveId.Parse("w"), false, Me, default), w => w.ActivateAsync(new(Lab, WeaveId.Parse("w"), null), Me, default),
            w => w.ChangePowerAsync(Lab, WeaveId.Parse("w"), WeavePower.Stop, Me, default), w => w.PublishRouteAsync(RouteOf(null), Me, default),
            w => w.WithdrawRouteAsync(Lab, route, Me, default), w => w.DeleteSnapshotAsync(snapshot, Me, default),
        ];
        foreach (var verb in verbs) await world.RefusedAsync(Fault.NotFound, verb);
        Assert.Equal(Fault.NotFound, (await Assert.ThrowsAsync<WeaveException>(() => world.Weaver.TimelineAsync(Lab, null, null, default))).Fault);
        Assert.Equal(Fault.NotFound, (await Assert.ThrowsAsync<WeaveException>(() => world.Weaver.RoutesAsync(Lab, null, default))).Fault);
    }

    [Fact]
    public async Task An_unknown_weave_or_route_of_a_known_environment_is_not_found()
    {
        await using var world = await WithLabAsync();
        var ghost = WeaveId.Parse("ghost");
        Func<IWeaver, Task<Operation>>[] verbs =
        [
            w => w.SnapshotAsync(new(Lab, ghost, null, true, false), Me, default), w => w.CreateWeaveAsync(CreationOf("w", source: "ghost"), Me, default),
            w => w.DeleteWeaveAsync(Lab, ghost, false, Me, default), w => w.ActivateAsync(new(Lab, ghost, null), Me, default),
            w => w.ChangePowerAsync(Lab, ghost, WeavePower.Stop, Me, default), w => w.PublishRouteAsync(RouteOf("ghost"), Me, default),
            w => w.WithdrawRouteAsync(Lab, RouteId.New(world.Clock), Me, default), w => w.PublishRouteAsync(RouteOf(null, machine: "ghost"), Me, default),
        ];
        foreach (var verb in verbs) await world.RefusedAsync(Fault.NotFound, verb);
    }
}
