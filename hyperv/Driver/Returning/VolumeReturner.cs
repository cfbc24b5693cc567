using System.Text;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Cim.Wrappers;
using WeaveHypervisor.HyperV.Folding;
using WeaveHypervisor.HyperV.Layers;
using WeaveHypervisor.HyperV.Machines;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.HyperV.Returning;

/// <summary>
/// Gives an adopted machine its own disks back. Its checkpoints that froze layers of ours are removed, and the host merges what stands on them down into the adopted file, whether the machine runs or not. What the host does
/// not merge by itself, because a disk was attached anew meanwhile, is merged by a call while the machine is off. Interrupted at any point, it may be called again.
/// </summary>
internal sealed class VolumeReturner(DriverContext context, DiskFiles disks, MachineLayers machines)
{
    private static readonly TimeSpan Pace = TimeSpan.FromSeconds(1);
    /// <summary>Looks at a host that seems to have nothing to merge, before that is believed.</summary>
    private const int MostIdle = 15;
    private readonly VirtualHardware _hardware = new(context);

    /// <inheritdoc cref="IHypervisorDriver.ReturnVolumesAsync"/>
    public Task ReturnAsync(MachineRef machine, IReadOnlyList<ReturnedVolume> volumes, IProgress<Progress>? progress, CancellationToken stop) => HyperVFaults.DoAsync(async () =>
    {
        var found = await context.Machines.FindAsync(machine, stop) ?? throw new WeaveException(Fault.NotFound, $"Machine '{machine.HypervisorName}' is not there.", "Look at the host with `weave doctor`.");
        if ((await LeftAsync(found, volumes, stop)).Count > 0) await RequireAloneAsync(found, volumes, stop);
        var points = await OursAsync(found, volumes, stop);
        // Also where none of ours is left: somebody else may have removed them while merging was off. And what the user's own checkpoints need later is his.
        await machines.LetMergeAsync(found, true, stop);
        foreach (var point in points) await machines.RemovePointAsync(found, point, stop);
        await MergeAsync(found, volumes, progress, stop);
    }, $"Giving '{machine.HypervisorName}' its disks back");

    /// <summary>Volumes whose machine does not use the adopted file yet, with what it uses. Conflict where that is none of their layers.</summary>
    private async Task<IReadOnlyList<(ReturnedVolume Volume, MachineDisk Disk)>> LeftAsync(HostMachine found, IReadOnlyList<ReturnedVolume> volumes, CancellationToken stop)
    {
        var left = new List<(ReturnedVolume, MachineDisk)>();
        foreach (var volume in volumes)
            if (await FindAsync(found, volume, stop) is { } disk) left.Add((volume, disk));
        return left;
    }

    private async Task<MachineDisk?> FindAsync(HostMachine found, ReturnedVolume volume, CancellationToken stop)
    {
        for (var look = 0; ; look++)
        {
            var disk = (await context.Machines.ReadAsync(found.Settings, stop)).Disks.FirstOrDefault(d => d.Target == volume.Target) ?? throw new WeaveException(Fault.Conflict, $"Machine '{found.Name}' has no disk '{volume.Target}' any more.", "Attach it again, then release again.");
            if (await disks.IsSameAsync(disk.File, volume.Adopted.Path, stop)) return null;
            if (await IsMergedAsync(found, disk, stop) || await machines.IsAmongAsync(disk.File, volume.Chain.Select(l => l.Path), stop)) return disk;
            // The host may have merged it between two looks.
            if (look == MostIdle || await context.Files.FindAsync(disk.File, stop) is not null)
                throw new WeaveException(Fault.Conflict, $"Disk '{volume.Target}' of '{found.Name}' is on {Ids.QuotePath(disk.File)}, which is no layer of its chain.", "Put the disk back to the file that `weave show` names.");
            await Task.Delay(Pace, context.Clock, stop);
        }
    }

    /// <summary>Nobody else's disks stand on what is written or goes away: the host would not ask.</summary>
    private async Task RequireAloneAsync(HostMachine found, IReadOnlyList<ReturnedVolume> volumes, CancellationToken stop)
    {
        var others = (await machines.UsersAsync([.. volumes.SelectMany(v => v.Chain.Append(v.Adopted)).Select(l => l.Path)], stop)).Where(m => m.Id != found.Id).Select(m => m.Name).ToList();
        if (others.Count > 0)
            throw new WeaveException(Fault.Conflict, $"The disks of '{found.Name}' cannot be merged: {string.Join(", ", others.Select(o => $"'{o}'"))} stand{(others.Count == 1 ? "s" : "")} on the same layers.", "Delete those machines first.", holders: others);
    }

    /// <summary>Checkpoints of ours, by their name or by what they froze. Conflict where one holds a layer of a volume that is not returned: the host merges all disks of a checkpoint.</summary>
    private async Task<IReadOnlyList<FrozenPoint>> OursAsync(HostMachine found, IReadOnlyList<ReturnedVolume> volumes, CancellationToken stop)
    {
        var ours = new List<FrozenPoint>();
        foreach (var point in await machines.PointsAsync(found, stop))
        {
            var isOurs = context.Paths.IsOurCheckpoint(point.Settings.Get(VirtualSystemSettingData.ElementName));
            foreach (var volume in isOurs ? [] : volumes)
                if (point.Parts.Disks.FirstOrDefault(d => d.Target == volume.Target) is { } frozen) isOurs |= await machines.IsAmongAsync(frozen.File, volume.Chain.Append(volume.Adopted).Select(l => l.Path), stop);
            if (isOurs) ours.Add(point);
        }
        var live = (await context.Machines.ReadAsync(found.Settings, stop)).Disks;
        foreach (var frozen in ours.SelectMany(p => p.Parts.Disks).Where(d => volumes.All(v => v.Target != d.Target)))
            if (live.FirstOrDefault(d => d.Target == frozen.Target) is { } disk && context.Paths.IsOurs(await disks.NameAsync(disk.File, stop)))
                throw new WeaveException(Fault.Conflict, $"Disk '{frozen.Target}' of '{found.Name}' is held by the same checkpoints and is not among those that are given back.", "Give all volumes of the machine back together.");
        return ours;
    }

    /// <summary>Waits for the host's merges; ends what it leaves.</summary>
    private async Task MergeAsync(HostMachine found, IReadOnlyList<ReturnedVolume> volumes, IProgress<Progress>? progress, CancellationToken stop)
    {
        var begun = context.Clock.GetTimestamp();
        for (var idle = 0; ; idle = await machines.IsMergingAsync(found, stop) ? 0 : idle + 1)
        {
            var left = await LeftAsync(found, volumes, stop);
            if (left.Count == 0) return;
            progress?.Report(new($"merging {string.Join(", ", left.Select(l => l.Volume.Volume.Text))} of {found.Name}", 0, 0));
            if (context.Clock.GetElapsedTime(begun) > context.Options.CopyPatience)
                throw new WeaveException(Fault.Unavailable, $"Hyper-V did not merge the disks of '{found.Name}' in {context.Options.CopyPatience}; it may be at it still.", "Look into its event log (Hyper-V-VMMS-Admin), then release again.");
            if (idle >= MostIdle || await IsMergedAsync(found, left[0].Disk, stop))
            {
                await MergeOffAsync(found, left[0].Volume, left[0].Disk, stop);
                continue;
            }
            await Task.Delay(Pace, context.Clock, stop);
        }
    }

    private string MarkerOf(HostMachine found, MachineDisk disk) => HostPath.Join(context.Paths.Work, $"merge.{found.Id:N}.{disk.Target}");

    /// <summary>A merge by us has ended, and its machine does not say so yet: the merged file is gone, and the marker of that very merge is there.</summary>
    private async Task<bool> IsMergedAsync(HostMachine found, MachineDisk disk, CancellationToken stop) =>
        await context.Files.FindAsync(disk.File, stop) is null && await context.Files.ReadAsync(MarkerOf(found, disk), stop) is { } bytes && HostPath.Comparer.Equals(Encoding.UTF8.GetString(bytes), disk.File);

    private async Task MergeOffAsync(HostMachine found, ReturnedVolume volume, MachineDisk disk, CancellationToken stop)
    {
        if (await context.Machines.FindAsync(found.Id, stop) is var now && now is not { State: MachineStates.Off })
            throw new WeaveException(Fault.Conflict, $"Hyper-V does not merge disk '{disk.Target}' of '{found.Name}' by itself, and it is merged only while the machine is off.",
                $"{(now is { State: MachineStates.Saved } ? "It is saved: start it, shut" : "Shut")} it down, then release again.");
        await context.UntilAsync($"Merging '{disk.Target}' of '{found.Name}'", async () =>
        {
            if (await IsMergedAsync(found, disk, stop)) return true;
            var chain = await disks.ChainAsync(disk.File, stop);
            var names = (await context.Files.NamesAsync(volume.Adopted.Path, stop)).Append(volume.Adopted.Path).ToHashSet(HostPath.Comparer);
            var adopted = chain.FirstOrDefault(names.Contains) ?? throw new WeaveException(Fault.DataLoss, $"Disk '{disk.Target}' of '{found.Name}' does not stand on {Ids.QuotePath(volume.Adopted.Path)}.", "Look at it with `weave doctor`.");
            await context.Files.CreateFolderAsync(context.Paths.Work, stop);
            await context.Files.WriteAsync(MarkerOf(found, disk), Encoding.UTF8.GetBytes(disk.File), stop);
            await context.Jobs.RunAsync(await context.Services.ImagesAsync(stop), ImageManagementService.MergeVirtualHardDisk(adopted, disk.File), context.Options.CopyPatience, stop);
            return false;
        }, stop);
        await context.UntilAsync($"Pointing '{disk.Target}' of '{found.Name}'", async () =>
        {
            if ((await context.Machines.ReadAsync(found.Settings, stop)).Disks.FirstOrDefault(d => d.Target == disk.Target) is not { } now || HostPath.Comparer.Equals(now.File, volume.Adopted.Path)) return true;
            await _hardware.PointAsync(now, volume.Adopted.Path, stop);
            return false;
        }, stop);
        await context.Files.DeleteAsync(MarkerOf(found, disk), stop);
    }
}
