using WeaveHypervisor.Disks.Qcow2;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;
using WeaveHypervisor.Operations;
using WeaveHypervisor.Weaving.Capture;
using WeaveHypervisor.Weaving.Retention;

namespace WeaveHypervisor.Weaving.Volumes;

/// <summary>
/// Finds what is to be copied. A merge of which the same bytes were changed on both sides ends here, unless it was told who wins: nothing has been written then.
/// </summary>
internal sealed class CompareVolume(Bench bench) : IStep<SyncPlan>
{
    private const int MostConflicts = 1000, MostTold = 20;

    public string Name => "compare";
    public bool IsNeeded(SyncPlan plan) => plan.DryRun || plan.Method == SyncMethod.Copy;

    public async Task DoAsync(StepContext<SyncPlan> context, CancellationToken stop)
    {
        var plan = context.Plan;
        await FindAsync(bench, plan, context.Progress, stop);
        context.Note = $"{plan.Found!.Ranges} range{(plan.Found.Ranges == 1 ? "" : "s")}, {plan.Found.Bytes} bytes differ; {plan.BytesToCopy} to be copied";
        if (plan is { DryRun: false, Strategy: SyncStrategy.Merge, OnConflict: OnConflict.Fail, Conflicts.Count: > 0 })
        {
            var told = plan.Conflicts.Take(MostTold).Select(c => $"{plan.VolumeText} {c.Offset}+{c.Length}").ToList();
            throw new WeaveException(Fault.Conflict, $"{plan.Found.BothBytes} bytes of '{plan.VolumeText}' were changed in both '{plan.Environment}/{plan.Source}' and '{plan.DestinationText}', to different content; nothing was written.",
                "See all with `--dry-run`; decide who wins with `--on-conflict source` or `--on-conflict destination`.", holders: plan.Conflicts.Count > told.Count ? [.. told, "…"] : told);
        }
        // Nothing to be done: the volume goes back as it was.
        if (plan is { Method: SyncMethod.Copy, BytesToCopy: 0 }) (plan.NewHead, plan.Method) = (null, SyncMethod.None);
    }

    public Task UndoAsync(StepContext<SyncPlan> context, CancellationToken stop) => Task.CompletedTask;

    public static async Task FindAsync(Bench bench, SyncPlan plan, IProgress<StepProgress> progress, CancellationToken stop)
    {
        var layers = await bench.Store.LayersByIdAsync(plan.Environment, stop);
        var destination = layers.Get(plan.OldHead!.Id);
        if (plan.DryRun)
        {
            var weave = await bench.Store.GetWeaveAsync(plan.Environment, plan.Destination, stop);
            var point = VolumePoints.Of(weave, new(plan.Machine, plan.Volume), layers, await bench.Store.ListSnapshotsAsync(plan.Environment, null, null, stop));
            destination = point.Top;
            if (point.Newer is not null) plan.Notes.Add($"the machine of the destination runs: it was looked at {point.Words}, and what it has written since is not seen");
        }
        var (copy, conflicts, bytes) = (new List<DiskRange>(), new List<RangeFound>(), 0L);
        plan.Found = await new VolumeReader(layers).CompareAsync(layers.Get(plan.From!.Value), destination,
            plan.Strategy == SyncStrategy.Merge ? VolumeReader.Sector : VolumeReader.Step, range =>
        {
            if (plan.Strategy == SyncStrategy.Merge)
            {
                if (range.By == ChangedBy.Both && conflicts.Count < MostConflicts) conflicts.Add(range);
                if (range.By == ChangedBy.Right || range.By == ChangedBy.Both && plan.OnConflict != OnConflict.Source) return;
            }
            bytes += range.Length;
            if (copy.Count > 0 && copy[^1].End == range.Offset) copy[^1] = copy[^1] with { Length = copy[^1].Length + range.Length };
            else copy.Add(new(range.Offset, range.Length));
        }, new Compared(progress), stop);
        (plan.ToCopy, plan.Conflicts, plan.BytesToCopy) = (copy, conflicts, bytes);
    }

    private sealed class Compared(IProgress<StepProgress> progress) : IProgress<(long Done, long Total)>
    {
        public void Report((long Done, long Total) value) => progress.Report(new("comparing", value.Done, value.Total));
    }
}

/// <summary>Makes the file of the destination's new head.</summary>
internal sealed class WriteLayer(Bench bench) : IStep<SyncPlan>
{
    public string Name => "write";
    public bool IsNeeded(SyncPlan plan) => plan is { DryRun: false, Method: not SyncMethod.None };

    public async Task DoAsync(StepContext<SyncPlan> context, CancellationToken stop)
    {
        var plan = context.Plan;
        if (plan.NewHead is not { } head) return;
        var layers = await bench.Store.LayersByIdAsync(plan.Environment, stop);
        var from = layers.Get(plan.From!.Value);
        if (plan.Method == SyncMethod.Overlay)
        {
            await bench.Driver.CreateOverlayAsync(head, from.ToRef(), stop);
            return;
        }
        // A process before this one may have found them.
        if (plan.ToCopy is null) await CompareVolume.FindAsync(bench, plan, context.Progress, stop);
        await SpaceGuard.CheckAsync(bench, Qcow2Writer.MostBytes(new(head.VirtualSize), plan.BytesToCopy, plan.ToCopy!.Count), $"The sync of '{plan.VolumeText}' into '{plan.DestinationText}'", stop, next: SyncPlan.FreeSpace);
        var reader = new VolumeReader(layers);
        await using var source = await reader.OpenAsync(from, stop);
        await using var below = await reader.OpenAsync(layers.Get(plan.OldHead!.Id), stop);
        await bench.Driver.WriteLayerAsync(head, plan.OldHead, new(plan.ToCopy.ToAsyncEnumerable(), source.ReadAsync, below.ReadAsync, plan.BytesToCopy), new Relay<SyncPlan>(context), stop);
    }

    public async Task UndoAsync(StepContext<SyncPlan> context, CancellationToken stop)
    {
        if (context.Plan.NewHead is { } head) await bench.Driver.DeleteFilesAsync([head.Path], stop);
    }
}
