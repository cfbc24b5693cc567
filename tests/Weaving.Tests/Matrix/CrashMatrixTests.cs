using WeaveHypervisor.Weaving.Tests.Worlds;

namespace WeaveHypervisor.Weaving.Tests.Matrix;

/// <summary>
/// The service dies before every change of the host, the store and the journal that an operation makes, and at points within the host's calls. (What is true after one change
/// is true before the next.)
/// </summary>
public sealed class CrashMatrixTests
{
    public static TheoryData<string> Scenarios => Scenario.Names;

    [Theory, MemberData(nameof(Scenarios))]
    public Task An_operation_is_whole_or_absent_wherever_the_service_dies(string scenario) => Matrices.CrashAsync(scenario, sparing: false, (_, _) => Task.CompletedTask);
}

/// <summary>The same, and something else happens before the next service has finished. Of long operations some boundaries, or all with WEAVE_TESTS=full.</summary>
public sealed class CrashAndMoreMatrixTests
{
    public static TheoryData<string> Scenarios => Scenario.Names;

    [Theory, MemberData(nameof(Scenarios))]
    public Task A_service_that_dies_a_second_time_leaves_nothing_either(string scenario) => Matrices.CrashAsync(scenario, sparing: true, async (run, boundary) =>
    {
        run.World.Calls.Arm(dieAt: boundary % 7 + boundary / 3);
        if (!await run.LiveAsync()) run.World.Restart();
    });

    [Theory, MemberData(nameof(Scenarios))]
    public Task A_request_to_cancel_what_a_service_died_in_takes_back_all_or_nothing(string scenario) =>
        Matrices.CrashAsync(scenario, sparing: true, async (run, _) => await run.World.Weaver.CancelAsync(run.Operation.Id, default));

    [Theory, MemberData(nameof(Scenarios))]
    public Task Reconciliation_after_the_restart_takes_nothing_from_an_unfinished_operation(string scenario) =>
        Matrices.CrashAsync(scenario, sparing: true, async (run, _) => await run.World.Weaver.ReconcileAsync(new(RepairMode.Repair), default));
}

internal static class Matrices
{
    public static bool Sparing { get; } = Environment.GetEnvironmentVariable("WEAVE_TESTS") != "full";

    /// <summary>The boundaries of an operation to look at: all of them, or, where that is enough, about sixteen that are spread over all.</summary>
    public static IEnumerable<int> Boundaries(int count, bool sparing)
    {
        var stride = sparing && Sparing ? Math.Max(1, count / 16) : 1;
        return Enumerable.Range(0, count).Where(b => b % stride == stride - 1);
    }

    /// <summary>Dies at each boundary, each time in a new world.</summary>
    public static async Task CrashAsync(string name, bool sparing, Func<MatrixRun, int, Task> between)
    {
        await using var run = await MatrixRun.PrepareAsync(Scenario.Named(name), Calls.IsBeforeEffect);
        Assert.True(run.Boundaries >= 4);
        foreach (var boundary in Boundaries(run.Boundaries, sparing))
        {
            await run.BeginAsync();
            run.World.Calls.Counts = Calls.IsBeforeEffect;
            run.World.Calls.Arm(dieAt: boundary);
            Assert.False(await run.LiveAsync());
            var passed = run.World.Calls.Passed;
            run.World.Restart();
            await between(run, boundary);
            Assert.True(await run.LiveAsync());
            await run.EndsWholeOrAbsentAsync($"died at {boundary}: {string.Join(" | ", passed.TakeLast(4))}");
        }
    }
}
