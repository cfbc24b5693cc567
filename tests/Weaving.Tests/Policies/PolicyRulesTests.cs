using WeaveHypervisor.Model;
using WeaveHypervisor.Weaving.Policies;
using static WeaveHypervisor.Weaving.Tests.Worlds.World;

namespace WeaveHypervisor.Weaving.Tests.Policies;

public sealed class PolicyRulesTests
{
    private static readonly DateTimeOffset Noon = new(2030, 6, 15, 12, 0, 0, TimeSpan.Zero);
    private static readonly SnapshotPolicy Policy = new() { Every = TimeSpan.FromMinutes(5), KeepLast = 1 };

    private static Snapshot PointAt(DateTimeOffset at, string? madeBy = SnapshotPolicy.Maker, string? label = null) => new()
    {
        Id = SnapshotId.New(TimeProvider.System), Environment = Lab, Weave = Weave.Main, At = at, State = SnapshotState.Ready, Consistency = Consistency.Crash, MadeBy = madeBy, Label = label,
        Blueprint = new() { Machines = [], Networks = [] }, Machines = [],
    };

    /// <summary>Minutes before noon of the points that stay.</summary>
    private static IEnumerable<double> Kept(SnapshotPolicy policy, params double[] minutesBefore)
    {
        var points = minutesBefore.Select(m => PointAt(Noon.AddMinutes(-m))).OrderBy(s => s.At).ToList();
        var surplus = PolicyRules.Surplus(policy, points, []).Select(s => s.Id).ToHashSet();
        return points.Where(p => !surplus.Contains(p.Id)).Select(p => (Noon - p.At).TotalMinutes).Order();
    }

    [Fact]
    public void The_last_points_are_kept() => Assert.Equal([1, 6], Kept(Policy with { KeepLast = 2 }, 1, 6, 11, 16));

    [Fact]
    public void Of_each_hour_the_newest_point_is_kept() => Assert.Equal([1, 61, 121], Kept(Policy with { Hourly = 3 }, 1, 30, 61, 90, 121, 150, 181));

    [Fact]
    public void Hours_without_a_point_do_not_count_so_that_time_alone_removes_nothing() => Assert.Equal([1, 601, 1201], Kept(Policy with { Hourly = 3 }, 1, 30, 601, 630, 1201, 1801));

    [Fact]
    public void Of_each_utc_day_the_newest_point_is_kept() => Assert.Equal([1, 721, 721 + 1440], Kept(Policy with { Daily = 3 }, 1, 60, 721, 1000, 721 + 1440, 721 + 2880));

    [Fact]
    public void A_point_stays_if_any_rule_keeps_it() => Assert.Equal([1, 6, 61, 721], Kept(Policy with { KeepLast = 2, Hourly = 2, Daily = 2 }, 1, 6, 11, 61, 121, 721));

    [Fact]
    public void Points_of_the_users_and_labelled_ones_stay()
    {
        var mine = PointAt(Noon.AddDays(-9), "me");
        var labelled = PointAt(Noon.AddDays(-8), label: "good");
        var unknown = PointAt(Noon.AddDays(-7), null);
        var surplus = PointAt(Noon.AddDays(-6));
        Assert.Equal([surplus.Id], PolicyRules.Surplus(Policy, [mine, labelled, unknown, surplus, PointAt(Noon)], []).Select(s => s.Id));
    }

    [Fact]
    public void Slots_are_counted_in_utc_whatever_the_zone_of_the_clock()
    {
        var policy = Policy with { Every = TimeSpan.FromHours(6) };
        Assert.Equal(Noon, PolicyRules.SlotOf(policy, new DateTimeOffset(2030, 6, 15, 19, 30, 0, TimeSpan.FromHours(5))));
        Assert.Equal(Noon, PolicyRules.SlotOf(policy, Noon));
        Assert.Equal(Noon.AddHours(-6), PolicyRules.SlotOf(policy, Noon.AddTicks(-1)));
    }
}
