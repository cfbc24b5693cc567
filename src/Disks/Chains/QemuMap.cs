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
        await foreach (var batch in ReadBatchesAsync(chain, stop).ConfigureAwait(false))
            for (var i = 0; i < batch.Length; i++) yield return batch.Span[i];
    }

    /// <summary>The same, many at a time. A batch holds until the next one is asked for.</summary>
    public static async IAsyncEnumerable<ReadOnlyMemory<QemuMapEntry>> ReadBatchesAsync(DiskChain chain, [EnumeratorCancellation] CancellationToken stop)
    {
        var entries = Array.Empty<QemuMapEntry>();
        await foreach (var batch in chain.ExtentBatchesAsync(0, chain.Capacity, chain.Layers.Count, stop).ConfigureAwait(false))
        {
            var count = Convert(chain.Layers, batch.Span, ref entries);
            yield return entries.AsMemory(0, count);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static int Convert(IReadOnlyList<ChainLayer> layers, ReadOnlySpan<ChainExtent> extents, ref QemuMapEntry[] entries)
    {
        var count = 0;
        foreach (ref readonly var extent in extents)
        {
            // One extent may be as many entries as there are layers.
            if (entries.Length < count + layers.Count) Array.Resize(ref entries, 2 * (count + layers.Count));
            if (extent.Layer >= 0)
            {
                entries[count++] = new(extent.Offset, extent.Length, extent.Layer, true, extent.IsZero, !extent.IsZero || extent.IsHole, extent.FileOffset < 0 ? null : extent.FileOffset);
                continue;
            }
            // QEMU goes down as long as there is a layer that reaches so far.
            for (var at = extent.Offset; at < extent.End;)
            {
                var (depth, end) = (0, extent.End);
                while (depth + 1 < layers.Count && at < layers[depth + 1].Capacity) end = Math.Min(end, layers[++depth].Capacity);
                entries[count++] = new(at, end - at, depth, false, true, false, extent.FileOffset < 0 ? null : extent.FileOffset + (at - extent.Offset));
                at = end;
            }
        }
        return count;
    }
}
