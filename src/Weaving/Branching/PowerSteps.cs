using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;
using WeaveHypervisor.Operations;
using WeaveHypervisor.Weaving.Capture;

namespace WeaveHypervisor.Weaving.Branching;

internal sealed class PowerPlan
{
    public required EnvironmentId Environment { get; set; }
    public required WeaveId Weave { get; set; }
    public required WeavePower Change { get; set; }
    /// <summary>How a start began, decided once: its first machines' start must not make a repeated step decide otherwise.</summary>
    public StartMode? Mode { get; set; }
    public bool StartTried { get; set; }
    /// <summary>What the machines really did, read afterwards.</summary>
    public WeaveState After { get; set; }
}

internal sealed record PowerResult(EnvironmentId Environment, WeaveId Weave, WeaveState State);

/// <summary>
/// Changes the run state of a weave. It has no undo but the truth: after a failure the store says what the machines really do.
/// A copy that is stopped gives up its memory; its next start boots from its disks.
/// </summary>
internal sealed class SwitchPower(Bench bench, FenceMaking fences, WeaveStart start) : IStep<PowerPlan>
{
    public string Name => "power";

    public async Task DoAsync(StepContext<PowerPlan> context, CancellationToken stop)
    {
        var plan = context.Plan;
        var weave = await bench.Store.GetWeaveAsync(plan.Environment, plan.Weave, stop);
        if (weave.State is not (WeaveState.Running or WeaveState.Paused or WeaveState.Stopped or WeaveState.Failed))
            throw new WeaveException(Fault.Conflict, $"'{plan.Environment}/{plan.Weave}' is {weave.State.ToString().ToLowerInvariant()}.", $"Look at it with `weave show {plan.Environment}/{plan.Weave}`.");
        var machines = weave.Machines.Select(m => m.ToRef()).ToList();
        switch (plan.Change)
        {
            case WeavePower.Start when weave.IsMain:
                await bench.Driver.ChangePowerAsync(machines, PowerChange.Start, bench.Options.ShutdownPatience, stop);
                break;
            case WeavePower.Start:
                weave = await fences.MakeAsync(weave, context.Lease, stop);
                var again = plan.StartTried;
                plan.Mode ??= weave.Machines.Any(m => WeaveStart.Resumes(weave, m)) ? StartMode.Resume : StartMode.Boot;
                plan.StartTried = true;
                await context.SavePlanAsync(stop);
                await start.RunAsync(weave, plan.Mode.Value, plan.Mode == StartMode.Boot, again, new Relay<PowerPlan>(context), context.Lease, stop);
                break;
            case WeavePower.Stop:
                context.Progress.Report(new("waiting for the guests to shut down"));
                await bench.Driver.ChangePowerAsync(machines, PowerChange.ShutDown, bench.Options.ShutdownPatience, stop);
                if (!weave.IsMain) await RetireAsync(machines, stop);
                break;
            case WeavePower.PowerOff when weave.IsMain:
                await bench.Driver.ChangePowerAsync(machines, PowerChange.PowerOff, bench.Options.ShutdownPatience, stop);
                break;
            case WeavePower.PowerOff:
                await RetireAsync(machines, stop);
                break;
            case WeavePower.Pause:
                await bench.Driver.ChangePowerAsync(await PresentAsync(weave, stop), PowerChange.Pause, bench.Options.ShutdownPatience, stop);
                break;
            default:
                await bench.Driver.ChangePowerAsync(await PresentAsync(weave, stop), PowerChange.Resume, bench.Options.ShutdownPatience, stop);
                break;
        }
        await RecordAsync(context, plan.Change is WeavePower.Stop or WeavePower.PowerOff, stop);
    }

    public Task UndoAsync(StepContext<PowerPlan> context, CancellationToken stop) => RecordAsync(context, false, stop);

    /// <summary>Machines that are not off: the others can be neither paused nor resumed, and that is no reason to refuse these.</summary>
    private async Task<IReadOnlyList<MachineRef>> PresentAsync(Weave weave, CancellationToken stop)
    {
        var present = new List<MachineRef>();
        foreach (var machine in weave.Machines)
            if (await bench.Driver.InspectAsync(machine.ToRef(), stop) is { RunState: not RunState.Off }) present.Add(machine.ToRef());
        return present.Count > 0 ? present : throw new WeaveException(Fault.Conflict, $"All machines of '{weave.Environment}/{weave.Id}' are off.", $"Start it with `weave start {weave.Environment}/{weave.Id}`.");
    }

    private Task RetireAsync(IReadOnlyList<MachineRef> machines, CancellationToken stop) => Task.WhenAll(machines.Select(m => bench.Driver.RetireAsync(m, stop)));

    private async Task RecordAsync(StepContext<PowerPlan> context, bool memoryGone, CancellationToken stop)
    {
        if (await bench.Store.FindWeaveAsync(context.Plan.Environment, context.Plan.Weave, stop) is not { } weave) return;
        var machines = new List<WeaveMachine>();
        foreach (var machine in weave.Machines)
        {
            var state = (await bench.Driver.InspectAsync(machine.ToRef(), stop))?.RunState ?? RunState.Off;
            machines.Add(machine with { RunState = state, MemoryFrom = memoryGone && state == RunState.Off ? null : machine.MemoryFrom });
        }
        // What is done with the machines now is what is wanted.
        var changed = weave with { Machines = machines, Drift = [.. weave.Drift.Where(d => d.Kind != DriftKind.Stopped)], State = Adoption.MainState.Of([.. machines.Select(m => m.RunState)]) };
        await bench.Store.CommitAsync(new StoreChange { PutWeaves = [changed] }, context.Lease, stop);
        context.Plan.After = changed.State;
    }
}
