using System.Runtime.CompilerServices;

namespace WeaveHypervisor.Disks;

/// <summary>An entry of what `qemu-img map --output=json` prints.</summary>
/// <param name="Depth">The layer that was asked last: 0 is the top.</param>
/// <param name="Present">A layer says something of the range.</param>
/// <param name="Offset">Place in that layer's file; null where there is none.</param>
public readonly record struct QemuMapEntry(long Start, long Length, int Depth, bool Present, bool Zero, bool Data, long? Offset);

/// <summary>The map of a chain in QEMU's terms, equal to those of qemu-img 7.2 (tested).</summary>
public static class QemuMap
{
    /// <summary>All of the disk; see <see cref="DiskChain.ExtentsAsync(long, long, CancellationToken)"/>.</summary>
    public static async IAsyncEnumerable<QemuMapEntry> ReadAsync(DiskChain chain, [EnumeratorCancellation] CancellationToken stop)
    {
        await foreach (var batch in chain.ExtentBatchesAsync(0, chain.Capacity, chain.Layers.Count, stop).ConfigureAwait(false))
            for (var i = 0; i < batch.Length; i++)
            {
                var extent = batch.Span[i];
                if (extent.Layer >= 0)
                {
                    yield return new(extent.Offset, extent.Length, extent.Layer, true, extent.IsZero, !extent.IsZero || extent.IsHole, extent.FileOffset < 0 ? null : extent.FileOffset);
                    continue;
                }
                // QEMU goes down as long as there is a layer that reaches so far.
                for (var at = extent.Offset; at < extent.End;)
                {
                    var (depth, end) = (0, extent.End);
                    while (depth + 1 < chain.Layers.Count && at < chain.Layers[depth + 1].Capacity) end = Math.Min(end, chain.Layers[++depth].Capacity);
                    yield return new(at, end - at, depth, false, true, false, extent.FileOffset < 0 ? null : extent.FileOffset + (at - extent.Offset));
                    at = end;
                }
            }
    }
}
