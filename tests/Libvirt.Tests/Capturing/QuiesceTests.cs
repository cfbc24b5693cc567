using System.Diagnostics;
using WeaveHypervisor.Conformance.Drivers;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.Libvirt.Agents;
using WeaveHypervisor.Libvirt.Tests.Conformance;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt.Tests.Capturing;

/// <summary>Freezing by guest agents on a real guest: one that works, and all ways in which one may not.</summary>
public sealed class QuiesceTests(ITestOutputHelper output)
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(2);
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Whatever_an_agent_does_the_snapshot_is_taken_and_the_guest_writes_again()
    {
        await using var bench = new LibvirtBench { AgentPatience = Patience };
        await using var stage = new DriverStage(bench, Stop);
        await stage.AdoptAsync(1);
        await using var agent = new GuestAgent(bench.Options.Uri);
        var (machine, address) = (stage[0], stage.AddressOf(0));
        await ReadyAsync(stage.Driver, machine, "the agent");

        // A writer in a frozen guest is blocked, and goes on once it is thawed; reads go on all the time.
        Assert.Equal(AgentCondition.Answers, (await agent.CallAsync(machine, "guest-fsfreeze-freeze", Patience, Stop)).State);
        var writer = bench.OrderAsync(address, "blocked", Stop);
        Assert.DoesNotContain("blocked", (await bench.AskAsync(address, true, Stop))!.Orders.Skip(1));
        Assert.False(writer.IsCompleted);
        // Frozen by somebody else: no word of ours, and no thaw.
        var (_, result) = await stage.CaptureAsync(memory: false, quiesce: true);
        Assert.Equal((QuiesceOutcome.Refused, Consistency.Crash), (Of(result).Outcome, result.Consistency));
        Assert.Contains("already", Of(result).Reason, StringComparison.Ordinal);
        Assert.Empty(await stage.Driver.ThawAsync(Stop));
        Assert.False(writer.IsCompleted);
        Assert.Equal("frozen", (await agent.CallAsync(machine, "guest-fsfreeze-status", Patience, Stop)).Value.GetString());
        await agent.CallAsync(machine, "guest-fsfreeze-thaw", Patience, Stop);
        await writer;

        (_, result) = await stage.CaptureAsync(memory: false, quiesce: true);
        Assert.Equal((QuiesceOutcome.Frozen, Consistency.Filesystem), (Of(result).Outcome, result.Consistency));
        output.WriteLine($"frozen for {Of(result).Frozen.TotalMilliseconds:0} ms, pause {result.Machines[0].Pause.TotalMilliseconds:0} ms");

        var n = 0;
        foreach (var (kind, outcome, more) in new[]
        {
            ("part", QuiesceOutcome.Partial, false), ("refuse", QuiesceOutcome.Refused, false), ("mute", QuiesceOutcome.TimedOut, false), ("late", QuiesceOutcome.TimedOut, true), ("deaf", QuiesceOutcome.TimedOut, false), ("huge", QuiesceOutcome.Refused, false),
            ("strange", QuiesceOutcome.Refused, false), ("broken", QuiesceOutcome.Refused, false), ("deep", QuiesceOutcome.Refused, false), ("endless", QuiesceOutcome.Refused, false),
        })
        {
            var clock = Stopwatch.StartNew();
            // The connection of the one before must not be taken for that of the next: libvirt hears of both later than they are.
            await LibvirtBench.AgentAsync(address, "end", Stop);
            await ChannelAsync(machine, "disconnected");
            await LibvirtBench.AgentAsync(address, "odd/" + kind, Stop);
            await ChannelAsync(machine, "connected");
            if (kind is "part" or "refuse" or "mute" or "late") await ReadyAsync(stage.Driver, machine, kind);
            (_, result) = await stage.CaptureAsync(memory: false, quiesce: true);
            var quiesced = Of(result);
            output.WriteLine($"{kind}: {quiesced.Outcome}, {quiesced.Reason}, {clock.Elapsed.TotalSeconds:0.0} s");
            // What floods is sometimes too slow for the time limit; after nonsense libvirt may have given up the channel.
            var hostile = kind is "huge" or "broken" or "deep" or "endless";
            Assert.True(quiesced.Outcome == outcome || hostile && quiesced.Outcome is QuiesceOutcome.Refused or QuiesceOutcome.NotConnected or QuiesceOutcome.TimedOut, $"{kind}: {quiesced}");
            Assert.Equal((Consistency.Crash, false), (result.Consistency, quiesced.Reason!.Any(char.IsControl)));
            Assert.True(quiesced.NotThawed is null, quiesced.NotThawed);
            Assert.False(more && Marks(bench).Has(machine), "a late freeze is waited for, and thawed");
            await bench.OrderAsync(address, $"after-{kind}-{n++}", Stop);
        }
    }

    [Fact]
    public async Task Dead_agents_hold_up_nothing_and_one_that_wakes_up_late_is_thawed()
    {
        await using var bench = new LibvirtBench { AgentPatience = Patience };
        await using var stage = new DriverStage(bench, Stop);
        await stage.AdoptAsync(1);
        var (machine, address) = (stage[0], stage.AddressOf(0));
        await ReadyAsync(stage.Driver, machine, "the agent");
        var marks = Marks(bench);
        marks.Begin(machine);
        await LibvirtBench.AgentAsync(address, "stop", Stop);

        // More questions than libvirtd takes of one connection, or has workers for: all else is answered before the first of them.
        var asked = Enumerable.Range(0, 12).Select(_ => stage.Driver.AskAgentAsync(machine, Patience, Stop)).ToList();
        for (var i = 0; i < 20; i++) Assert.Equal(RunState.Running, (await stage.Driver.InspectAsync(machine, Stop))!.RunState);
        Assert.NotEmpty((await stage.Driver.ExamineAsync([new(machine.Name, machine.HypervisorName)], Stop)).Machines);
        Assert.DoesNotContain(asked, a => a.IsCompleted);
        Assert.Equal(AgentCondition.Silent, (await await Task.WhenAny(asked)).State);

        // As after a crash between freeze and thaw: the mark stands, nobody is at work, and the agent does not answer.
        var finding = Assert.Single(await stage.Driver.ThawAsync(Stop));
        Assert.Equal((FindingLevel.Error, true), (finding.Level, finding.Text.Contains("frozen", StringComparison.Ordinal) || finding.Text.Contains("thawed", StringComparison.Ordinal)));
        Assert.Contains(marks.PathOf(machine.Uuid), finding.NextStep, StringComparison.Ordinal);
        Assert.True(Marks(bench).Has(machine));
        await LibvirtBench.AgentAsync(address, "go", Stop);
        await Task.WhenAll(asked);
        await using (var agent = new GuestAgent(bench.Options.Uri)) Assert.Equal(AgentCondition.Answers, (await agent.CallAsync(machine, "guest-fsfreeze-freeze", Patience, Stop)).State);
        Assert.Empty(await stage.Driver.ThawAsync(Stop));
        Assert.False(Marks(bench).Has(machine));
        await bench.OrderAsync(address, "after", Stop);
    }

    private static Quiescing Of(CaptureResult result) => Assert.Single(result.Machines).Quiescing!;

    private static async Task ReadyAsync(IHypervisorDriver driver, MachineRef machine, string what)
    {
        var clock = Stopwatch.StartNew();
        while ((await driver.AskAgentAsync(machine, Patience, Stop)).State is var state and not AgentCondition.Answers)
        {
            Assert.True(clock.Elapsed < TimeSpan.FromSeconds(30), $"{what}: {state}");
            await WeaveHypervisor.Conformance.Eventually.PauseAsync(Stop);
        }
    }

    /// <summary>Waits for libvirt's view of the channel; some agents answer no question by which to know them.</summary>
    private static async Task ChannelAsync(MachineRef machine, string state)
    {
        var clock = Stopwatch.StartNew();
        while (!(await LibvirtBench.VirshAsync(null, Stop, "dumpxml", machine.HypervisorName)).Contains($"state='{state}'", StringComparison.Ordinal))
        {
            Assert.True(clock.Elapsed < TimeSpan.FromSeconds(30), $"the agent's channel is not {state}");
            await WeaveHypervisor.Conformance.Eventually.PauseAsync(Stop);
        }
    }

    private static FreezeMarks Marks(LibvirtBench bench) => new(new DriverPaths(bench.Options));
}
