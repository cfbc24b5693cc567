using System.Collections.Concurrent;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Cim.Wrappers;
using WeaveHypervisor.HyperV.Inspecting;
using WeaveHypervisor.HyperV.Layers;
using WeaveHypervisor.HyperV.Machines;
using WeaveHypervisor.HyperV.Owned;
using WeaveHypervisor.HyperV.Power;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.HyperV.Starting;

/// <summary>
/// Starts copies inside a fence: imported with their memory, or made anew and booted. A copy that is to be paused stays saved, so that not one of its instructions runs; one that boots is paused right after. All run or none.
/// </summary>
internal sealed class CopyStarter(DriverContext context, HostSwitches switches, DiskFiles disks, CopyRemover remover, CopyImporter importer, CopyDefiner definer, StateChange states)
{
    public async Task<IReadOnlyList<StartedMachine>> RunAsync(InstantiateRequest request, IProgress<Progress>? progress, CancellationToken stop)
    {
        stop.ThrowIfCancellationRequested();
        var begun = new ConcurrentBag<Guid>();
        try
        {
            return await HyperVFaults.AskAsync(async () =>
            {
                var record = await context.Record.ReadAsync(stop);
                var networks = await switches.OfFenceAsync(request.Tag, stop);
                return await Task.WhenAll(request.Machines.Select(m => StartAsync(m, request, record, networks, begun, progress, stop)));
            }, $"Starting copies of {request.Environment}/{request.Weave}");
        }
        catch
        {
            foreach (var uuid in begun) await UndoAsync(uuid);
            throw;
        }
    }

    /// <summary>What fails here is found by a repeat, or by the list of what is ours: the error that led to it is worth more.</summary>
    private async Task UndoAsync(Guid uuid)
    {
        try
        {
            await remover.RemoveAsync(uuid, CancellationToken.None);
        }
        catch (WeaveException)
        {
        }
    }

    private async Task<StartedMachine> StartAsync(CopyMachine copy, InstantiateRequest request, CapabilityRecord record, IReadOnlyDictionary<NetworkName, CimPath> networks, ConcurrentBag<Guid> begun, IProgress<Progress>? progress, CancellationToken stop)
    {
        var wanted = request.LeavePaused && copy.RunState == RunState.Running ? RunState.Paused : copy.RunState;
        var there = await context.Machines.FindAsync(copy.Machine, stop);
        if (there is not null && there.RunState != RunState.Off && !(there.State == MachineStates.Saved && wanted == RunState.Running)) return new(copy.Machine.Name, there.RunState, "kept", null, default, default, default);
        var clock = context.Clock;
        var start = clock.GetTimestamp();
        begun.Add(copy.Machine.Uuid);
        if (there is not { State: MachineStates.Saved })
        {
            // What an earlier call has left half made, or a copy that has shut itself down.
            await remover.RemoveAsync(copy.Machine.Uuid, stop);
            there = null;
        }
        if (wanted == RunState.Off) return new(copy.Machine.Name, RunState.Off, "off", null, default, default, default);
        foreach (var head in copy.Heads)
            if (await context.Files.FindAsync(head.Head.Path, stop) is null) throw new WeaveException(Fault.DataLoss, $"The layer {Ids.QuotePath(head.Head.Path)} of machine '{copy.Machine.Name}' is gone.", "Make another weave of the snapshot.");
        progress?.Report(new($"making {copy.Machine.Name}", 0, 0));
        there ??= copy.Memory is null ? await definer.DefineAsync(copy, request, networks, stop) : await importer.ImportAsync(copy, request, networks, record, stop);
        foreach (var head in copy.Heads) await disks.GrantParentsAsync(head.Head.Path, there.Id, stop);
        var (created, loaded) = (clock.GetElapsedTime(start), clock.GetTimestamp());
        if (copy.Memory is not null && wanted == RunState.Paused) return new(copy.Machine.Name, RunState.Paused, "whole", null, created, default, default);
        var outcome = await states.RequestAsync(there.System, StateChange.Start, s => s == MachineStates.Running, context.Options.CopyPatience, stop);
        if (copy.Memory is not null && outcome?.Job?.Find(ConcreteJob.JobType) is { } kind && kind != StateChange.Restores)
            throw new WeaveException(Fault.Internal, $"Hyper-V has booted machine '{copy.Machine.Name}' instead of resuming it from memory (job type {kind}).", "Run the host's self-test again: its record does not fit.");
        var load = clock.GetElapsedTime(loaded);
        if (wanted == RunState.Paused) await states.RequestAsync(there.System, StateChange.Pause, s => s == MachineStates.Paused, context.Options.StatePatience, stop);
        return new(copy.Machine.Name, wanted, copy.Memory is null ? "boot" : "whole", null, created, load, clock.GetElapsedTime(loaded) - load);
    }
}
