using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;
using WeaveHypervisor.Operations;
using WeaveHypervisor.Weaving.Capture;
using WeaveHypervisor.Weaving.Retention;
using WeaveHypervisor.Weaving.Rules;

namespace WeaveHypervisor.Weaving.Branching;

/// <summary>Writes the weave, still `creating`, so that its name is taken and its snapshot is held.</summary>
internal sealed class ReserveWeave(Bench bench) : IStep<CreatePlan>
{
    public string Name => "reserve";

    public async Task DoAsync(StepContext<CreatePlan> context, CancellationToken stop)
    {
        var plan = context.Plan;
        var environment = await bench.Store.GetEnvironmentAsync(plan.Environment, stop);
        if (environment.State != EnvironmentState.Managed)
            throw new WeaveException(Fault.Conflict, $"Environment '{plan.Environment}' is being released.", "Adopt it again after that.");
        if (await bench.Store.FindWeaveAsync(plan.Environment, plan.Weave, stop) is { } there)
        {
            if (there.Tag == plan.Tag) return;
            throw new WeaveException(Fault.AlreadyExists, $"'{plan.Environment}' has a weave '{plan.Weave}' already.", "Choose another id, or delete that weave first.");
        }
        var source = plan.Capture is { } capture
            ? await bench.Store.GetWeaveAsync(plan.Environment, capture.Weave ??= environment.ActiveWeave, stop)
            : null;
        var snapshot = source is null ? await bench.Store.GetSnapshotAsync(plan.Snapshot, stop) : null;
        if (snapshot is { State: not SnapshotState.Ready })
            throw new WeaveException(Fault.Conflict, $"Snapshot '{snapshot.Id}' is being deleted.", $"Choose another with `weave timeline {plan.Environment}`.");
        if (snapshot is not null)
            await HistoryFiles.RequireAsync(bench, snapshot, await bench.Store.LayersByIdAsync(plan.Environment, stop), memory: plan.Start != StartMode.Boot, stop);
        // A hypervisor that does not answer is better met before anything is made, which could not be taken away again.
        var main = await bench.Store.GetWeaveAsync(plan.Environment, Weave.Main, stop);
        await bench.Driver.InspectAsync(main.Machines[0].ToRef(), stop);
        if (plan.RulesOf == RulesOf.Now && plan.Rules is null)
        {
            plan.Rules = main.Blueprint.Rules;
            await context.SavePlanAsync(stop);
        }
        var blueprint = WithRules(plan, source?.Blueprint ?? snapshot!.Blueprint);
        if (!plan.Verifies) RulesGuard.CheckCreation(bench, plan.Environment, blueprint.Rules, main.Blueprint.Rules);
        try
        {
            await bench.Store.CommitAsync(new StoreChange
            {
                AddWeaves = [new Weave
                {
                    Environment = plan.Environment, Id = plan.Weave, Tag = plan.Tag, State = WeaveState.Creating, CreatedAt = plan.CreatedAt, Origin = plan.Snapshot,
                    Source = source?.Id ?? snapshot!.Weave, Blueprint = blueprint, Machines = [], Uplink = plan.Uplink, ExpiresAt = plan.ExpiresAt,
                    Verifies = plan.Verifies ? plan.Snapshot : null,
                }],
            }, context.Lease, stop);
        }
        catch (WeaveException e) when (e.Fault == Fault.AlreadyExists)
        {
            // The store repeats a commit whose answer was lost, and finds what it has written.
            if ((await bench.Store.FindWeaveAsync(plan.Environment, plan.Weave, stop))?.Tag != plan.Tag) throw;
        }
    }

    /// <summary>What the weave is made of: the machines and networks of its instant, with the rules that were chosen for it.</summary>
    public static EnvironmentBlueprint WithRules(CreatePlan plan, EnvironmentBlueprint blueprint) => plan.Rules is { } rules ? blueprint with { Rules = rules } : blueprint;

    public async Task UndoAsync(StepContext<CreatePlan> context, CancellationToken stop)
    {
        var plan = context.Plan;
        if (await bench.Store.FindWeaveAsync(plan.Environment, plan.Weave, stop) is { } there && there.Tag == plan.Tag)
            await bench.Store.CommitAsync(new StoreChange { DeleteWeaves = [(plan.Environment, plan.Weave)] }, context.Lease, stop);
    }
}

/// <summary>A live layer of its own on top of every frozen one: the only disk cost of a weave.</summary>
internal sealed class ForkLayers(Bench bench) : IStep<CreatePlan>
{
    public string Name => "layers";

    public async Task DoAsync(StepContext<CreatePlan> context, CancellationToken stop)
    {
        var plan = context.Plan;
        var snapshot = await bench.Store.GetSnapshotAsync(plan.Snapshot, stop);
        var layers = await bench.Store.LayersByIdAsync(plan.Environment, stop);
        if (plan.Machines.Count == 0)
        {
            await HistoryFiles.RequireAsync(bench, snapshot, layers, memory: plan.Start != StartMode.Boot, stop);
            await SpaceGuard.CheckAsync(bench, bench.Options.BytesPerLayer * snapshot.Machines.Sum(m => m.Frozen.Count), $"The weave '{plan.Environment}/{plan.Weave}'", stop);
            plan.Machines = [.. snapshot.Machines.Select(m => Choose(plan, m, snapshot.Blueprint.Machine(m.Name), layers))];
            await context.SavePlanAsync(stop);
        }
        // None may be under way any more when this step is undone: all are waited for, also after an error.
        await Task.WhenAll(plan.Machines.SelectMany(m => m.Layers).Select(layer => bench.Driver.CreateOverlayAsync(layer.Layer, layers.Get(layer.Parent).ToRef(), stop)).ToList());
        foreach (var state in plan.Machines.SelectMany(m => m.States))
            if (state.From is { } from) await bench.Driver.CreateStateAsync(from, state.Path, stop);
        var weave = await bench.Store.GetWeaveAsync(plan.Environment, plan.Weave, stop);
        await bench.Store.CommitAsync(new StoreChange
        {
            PutLayers = [.. plan.Machines.SelectMany(m => m.Layers.Select(l => new Layer
            {
                Id = l.Layer.Id, Environment = plan.Environment, Machine = m.Name, Volume = l.Volume, Parent = l.Parent, Path = l.Layer.Path, Format = l.Layer.Format,
                VirtualSize = l.Layer.VirtualSize, State = LayerState.Live, CreatedAt = plan.CreatedAt,
            }))],
            PutWeaves = [weave with
            {
                Blueprint = ReserveWeave.WithRules(plan, snapshot.Blueprint),
                Machines = [.. plan.Machines.Select(m => new WeaveMachine
                {
                    Name = m.Name, HypervisorName = m.HypervisorName, Uuid = m.Uuid, RunState = RunState.Off,
                    Heads = [.. m.Layers.Select(l => new VolumeHead(l.Volume, l.Layer.Id))],
                    States = [.. m.States.Select(s => new StateFile(s.Kind, s.Path, s.From?.Bytes ?? 0))],
                    MemoryFrom = plan.Start != StartMode.Boot && snapshot.Machines.First(s => s.Name == m.Name).Memory is not null ? snapshot.Id : null,
                })],
            }],
        }, context.Lease, stop);
    }

    public async Task UndoAsync(StepContext<CreatePlan> context, CancellationToken stop)
    {
        var layers = context.Plan.Machines.SelectMany(m => m.Layers).Select(l => l.Layer).ToList();
        await bench.Driver.DeleteFilesAsync([.. layers.Select(l => l.Path), .. context.Plan.Machines.SelectMany(m => m.States).Select(s => s.Path)], stop);
        if (context.Plan.Machines.Count == 0) return;
        await bench.Store.CommitAsync(new StoreChange { DeleteLayers = [.. layers.Select(l => l.Id)] }, context.Lease, stop);
    }

    private PlannedMachine Choose(CreatePlan plan, SnapshotMachine machine, MachineBlueprint blueprint, IReadOnlyDictionary<LayerId, Layer> layers)
    {
        var copy = new MachineRef(machine.Name, bench.Driver.NameCopy(plan.Environment, plan.Weave, machine.Name), Guid.NewGuid());
        return new(copy.Name, copy.HypervisorName, copy.Uuid,
            [.. machine.Frozen.Select(frozen => new PlannedLayer(frozen.Volume, frozen.Layer, bench.ChooseLayer(plan.Environment, plan.Tag, layers.Get(frozen.Layer).VirtualSize)))])
        {
            States = [.. blueprint.States.Select(k => new PlannedState(k, bench.Driver.PlaceState(plan.Environment, plan.Tag, copy, k), machine.States.FirstOrDefault(s => s.Kind == k)))],
        };
    }
}

/// <summary>The isolated networks and their gateway.</summary>
internal sealed class MakeFence(Bench bench) : IStep<CreatePlan>
{
    public string Name => "fence";

    public async Task DoAsync(StepContext<CreatePlan> context, CancellationToken stop)
    {
        var weave = await bench.Store.GetWeaveAsync(context.Plan.Environment, context.Plan.Weave, stop);
        var facts = await bench.Driver.MakeFenceAsync(Fences.SpecOf(weave), stop);
        await bench.Store.CommitAsync(new StoreChange { PutWeaves = [weave with { Addresses = facts.Addresses }] }, context.Lease, stop);
    }

    public Task UndoAsync(StepContext<CreatePlan> context, CancellationToken stop) => bench.Driver.RetireFenceAsync(context.Plan.Tag, stop);
}

internal static class Fences
{
    public static FenceSpec SpecOf(Weave weave) => new()
    {
        Tag = weave.Tag, Environment = weave.Environment, Weave = weave.Id, Networks = weave.Blueprint.Networks, Uplink = weave.Uplink,
        Machines = [.. weave.Blueprint.Machines.Select(m => new FenceMachine(m.Name, m.Nics))],
        // A weave that verifies a snapshot is nobody's to use, nothing leaves it, and who asks its machines comes from outside: groups would only fail what is sound.
        Groups = weave.Verifies is null ? weave.Blueprint.Rules.Groups : [],
    };
}

/// <summary>Starts the copies; with them the weave is whole.</summary>
internal sealed class StartCopies(Bench bench, WeaveStart start) : IStep<CreatePlan>
{
    public string Name => "start";

    public async Task DoAsync(StepContext<CreatePlan> context, CancellationToken stop)
    {
        var plan = context.Plan;
        var weave = await bench.Store.GetWeaveAsync(plan.Environment, plan.Weave, stop);
        var snapshot = await bench.Store.GetSnapshotAsync(plan.Snapshot, stop);
        IReadOnlyList<CreatedMachine> machines;
        if (plan.Start == StartMode.None)
        {
            await bench.Store.CommitAsync(new StoreChange { PutWeaves = [weave with { State = WeaveState.Stopped }] }, context.Lease, stop);
            machines = [.. weave.Machines.Select(m => new CreatedMachine(m.Name, RunState.Off, "none", null, 0, 0, 0))];
        }
        else
        {
            context.Progress.Report(new($"starting {weave.Machines.Count} machines"));
            var again = plan.StartTried || context.Operation.Steps.Any(s => s.Name == Name && s.State == StepState.Doing);
            plan.StartTried = true;
            var started = await start.RunAsync(weave, plan.Start, plan.Start == StartMode.Boot, again, new Relay<CreatePlan>(context), context.Lease, stop, e => plan.Refusal = e);
            machines = [.. started.Select(s => new CreatedMachine(s.Name, s.RunState, s.Method, s.Reason, s.Create.TotalMilliseconds, s.Load.TotalMilliseconds, s.Resume.TotalMilliseconds))];
            context.Note = string.Join(", ", started.Select(s => $"{s.Name} {s.Method}"));
        }
        plan.Result = new(plan.Environment, plan.Weave, snapshot.Id, snapshot.At, machines, weave.Addresses);
    }

    public async Task UndoAsync(StepContext<CreatePlan> context, CancellationToken stop)
    {
        foreach (var machine in context.Plan.Machines) await bench.Driver.RetireAsync(new(machine.Name, machine.HypervisorName, machine.Uuid), stop);
    }
}
