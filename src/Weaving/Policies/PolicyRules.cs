using WeaveHypervisor.Model;

namespace WeaveHypervisor.Weaving.Policies;

/// <summary>What a policy means: whether it can be, which slot of time it is, what is kept. Pure.</summary>
internal static class PolicyRules
{
    private const int MostKept = 10_000;

    /// <summary>Refuses (<see cref="Fault.InvalidRequest"/>) what cannot be a policy.</summary>
    public static void Check(SnapshotPolicy policy)
    {
        if (policy.Every < TimeSpan.FromSeconds(1) || policy.Every > TimeSpan.FromDays(31) || policy.Every.Ticks % TimeSpan.TicksPerSecond != 0)
            throw Invalid($"A point every {policy.Every} is out of range.", "Use whole seconds from 1s to 31d, for example 5m.");
        Count(policy.KeepLast, "keepLast", 1);
        Count(policy.Hourly, "hourly", 0);
        Count(policy.Daily, "daily", 0);
        Count(policy.VerifyEvery, "verifyEvery", 0);
    }

    /// <summary>Which group of <see cref="SnapshotPolicy.VerifyEvery"/> slots a time is in; one point of each is verified.</summary>
    public static long GroupOf(SnapshotPolicy policy, DateTimeOffset at) => at.UtcTicks / policy.Every.Ticks / policy.VerifyEvery;

    /// <summary>
    /// The automatic point that is to be verified now: the newest one that is ready, unless one of its group was. Null: none.
    /// </summary>
    public static Snapshot? ToVerify(SnapshotPolicy policy, IReadOnlyList<Snapshot> snapshots)
    {
        if (policy.VerifyEvery == 0) return null;
        var automatic = snapshots.Where(s => s.IsAutomatic && s.State == SnapshotState.Ready).ToList();
        return automatic.MaxBy(s => (s.At, s.Id.Text)) is { } newest && !automatic.Any(s => s.Verification is not null && GroupOf(policy, s.At) == GroupOf(policy, newest.At)) ? newest : null;
    }

    /// <summary>When the slot of time began that <paramref name="now"/> is in.</summary>
    public static DateTimeOffset SlotOf(SnapshotPolicy policy, DateTimeOffset now) => new(now.UtcTicks - now.UtcTicks % policy.Every.Ticks, TimeSpan.Zero);

    /// <summary>
    /// The automatic points that no rule of the policy keeps, oldest first. Not among them: points with a label, points from which a weave was made, and points that are not ready.
    /// </summary>
    public static IReadOnlyList<Snapshot> Surplus(SnapshotPolicy policy, IReadOnlyList<Snapshot> snapshots, IReadOnlyList<Weave> weaves)
    {
        var automatic = snapshots.Where(s => s.IsAutomatic && s.State == SnapshotState.Ready).OrderByDescending(s => s.At).ThenByDescending(s => s.Id.Text, StringComparer.Ordinal).ToList();
        var kept = automatic.Take(policy.KeepLast).Concat(NewestOfEach(TimeSpan.FromHours(1), policy.Hourly)).Concat(NewestOfEach(TimeSpan.FromDays(1), policy.Daily)).Select(s => s.Id).ToHashSet();
        var held = weaves.Select(w => w.Origin).ToHashSet();
        return [.. automatic.Where(s => !kept.Contains(s.Id) && s.Label is null && !held.Contains(s.Id)).Reverse()];

        IEnumerable<Snapshot> NewestOfEach(TimeSpan length, int count) => automatic.GroupBy(s => s.At.UtcTicks / length.Ticks).Take(count).Select(g => g.First());
    }

    private static void Count(int value, string name, int least)
    {
        if (value < least || value > MostKept) throw Invalid($"{name} cannot be {value}.", $"Use {least} to {MostKept}.");
    }

    private static WeaveException Invalid(string message, string next) => new(Fault.InvalidRequest, message, next);
}
