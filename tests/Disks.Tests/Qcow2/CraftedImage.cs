using System.Buffers.Binary;

namespace WeaveHypervisor.Disks.Tests.Qcow2;

/// <summary>
/// A valid qcow2 image of 1 GiB made byte by byte, to be damaged: clusters of 64 KiB, one each for header, refcount table, refcount block, L1 table, L2 table, and two of data
/// (of 0xaa and 0xbb) at guest offsets 0 and 64 KiB. Two L1 entries; the second is empty.
/// </summary>
internal sealed class CraftedImage
{
    public const int Cluster = 65536, RefcountTable = Cluster, RefcountBlock = 2 * Cluster, L1 = 3 * Cluster, L2 = 4 * Cluster, Data = 5 * Cluster, Length = 7 * Cluster;
    public const ulong Copied = 1UL << 63, Compressed = 1UL << 62;
    private const int HeaderLength = 112;

    public byte[] Bytes { get; private set; } = new byte[Length];

    public CraftedImage(int version = 3)
    {
        U32(0, 0x514649fb).U32(4, (uint)version).U32(20, 16).U64(24, 1 << 30).U32(36, 2).U64(40, L1).U64(48, RefcountTable).U32(56, 1);
        if (version == 3) U32(96, 4).U32(100, HeaderLength);
        U64(RefcountTable, RefcountBlock).U64(L1, L2 | Copied).U64(L2, Data | Copied).U64(L2 + 8, (Data + Cluster) | Copied);
        for (var i = 0; i < 7; i++) U16(RefcountBlock + i * 2, 1);
        Bytes.AsSpan(Data, Cluster).Fill(0xaa);
        Bytes.AsSpan(Data + Cluster, Cluster).Fill(0xbb);
    }

    public CraftedImage U16(int at, ushort value) { BinaryPrimitives.WriteUInt16BigEndian(Bytes.AsSpan(at), value); return this; }
    public CraftedImage U32(int at, uint value) { BinaryPrimitives.WriteUInt32BigEndian(Bytes.AsSpan(at), value); return this; }
    public CraftedImage U64(int at, ulong value) { BinaryPrimitives.WriteUInt64BigEndian(Bytes.AsSpan(at), value); return this; }
    public CraftedImage Put(int at, params ReadOnlySpan<byte> bytes) { bytes.CopyTo(Bytes.AsSpan(at)); return this; }
    public CraftedImage Cut(int length) { Bytes = Bytes[..length]; return this; }

    /// <summary>The image says that its clusters are compressed with zstd.</summary>
    public CraftedImage Zstd() => U64(72, 8).Put(104, 1);

    /// <summary>16 KiB clusters cannot be made of this one, so extended entries are those of 64 KiB: L2 entries of 16 bytes.</summary>
    public CraftedImage Extended(ulong entry, ulong bitmap) => U64(72, 16).U32(36, 4).U64(L2, entry).U64(L2 + 8, bitmap);

    /// <summary>The first cluster is what the stream at the first data cluster makes.</summary>
    public CraftedImage Stream(ReadOnlySpan<byte> stream, int sectors = 8)
    {
        Bytes.AsSpan(Data, Cluster).Clear();
        return Put(Data, stream).U64(L2, CompressedAt(Data, sectors));
    }

    /// <summary>A compressed cluster descriptor: with clusters of 64 KiB the offset has 54 bits.</summary>
    public static ulong CompressedAt(long offset, int sectors) => Compressed | (ulong)(sectors - 1) << 54 | (ulong)offset;

    /// <summary>A backing file by name, with its format where one is given.</summary>
    public CraftedImage Backing(string name, string? format = "raw")
    {
        var at = HeaderLength;
        if (format is not null)
        {
            U32(at, 0xe2792aca).U32(at + 4, (uint)format.Length).Put(at + 8, System.Text.Encoding.ASCII.GetBytes(format));
            at += 8 + (format.Length + 7 & ~7);
        }
        var text = System.Text.Encoding.UTF8.GetBytes(name);
        return U64(at, 0).U64(8, (ulong)at + 8).U32(16, (uint)text.Length).Put(at + 8, text);
    }
}
