using System.Numerics;
using System.Runtime.CompilerServices;

namespace WeaveHypervisor.Disks.Qcow2;

/// <summary>Entries of L2 tables, plain and extended (docs/interop/qcow2.rst, "Cluster mapping": L2 table entry, and "Extended L2 Entries").</summary>
internal static class L2Table
{
    /// <summary>Bits 9 to 55 of a standard cluster descriptor: where the cluster is in the file.</summary>
    public const ulong OffsetMask = 0x00ff_ffff_ffff_fe00;
    /// <summary>Bit 0: reads as zeroes. Not in version 2, and not with extended entries.</summary>
    public const ulong Zero = 1;
    public const ulong Compressed = 1UL << 62;
    /// <summary>Bit 63: the refcount of the cluster is exactly one.</summary>
    public const ulong Copied = 1UL << 63;
    private const ulong Reserved = ~(OffsetMask | Zero | Compressed | Copied);

    /// <summary>What the entries say that follow each other from the cluster at <paramref name="offset"/> on. False where the list has no room for all of it.</summary>
    /// <param name="entries">In the processor's byte order; two words each where they are extended.</param>
    public static bool Decode(ReadOnlySpan<ulong> entries, long offset, Qcow2Geometry geometry, ref ExtentList list, Span<Extent> into) =>
        geometry.IsExtended ? DecodeExtended(entries, offset, geometry, ref list, into) : DecodePlain(entries, offset, geometry, ref list, into);

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static bool DecodePlain(ReadOnlySpan<ulong> entries, long offset, Qcow2Geometry geometry, ref ExtentList list, Span<Extent> into)
    {
        long cluster = geometry.ClusterSize;
        for (var i = 0; i < entries.Length;)
        {
            var entry = entries[i];
            int run;
            bool room;
            if (entry == 0)
            {
                run = entries[i..].IndexOfAnyExcept(0UL) is var next and >= 0 ? next : entries.Length - i;
                room = list.Add(into, offset, run * cluster, ExtentKind.Inherited);
            }
            else if ((entry & Compressed) != 0)
            {
                CompressedCluster.Check(entry, offset, geometry);
                run = 1;
                room = list.Add(into, offset, cluster, ExtentKind.Data, compressed: true);
            }
            else
            {
                var host = Standard(entry, offset, geometry);
                // A run lies in the file as the guest sees it: each entry is the one before plus a cluster.
                var step = host == 0 ? 0UL : (ulong)cluster;
                for (run = 1; i + run < entries.Length && entries[i + run] == entry + (ulong)run * step; run++) { }
                if ((entry & Zero) != 0)
                {
                    if (geometry.Header.Version < 3) throw geometry.Damaged($"the L2 entry of guest offset {offset}", "has the zero flag, which version 2 does not know");
                    room = list.Add(into, offset, run * cluster, ExtentKind.Zero, host == 0 ? -1 : host);
                }
                else if (host == 0) room = list.Add(into, offset, run * cluster, ExtentKind.Inherited);
                else
                {
                    CheckPlace(host, run * cluster, offset, geometry);
                    room = list.Add(into, offset, run * cluster, ExtentKind.Data, host);
                }
            }
            if (!room) return false;
            i += run;
            offset += run * cluster;
        }
        return true;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static bool DecodeExtended(ReadOnlySpan<ulong> entries, long offset, Qcow2Geometry geometry, ref ExtentList list, Span<Extent> into)
    {
        long cluster = geometry.ClusterSize;
        for (var i = 0; i < entries.Length; i += 2, offset += cluster)
        {
            var (entry, bitmap) = (entries[i], entries[i + 1]);
            if ((entry & Compressed) != 0)
            {
                if (bitmap != 0) throw geometry.Damaged($"the L2 entry of guest offset {offset}", "is compressed and has a subcluster bitmap");
                CompressedCluster.Check(entry, offset, geometry);
                if (!list.Add(into, offset, cluster, ExtentKind.Data, compressed: true)) return false;
                continue;
            }
            if ((entry & Zero) != 0) throw geometry.Damaged($"the L2 entry of guest offset {offset}", "has the zero flag, which extended entries do not know");
            var host = Standard(entry, offset, geometry);
            var (allocated, zero) = ((uint)bitmap, (uint)(bitmap >> 32));
            if ((allocated & zero) != 0) throw geometry.Damaged($"the L2 entry of guest offset {offset}", $"has subclusters that are allocated and zero at once ({bitmap:x16})");
            if (allocated != 0)
            {
                if (host == 0) throw geometry.Damaged($"the L2 entry of guest offset {offset}", "has allocated subclusters and no cluster");
                CheckPlace(host, cluster, offset, geometry);
            }
            for (var sub = 0; sub < Qcow2Geometry.Subclusters;)
            {
                var (isAllocated, isZero) = ((allocated >> sub & 1) != 0, (zero >> sub & 1) != 0);
                // Subclusters from here on that have the same two bits.
                var differs = (isAllocated ? ~allocated : allocated) | (isZero ? ~zero : zero);
                var run = Math.Min(BitOperations.TrailingZeroCount(differs >> sub), Qcow2Geometry.Subclusters - sub);
                long start = (long)sub * geometry.SubclusterSize, place = host == 0 ? -1 : host + start;
                if (!list.Add(into, offset + start, (long)run * geometry.SubclusterSize, isAllocated ? ExtentKind.Data : isZero ? ExtentKind.Zero : ExtentKind.Inherited, place)) return false;
                sub += run;
            }
        }
        return true;
    }

    /// <summary>Place of a standard cluster in the file, or 0.</summary>
    private static long Standard(ulong entry, long offset, Qcow2Geometry geometry)
    {
        if ((entry & Reserved) != 0) throw geometry.Damaged($"the L2 entry of guest offset {offset}", $"has reserved bits ({entry:x16})");
        var host = (long)(entry & OffsetMask);
        if ((host & (geometry.ClusterSize - 1)) != 0) throw geometry.Damaged($"the L2 entry of guest offset {offset}", $"leads into a cluster's middle ({host})");
        return host;
    }

    /// <summary>A cluster that holds data begins within the file, though its end may be cut off and read as zeroes, and is not on the image's own tables.</summary>
    private static void CheckPlace(long host, long length, long offset, Qcow2Geometry geometry)
    {
        if (host + length - geometry.ClusterSize >= geometry.FileLength)
            throw geometry.Damaged($"the L2 entry of guest offset {offset}", $"leads behind the end of the file ({host}, {length} bytes, of {geometry.FileLength})");
        if (geometry.MetadataAt(host, length) is { } other) throw geometry.Damaged($"the L2 entry of guest offset {offset}", $"leads to {other} ({host}, {length} bytes)");
    }
}
