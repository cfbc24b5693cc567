using static WeaveHypervisor.Disks.Vhdx.VhdxFormat;

namespace WeaveHypervisor.Disks.Vhdx;

/// <summary>Makes log entries ([MS-VHDX] 2.3.1), each a sequence of its own: its tail is itself.</summary>
internal static class VhdxLogWriter
{
    private const int HeaderBytes = 64, DescriptorBytes = 32, ChecksumAt = 4;
    /// <summary>Pages of one entry: as many as have their descriptors in one sector with the header; two entries fit into the shortest log.</summary>
    public const int MaxPages = 120;

    /// <param name="pages">Places in the file and the 4 KiB that will be there; at most <see cref="MaxPages"/>.</param>
    /// <param name="offset">Of the entry from the log's start, a multiple of 4 KiB.</param>
    public static byte[] Entry(Guid logGuid, ulong sequence, int offset, long fileLength, IReadOnlyList<(long Offset, byte[] Bytes)> pages)
    {
        var bytes = new byte[LogSector * (1 + pages.Count)];
        "loge"u8.CopyTo(bytes);
        Put(bytes, 8, (uint)bytes.Length);
        Put(bytes, 12, (uint)offset);
        Put(bytes, 16, sequence);
        Put(bytes, 24, (uint)pages.Count);
        Put(bytes, 32, logGuid);
        Put(bytes, 48, (ulong)fileLength);
        Put(bytes, 56, (ulong)fileLength);
        for (var i = 0; i < pages.Count; i++)
        {
            var descriptor = bytes.AsSpan(HeaderBytes + i * DescriptorBytes, DescriptorBytes);
            "desc"u8.CopyTo(descriptor);
            pages[i].Bytes.AsSpan(LogSector - 4).CopyTo(descriptor[4..]);
            pages[i].Bytes.AsSpan(0, 8).CopyTo(descriptor[8..]);
            Put(descriptor, 16, (ulong)pages[i].Offset);
            Put(descriptor, 24, sequence);
            var sector = bytes.AsSpan(LogSector * (1 + i), LogSector);
            pages[i].Bytes.CopyTo(sector);
            "data"u8.CopyTo(sector);
            Put(sector, 4, (uint)(sequence >> 32));
            Put(sector, LogSector - 4, (uint)sequence);
        }
        Put(bytes, ChecksumAt, Checksum(bytes, ChecksumAt));
        return bytes;
    }
}
