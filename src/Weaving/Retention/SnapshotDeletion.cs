using WeaveHypervisor.Model;
using WeaveHypervisor.Operations;

namespace WeaveHypervisor.Weaving.Retention;

internal sealed class SnapshotDeletePlan
{
    public required EnvironmentId Environment { get; set; }
    public required SnapshotId Snapshot { get; set; }
    /// <summary>All that its memory images need; those go that no other snapshot needs.</summary>
    public List<string> MemoryFiles { get; set; } = [];
}

internal sealed record SnapshotDeleteResult(EnvironmentId Environment, SnapshotId Snapshot);

/// <summary>Checks the rules once more and marks the snapshot; the last step that can be taken back.</summary>
internal sealed class MarkSnapshot(Bench bench) : IStep<SnapshotDeletePlan>
{
    public string Name => "mark";

    public async Task DoAsync(StepContext<SnapshotDeletePlan> context, CancellationToken stop)
    {
        var plan = context.Plan;
        var snapshot = await bench.Store.GetSnapshotAsync(plan.Snapshot, stop);
        DeletionRules.CheckSnapshot(snapshot, await bench.Store.ListWeavesAsync(plan.Environment, stop));
        plan.MemoryFiles = [.. snapshot.MemoryFiles().Concat(snapshot.StateFiles())];
        await context.SavePlanAsync(stop);
        await bench.Store.CommitAsync(new StoreChange { PutSnapshots = [snapshot with { State = SnapshotState.Deleting }] }, context.Lease, stop);
    }

    public async Task UndoAsync(StepContext<SnapshotDeletePlan> context, CancellationToken stop)
    {
        if (await bench.Store.FindSnapshotAsync(context.Plan.Snapshot, stop) is { State: SnapshotState.Deleting } snapshot)
            await bench.Store.CommitAsync(new StoreChange { PutSnapshots = [snapshot with { State = SnapshotState.Ready }] }, context.Lease, stop);
    }
}

/// <summary>Removes the snapshot from the store; those that came after it follow on what was before it.</summary>
internal sealed class ForgetSnapshot(Bench bench, GarbageCollector collector) : IStep<SnapshotDeletePlan>
{
    public string Name => "forget";

    public async Task DoAsync(StepContext<SnapshotDeletePlan> context, CancellationToken stop)
    {
        var plan = context.Plan;
        if (await bench.Store.FindSnapshotAsync(plan.Snapshot, stop) is { } snapshot)
        {
            var children = (await bench.Store.ListSnapshotsAsync(plan.Environment, null, null, stop)).Where(s => s.Parent == plan.Snapshot);
            await bench.Store.CommitAsync(new StoreChange
            {
                PutSnapshots = [.. children.Select(s => s with { Parent = snapshot.Parent })],
                DeleteSnapshots = [plan.Snapshot],
            }, context.Lease, stop);
        }
        await collector.RemoveMemoryAsync(plan.Environment, plan.MemoryFiles, stop);
        await collector.CollectAsync(plan.Environment, context.Lease, stop);
    }

    public Task UndoAsync(StepContext<SnapshotDeletePlan> context, CancellationToken stop) => Task.CompletedTask;
}
