using WeaveHypervisor.Drivers;
using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Cim.Wrappers;
using WeaveHypervisor.HyperV.Layers;
using WeaveHypervisor.HyperV.Machines;
using WeaveHypervisor.HyperV.Power;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.HyperV.Capturing;

/// <summary>Puts machines back as they were, after captures that went well and after those that did not.</summary>
internal sealed class CaptureCleanup(DriverContext context, DiskFiles disks, LayerKeeper layers, Checkpoints checkpoints, CaptureIntents intents, MachineEditor editor, StateChange states)
{
    private const int Attempts = 5;
    private static readonly TimeSpan Between = TimeSpan.FromSeconds(5);

    /// <summary>Has machines run that ran before: those that are paused or saved now. A service that does not answer is asked again for a while, because machines must not be left standing.</summary>
    public async Task RunOnAsync(IEnumerable<Guid> machines, CancellationToken stop) => await Task.WhenAll(machines.Select(async id =>
    {
        for (var attempt = 1; ; attempt++)
        {
            try
            {
                if (await context.Machines.FindAsync(id, stop) is not { } machine || machine.State is MachineStates.Running or MachineStates.Off) return;
                await states.RequestAsync(machine.System, StateChange.Start, s => s == MachineStates.Running, context.Options.CopyPatience, stop);
                return;
            }
            catch (Exception e) when (attempt < Attempts && e is HostException or CimException or WeaveException)
            {
                await Task.Delay(Between, context.Clock, stop);
            }
        }
    }));

    /// <summary>What a capture has changed of machines is as their users had it, and its folder is gone. Nothing changed: success.</summary>
    public async Task PutBackAsync(SnapshotId snapshot, CancellationToken stop)
    {
        foreach (var before in (await intents.ReadAsync(snapshot, stop))?.Members ?? [])
        {
            if (await context.Machines.FindAsync(before.Machine, stop) is not { } machine) continue;
            if (before.Ran) await RunOnAsync([before.Machine], stop);
            if (machine.Settings.Find(VirtualSystemSettingData.UserSnapshotType) != before.SnapshotType)
                await editor.ChangeAsync(MachineEditor.Of(machine.Settings).With(VirtualSystemSettingData.UserSnapshotType, before.SnapshotType), stop);
        }
        await intents.RemoveAsync(snapshot, stop);
    }

    public Task<IReadOnlyList<HeadReport>> AbandonAsync(CaptureRequest request, CancellationToken stop) => HyperVFaults.AskAsync<IReadOnlyList<HeadReport>>(async () =>
    {
        await PutBackAsync(request.Snapshot, stop);
        var reports = new List<HeadReport>();
        foreach (var machine in request.Machines)
        {
            reports.AddRange(await HeadsAsync(machine, request, stop));
            foreach (var path in machine.States.Select(s => s.Path).Append(machine.FlatPath).Append(machine.DeviceStatePath))
            {
                context.Paths.RequireOurs(path);
                await context.Files.DeleteAsync(path, stop);
            }
        }
        return reports;
    }, "Clearing away after a capture");

    /// <summary>
    /// What the machine writes to: the old head, the new one, or, where the capture died before the new one had its name, a file that stands on the old one by a checkpoint; it gets its name now.
    /// </summary>
    private async Task<IReadOnlyList<HeadReport>> HeadsAsync(CaptureMachine machine, CaptureRequest request, CancellationToken stop)
    {
        HeadReport Report(CaptureVolume volume, LayerRef live) => new(machine.Machine.Name, volume.Volume, live.Id);
        if (!machine.Exists || await context.Machines.FindAsync(machine.Machine, stop) is not { } found)
        {
            // Without a machine nothing can have taken over, unless it was there at the capture and is gone since: then its new head is the last one.
            var reports = new List<HeadReport>();
            foreach (var volume in machine.Volumes)
            {
                var taken = machine.Exists && await context.Files.FindAsync(volume.NewHead.Path, stop) is not null;
                if (!taken) await layers.DeleteAsync([volume.NewHead.Path], stop);
                reports.Add(Report(volume, taken ? volume.NewHead : volume.Head));
            }
            return reports;
        }
        // One that is known by what it froze alone is not known any more when that was folded.
        if (await checkpoints.FindAsync(found, machine.Volumes.Select(v => (v.Target, v.Head.Path)), stop) is { } made && !context.Paths.IsOurCheckpoint(made.Get(VirtualSystemSettingData.ElementName)))
            await checkpoints.NameAsync(made, context.Paths.NameCheckpoint(request.Environment, request.Snapshot), stop);
        var parts = await context.Machines.ReadAsync(found.Settings, stop);
        var answers = new List<HeadReport>();
        foreach (var volume in machine.Volumes)
        {
            var live = parts.Disks.FirstOrDefault(d => d.Target == volume.Target)?.File ?? throw new WeaveException(Fault.Conflict, $"Machine '{found.Name}' has no disk {volume.Target} any more.", "Attach it again, and look at it with `weave doctor`.");
            if (await disks.IsSameAsync(live, volume.Head.Path, stop))
            {
                await layers.DeleteAsync([volume.NewHead.Path], stop);
                answers.Add(Report(volume, volume.Head));
                continue;
            }
            if (!await disks.IsSameAsync(live, volume.NewHead.Path, stop))
            {
                if (await checkpoints.FindAsync(found, [(volume.Target, volume.Head.Path)], stop) is null)
                    throw new WeaveException(Fault.Conflict, $"Disk {volume.Target} of machine '{found.Name}' writes to {Ids.QuotePath(live)}, which is no layer of this capture.", "Look at it with `weave doctor`.");
                await checkpoints.LinkHeadsAsync(found, [volume], stop);
            }
            answers.Add(Report(volume, volume.NewHead));
        }
        return answers;
    }
}
