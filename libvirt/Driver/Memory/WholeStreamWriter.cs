using WeaveHypervisor.Disks;
using WeaveHypervisor.Model;
using static WeaveHypervisor.Libvirt.Memory.MigrationFormat;

namespace WeaveHypervisor.Libvirt.Memory;

/// <summary>One page of RAM: address in the main block, a multiple of 4096, and its 4096 bytes.</summary>
public readonly record struct RamPage(long Address, ReadOnlyMemory<byte> Data);

/// <summary>Present content of a RAM block: of the main one the pages that differ from the base, of any other all its pages.</summary>
/// <param name="Length">Bytes of the block, which must be those that the stream has of it.</param>
/// <param name="Pages">Each page is used before the next is asked for.</param>
public sealed record RamContent(string Block, long Length, IEnumerable<RamPage> Pages);

/// <summary>
/// Writes an ordinary migration stream again from a memory image, for a machine whose RAM cannot be mapped from the flat file (NUMA cells, hugepages,
/// a confined QEMU). Pages that the device state holds, because they differ from a shared base, come after those of the flat file, and win. Zero pages are not sent: RAM of a machine that waits for a migration is zero.
/// </summary>
public static class WholeStreamWriter
{
    /// <summary>
    /// Writes to <paramref name="to"/>, usually a pipe that QEMU reads, as fast as it takes. A reader that goes away is Unavailable.
    /// </summary>
    /// <param name="blockName">Name that the main block has in the machine that is to load it, such as "pc.ram".</param>
    /// <param name="progress">Bytes of the flat file that have been written or passed over.</param>
    public static async Task WriteAsync(string flatPath, string deviceStatePath, string blockName, Stream to, IProgress<long>? progress, CancellationToken stop)
    {
        var (flat, facts) = FileFacts.OpenRegular(flatPath);
        using (flat)
        {
            await using var device = OpenDeviceState(deviceStatePath);
            await RamInjection.CopyAsync(device, to, blockName, [], main => PagesOf(flat, main, facts.Length, flatPath, progress), () => true, stop);
        }
    }

    internal static FileStream OpenDeviceState(string path)
    {
        var (handle, _) = FileFacts.OpenRegular(path);
        return new FileStream(handle, FileAccess.Read, bufferSize: 0);
    }

    private static IEnumerable<RamPage> PagesOf(Microsoft.Win32.SafeHandles.SafeFileHandle flat, RamBlock main, long length, string path, IProgress<long>? progress)
    {
        if (length != main.Length) throw new WeaveException(Fault.DataLoss, $"The flat memory file {Ids.Quote(path)} has {length} bytes, but its device state tells of {main.Length}.", "Use another snapshot.");
        var buffer = new byte[1 << 20];
        foreach (var (start, end) in SparseFile.DataRanges(flat, length))
        {
            for (var at = start & ~(PageSize - 1L); at < end;)
            {
                var read = RandomAccess.Read(flat, buffer.AsSpan(0, (int)Math.Min(buffer.Length, length - at)), at) & ~(PageSize - 1);
                if (read == 0) throw new WeaveException(Fault.DataLoss, $"The flat memory file {Ids.Quote(path)} became shorter while it was read.", "Use another snapshot.");
                for (var i = 0; i < read && at + i < end; i += PageSize)
                    if (buffer.AsSpan(i, PageSize).IndexOfAnyExcept((byte)0) >= 0) yield return new(at + i, buffer.AsMemory(i, PageSize));
                at += read;
                progress?.Report(Math.Min(at, end));
            }
        }
        progress?.Report(length);
    }
}

/// <summary>
/// Makes the device-state stream of a machine whose RAM is a private map of a base: the base's RAM section with the pages that differ put into it, then the device sections
/// that QEMU saved now. Started on the base's flat file, it gives the machine as it is now. Blocks of which no content is given (firmware) are as the base's stream has them.
/// </summary>
public static class DeviceStateJoiner
{
    /// <summary>
    /// Writes <paramref name="resultPath"/>, 0600 and synced, whole or not at all. Differing pages that the base's stream held are left out: the private map has them among its own.
    /// </summary>
    /// <param name="deviceSections">What `xen-save-devices-state` wrote: a stream of device sections without RAM.</param>
    /// <param name="contents">The main block, and others that may have changed.</param>
    public static async Task JoinAsync(string baseDeviceStatePath, Stream deviceSections, IReadOnlyList<RamContent> contents, string resultPath, FileOwner? owner, CancellationToken stop)
    {
        await DurableFile.WriteAsync(resultPath, async file =>
        {
            try
            {
                await using (var head = WholeStreamWriter.OpenDeviceState(baseDeviceStatePath))
                    await RamInjection.CopyAsync(head, file, null, contents, null, () => false, stop);
                var magic = new byte[8];
                await deviceSections.ReadExactlyAsync(magic, stop);
                if (!magic.AsSpan().SequenceEqual((ReadOnlySpan<byte>)[0x51, 0x45, 0x56, 0x4d, 0, 0, 0, 3])) throw Damaged(0, "the saved device state does not begin as one");
                var tail = new MigrationTail();
                var buffer = new byte[1 << 16];
                while (await deviceSections.ReadAsync(buffer, stop) is var count and > 0)
                {
                    tail.Append(buffer.AsSpan(0, count));
                    await file.WriteAsync(buffer.AsMemory(0, count), stop);
                }
                return tail.IsWhole ? file.Length : throw Damaged(file.Length, "the saved device state ends too early");
            }
            catch (EndOfStreamException)
            {
                throw Damaged(0, "the saved device state is empty");
            }
        }, owner: owner);
    }
}

/// <summary>Copies a migration stream, puts a section part with more pages behind RAM's start section, leaves out all other pages of blocks that are given anew, and may rename the main block.</summary>
internal static class RamInjection
{
    /// <param name="anew">Blocks whose pages are these, and no others.</param>
    /// <param name="more">Pages of the main block that come before those of the stream.</param>
    public static async Task CopyAsync(Stream from, Stream to, string? blockName, IReadOnlyList<RamContent> anew, Func<RamBlock, IEnumerable<RamPage>>? more, Func<bool> withDevices, CancellationToken stop)
    {
        using var sink = new Sink(to, blockName, anew, more, withDevices);
        try
        {
            await new MigrationStreamWalker(from, sink, null).WalkAsync(stop);
            await sink.DrainAsync(stop);
            await to.FlushAsync(stop);
        }
        catch (IOException error)
        {
            const int brokenPipe = 32;
            throw error.HResult == brokenPipe ? new WeaveException(Fault.Unavailable, "The reader of the memory image went away.", "Look at the log of the machine's QEMU.", error) : DiskFaults.From(error, "write the migration stream");
        }
    }

    private sealed class Sink(Stream to, string? blockName, IReadOnlyList<RamContent> anew, Func<RamBlock, IEnumerable<RamPage>>? more, Func<bool> withDevices) : IMigrationSink, IDisposable
    {
        private const int DrainAt = 1 << 20;
        private readonly MemoryStream _pending = new(DrainAt + (1 << 16));
        private IReadOnlyList<RamBlock> _blocks = [];
        private bool[] _dropped = [];
        private int _main;

        public void Copy(ReadOnlySpan<byte> bytes) => _pending.Write(bytes);

        public int Blocks(IReadOnlyList<RamBlock> blocks)
        {
            _main = BlockChoice.Main(blocks, blocks.Any(b => b.Name == MigrationStreamSplitter.SharedBlock) ? MigrationStreamSplitter.SharedBlock : null);
            _blocks = blockName is null ? blocks : BlockChoice.Renamed(blocks, _main, blockName);
            foreach (var content in anew)
                if (!blocks.Any(b => b.Name == content.Block && b.Length == content.Length))
                    throw new WeaveException(Fault.DataLoss, $"The device state that the machine was started from has no RAM block {Ids.Quote(content.Block)} of {content.Length} bytes.", "Take the snapshot with `--disk-only`.");
            _dropped = [.. blocks.Select(b => anew.Any(c => c.Block == b.Name))];
            WriteBlocks(_pending, _blocks);
            return _main;
        }

        public void Page(int block, long address, ReadOnlySpan<byte> data)
        {
            if (_dropped[block]) return;
            WritePageHead(_pending, _blocks[block].Name, address, MigrationFormat.Page);
            _pending.Write(data);
        }

        public void Filled(int block, long address, byte fill)
        {
            if (_dropped[block]) return;
            WritePageHead(_pending, _blocks[block].Name, address, ZeroPage);
            _pending.WriteByte(fill);
        }

        public async ValueTask RamStartedAsync(uint section, CancellationToken stop)
        {
            WriteSectionHead(_pending, SectionPart, section);
            if (more is not null) await PagesAsync(_blocks[_main], more(_blocks[_main]), stop);
            foreach (var content in anew) await PagesAsync(new(content.Block, content.Length), content.Pages, stop);
            WriteEndOfPart(_pending);
            WriteFooter(_pending, section);
        }

        private async ValueTask PagesAsync(RamBlock block, IEnumerable<RamPage> pages, CancellationToken stop)
        {
            var again = false;
            foreach (var page in pages)
            {
                if (page.Address % PageSize != 0 || page.Address < 0 || page.Address > block.Length - PageSize || page.Data.Length != PageSize)
                    throw new WeaveException(Fault.Internal, $"A page at {page.Address} does not fit into RAM of {block.Length} bytes.");
                WritePage(_pending, block.Name, page, again);
                again = true;
                if (_pending.Length >= DrainAt) await DrainAsync(stop);
            }
        }

        public bool DevicesFollow() => withDevices();

        public async ValueTask DrainAsync(CancellationToken stop)
        {
            if (_pending.Length == 0) return;
            await to.WriteAsync(_pending.GetBuffer().AsMemory(0, (int)_pending.Length), stop);
            _pending.SetLength(0);
        }

        public void Dispose() => _pending.Dispose();
    }
}
