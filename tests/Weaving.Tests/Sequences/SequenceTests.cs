using WeaveHypervisor.Conformance;

namespace WeaveHypervisor.Weaving.Tests.Sequences;

/// <summary>
/// Random sequences of all that users, hosts and bad luck do, each against a model of what must be there. A sequence is decided by its number alone; one that fails is made as short as
/// it can be. WEAVE_SEQUENCES=FIRST-LAST runs those numbers instead of the usual few.
/// </summary>
public sealed class SequenceTests(ITestOutputHelper output)
{
    private static readonly TimeSpan Usual = TimeSpan.FromSeconds(10);

    [Fact]
    public Task Whatever_is_done_in_whatever_order_store_host_and_model_agree() =>
        RandomSequences.RunAsync(Sequence.Of, (_, sequence, done) => FailureAsync(sequence, done), least: 40, most: 400, Usual, output.WriteLine);

    private static async Task<string?> FailureAsync(IReadOnlyList<Step> sequence, IDictionary<string, int>? done)
    {
        await using var model = new ModelWorld();
        foreach (var step in sequence)
            try
            {
                var outcome = await model.DoAsync(step);
                if (done is not null) done[outcome] = (done.TryGetValue(outcome, out var times) ? times : 0) + 1;
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

internal enum Act { Order, Snapshot, CreateAt, CreateNow, Delete, DeleteSnapshot, Activate, Publish, Withdraw, Start, Stop, PowerOff, Pause, Resume, Kill, Reboot, Restart, BreakFence, Flush, Expire, Repair, Keep, Policy, Look, Compact, Verify, Write, Sync, UndoSync, ForgetSync, Rules }

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
        Act.Keep, Act.Policy, Act.Policy, Act.Look, Act.Look, Act.Look, Act.Compact, Act.Verify, Act.Verify, Act.Write, Act.Write, Act.Write, Act.Sync, Act.Sync, Act.Sync, Act.Sync, Act.UndoSync, Act.UndoSync, Act.ForgetSync, Act.Rules, Act.Rules,
    ];

    public static IReadOnlyList<Step> Of(int number)
    {
        var random = new Random(number);
        return [.. Enumerable.Range(0, random.Next(6, 26)).Select(_ => new Step(Weighted[random.Next(Weighted.Length)], random.Next(1000), random.Next(1000),
            random.Next(6) == 0 ? (Trouble)random.Next(1, 4) : Trouble.None, random.Next(40)))];
    }
}
