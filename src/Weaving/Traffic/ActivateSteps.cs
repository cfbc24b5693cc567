using WeaveHypervisor.Model;
using WeaveHypervisor.Operations;
using WeaveHypervisor.Weaving.Rules;

namespace WeaveHypervisor.Weaving.Traffic;

internal sealed class ActivatePlan
{
    public required EnvironmentId Environment { get; set; }
    public required WeaveId Weave { get; set; }
    public ProbeSpec? Probe { get; set; }
    public WeaveId? Previous { get; set; }
    /// <summary>What was active, and before that, when the switch began.</summary>
    public ActiveWeaves? Before { get; set; }
}

internal sealed record ActiveWeaves(WeaveId Active, WeaveId? Previous);

internal sealed record ActivateResult(EnvironmentId Environment, WeaveId Active, WeaveId? Previous);

/// <summary>The target must run, and answer where a probe was asked for; nothing is changed before.</summary>
internal sealed class ProbeWeave(Bench bench, IProber prober) : IStep<ActivatePlan>
{
    public string Name => "probe";

    public async Task DoAsync(StepContext<ActivatePlan> context, CancellationToken stop)
    {
        var plan = context.Plan;
        var environment = await bench.Store.GetEnvironmentAsync(plan.Environment, stop);
        var weave = await bench.Store.GetWeaveAsync(plan.Environment, plan.Weave, stop);
        plan.Previous = environment.ActiveWeave;
        if (weave.State != WeaveState.Running)
            throw new WeaveException(Fault.Conflict, $"'{plan.Environment}/{plan.Weave}' is {weave.State.ToString().ToLowerInvariant()}; only a running weave can be activated.",
                $"Start it with `weave start {plan.Environment}/{plan.Weave}`.");
        if (plan.Probe is not { } probe) return;
        var address = EndpointPublisher.TargetOf(weave, probe.Machine) ?? throw new WeaveException(Fault.Conflict,
            $"Machine '{probe.Machine}' of '{plan.Environment}/{plan.Weave}' has no known address to probe.", "Name a machine with a network interface.");
        context.Progress.Report(new($"probing {probe.Machine}:{probe.Port}"));
        if (await prober.ProbeAsync(address, probe, stop) is { } problem)
            throw new WeaveException(Fault.Unavailable, $"The probe of {probe.Machine}:{probe.Port}{probe.HttpPath} in '{plan.Environment}/{plan.Weave}' failed: {problem}. The active weave is still '{environment.ActiveWeave}'.",
                RulesGuard.ShutsOut(weave, probe.Machine, RouteProtocol.Tcp, probe.Port) is { } why ? $"The probe comes from outside, and {why}: allow it with `weave rules set`, or activate without a probe."
                    : "Look into the weave through a route of its own, or activate without a probe.");
        context.Note = $"{probe.Machine}:{probe.Port} answers";
    }

    public Task UndoAsync(StepContext<ActivatePlan> context, CancellationToken stop) => Task.CompletedTask;
}

/// <summary>Moves the published endpoints in one atomic change of the host, then says so in the store.</summary>
internal sealed class SwitchActive(Bench bench, EndpointPublisher publisher) : IStep<ActivatePlan>
{
    public string Name => "switch";

    public async Task DoAsync(StepContext<ActivatePlan> context, CancellationToken stop)
    {
        var plan = context.Plan;
        var environment = await bench.Store.GetEnvironmentAsync(plan.Environment, stop);
        plan.Before ??= new(environment.ActiveWeave, environment.PreviousActive);
        await context.SavePlanAsync(stop);
        await publisher.PublishAsync(stop, (plan.Environment, plan.Weave), store: () => environment.ActiveWeave == plan.Weave ? Task.CompletedTask : bench.Store.CommitAsync(new StoreChange
        {
            PutEnvironments = [environment with { ActiveWeave = plan.Weave, PreviousActive = environment.ActiveWeave }],
            AddActivations = [new Activation(plan.Environment, plan.Weave, bench.Now)],
        }, context.Lease, stop));
    }

    /// <summary>What was active is so again, in the store first. That the other was active in between stays recorded: it was.</summary>
    public async Task UndoAsync(StepContext<ActivatePlan> context, CancellationToken stop)
    {
        var plan = context.Plan;
        if (plan.Before is { } before && before.Active != plan.Weave && await bench.Store.FindEnvironmentAsync(plan.Environment, stop) is { } environment && environment.ActiveWeave == plan.Weave)
            await bench.Store.CommitAsync(new StoreChange
            {
                PutEnvironments = [environment with { ActiveWeave = before.Active, PreviousActive = before.Previous }],
                AddActivations = [new Activation(plan.Environment, before.Active, bench.Now)],
            }, context.Lease, stop);
        await publisher.PublishAsync(stop);
    }
}
