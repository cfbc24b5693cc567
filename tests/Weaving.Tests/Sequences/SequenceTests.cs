using System.Diagnostics;
using System.Globalization;

namespace WeaveHypervisor.Weaving.Tests.Sequences;

/// <summary>
/// Random sequences of all that users, hosts and bad luck do, each against a model of what must be there. A sequence is decided by its number alone; one that fails is made as short as
/// it can be. WEAVE_SEQUENCES=FIRST-LAST runs those numbers instead of the usual few.
/// </summary>
public sealed class SequenceTests(ITestOutputHelper output)
{
    private static readonly TimeSpan Usual = TimeSpan.FromSeconds(20);

    [Fact]
    public async Task Whatever_is_done_in_whatever_order_store_host_and_model_agree()
    {
        var asked = Environment.GetEnvironmentVariable("WEAVE_SEQUENCES")?.Split('-').Select(n => int.Parse(n, CultureInfo.InvariantCulture)).ToList();
        var (first, last) = asked is null ? (1, 400) : (asked[0], asked[^1]);
        var clock = Stopwatch.StartNew();
        var (run, actions, done) = (0, 0, new SortedDictionary<string, int>(StringComparer.Ordinal));
        for (var number = first; number <= last && (asked is not null || run < 40 || clock.Elapsed < Usual); number++, run++)
        {
            var sequence = Sequence.Of(number);
            actions += sequence.Count;
            if (await FailureAsync(sequence, done) is not { } failure) continue;
            // Shorter ones: without one action each, as long as any of them fails, too.
            for (var again = true; again;)
            {
                again = false;
                for (var i = sequence.Count - 1; i >= 0; i--)
                {
                    List<Step> shorter = [.. sequence.Where((_, at) => at != i)];
                    if (await FailureAsync(shorter, null) is not { } other) continue;
                    (sequence, failure, again) = (shorter, other, true);
                }
            }
            Assert.Fail($"Sequence {number}, made as short as it can be:\n{string.Join("\n", sequence)}\n{failure}");
        }
        output.WriteLine($"sequences {first} to {first + run - 1}, {actions} actions, {clock.Elapsed.TotalSeconds:0} s: {string.Join(", ", done.Select(d => $"{d.Key} {d.Value}"))}");
        Assert.True(run >= 40 || asked is not null);
    }

    private static async Task<string?> FailureAsync(IReadOnlyList<Step> sequence, SortedDictionary<string, int>? done)
    {
        await using var model = new ModelWorld();
        foreach (var step in sequence)
            try
            {
                var outcome = await model.DoAsync(step);
                if (done is not null) done[outcome] = done.GetValueOrDefault(outcome) + 1;
            }
            catch (Exception e)
            {
                return $"at {step}: {e}";
            }
        try
        {
            await model.EndAsync();
            return null;
        }
        catch (Exception e)
        {
            return $"at the end: {e}";
        }
    }
}

internal enum Act { Order, Snapshot, CreateAt, CreateNow, Delete, DeleteSnapshot, Activate, Publish, Withdraw, Start, Stop, PowerOff, Pause, Resume, Kill, Reboot, Restart, BreakFence, Flush, Expire, Repair, Keep, Policy, Look, Compact, Verify, Write, Sync, UndoSync, ForgetSync }

/// <summary>What goes wrong in an action: the service dies at a boundary, or a call fails there.</summary>
internal enum Trouble { None, Dies, Fails, Passes }

/// <param name="A">Which one is meant, out of those that there are then; so that a sequence without one of its actions is still one.</param>
internal sealed record Step(Act Act, int A, int B, Trouble Trouble, int At)
{
    public override string ToString() => $"{Act} {A} {B}{(Trouble == Trouble.None ? "" : $", {Trouble} at {At}")}";
}

internal static class Sequence
{
    /// <summary>Actions of frequent use come more often; every sixth is in trouble.</summary>
    private static readonly Act[] Weighted =
    [
        Act.Order, Act.Order, Act.Order, Act.Snapshot, Act.Snapshot, Act.Snapshot, Act.CreateAt, Act.CreateAt, Act.CreateAt, Act.CreateNow, Act.CreateNow, Act.Delete, Act.Delete, Act.DeleteSnapshot, Act.DeleteSnapshot,
        Act.Activate, Act.Publish, Act.Withdraw, Act.Start, Act.Stop, Act.PowerOff, Act.Pause, Act.Resume, Act.Kill, Act.Reboot, Act.Restart, Act.BreakFence, Act.Flush, Act.Expire, Act.Repair,
        Act.Keep, Act.Policy, Act.Policy, Act.Look, Act.Look, Act.Look, Act.Compact, Act.Verify, Act.Verify, Act.Write, Act.Write, Act.Write, Act.Sync, Act.Sync, Act.Sync, Act.Sync, Act.UndoSync, Act.UndoSync, Act.ForgetSync,
    ];

    public static IReadOnlyList<Step> Of(int number)
    {
        var random = new Random(number);
        return [.. Enumerable.Range(0, random.Next(6, 26)).Select(_ => new Step(Weighted[random.Next(Weighted.Length)], random.Next(1000), random.Next(1000),
            random.Next(6) == 0 ? (Trouble)random.Next(1, 4) : Trouble.None, random.Next(40)))];
    }
}
