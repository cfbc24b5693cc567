using System.Text.RegularExpressions;
using WeaveHypervisor.Model;
using WeaveHypervisor.Operations;
using WeaveHypervisor.Weaving.Tests.Worlds;

namespace WeaveHypervisor.Weaving.Tests.Matrix;

/// <summary>An operation in a world that begins anew as often as needed, with the pictures that it must end in.</summary>
internal sealed class MatrixRun : IAsyncDisposable
{
    private MatrixRun(Scenario scenario, World world, string before) => (Scenario, World, Before) = (scenario, world, before);

    public Scenario Scenario { get; }
    public World World { get; }
    /// <summary>What was there before: absent.</summary>
    public string Before { get; }
    /// <summary>What is there when nothing goes wrong.</summary>
    public string Whole { get; private set; } = "";
    /// <summary>How many boundaries are passed then.</summary>
    public int Boundaries { get; private set; }
    /// <summary>How many points of the database are passed then.</summary>
    public int Commands { get; private set; }
    public Operation Operation { get; private set; } = null!;

    /// <summary>Prepares the scenario, and runs it once without a fault.</summary>
    /// <param name="counts">The boundaries that count.</param>
    public static async Task<MatrixRun> PrepareAsync(Scenario scenario, Func<string, bool> counts, SqlFaults? sql = null, bool postgres = false)
    {
        var world = new World(sql: sql, postgres: postgres).WithMachines();
        await scenario.Prepare(world);
        await world.CheckAsync();
        var run = new MatrixRun(scenario, world, await world.PictureAsync());
        world.Save();
        await run.BeginAsync();
        world.Calls.Counts = counts;
        world.Calls.Arm();
        sql?.Arm();
        Assert.True(await run.LiveAsync());
        run.Commands = sql?.Passed ?? 0;
        Assert.Equal(OperationState.Succeeded, (await run.StoredAsync()).State);
        run.Boundaries = world.Calls.Passed.Count;
        await world.CheckAsync();
        run.Whole = await world.PictureAsync();
        Assert.NotEqual(run.Before, run.Whole);
        return run;
    }

    /// <summary>Everything is as it was, and the operation waits to be run.</summary>
    public async Task BeginAsync()
    {
        World.Restore();
        Operation = await Scenario.AskAsync(World);
    }

    /// <summary>Lets the present process run; false where it died. A journal that could not be written ends the run and leaves the operation for the next.</summary>
    public async Task<bool> LiveAsync()
    {
        while (true)
        {
            try
            {
                return await World.Process.RunAsync(Operation.Environment);
            }
            catch (WeaveException e) when (e.Message == Injected || World.Sql?.Fired is not null)
            {
            }
        }
    }

    public const string Injected = "The tape is torn.";
    public static WeaveException Fails(Fault fault) => new(fault, Injected, "Mend the tape.");

    /// <summary>Step that the journal says is being done, and whether all can still be taken back; -1: none.</summary>
    public async Task<(int Step, bool Reversible)> DoingAsync()
    {
        var now = await StoredAsync();
        var step = now.Steps.ToList().FindIndex(s => s.State == StepState.Doing);
        return (step, now.State is OperationState.Queued or OperationState.Running && step < World.Process.Catalogue.Get(now.Kind).PointOfNoReturn);
    }

    public async Task<Operation> StoredAsync() => (await World.Process.Journal.FindAsync(Operation.Id, default))!;

    /// <summary>The operation has ended; it is whole or absent, the host holds what the store says, and where it is absent the same request succeeds now.</summary>
    public async Task<Operation> EndsWholeOrAbsentAsync(string at)
    {
        var ended = await StoredAsync();
        try
        {
            Assert.True(ended.State is OperationState.Succeeded or OperationState.Undone, $"{ended.State}: {ended.Error?.Message}");
            await World.CheckAsync();
            if (ended.State == OperationState.Undone)
            {
                Assert.False(string.IsNullOrWhiteSpace(ended.Error?.Message));
                Assert.Equal(Held(Before), Held(await World.PictureAsync()));
                if (!Scenario.TellsTruth) Assert.Equal(Steady(Before), Steady(await World.PictureAsync()));
                World.Calls.Arm();
                var again = await World.RunAsync(_ => Scenario.AskAsync(World));
                Assert.True(again.State == OperationState.Succeeded, $"again {again.State}: {again.Error?.Message}");
                await World.CheckAsync();
                Assert.Equal(Held(Whole), Held(await World.PictureAsync()));
            }
            if (ended.State == OperationState.Succeeded) Assert.Equal(Told(Whole), Told(await World.PictureAsync()));
            else if (!Scenario.TellsTruth) Assert.Equal(Steady(Whole), Steady(await World.PictureAsync()));
        }
        catch (Exception e) when (e is not OperationCanceledException)
        {
            Assert.Fail($"{Scenario.Name}, {at}, {ended.State}: {e.Message}\n{string.Join("\n", e.StackTrace?.Split('\n').Where(l => l.Contains("Weaving", StringComparison.Ordinal)).Take(4) ?? [])}");
        }
        return ended;
    }

    /// <summary>A machine that ran already when its start was repeated says so.</summary>
    private static string Told(string picture) => picture.Replace("Method = kept", "Method = shared", StringComparison.Ordinal);

    /// <summary>A switch that was taken back leaves a trace in the record of what was active when, as it should, and a capture a layer.</summary>
    private static string Steady(string picture) => Regex.Replace(Told(picture), "^(active|chains): .*$", "", RegexOptions.Multiline);

    /// <summary>What disks hold, of every snapshot and weave.</summary>
    private static string Held(string picture) => string.Join("\n", picture.Split('\n').Where(l => l.StartsWith("holds ", StringComparison.Ordinal)));

    public ValueTask DisposeAsync() => World.DisposeAsync();
}
