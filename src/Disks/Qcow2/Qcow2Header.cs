using System.Buffers.Binary;
using System.Text;
using Microsoft.Win32.SafeHandles;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Disks.Qcow2;

/// <summary>
/// The header of a qcow2 image, version 2 or 3 (qemu, docs/interop/qcow2.rst, "Header"), read fail closed: whatever QEMU would
/// refuse, misread or follow to another file is refused here first. Reads the first cluster only, at most 2 MiB.
/// </summary>
public sealed record Qcow2Header
{
    internal const uint Magic = 0x514649fb;
    internal const uint BackingFormatExtension = 0xe2792aca, DataFileExtension = 0x44415441, EncryptionExtension = 0x0537be77, BitmapsExtension = 0x23852875;
    internal const int Version2Length = 72, Version3Length = 104, MaxBackingName = 1023, MaxL1Bytes = 32 << 20, MaxRefcountTableBytes = 8 << 20, MaxSnapshots = 65_536;
    private const ulong Dirty = 1, Corrupt = 2, DataFile = 4, Compression = 8, ExtendedL2 = 16, LazyRefcounts = 1, BitmapsConsistent = 1;

    public required int Version { get; init; }
    public required int ClusterBits { get; init; }
    public int ClusterSize => 1 << ClusterBits;
    public required long VirtualSize { get; init; }
    /// <summary>Backing file as it is written in the header; null where there is none.</summary>
    public string? BackingName { get; init; }
    /// <summary>Backing format as it is written, such as "raw"; null where the image does not say, in which case QEMU would probe.</summary>
    public string? BackingFormat { get; init; }
    /// <summary>Refcounts may be out of date (a crash with lazy refcounts); the guest's data can be read all the same.</summary>
    public bool IsDirty { get; init; }
    public bool HasExtendedL2 { get; init; }
    /// <summary>0 deflate, 1 zstd.</summary>
    public int CompressionType { get; init; }
    public required int RefcountBits { get; init; }
    public required long L1Offset { get; init; }
    public required int L1Entries { get; init; }
    public required long RefcountTableOffset { get; init; }
    public required int RefcountTableClusters { get; init; }
    public int InternalSnapshots { get; init; }
    public long SnapshotTableOffset { get; init; }
    /// <summary>Refcounts may be written late, which the dirty bit then tells.</summary>
    public bool HasLazyRefcounts { get; init; }
    /// <summary>Null where the image has no bitmaps.</summary>
    internal BitmapDirectory? Bitmaps { get; init; }

    /// <summary>
    /// Reads and checks the header of a file of <paramref name="length"/> bytes. InvalidRequest: it is no qcow2 image.
    /// Unsupported: it is one, of a kind that is not read here. DataLoss: it is damaged or made to mislead.
    /// </summary>
    public static Qcow2Header Read(SafeFileHandle file, long length, string path)
    {
        Span<byte> fixedPart = stackalloc byte[112];
        fixedPart = fixedPart[..ReadUpTo(file, fixedPart, 0, path)];
        if (fixedPart.Length < 4 || BinaryPrimitives.ReadUInt32BigEndian(fixedPart) != Magic)
            throw new WeaveException(Fault.InvalidRequest, $"{Ids.Quote(path)} was declared to be qcow2, but is not.", "Declare the format that the file has.");
        if (fixedPart.Length < 8) throw Damaged(path, "it ends within its header");
        var version = BinaryPrimitives.ReadUInt32BigEndian(fixedPart[4..]);
        if (version is not (2 or 3)) throw Unsupported(path, $"it is qcow2 version {version}; versions 2 and 3 are read");
        if (fixedPart.Length < (version == 2 ? Version2Length : Version3Length)) throw Damaged(path, "it ends within its header");

        var clusterBits = U32(fixedPart, 20);
        if (clusterBits is < 9 or > 21) throw Damaged(path, $"its cluster_bits are {clusterBits}, outside 9 to 21");
        var cluster = 1L << (int)clusterBits;
        if (U32(fixedPart, 32) is var encryption && encryption != 0) throw Unsupported(path, $"it is encrypted (method {encryption})");

        ulong incompatible = 0, compatible = 0, autoclear = 0;
        uint refcountOrder = 4, headerLength = Version2Length, compressionType = 0;
        if (version == 3)
        {
            (incompatible, compatible, autoclear) = (U64(fixedPart, 72), U64(fixedPart, 80), U64(fixedPart, 88));
            refcountOrder = U32(fixedPart, 96);
            headerLength = U32(fixedPart, 100);
            if (headerLength < Version3Length || headerLength % 8 != 0 || headerLength > cluster) throw Damaged(path, $"its header_length is {headerLength}");
            if (headerLength > Version3Length)
            {
                if (fixedPart.Length <= 104) throw Damaged(path, "it ends within its header");
                compressionType = fixedPart[104];
            }
        }
        if ((incompatible & DataFile) != 0) throw Unsupported(path, "its data are in an external data file");
        if ((incompatible & Corrupt) != 0) throw Damaged(path, "it is marked corrupt", "Repair it with: qemu-img check -r all");
        if ((incompatible & ~(Dirty | Corrupt | DataFile | Compression | ExtendedL2)) is var unknown && unknown != 0) throw Unsupported(path, $"it needs unknown features (incompatible bits {unknown:x})");
        if (compressionType > 1) throw Unsupported(path, $"its compression type {compressionType} is unknown");
        if ((incompatible & Compression) != 0 != (compressionType != 0)) throw Damaged(path, "its compression bit contradicts its compression type");
        var extended = (incompatible & ExtendedL2) != 0;
        if (extended && clusterBits < 14) throw Damaged(path, "it has extended L2 entries with clusters under 16 KiB");
        if (refcountOrder > 6) throw Damaged(path, $"its refcount_order is {refcountOrder}");

        var size = U64(fixedPart, 24);
        if (size == 0) throw new WeaveException(Fault.InvalidRequest, $"{Ids.Quote(path)} is a disk of no bytes.", "Use a disk that has a size.");
        if (size % 512 != 0 || size > long.MaxValue) throw Damaged(path, $"its virtual size {size} is no whole number of sectors");

        // Bytes that one L1 entry covers: clusters times entries of an L2 table.
        var l2Bits = (int)clusterBits - (extended ? 4 : 3);
        var covered = (UInt128)1 << ((int)clusterBits + l2Bits);
        var l1Entries = U32(fixedPart, 36);
        var l1Offset = U64(fixedPart, 40);
        if (l1Entries > MaxL1Bytes / 8) throw Damaged(path, $"its L1 table has {l1Entries} entries, over 32 MiB");
        if (covered * l1Entries < size) throw Damaged(path, $"its L1 table of {l1Entries} entries is too small for {size} bytes");
        CheckTable(path, "L1 table", l1Offset, l1Entries * 8UL, cluster, length);

        var refcountOffset = U64(fixedPart, 48);
        var refcountClusters = U32(fixedPart, 56);
        if (refcountClusters == 0 || (ulong)refcountClusters * (ulong)cluster > MaxRefcountTableBytes) throw Damaged(path, $"its refcount table has {refcountClusters} clusters");
        CheckTable(path, "refcount table", refcountOffset, 8, cluster, length);
        if (l1Offset < refcountOffset + refcountClusters * (ulong)cluster && refcountOffset < l1Offset + l1Entries * 8UL)
            throw Damaged(path, "its L1 table and its refcount table lie on each other");

        var snapshots = U32(fixedPart, 60);
        if (snapshots > MaxSnapshots) throw Damaged(path, $"it claims {snapshots} internal snapshots");
        if (snapshots > 0) CheckTable(path, "snapshot table", U64(fixedPart, 64), 40UL * snapshots, cluster, length);

        var backingOffset = U64(fixedPart, 8);
        var backingLength = U32(fixedPart, 16);
        if (backingOffset != 0 && (backingLength is 0 or > MaxBackingName || backingOffset < headerLength || backingOffset > (ulong)cluster - backingLength))
            throw Damaged(path, $"its backing file name ({backingLength} bytes at {backingOffset}) is too long, empty or outside of the first cluster");
        var first = new byte[Math.Min(cluster, length)];
        first = first[..ReadUpTo(file, first, 0, path)];
        var extensionsEnd = backingOffset != 0 ? (int)backingOffset : (int)cluster;
        var (backingFormat, bitmaps) = ReadExtensions(first, (int)headerLength, extensionsEnd, (autoclear & BitmapsConsistent) != 0, path);
        bitmaps?.Check(cluster, length, path);
        string? backingName = null;
        if (backingOffset != 0)
        {
            if (backingOffset + backingLength > (ulong)first.Length) throw Damaged(path, "it ends within its backing file name");
            backingName = ReadName(first.AsSpan((int)backingOffset, (int)backingLength), path);
        }
        return new()
        {
            Version = (int)version, ClusterBits = (int)clusterBits, VirtualSize = (long)size, BackingName = backingName, BackingFormat = backingName is null ? null : backingFormat,
            IsDirty = (incompatible & Dirty) != 0, HasExtendedL2 = extended, CompressionType = (int)compressionType, RefcountBits = 1 << (int)refcountOrder,
            L1Offset = (long)l1Offset, L1Entries = (int)l1Entries, RefcountTableOffset = (long)refcountOffset, RefcountTableClusters = (int)refcountClusters, InternalSnapshots = (int)snapshots,
            SnapshotTableOffset = snapshots > 0 ? (long)U64(fixedPart, 64) : 0, HasLazyRefcounts = (compatible & LazyRefcounts) != 0, Bitmaps = bitmaps,
        };
    }

    /// <summary>Whether QEMU would take <paramref name="name"/> for a protocol (`nbd:`, `json:`, `http:`, `fat:`) and not for a file: a colon before any slash (block.c, path_has_protocol).</summary>
    public static bool HasProtocol(string name) => name.AsSpan().IndexOfAny(':', '/') is var at and >= 0 && name[at] == ':';

    private static void CheckTable(string path, string table, ulong offset, ulong bytes, long cluster, long length)
    {
        if (offset < (ulong)cluster) throw Damaged(path, $"its {table} lies on its header (offset {offset})");
        if (offset % (ulong)cluster != 0) throw Damaged(path, $"its {table} is not at a cluster's start (offset {offset})");
        if (offset > (ulong)length || bytes > (ulong)length - offset) throw Damaged(path, $"its {table} ends behind the end of the file");
    }

    private static (string? BackingFormat, BitmapDirectory? Bitmaps) ReadExtensions(ReadOnlySpan<byte> first, int start, int end, bool bitmapsConsistent, string path)
    {
        string? format = null;
        BitmapDirectory? bitmaps = null;
        for (var at = start; at < end;)
        {
            if (end - at < 8 || first.Length - at < 8) throw Damaged(path, "its header extensions have no end");
            var type = U32(first, at);
            var length = U32(first, at + 4);
            at += 8;
            if (type == 0) break;
            if (length > (uint)(end - at)) throw Damaged(path, $"its header extension {type:x8} of {length} bytes crosses the end of its room");
            if (length > first.Length - at) throw Damaged(path, "it ends within a header extension");
            var data = first.Slice(at, (int)length);
            if (type == BackingFormatExtension)
            {
                if (length is 0 or > 15 || !System.Text.Ascii.IsValid(data)) throw Damaged(path, "its backing format is no format name");
                format = Encoding.ASCII.GetString(data);
            }
            else if (type == BitmapsExtension)
            {
                // Bytes that nobody vouches for are not looked at: a program that does not know bitmaps has written the image since.
                if (!bitmapsConsistent) bitmaps = BitmapDirectory.Inconsistent;
                else if (length != BitmapDirectory.ExtensionLength) throw Damaged(path, $"its bitmaps extension has {length} bytes");
                else bitmaps = BitmapDirectory.Of(data);
            }
            else if (type == DataFileExtension) throw Unsupported(path, "it names an external data file");
            else if (type == EncryptionExtension) throw Unsupported(path, "it has an encryption header");
            at += (int)((length + 7) & ~7u);
        }
        return (format, bitmaps);
    }

    private static string ReadName(ReadOnlySpan<byte> bytes, string path)
    {
        string name;
        try
        {
            name = new UTF8Encoding(false, throwOnInvalidBytes: true).GetString(bytes);
        }
        catch (DecoderFallbackException)
        {
            throw Damaged(path, "its backing file name is no UTF-8");
        }
        if (name.Any(char.IsControl)) throw Damaged(path, "its backing file name has control characters");
        if (HasProtocol(name)) throw Unsupported(path, $"its backing file {Ids.Quote(name)} is not a file but a protocol");
        return name;
    }

    private static int ReadUpTo(SafeFileHandle file, Span<byte> into, long offset, string path)
    {
        var done = 0;
        try
        {
            while (done < into.Length && RandomAccess.Read(file, into[done..], offset + done) is var read and > 0) done += read;
        }
        catch (IOException error)
        {
            throw DiskFaults.From(error, $"read {Ids.Quote(path)}");
        }
        return done;
    }

    private static uint U32(ReadOnlySpan<byte> bytes, int at) => BinaryPrimitives.ReadUInt32BigEndian(bytes[at..]);
    private static ulong U64(ReadOnlySpan<byte> bytes, int at) => BinaryPrimitives.ReadUInt64BigEndian(bytes[at..]);
    internal static WeaveException Damaged(string path, string why, string? next = null) => new(Fault.DataLoss, $"The qcow2 image {Ids.Quote(path)} is damaged: {why}.", next ?? "Check it with qemu-img check, or use another image.");
    private static WeaveException Unsupported(string path, string why) => new(Fault.Unsupported, $"The qcow2 image {Ids.Quote(path)} cannot be used: {why}.", "Convert it with: qemu-img convert -O qcow2");
}
