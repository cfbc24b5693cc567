using WeaveHypervisor.HyperV.Cim;

namespace WeaveHypervisor.HyperV.Tests.Sequences;

/// <summary>What callers of the driver, guests, users and hosts do.</summary>
internal enum Act
{
    Write, Firmware, Capture, CaptureDisks, Copy, Branch, Power, StartCopy, Retire, Forget, Thicken, Fold, Sync, Publish, Restart,
    RestartService, Reboot, Kill, Save, BreakFence, Release,
}

/// <summary>What goes wrong in a step: one call of the host, or the driver's process dies at one.</summary>
internal enum Trouble { None, RefusedBefore, LostBefore, LostAfter, RestartAfter, JobFails, JobVanishes, Dies }

/// <param name="A">Which one is meant, out of those that there are then; so that a sequence without one of its steps is still one.</param>
/// <param name="At">The call that goes wrong, of those of the step that change something.</param>
internal sealed record Step(Act Act, int A, int B, Trouble Trouble, int At)
{
    public override string ToString() => $"{Act} {A} {B}{(Trouble == Trouble.None ? "" : $", {Trouble} at {At}")}";
}

/// <summary>The host and the user's machines of a sequence.</summary>
/// <param name="Disks">Of each machine.</param>
/// <param name="JobTime">Long jobs are polled again and again, which takes the time of the test.</param>
internal sealed record Stage(Hosts.Kind Kind, HostProfile Profile, int Seed, bool Gateway, TimeSpan JobTime, IReadOnlyList<int> Disks, int Generation)
{
    public static Stage Of(int number)
    {
        var random = new Random(number);
        var kinds = Enum.GetValues<Hosts.Kind>();
        var (kind, profile) = (kinds[number % kinds.Length], (HostProfile)(number / kinds.Length % 2));
        return new(kind, profile, number, random.Next(4) == 0, TimeSpan.FromMilliseconds(random.Next(8) == 0 ? 2000 : 50), random.Next(4) switch { 0 => [2], 1 => [1, 2], 2 => [1, 1], _ => [1] }, random.Next(4) == 0 ? 1 : 2);
    }
}

internal static class Sequence
{
    private const int MostCalls = 24;

    /// <summary>Steps of frequent use come more often; every fourth is in trouble.</summary>
    private static readonly Act[] Weighted =
    [
        Act.Write, Act.Write, Act.Write, Act.Write, Act.Write, Act.Firmware, Act.Capture, Act.Capture, Act.Capture, Act.CaptureDisks, Act.CaptureDisks, Act.Copy, Act.Copy, Act.Copy, Act.Branch, Act.Power, Act.Power, Act.Power,
        Act.StartCopy, Act.Retire, Act.Forget, Act.Forget, Act.Thicken, Act.Thicken, Act.Thicken, Act.Fold, Act.Fold, Act.Fold, Act.Fold, Act.Sync, Act.Publish, Act.Restart, Act.RestartService, Act.Reboot, Act.Kill, Act.Save, Act.BreakFence, Act.Release,
    ];

    public static IReadOnlyList<Step> Of(int number)
    {
        var random = new Random(~number);
        return [.. Enumerable.Range(0, random.Next(5, 17)).Select(_ => new Step(Weighted[random.Next(Weighted.Length)], random.Next(1000), random.Next(1000),
            random.Next(4) == 0 ? (Trouble)random.Next(1, 8) : Trouble.None, random.Next(1, MostCalls)))];
    }
}
