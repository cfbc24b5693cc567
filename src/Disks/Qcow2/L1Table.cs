namespace WeaveHypervisor.Disks.Qcow2;

/// <summary>Entries of an L1 table (docs/interop/qcow2.rst, "Cluster mapping": L1 table entry).</summary>
internal static class L1Table
{
    /// <summary>Bits 9 to 55: where the L2 table is in the file; 0 where there is none.</summary>
    public const ulong OffsetMask = 0x00ff_ffff_ffff_fe00;
    /// <summary>Bit 63: the refcount of the L2 table is exactly one.</summary>
    public const ulong Copied = 1UL << 63;
    public const ulong Reserved = ~(OffsetMask | Copied);

    /// <summary>Offset of the L2 table, or 0. DataLoss where reserved bits are set, or the table is not at a cluster's start, not within the file, or on the image's other tables.</summary>
    public static long OffsetOf(ulong entry, long index, Qcow2Geometry geometry)
    {
        if (entry == 0) return 0;
        if ((entry & Reserved) != 0) throw geometry.Damaged($"L1 entry {index}", $"has reserved bits ({entry:x16})");
        var offset = (long)(entry & OffsetMask);
        if (offset == 0) return 0;
        if ((offset & (geometry.ClusterSize - 1)) != 0) throw geometry.Damaged($"L1 entry {index}", $"leads into a cluster's middle ({offset})");
        if (offset > geometry.FileLength - geometry.ClusterSize && offset >= geometry.FileLength) throw geometry.Damaged($"L1 entry {index}", $"leads behind the end of the file ({offset} of {geometry.FileLength})");
        if (geometry.MetadataAt(offset, geometry.ClusterSize) is { } other) throw geometry.Damaged($"L1 entry {index}", $"leads to {other} ({offset})");
        return offset;
    }
}
