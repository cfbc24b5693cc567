using WeaveHypervisor.Model;
using WeaveHypervisor.Operations;

namespace WeaveHypervisor.Weaving.Branching;

internal sealed class KeepPlan
{
    public required EnvironmentId Environment { get; set; }
    public required WeaveId Weave { get; set; }
    /// <summary>Null: it has no end.</summary>
    public DateTimeOffset? ExpiresAt { get; set; }
    /// <summary>What it was when this began.</summary>
    public Lifetime? Before { get; set; }
}

internal sealed record Lifetime(DateTimeOffset? ExpiresAt);

internal sealed record KeepResult(EnvironmentId Environment, WeaveId Weave, DateTimeOffset? ExpiresAt);

/// <summary>Gives a weave another end, or none. An operation like all that write to a weave, because others may be at work on it.</summary>
internal sealed class SetLifetime(Bench bench) : IStep<KeepPlan>
{
    public string Name => "keep";

    public async Task DoAsync(StepContext<KeepPlan> context, CancellationToken stop)
    {
        var plan = context.Plan;
        var weave = await bench.Store.GetWeaveAsync(plan.Environment, plan.Weave, stop);
        if (weave.State is WeaveState.Deleting or WeaveState.Creating)
            throw new WeaveException(Fault.Conflict, $"'{plan.Environment}/{plan.Weave}' is {weave.State.ToString().ToLowerInvariant()}.", $"Look at it with `weave show {plan.Environment}/{plan.Weave}`.");
        plan.Before ??= new(weave.ExpiresAt);
        await context.SavePlanAsync(stop);
        await bench.Store.CommitAsync(new StoreChange { PutWeaves = [weave with { ExpiresAt = plan.ExpiresAt }] }, context.Lease, stop);
    }

    public async Task UndoAsync(StepContext<KeepPlan> context, CancellationToken stop)
    {
        var plan = context.Plan;
        if (plan.Before is { } before && await bench.Store.FindWeaveAsync(plan.Environment, plan.Weave, stop) is { } weave)
            await bench.Store.CommitAsync(new StoreChange { PutWeaves = [weave with { ExpiresAt = before.ExpiresAt }] }, context.Lease, stop);
    }
}
