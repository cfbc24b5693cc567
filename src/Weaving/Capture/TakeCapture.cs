using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;
using WeaveHypervisor.Operations;

namespace WeaveHypervisor.Weaving.Capture;

/// <summary>The instant itself. It cannot be had again, so a crash in it undoes the operation.</summary>
internal sealed class TakeCapture<TPlan>(Bench bench) : IStep<TPlan> where TPlan : class, ICaptures
{
    public string Name => "capture";
    public bool IsNeeded(TPlan plan) => plan.Capture is not null;
    public AfterCrash AfterCrash => AfterCrash.Undo;

    public async Task DoAsync(StepContext<TPlan> context, CancellationToken stop)
    {
        if (context.Plan.Capture is not { Request: { } request } plan) return;
        plan.Result = await bench.Driver.CaptureAsync(request, new Relay<TPlan>(context), stop);
        context.Note = $"pause {Longest(plan.Result).TotalMilliseconds:0} ms, skew {plan.Result.Skew.TotalMilliseconds:0.#} ms";
    }

    /// <summary>Machines run on, memory is dropped; heads that were switched already stay switched and are recorded, as plain layers without a snapshot.</summary>
    public async Task UndoAsync(StepContext<TPlan> context, CancellationToken stop)
    {
        if (context.Plan.Capture is not { Request: { } request, Weave: { } id } plan) return;
        var live = (await bench.Driver.AbandonCaptureAsync(request, stop)).ToDictionary(r => (r.Machine, r.Volume), r => r.LiveLayer);
        plan.Result = null;
        if (await bench.Store.FindWeaveAsync(plan.Environment, id, stop) is not { } weave) return;
        var layers = await bench.Store.LayersByIdAsync(plan.Environment, stop);
        bool Switched(MachineName machine, CaptureVolume volume) => live.TryGetValue((machine, volume.Volume), out var layer) && layer == volume.NewHead.Id;
        var (reverted, revived, gone) = LayerSwitch.Revert(weave, request, layers, Switched);
        var (changed, put) = LayerSwitch.Apply(reverted, request, layers, (machine, volume) => Switched(machine, volume) && !layers.ContainsKey(volume.NewHead.Id), bench.Now);
        if (put.Count + gone.Count > 0)
            await bench.Store.CommitAsync(new StoreChange { PutWeaves = [changed], PutLayers = [.. put, .. revived], DeleteLayers = gone }, context.Lease, stop);
    }

    internal static TimeSpan Longest(CaptureResult result) => result.Machines.Count == 0 ? TimeSpan.Zero : result.Machines.Max(m => m.Pause);
}

/// <summary>Hands a driver's progress on to the operation.</summary>
internal sealed class Relay<TPlan>(StepContext<TPlan> context) : IProgress<Progress> where TPlan : class
{
    public void Report(Progress value) => context.Progress.Report(new(value.Activity, value.Done, value.Total));
}
