using WeaveHypervisor.Model;
using WeaveHypervisor.Weaving.Retention;
using static WeaveHypervisor.Weaving.Tests.Samples;

namespace WeaveHypervisor.Weaving.Tests.Retention;

public sealed class DeletionRulesTests
{
    [Fact]
    public void A_snapshot_is_held_by_every_weave_made_from_it()
    {
        var e = Assert.Throws<WeaveException>(() => DeletionRules.CheckSnapshot(Snapshot(1, "main", Noon), [Weave("main"), Weave("a", 1), Weave("b", 1), Weave("c", 2)]));
        Assert.Equal(Fault.Conflict, e.Fault);
        Assert.Equal(["lab/a", "lab/b"], e.Holders);
    }

    [Fact]
    public void A_snapshot_from_which_nothing_was_made_may_go() => DeletionRules.CheckSnapshot(Snapshot(1, "main", Noon), [Weave("main"), Weave("c", 2)]);

    [Fact]
    public void The_adopted_original_is_never_deleted() => Refused(Weave("main"), Environment("past"), [], []);

    [Fact]
    public void The_active_weave_is_not_deleted() => Refused(Weave("past", 1), Environment("past"), [], []);

    [Fact]
    public void A_weave_with_snapshots_of_its_own_goes_only_with_them()
    {
        var e = Refused(Weave("past", 1), Environment(), [Snapshot(5, "past", Noon)], []);
        Assert.Equal([SnapshotNumber(5).Text], e.Holders);
        DeletionRules.CheckWeave(Weave("past", 1), Environment(), [Snapshot(5, "past", Noon)], [], withSnapshots: true);
    }

    [Fact]
    public void A_weave_from_whose_snapshots_others_were_made_is_held_by_them_in_any_case()
    {
        var others = new[] { Weave("past", 1), Weave("child", 5, "past") };
        var e = Assert.Throws<WeaveException>(() => DeletionRules.CheckWeave(others[0], Environment(), [Snapshot(5, "past", Noon)], others, withSnapshots: true));
        Assert.Equal(["lab/child"], e.Holders);
    }

    [Fact]
    public void Release_is_refused_while_weaves_exist_unless_it_is_forced()
    {
        Weave[] weaves = [Weave("main"), Weave("past", 1)];
        var e = Assert.Throws<WeaveException>(() => DeletionRules.CheckRelease(Environment(), weaves, force: false));
        Assert.Equal(["lab/past"], e.Holders);
        DeletionRules.CheckRelease(Environment(), weaves, force: true);
        DeletionRules.CheckRelease(Environment(), [weaves[0]], force: false);
    }

    private static WeaveException Refused(Weave weave, ManagedEnvironment environment, IReadOnlyList<Snapshot> snapshots, IReadOnlyList<Weave> weaves)
    {
        var e = Assert.Throws<WeaveException>(() => DeletionRules.CheckWeave(weave, environment, snapshots, weaves, withSnapshots: false));
        Assert.Equal(Fault.Conflict, e.Fault);
        Assert.False(string.IsNullOrEmpty(e.NextStep));
        return e;
    }
}
