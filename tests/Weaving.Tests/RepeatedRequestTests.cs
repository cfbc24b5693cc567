using WeaveHypervisor.Model;
using WeaveHypervisor.Operations;
using WeaveHypervisor.Weaving.Tests.Worlds;
using static WeaveHypervisor.Weaving.Tests.Worlds.World;

namespace WeaveHypervisor.Weaving.Tests;

/// <summary>A request that is sent again with its key is the same request, whatever its first sending has changed.</summary>
public sealed class RepeatedRequestTests
{
    private static readonly Caller Keyed = new("me", "key", "hash");

    public static TheoryData<string> Verbs => ["adopt", "release", "snapshot", "delete snapshot", "create", "create unnamed", "delete", "activate", "stop", "publish", "publish named", "withdraw"];

    [Theory, MemberData(nameof(Verbs))]
    public async Task A_repeated_request_answers_the_first_operation_and_does_nothing(string verb)
    {
        await using var world = new World(new() { FirstPort = 20000, LastPort = 20000 }).WithMachines();
        if (verb != "adopt") await world.AdoptAsync();
        SnapshotId? snapshot = verb == "delete snapshot" ? (await world.SnapshotAsync()).Snapshot : null;
        RouteId? route = verb == "withdraw" ? (await world.RouteAsync(null)).Route : null;
        if (verb is "delete" or "activate" or "stop") await world.CreateAsync("past");
        var past = WeaveId.Parse("past");
        Task<Operation> Ask(IWeaver w, Caller caller) => verb switch
        {
            "adopt" => w.AdoptAsync(AdoptionOf("lab", "web", "db"), caller, default),
            "release" => w.ReleaseAsync(Lab, false, caller, default),
            "snapshot" => w.SnapshotAsync(new(Lab, null, null, true, false), caller, default),
            "delete snapshot" => w.DeleteSnapshotAsync(snapshot!.Value, caller, default),
            "create" => w.CreateWeaveAsync(CreationOf("past"), caller, default),
            "create unnamed" => w.CreateWeaveAsync(CreationOf(null), caller, default),
            "delete" => w.DeleteWeaveAsync(Lab, past, false, caller, default),
            "activate" => w.ActivateAsync(new(Lab, past, null), caller, default),
            "stop" => w.ChangePowerAsync(Lab, past, WeavePower.Stop, caller, default),
            "publish" => w.PublishRouteAsync(RouteOf(null), caller, default),
            "publish named" => w.PublishRouteAsync(RouteOf(null, listen: 8080), caller, default),
            _ => w.WithdrawRouteAsync(Lab, route!.Value, caller, default),
        };
        var first = await Ask(world.Weaver, Keyed);
        Assert.Equal(first.Id, (await Ask(world.Weaver, Keyed)).Id);
        Assert.Equal(OperationState.Succeeded, (await world.RunAsync(_ => Task.FromResult(first))).State);
        var count = (await world.Process.Journal.ListAsync(null, false, 100, null, default)).Count;
        world.Restart();
        var again = await Ask(world.Weaver, Keyed);
        Assert.Equal((first.Id, OperationState.Succeeded), (again.Id, again.State));
        Assert.Equal(count, (await world.Process.Journal.ListAsync(null, false, 100, null, default)).Count);
        Assert.Equal(Fault.InvalidRequest, (await Assert.ThrowsAsync<WeaveException>(() => Ask(world.Weaver, Keyed with { RequestHash = "another" }))).Fault);
        await world.CheckAsync();
    }

    /// <summary>What it worked on may be gone by then.</summary>
    [Fact]
    public async Task A_repeated_request_is_known_also_when_its_environment_is_gone()
    {
        await using var world = await WithLabAsync();
        var first = await world.RunAsync(w => w.SnapshotAsync(new(Lab, null, null, true, false), Keyed, default));
        await world.RunAsync(w => w.ReleaseAsync(Lab, false, Me, default));
        Assert.Equal(first.Id, (await world.Weaver.SnapshotAsync(new(Lab, null, null, true, false), Keyed, default)).Id);
    }
}
