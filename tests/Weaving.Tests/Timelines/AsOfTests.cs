using WeaveHypervisor.Model;
using WeaveHypervisor.Weaving.Timelines;
using static WeaveHypervisor.Weaving.Tests.Samples;

namespace WeaveHypervisor.Weaving.Tests.Timelines;

public sealed class AsOfTests
{
    private static readonly DateTimeOffset T1 = Noon.AddMinutes(1), T2 = Noon.AddMinutes(2), T3 = Noon.AddMinutes(3), Later = Noon.AddHours(1);
    private static readonly IReadOnlyList<Snapshot> All = [Snapshot(1, "main", T1), Snapshot(2, "main", T2, parent: 1), Snapshot(3, "past", T3, parent: 1)];

    private static Snapshot Find(DateTimeOffset at, string weave = "main", int? origin = null) =>
        AsOf.Find(Lab, WeaveId.Parse(weave), AsOf.LineOf(Weave(weave, origin), All), at, Later);

    [Fact]
    public void The_newest_snapshot_at_or_before_the_time_is_found() => Assert.Equal(SnapshotNumber(1), Find(T2.AddMilliseconds(-1)).Id);

    [Fact]
    public void A_time_equal_to_the_millisecond_finds_that_snapshot() => Assert.Equal(SnapshotNumber(2), Find(T2).Id);

    [Fact]
    public void Fractions_finer_than_a_millisecond_do_not_matter() => Assert.Equal(SnapshotNumber(2), Find(T2.AddTicks(9)).Id);

    [Fact]
    public void A_time_before_the_first_snapshot_is_refused_with_the_first_time()
    {
        var e = Assert.Throws<WeaveException>(() => Find(T1.AddMilliseconds(-1)));
        Assert.Equal(Fault.NotFound, e.Fault);
        Assert.Contains("2026-11-23T12:01:00.000Z", e.Message);
        Assert.NotNull(e.NextStep);
    }

    [Fact]
    public void A_time_in_the_future_is_refused() => Assert.Equal(Fault.InvalidRequest, Assert.Throws<WeaveException>(() => Find(Later.AddMilliseconds(1))).Fault);

    [Fact]
    public void A_line_without_snapshots_says_so()
    {
        var e = Assert.Throws<WeaveException>(() => AsOf.Find(Lab, WeaveId.Parse("main"), [], T1, Later));
        Assert.Equal(Fault.NotFound, e.Fault);
        Assert.Contains("weave snapshot lab", e.NextStep);
    }

    [Fact]
    public void The_line_of_a_weave_goes_on_through_its_origin_but_not_past_it()
    {
        var line = AsOf.LineOf(Weave("past", origin: 1, source: "main"), All);
        Assert.Equal([SnapshotNumber(1), SnapshotNumber(3)], line.Select(s => s.Id));
        Assert.Equal(SnapshotNumber(1), Find(T2, "past", 1).Id);
    }

    [Fact]
    public void Snapshots_that_are_being_deleted_are_not_on_the_line()
    {
        var line = AsOf.LineOf(Weave("main"), [Snapshot(1, "main", T1), Snapshot(2, "main", T2, 1, SnapshotState.Deleting)]);
        Assert.Equal([SnapshotNumber(1)], line.Select(s => s.Id));
    }

    [Fact]
    public void What_was_active_is_told_by_the_last_activation_at_or_before_the_time()
    {
        IReadOnlyList<Activation> activations = [new(Lab, WeaveId.Parse("main"), Noon), new(Lab, WeaveId.Parse("past"), T2)];
        Assert.Equal("main", AsOf.ActiveAt(activations, T2.AddMilliseconds(-1)).Text);
        Assert.Equal("past", AsOf.ActiveAt(activations, T2).Text);
        Assert.Equal("main", AsOf.ActiveAt([], T2).Text);
    }
}
