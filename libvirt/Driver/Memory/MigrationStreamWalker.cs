using System.Buffers.Binary;
using System.Text;
using WeaveHypervisor.Disks;
using WeaveHypervisor.Model;
using static WeaveHypervisor.Libvirt.Memory.MigrationFormat;

namespace WeaveHypervisor.Libvirt.Memory;

/// <summary>
/// Reads a migration stream once, front to back, as it arrives. Memory is bounded by its buffer whatever the stream claims; every record is checked
/// before it is believed. Device sections have no lengths, so from the first of them on bytes are passed through, and only the very end is checked.
/// </summary>
internal sealed class MigrationStreamWalker(Stream source, IMigrationSink sink, IProgress<long>? progress)
{
    private const int BufferSize = 1 << 20;
    private const long ReportEvery = 16 << 20;
    private readonly byte[] _buffer = GC.AllocateUninitializedArray<byte>(BufferSize);
    private int _start, _end;
    private long _read, _reported;
    private IReadOnlyList<RamBlock>? _blocks;
    private int _current = -1;      // block of the page before; CONTINUE refers to it, also across parts
    private uint? _ram;

    /// <summary>Bytes read from the source.</summary>
    public long BytesRead => _read;
    private long Offset => _read - (_end - _start);
    private ReadOnlySpan<byte> Available => _buffer.AsSpan(_start, _end - _start);

    public async Task WalkAsync(CancellationToken stop)
    {
        await NeedAsync(8, stop);
        if (U32(0) != Magic) throw Damaged(0, "it does not begin as one");
        if (U32(4) != StreamVersion) throw Unsupported(4, $"stream version {U32(4)} is unknown");
        Pass(8);
        while (true)
        {
            await NeedAsync(1, stop);
            var type = Available[0];
            switch (type)
            {
                case Configuration when _ram is null: await ConfigurationAsync(stop); break;
                case Command: await CommandAsync(stop); break;
                case SectionStart: await SectionStartAsync(stop); break;
                case SectionPart or SectionEnd:
                    await NeedAsync(5, stop);
                    var id = U32(1);
                    if (id != _ram) throw Damaged(Offset, $"a part of section {id}, which is not RAM");
                    Pass(5);
                    await RamAsync(stop);
                    await FooterAsync(id, stop);
                    break;
                case SectionFull:
                    if (_ram is null) throw Damaged(Offset, "device sections before RAM");
                    if (sink.DevicesFollow()) await RestAsync(stop);
                    return;
                case Eof: throw Damaged(Offset, "it ends without device sections");
                default: throw Damaged(Offset, $"unknown record type {type:x2}");
            }
        }
    }

    private async ValueTask ConfigurationAsync(CancellationToken stop)
    {
        await NeedAsync(5, stop);
        var length = U32(1);
        if (length > 1024) throw Damaged(Offset, $"a machine name of {length} bytes");
        await NeedAsync(5 + (int)length, stop);
        Pass(5 + (int)length);
        while (await PeekAsync(stop) == Subsection)
        {
            await NeedAsync(2, stop);
            var nameLength = Available[1];
            await NeedAsync(2 + nameLength + 4, stop);
            var name = Encoding.UTF8.GetString(Available.Slice(2, nameLength));
            var at = Offset;
            Pass(2 + nameLength + 4);
            switch (name)
            {
                case "configuration/target-page-bits":
                    await NeedAsync(4, stop);
                    Pass(4);
                    break;
                case "configuration/uuid":
                    await NeedAsync(16, stop);
                    Pass(16);
                    break;
                case "configuration/capabilities":
                    await NeedAsync(4, stop);
                    var count = U32(0);
                    if (count > 256) throw Damaged(at, $"{count} capabilities");
                    Pass(4);
                    for (var i = 0; i < count; i++)
                    {
                        await NeedAsync(1, stop);
                        var size = 1 + Available[0];
                        await NeedAsync(size, stop);
                        Pass(size);
                    }
                    break;
                default: throw Unsupported(at, $"configuration part {Ids.Quote(name)} is unknown");
            }
        }
    }

    private async ValueTask CommandAsync(CancellationToken stop)
    {
        await NeedAsync(5, stop);
        var length = BinaryPrimitives.ReadUInt16BigEndian(Available[3..]);
        if (BinaryPrimitives.ReadUInt16BigEndian(Available[1..]) == PackagedCommand) throw Unsupported(Offset, "it is a post-copy migration");
        await NeedAsync(5 + length, stop);
        Pass(5 + length);
    }

    private async ValueTask SectionStartAsync(CancellationToken stop)
    {
        await NeedAsync(6, stop);
        var nameLength = Available[5];
        await NeedAsync(6 + nameLength + 8, stop);
        var section = U32(1);
        var name = Encoding.UTF8.GetString(Available.Slice(6, nameLength));
        if (name != "ram") throw Unsupported(Offset, $"section {Ids.Quote(name)} is sent in parts");
        if (_ram is not null) throw Damaged(Offset, "RAM begins twice");
        if (U32(6 + nameLength + 4) is var version && version != RamVersion) throw Unsupported(Offset, $"RAM of version {version}");
        Pass(6 + nameLength + 8);
        await RamAsync(stop);
        if (_blocks is null) throw Damaged(Offset, "RAM has no block list");
        _ram = section;
        await FooterAsync(section, stop);
        await sink.RamStartedAsync(section, stop);
    }

    private async ValueTask FooterAsync(uint section, CancellationToken stop)
    {
        await NeedAsync(5, stop);
        if (Available[0] != Footer || U32(1) != section) throw Damaged(Offset, $"section {section} has no footer");
        Pass(5);
    }

    private async ValueTask RamAsync(CancellationToken stop)
    {
        while (!ParseRam()) await NeedAsync(_end - _start + 1, stop);
    }

    /// <summary>Takes as many whole records as the buffer holds; true when the part is over.</summary>
    private bool ParseRam()
    {
        while (true)
        {
            var bytes = Available;
            if (bytes.Length < 8) return false;
            var word = BinaryPrimitives.ReadUInt64BigEndian(bytes);
            var flags = word & FlagMask;
            switch (flags & ~Continue)
            {
                case EndOfPart when word == EndOfPart:
                    Pass(8);
                    return true;
                case MemorySize when flags == MemorySize:
                    if (!ParseBlocks(bytes, (long)(word & ~FlagMask))) return false;
                    break;
                case Page or ZeroPage:
                    if (!ParsePage(bytes, word & ~FlagMask, flags)) return false;
                    break;
                default:
                    throw Unsupported(Offset, $"RAM flags {flags:x3} are not understood");
            }
        }
    }

    private bool ParseBlocks(ReadOnlySpan<byte> bytes, long total)
    {
        if (_blocks is not null) throw Damaged(Offset, "a second list of RAM blocks");
        if (total is <= 0 or > MaxRamBytes) throw Damaged(Offset, $"RAM of {total} bytes");
        var blocks = new List<RamBlock>();
        var at = 8;
        for (var left = total; left > 0;)
        {
            if (bytes.Length <= at) return false;
            var nameLength = bytes[at];
            if (bytes.Length < at + 1 + nameLength + 8) return false;
            var length = BinaryPrimitives.ReadUInt64BigEndian(bytes[(at + 1 + nameLength)..]);
            if (length == 0 || length > (ulong)left) throw Damaged(Offset + at, $"a RAM block of {length} bytes where {left} are left");
            var block = new RamBlock(Encoding.UTF8.GetString(bytes.Slice(at + 1, nameLength)), (long)length);
            if (nameLength == 0 || blocks.Any(b => b.Name == block.Name)) throw Damaged(Offset + at, $"the RAM block name {Ids.Quote(block.Name)} is empty or comes twice");
            blocks.Add(block);
            if (blocks.Count > MaxBlocks) throw Damaged(Offset, $"more than {MaxBlocks} RAM blocks");
            left -= block.Length;
            at += 1 + nameLength + 8;
        }
        var main = sink.Blocks(blocks);
        if (blocks[main].Length % PageSize != 0) throw Damaged(Offset, $"the RAM block {Ids.Quote(blocks[main].Name)} is no whole number of pages");
        _blocks = blocks;
        Skip(at);
        return true;
    }

    private bool ParsePage(ReadOnlySpan<byte> bytes, ulong address, ulong flags)
    {
        var at = 8;
        var block = _current;
        if ((flags & Continue) == 0)
        {
            if (bytes.Length <= at) return false;
            var nameLength = bytes[at];
            if (bytes.Length < at + 1 + nameLength) return false;
            block = Find(bytes.Slice(at + 1, nameLength));
            at += 1 + nameLength;
        }
        if (block < 0) throw Damaged(Offset, "a page of no block");
        var isPage = (flags & Page) != 0;
        var size = isPage ? PageSize : 1;
        if (bytes.Length < at + size) return false;
        var length = (ulong)_blocks![block].Length;
        if (address >= length || length - address < PageSize) throw Damaged(Offset, $"a page at {address} of the block {Ids.Quote(_blocks[block].Name)} of {length} bytes");
        if (isPage) sink.Page(block, (long)address, bytes.Slice(at, PageSize));
        else sink.Filled(block, (long)address, bytes[at]);
        _current = block;
        Skip(at + size);
        return true;
    }

    private int Find(ReadOnlySpan<byte> name)
    {
        if (_blocks is null) throw Damaged(Offset, "a page before the list of RAM blocks");
        if (_current >= 0 && name.SequenceEqual(_blocks[_current].NameBytes)) return _current;
        for (var i = 0; i < _blocks.Count; i++)
            if (name.SequenceEqual(_blocks[i].NameBytes)) return i;
        throw Damaged(Offset, $"a page of the unknown block {Ids.Quote(Encoding.UTF8.GetString(name))}");
    }

    private async ValueTask RestAsync(CancellationToken stop)
    {
        var tail = new MigrationTail();
        do
        {
            tail.Append(Available);
            Pass(_end - _start);
        }
        while (await FillAsync(stop));
        if (!tail.IsWhole) throw Damaged(_read, "it ends within its device sections");
    }

    private async ValueTask<int> PeekAsync(CancellationToken stop)
    {
        await NeedAsync(1, stop);
        return Available[0];
    }

    private async ValueTask NeedAsync(int count, CancellationToken stop)
    {
        while (_end - _start < count)
            if (!await FillAsync(stop)) throw Damaged(_read, "it ends too early");
    }

    private async ValueTask<bool> FillAsync(CancellationToken stop)
    {
        await sink.DrainAsync(stop);
        if (_start == _end) _start = _end = 0;
        else if (_start > 0 && _buffer.Length - _end < BufferSize / 2)
        {
            Available.CopyTo(_buffer);
            (_start, _end) = (0, _end - _start);
        }
        int count;
        try
        {
            // Not every stream's read can be interrupted: the wait can. The buffer is never used again then.
            var reading = source.ReadAsync(_buffer.AsMemory(_end), stop);
            count = reading.IsCompletedSuccessfully ? reading.Result : await reading.AsTask().WaitAsync(stop);
        }
        catch (IOException error)
        {
            throw DiskFaults.From(error, "read the migration stream");
        }
        _end += count;
        _read += count;
        if (progress is not null && (_read - _reported >= ReportEvery || count == 0)) progress.Report(_reported = _read);
        return count > 0;
    }

    private void Pass(int count)
    {
        sink.Copy(Available[..count]);
        Skip(count);
    }

    private void Skip(int count) => _start += count;
    private uint U32(int at) => BinaryPrimitives.ReadUInt32BigEndian(Available[at..]);
}

/// <summary>
/// Judges from its last bytes whether a stream's device sections are whole: it ends with an EOF record after a section's footer, or with the VM description that
/// follows the EOF record and whose length reaches exactly to the end.
/// </summary>
internal sealed class MigrationTail
{
    private const int Kept = 4 << 20;
    private byte[] _bytes = [];
    private int _length;

    public void Append(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length > Kept) bytes = bytes[^Kept..];
        if (_length + bytes.Length > 2 * Kept)
        {
            _bytes.AsSpan(_length - Kept, Kept).CopyTo(_bytes);
            _length = Kept;
        }
        if (_length + bytes.Length > _bytes.Length) Array.Resize(ref _bytes, Math.Max(_length + bytes.Length, Math.Min(2 * Kept, _bytes.Length * 2)));
        bytes.CopyTo(_bytes.AsSpan(_length));
        _length += bytes.Length;
    }

    public bool IsWhole
    {
        get
        {
            ReadOnlySpan<byte> all = _bytes.AsSpan(0, _length);
            if (all is [.., Footer, _, _, _, _, Eof]) return true;
            // Footer, EOF, 06, length, JSON to exactly the end: device sections hold all of that by chance hardly ever.
            for (var from = 0; from < all.Length;)
            {
                var at = all[from..].IndexOf([Eof, Description]);
                if (at < 0) return false;
                at += from;
                if (at >= 5 && all[at - 5] == Footer && all.Length - at >= 8 && all[at + 6] == '{' && all[^1] == '}' && BinaryPrimitives.ReadUInt32BigEndian(all[(at + 2)..]) == all.Length - at - 6) return true;
                from = at + 1;
            }
            return false;
        }
    }
}
