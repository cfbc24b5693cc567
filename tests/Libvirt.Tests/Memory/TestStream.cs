using System.Buffers.Binary;
using System.Text;

namespace WeaveHypervisor.Libvirt.Tests.Memory;

/// <summary>Writes migration streams record by record, right ones and wrong ones.</summary>
internal sealed class TestStream
{
    private readonly MemoryStream _bytes = new();

    public byte[] ToArray() => _bytes.ToArray();
    public TestStream Byte(byte value) { _bytes.WriteByte(value); return this; }
    public TestStream U16(ushort value) { Span<byte> b = stackalloc byte[2]; BinaryPrimitives.WriteUInt16BigEndian(b, value); _bytes.Write(b); return this; }
    public TestStream U32(uint value) { Span<byte> b = stackalloc byte[4]; BinaryPrimitives.WriteUInt32BigEndian(b, value); _bytes.Write(b); return this; }
    public TestStream U64(ulong value) { Span<byte> b = stackalloc byte[8]; BinaryPrimitives.WriteUInt64BigEndian(b, value); _bytes.Write(b); return this; }
    public TestStream Bytes(ReadOnlySpan<byte> value) { _bytes.Write(value); return this; }
    public TestStream Name(string name) => Byte((byte)name.Length).Bytes(Encoding.ASCII.GetBytes(name));

    public TestStream Begin() => U32(0x5145564d).U32(3).Byte(7).U32(3).Bytes("pc1"u8);
    public TestStream Start(uint section = 2) => Byte(1).U32(section).Name("ram").U32(0).U32(4);
    public TestStream Part(uint section = 2) => Byte(2).U32(section);
    public TestStream End(uint section = 2) => Byte(3).U32(section);
    public TestStream Eos(uint section = 2) => U64(0x10).Byte(0x7e).U32(section);
    public TestStream Blocks(params (string Name, ulong Length)[] blocks)
    {
        U64((ulong)blocks.Sum(b => (long)b.Length) | 4);
        foreach (var (name, length) in blocks) Name(name).U64(length);
        return this;
    }
    public TestStream Page(ulong page, byte seed, string? block = null)
    {
        U64(page * 4096 | 8 | (block is null ? 0x20u : 0));
        if (block is not null) Name(block);
        return Bytes(PageOf(seed));
    }
    public TestStream Zero(ulong page, byte fill = 0, string? block = null)
    {
        U64(page * 4096 | 2 | (block is null ? 0x20u : 0));
        if (block is not null) Name(block);
        return Byte(fill);
    }
    public TestStream Devices(bool description = true)
    {
        Byte(4).U32(7).Name("timer").U32(0).U32(2).Bytes([0, 6, 0, 0, 0, 9, (byte)'{', 1, 2, 3]).Byte(0x7e).U32(7).Byte(0);
        return description ? Byte(6).U32(16).Bytes("{\"devices\": [ ]}"u8) : this;
    }

    public static byte[] PageOf(byte seed)
    {
        var page = new byte[4096];
        new Random(seed).NextBytes(page);
        return page;
    }

    /// <summary>A whole small stream: 64 pages of pc.ram and two of a ROM, in two parts; the second begins with CONTINUE.</summary>
    public static TestStream Small() => new TestStream().Begin()
        .Start().Blocks(("pc.ram", 64 * 4096), ("pc.rom", 2 * 4096)).Eos()
        .Byte(8).U16(1).U16(2).U16(0xbeef)
        .Part().Page(0, 1, "pc.ram").Page(1, 2).Zero(2).Page(0, 3, "pc.rom").Zero(1).Page(9, 4, "pc.ram").Eos()
        .End().Page(10, 5).Zero(11, 0xff).Page(63, 6).Eos()
        .Devices();
}
