using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;
using WeaveHypervisor.Operations;
using WeaveHypervisor.Weaving.Retention;
using WeaveHypervisor.Weaving.Traffic;

namespace WeaveHypervisor.Weaving.Branching;

internal sealed class DeletePlan
{
    public required EnvironmentId Environment { get; set; }
    public required WeaveId Weave { get; set; }
    public bool WithSnapshots { get; set; }
    /// <summary>Set where it is deleted because its time was over: then only the weave that ends at that time is meant, not a later one of the same id.</summary>
    public DateTimeOffset? ExpiredAt { get; set; }
    public WeaveState? Before { get; set; }
    /// <summary>Filled before the weave is forgotten: what its snapshots' memory images need; those files go then that no other snapshot needs.</summary>
    public List<string> MemoryFiles { get; set; } = [];
    public int LayersRemoved { get; set; }
    /// <summary>The snapshot that was taken only to make this weave and that no other was made from: it goes, too.</summary>
    public SnapshotId? Origin { get; set; }
}

internal sealed record DeleteResult(EnvironmentId Environment, WeaveId Weave, int LayersRemoved);

/// <summary>Checks the rules once more and marks the weave; the last step that can be taken back.</summary>
internal sealed class MarkWeave(Bench bench) : IStep<DeletePlan>
{
    public string Name => "mark";

    public async Task DoAsync(StepContext<DeletePlan> context, CancellationToken stop)
    {
        var plan = context.Plan;
        var environment = await bench.Store.GetEnvironmentAsync(plan.Environment, stop);
        var weave = await bench.Store.GetWeaveAsync(plan.Environment, plan.Weave, stop);
        if (weave.State == WeaveState.Deleting && plan.Before is not null) return;
        if (plan.ExpiredAt is { } end && weave.ExpiresAt != end)
            throw new WeaveException(Fault.Conflict, $"'{plan.Environment}/{plan.Weave}' is not the weave that ended at {end.Rfc()}.", "Nothing is to be done: it lives on.");
        var snapshots = await bench.Store.ListSnapshotsAsync(plan.Environment, null, null, stop);
        var weaves = await bench.Store.ListWeavesAsync(plan.Environment, stop);
        DeletionRules.CheckWeave(weave, environment, snapshots, weaves, plan.WithSnapshots);
        plan.Before = weave.State;
        plan.Origin = OriginThatGoes(weave, snapshots, weaves);
        plan.MemoryFiles = [.. snapshots.Where(s => s.Weave == plan.Weave || s.Id == plan.Origin).SelectMany(s => s.MemoryFiles().Concat(s.StateFiles())).Concat(weave.StateFiles())];
        await context.SavePlanAsync(stop);
        await bench.Store.CommitAsync(new StoreChange { PutWeaves = [weave with { State = WeaveState.Deleting }] }, context.Lease, stop);
    }

    /// <summary>Nobody asked for it but for the sake of weaves, and this is the last of them.</summary>
    private static SnapshotId? OriginThatGoes(Weave weave, IReadOnlyList<Snapshot> snapshots, IReadOnlyList<Weave> weaves) => weave.Verifies is null
        && snapshots.FirstOrDefault(s => s.Id == weave.Origin) is { ForWeave: true, Label: null } origin && weaves.All(w => w.Id == weave.Id || w.Origin != origin.Id) ? origin.Id : null;

    public async Task UndoAsync(StepContext<DeletePlan> context, CancellationToken stop)
    {
        var plan = context.Plan;
        if (plan.Before is { } before && await bench.Store.FindWeaveAsync(plan.Environment, plan.Weave, stop) is { State: WeaveState.Deleting } weave)
            await bench.Store.CommitAsync(new StoreChange { PutWeaves = [weave with { State = before }] }, context.Lease, stop);
    }
}

/// <summary>Withdraws the weave's routes, ends its machines, removes its fence.</summary>
internal sealed class RetireWeave(Bench bench, EndpointPublisher publisher) : IStep<DeletePlan>
{
    public string Name => "retire";

    public async Task DoAsync(StepContext<DeletePlan> context, CancellationToken stop)
    {
        var plan = context.Plan;
        if (await bench.Store.FindWeaveAsync(plan.Environment, plan.Weave, stop) is not { } weave) return;
        var routes = (await bench.Store.ListRoutesAsync(plan.Environment, stop)).Where(r => r.Weave == plan.Weave).ToList();
        if (routes.Count > 0) await bench.Store.CommitAsync(new StoreChange { DeleteRoutes = [.. routes.Select(r => r.Id)] }, context.Lease, stop);
        // Also where there is none: an attempt before this one may have ended between the two.
        await publisher.PublishAsync(stop);
        context.Progress.Report(new($"ending {weave.Machines.Count} machines"));
        await Task.WhenAll(weave.Machines.Select(m => bench.Driver.RetireAsync(m.ToRef(), stop)));
        await bench.Driver.RetireFenceAsync(weave.Tag, stop);
    }

    public Task UndoAsync(StepContext<DeletePlan> context, CancellationToken stop) => Task.CompletedTask;
}

/// <summary>Removes the weave, its own snapshots and the one that was taken only for it from the store, and it from the environment's memory of what was active before; their files follow.</summary>
internal sealed class ForgetWeave(Bench bench) : IStep<DeletePlan>
{
    public string Name => "forget";

    public async Task DoAsync(StepContext<DeletePlan> context, CancellationToken stop)
    {
        var plan = context.Plan;
        var snapshots = await bench.Store.ListSnapshotsAsync(plan.Environment, null, null, stop);
        var own = snapshots.Where(s => s.Weave == plan.Weave || s.Id == plan.Origin).ToList();
        var origin = snapshots.FirstOrDefault(s => s.Id == plan.Origin);
        var environment = await bench.Store.GetEnvironmentAsync(plan.Environment, stop);
        await bench.Store.CommitAsync(new StoreChange
        {
            PutEnvironments = environment.PreviousActive == plan.Weave ? [environment with { PreviousActive = null }] : [],
            // Those that came after it follow on what was before it.
            PutSnapshots = origin is null ? [] : [.. snapshots.Where(s => s.Parent == origin.Id && !own.Contains(s)).Select(s => s with { Parent = origin.Parent })],
            DeleteSnapshots = [.. own.Select(s => s.Id)], DeleteWeaves = [(plan.Environment, plan.Weave)],
        }, context.Lease, stop);
    }

    public Task UndoAsync(StepContext<DeletePlan> context, CancellationToken stop) => Task.CompletedTask;
}

internal sealed class CollectAfterDelete(GarbageCollector collector) : IStep<DeletePlan>
{
    public string Name => "collect";

    public async Task DoAsync(StepContext<DeletePlan> context, CancellationToken stop)
    {
        await collector.RemoveMemoryAsync(context.Plan.Environment, context.Plan.MemoryFiles, stop);
        context.Plan.LayersRemoved += await collector.CollectAsync(context.Plan.Environment, context.Lease, stop);
        context.Note = $"{context.Plan.LayersRemoved} layers removed";
    }

    public Task UndoAsync(StepContext<DeletePlan> context, CancellationToken stop) => Task.CompletedTask;
}
