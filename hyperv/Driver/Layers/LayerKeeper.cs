using WeaveHypervisor.Disks.Vhdx;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Cim.Wrappers;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.HyperV.Layers;

/// <summary>Makes, measures and deletes files of layers. All paths are the host's.</summary>
internal sealed class LayerKeeper(DriverContext context, DiskFiles disks)
{
    /// <summary>Of differencing disks that Hyper-V makes.</summary>
    private const int BlockBytes = 2 << 20;
    private static readonly TimeSpan Deadline = TimeSpan.FromMinutes(5);

    /// <summary>
    /// An empty layer, made by the host. Guests know disks by their ids (SCSI page 83), and resumed ones may have them in memory: the layer gets its parent's. There already on the same parent: success.
    /// </summary>
    public async Task CreateOverlayAsync(LayerRef layer, LayerRef parent, CancellationToken stop)
    {
        context.Paths.RequireOurs(layer.Path);
        await HyperVFaults.DoAsync(async () =>
        {
            if (!await IsThereAsync(layer, parent, stop))
            {
                await context.Files.CreateFolderAsync(HostPath.Folder(layer.Path), stop);
                try
                {
                    await context.Jobs.RunAsync(await context.Services.ImagesAsync(stop), ImageManagementService.CreateVirtualHardDisk(DiskFiles.LayerOn(parent.Path, layer.Path)), Deadline, stop);
                }
                catch (HostException e) when (e.Kind == HostErrorKind.OutcomeUnknown)
                {
                    await AppearsAsync(layer, parent, e, stop);
                }
            }
            var (own, above) = (await disks.ReadAsync(layer.Path, stop), await disks.ReadAsync(parent.Path, stop));
            var id = above.Get(VirtualHardDiskSettingData.VirtualDiskId);
            if (id is null || id.Equals(own.Get(VirtualHardDiskSettingData.VirtualDiskId), StringComparison.OrdinalIgnoreCase)) return;
            var settings = new CimObject(VirtualHardDiskSettingData.ClassName).With(VirtualHardDiskSettingData.Path, layer.Path).With(VirtualHardDiskSettingData.VirtualDiskId, id);
            await context.Jobs.RunAsync(await context.Services.ImagesAsync(stop), ImageManagementService.SetVirtualHardDiskSettingData(settings), Deadline, stop);
        }, $"Making a layer on {parent.Path}");
    }

    /// <summary>Whether a call whose answer was lost has made the layer, or does so in the next half minute.</summary>
    private async Task AppearsAsync(LayerRef layer, LayerRef parent, HostException lost, CancellationToken stop)
    {
        for (var look = 0; look < 30; look++)
        {
            await Task.Delay(TimeSpan.FromSeconds(1), context.Clock, stop);
            try
            {
                if (await IsThereAsync(layer, parent, stop)) return;
            }
            catch (HostException e) when (e.Kind is HostErrorKind.Unavailable)
            {
                // The service is still coming up.
            }
        }
        throw lost;
    }

    /// <summary>A layer with content, written by us: whole or absent.</summary>
    public async Task WriteLayerAsync(LayerRef layer, LayerRef parent, LayerContent content, IProgress<Progress>? progress, CancellationToken stop)
    {
        context.Paths.RequireOurs(layer.Path);
        if (await HyperVFaults.AskAsync(() => IsThereAsync(layer, parent, stop), $"Looking for {layer.Path}")) return;
        await HyperVFaults.DoAsync(() => context.Files.CreateFolderAsync(HostPath.Folder(layer.Path), stop), $"Making the folder of {layer.Path}");
        var on = await HyperVFaults.AskAsync(() => disks.OpenedAsAsync(parent.Path, stop), $"Looking for {parent.Path}");
        var below = await VhdxFacts.ReadAsync(context.Files.Local(on), stop);
        var shape = new VhdxShape(layer.VirtualSize, context.Files.Local(on), BlockBytes, below.LogicalSectorBytes, below.PhysicalSectorBytes, VirtualDiskId: below.VirtualDiskId);
        var told = progress is null ? null : new WrittenBytes(progress, "writing a layer", content.Bytes);
        await VhdxWriter.WriteAsync(context.Files.Local(layer.Path), shape, content.Ranges, content.Read, content.Below, told, stop);
    }

    /// <summary>
    /// True where the layer is there and stands on the parent as it is now. A file that is no disk was left half made by a call that died, and is removed. AlreadyExists where it stands on something else.
    /// </summary>
    private async Task<bool> IsThereAsync(LayerRef layer, LayerRef parent, CancellationToken stop)
    {
        if (await context.Files.FindAsync(layer.Path, stop) is null) return false;
        VhdxFacts own;
        try
        {
            own = await VhdxFacts.ReadAsync(context.Files.Local(layer.Path), stop);
        }
        catch (WeaveException e) when (e.Fault is Fault.InvalidRequest or Fault.DataLoss)
        {
            await context.Files.DeleteAsync(layer.Path, stop);
            return false;
        }
        var below = await VhdxFacts.ReadAsync(context.Files.Local(parent.Path), stop);
        if (own.ParentLinkage == below.DataWriteId) return true;
        throw new WeaveException(Fault.AlreadyExists, $"{Ids.QuotePath(layer.Path)} is there already and stands on another file than {Ids.QuotePath(parent.Path)}.", "Look at it with `weave doctor`.");
    }

    public async Task<IReadOnlyList<bool>> AreThereAsync(IReadOnlyList<string> paths, CancellationToken stop) => await HyperVFaults.AskAsync(async () =>
    {
        var there = new List<bool>(paths.Count);
        foreach (var path in paths) there.Add(HostPath.IsAbsolute(path) && await context.Files.FindAsync(path, stop) is { IsFolder: false });
        return there;
    }, "Looking for files");

    public Task<IReadOnlyList<long?>> MeasureAsync(IReadOnlyList<string> paths, CancellationToken stop) => HyperVFaults.AskAsync<IReadOnlyList<long?>>(async () =>
    {
        var bytes = new List<long?>(paths.Count);
        foreach (var path in paths) bytes.Add(HostPath.IsAbsolute(path) ? await context.Files.MeasureAsync(path, stop) : null);
        return bytes;
    }, "Measuring files");

    /// <summary>
    /// Deletes files of ours under all their names: a layer that Hyper-V has named itself has two. Hyper-V's own name goes first, so that a repeat finds what is left.
    /// </summary>
    public async Task DeleteAsync(IReadOnlyList<string> paths, CancellationToken stop)
    {
        foreach (var path in paths) context.Paths.RequireOurs(path);
        foreach (var path in paths)
            await HyperVFaults.DoAsync(async () =>
            {
                foreach (var name in (await context.Files.NamesAsync(path, stop)).Where(n => !context.Paths.IsOurs(n) && DiskFiles.IsHypervisorsName(n))) await context.Files.DeleteAsync(name, stop);
                await context.Files.DeleteAsync(path, stop);
                await RemoveEmptyFoldersAsync(path, stop);
            }, $"Deleting {path}");
    }

    /// <summary>Folders of a file of ours that are empty now, up to the environment's.</summary>
    private async Task RemoveEmptyFoldersAsync(string path, CancellationToken stop)
    {
        for (var folder = HostPath.Folder(path); HostPath.IsBelow(folder, context.Paths.Environments); folder = HostPath.Folder(folder))
        {
            if ((await context.Files.ListAsync(folder, false, stop)).Count > 0) return;
            await context.Files.DeleteAsync(folder, stop);
        }
    }
}
