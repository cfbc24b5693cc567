using WeaveHypervisor.Model;
using WeaveHypervisor.Operations;
using WeaveHypervisor.Weaving.Tests.Worlds;

namespace WeaveHypervisor.Weaving.Tests.Matrix;

/// <summary>Every call on the driver, the store and the journal fails once in turn, before its effect and after it; so does every point within the host's calls.</summary>
public sealed class FailureMatrixTests
{
    public static TheoryData<string> Scenarios => Scenario.Names;

    [Theory, MemberData(nameof(Scenarios))]
    public Task A_failure_takes_all_back_and_says_what_and_what_next_or_is_overcome_on_the_only_way_forward(string scenario) => MatrixAsync(scenario, Fault.Exhausted, (run, at, ended) =>
    {
        if (at.Journal) return;
        Assert.Equal((at.Reversible ? OperationState.Undone : OperationState.Succeeded, at.Boundary), (ended.State, at.Boundary));
        if (ended.State == OperationState.Undone) Assert.Equal((Fault.Exhausted, MatrixRun.Injected, "Mend the tape."), (ended.Error!.Fault, ended.Error.Message, ended.Error.NextStep));
    });

    [Theory, MemberData(nameof(Scenarios))]
    public Task A_passing_failure_is_overcome_but_for_an_instant_that_cannot_be_had_again(string scenario) => MatrixAsync(scenario, Fault.Unavailable, (run, at, ended) =>
    {
        if (at.Journal) return;
        var again = !at.Reversible || run.World.Process.Catalogue.Get(ended.Kind).AfterCrashOf(Math.Max(0, at.Step)) == AfterCrash.Repeat;
        Assert.Equal((again ? OperationState.Succeeded : OperationState.Undone, at.Boundary), (ended.State, at.Boundary));
    });

    [Theory, MemberData(nameof(Scenarios))]
    public Task A_failure_while_all_is_taken_back_is_overcome(string scenario) => MatrixAsync(scenario, Fault.Exhausted, (_, _, _) => { }, failUndo: true);

    private sealed record Point(string Boundary, int Step, bool Reversible)
    {
        public bool Journal => Boundary.StartsWith("journal.", StringComparison.Ordinal);
    }

    private static bool Counts(string boundary) => Calls.IsEffect(boundary) || boundary.EndsWith(" before", StringComparison.Ordinal);

    private static async Task MatrixAsync(string name, Fault fault, Action<MatrixRun, Point, Operation> check, bool failUndo = false)
    {
        await using var run = await MatrixRun.PrepareAsync(Scenario.Named(name), Counts);
        foreach (var number in Matrices.Boundaries(run.Boundaries, sparing: true))
        {
            await run.BeginAsync();
            Point? failed = null;
            var undoFails = failUndo;
            run.World.Calls.Counts = Counts;
            run.World.Calls.Arm(act: async (n, boundary, _) =>
            {
                if (n == number)
                {
                    var (step, reversible) = await run.DoingAsync();
                    failed = new(boundary, step, reversible);
                    throw MatrixRun.Fails(fault);
                }
                if (n <= number || !undoFails || boundary.StartsWith("journal.", StringComparison.Ordinal) || (await run.StoredAsync()).State != OperationState.Undoing) return;
                undoFails = false;
                throw MatrixRun.Fails(fault);
            });
            Assert.True(await run.LiveAsync());
            var at = failed ?? throw new InvalidOperationException($"boundary {number} of {run.Boundaries} was not reached");
            check(run, at, await run.EndsWholeOrAbsentAsync($"failed at {number}, {at}"));
        }
    }
}

/// <summary>Somebody asks for cancellation at every boundary of every operation.</summary>
public sealed class CancellationMatrixTests
{
    public static TheoryData<string> Scenarios => Scenario.Names;

    [Theory, MemberData(nameof(Scenarios))]
    public async Task A_request_to_cancel_takes_all_back_as_long_as_there_is_a_way_back(string name)
    {
        await using var run = await MatrixRun.PrepareAsync(Scenario.Named(name), Calls.IsBeforeEffect);
        foreach (var number in Matrices.Boundaries(run.Boundaries, sparing: false))
        {
            await run.BeginAsync();
            var at = "";
            var (heard, accepted) = (false, false);
            run.World.Calls.Counts = Calls.IsBeforeEffect;
            run.World.Calls.Arm(act: async (n, boundary, stop) =>
            {
                if (n != number) return;
                var (step, reversible) = await run.DoingAsync();
                accepted = await run.World.Weaver.CancelAsync(run.Operation.Id, default);
                at = $"{boundary}, step {step}";
                if (step < 0 || !reversible || boundary.StartsWith("journal.", StringComparison.Ordinal)) return;
                // The call under way hears of it, and ends by it.
                heard = true;
                var told = new TaskCompletionSource();
                await using var _ = stop.Register(told.SetResult);
                await told.Task.WaitAsync(TimeSpan.FromMinutes(1));
                stop.ThrowIfCancellationRequested();
            });
            Assert.True(await run.LiveAsync());
            var ended = await run.EndsWholeOrAbsentAsync($"cancelled at {number}, {at}");
            Assert.True(accepted);
            if (heard) Assert.Equal((OperationState.Undone, at), (ended.State, at));
            if (ended.State == OperationState.Undone) Assert.Equal(Fault.Conflict, ended.Error!.Fault);
        }
    }
}
