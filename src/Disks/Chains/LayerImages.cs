using WeaveHypervisor.Disks.Qcow2;
using WeaveHypervisor.Disks.Raw;
using WeaveHypervisor.Disks.Vhdx;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Disks;

/// <summary>The one place that knows which reader reads which format.</summary>
internal static class LayerImages
{
    /// <summary>Opens one image by itself, in its declared format. NotFound, InvalidRequest (not that format), Unsupported, DataLoss.</summary>
    public static async ValueTask<LayerImage> OpenAsync(string path, DiskFormat format, ChainCaches caches, CancellationToken stop)
    {
        stop.ThrowIfCancellationRequested();
        return format switch
        {
            DiskFormat.Raw => RawImage.Open(path),
            DiskFormat.Qcow2 => Qcow2Image.Open(path, caches),
            DiskFormat.Vhdx => await VhdxImage.OpenAsync(path, caches, stop).ConfigureAwait(false),
            _ => throw new WeaveException(Fault.Internal, $"{Ids.QuotePath(path)} is of the unknown format {format}."),
        };
    }
}
