using System.Buffers.Binary;
using System.Text;

namespace WeaveHypervisor.Disks.Tests.Vhdx;

/// <summary>
/// A whole VHDX file in memory, as our writer lays it out, to be changed as nobody should: places by name, checksums made right again. Knows the format on its own, so that
/// a mistake in the product's tables shows.
/// </summary>
internal sealed class VhdxBytes(byte[] bytes)
{
    public const int MiB = 1 << 20, Header1 = 64 << 10, Header2 = 128 << 10, Regions1 = 192 << 10, Regions2 = 256 << 10, Log = MiB, Metadata = 2 * MiB, Items = Metadata + (64 << 10), Bat = 3 * MiB, Blocks = 4 * MiB;
    public byte[] Bytes { get; set; } = bytes;

    public VhdxBytes Put(int at, params byte[] value)
    {
        value.CopyTo(Bytes, at);
        return this;
    }

    public VhdxBytes U16(int at, int value) => Put(at, BitConverter.GetBytes((ushort)value));
    public VhdxBytes U32(int at, uint value) => Put(at, BitConverter.GetBytes(value));
    public VhdxBytes U64(int at, ulong value) => Put(at, BitConverter.GetBytes(value));
    public VhdxBytes Guid(int at, Guid value) => Put(at, value.ToByteArray());
    public uint U32(int at) => BinaryPrimitives.ReadUInt32LittleEndian(Bytes.AsSpan(at));
    public ulong U64(int at) => BinaryPrimitives.ReadUInt64LittleEndian(Bytes.AsSpan(at));

    /// <summary>Makes the checksums of what is there right.</summary>
    public VhdxBytes Heal()
    {
        foreach (var (at, length) in ((int, int)[])[(Header1, 4096), (Header2, 4096), (Regions1, 65536), (Regions2, 65536)])
            if (Bytes.Length >= at + length) U32(at + 4, Crc(Bytes.AsSpan(at, length)));
        return this;
    }

    /// <summary>The same change in both region tables.</summary>
    public VhdxBytes Region(Action<int> change)
    {
        change(Regions1);
        change(Regions2);
        return Heal();
    }

    public VhdxBytes Headers(Action<int> change)
    {
        change(Header1);
        change(Header2);
        return Heal();
    }

    public static readonly Guid BatRegion = new("2dc27766-f623-4200-9d64-115e9bfd4a08"), FileParameters = new("caa16737-fa36-4d43-b3b6-33f0aa44e76b"), VirtualDiskSize = new("2fa54224-cd1b-4876-b211-5dbed83bf4b8"),
        VirtualDiskId = new("beca12ab-b2e6-4523-93ef-c309e000c746"), LogicalSectorSize = new("8141bf1d-a96f-4709-ba47-f233a8faab5f"), PhysicalSectorSize = new("cda348c7-445d-4471-9cc9-e9885251c556"),
        ParentLocator = new("a8d35f2d-b30b-454d-abf7-d3d84834ab0c"), Incomplete = new("71cc85f0-1b69-4e28-9558-c3bf83ae75d3");

    /// <summary>The place of an item's entry in the metadata table.</summary>
    public int Entry(Guid item)
    {
        for (var i = 0; ; i++)
            if (new Guid(Bytes.AsSpan(Metadata + 32 + i * 32, 16)) == item) return Metadata + 32 + i * 32;
    }

    /// <summary>The place of an item.</summary>
    public int Item(Guid item) => Metadata + (int)U32(Entry(item) + 16);

    /// <summary>One more entry in the metadata table.</summary>
    public VhdxBytes AddItem(Guid id, uint offset, uint length, uint flags)
    {
        var count = BitConverter.ToUInt16(Bytes, Metadata + 10);
        var at = Metadata + 32 + count * 32;
        return U16(Metadata + 10, count + 1).Guid(at, id).U32(at + 16, offset).U32(at + 20, length).U32(at + 24, flags);
    }

    /// <summary>Replaces text within the parent locator by text of the same length.</summary>
    public VhdxBytes Text(string from, string to)
    {
        var at = Bytes.AsSpan(Items, 64 << 10).IndexOf(Encoding.Unicode.GetBytes(from));
        Assert.True(at >= 0 && from.Length == to.Length);
        return Put(Items + at, Encoding.Unicode.GetBytes(to));
    }

    /// <summary>CRC-32C, bit by bit, the second four bytes as zeroes.</summary>
    public static uint Crc(ReadOnlySpan<byte> bytes)
    {
        var crc = uint.MaxValue;
        for (var i = 0; i < bytes.Length; i++)
        {
            crc = Table[(byte)(crc ^ (i is >= 4 and < 8 ? 0 : bytes[i]))] ^ (crc >> 8);
        }
        return ~crc;
    }

    private static readonly uint[] Table = [.. Enumerable.Range(0, 256).Select(n =>
    {
        var crc = (uint)n;
        for (var bit = 0; bit < 8; bit++) crc = (crc & 1) != 0 ? crc >> 1 ^ 0x82f63b78 : crc >> 1;
        return crc;
    })];
}
