using WeaveHypervisor.Model;
using WeaveHypervisor.Operations;
using WeaveHypervisor.Weaving.Branching;

namespace WeaveHypervisor.Weaving.Verifying;

/// <summary>What says nothing about the snapshot is refused here, before anything is made: no such snapshot, an environment that is being released, a host that does not answer.</summary>
internal sealed class CheckVerification(Bench bench) : IStep<VerifyPlan>
{
    public string Name => "check";

    public async Task DoAsync(StepContext<VerifyPlan> context, CancellationToken stop)
    {
        var plan = context.Plan;
        if ((await bench.Store.GetEnvironmentAsync(plan.Environment, stop)).State != EnvironmentState.Managed)
            throw new WeaveException(Fault.Conflict, $"Environment '{plan.Environment}' is being released.", "Adopt it again after that.");
        if (await bench.Store.GetSnapshotAsync(plan.Snapshot, stop) is { State: not SnapshotState.Ready })
            throw new WeaveException(Fault.Conflict, $"Snapshot '{plan.Snapshot}' is being deleted.", $"Choose another with `weave timeline {plan.Environment}`.");
        var main = await bench.Store.GetWeaveAsync(plan.Environment, Weave.Main, stop);
        await bench.Driver.InspectAsync(main.Machines[0].ToRef(), stop);
    }

    public Task UndoAsync(StepContext<VerifyPlan> context, CancellationToken stop) => Task.CompletedTask;
}

/// <summary>
/// A step by which any weave is made, for the temporary one. What speaks about the snapshot is the outcome: a file of its history is gone, or the hypervisor, which answers otherwise, does
/// not start what is stored. All else is a failure of making the weave (no space, a new layer or folder that cannot be written, the store, a hypervisor that is away), and fails the operation.
/// </summary>
internal sealed class Revive(Bench bench, IStep<CreatePlan> step) : IStep<VerifyPlan>
{
    private const int Enough = 3;

    public string Name => step.Name;
    public AfterCrash AfterCrash => step.AfterCrash;

    public async Task DoAsync(StepContext<VerifyPlan> context, CancellationToken stop)
    {
        var plan = context.Plan;
        if (plan.Verdict is not null) return;
        var within = context.Within(context.Plan.Revival);
        plan.BeganAt = bench.Now;
        plan.Revival.Refusal = null;
        try
        {
            await step.DoAsync(within, stop);
            context.Note = within.Note;
        }
        catch (WeaveException e)
        {
            if (await ReasonAsync(plan, e, stop) is not { } reason) throw;
            plan.Verdict = new(bench.Now, false, VerifyProbe.LevelOf(plan), VerifyProbe.Describe(plan), $"it cannot be revived: {reason.TrimEnd('.')}", null);
            context.Note = reason;
        }
    }

    /// <summary>What an error says about the snapshot; null where it says nothing.</summary>
    private async Task<string?> ReasonAsync(VerifyPlan plan, WeaveException error, CancellationToken stop)
    {
        if (error.NotWritten || error.Fault is Fault.Exhausted or Fault.AlreadyExists) return null;
        if (ReferenceEquals(error, plan.Revival.Refusal)) return !error.IsTransient || ++plan.Refusals >= Enough && await AnswersAsync(plan, stop) ? error.Message : null;
        return error.Fault is Fault.Conflict or Fault.NotFound or Fault.DataLoss ? await GoneAsync(plan, stop) : null;
    }

    /// <summary>The files of its history that are gone, in a sentence; null: none, or nobody can tell.</summary>
    private async Task<string?> GoneAsync(VerifyPlan plan, CancellationToken stop)
    {
        try
        {
            var snapshot = await bench.Store.GetSnapshotAsync(plan.Snapshot, stop);
            return (await HistoryFiles.FindRefusalAsync(bench, snapshot, await bench.Store.LayersByIdAsync(plan.Environment, stop), plan.Revival.Start != StartMode.Boot, stop))?.Message;
        }
        catch (WeaveException)
        {
            return null;
        }
    }

    public Task UndoAsync(StepContext<VerifyPlan> context, CancellationToken stop) => step.UndoAsync(context.Within(context.Plan.Revival), stop);

    private async Task<bool> AnswersAsync(VerifyPlan plan, CancellationToken stop)
    {
        try
        {
            var main = await bench.Store.GetWeaveAsync(plan.Environment, Weave.Main, stop);
            await bench.Driver.InspectAsync(main.Machines[0].ToRef(), stop);
            return true;
        }
        catch (WeaveException)
        {
            return false;
        }
    }
}

/// <summary>Asks the revived machines. No answer is an outcome, too.</summary>
internal sealed class AskRevived(VerifyProbe probe) : IStep<VerifyPlan>
{
    public string Name => "probe";

    public async Task DoAsync(StepContext<VerifyPlan> context, CancellationToken stop)
    {
        var plan = context.Plan;
        if (plan.Verdict is not null) return;
        context.Progress.Report(new($"waiting for {VerifyProbe.Describe(plan)}"));
        var verdict = await probe.AskAsync(plan, stop);
        // A machine that waited for a service to start again has not been slow by that.
        plan.Verdict = context.Operation.State == OperationState.Queued ? verdict : verdict with { FirstReply = null };
        context.Note = verdict.Passed ? $"passed: {verdict.Probe}" : $"failed: {verdict.Reason}";
    }

    public Task UndoAsync(StepContext<VerifyPlan> context, CancellationToken stop) => Task.CompletedTask;
}

/// <summary>Writes the outcome to the snapshot.</summary>
internal sealed class RecordVerification(Bench bench) : IStep<VerifyPlan>
{
    public string Name => "record";

    public async Task DoAsync(StepContext<VerifyPlan> context, CancellationToken stop)
    {
        if (await bench.Store.FindSnapshotAsync(context.Plan.Snapshot, stop) is { } snapshot)
            await bench.Store.CommitAsync(new StoreChange { PutSnapshots = [snapshot with { Verification = VerifyResult.VerificationOf(context.Plan) }] }, context.Lease, stop);
    }

    public Task UndoAsync(StepContext<VerifyPlan> context, CancellationToken stop) => Task.CompletedTask;
}

/// <summary>The temporary weave goes: all that the steps made is taken back, the last one first.</summary>
internal sealed class RemoveRevived(IReadOnlyList<Revive> steps) : IStep<VerifyPlan>
{
    public string Name => "remove";

    public async Task DoAsync(StepContext<VerifyPlan> context, CancellationToken stop)
    {
        foreach (var step in steps.Reverse()) await step.UndoAsync(context, stop);
    }

    public Task UndoAsync(StepContext<VerifyPlan> context, CancellationToken stop) => Task.CompletedTask;
}
