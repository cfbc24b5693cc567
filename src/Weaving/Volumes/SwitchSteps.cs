using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;
using WeaveHypervisor.Operations;
using WeaveHypervisor.Weaving.Branching;
using WeaveHypervisor.Weaving.Capture;
using WeaveHypervisor.Weaving.Retention;

namespace WeaveHypervisor.Weaving.Volumes;

/// <summary>The destination's machine and its volume, as the steps need them.</summary>
internal sealed class DestinationMachine(Bench bench, SyncPlan plan, Weave weave)
{
    public WeaveMachine Machine { get; } = VolumePoints.Find(weave, new(plan.Machine, plan.Volume)).Machine;
    public Weave Weave => weave;
    public string Target { get; } = weave.Blueprint.Machine(plan.Machine).Target(plan.Volume);

    public static async Task<DestinationMachine> ReadAsync(Bench bench, SyncPlan plan, CancellationToken stop) => new(bench, plan, await bench.Store.GetWeaveAsync(plan.Environment, plan.Destination, stop));

    public Task<MachineFacts?> InspectAsync(CancellationToken stop) => bench.Driver.InspectAsync(Machine.ToRef(), stop);

    /// <summary>Gives the volume a file, in the machine if it is there, and starts it again if it was stopped for the sync.</summary>
    public async Task GiveAsync(LayerRef layer, FenceMaking fences, Lease lease, CancellationToken stop)
    {
        if (await InspectAsync(stop) is { } facts)
        {
            await bench.Driver.AttachVolumeAsync(Machine.ToRef(), new(plan.Volume, Target, layer) { Blueprint = weave.Blueprint.Machine(plan.Machine) }, stop);
            if (plan.Stopped && facts.RunState == RunState.Off) await bench.Driver.ChangePowerAsync([Machine.ToRef()], PowerChange.Start, bench.Options.ShutdownPatience, stop);
        }
        else if (plan.Stopped)
        {
            // The host may have been started anew since the machine was stopped.
            if (!weave.IsMain) await fences.MakeAsync(weave, lease, stop);
            var layers = await bench.Store.LayersByIdAsync(plan.Environment, stop);
            var blueprint = weave.Blueprint.Machine(plan.Machine);
            var heads = Machine.Heads.Select(h => new CopyVolume(h.Volume, blueprint.Target(h.Volume), h.Volume == plan.Volume ? layer : layers.Get(h.Layer).ToRef()));
            await bench.Driver.InstantiateAsync(new InstantiateRequest
            {
                Environment = plan.Environment, Weave = weave.Id, Tag = weave.Tag, Networks = [.. weave.Blueprint.Networks.Select(n => n.Name)],
                Machines = [new(Machine.ToRef(), blueprint, [.. heads], null, RunState.Running) { States = Machine.States }],
            }, null, stop);
        }
    }

    /// <summary>Takes a file from the volume where it has that one. A machine that was started on it is ended: what it has written there is given up.</summary>
    public async Task TakeAsync(LayerRef layer, CancellationToken stop)
    {
        if (await InspectAsync(stop) is not { } facts || facts.VolumePaths.GetValueOrDefault(Target) != layer.Path) return;
        if (plan.Stopped && facts.RunState != RunState.Off)
        {
            if (!weave.IsMain)
            {
                await bench.Driver.RetireAsync(Machine.ToRef(), stop);
                return;
            }
            await bench.Driver.ChangePowerAsync([Machine.ToRef()], PowerChange.PowerOff, bench.Options.ShutdownPatience, stop);
        }
        await bench.Driver.DetachVolumeAsync(Machine.ToRef(), Target, bench.Options.UnplugPatience, stop);
    }
}

/// <summary>Takes the volume from the destination's machine: from here on nobody writes to its head.</summary>
internal sealed class FreeVolume(Bench bench, FenceMaking fences) : IStep<SyncPlan>
{
    public string Name => "free";
    public bool IsNeeded(SyncPlan plan) => plan.Changes;

    public async Task DoAsync(StepContext<SyncPlan> context, CancellationToken stop)
    {
        var plan = context.Plan;
        var destination = await DestinationMachine.ReadAsync(bench, plan, stop);
        var machine = destination.Machine.ToRef();
        if (!plan.Freeing)
        {
            // Somebody may have started the machine, or mounted the volume, since it was checked.
            var facts = await new DestinationRules(bench).CheckAsync(destination.Weave, new(plan.Machine, plan.Volume), plan.OldHead!, plan.Stop, [], stop);
            plan.Stopped = plan.Stop && facts?.RunState == RunState.Running;
            plan.Freeing = true;
            await context.SavePlanAsync(stop);
        }
        if (plan.Stopped)
        {
            context.Progress.Report(new($"waiting for {plan.Machine} to shut down"));
            await bench.Driver.ChangePowerAsync([machine], PowerChange.ShutDown, bench.Options.ShutdownPatience, stop);
        }
        if (await destination.InspectAsync(stop) is not { } now) return;
        if (now.RunState != RunState.Off) context.Progress.Report(new($"waiting for {plan.Machine} to let go of the disk"));
        try
        {
            await bench.Driver.DetachVolumeAsync(machine, destination.Target, bench.Options.UnplugPatience, stop);
        }
        catch (WeaveException e) when (e.Fault == Fault.Busy)
        {
            // Asked once more it would be no other guest.
            throw new WeaveException(Fault.Conflict, e.Message, "Unmount it in the guest and repeat; or repeat with `--stop`: the machine is shut down and started again.", e);
        }
    }

    public async Task UndoAsync(StepContext<SyncPlan> context, CancellationToken stop)
    {
        var plan = context.Plan;
        if (!plan.Freeing) return;
        await (await DestinationMachine.ReadAsync(bench, plan, stop)).GiveAsync(plan.OldHead!, fences, context.Lease, stop);
        if (plan.Stopped) await RecordAsync(bench, plan, context.Lease, stop);
        plan.Freeing = false;
    }

    /// <summary>Says in the store what a machine that was stopped and started does now. Its memory of before is gone.</summary>
    public static async Task RecordAsync(Bench bench, SyncPlan plan, Lease lease, CancellationToken stop)
    {
        var weave = await bench.Store.GetWeaveAsync(plan.Environment, plan.Destination, stop);
        var state = (await new DestinationMachine(bench, plan, weave).InspectAsync(stop))?.RunState ?? RunState.Off;
        var machines = weave.Machines.Select(m => m.Name != plan.Machine ? m : m with { RunState = state, MemoryFrom = null, StartedBy = weave.IsMain ? m.StartedBy : "boot" }).ToList();
        await bench.Store.CommitAsync(new StoreChange { PutWeaves = [weave with { Machines = machines, State = Adoption.MainState.Of([.. machines.Select(m => m.RunState)]) }] }, lease, stop);
    }
}

/// <summary>The store's switch: the new head is the volume's, the old one is frozen and kept.</summary>
internal sealed class SwitchHead(Bench bench) : IStep<SyncPlan>
{
    public string Name => "switch";
    public bool IsNeeded(SyncPlan plan) => plan.Changes;

    public async Task DoAsync(StepContext<SyncPlan> context, CancellationToken stop)
    {
        var plan = context.Plan;
        if (plan is not { NewHead: { } fresh, OldHead: { } old }) return;
        var weave = await bench.Store.GetWeaveAsync(plan.Environment, plan.Destination, stop);
        var layers = await bench.Store.LayersByIdAsync(plan.Environment, stop);
        var machine = VolumePoints.Find(weave, new(plan.Machine, plan.Volume)).Machine;
        if (machine.Heads.Any(h => h.Layer == fresh.Id)) return;
        plan.KeptBefore = [.. weave.Kept];
        plan.MemoryBefore = machine.MemoryFrom;
        plan.SwitchedAt = bench.Now;
        await context.SavePlanAsync(stop);
        // A machine that has not been started yet would resume memory that fits the disk of before.
        var forgets = machine is { MemoryFrom: not null, StartedBy: null };
        if (forgets) plan.Notes.Add($"{plan.Machine} boots at its first start: the memory of its origin does not fit the disk any more");
        await bench.Store.CommitAsync(new StoreChange
        {
            PutWeaves = [weave with
            {
                Machines = [.. weave.Machines.Select(m => m.Name != plan.Machine ? m : m with
                {
                    Heads = [.. m.Heads.Select(h => h.Volume == plan.Volume ? new(plan.Volume, fresh.Id) : h)], MemoryFrom = forgets ? null : m.MemoryFrom,
                })],
                Kept = [.. weave.Kept.Where(k => (k.Machine, k.Volume) != (plan.Machine, plan.Volume)), new(context.Operation.Id, plan.Machine, plan.Volume, old.Id, plan.SwitchedAt.Value, plan.Source)],
            }],
            PutLayers = await LayerSwitch.MeasureAsync(bench,
            [
                layers.Get(old.Id) with { State = LayerState.Frozen },
                new Layer
                {
                    Id = fresh.Id, Environment = plan.Environment, Machine = plan.Machine, Volume = plan.Volume, Parent = plan.Method == SyncMethod.Copy ? old.Id : plan.From, Path = fresh.Path,
                    Format = fresh.Format, VirtualSize = fresh.VirtualSize, State = LayerState.Live, CreatedAt = plan.SwitchedAt.Value,
                },
            ], stop),
        }, context.Lease, stop);
    }

    public async Task UndoAsync(StepContext<SyncPlan> context, CancellationToken stop)
    {
        var plan = context.Plan;
        if (plan is not { NewHead: { } fresh, OldHead: { } old, KeptBefore: { } kept }) return;
        var weave = await bench.Store.GetWeaveAsync(plan.Environment, plan.Destination, stop);
        if (!weave.Machines.SelectMany(m => m.Heads).Any(h => h.Layer == fresh.Id)) return;
        var layers = await bench.Store.LayersByIdAsync(plan.Environment, stop);
        await bench.Store.CommitAsync(new StoreChange
        {
            PutWeaves = [weave with
            {
                Machines = [.. weave.Machines.Select(m => m.Name != plan.Machine ? m : m with { Heads = [.. m.Heads.Select(h => h.Volume == plan.Volume ? new(plan.Volume, old.Id) : h)], MemoryFrom = plan.MemoryBefore })],
                Kept = kept,
            }],
            PutLayers = [layers.Get(old.Id) with { State = LayerState.Live, FrozenBytes = null }],
            DeleteLayers = [fresh.Id],
        }, context.Lease, stop);
    }
}

/// <summary>Gives the machine its volume again, and starts it where it was stopped.</summary>
internal sealed class ReturnVolume(Bench bench, FenceMaking fences) : IStep<SyncPlan>
{
    public string Name => "attach";
    public bool IsNeeded(SyncPlan plan) => plan.Changes;

    public async Task DoAsync(StepContext<SyncPlan> context, CancellationToken stop)
    {
        var plan = context.Plan;
        await (await DestinationMachine.ReadAsync(bench, plan, stop)).GiveAsync(plan.NewHead ?? plan.OldHead!, fences, context.Lease, stop);
        if (plan.Stopped) await FreeVolume.RecordAsync(bench, plan, context.Lease, stop);
    }

    public async Task UndoAsync(StepContext<SyncPlan> context, CancellationToken stop)
    {
        if (context.Plan.NewHead is { } fresh) await (await DestinationMachine.ReadAsync(bench, context.Plan, stop)).TakeAsync(fresh, stop);
    }
}

/// <summary>What an earlier sync of the volume had kept goes.</summary>
internal sealed class CollectAfterSync(GarbageCollector collector) : IStep<SyncPlan>
{
    public string Name => "collect";
    public bool IsNeeded(SyncPlan plan) => plan.Changes;

    public Task DoAsync(StepContext<SyncPlan> context, CancellationToken stop) => collector.CollectAsync(context.Plan.Environment, context.Lease, stop);

    public Task UndoAsync(StepContext<SyncPlan> context, CancellationToken stop) => Task.CompletedTask;
}

/// <summary>The layer of before a sync is not kept any more.</summary>
internal sealed class ForgetSync(Bench bench, GarbageCollector collector) : IStep<ForgetSyncPlan>
{
    public string Name => "forget";

    public async Task DoAsync(StepContext<ForgetSyncPlan> context, CancellationToken stop)
    {
        var plan = context.Plan;
        if (await bench.Store.FindWeaveAsync(plan.Environment, plan.Destination, stop) is { } weave && weave.Kept.Any(k => k.Sync == plan.Sync))
            await bench.Store.CommitAsync(new StoreChange { PutWeaves = [weave with { Kept = [.. weave.Kept.Where(k => k.Sync != plan.Sync)] }] }, context.Lease, stop);
        plan.LayersRemoved += await collector.CollectAsync(plan.Environment, context.Lease, stop);
        context.Note = $"{plan.LayersRemoved} layer{(plan.LayersRemoved == 1 ? "" : "s")} removed";
    }

    public Task UndoAsync(StepContext<ForgetSyncPlan> context, CancellationToken stop) => Task.CompletedTask;
}
