using WeaveHypervisor.Drivers;
using WeaveHypervisor.HyperV.Agents;
using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Cim.Wrappers;
using WeaveHypervisor.HyperV.Inspecting;
using WeaveHypervisor.HyperV.Layers;
using WeaveHypervisor.HyperV.Machines;
using WeaveHypervisor.HyperV.Power;
using WeaveHypervisor.HyperV.States;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.HyperV.Capturing;

/// <summary>
/// One instant of several machines. A checkpoint freezes a machine's disks, and has its memory where it is to; several are paused together first, where the host makes checkpoints of paused machines (or saves them), so that all are of one
/// instant. Elsewhere each is of its own, and the skew is told. What the host calls the new layers is given our names; memory and firmware state are taken afterwards, while the machines run.
/// </summary>
internal sealed class CaptureRun(DriverContext context, DiskFiles disks, LayerKeeper layers, StateKeeper firmware, GuestSigns signs, GuestNetworks guests, HostSwitches switches, Checkpoints checkpoints, MemoryRoutes routes, CaptureCleanup cleanup, CaptureIntents intents, MachineEditor editor, StateChange states)
{
    public async Task<CaptureResult> RunAsync(CaptureRequest request, IProgress<Progress>? progress, CancellationToken stop)
    {
        stop.ThrowIfCancellationRequested();
        return await HyperVFaults.AskAsync(async () =>
        {
            var record = await context.Record.ReadAsync(stop);
            var members = new List<CaptureMember>();
            foreach (var machine in request.Machines.Where(m => m.Exists)) members.Add(await ReadAsync(machine, stop));
            foreach (var member in members) await PlanAsync(member, request, record, stop);
            await intents.WriteAsync(request.Snapshot, new([.. members.Select(m => new MemberBefore(m.Machine.Id, m.Ran, m.Machine.Settings.Find(VirtualSystemSettingData.UserSnapshotType) ?? Checkpoints.ProductionOrStandard))]), stop);
            var at = context.Clock.GetUtcNow();
            try
            {
                foreach (var member in members) await PrepareAsync(member, request, record, stop);
                progress?.Report(new("freezing disks", 0, 0));
                await CutAsync(request, members, record, stop);
                at = members.Where(m => m.Still is not null).Select(m => m.Still!.Value).DefaultIfEmpty(context.Clock.GetUtcNow()).Max();
            }
            finally
            {
                // Machines run on whatever happens, also where nobody waits for this any more.
                await cleanup.RunOnAsync(members.Where(m => m.Ran && m.Pause == TimeSpan.Zero).Select(m => m.Machine.Id), CancellationToken.None);
            }
            foreach (var member in members)
            {
                progress?.Report(new($"writing memory of {member.Request.Machine.Name}", 0, 0));
                await FinishAsync(member, request, stop);
            }
            var captured = members.ConvertAll(m => Tell(m, request));
            foreach (var machine in request.Machines.Where(m => !m.Exists)) captured.Add(await CaptureGoneAsync(machine, request, stop));
            await cleanup.PutBackAsync(request.Snapshot, stop);
            captured = [.. request.Machines.Select(r => captured.Single(c => c.Name == r.Machine.Name))];
            for (var i = 0; i < members.Count; i++) await AddAddressesAsync(members[i], captured, stop);
            return new CaptureResult(at, Consistencies.Of(request, captured), Skew(members), captured);
        }, "Capturing machines");
    }

    private async Task<CaptureMember> ReadAsync(CaptureMachine machine, CancellationToken stop)
    {
        var found = await context.Machines.FindAsync(machine.Machine, stop)
            ?? throw new WeaveException(Fault.NotFound, $"Machine '{machine.Machine.HypervisorName}' is not there.", "Look at the host with `weave doctor`.");
        if (MachineStates.IsCritical(found.State)) throw new WeaveException(Fault.Conflict, $"Machine '{found.Name}' was stopped by Hyper-V in a critical state.", "Look at its storage, and resume it.");
        var parts = await context.Machines.ReadAsync(found.Settings, stop);
        foreach (var volume in machine.Volumes)
        {
            context.Paths.RequireOurs(volume.NewHead.Path);
            if (parts.Disks.FirstOrDefault(d => d.Target == volume.Target) is not { } disk || !await disks.IsSameAsync(disk.File, volume.Head.Path, stop))
                throw new WeaveException(Fault.Conflict, $"Disk {volume.Target} of machine '{found.Name}' does not write to {Ids.QuotePath(volume.Head.Path)}, as it should.", "Look at it with `weave doctor`.");
        }
        return new(machine, found, parts);
    }

    /// <summary>By which way, and what can be reached.</summary>
    private async Task PlanAsync(CaptureMember member, CaptureRequest request, CapabilityRecord record, CancellationToken stop)
    {
        if (member.Before == RunState.Off)
        {
            if (member.Machine.State == MachineStates.Saved) member.Reason = "It is saved: what it had in memory is no part of this.";
            if (request.Quiesce) member.Quiescing = new(QuiesceOutcome.NotRunning, Reason: "It is off.");
            return;
        }
        if (request.Memory)
        {
            member.Route = record.Route(context.Options.AllowOutage);
            // Whoever has paused it wants it to stay so: nothing may run, not even for a moment.
            if (member.Route == CaptureRoute.Saved && member.Machine.State == MachineStates.Paused) member.Route = CaptureRoute.Flat;
            if (member.Route is null) member.Reason = "No way is known by which a copy would resume from memory on this host; `weave doctor` says more.";
        }
        if (member.Machine.State == MachineStates.Paused && record is { TestedAt: not null, ChecksPaused: false })
            throw new WeaveException(Fault.Conflict, $"Machine '{member.Machine.Name}' is paused, and this host makes no checkpoints of paused machines.", "Resume it, or shut it down.");
        if (!request.Quiesce) return;
        if (member.Route is not null) member.Quiescing = new(QuiesceOutcome.MemoryCaptured);
        else if (member.Before == RunState.Paused) member.Quiescing = new(QuiesceOutcome.NotRunning, Reason: "It is paused.");
        else if (await signs.AskAsync(member.Machine, stop) is { State: not AgentCondition.Answers } silent)
            member.Quiescing = new(silent.State switch { AgentCondition.NoChannel => QuiesceOutcome.NoChannel, AgentCondition.NotConnected => QuiesceOutcome.NotConnected, AgentCondition.Silent => QuiesceOutcome.TimedOut, _ => QuiesceOutcome.Refused }, Reason: silent.Reason);
    }

    /// <summary>Standard checkpoints have memory; others are asked of the guest, and are standard where it does not answer.</summary>
    private async Task PrepareAsync(CaptureMember member, CaptureRequest request, CapabilityRecord record, CancellationToken stop)
    {
        await editor.SetMergesAsync(member.Machine, false, stop);
        var wanted = member.Before == RunState.Off ? (ushort?)null : member.Route is not null ? Checkpoints.Standard : request.Quiesce && record.Production == ProductionRequest.ByType ? null : Checkpoints.ProductionOrStandard;
        if (wanted is { } type && member.Machine.Settings.Find(VirtualSystemSettingData.UserSnapshotType) != type) await editor.ChangeAsync(MachineEditor.Of(member.Machine.Settings).With(VirtualSystemSettingData.UserSnapshotType, type), stop);
        foreach (var volume in member.Request.Volumes) await context.Paths.EnsureFolderOfAsync(volume.NewHead.Path, stop);
    }

    private async Task CutAsync(CaptureRequest request, IReadOnlyList<CaptureMember> members, CapabilityRecord record, CancellationToken stop)
    {
        var running = members.Where(m => m.Ran).ToList();
        var saved = running.Where(m => m.Route == CaptureRoute.Saved).ToList();
        // A barrier: all stand still before the first is frozen. Guests that are to be asked must run.
        var barrier = running.Count > 1 && running.TrueForAll(m => m.Route == CaptureRoute.Saved ? record.SavesPaused : record.ChecksPaused && !Asks(m, request));
        foreach (var member in running) member.Asked = context.Clock.GetUtcNow();
        if (barrier) await Task.WhenAll(running.Select(m => StandStillAsync(m, StateChange.Pause, MachineStates.Paused, stop)));
        await Task.WhenAll(saved.Select(m => StandStillAsync(m, StateChange.Save, MachineStates.Saved, stop)));
        await Task.WhenAll(members.Select(m => FreezeAsync(m, request, record, stop)));
        // With a barrier nobody runs, and sends, before all are frozen.
        await cleanup.RunOnAsync(running.Select(m => m.Machine.Id), stop);
        foreach (var member in running) member.Pause = context.Clock.GetUtcNow() - member.Asked!.Value;
    }

    private static bool Asks(CaptureMember member, CaptureRequest request) => request.Quiesce && member.Quiescing is null;

    private async Task StandStillAsync(CaptureMember member, ushort change, ushort state, CancellationToken stop)
    {
        await states.RequestAsync(member.Machine.System, change, s => s == state, context.Options.CopyPatience, stop);
        member.Still ??= context.Clock.GetUtcNow();
    }

    private async Task FreezeAsync(CaptureMember member, CaptureRequest request, CapabilityRecord record, CancellationToken stop)
    {
        var begun = context.Clock.GetUtcNow();
        if (member.Route == CaptureRoute.Saved)
        {
            member.Export = ExportOf(request, member);
            await routes.ExportSavedAsync(member, member.Export, stop);
        }
        var type = Asks(member, request) && record.Production == ProductionRequest.ByType ? Checkpoints.DisksOnly : Checkpoints.Full;
        member.Checkpoint = await checkpoints.MakeAsync(member, type, stop);
        var done = context.Clock.GetUtcNow();
        member.Still ??= done;
        if (Asks(member, request))
            // What is without memory although the machine ran was made with the guest's help.
            member.Quiescing = member.Checkpoint.Find(VirtualSystemSettingData.IsSaved) is true ? new(QuiesceOutcome.Refused, Reason: "The guest could not be asked to freeze its file systems: Hyper-V has made a standard checkpoint.")
                : new(QuiesceOutcome.Frozen, Frozen: done - begun);
    }

    private string ExportOf(CaptureRequest request, CaptureMember member) => HostPath.Join(intents.FolderOf(request.Snapshot), member.Machine.Id.ToString("N"));

    /// <summary>Names, firmware state and memory of what is frozen.</summary>
    private async Task FinishAsync(CaptureMember member, CaptureRequest request, CancellationToken stop)
    {
        await checkpoints.LinkHeadsAsync(member.Machine, member.Request.Volumes, stop);
        await checkpoints.NameAsync(member.Checkpoint!, context.Paths.NameCheckpoint(request.Environment, request.Snapshot), stop);
        foreach (var state in member.Request.States.Where(s => s.Kind == StateKind.Nvram))
            if (await firmware.CaptureAsync(member.Checkpoint!, state.Path, stop) is { } kept) member.States.Add(kept);
        if (member.Route is null || member.Before == RunState.Off) return;
        await routes.TakeAsync(member, member.Export ?? ExportOf(request, member), stop);
    }

    private CapturedMachine Tell(CaptureMember member, CaptureRequest request) =>
        new(member.Request.Machine.Name, member.Before, member.Memory, member.Method, member.Reason, member.Pause, []) { States = member.States, Quiescing = request.Quiesce ? member.Quiescing : null };

    private async Task AddAddressesAsync(CaptureMember member, List<CapturedMachine> captured, CancellationToken stop)
    {
        var at = captured.FindIndex(c => c.Name == member.Request.Machine.Name);
        var said = await guests.ReadAsync(member.Machine, stop);
        var names = (await switches.ListAsync(stop)).ToLookup(s => s.Path);
        captured[at] = captured[at] with
        {
            Nics = [.. from nic in member.Parts.Nics
                where nic.Switch is not null
                let name = names[nic.Switch!].FirstOrDefault() is { } found ? found.Mark is { Kind: Owned.MarkKind.Switch } mark ? mark.Name : Examining.Examiner.Label(found.Name) : null
                where name is not null && NetworkName.TryCreate(name, out _)
                select new NicBlueprint(nic.Mac, NetworkName.Parse(name), [.. GuestNetworks.Of(said, nic)?.Addresses.Select(a => a.Address) ?? []])],
        };
    }

    /// <summary>A copy that is off has no machine: its layers alone are made.</summary>
    private async Task<CapturedMachine> CaptureGoneAsync(CaptureMachine machine, CaptureRequest request, CancellationToken stop)
    {
        foreach (var volume in machine.Volumes) await layers.CreateOverlayAsync(volume.NewHead, volume.Head, stop);
        var kept = new List<StateFile>();
        foreach (var state in machine.States.Where(s => s.Own is not null))
            if (await firmware.CopyAsync(state.Own!, state.Path, stop) is { } copied) kept.Add(copied with { Kind = state.Kind });
        return new(machine.Machine.Name, RunState.Off, null, "off", null, TimeSpan.Zero, []) { States = kept, Quiescing = request.Quiesce ? new(QuiesceOutcome.NotRunning, Reason: "It is off.") : null };
    }

    private static TimeSpan Skew(IReadOnlyList<CaptureMember> members)
    {
        var still = members.Where(m => m.Ran && m.Still is not null).Select(m => m.Still!.Value).ToList();
        return still.Count == 0 ? TimeSpan.Zero : still.Max() - still.Min();
    }
}
