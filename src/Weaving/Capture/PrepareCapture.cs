using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;
using WeaveHypervisor.Operations;
using WeaveHypervisor.Weaving.Branching;
using WeaveHypervisor.Weaving.Retention;
using WeaveHypervisor.Weaving.Timelines;

namespace WeaveHypervisor.Weaving.Capture;

/// <summary>Chooses every id and path of a capture, reads the machines' present definitions, and refuses what cannot be captured, before anything is touched.</summary>
internal sealed class PrepareCapture<TPlan>(Bench bench) : IStep<TPlan> where TPlan : class, ICaptures
{
    public string Name => "prepare";
    public bool IsNeeded(TPlan plan) => plan.Capture is not null;

    public async Task DoAsync(StepContext<TPlan> context, CancellationToken stop)
    {
        if (context.Plan.Capture is not { } plan) return;
        context.Progress.Report(new("reading the machines"));
        var environment = await bench.Store.GetEnvironmentAsync(plan.Environment, stop);
        var id = plan.Weave ??= environment.ActiveWeave;
        var weave = await bench.Store.GetWeaveAsync(plan.Environment, id, stop);
        if (weave.State is not (WeaveState.Running or WeaveState.Paused or WeaveState.Stopped))
            throw new WeaveException(Fault.Conflict, $"'{plan.Environment}/{id}' is {weave.State.ToString().ToLowerInvariant()}; no snapshot can be taken of it.",
                $"Look at it with `weave show {plan.Environment}/{id}`.");
        var layers = await bench.Store.LayersByIdAsync(plan.Environment, stop);
        var facts = new Dictionary<MachineName, MachineFacts?>();
        foreach (var machine in weave.Machines) facts[machine.Name] = await bench.Driver.InspectAsync(machine.ToRef(), stop);
        foreach (var machine in weave.Machines)
        {
            StoredDisks.RequireThere(weave, machine, facts[machine.Name]);
            foreach (var head in machine.Heads) StoredDisks.RequireOn(weave, machine, head.Volume, layers.Get(head.Layer).Path, facts[machine.Name]);
        }
        foreach (var machine in weave.Machines)
            foreach (var head in machine.Heads)
                if (HistoryFiles.ChainOf(layers, head.Layer).Count() is var length && length >= bench.Options.MaxChainLength)
                    throw new WeaveException(Fault.Exhausted, $"The disk {machine.Name}/{head.Volume} of '{plan.Environment}/{id}' stands on {length} layers already; QEMU opens no more than 200, and at most {bench.Options.MaxChainLength} are made.",
                        $"Shorten it with `weave compact {plan.Environment}`; why that was not done by itself, `weave op list --env {plan.Environment}` tells.");
        plan.Blueprint = weave.IsMain ? await ReadBlueprintAsync(weave, stop) : weave.Blueprint;

        var memory = plan.Memory ? weave.Machines.Where(m => facts[m.Name]?.RunState is RunState.Running or RunState.Paused)
            .Sum(m => plan.Blueprint.Machine(m.Name).MemoryBytes) : 0;
        await SpaceGuard.CheckAsync(bench, memory + bench.Options.BytesPerLayer * weave.Machines.Sum(m => m.Heads.Count), $"The snapshot of '{plan.Environment}/{id}'", stop, automatic: plan.MadeBy == SnapshotPolicy.Maker);

        var snapshots = await bench.Store.ListSnapshotsAsync(plan.Environment, null, null, stop);
        plan.Request = new CaptureRequest
        {
            Environment = plan.Environment, Snapshot = plan.Snapshot, Memory = plan.Memory, Quiesce = plan.Quiesce,
            Machines = [.. weave.Machines.Select(m => MachineOf(weave, m, facts[m.Name] is not null, plan, layers, snapshots))],
        };
    }

    public Task UndoAsync(StepContext<TPlan> context, CancellationToken stop) => Task.CompletedTask;

    private CaptureMachine MachineOf(Weave weave, WeaveMachine machine, bool exists, CapturePlan plan, IReadOnlyDictionary<LayerId, Layer> layers, IReadOnlyList<Snapshot> snapshots)
    {
        var (flat, state) = bench.Driver.PlaceMemory(plan.Environment, plan.Snapshot, machine.Name);
        var volumes = machine.Heads.Select(head =>
        {
            var old = layers.Get(head.Layer);
            return new CaptureVolume(head.Volume, weave.Blueprint.Machine(machine.Name).Target(head.Volume), old.ToRef(), bench.ChooseLayer(plan.Environment, weave.Tag, old.VirtualSize));
        });
        MemoryImage? Of(Snapshot? snapshot) => snapshot?.Machines.FirstOrDefault(m => m.Name == machine.Name)?.Memory;
        var mapped = machine.MemoryFrom is { } from ? Of(snapshots.FirstOrDefault(s => s.Id == from)) : null;
        return new CaptureMachine(machine.ToRef(), exists, [.. volumes], flat, state, mapped, AsOf.LineOf(weave, snapshots).Reverse().Select(Of).FirstOrDefault(m => m is not null))
        {
            States = [.. plan.Blueprint!.Machine(machine.Name).States.Select(k => new CaptureState(k, bench.Driver.PlaceState(plan.Environment, plan.Snapshot, machine.Name, k), machine.States.FirstOrDefault(s => s.Kind == k)?.Path))],
        };
    }

    private async Task<EnvironmentBlueprint> ReadBlueprintAsync(Weave weave, CancellationToken stop)
    {
        var examination = await bench.Driver.ExamineAsync([.. weave.Machines.Select(m => new MachineRequest(m.Name, m.HypervisorName))], stop);
        // The host knows nothing of rules: those of the originals are what was set.
        return examination.Refusals.Count == 0 ? examination.Blueprint with { Rules = weave.Blueprint.Rules } : throw Adoption.Refusals.ToFault($"'{weave.Environment}/main' can no longer be captured", examination.Refusals);
    }
}

/// <summary>Whether machines stand on the disks that the store has for them. A foreign hand (a blockcommit, another snapshot tool) that moved one makes our chain wrong: refused, rather than the wrong file be frozen or switched.</summary>
internal static class StoredDisks
{
    /// <summary>An adopted machine has to be there; a copy that is off is not.</summary>
    public static void RequireThere(Weave weave, WeaveMachine machine, MachineFacts? facts)
    {
        if (facts is null && weave.IsMain)
            throw new WeaveException(Fault.Conflict, $"The machine '{machine.HypervisorName}' of '{weave.Environment}/main' is gone from the hypervisor.", "Define it again with its UUID and disks, or release the environment.");
    }

    /// <param name="facts">The machine's present; null: there is none, and nothing to compare.</param>
    public static void RequireOn(Weave weave, WeaveMachine machine, VolumeName volume, string expected, MachineFacts? facts)
    {
        if (facts is null || facts.VolumePaths.TryGetValue(weave.Blueprint.Machine(machine.Name).Target(volume), out var path) && path == expected) return;
        throw new WeaveException(Fault.Conflict, $"Volume '{machine.Name}/{volume}' of '{weave.Environment}/{weave.Id}' should be on '{expected}' but is on '{path ?? "no file"}': something else has changed it.",
            "Put the disk back to the expected file, or release the environment and adopt it again.");
    }
}
