using static WeaveHypervisor.Disks.Vhdx.VhdxFormat;

namespace WeaveHypervisor.Disks.Vhdx;

/// <summary>A part of the file, bytes.</summary>
internal readonly record struct VhdxRegion(long Offset, long Length)
{
    public long End => Offset + Length;
    public bool Overlaps(long offset, long length) => offset < End && Offset < offset + length;
}

/// <summary>Where the BAT and the metadata lie ([MS-VHDX] 2.2.3). There are two copies; the second is read where the first is not intact.</summary>
internal sealed record VhdxRegionTable(VhdxRegion Bat, VhdxRegion Metadata)
{
    private const int ChecksumAt = 4, HeaderBytes = 16, EntryBytes = 32;
    /// <summary>2.2.3.1: entries that fit into 64 KiB.</summary>
    private const int MaxEntries = 2047;
    private static readonly Guid BatId = new("2dc27766-f623-4200-9d64-115e9bfd4a08"), MetadataId = new("8b7ca206-4790-4b9a-b8fe-575f050f886e");
    private static ReadOnlySpan<byte> Signature => "regi"u8;

    /// <summary>Whether signature and checksum say that it is one.</summary>
    public static bool IsIntact(ReadOnlySpan<byte> bytes) => bytes.StartsWith(Signature) && U32(bytes, ChecksumAt) == Checksum(bytes[..RegionTableSize], ChecksumAt);

    /// <param name="log">Must not be overlapped either.</param>
    public static VhdxRegionTable Parse(ReadOnlySpan<byte> bytes, VhdxRegion log, string path)
    {
        var count = U32(bytes, 8);
        if (count > MaxEntries) throw Damaged(path, $"its region table has {count} entries");
        var found = new List<VhdxRegion>((int)count);
        VhdxRegion? bat = null, metadata = null;
        for (var i = 0; i < count; i++)
        {
            var entry = bytes.Slice(HeaderBytes + i * EntryBytes, EntryBytes);
            var (id, offset, length, required) = (GuidAt(entry, 0), U64(entry, 16), U32(entry, 24), (U32(entry, 28) & 1) != 0);
            if (offset % Alignment != 0 || offset < HeaderSection || offset > MaxFileLength || length % Alignment != 0 || length == 0)
                throw Damaged(path, $"entry {i} of its region table is {length} bytes at {offset}");
            var region = new VhdxRegion((long)offset, length);
            if (region.Overlaps(log.Offset, log.Length)) throw Damaged(path, $"the region of entry {i} lies on its log");
            found.Add(region);
            if (id == BatId && bat is null) bat = region;
            else if (id == MetadataId && metadata is null) metadata = region;
            else if (id == BatId || id == MetadataId) throw Damaged(path, $"entry {i} of its region table is there twice");
            else if (required) throw Unsupported(path, $"it needs the region {id}, which is not known");
        }
        found.Sort((a, b) => a.Offset.CompareTo(b.Offset));
        for (var i = 1; i < found.Count; i++)
            if (found[i].Offset < found[i - 1].End) throw Damaged(path, $"two of its regions lie on each other at {found[i].Offset}");
        return new(bat ?? throw Damaged(path, "its region table names no BAT"), metadata ?? throw Damaged(path, "its region table names no metadata"));
    }

    /// <summary>The whole table; all behind the second entry is zero.</summary>
    public byte[] ToBytes()
    {
        var bytes = new byte[RegionTableSize];
        Signature.CopyTo(bytes);
        Put(bytes, 8, 2u);
        Entry(bytes.AsSpan(HeaderBytes), BatId, Bat);
        Entry(bytes.AsSpan(HeaderBytes + EntryBytes), MetadataId, Metadata);
        Put(bytes, ChecksumAt, Checksum(bytes, ChecksumAt));
        return bytes;

        static void Entry(Span<byte> entry, Guid id, VhdxRegion region)
        {
            Put(entry, 0, id);
            Put(entry, 16, (ulong)region.Offset);
            Put(entry, 24, (uint)region.Length);
            Put(entry, 28, 1u);                             // required
        }
    }
}
