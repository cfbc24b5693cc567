using System.Buffers.Binary;
using System.Numerics;
using System.Text;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Disks.Qcow2;

/// <summary>What a new qcow2 image is to be, before any content.</summary>
/// <param name="Capacity">Bytes that a guest sees; a positive multiple of 512.</param>
/// <param name="BackingPath">Absolute, at most 1023 bytes of UTF-8; null: the image stands alone.</param>
/// <param name="BackingFormat">The format of the backing file, stated in the image; not looked at without one.</param>
/// <param name="ClusterBytes">4 KiB to 2 MiB, a power of two.</param>
public sealed record Qcow2Shape(long Capacity, string? BackingPath = null, DiskFormat BackingFormat = DiskFormat.Qcow2, int ClusterBytes = Qcow2Shape.DefaultClusterBytes)
{
    public const int DefaultClusterBytes = 64 << 10, LeastClusterBytes = 4 << 10, MostClusterBytes = 2 << 20;
    private const int HeaderBytes = 112;

    internal int ClusterBits => BitOperations.TrailingZeroCount(ClusterBytes);
    /// <summary>Entries of an L2 table, which fills one cluster.</summary>
    internal int PerL2 => ClusterBytes / 8;
    /// <summary>Bytes that one L1 entry covers.</summary>
    internal long PerL1Entry => (long)ClusterBytes * PerL2;
    internal long L1Entries => (Capacity + PerL1Entry - 1) / PerL1Entry;
    internal long L1Clusters => (L1Entries * 8 + ClusterBytes - 1) / ClusterBytes;

    /// <summary>InvalidRequest where no such image can be, or QEMU would not open it.</summary>
    internal void Check()
    {
        if (ClusterBytes is < LeastClusterBytes or > MostClusterBytes || !BitOperations.IsPow2(ClusterBytes))
            throw new WeaveException(Fault.InvalidRequest, $"A qcow2 image with clusters of {ClusterBytes} bytes cannot be made.", "Use a power of two from 4 KiB to 2 MiB.");
        if (Capacity <= 0 || Capacity % 512 != 0 || Capacity > PerL1Entry * (Qcow2Header.MaxL1Bytes / 8))
            throw new WeaveException(Fault.InvalidRequest, $"A qcow2 image of {Capacity} bytes with clusters of {ClusterBytes} bytes cannot be made.", "Use a multiple of 512 bytes, and larger clusters for a very large disk.");
        CheckBacking();
    }

    /// <summary>InvalidRequest for a backing path that no header can hold.</summary>
    internal void CheckBacking()
    {
        if (BackingPath is not { } backing) return;
        if (!Path.IsPathFullyQualified(backing) || backing.Any(char.IsControl) || Encoding.UTF8.GetByteCount(backing) > Qcow2Header.MaxBackingName)
            throw new WeaveException(Fault.InvalidRequest, $"{Ids.Quote(backing)} cannot be a backing file: the path must be absolute and at most 1023 bytes.", "Give the full path of the frozen layer.");
    }

    /// <summary>The header as it stands at the beginning of the file (qcow2.rst, "Header"): version 3, refcounts of 16 bits.</summary>
    internal byte[] Header(long l1At, long refcountTableAt, int refcountTableClusters)
    {
        var name = BackingPath is null ? [] : Encoding.UTF8.GetBytes(BackingPath);
        var format = BackingPath is null ? [] : Encoding.ASCII.GetBytes(Qcow2OverlayWriter.NameOf(BackingFormat));
        var extension = format.Length == 0 ? 0 : 8 + ((format.Length + 7) & ~7);
        var nameAt = HeaderBytes + extension + 8;       // the end marker
        var header = new byte[nameAt + name.Length];
        U32(header, 0, Qcow2Header.Magic);
        U32(header, 4, 3);
        if (name.Length > 0) U64(header, 8, nameAt);
        U32(header, 16, (uint)name.Length);
        U32(header, 20, (uint)ClusterBits);
        U64(header, 24, Capacity);
        U32(header, 36, (uint)L1Entries);
        U64(header, 40, l1At);
        U64(header, 48, refcountTableAt);
        U32(header, 56, (uint)refcountTableClusters);
        U32(header, 96, 4);                             // refcount order: 16 bits
        U32(header, 100, HeaderBytes);
        if (format.Length > 0)
        {
            U32(header, HeaderBytes, Qcow2Header.BackingFormatExtension);
            U32(header, HeaderBytes + 4, (uint)format.Length);
            format.CopyTo(header, HeaderBytes + 8);
        }
        name.CopyTo(header, nameAt);
        return header;
    }

    private static void U32(byte[] bytes, int at, uint value) => BinaryPrimitives.WriteUInt32BigEndian(bytes.AsSpan(at), value);
    private static void U64(byte[] bytes, int at, long value) => BinaryPrimitives.WriteInt64BigEndian(bytes.AsSpan(at), value);
}
