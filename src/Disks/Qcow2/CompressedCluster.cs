namespace WeaveHypervisor.Disks.Qcow2;

/// <summary>Where the compressed bytes of a cluster are (docs/interop/qcow2.rst, "Cluster mapping": Compressed Clusters Descriptor).</summary>
/// <param name="Offset">In the file, of any alignment.</param>
/// <param name="Length">Bytes up to the end of the last sector; the compressed data may end earlier.</param>
internal readonly record struct CompressedCluster(long Offset, int Length)
{
    private const int SectorSize = 512;
    /// <summary>Places in a file end at 64 PB: bits 0 to 55.</summary>
    private const ulong MaxOffset = (1UL << 56) - 1;

    public static CompressedCluster Of(ulong entry, int clusterBits)
    {
        var x = 62 - (clusterBits - 8);
        var offset = (long)(entry & ((1UL << x) - 1));
        var sectors = (int)(entry >> x & ((1UL << (clusterBits - 8)) - 1)) + 1;
        return new(offset, sectors * SectorSize - (int)(offset & (SectorSize - 1)));
    }

    /// <summary>DataLoss where the bytes begin behind the end of the file or on the image's own tables. Their last sector may be cut off by the end of the file.</summary>
    public static CompressedCluster Check(ulong entry, long guestOffset, Qcow2Geometry geometry)
    {
        var at = Of(entry, geometry.ClusterBits);
        if ((ulong)at.Offset > MaxOffset) throw geometry.Damaged($"the L2 entry of guest offset {guestOffset}", $"has reserved bits ({entry:x16})");
        if (at.Offset >= geometry.FileLength || at.Offset + at.Length - SectorSize >= geometry.FileLength)
            throw geometry.Damaged($"the L2 entry of guest offset {guestOffset}", $"leads to compressed bytes behind the end of the file ({at.Offset}, {at.Length} bytes, of {geometry.FileLength})");
        if (geometry.MetadataAt(at.Offset, at.Length) is { } other) throw geometry.Damaged($"the L2 entry of guest offset {guestOffset}", $"leads to {other} ({at.Offset}, {at.Length} bytes)");
        return at;
    }
}
