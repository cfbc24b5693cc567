using System.Buffers.Binary;
using System.Text;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt.Memory;

/// <summary>Numbers and words of QEMU's migration stream (migration/savevm.c, migration/ram.c). All integers are big-endian.</summary>
internal static class MigrationFormat
{
    public const uint Magic = 0x5145564d, StreamVersion = 3;
    public const byte Eof = 0, SectionStart = 1, SectionPart = 2, SectionEnd = 3, SectionFull = 4, Subsection = 5, Description = 6, Configuration = 7, Command = 8, Footer = 0x7e;
    public const ushort PackagedCommand = 3;
    public const ulong ZeroPage = 0x02, MemorySize = 0x04, Page = 0x08, EndOfPart = 0x10, Continue = 0x20, FlagMask = 0xfff;
    public const int PageSize = 4096;
    public const uint RamVersion = 4;
    /// <summary>More than any machine has; bounds memory for a stream that lies.</summary>
    public const int MaxBlocks = 1024;
    public const long MaxRamBytes = 16L << 40;

    public static WeaveException Damaged(long offset, string why) => new(Fault.DataLoss, $"The migration stream is damaged at byte {offset}: {why}.", "Take the snapshot again, or use another one.");
    public static WeaveException Unsupported(long offset, string why) => new(Fault.Unsupported, $"The migration stream cannot be split: {why} (at byte {offset}).", "Switch that migration capability off.");

    /// <summary>Writes the record MEM_SIZE with all blocks.</summary>
    public static void WriteBlocks(Stream to, IReadOnlyList<RamBlock> blocks)
    {
        Span<byte> word = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64BigEndian(word, (ulong)blocks.Sum(b => b.Length) | MemorySize);
        to.Write(word);
        foreach (var block in blocks)
        {
            WriteName(to, block.Name);
            BinaryPrimitives.WriteInt64BigEndian(word, block.Length);
            to.Write(word);
        }
    }

    /// <summary>Writes the head of a PAGE or ZERO record; always with the name, so that the record stands alone.</summary>
    public static void WritePageHead(Stream to, string block, long address, ulong flag)
    {
        Span<byte> word = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64BigEndian(word, (ulong)address | flag);
        to.Write(word);
        if ((flag & Continue) == 0) WriteName(to, block);
    }

    /// <summary>Writes a whole record of a page; pages of zeros are written as such. <paramref name="again"/>: the record before was of the same block.</summary>
    public static void WritePage(Stream to, string block, RamPage page, bool again)
    {
        var zero = page.Data.Span.IndexOfAnyExcept((byte)0) < 0;
        WritePageHead(to, block, page.Address, (zero ? ZeroPage : Page) | (again ? Continue : 0));
        if (zero) to.WriteByte(0);
        else to.Write(page.Data.Span);
    }

    public static void WriteSectionHead(Stream to, byte type, uint section) => WriteByteAndWord(to, type, section);
    public static void WriteFooter(Stream to, uint section) => WriteByteAndWord(to, Footer, section);

    public static void WriteEndOfPart(Stream to)
    {
        Span<byte> word = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64BigEndian(word, EndOfPart);
        to.Write(word);
    }

    private static void WriteByteAndWord(Stream to, byte type, uint value)
    {
        Span<byte> bytes = stackalloc byte[5];
        bytes[0] = type;
        BinaryPrimitives.WriteUInt32BigEndian(bytes[1..], value);
        to.Write(bytes);
    }

    private static void WriteName(Stream to, string name)
    {
        var bytes = Encoding.UTF8.GetBytes(name);
        to.WriteByte(checked((byte)bytes.Length));
        to.Write(bytes);
    }
}

/// <summary>A block of guest RAM as the stream lists it.</summary>
internal sealed record RamBlock(string Name, long Length)
{
    public byte[] NameBytes { get; } = Encoding.UTF8.GetBytes(Name);
}

/// <summary>Receives what a <see cref="MigrationStreamWalker"/> reads, in stream order.</summary>
internal interface IMigrationSink
{
    /// <summary>Bytes that are no RAM block list, page or zero page: to be passed on as they are.</summary>
    void Copy(ReadOnlySpan<byte> bytes);
    /// <summary>The block list. Answers the index of the main block.</summary>
    int Blocks(IReadOnlyList<RamBlock> blocks);
    /// <summary>A page of 4096 bytes.</summary>
    void Page(int block, long address, ReadOnlySpan<byte> data);
    /// <summary>A page all of whose bytes are <paramref name="fill"/>.</summary>
    void Filled(int block, long address, byte fill);
    /// <summary>The start section of RAM, with its footer, is over; parts of section <paramref name="section"/> may be put in here.</summary>
    ValueTask RamStartedAsync(uint section, CancellationToken stop);
    /// <summary>All of RAM is over, the first device section is next. False: read no further.</summary>
    bool DevicesFollow();
    /// <summary>Called between reads, for sinks that pass on in bigger pieces.</summary>
    ValueTask DrainAsync(CancellationToken stop);
}
