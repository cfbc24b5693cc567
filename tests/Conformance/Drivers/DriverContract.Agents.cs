using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;
using Xunit;

namespace WeaveHypervisor.Conformance.Drivers;

/// <content>Guest agents: freezing for an instant.</content>
public abstract partial class DriverContract
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);

    [Fact]
    public Task Quiescing_says_for_each_machine_what_was_reached_and_leaves_none_frozen() => WithAsync(2, async (bench, stage) =>
    {
        Assert.Equal(AgentCondition.Answers, (await EventuallyAnswersAsync(stage.Driver, stage[0])).State);
        var without = await stage.Driver.AskAgentAsync(stage[1], Patience, Stop);
        Assert.Equal((AgentCondition.NoChannel, false, false), (without.State, string.IsNullOrEmpty(without.Reason), string.IsNullOrEmpty(without.NextStep)));
        Assert.Equal(AgentCondition.Off, (await stage.Driver.AskAgentAsync(new(stage[0].Name, "no-such-machine", Guid.NewGuid()), Patience, Stop)).State);

        var (_, result) = await stage.CaptureAsync(memory: false, quiesce: true);
        var (first, second) = (result.Machines.Single(m => m.Name == stage[0].Name).Quiescing!, result.Machines.Single(m => m.Name == stage[1].Name).Quiescing!);
        Assert.Equal((QuiesceOutcome.Frozen, null, null), (first.Outcome, first.Reason, first.NotThawed));
        Assert.True(first.FileSystems >= (bench.CountsFileSystems ? 1 : 0) && first.Frozen > TimeSpan.Zero && first.Frozen < TimeSpan.FromSeconds(30));
        Assert.Equal((QuiesceOutcome.NoChannel, 0, TimeSpan.Zero, null), (second.Outcome, second.FileSystems, second.Frozen, second.NotThawed));
        Assert.False(string.IsNullOrEmpty(second.Reason));
        Assert.Equal(Consistency.Crash, result.Consistency);
        await bench.OrderAsync(stage.AddressOf(0), "written-after", Stop);

        await bench.KillAsync(stage[1], Stop);
        (_, result) = await stage.CaptureAsync(memory: false, quiesce: true);
        Assert.Equal([QuiesceOutcome.Frozen, QuiesceOutcome.NotRunning], result.Machines.OrderBy(m => m.Name == stage[1].Name).Select(m => m.Quiescing!.Outcome));
        Assert.Equal(Consistency.Filesystem, result.Consistency);
        (_, result) = await stage.CaptureAsync(memory: false);
        Assert.All(result.Machines, m => Assert.Null(m.Quiescing));
        Assert.Equal(Consistency.Crash, result.Consistency);
        Assert.Empty(await stage.Driver.ThawAsync(Stop));
        await stage.ReturnAllAsync();
    });

    [Fact]
    public Task Memory_needs_no_freezing_and_the_agent_of_a_copy_answers() => WithAsync(1, async (bench, stage) =>
    {
        await EventuallyAnswersAsync(stage.Driver, stage[0]);
        var (capture, result) = await stage.CaptureAsync(memory: true, quiesce: true);
        Assert.Equal((QuiesceOutcome.MemoryCaptured, Consistency.Machine), (Assert.Single(result.Machines).Quiescing!.Outcome, result.Consistency));
        var (_, facts, request) = await stage.PrepareCopyAsync(capture, result);
        await stage.Driver.InstantiateAsync(request, null, Stop);
        Assert.NotNull(await bench.AskAsync(facts.Addresses[0].Outer, true, Stop));
        Assert.Equal(AgentCondition.Answers, (await EventuallyAnswersAsync(stage.Driver, request.Machines[0].Machine)).State);
        await bench.OrderAsync(facts.Addresses[0].Outer, "in-the-copy", Stop);
        Assert.Equal(AgentCondition.Answers, (await stage.Driver.AskAgentAsync(stage[0], Patience, Stop)).State);
    });

    /// <summary>A guest that has just come up, or was just resumed, opens its channel a moment later.</summary>
    private static async Task<AgentFacts> EventuallyAnswersAsync(IHypervisorDriver driver, MachineRef machine)
    {
        var clock = System.Diagnostics.Stopwatch.StartNew();
        while (true)
        {
            var facts = await driver.AskAgentAsync(machine, Patience, Stop);
            if (facts.State == AgentCondition.Answers || clock.Elapsed > TimeSpan.FromSeconds(30)) return facts;
            await Eventually.PauseAsync(Stop);
        }
    }
}
