using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;
using WeaveHypervisor.Operations;
using WeaveHypervisor.Weaving.Capture;
using WeaveHypervisor.Weaving.Retention;

namespace WeaveHypervisor.Weaving.Volumes;

/// <summary>Refuses what cannot be done and chooses every id and path, before anything is touched.</summary>
internal sealed class CheckSync(Bench bench) : IStep<SyncPlan>
{
    public string Name => "check";

    public async Task DoAsync(StepContext<SyncPlan> context, CancellationToken stop)
    {
        var plan = context.Plan;
        var volume = new VolumeId(plan.Machine, plan.Volume);
        if ((await bench.Store.GetEnvironmentAsync(plan.Environment, stop)).State != EnvironmentState.Managed)
            throw new WeaveException(Fault.Conflict, $"Environment '{plan.Environment}' is being released.", "Adopt it again after that.");
        var destination = await UsableAsync(plan.Environment, plan.Destination, stop);
        var layers = await bench.Store.LayersByIdAsync(plan.Environment, stop);
        var old = layers.Get(VolumePoints.Find(destination, volume).Head.Layer);
        plan.OldHead = old.ToRef();
        plan.Notes = [];
        try
        {
            await new DestinationRules(bench).CheckAsync(destination, volume, plan.OldHead, plan.Stop, plan.Notes, stop);
        }
        catch (WeaveException e) when (plan.DryRun && e.Fault is (Fault.Conflict or Fault.Unsupported))
        {
            plan.Notes.Add($"as things are it would be refused: {e.Message.TrimEnd('.')}");
        }

        Layer from;
        if (plan.TakesBack is { } sync)
        {
            var kept = Kept(destination, sync);
            from = layers.Get(kept.Layer);
            plan.From = kept.Layer;
            (plan.Method, plan.SourceInstant) = (SyncMethod.Overlay, $"as it was before {sync} ({kept.At.Rfc()})");
        }
        else
        {
            var source = await UsableAsync(plan.Environment, plan.Source!.Value, stop);
            from = layers.Get(VolumePoints.Find(source, volume).Head.Layer);
            if (plan.DryRun)
            {
                var point = VolumePoints.Of(source, volume, layers, await bench.Store.ListSnapshotsAsync(plan.Environment, null, null, stop));
                (plan.From, plan.SourceInstant) = (point.Top.Id, point.Words);
            }
            else await PrepareAsync(plan, source, volume, from, stop);
            // The adopted machine's disk goes on standing on its own history: `env release` gives that back, whatever becomes of other weaves.
            plan.Method = plan.Strategy == SyncStrategy.Merge || destination.IsMain ? SyncMethod.Copy : SyncMethod.Overlay;
        }
        if (from.VirtualSize != old.VirtualSize)
            throw new WeaveException(Fault.Conflict, $"'{volume}' has {from.VirtualSize} bytes in '{plan.Environment}/{plan.Source}' and {old.VirtualSize} in '{plan.DestinationText}'; disks of different sizes are not synced.", "Grow the smaller one to the size of the other first.");

        var (below, above) = (Chains.From(old.Id, layers), Chains.From(from.Id, layers));
        // A new head at the source, and one at the destination.
        var length = (plan.Method == SyncMethod.Overlay ? above.Count : below.Count) + 1;
        if (Math.Max(length, above.Count + 1) > bench.Options.MaxChainLength)
            throw new WeaveException(Fault.Exhausted, $"The disk {volume} would stand on {length} layers; at most {bench.Options.MaxChainLength} are made.", $"Shorten it with `weave compact {plan.Environment}`.");
        var worst = 2 * bench.Options.BytesPerLayer + (plan.Method == SyncMethod.Copy ? await WorstAsync(above, below, stop) : 0);
        await SpaceGuard.CheckAsync(bench, worst, $"The sync of '{volume}' into '{plan.DestinationText}'", stop, next: SyncPlan.FreeSpace);
        if (plan.DryRun) return;
        plan.NewHead = bench.ChooseLayer(plan.Environment, destination.Tag, old.VirtualSize);
    }

    public Task UndoAsync(StepContext<SyncPlan> context, CancellationToken stop) => Task.CompletedTask;

    /// <summary>The record of a sync that can be taken back; NotFound otherwise.</summary>
    public static KeptHead Kept(Weave destination, OperationId sync) => destination.Kept.FirstOrDefault(k => k.Sync == sync)
        ?? throw new WeaveException(Fault.NotFound, $"'{destination.Environment}/{destination.Id}' has nothing kept of the sync '{sync}': it was forgotten, or the volume was synced again since.", $"See what can be taken back with `weave sync --list {destination.Environment}`.");

    private async Task<Weave> UsableAsync(EnvironmentId environment, WeaveId id, CancellationToken stop)
    {
        var weave = await bench.Store.GetWeaveAsync(environment, id, stop);
        return weave.State is WeaveState.Running or WeaveState.Paused or WeaveState.Stopped ? weave
            : throw new WeaveException(Fault.Conflict, $"'{environment}/{id}' is {weave.State.ToString().ToLowerInvariant()}; its volumes cannot be synced.", $"Look at it with `weave show {environment}/{id}`.");
    }

    /// <summary>The capture of the one volume, of the one machine: no snapshot, and no other disk is touched.</summary>
    private async Task PrepareAsync(SyncPlan plan, Weave source, VolumeId volume, Layer head, CancellationToken stop)
    {
        var (machine, _) = VolumePoints.Find(source, volume);
        var facts = await bench.Driver.InspectAsync(machine.ToRef(), stop);
        var target = source.Blueprint.Machine(machine.Name).Target(volume.Volume);
        StoredDisks.RequireThere(source, machine, facts);
        StoredDisks.RequireOn(source, machine, volume.Volume, head.Path, facts);
        var capture = plan.Capture!;
        var (flat, state) = bench.Driver.PlaceMemory(plan.Environment, capture.Snapshot, machine.Name);
        capture.Request = new CaptureRequest
        {
            Environment = plan.Environment, Snapshot = capture.Snapshot, Memory = false, Quiesce = plan.Quiesce,
            Machines =
            [
                new(machine.ToRef(), facts is not null,
                    [new(volume.Volume, target, head.ToRef(), bench.ChooseLayer(plan.Environment, source.Tag, head.VirtualSize))], flat, state),
            ],
        };
    }

    /// <summary>Bytes that a copy may take at most: what is written above the nearest common layer on either side, and never more than the disk has.</summary>
    private async Task<long> WorstAsync(IReadOnlyList<Layer> source, IReadOnlyList<Layer> destination, CancellationToken stop)
    {
        var common = destination.Select(l => l.Id).Intersect(source.Select(l => l.Id)).ToHashSet();
        var own = source.Concat(destination).Where(l => !common.Contains(l.Id)).Select(l => l.Path).ToList();
        return Math.Min(source[0].VirtualSize, (await bench.Driver.MeasureFilesAsync(own, stop)).Values.Sum());
    }
}

/// <summary>Says in the store that the source goes on with a new head: the layer below it is the instant, and is held by whoever stands on it. The capture's own undo takes that back.</summary>
internal sealed class FreezeSource(Bench bench) : IStep<SyncPlan>
{
    public string Name => "freeze";
    public bool IsNeeded(SyncPlan plan) => plan.Capture is not null;

    public async Task DoAsync(StepContext<SyncPlan> context, CancellationToken stop)
    {
        var plan = context.Plan;
        if (plan.Capture is not { Request: { } request, Result: { } result, Weave: { } id } || plan.Source is null) return;
        var layers = await bench.Store.LayersByIdAsync(plan.Environment, stop);
        var volume = request.Machines[0].Volumes[0];
        plan.From = volume.Head.Id;
        plan.SourceInstant = $"at {result.At.Rfc()}";
        if (plan.Quiesce && result.Consistency != Consistency.Filesystem && result.Machines[0].RunState != RunState.Off)
            plan.Notes.Add($"the file systems of {plan.Machine} were not frozen ({result.Machines[0].Quiescing?.Reason ?? "no reason was given"}): its disk is as after a power cut");
        if (layers.ContainsKey(volume.NewHead.Id)) return;
        var (changed, put) = LayerSwitch.Apply(await bench.Store.GetWeaveAsync(plan.Environment, id, stop), request, layers, (_, _) => true, bench.Now);
        await bench.Store.CommitAsync(new StoreChange { PutWeaves = [changed], PutLayers = await LayerSwitch.MeasureAsync(bench, put, stop) }, context.Lease, stop);
        context.Note = $"{plan.Environment}/{id} {plan.SourceInstant}";
    }

    public Task UndoAsync(StepContext<SyncPlan> context, CancellationToken stop) => Task.CompletedTask;
}
