using System.Buffers.Binary;
using System.Text;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Disks.Qcow2;

/// <summary>
/// Writes empty qcow2 version 3 overlays: clusters of 64 KiB, 16-bit refcounts, backing file with its format. What is empty is a hole, so that an
/// overlay takes 12 KiB of disk up to a virtual size of 4 TiB and beyond (header, refcount table, refcount block; the L1 table is all hole).
/// </summary>
public static class Qcow2OverlayWriter
{
    private const int ClusterBits = 16, ClusterSize = 1 << ClusterBits;
    /// <summary>Bytes that one L1 entry covers: 8192 clusters.</summary>
    private const long PerL1Entry = (long)ClusterSize * (ClusterSize / 8);
    /// <summary>The largest disk: an L1 table of 32 MiB, QEMU's limit. 2 PiB.</summary>
    public const long MaxVirtualSize = PerL1Entry * (Qcow2Header.MaxL1Bytes / 8);

    /// <summary>
    /// Makes the overlay <paramref name="path"/> on <paramref name="backingPath"/>, durably: after a crash it is whole or absent. There already with the
    /// same backing file, format and size: success, untouched, whatever it holds by now. There with others: Conflict.
    /// </summary>
    /// <param name="backingPath">Absolute, at most 1023 bytes of UTF-8; must exist.</param>
    /// <param name="virtualSize">Bytes; a multiple of 512, at most <see cref="MaxVirtualSize"/>.</param>
    public static void Write(string path, string backingPath, DiskFormat backingFormat, long virtualSize, UnixFileMode mode = DurableFile.Private, FileOwner? owner = null)
    {
        if (!Path.IsPathFullyQualified(backingPath) || backingPath.Any(char.IsControl) || Encoding.UTF8.GetByteCount(backingPath) > Qcow2Header.MaxBackingName)
            throw new WeaveException(Fault.InvalidRequest, $"{Ids.Quote(backingPath)} cannot be a backing file: the path must be absolute and at most 1023 bytes.", "Give the full path of the frozen layer.");
        if (virtualSize <= 0 || virtualSize % 512 != 0 || virtualSize > MaxVirtualSize)
            throw new WeaveException(Fault.InvalidRequest, $"An overlay of {virtualSize} bytes cannot be made.", "Use a multiple of 512 bytes, at most 2 PiB.");
        if (Exists(path))
        {
            RefuseOther(path, backingPath, backingFormat, virtualSize);
            return;
        }
        if (FileFacts.Read(backingPath).Kind != FileKind.Regular)
            throw new WeaveException(Fault.Unsupported, $"{Ids.Quote(backingPath)} cannot be a backing file: it is not a regular file.", "Use disks that are files.");

        var l1Entries = (virtualSize + PerL1Entry - 1) / PerL1Entry;
        var l1Clusters = (l1Entries * 8 + ClusterSize - 1) / ClusterSize;
        const int refcountTable = 1, refcountBlock = 2, l1Table = 3;
        var header = Header(backingPath, backingFormat, virtualSize, (int)l1Entries, l1Table * ClusterSize, refcountTable * ClusterSize);
        var tableEntry = new byte[8];
        BinaryPrimitives.WriteUInt64BigEndian(tableEntry, refcountBlock * ClusterSize);
        var refcounts = new byte[(l1Table + l1Clusters) * 2];
        for (var i = 1; i < refcounts.Length; i += 2) refcounts[i] = 1;

        DurableFile.Write(path, file =>
        {
            file.SetLength((l1Table + l1Clusters) * ClusterSize);
            RandomAccess.Write(file.SafeFileHandle, header, 0);
            FileFaults.Pass("write", path);
            RandomAccess.Write(file.SafeFileHandle, tableEntry, refcountTable * ClusterSize);
            FileFaults.Pass("write", path);
            RandomAccess.Write(file.SafeFileHandle, refcounts, refcountBlock * ClusterSize);
        }, mode, owner);
    }

    /// <summary>QEMU's name of a format, as it stands in backing format extensions.</summary>
    public static string NameOf(DiskFormat format) => format switch
    {
        DiskFormat.Raw => "raw",
        DiskFormat.Qcow2 => "qcow2",
        DiskFormat.Vhdx => "vhdx",
        _ => throw new WeaveException(Fault.Internal, $"Disk format {format} has no name."),
    };

    /// <summary>The format of a name that an image states; null where it is none of ours.</summary>
    public static DiskFormat? FormatOf(string name) => name switch { "raw" => DiskFormat.Raw, "qcow2" => DiskFormat.Qcow2, "vhdx" => DiskFormat.Vhdx, _ => null };

    private static bool Exists(string path)
    {
        try
        {
            FileFacts.Read(path);
            return true;
        }
        catch (WeaveException error) when (error.Fault == Fault.NotFound)
        {
            return false;
        }
    }

    private static void RefuseOther(string path, string backingPath, DiskFormat backingFormat, long virtualSize)
    {
        Qcow2Header there;
        try
        {
            var (handle, facts) = FileFacts.OpenRegular(path);
            using (handle) there = Qcow2Header.Read(handle, facts.Length, path);
        }
        catch (WeaveException error) when (error.Fault is Fault.InvalidRequest or Fault.Unsupported or Fault.DataLoss)
        {
            throw new WeaveException(Fault.Conflict, $"An overlay cannot be made at {Ids.Quote(path)}: another file is there. {error.Message}", "Move that file away.", error);
        }
        if (there.BackingName != backingPath || there.BackingFormat != NameOf(backingFormat) || there.VirtualSize != virtualSize)
            throw new WeaveException(Fault.Conflict, $"An overlay cannot be made at {Ids.Quote(path)}: an image of {there.VirtualSize} bytes on {Ids.Quote(there.BackingName)} is there.", "Move that file away.");
    }

    private static byte[] Header(string backingPath, DiskFormat backingFormat, long size, int l1Entries, int l1Offset, int refcountTableOffset)
    {
        var name = Encoding.UTF8.GetBytes(backingPath);
        var format = Encoding.ASCII.GetBytes(NameOf(backingFormat));
        const int length = 112;
        var nameAt = length + 8 + ((format.Length + 7) & ~7) + 8;      // the format extension, the end marker
        var header = new byte[nameAt + name.Length];
        U32(header, 0, Qcow2Header.Magic);
        U32(header, 4, 3);
        U64(header, 8, nameAt);
        U32(header, 16, (uint)name.Length);
        U32(header, 20, ClusterBits);
        U64(header, 24, size);
        U32(header, 36, (uint)l1Entries);
        U64(header, 40, l1Offset);
        U64(header, 48, refcountTableOffset);
        U32(header, 56, 1);                                             // clusters of the refcount table
        U32(header, 96, 4);                                             // refcount order: 16 bits
        U32(header, 100, length);
        U32(header, length, Qcow2Header.BackingFormatExtension);
        U32(header, length + 4, (uint)format.Length);
        format.CopyTo(header, length + 8);
        name.CopyTo(header, nameAt);
        return header;
    }

    private static void U32(byte[] bytes, int at, uint value) => BinaryPrimitives.WriteUInt32BigEndian(bytes.AsSpan(at), value);
    private static void U64(byte[] bytes, int at, long value) => BinaryPrimitives.WriteInt64BigEndian(bytes.AsSpan(at), value);
}
