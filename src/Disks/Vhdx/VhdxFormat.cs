using System.Buffers.Binary;
using System.Numerics;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Disks.Vhdx;

/// <summary>Offsets, sizes and limits of the format, all in bytes unless said otherwise. Section numbers are those of [MS-VHDX]; all integers are little-endian.</summary>
internal static class VhdxFormat
{
    public const int KiB = 1 << 10, MiB = 1 << 20;

    /// <summary>2.1: blocks and regions begin at multiples of 1 MiB, none below the first: that is the header section.</summary>
    public const int Alignment = MiB;
    /// <summary>2.2: identifier, two headers, two region tables.</summary>
    public const int HeaderSection = MiB;
    /// <summary>2.2.1: "vhdxfile".</summary>
    public static ReadOnlySpan<byte> FileSignature => "vhdxfile"u8;
    /// <summary>2.2.2: both headers; 4 KiB of each count.</summary>
    public const int FirstHeader = 64 * KiB, SecondHeader = 128 * KiB, HeaderSize = 4 * KiB;
    /// <summary>2.2.3: both region tables.</summary>
    public const int FirstRegionTable = 192 * KiB, SecondRegionTable = 256 * KiB, RegionTableSize = 64 * KiB;
    /// <summary>2.3.1: unit of the log.</summary>
    public const int LogSector = 4 * KiB;

    /// <summary>2.6.2.1.</summary>
    public const int MinBlockSize = MiB, MaxBlockSize = 256 * MiB;
    /// <summary>2.6.2.2: 64 TiB.</summary>
    public const long MaxCapacity = 64L << 40;
    /// <summary>2.4: bits of one sector bitmap block, each for one logical sector; together they cover a chunk.</summary>
    public const int SectorBitmapSize = MiB, SectorsPerChunk = SectorBitmapSize * 8;

    /// <summary>
    /// The longest file that is believed: the greatest disk in blocks of any size with its bitmaps, BAT, metadata and log is below it. It bounds what
    /// a stated file offset can make anything take.
    /// </summary>
    public const long MaxFileLength = 128L << 40;

    public static long RoundUp(long value, long unit) => checked((value + unit - 1) / unit * unit);

    public static ushort U16(ReadOnlySpan<byte> bytes, int at) => BinaryPrimitives.ReadUInt16LittleEndian(bytes[at..]);
    public static uint U32(ReadOnlySpan<byte> bytes, int at) => BinaryPrimitives.ReadUInt32LittleEndian(bytes[at..]);
    public static ulong U64(ReadOnlySpan<byte> bytes, int at) => BinaryPrimitives.ReadUInt64LittleEndian(bytes[at..]);
    public static Guid GuidAt(ReadOnlySpan<byte> bytes, int at) => new(bytes.Slice(at, 16));
    public static void Put(Span<byte> bytes, int at, ushort value) => BinaryPrimitives.WriteUInt16LittleEndian(bytes[at..], value);
    public static void Put(Span<byte> bytes, int at, uint value) => BinaryPrimitives.WriteUInt32LittleEndian(bytes[at..], value);
    public static void Put(Span<byte> bytes, int at, ulong value) => BinaryPrimitives.WriteUInt64LittleEndian(bytes[at..], value);
    public static void Put(Span<byte> bytes, int at, Guid value) => value.TryWriteBytes(bytes[at..]);

    /// <summary>CRC-32C of a structure, its own checksum field (four bytes at <paramref name="checksumAt"/>) counted as zeroes.</summary>
    public static uint Checksum(ReadOnlySpan<byte> bytes, int checksumAt)
    {
        var crc = Crc(uint.MaxValue, bytes[..checksumAt]);
        crc = BitOperations.Crc32C(crc, 0u);
        return ~Crc(crc, bytes[(checksumAt + 4)..]);
    }

    private static uint Crc(uint crc, ReadOnlySpan<byte> bytes)
    {
        for (; bytes.Length >= 8; bytes = bytes[8..]) crc = BitOperations.Crc32C(crc, BinaryPrimitives.ReadUInt64LittleEndian(bytes));
        foreach (var one in bytes) crc = BitOperations.Crc32C(crc, one);
        return crc;
    }

    public static WeaveException Damaged(string path, string what) =>
        new(Fault.DataLoss, $"The VHDX image {Ids.QuotePath(path)} is damaged: {what}.", "Restore it from a copy.");

    public static WeaveException Unsupported(string path, string what) =>
        new(Fault.Unsupported, $"The VHDX image {Ids.QuotePath(path)} cannot be read: {what}.", "Convert it on a host that can open it.");
}
