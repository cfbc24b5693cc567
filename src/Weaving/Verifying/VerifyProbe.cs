using System.Globalization;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;
using WeaveHypervisor.Weaving.Traffic;

namespace WeaveHypervisor.Weaving.Verifying;

/// <summary>The questions that a revived snapshot is asked: a port, guest agents, or whether its machines run on.</summary>
internal sealed class VerifyProbe(Bench bench, IProber prober)
{
    private static readonly TimeSpan Pace = TimeSpan.FromMilliseconds(200), PingPatience = TimeSpan.FromSeconds(5);

    /// <summary>What was asked for, for people; where nothing was, what is sure to be looked at.</summary>
    public static string Describe(VerifyPlan plan) => plan switch
    {
        { Probe: { HttpPath: { } path } p } => $"http://{p.Machine}:{p.Port}{path}",
        { Probe: { } p } => $"tcp://{p.Machine}:{p.Port}",
        { AgentOf: { } machine } => AgentsOf([machine]),
        { Agents: true } => "guest agents of all machines that run",
        _ => "the machines run",
    };

    public static VerificationLevel LevelOf(VerifyPlan plan) => plan.Probe is not null ? VerificationLevel.Service : plan.Agents ? VerificationLevel.Agent : VerificationLevel.Running;

    public async Task<Verdict> AskAsync(VerifyPlan plan, CancellationToken stop)
    {
        var weave = await bench.Store.GetWeaveAsync(plan.Environment, plan.Revival.Weave, stop);
        var running = weave.Machines.Where(m => m.RunState == RunState.Running).ToList();
        if (plan.Probe is { } probe) return await ServiceAsync(plan, weave, probe with { Timeout = plan.Timeout }, stop);
        if (plan.Agents)
        {
            var asked = running.Where(m => plan.AgentOf is null || m.Name == plan.AgentOf).ToList();
            return asked.Count > 0 ? await AgentsAsync(plan, weave, asked, Describe(plan), stop) : Failed(plan, VerificationLevel.Agent, Describe(plan), "no machine of it runs");
        }
        var connected = await ConnectedAsync(plan, weave, running, stop);
        return connected.Count > 0 ? await AgentsAsync(plan, weave, connected, AgentsOf(connected.Select(m => m.Name)), stop) : await RunningAsync(plan, weave, stop);
    }

    private async Task<Verdict> ServiceAsync(VerifyPlan plan, Weave weave, ProbeSpec probe, CancellationToken stop)
    {
        if (weave.Addresses.FirstOrDefault(a => a.Machine == probe.Machine)?.Outer is not { } address)
            return Failed(plan, VerificationLevel.Service, Describe(plan), $"machine {probe.Machine} has no known address");
        return await prober.ProbeAsync(address, probe, stop) is { } problem ? Failed(plan, VerificationLevel.Service, Describe(plan), problem + await EndedAsync(weave, stop)) : Passed(plan, VerificationLevel.Service, Describe(plan));
    }

    /// <summary>All of them, each asked until it answers.</summary>
    private async Task<Verdict> AgentsAsync(VerifyPlan plan, Weave weave, IReadOnlyList<WeaveMachine> machines, string what, CancellationToken stop)
    {
        var end = bench.Now + plan.Timeout;
        var problems = await Task.WhenAll(machines.Select(async machine =>
        {
            while (true)
            {
                var left = end - bench.Now;
                var answer = await bench.Driver.AskAgentAsync(machine.ToRef(), left < PingPatience ? left > Pace ? left : Pace : PingPatience, stop);
                if (answer.State == AgentCondition.Answers) return null;
                if (bench.Now + Pace >= end) return $"{machine.Name}: {answer.Reason ?? "the machine does not run"}";
                await Task.Delay(Pace, bench.Clock, stop);
            }
        }));
        var failed = problems.Where(p => p is not null).ToList();
        return failed.Count == 0 ? Passed(plan, VerificationLevel.Agent, what) : Failed(plan, VerificationLevel.Agent, what, string.Join("; ", failed) + await EndedAsync(weave, stop));
    }

    /// <summary>Machines whose agent has its channel open: after some seconds, for a guest that was resumed opens it at once, and one that boots later than anybody would wait.</summary>
    private async Task<IReadOnlyList<WeaveMachine>> ConnectedAsync(VerifyPlan plan, Weave weave, IReadOnlyList<WeaveMachine> running, CancellationToken stop)
    {
        var end = bench.Now + Settle(plan);
        while (true)
        {
            var answers = await Task.WhenAll(running.Select(async m => (Machine: m, (await bench.Driver.AskAgentAsync(m.ToRef(), PingPatience, stop)).State)));
            // One that is silent or refuses is there, and is asked again.
            var connected = answers.Where(a => a.State is AgentCondition.Answers or AgentCondition.Silent or AgentCondition.Refuses).Select(a => a.Machine).ToList();
            if (bench.Now >= end || (connected.Count > 0 && answers.All(a => a.State != AgentCondition.NotConnected)) || (await EndedAsync(weave, stop)).Length > 0) return connected;
            await Task.Delay(Pace, bench.Clock, stop);
        }
    }

    /// <summary>The weakest level: nobody was asked.</summary>
    private async Task<Verdict> RunningAsync(VerifyPlan plan, Weave weave, CancellationToken stop)
    {
        var what = string.Create(CultureInfo.InvariantCulture, $"running for {Settle(plan).TotalSeconds:0.#} s");
        var ended = await EndedAsync(weave, stop);
        return ended.Length == 0 ? Passed(plan, VerificationLevel.Running, what) with { FirstReply = null } : Failed(plan, VerificationLevel.Running, what, ended.TrimStart(';', ' '));
    }

    private TimeSpan Settle(VerifyPlan plan) => plan.Timeout < bench.Options.VerifyRunTime ? plan.Timeout : bench.Options.VerifyRunTime;

    /// <summary>"; machine web has ended" for those that are not in the state in which they were started; empty where there is none.</summary>
    private async Task<string> EndedAsync(Weave weave, CancellationToken stop)
    {
        var ended = "";
        foreach (var machine in weave.Machines)
            if ((await bench.Driver.InspectAsync(machine.ToRef(), stop))?.RunState is var state && (state ?? RunState.Off) != machine.RunState)
                ended += $"; machine {machine.Name} {(state is null or RunState.Off ? "has ended" : $"is {state.Value.ToString().ToLowerInvariant()}")}";
        return ended;
    }

    private Verdict Passed(VerifyPlan plan, VerificationLevel level, string what) => new(bench.Now, true, level, what, null, bench.Now - plan.BeganAt);
    private Verdict Failed(VerifyPlan plan, VerificationLevel level, string what, string why) => new(bench.Now, false, level, what, why, null);
    private static string AgentsOf(IEnumerable<MachineName> machines) => machines.ToList() is { Count: 1 } one ? $"guest agent of {one[0]}" : $"guest agents of {string.Join(", ", machines)}";
}
