using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;
using WeaveHypervisor.Operations;
using WeaveHypervisor.Weaving.Timelines;

namespace WeaveHypervisor.Weaving.Capture;

/// <summary>Writes the snapshot, its frozen layers and the weave's new heads in one transaction: from here on the snapshot exists.</summary>
internal sealed class RecordCapture<TPlan>(Bench bench) : IStep<TPlan> where TPlan : class, ICaptures
{
    public string Name => "record";
    public bool IsNeeded(TPlan plan) => plan.Capture is not null;

    public async Task DoAsync(StepContext<TPlan> context, CancellationToken stop)
    {
        if (context.Plan.Capture is not { Request: { } request, Result: { } result, Weave: { } id } plan) return;
        if (await bench.Store.FindSnapshotAsync(plan.Snapshot, stop) is { } there)
        {
            plan.Recorded = ToResult(there);
            return;
        }
        var weave = await bench.Store.GetWeaveAsync(plan.Environment, id, stop);
        var layers = await bench.Store.LayersByIdAsync(plan.Environment, stop);
        var all = await bench.Store.ListSnapshotsAsync(plan.Environment, null, null, stop);
        var parent = AsOf.LineOf(weave, all) is [.., var last] ? last : null;
        var at = result.At.ToMilliseconds();
        // Order on a line is by time. A clock that was set back must not put a snapshot before its own parent.
        if (parent is not null && at <= parent.At)
        {
            if (at < parent.At) context.Note = $"the clock was set back: {at.Rfc()} is before the parent's {parent.At.Rfc()}; the snapshot is dated 1 ms after it";
            at = parent.At.AddMilliseconds(1);
        }
        var blueprint = WithNics(plan.Blueprint ?? weave.Blueprint, result);
        var snapshot = new Snapshot
        {
            Id = plan.Snapshot, Environment = plan.Environment, Weave = id, Parent = parent?.Id, At = at, Label = plan.Label, State = SnapshotState.Ready,
            Consistency = result.Consistency, Blueprint = blueprint, Skew = result.Skew, ForWeave = plan.ForWeave, MadeBy = plan.MadeBy,
            Machines = [.. result.Machines.Select(m => new SnapshotMachine
            {
                Name = m.Name, RunState = m.RunState, Memory = m.Memory, States = m.States, Method = m.Method, Reason = m.Reason, Pause = m.Pause, Quiescing = m.Quiescing,
                Frozen = [.. request.Machines.First(r => r.Machine.Name == m.Name).Volumes.Select(v => new VolumeHead(v.Volume, v.Head.Id))],
            })],
        };
        var (changed, put) = LayerSwitch.Apply(weave, request, layers, (_, _) => true, bench.Now);
        put = await LayerSwitch.MeasureAsync(bench, put, stop);
        changed = changed with
        {
            Blueprint = blueprint,
            Addresses = changed.IsMain ? Addresses.OfMain(blueprint) : changed.Addresses,
            Machines = [.. changed.Machines.Select(m => m with { RunState = result.Machines.FirstOrDefault(r => r.Name == m.Name)?.RunState ?? m.RunState })],
        };
        await bench.Store.CommitAsync(new StoreChange { AddSnapshots = [snapshot], PutWeaves = [changed], PutLayers = put }, context.Lease, stop);
        plan.Recorded = ToResult(snapshot);
        context.Note ??= $"{snapshot.Id} at {snapshot.At.Rfc()}, {snapshot.Consistency.ToString().ToLowerInvariant()} consistency";
    }

    /// <summary>The snapshot goes; the heads stay where they are (the capture's own undo tells the store again), and nothing is lost by that.</summary>
    public async Task UndoAsync(StepContext<TPlan> context, CancellationToken stop)
    {
        if (context.Plan.Capture is not { } plan) return;
        plan.Recorded = null;
        await bench.Store.CommitAsync(new StoreChange { DeleteSnapshots = [plan.Snapshot] }, context.Lease, stop);
    }

    private static EnvironmentBlueprint WithNics(EnvironmentBlueprint blueprint, CaptureResult result) => blueprint with
    {
        Machines = [.. blueprint.Machines.Select(m => result.Machines.FirstOrDefault(r => r.Name == m.Name) is { Nics.Count: > 0 } captured
            ? m with { Nics = [.. m.Nics.Select(n => captured.Nics.FirstOrDefault(c => c.Mac == n.Mac) is { Addresses.Count: > 0 } seen ? n with { Addresses = seen.Addresses } : n)] } : m)],
    };

    private static SnapshotResult ToResult(Snapshot snapshot) => new(snapshot.Id, snapshot.Environment, snapshot.Weave, snapshot.At, snapshot.Consistency,
        snapshot.Skew.TotalMilliseconds, snapshot.Machines.Count == 0 ? 0 : snapshot.Machines.Max(m => m.Pause).TotalMilliseconds,
        snapshot.Machines.Sum(m => m.Memory?.StoredBytes ?? 0),
        [.. snapshot.Machines.Select(m => new SnapshotMachineResult(m.Name, m.RunState, m.Method, m.Reason, m.Pause.TotalMilliseconds, m.Memory?.StoredBytes ?? 0,
            m.Quiescing is { } q ? new(q.Outcome, q.FileSystems, q.Frozen.TotalMilliseconds, q.Reason, q.NotThawed) : null))]);
}

internal static class Addresses
{
    /// <summary>The adopted machines are reached at their own addresses.</summary>
    public static IReadOnlyList<MachineAddress> OfMain(EnvironmentBlueprint blueprint) =>
        [.. blueprint.Machines.SelectMany(m => m.Nics.SelectMany(n => n.Addresses.Select(a => new MachineAddress(m.Name, n.Mac, a, a))))];
}
