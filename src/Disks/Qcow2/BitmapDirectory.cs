using System.Buffers.Binary;
using System.Text;

namespace WeaveHypervisor.Disks.Qcow2;

/// <summary>Where the directory of an image's bitmaps is (docs/interop/qcow2.rst, "Bitmaps extension" and "Bitmap directory").</summary>
/// <param name="Count">Bitmaps; QEMU reads up to 65,535.</param>
/// <param name="Length">Bytes of all entries.</param>
internal sealed record BitmapDirectory(long Count, long Offset, long Length)
{
    public const int ExtensionLength = 24;
    private const int MaxBitmaps = 65_535, EntryLength = 24, MaxNameLength = 1023;
    /// <summary>64 MiB: as many bitmaps with names as long as QEMU reads.</summary>
    private const long MaxLength = MaxBitmaps * (long)(EntryLength + MaxNameLength + 1);
    private const int LeastGranularityBits = 9, MostGranularityBits = 31;

    /// <summary>An image with bitmaps that are out of date: they are told, and not read.</summary>
    public static BitmapDirectory Inconsistent { get; } = new(0, 0, 0);

    public static BitmapDirectory Of(ReadOnlySpan<byte> extension) =>
        new(BinaryPrimitives.ReadUInt32BigEndian(extension), (long)BinaryPrimitives.ReadUInt64BigEndian(extension[16..]), (long)BinaryPrimitives.ReadUInt64BigEndian(extension[8..]));

    /// <summary>DataLoss where the directory cannot be.</summary>
    public void Check(long cluster, long fileLength, string path)
    {
        if (this == Inconsistent) return;
        if (Count is 0 or > MaxBitmaps) throw Qcow2Header.Damaged(path, $"its bitmaps extension claims {Count} bitmaps");
        if (Length < Count * EntryLength || Length > MaxLength || Offset < cluster || Offset % cluster != 0 || Offset > fileLength - Length)
            throw Qcow2Header.Damaged(path, $"its bitmap directory ({Length} bytes at {Offset}) is not within the file");
    }

    /// <summary>All entries, in the order of the directory. DataLoss where one is damaged.</summary>
    public async Task<IReadOnlyList<StoredBitmap>> ReadAsync(ImageFile file, Qcow2Geometry geometry, CancellationToken stop)
    {
        var bitmaps = new List<StoredBitmap>();
        if (this == Inconsistent) return bitmaps;
        var bytes = new byte[Length];
        await file.ReadAsync(Offset, bytes, stop).ConfigureAwait(false);
        for (var at = 0; at < bytes.Length && bitmaps.Count < Count;)
        {
            if (bytes.Length - at < EntryLength) throw Entry(at, "is cut off");
            var entry = bytes.AsSpan(at);
            var (table, entries, flags, type, granularity) = ((long)BinaryPrimitives.ReadUInt64BigEndian(entry), (long)BinaryPrimitives.ReadUInt32BigEndian(entry[8..]), BinaryPrimitives.ReadUInt32BigEndian(entry[12..]), entry[16], entry[17]);
            int name = BinaryPrimitives.ReadUInt16BigEndian(entry[18..]);
            var extra = BinaryPrimitives.ReadUInt32BigEndian(entry[20..]);
            if (name is 0 or > MaxNameLength || EntryLength + extra + name > entry.Length) throw Entry(at, "crosses the end of the directory");
            if (granularity is < LeastGranularityBits or > MostGranularityBits) throw Entry(at, $"has a granularity of 2^{granularity} bytes");
            if (table < geometry.ClusterSize || table % geometry.ClusterSize != 0 || table > file.Length - entries * 8) throw Entry(at, $"leads to a bitmap table that is not within the file ({table})");
            var nameAt = (int)(EntryLength + extra);
            bitmaps.Add(new(Encoding.UTF8.GetString(entry.Slice(nameAt, name)), 1L << granularity, (flags & 2) != 0, (flags & 1) != 0, type == 1) { TableOffset = table, TableEntries = entries });
            at += (nameAt + name + 7) & ~7;
        }
        if (bitmaps.Count < Count) throw geometry.Damaged($"the bitmap directory at {Offset}", $"has {bitmaps.Count} entries, and not {Count}");
        return bitmaps;

        Model.WeaveException Entry(int at, string why) => geometry.Damaged($"the entry at {Offset + at} of the bitmap directory", why);
    }
}
