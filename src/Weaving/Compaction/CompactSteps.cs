using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;
using WeaveHypervisor.Operations;
using WeaveHypervisor.Weaving.Capture;
using WeaveHypervisor.Weaving.Retention;

namespace WeaveHypervisor.Weaving.Compaction;

internal sealed class CompactPlan
{
    public required EnvironmentId Environment { get; set; }
    /// <summary>Intent: what is being folded now.</summary>
    public Fold? Current { get; set; }
    public int LayersMerged { get; set; }
    public int Pulls { get; set; }
    /// <summary>Layers of the longest chain of a live head, before and after.</summary>
    public int LongestBefore { get; set; }
    public int LongestAfter { get; set; }
    public List<string> InUse { get; set; } = [];
}

internal sealed record CompactResult(EnvironmentId Environment, int LayersMerged, int Pulls, int LongestBefore, int LongestAfter, IReadOnlyList<string> InUse);

/// <summary>
/// Folds layers one after another until there is nothing left to fold. What has been folded stays so: no content has changed by it. Its undo ends the fold that is at work and says in the
/// store how the layers stand.
/// </summary>
internal sealed class FoldLayers(Bench bench, GarbageCollector collector) : IStep<CompactPlan>
{
    public string Name => "fold";

    public async Task DoAsync(StepContext<CompactPlan> context, CancellationToken stop)
    {
        var plan = context.Plan;
        await SettleAsync(context, stop);
        // The hypervisor's answers, not the store's: a machine may have been started a moment ago.
        var running = new HashSet<Guid>();
        var weaves = await bench.Store.ListWeavesAsync(plan.Environment, stop);
        foreach (var machine in weaves.SelectMany(w => w.Machines))
            if (await bench.Driver.InspectAsync(machine.ToRef(), stop) is { RunState: not RunState.Off }) running.Add(machine.Uuid);
        var snapshots = await bench.Store.ListSnapshotsAsync(plan.Environment, null, null, stop);
        while (true)
        {
            var layers = await bench.Store.LayersByIdAsync(plan.Environment, stop);
            var folding = Folding.Plan(layers, weaves, snapshots, m => running.Contains(m.Uuid), bench.Options.CompactAt, bench.Options.CompactBytesPerSecond);
            plan.LongestAfter = Folding.HeadsOf(weaves, layers).Max(h => h.Layers.Count);
            if (plan.LongestBefore == 0) plan.LongestBefore = plan.LongestAfter;
            plan.InUse = [.. folding.InUse];
            if (folding.Folds is not [{ } next, ..]) break;
            context.Progress.Report(new(next.What));
            await CheckSpaceAsync(next, stop);
            plan.Current = next;
            await context.SavePlanAsync(stop);
            await RecordAsync(context, next, await bench.Driver.FoldAsync(next.Request, new Relay<CompactPlan>(context), stop), stop);
        }
        await collector.CollectAsync(plan.Environment, context.Lease, stop);
        context.Note = $"{plan.LayersMerged} layers merged, {plan.Pulls} pulled; the longest chain has {plan.LongestAfter} layers, of {plan.LongestBefore}{(plan.InUse.Count > 0 ? $"; in use: {string.Join("; ", plan.InUse)}" : "")}";
    }

    public Task UndoAsync(StepContext<CompactPlan> context, CancellationToken stop) => SettleAsync(context, stop);

    /// <summary>Whatever became of the fold that was at work, the store says it afterwards.</summary>
    private async Task SettleAsync(StepContext<CompactPlan> context, CancellationToken stop)
    {
        if (context.Plan.Current is not { } fold) return;
        var standing = await bench.Driver.EndFoldAsync(fold.Request, stop);
        if (standing.Done) await RecordAsync(context, fold, standing, stop);
        else context.Plan.Current = null;
    }

    private async Task RecordAsync(StepContext<CompactPlan> context, Fold fold, FoldResult standing, CancellationToken stop)
    {
        var (plan, request) = (context.Plan, fold.Request);
        var layers = await bench.Store.LayersByIdAsync(plan.Environment, stop);
        if (layers.TryGetValue(request.Layer.Id, out var layer))
            await bench.Store.CommitAsync(new StoreChange { PutLayers = [layer with { Parent = request.Parent.Id, Path = standing.Layer.Path }], DeleteLayers = fold.Gone }, context.Lease, stop);
        if (request.IsHead) plan.Pulls++;
        else
        {
            // Only now: until the store knew, the old files were what it named.
            await bench.Driver.DeleteFilesAsync([.. request.Between.Append(request.Layer).Select(l => l.Path).Where(p => p != standing.Layer.Path)], stop);
            plan.LayersMerged += fold.Gone.Count;
        }
        plan.Current = null;
        await context.SavePlanAsync(stop);
    }

    private async Task CheckSpaceAsync(Fold fold, CancellationToken stop)
    {
        var request = fold.Request;
        var files = request.Between.Append(request.Layer).Select(l => l.Path).ToList();
        var measured = await bench.Driver.MeasureFilesAsync(files, stop);
        var sizes = files.Select(f => measured.GetValueOrDefault(f)).ToList();
        // A commit copies into the lowest layer, a pull out of those between; where nothing runs the whole is written anew.
        var bytes = request.IsHead ? sizes.Take(sizes.Count - 1).Sum() : request.Machine is null ? sizes.Sum() : sizes.Skip(1).Sum();
        await SpaceGuard.CheckAsync(bench, bytes, $"To {fold.What}", stop);
    }
}
