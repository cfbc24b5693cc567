using WeaveHypervisor.Model;
using WeaveHypervisor.Operations;

namespace WeaveHypervisor.Weaving.Policies;

internal sealed class PolicyPlan
{
    public required EnvironmentId Environment { get; set; }
    /// <summary>Null: none from now on.</summary>
    public SnapshotPolicy? Policy { get; set; }
    /// <summary>What was there before, read when the step began.</summary>
    public PolicyBefore? Before { get; set; }
}

internal sealed record PolicyBefore(SnapshotPolicy? Policy);

internal sealed record PolicyResult(EnvironmentId Environment, SnapshotPolicy? Policy);

/// <summary>Writes the policy into the environment's record, under its lease like every other change of it.</summary>
internal sealed class RecordPolicy(Bench bench) : IStep<PolicyPlan>
{
    public string Name => "record";

    public async Task DoAsync(StepContext<PolicyPlan> context, CancellationToken stop)
    {
        var plan = context.Plan;
        var environment = await bench.Store.GetEnvironmentAsync(plan.Environment, stop);
        if (environment.State != EnvironmentState.Managed) throw new WeaveException(Fault.Conflict, $"Environment '{plan.Environment}' is being released.", "Adopt it again after that.");
        plan.Before ??= new(environment.Policy);
        await context.SavePlanAsync(stop);
        await bench.Store.CommitAsync(new StoreChange { PutEnvironments = [environment with { Policy = plan.Policy }] }, context.Lease, stop);
        context.Note = plan.Policy is { } policy ? $"a point every {policy.Every}, the last {policy.KeepLast} kept" : "no points any more; those that there are stay";
    }

    public async Task UndoAsync(StepContext<PolicyPlan> context, CancellationToken stop)
    {
        var plan = context.Plan;
        if (plan.Before is { } before && await bench.Store.FindEnvironmentAsync(plan.Environment, stop) is { } environment)
            await bench.Store.CommitAsync(new StoreChange { PutEnvironments = [environment with { Policy = before.Policy }] }, context.Lease, stop);
    }
}
