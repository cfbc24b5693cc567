using System.Buffers;
using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace WeaveHypervisor.Disks.Qcow2;

/// <summary>Reads refcounts (docs/interop/qcow2.rst, "Host cluster management"): the refcount table in windows, one refcount block at a time.</summary>
internal sealed class RefcountReader(ImageFile file, Qcow2Geometry geometry)
{
    /// <summary>Bits 9 to 63 of a refcount table entry.</summary>
    public const ulong OffsetMask = ~0x1ffUL;
    private const int WindowBytes = 64 << 10;

    /// <summary>Refcounts of a block, which is one cluster.</summary>
    public long PerBlock { get; } = (long)geometry.ClusterSize * 8 / geometry.Header.RefcountBits;

    /// <summary>How many of the first <paramref name="clusters"/> clusters of the file are in use; stops counting at <paramref name="enough"/>. Blocks that cannot be are taken for empty: what is wrong with them is told by a check.</summary>
    public async ValueTask<long> CountUsedAsync(long clusters, long enough, CancellationToken stop)
    {
        long used = 0;
        await foreach (var (first, place) in BlocksAsync(stop).ConfigureAwait(false))
        {
            if (first >= clusters || used >= enough) break;
            if (place <= 0 || place % geometry.ClusterSize != 0 || place >= file.Length) continue;
            var block = ArrayPool<byte>.Shared.Rent(geometry.ClusterSize);
            try
            {
                await file.ReadAsync(place, block.AsMemory(0, geometry.ClusterSize), stop).ConfigureAwait(false);
                used += CountUsed(block.AsSpan(0, geometry.ClusterSize), (int)Math.Min(PerBlock, clusters - first));
            }
            finally
            {
                ArrayPool<byte>.Shared.Return(block);
            }
        }
        return used;
    }

    /// <summary>All refcount blocks: the first cluster that each counts, and its place in the file, unchecked; those that are not there are left out.</summary>
    public async IAsyncEnumerable<(long FirstCluster, long Place)> BlocksAsync([System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken stop)
    {
        var bytes = Math.Min((long)geometry.Header.RefcountTableClusters * geometry.ClusterSize, file.Length - geometry.Header.RefcountTableOffset);
        var window = new byte[Math.Min(WindowBytes, bytes)];
        for (long at = 0; at < bytes; at += window.Length)
        {
            var length = (int)Math.Min(window.Length, bytes - at) & ~7;
            await file.ReadAsync(geometry.Header.RefcountTableOffset + at, window.AsMemory(0, length), stop).ConfigureAwait(false);
            for (var i = 0; i < length; i += 8)
                if (BinaryPrimitives.ReadUInt64BigEndian(window.AsSpan(i)) is var entry and not 0) yield return ((at + i) / 8 * PerBlock, (long)(entry & OffsetMask));
        }
    }

    /// <summary>The refcount at an index of a block. Sub-byte counts begin with the least significant bit.</summary>
    public ulong Of(ReadOnlySpan<byte> block, long index)
    {
        var bits = geometry.Header.RefcountBits;
        return bits switch
        {
            64 => BinaryPrimitives.ReadUInt64BigEndian(block[(int)(index * 8)..]),
            32 => BinaryPrimitives.ReadUInt32BigEndian(block[(int)(index * 4)..]),
            16 => BinaryPrimitives.ReadUInt16BigEndian(block[(int)(index * 2)..]),
            8 => block[(int)index],
            _ => (ulong)block[(int)(index * bits / 8)] >> (int)(index * bits % 8) & (1UL << bits) - 1,
        };
    }

    private long CountUsed(ReadOnlySpan<byte> block, int count)
    {
        if (geometry.Header.RefcountBits == 16)
        {
            var counts = MemoryMarshal.Cast<byte, ushort>(block)[..count];
            return count - counts.Count((ushort)0);
        }
        long used = 0;
        for (var i = 0; i < count; i++)
            if (Of(block, i) != 0) used++;
        return used;
    }
}
