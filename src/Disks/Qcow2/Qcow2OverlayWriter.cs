using System.Buffers.Binary;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Disks.Qcow2;

/// <summary>
/// Writes empty qcow2 version 3 overlays: clusters of 64 KiB, 16-bit refcounts, backing file with its format. What is empty is a hole, so that an
/// overlay takes 12 KiB of disk up to a virtual size of 4 TiB and beyond (header, refcount table, refcount block; the L1 table is all hole).
/// </summary>
public static class Qcow2OverlayWriter
{
    private const int ClusterSize = Qcow2Shape.DefaultClusterBytes;
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
        var shape = new Qcow2Shape(virtualSize, backingPath, backingFormat);
        shape.CheckBacking();
        if (virtualSize <= 0 || virtualSize % 512 != 0 || virtualSize > MaxVirtualSize)
            throw new WeaveException(Fault.InvalidRequest, $"An overlay of {virtualSize} bytes cannot be made.", "Use a multiple of 512 bytes, at most 2 PiB.");
        if (Exists(path))
        {
            RefuseOther(path, backingPath, backingFormat, virtualSize);
            return;
        }
        if (FileFacts.Read(backingPath).Kind != FileKind.Regular)
            throw new WeaveException(Fault.Unsupported, $"{Ids.Quote(backingPath)} cannot be a backing file: it is not a regular file.", "Use disks that are files.");

        const int refcountTable = 1, refcountBlock = 2, l1Table = 3;
        var header = shape.Header(l1Table * ClusterSize, refcountTable * ClusterSize, refcountTableClusters: 1);
        var tableEntry = new byte[8];
        BinaryPrimitives.WriteUInt64BigEndian(tableEntry, refcountBlock * ClusterSize);
        var refcounts = new byte[(l1Table + shape.L1Clusters) * 2];
        for (var i = 1; i < refcounts.Length; i += 2) refcounts[i] = 1;

        DurableFile.Write(path, file =>
        {
            file.SetLength((l1Table + shape.L1Clusters) * ClusterSize);
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
}
