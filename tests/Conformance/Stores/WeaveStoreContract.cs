using WeaveHypervisor.Model;
using WeaveHypervisor.Operations;
using WeaveHypervisor.Weaving;
using Xunit;
using static WeaveHypervisor.Conformance.Stores.StoredThings;

namespace WeaveHypervisor.Conformance.Stores;

/// <summary>What every store of weaves promises.</summary>
public abstract class WeaveStoreContract
{
    private static readonly CancellationToken Go = CancellationToken.None;

    protected abstract IWeaveStore Store { get; }
    /// <summary>The journal on the same state, which gives out the leases.</summary>
    protected abstract IJournal Journal { get; }
    protected abstract void Pass(TimeSpan time);

    private Task Commit(StoreChange change, Lease? lease = null) => Store.CommitAsync(change, lease, Go);

    private static async Task Refused(Fault fault, Func<Task> act) => Assert.Equal(fault, (await Assert.ThrowsAsync<WeaveException>(act)).Fault);

    /// <summary>One of everything, in both environments.</summary>
    private Task FillAsync() => Task.WhenAll(
        Commit(new()
        {
            AddEnvironment = Environment(), AddWeaves = [Weave("main"), Weave("past", minutes: 1)], AddSnapshots = [Snapshot(1)], PutLayers = [Layer(1)], AddRoutes = [Route(1, 80)],
            AddActivations = [new(Lab, Weave("main").Id, Noon)],
        }),
        Commit(new()
        {
            AddEnvironment = Environment("other"), AddWeaves = [Weave("main", "other")], AddSnapshots = [Snapshot(2, "other")], PutLayers = [Layer(2, "other")], AddRoutes = [Route(2, 81, "other")],
            AddActivations = [new(Other, Weave("main").Id, Noon)],
        }));

    private async Task<string> PictureAsync() => string.Join(' ',
        string.Join(',', (await Store.ListEnvironmentsAsync(Go)).Select(e => $"{e.Id}:{e.ActiveWeave}")),
        string.Join(',', (await Store.ListWeavesAsync(Lab, Go)).Select(w => $"{w.Id}:{w.State}")), string.Join(',', (await Store.ListSnapshotsAsync(Lab, null, null, Go)).Select(s => s.Id)),
        string.Join(',', (await Store.ListLayersAsync(Lab, Go)).Select(l => $"{l.Id}:{l.State}")), string.Join(',', (await Store.ListRoutesAsync(null, Go)).Select(r => r.Id)),
        (await Store.ListActivationsAsync(Lab, Go)).Count);

    [Fact]
    public async Task An_empty_store_has_nothing_and_finds_nothing()
    {
        Assert.Empty(await Store.ListEnvironmentsAsync(Go));
        Assert.Empty(await Store.ListWeavesAsync(Lab, Go));
        Assert.Empty(await Store.ListSnapshotsAsync(Lab, null, null, Go));
        Assert.Empty(await Store.ListLayersAsync(Lab, Go));
        Assert.Empty(await Store.ListRoutesAsync(null, Go));
        Assert.Empty(await Store.ListActivationsAsync(Lab, Go));
        Assert.Null(await Store.FindEnvironmentAsync(Lab, Go));
        Assert.Null(await Store.FindWeaveAsync(Lab, Model.Weave.Main, Go));
        Assert.Null(await Store.FindSnapshotAsync(SnapshotNumber(1), Go));
    }

    [Fact]
    public async Task What_was_committed_is_read_back_whole()
    {
        var (environment, weave, snapshot, layer, route, activation) = (Environment(), Weave("past"), Snapshot(1), Layer(1), Route(1, 80), new Activation(Lab, WeaveId.Parse("past"), Noon.AddTicks(7)));
        await Commit(new() { AddEnvironment = environment, AddWeaves = [weave], AddSnapshots = [snapshot], PutLayers = [layer], AddRoutes = [route], AddActivations = [activation] });
        Assert.Equivalent(environment, await Store.FindEnvironmentAsync(Lab, Go), strict: true);
        Assert.Equivalent(weave, await Store.FindWeaveAsync(Lab, weave.Id, Go), strict: true);
        Assert.Equivalent(snapshot, await Store.FindSnapshotAsync(snapshot.Id, Go), strict: true);
        Assert.Equal(layer, Assert.Single(await Store.ListLayersAsync(Lab, Go)));
        Assert.Equal(route, Assert.Single(await Store.ListRoutesAsync(Lab, Go)));
        Assert.Equal(activation, Assert.Single(await Store.ListActivationsAsync(Lab, Go)));
        Assert.Equivalent(environment, Assert.Single(await Store.ListEnvironmentsAsync(Go)), strict: true);
        Assert.Equivalent(weave, Assert.Single(await Store.ListWeavesAsync(Lab, Go)), strict: true);
        Assert.Equivalent(snapshot, Assert.Single(await Store.ListSnapshotsAsync(Lab, null, null, Go)), strict: true);
        Assert.Null(await Store.FindWeaveAsync(Other, weave.Id, Go));
    }

    [Fact]
    public async Task Adding_what_exists_is_refused_and_nothing_of_that_change_is_written()
    {
        await FillAsync();
        await Commit(new() { AddWeaves = [Weave("tagged", tag: "0123abcd")] });
        var before = await PictureAsync();
        // The good part of each change comes first: it must go with the bad one.
        var good = new StoreChange { DeleteRoutes = [RouteNumber(1)], DeleteSnapshots = [SnapshotNumber(1)], AddWeaves = [Weave("new")], AddActivations = [new(Lab, WeaveId.Parse("new"), Noon)] };
        StoreChange[] bad =
        [
            good with { AddEnvironment = Environment() },
            good with { AddWeaves = [Weave("new"), Weave("past")] },
            good with { AddWeaves = [Weave("new"), Weave("new-2", tag: "0123abcd")] },
            good with { AddWeaves = [Weave("new"), Weave("elsewhere", "other", tag: "0123abcd")] },
            good with { AddSnapshots = [Snapshot(2)] },
            good with { AddRoutes = [Route(2, 90)] },
            good with { AddRoutes = [Route(9, 81)] },
            // Twice in the change itself.
            good with { AddWeaves = [Weave("new"), Weave("new")] },
            good with { AddWeaves = [Weave("new", tag: "89abcdef"), Weave("new-2", tag: "89abcdef")] },
            good with { AddSnapshots = [Snapshot(9), Snapshot(9)] },
            good with { AddRoutes = [Route(9, 90), Route(10, 90)] },
            good with { AddRoutes = [Route(9, 90), Route(9, 91)] },
        ];
        foreach (var change in bad)
        {
            await Refused(Fault.AlreadyExists, () => Commit(change));
            Assert.Equal(before, await PictureAsync());
        }
        await Commit(good);
        Assert.NotEqual(before, await PictureAsync());
    }

    [Fact]
    public async Task One_port_may_be_listened_on_by_each_protocol_and_address_once()
    {
        await Commit(new() { AddRoutes = [Route(1, 53), Route(2, 53, protocol: RouteProtocol.Udp), Route(3, 53, address: "0.0.0.0"), Route(4, 54)] });
        Assert.Equal(4, (await Store.ListRoutesAsync(null, Go)).Count);
    }

    [Fact]
    public async Task Putting_replaces_what_is_there_and_makes_what_is_not()
    {
        await FillAsync();
        var past = Weave("past", minutes: 1) with { State = WeaveState.Failed, Drift = [] };
        await Commit(new() { PutWeaves = [past, Weave("put", minutes: 2)], PutEnvironments = [Environment(active: "past")], PutSnapshots = [Snapshot(1) with { Label = null }, Snapshot(7)], PutLayers = [Layer(1, state: LayerState.Frozen), Layer(7)] });
        Assert.Equivalent(past, await Store.FindWeaveAsync(Lab, past.Id, Go), strict: true);
        Assert.Equal(["main", "past", "put"], (await Store.ListWeavesAsync(Lab, Go)).Select(w => w.Id.Text));
        Assert.Equal("past", (await Store.FindEnvironmentAsync(Lab, Go))!.ActiveWeave.Text);
        Assert.Null((await Store.FindSnapshotAsync(SnapshotNumber(1), Go))!.Label);
        Assert.NotNull(await Store.FindSnapshotAsync(SnapshotNumber(7), Go));
        Assert.Equal([LayerState.Frozen, LayerState.Live], (await Store.ListLayersAsync(Lab, Go)).Select(l => l.State));
        Assert.Equal("main", (await Store.FindEnvironmentAsync(Other, Go))!.ActiveWeave.Text);
    }

    [Fact]
    public async Task A_later_put_in_one_change_wins()
    {
        await Commit(new() { PutLayers = [Layer(1), Layer(1, state: LayerState.Frozen)], AddWeaves = [Weave("a")], PutWeaves = [Weave("a") with { State = WeaveState.Failed }] });
        Assert.Equal(LayerState.Frozen, Assert.Single(await Store.ListLayersAsync(Lab, Go)).State);
        Assert.Equal(WeaveState.Failed, Assert.Single(await Store.ListWeavesAsync(Lab, Go)).State);
    }

    [Fact]
    public async Task Deleting_what_is_gone_succeeds_and_one_change_may_take_a_name_and_give_it_again()
    {
        await FillAsync();
        var removal = new StoreChange { DeleteWeaves = [(Lab, WeaveId.Parse("past"))], DeleteSnapshots = [SnapshotNumber(1)], DeleteLayers = [LayerNumber(1)], DeleteRoutes = [RouteNumber(1)] };
        await Commit(removal with { AddWeaves = [Weave("past") with { State = WeaveState.Creating }], AddRoutes = [Route(3, 80)], AddSnapshots = [Snapshot(1)] });
        Assert.Equal(WeaveState.Creating, (await Store.FindWeaveAsync(Lab, WeaveId.Parse("past"), Go))!.State);
        Assert.Equal(RouteNumber(3), Assert.Single(await Store.ListRoutesAsync(Lab, Go)).Id);
        await Commit(removal);
        await Commit(removal with { DeleteEnvironments = [EnvironmentId.Parse("never-there")] });
        Assert.Equal("main", Assert.Single(await Store.ListWeavesAsync(Lab, Go)).Id.Text);
        Assert.Empty(await Store.ListLayersAsync(Lab, Go));
        Assert.Single(await Store.ListWeavesAsync(Other, Go));
    }

    [Fact]
    public async Task Deleting_an_environment_takes_all_that_is_its_own_and_nothing_of_another()
    {
        await FillAsync();
        await Commit(new() { DeleteEnvironments = [Lab] });
        Assert.Equal(Other, Assert.Single(await Store.ListEnvironmentsAsync(Go)).Id);
        Assert.Empty(await Store.ListWeavesAsync(Lab, Go));
        Assert.Empty(await Store.ListSnapshotsAsync(Lab, null, null, Go));
        Assert.Empty(await Store.ListLayersAsync(Lab, Go));
        Assert.Empty(await Store.ListRoutesAsync(Lab, Go));
        Assert.Empty(await Store.ListActivationsAsync(Lab, Go));
        Assert.Single(await Store.ListWeavesAsync(Other, Go));
        Assert.Single(await Store.ListSnapshotsAsync(Other, null, null, Go));
        Assert.Single(await Store.ListLayersAsync(Other, Go));
        Assert.Single(await Store.ListRoutesAsync(null, Go));
        Assert.Single(await Store.ListActivationsAsync(Other, Go));
        await Commit(new() { AddEnvironment = Environment(), AddWeaves = [Weave("main")] });
    }

    [Fact]
    public async Task Lists_are_in_the_order_of_time_and_then_of_ids()
    {
        await Commit(new()
        {
            AddEnvironment = Environment(), AddWeaves = [Weave("b", minutes: 1), Weave("c"), Weave("a", minutes: 1)],
            AddSnapshots = [Snapshot(4, milliseconds: 2), Snapshot(3), Snapshot(2, milliseconds: 2), Snapshot(9, "other", 1), Snapshot(1, milliseconds: 3)], AddRoutes = [Route(2, 80), Route(1, 81)],
            AddActivations = [new(Lab, WeaveId.Parse("b"), Noon.AddMinutes(1)), new(Lab, WeaveId.Parse("a"), Noon), new(Lab, WeaveId.Parse("c"), Noon)],
        });
        Assert.Equal(["c", "a", "b"], (await Store.ListWeavesAsync(Lab, Go)).Select(w => w.Id.Text));
        Assert.Equal(new[] { 3, 2, 4, 1 }.Select(SnapshotNumber), (await Store.ListSnapshotsAsync(Lab, null, null, Go)).Select(s => s.Id));
        Assert.Equal(new[] { 1, 2 }.Select(RouteNumber), (await Store.ListRoutesAsync(Lab, Go)).Select(r => r.Id));
        // Two switches of one instant: the later one counts, so it must stay the later one.
        Assert.Equal(["a", "c", "b"], (await Store.ListActivationsAsync(Lab, Go)).Select(a => a.Weave.Text));
    }

    [Fact]
    public async Task A_page_goes_on_where_the_one_before_ended_whatever_was_made_and_deleted_meanwhile()
    {
        await Commit(new() { AddEnvironment = Environment(), AddWeaves = [.. Enumerable.Range(0, 6).Select(n => Weave($"w{n}", minutes: n / 2))] });
        var first = await Store.PageWeavesAsync(Lab, null, 3, Go);
        Assert.Equal(["w0", "w1", "w2"], first.Select(w => w.Id.Text));
        await Commit(new() { DeleteWeaves = [(Lab, first[0].Id), (Lab, first[2].Id)], AddWeaves = [Weave("new", minutes: 9)] });
        Assert.Equal(["w3", "w4", "w5", "new"], (await Store.PageWeavesAsync(Lab, WeavePlace.Of(first[^1]), 9, Go)).Select(w => w.Id.Text));
    }

    [Fact]
    public async Task Pages_of_weaves_join_to_the_list_and_the_counts_are_those_of_the_lists()
    {
        await FillAsync();
        await Commit(new() { AddWeaves = [.. Enumerable.Range(0, 11).Select(n => Weave($"w{n % 4}-{n}", minutes: n % 3))] });
        var all = (await Store.ListWeavesAsync(Lab, Go)).Select(w => w.Id).ToList();
        var read = new List<Weave>();
        while (await Store.PageWeavesAsync(Lab, read.Count == 0 ? null : WeavePlace.Of(read[^1]), 4, Go) is { Count: > 0 } page) read.AddRange(page);
        Assert.Equal(all, read.Select(w => w.Id));
        Assert.Empty(await Store.PageWeavesAsync(Lab, null, 0, Go));
        Assert.Equal((13, 1), await Store.CountAsync(Lab, Go));
        Assert.Equal((1, 1), await Store.CountAsync(Other, Go));
        Assert.Equal((0, 0), await Store.CountAsync(EnvironmentId.Parse("none"), Go));
        var instants = await Store.FindInstantsAsync([SnapshotNumber(1), SnapshotNumber(2), SnapshotNumber(99), SnapshotNumber(1)], Go);
        Assert.Equal(new Dictionary<SnapshotId, DateTimeOffset> { [SnapshotNumber(1)] = Snapshot(1).At, [SnapshotNumber(2)] = Snapshot(2, "other").At }, instants);
        Assert.Empty(await Store.FindInstantsAsync([], Go));
    }

    [Fact]
    public async Task Both_limits_of_a_list_of_snapshots_are_inclusive_whatever_the_zone_they_are_told_in()
    {
        await Commit(new() { AddSnapshots = [Snapshot(1), Snapshot(2, milliseconds: 1), Snapshot(3, milliseconds: 2)] });
        async Task<IEnumerable<SnapshotId>> List(DateTimeOffset? from, DateTimeOffset? to) => (await Store.ListSnapshotsAsync(Lab, from, to, Go)).Select(s => s.Id);
        var second = Noon.AddMilliseconds(1).ToOffset(TimeSpan.FromHours(14));
        Assert.Equal([SnapshotNumber(2)], await List(second, second));
        Assert.Equal([SnapshotNumber(2), SnapshotNumber(3)], await List(second, null));
        Assert.Equal([SnapshotNumber(1), SnapshotNumber(2)], await List(null, second));
        Assert.Empty(await List(second.AddTicks(1), second.AddTicks(9999)));
        Assert.Empty(await List(second, second.AddTicks(-1)));
        Assert.Equal(3, (await List(DateTimeOffset.MinValue, DateTimeOffset.MaxValue)).Count());
    }

    [Fact]
    public async Task Default_ids_are_refused_and_store_nothing()
    {
        await Refused(Fault.InvalidRequest, () => Store.FindEnvironmentAsync(default, Go));
        await Refused(Fault.InvalidRequest, () => Store.FindWeaveAsync(Lab, default, Go));
        await Refused(Fault.InvalidRequest, () => Store.FindSnapshotAsync(default, Go));
        await Refused(Fault.InvalidRequest, () => Store.ListWeavesAsync(default, Go));
        await Refused(Fault.InvalidRequest, () => Store.ListSnapshotsAsync(default, null, null, Go));
        await Refused(Fault.InvalidRequest, () => Store.ListLayersAsync(default, Go));
        await Refused(Fault.InvalidRequest, () => Store.ListRoutesAsync(default(EnvironmentId), Go));
        await Refused(Fault.InvalidRequest, () => Store.ListActivationsAsync(default, Go));
        StoreChange[] bad =
        [
            new() { AddEnvironment = Environment() with { Id = default } }, new() { AddWeaves = [Weave("a") with { Id = default }] }, new() { AddWeaves = [Weave("a") with { Tag = default }] },
            new() { AddSnapshots = [Snapshot(1) with { Id = default }] }, new() { AddRoutes = [Route(1, 80) with { Id = default }] }, new() { AddActivations = [new(Lab, default, Noon)] },
            new() { PutLayers = [Layer(1) with { Environment = default }] }, new() { PutWeaves = [Weave("a") with { Environment = default }] },
            new() { DeleteEnvironments = [default] }, new() { DeleteWeaves = [(Lab, default)] }, new() { DeleteSnapshots = [default] }, new() { DeleteLayers = [default] }, new() { DeleteRoutes = [default] },
        ];
        var before = await PictureAsync();
        foreach (var change in bad) await Refused(Fault.InvalidRequest, () => Commit(change));
        Assert.Equal(before, await PictureAsync());
    }

    [Fact]
    public async Task A_writer_whose_lease_another_has_taken_over_writes_nothing()
    {
        await FillAsync();
        var limit = TimeSpan.FromSeconds(30);
        var first = (await Journal.TryAcquireAsync(Lab, "a", limit, Go))!;
        await Commit(new() { PutWeaves = [Weave("past") with { State = WeaveState.Stopped }] }, first);
        Pass(limit);
        // Expired, but nobody else has come: what it knows still holds.
        await Commit(new() { PutWeaves = [Weave("past") with { State = WeaveState.Running }] }, first);
        var second = (await Journal.TryAcquireAsync(Lab, "b", limit, Go))!;
        var before = await PictureAsync();
        await Refused(Fault.Conflict, () => Commit(new() { PutWeaves = [Weave("past") with { State = WeaveState.Failed }], AddWeaves = [Weave("late")] }, first));
        await Refused(Fault.Conflict, () => Commit(new() { DeleteEnvironments = [Lab] }, first));
        await Refused(Fault.Conflict, () => Commit(new() { DeleteEnvironments = [Lab] }, second with { Number = second.Number + 1 }));
        await Refused(Fault.Conflict, () => Commit(new() { DeleteEnvironments = [Other] }, second with { Environment = Other }));
        Assert.Equal(before, await PictureAsync());
        await Commit(new() { DeleteEnvironments = [Lab] }, second);
        // The operation that deleted it has still its end to write.
        await Commit(new() { DeleteLayers = [LayerNumber(1)] }, second);
    }

    [Fact]
    public async Task Of_writers_that_want_one_name_at_once_exactly_one_gets_it_whole()
    {
        var outcomes = await Task.WhenAll(Enumerable.Range(0, 8).Select(n => Task.Run(async () =>
        {
            try
            {
                await Commit(new() { AddWeaves = [Weave("wanted", minutes: n)], AddSnapshots = [Snapshot(100 + n)], AddActivations = [new(Lab, WeaveId.Parse("wanted"), Noon)] });
                return n;
            }
            catch (WeaveException e) when (e.Fault == Fault.AlreadyExists)
            {
                return -1;
            }
        })));
        var winner = Assert.Single(outcomes, n => n >= 0);
        Assert.Equal(Noon.AddMinutes(winner), Assert.Single(await Store.ListWeavesAsync(Lab, Go)).CreatedAt);
        Assert.Equal(SnapshotNumber(100 + winner), Assert.Single(await Store.ListSnapshotsAsync(Lab, null, null, Go)).Id);
        Assert.Single(await Store.ListActivationsAsync(Lab, Go));
    }

    [Fact]
    public async Task Writers_of_different_things_all_succeed_and_a_reader_never_sees_half_a_change()
    {
        var writing = Task.WhenAll(Enumerable.Range(0, 6).Select(n => Task.Run(async () =>
        {
            for (var i = 0; i < 5; i++) await Commit(new() { AddWeaves = [Weave($"w{n}-{i}-a"), Weave($"w{n}-{i}-b")] });
        })));
        var reads = 0;
        do
        {
            var pairs = (await Store.ListWeavesAsync(Lab, Go)).GroupBy(w => w.Id.Text[..^2]);
            Assert.All(pairs, p => Assert.Equal(2, p.Count()));
            reads++;
        }
        while (!writing.IsCompleted);
        await writing;
        Assert.Equal(60, (await Store.ListWeavesAsync(Lab, Go)).Count);
        Assert.True(reads > 0);
    }

    [Fact]
    public async Task A_change_that_was_cancelled_before_it_began_is_not_written()
    {
        using var stop = new CancellationTokenSource();
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => Store.CommitAsync(new() { AddEnvironment = Environment() }, null, stop.Token));
        Assert.Empty(await Store.ListEnvironmentsAsync(Go));
    }
}
