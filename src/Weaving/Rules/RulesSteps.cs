using WeaveHypervisor.Model;
using WeaveHypervisor.Operations;
using WeaveHypervisor.Weaving.Branching;
using WeaveHypervisor.Weaving.Traffic;

namespace WeaveHypervisor.Weaving.Rules;

/// <summary>
/// The new groups are written down, and published ports are for those only whom both the old and the new policy let in. Fence and ports cannot change in one instant; so, nobody gets through between the two whom
/// neither the old rules let through nor the new ones, and whom both do is never turned away.
/// </summary>
internal sealed class NarrowRules(Bench bench, EndpointPublisher publisher) : IStep<RulesPlan>
{
    public string Name => "narrow";

    public async Task DoAsync(StepContext<RulesPlan> context, CancellationToken stop)
    {
        var plan = context.Plan;
        var environment = await bench.Store.GetEnvironmentAsync(plan.Environment, stop);
        if (environment.State != EnvironmentState.Managed) throw new WeaveException(Fault.Conflict, $"Environment '{plan.Environment}' is being released.", "Adopt it again after that.");
        var weave = await bench.Store.GetWeaveAsync(plan.Environment, plan.Weave, stop);
        if (weave.State is not (WeaveState.Running or WeaveState.Paused or WeaveState.Stopped))
            throw new WeaveException(Fault.Conflict, $"'{plan.Environment}/{plan.Weave}' is {weave.State.ToString().ToLowerInvariant()}.", $"Look at it with `weave show {plan.Environment}/{plan.Weave}`.");
        plan.Rules.Check([.. weave.Blueprint.Machines.Select(m => m.Name)]);
        RulesGuard.CheckSetting(bench, plan.Environment, plan.Weave, plan.Rules);
        plan.Before ??= weave.Blueprint.Rules;
        await context.SavePlanAsync(stop);
        await RulesStore.WriteAsync(bench, plan, Narrowed(plan), context.Lease, stop);
        await publisher.PublishAsync(stop);
    }

    public async Task UndoAsync(StepContext<RulesPlan> context, CancellationToken stop)
    {
        if (context.Plan.Before is not { } before) return;
        await RulesStore.WriteAsync(bench, context.Plan, before, context.Lease, stop);
        await publisher.PublishAsync(stop);
    }

    /// <summary>The new rules, but published ports for those alone whom the old ones let in, too.</summary>
    public static EnvironmentRules Narrowed(RulesPlan plan) => plan.Rules with { Access = AccessPolicy.Both(plan.Before!.Access, plan.Rules.Access) };
}

/// <summary>
/// The fence enforces the new groups. It is made again whatever its machines do: one that is off is started into it. The originals have none, and what is recorded of them is enforced in the weaves that are made of them.
/// </summary>
internal sealed class RuleFence(Bench bench) : IStep<RulesPlan>
{
    public string Name => "fence";
    public bool IsNeeded(RulesPlan plan) => plan.Weave != Weave.Main;

    public Task DoAsync(StepContext<RulesPlan> context, CancellationToken stop) => MakeAsync(context, context.Plan.Rules, stop);

    public Task UndoAsync(StepContext<RulesPlan> context, CancellationToken stop) => context.Plan.Before is { } before ? MakeAsync(context, before, stop) : Task.CompletedTask;

    private async Task MakeAsync(StepContext<RulesPlan> context, EnvironmentRules rules, CancellationToken stop)
    {
        if (!IsNeeded(context.Plan) || await bench.Store.FindWeaveAsync(context.Plan.Environment, context.Plan.Weave, stop) is not { } weave) return;
        var facts = await bench.Driver.MakeFenceAsync(Fences.SpecOf(weave with { Blueprint = weave.Blueprint with { Rules = rules } }), stop);
        // A fence that was gone may have got other outer addresses.
        if (!facts.Addresses.SequenceEqual(weave.Addresses)) await bench.Store.CommitAsync(new StoreChange { PutWeaves = [weave with { Addresses = facts.Addresses }] }, context.Lease, stop);
    }
}

/// <summary>Published ports are for whom the new policy lets in.</summary>
internal sealed class OpenRules(Bench bench, EndpointPublisher publisher) : IStep<RulesPlan>
{
    public string Name => "open";

    public async Task DoAsync(StepContext<RulesPlan> context, CancellationToken stop)
    {
        await RulesStore.WriteAsync(bench, context.Plan, context.Plan.Rules, context.Lease, stop);
        await publisher.PublishAsync(stop);
        context.Note = RulesGuard.Describe(context.Plan.Rules);
    }

    public async Task UndoAsync(StepContext<RulesPlan> context, CancellationToken stop)
    {
        if (context.Plan.Before is null) return;
        await RulesStore.WriteAsync(bench, context.Plan, NarrowRules.Narrowed(context.Plan), context.Lease, stop);
        await publisher.PublishAsync(stop);
    }
}

internal static class RulesStore
{
    /// <summary>The weave has these rules in the store; nothing is written where it has, or where it is gone.</summary>
    public static async Task WriteAsync(Bench bench, RulesPlan plan, EnvironmentRules rules, Lease lease, CancellationToken stop)
    {
        if (await bench.Store.FindWeaveAsync(plan.Environment, plan.Weave, stop) is { } weave && weave.Blueprint.Rules != rules)
            await bench.Store.CommitAsync(new StoreChange { PutWeaves = [weave with { Blueprint = weave.Blueprint with { Rules = rules } }] }, lease, stop);
    }
}
