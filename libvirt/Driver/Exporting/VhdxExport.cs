using System.Runtime.CompilerServices;
using WeaveHypervisor.Disks;
using WeaveHypervisor.Disks.Chains;
using WeaveHypervisor.Disks.Vhdx;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt.Exporting;

/// <summary>VHDX images of frozen layers, by our own reader and writer: of all that a chain holds, and of nothing that reads as zeroes.</summary>
internal static class VhdxExport
{
    /// <summary>Bytes of a block: the smallest that there are, because a block with one byte in it takes all its space in a box.</summary>
    private const int Block = 1 << 20;
    /// <summary>Bytes at most of headers, log, regions and metadata (4 MiB), and of the table: 8 for each block, one more for each 4096 of them, in whole MiB.</summary>
    private static long Frame(long capacity) => (5L << 20) + (capacity / Block + 1) * 9;

    public static async Task<long> MeasureAsync(LayerRef layer, CancellationToken stop)
    {
        await using var chain = await OpenAsync(layer, stop);
        long blocks = 0, next = 0;
        await foreach (var range in RangesAsync(chain, stop))
        {
            var (first, last) = (Math.Max(range.Offset / Block, next), (range.Offset + range.Length - 1) / Block);
            blocks += Math.Max(0, last - first + 1);
            next = last + 1;
        }
        return Frame(chain.Capacity) + blocks * Block;
    }

    public static async Task WriteAsync(LayerRef layer, string path, IProgress<Progress>? progress, CancellationToken stop)
    {
        await using var chain = await OpenAsync(layer, stop);
        long all = 0;
        await foreach (var range in RangesAsync(chain, stop)) all += range.Length;
        // The writer never writes over a file; what is replaced was an image of ours, or is whatever the caller names.
        DurableFile.Delete(path);
        await VhdxWriter.WriteAsync(path, new(chain.Capacity, BlockBytes: Block), RangesAsync(chain, stop), chain.ReadAsync, null, progress is null ? null : new WrittenBytes(progress, $"writing an image of layer {layer.Id}", all), stop);
    }

    private static ValueTask<DiskChain> OpenAsync(LayerRef layer, CancellationToken stop)
    {
        var files = DiskChainInspector.Inspect(layer.Path, layer.Format);
        return DiskChain.OpenAsync(layer.Path, layer.Format, new CatalogueLocator(files.ToDictionary(f => f.Path, f => f.Format)), stop);
    }

    private static async IAsyncEnumerable<DiskRange> RangesAsync(DiskChain chain, [EnumeratorCancellation] CancellationToken stop)
    {
        await foreach (var extent in chain.ExtentsAsync(0, chain.Capacity, stop))
            if (!extent.IsZero) yield return new(extent.Offset, extent.Length);
    }
}
