using LibvirtSharp;
using WeaveHypervisor.Disks;
using WeaveHypervisor.Disks.Chains;
using WeaveHypervisor.Disks.Qcow2;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.Libvirt.Capturing;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt.Returning;

/// <summary>
/// Merges layers down into the file that was adopted, and points the machine at it again. Running machines: virDomainBlockCommit of the active layer with a pivot.
/// Machines that are off: `qemu-img commit`, which writes only into the named base. The base is never below the adopted file, so that a template which others share is not touched.
/// Interrupted at any point, it may be called again.
/// </summary>
internal sealed class VolumeReturner(DriverContext context)
{
    public async Task ReturnAsync(MachineRef machine, IReadOnlyList<ReturnedVolume> volumes, IProgress<Progress>? progress, CancellationToken stop)
    {
        using var domain = await context.Host.GetDomainAsync(machine, stop);
        await context.Host.CallAsync($"give '{machine.HypervisorName}' its disks back", async connection =>
        {
            foreach (var volume in volumes)
            {
                var active = await domain.IsActiveAsync(stop);
                var path = DiskCut.Paths(DomainText.Parse(await domain.GetXmlAsync(cancellationToken: stop))).GetValueOrDefault(volume.Target)
                    ?? throw new WeaveException(Fault.Conflict, $"Machine '{machine.HypervisorName}' has no disk '{volume.Target}' any more.", "Attach it again, then release again.");
                if (path != volume.Adopted.Path)
                {
                    if (volume.Chain.All(l => l.Path != path))
                        throw new WeaveException(Fault.Conflict, $"Disk '{volume.Target}' of '{machine.HypervisorName}' is on '{path}', which is no layer of its chain.", "Put the disk back to the file that `weave show` names.");
                    if (active) await CommitLiveAsync(domain, machine, volume, progress, stop);
                    else await CommitOfflineAsync(volume, path, progress, stop);
                }
                if (await domain.IsPersistentAsync(stop))
                    await DiskCut.RedefineAsync(connection, domain, new Dictionary<string, LayerRef> { [volume.Target] = volume.Adopted }, stop);
            }
        }, stop);
    }

    private async Task CommitLiveAsync(LibvirtDomain domain, MachineRef machine, ReturnedVolume volume, IProgress<Progress>? progress, CancellationToken stop)
    {
        // A job that an earlier call left behind may have another end in mind.
        if (await domain.GetBlockJobInfoAsync(volume.Target, cancellationToken: stop) is not null) await domain.BlockJobAbortAsync(volume.Target, cancellationToken: stop);
        await domain.BlockCommitAsync(volume.Target, volume.Adopted.Path, null, 0, BlockCommitFlags.Active, stop);
        try
        {
            while (true)
            {
                var job = await domain.GetBlockJobInfoAsync(volume.Target, cancellationToken: stop)
                    ?? throw new WeaveException(Fault.DataLoss, $"The merge of '{volume.Target}' of '{machine.HypervisorName}' ended by itself.", "Is the pool full, or the disk broken? Look into the machine's log under /var/log/libvirt/qemu.");
                progress?.Report(new($"merging {machine.Name}/{volume.Volume}", (long)job.Current, (long)job.End));
                // Equal and not zero: the mirror is in step; libvirt refuses the pivot as long as it is not really ready.
                if (job.Current == job.End && job.End > 0 && await TryPivotAsync(domain, volume, stop)) return;
                if (job.End == 0 && await TryPivotAsync(domain, volume, stop)) return;
                await Task.Delay(TimeSpan.FromMilliseconds(20), context.Clock, stop);
            }
        }
        catch (OperationCanceledException)
        {
            await domain.BlockJobAbortAsync(volume.Target, cancellationToken: CancellationToken.None);
            throw;
        }
    }

    private static async Task<bool> TryPivotAsync(LibvirtDomain domain, ReturnedVolume volume, CancellationToken stop)
    {
        try
        {
            await domain.BlockJobAbortAsync(volume.Target, BlockJobAbortFlags.Pivot, stop);
            return true;
        }
        catch (LibvirtException e) when (e.Code is VirErrorCode.BlockCopyActive or VirErrorCode.OperationInvalid)
        {
            return false;
        }
    }

    /// <summary>Commits the live layer and all between it and the adopted file. Repeated after a crash it writes the same clusters again; the definition is changed only afterwards.</summary>
    private static async Task CommitOfflineAsync(ReturnedVolume volume, string live, IProgress<Progress>? progress, CancellationToken stop)
    {
        progress?.Report(new($"merging {volume.Volume}", 0, 0));
        var top = volume.Chain.First(l => l.Path == live);
        // Our own layers name their backing formats; what they say was written by us and is checked again here.
        DiskChainInspector.Inspect(top.Path, top.Format);
        var (exit, _, error, line) = await HostCommand.TryAsync("qemu-img", ["commit", "-q", "-f", Qcow2OverlayWriter.NameOf(top.Format), "-b", volume.Adopted.Path, "-d", top.Path], null, stop, HostCommand.Long);
        if (exit != 0) throw new WeaveException(Fault.DataLoss, $"`{line}` failed: {error.Trim()}", "Is the file system full? Nothing was changed in the machine's definition; release again after that.");
        DurableFile.SyncFile(volume.Adopted.Path);
    }
}
