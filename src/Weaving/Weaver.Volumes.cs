using WeaveHypervisor.Model;
using WeaveHypervisor.Operations;
using WeaveHypervisor.Weaving.Capture;
using WeaveHypervisor.Weaving.Volumes;

namespace WeaveHypervisor.Weaving;

/// <summary>Exchange of volumes between weaves.</summary>
internal sealed partial class Weaver
{
    private readonly VolumeDiffs _diffs = new(bench);

    public async Task<IReadOnlyList<VolumeDiff>> DiffVolumesAsync(DiffRequest request, IProgress<(VolumeId Volume, long Done, long Total)>? progress, CancellationToken stop) =>
        await _diffs.RunAsync(request, (await Store.GetEnvironmentAsync(request.Environment, stop)).ActiveWeave, progress, stop);

    public async Task<Operation> SyncVolumeAsync(SyncRequest request, Caller caller, CancellationToken stop)
    {
        if (await RepeatedAsync(caller, stop) is { } known) return known;
        var environment = await Store.GetEnvironmentAsync(request.Environment, stop);
        if (request is { Strategy: SyncStrategy.Mirror, OnConflict: not OnConflict.Fail })
            throw Invalid("A mirror has no conflicts: the destination becomes what the source is.", "Leave --on-conflict out, or merge with `--strategy merge`.");
        var source = await UsableAsync(environment, Resolve(request.Source, environment)!.Value, stop);
        var destination = await UsableAsync(environment, Resolve(request.Destination, environment)!.Value, stop);
        if (source.Id == destination.Id) throw Invalid($"Source and destination are both '{environment.Id}/{source.Id}'.", "Name two weaves.");
        VolumePoints.Find(source, request.Volume);
        VolumePoints.Find(destination, request.Volume);
        var plan = new SyncPlan
        {
            Environment = environment.Id, Source = source.Id, Destination = destination.Id, Machine = request.Volume.Machine, Volume = request.Volume.Volume, Strategy = request.Strategy,
            OnConflict = request.OnConflict, DryRun = request.DryRun, Stop = request.Stop, Quiesce = request.Quiesce,
            Capture = request.DryRun ? null : NewCapture(environment.Id, source.Id, null, memory: false, request.Quiesce, caller),
        };
        return await SubmitAsync(Kinds.Sync, environment.Id, Subject(environment.Id, destination.Id), plan, WeavingJson.Default.SyncPlan, caller, stop);
    }

    public async Task<Operation> UndoSyncAsync(EnvironmentId environment, OperationId sync, bool stopMachine, Caller caller, CancellationToken stop)
    {
        if (await RepeatedAsync(caller, stop) is { } known) return known;
        var (weave, kept) = await FindKeptAsync(environment, sync, stop);
        await UsableAsync(await Store.GetEnvironmentAsync(environment, stop), weave.Id, stop);
        var plan = new SyncPlan { Environment = environment, Destination = weave.Id, Machine = kept.Machine, Volume = kept.Volume, TakesBack = sync, Stop = stopMachine };
        return await SubmitAsync(Kinds.UndoSync, environment, Subject(environment, weave.Id), plan, WeavingJson.Default.SyncPlan, caller, stop);
    }

    public async Task<Operation> ForgetSyncAsync(EnvironmentId environment, OperationId sync, Caller caller, CancellationToken stop)
    {
        if (await RepeatedAsync(caller, stop) is { } known) return known;
        var (weave, _) = await FindKeptAsync(environment, sync, stop);
        var plan = new ForgetSyncPlan { Environment = environment, Destination = weave.Id, Sync = sync };
        return await SubmitAsync(Kinds.ForgetSync, environment, Subject(environment, weave.Id), plan, WeavingJson.Default.ForgetSyncPlan, caller, stop);
    }

    public async Task<IReadOnlyList<KeptSync>> ListSyncsAsync(EnvironmentId environment, CancellationToken stop)
    {
        await Store.GetEnvironmentAsync(environment, stop);
        var history = await Store.ReadHistoryAsync(environment, stop);
        return [.. history.Weaves.SelectMany(w => w.Kept.Select(k => new KeptSync(w.Id, k, history.Layers.Get(k.Layer)))).OrderBy(k => k.Kept.At)];
    }

    private async Task<(Weave, KeptHead)> FindKeptAsync(EnvironmentId environment, OperationId sync, CancellationToken stop)
    {
        await Store.GetEnvironmentAsync(environment, stop);
        foreach (var weave in await Store.ListWeavesAsync(environment, stop))
            if (weave.Kept.FirstOrDefault(k => k.Sync == sync) is { } kept) return (weave, kept);
        throw new WeaveException(Fault.NotFound, $"Environment '{environment}' has nothing kept of a sync '{sync}': there was none, it was forgotten, its weave is gone, or the volume was synced again since.", $"See what can be taken back with `weave sync --list {environment}`.");
    }
}
