using Microsoft.Data.Sqlite;
using Npgsql;
using WeaveHypervisor.Model;
using WeaveHypervisor.Operations;
using WeaveHypervisor.Weaving.Tests.Worlds;

namespace WeaveHypervisor.Weaving.Tests.Matrix;

/// <summary>The matrices are made from the step lists: no operation, and no step of one, is without a scenario that dies and fails in it.</summary>
public sealed class CoverageTests
{
    [Fact]
    public async Task Every_step_of_every_operation_is_in_a_scenario()
    {
        var passed = new HashSet<(string, string)>();
        HashSet<(string, string)> all = [];
        foreach (var scenario in Scenario.All)
        {
            await using var run = await MatrixRun.PrepareAsync(scenario, Calls.IsBeforeEffect);
            var ended = await run.StoredAsync();
            foreach (var step in ended.Steps.Where(s => s.State == StepState.Done)) passed.Add((ended.Kind, step.Name));
            all = [.. run.World.Process.Catalogue.All.SelectMany(list => list.StepNames.Select(step => (list.Kind, step)))];
        }
        Assert.True(all.Count > 20);
        Assert.Empty(all.Except(passed));
    }
}

/// <summary>The last step that can be taken back fails, and the service dies while all is taken back; and once more in the life after that.</summary>
public sealed class UndoMatrixTests
{
    /// <summary>A withdrawal has no way back but before its first effect; so has what gives up a way back.</summary>
    public static TheoryData<string> Scenarios => [.. Scenario.Names.Select(n => n.Data).Where(n => n is not ("withdraw" or "forget a sync"))];

    [Theory, MemberData(nameof(Scenarios))]
    public async Task A_service_that_dies_while_all_is_taken_back_leaves_all_or_nothing(string name)
    {
        await using var run = await MatrixRun.PrepareAsync(Scenario.Named(name), Calls.IsBeforeEffect);
        var last = -1;
        await run.BeginAsync();
        run.World.Calls.Counts = Calls.IsBeforeEffect;
        run.World.Calls.Arm(act: async (n, boundary, _) =>
        {
            if (!boundary.StartsWith("journal.", StringComparison.Ordinal) && await run.DoingAsync() is { Step: >= 0, Reversible: true }) last = n;
        });
        Assert.True(await run.LiveAsync());
        Assert.True(last >= 0, "nothing of it can be taken back");
        var undo = await FailAsync(run, last, int.MaxValue) - last - 1;
        foreach (var death in Matrices.Boundaries(undo, sparing: true))
        {
            await FailAsync(run, last, last + 1 + death);
            run.World.Restart();
            // And again: somewhere in what is left to be taken back, or after it.
            run.World.Calls.Counts = Calls.IsBeforeEffect;
            run.World.Calls.Arm(dieAt: death % 3 + 1);
            if (!await run.LiveAsync()) run.World.Restart();
            Assert.True(await run.LiveAsync());
            await run.EndsWholeOrAbsentAsync($"failed at {last}, died {death} boundaries later");
        }
    }

    /// <summary>Fails at one boundary, dies at another; how many were passed.</summary>
    private static async Task<int> FailAsync(MatrixRun run, int failAt, int dieAt)
    {
        await run.BeginAsync();
        run.World.Calls.Counts = Calls.IsBeforeEffect;
        run.World.Calls.Arm(dieAt, (n, _, _) => n == failAt ? throw MatrixRun.Fails(Fault.Exhausted) : Task.CompletedTask);
        Assert.Equal(dieAt == int.MaxValue, await run.LiveAsync());
        return run.World.Calls.Passed.Count;
    }
}

/// <summary>Every command of the database fails once in turn, and every commit before and after its effect: full, broken, busy.</summary>
public sealed class SqlMatrixTests
{
    private const int Busy = 5, Broken = 10, Full = 13;
    public static TheoryData<string> Scenarios => Scenario.Names;

    [Theory, MemberData(nameof(Scenarios))]
    public async Task A_database_that_fails_once_leaves_all_or_nothing(string name)
    {
        var sql = new SqlFaults();
        await using var run = await MatrixRun.PrepareAsync(Scenario.Named(name), Calls.IsBeforeEffect, sql);
        Assert.True(run.Commands > 20);
        foreach (var number in Matrices.Boundaries(run.Commands, sparing: true))
        {
            sql.Arm();
            await run.BeginAsync();
            sql.Arm(number, message => new SqliteException(message, (number % 3) switch { 0 => Full, 1 => Broken, _ => Busy }));
            Assert.True(await run.LiveAsync());
            Assert.NotNull(sql.Fired);
            await run.EndsWholeOrAbsentAsync($"command {number} of {run.Commands}, {sql.Fired}");
        }
    }
}

/// <summary>The same with PostgreSQL: full, broken, a deadlock, and a connection that is gone, so that nobody knows what became of a commit. Some scenarios and points, or all with WEAVE_TESTS=full.</summary>
public sealed class PostgresMatrixTests
{
    private const string Full = "53100", Broken = "58030", Deadlock = "40P01";
    public static TheoryData<string> Scenarios => Matrices.Sparing ? ["create from now", "publish a named port"] : Scenario.Names;

    [Theory, MemberData(nameof(Scenarios))]
    public async Task A_database_that_fails_once_leaves_all_or_nothing(string name)
    {
        var sql = new SqlFaults();
        await using var run = await MatrixRun.PrepareAsync(Scenario.Named(name), Calls.IsBeforeEffect, sql, postgres: true);
        Assert.True(run.Commands > 10, $"{run.Commands} commands");
        var stride = Matrices.Sparing ? run.Commands / 5 : 1;
        for (var (number, failures) = (stride - 1, 0); number < run.Commands; number += stride, failures++)
        {
            sql.Arm();
            await run.BeginAsync();
            sql.Arm(number, message => (failures % 4) switch
            {
                0 => new NpgsqlException(message, new IOException(message)),
                1 => new PostgresException(message, "ERROR", "ERROR", Full),
                2 => new PostgresException(message, "ERROR", "ERROR", Deadlock),
                _ => new PostgresException(message, "ERROR", "ERROR", Broken),
            });
            Assert.True(await run.LiveAsync());
            Assert.NotNull(sql.Fired);
            await run.EndsWholeOrAbsentAsync($"command {number} of {run.Commands}, {sql.Fired}, failure {failures % 4}");
        }
    }

    [Theory, MemberData(nameof(Scenarios))]
    public async Task A_commit_whose_answer_is_lost_is_neither_repeated_nor_forgotten(string name)
    {
        var sql = new SqlFaults();
        await using var run = await MatrixRun.PrepareAsync(Scenario.Named(name), Calls.IsBeforeEffect, sql, postgres: true);
        var answers = Enumerable.Range(0, sql.Points.Count).Where(i => sql.Points[i] == "the answer of a commit").ToList();
        Assert.True(answers.Count > 1, $"{answers.Count} commits");
        var stride = Matrices.Sparing ? Math.Max(1, answers.Count / 2) : 1;
        foreach (var number in answers.Where((_, i) => i % stride == stride - 1))
        {
            sql.Arm();
            await run.BeginAsync();
            sql.Arm(number, message => new NpgsqlException(message, new IOException(message)));
            Assert.True(await run.LiveAsync());
            await run.EndsWholeOrAbsentAsync($"{sql.Fired} {number} of {run.Commands}");
        }
    }
}

/// <summary>Every operation on the files of the host fails once in turn: no space, or a broken disk.</summary>
public sealed class FileMatrixTests
{
    private const int Broken = 5, NoSpace = 28;
    public static TheoryData<string> Scenarios => Scenario.Names;

    [Theory, MemberData(nameof(Scenarios))]
    public async Task A_disk_that_fails_once_leaves_all_or_nothing(string name)
    {
        await using var run = await MatrixRun.PrepareAsync(Scenario.Named(name), Calls.IsBeforeEffect);
        var count = await LiveAsync(-1, 0);
        foreach (var number in Matrices.Boundaries(count, sparing: true))
        {
            await LiveAsync(number, number % 2 == 0 ? NoSpace : Broken);
            await run.EndsWholeOrAbsentAsync($"file operation {number} of {count}");
            Assert.Empty(Directory.EnumerateFiles(run.World.Host.Root, "*.part", SearchOption.AllDirectories));
        }

        async Task<int> LiveAsync(int failAt, int error)
        {
            await run.BeginAsync();
            var passed = 0;
            using (Disks.FileFaults.Hook((_, path) => path.StartsWith(run.World.Host.Root, StringComparison.Ordinal) && passed++ == failAt ? error : 0)) Assert.True(await run.LiveAsync());
            return passed;
        }
    }
}
