using WeaveHypervisor.Model;

namespace WeaveHypervisor.Disks.Qcow2;

/// <summary>What follows from a header for all structures of an image, and how damage of them is told (docs/interop/qcow2.rst, "Cluster mapping").</summary>
internal sealed class Qcow2Geometry(Qcow2Header header, long fileLength, string path)
{
    /// <summary>Subclusters of a cluster where the image has extended L2 entries ("Extended L2 Entries").</summary>
    public const int Subclusters = 32;

    public Qcow2Header Header => header;
    public string Path => path;
    /// <summary>Bytes, when the file was opened.</summary>
    public long FileLength => fileLength;
    public int ClusterBits { get; } = header.ClusterBits;
    public int ClusterSize { get; } = header.ClusterSize;
    public bool IsExtended { get; } = header.HasExtendedL2;
    /// <summary>64-bit words of an L2 entry.</summary>
    public int EntryWords { get; } = header.HasExtendedL2 ? 2 : 1;
    /// <summary>Entries of an L2 table, which is one cluster.</summary>
    public int L2Entries { get; } = header.ClusterSize / (header.HasExtendedL2 ? 16 : 8);
    /// <summary>The bits of a guest offset below its index into the L1 table.</summary>
    public int L1Shift { get; } = 2 * header.ClusterBits - (header.HasExtendedL2 ? 4 : 3);
    public int SubclusterSize { get; } = header.ClusterSize / Subclusters;

    /// <summary>Whether a range of the file lies on the header, the active L1 table or the refcount table.</summary>
    public string? MetadataAt(long offset, long length)
    {
        if (offset < ClusterSize) return "the header";
        if (offset < header.L1Offset + header.L1Entries * 8L && header.L1Offset < offset + length) return "the L1 table";
        return offset < header.RefcountTableOffset + (long)header.RefcountTableClusters * ClusterSize && header.RefcountTableOffset < offset + length ? "the refcount table" : null;
    }

    /// <summary>DataLoss that names the structure and where it is.</summary>
    public WeaveException Damaged(string structure, string why) =>
        new(Fault.DataLoss, $"The qcow2 image {Ids.QuotePath(path)} is damaged: {structure} {why}.", "Look at it with `weave disk check`, repair a copy with qemu-img check -r all, or use another image.");
}
