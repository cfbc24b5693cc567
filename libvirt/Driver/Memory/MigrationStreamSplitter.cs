using System.Text;
using WeaveHypervisor.Disks;
using WeaveHypervisor.Model;
using static WeaveHypervisor.Libvirt.Memory.MigrationFormat;

namespace WeaveHypervisor.Libvirt.Memory;

/// <summary>What a split wrote.</summary>
/// <param name="MainBlock">Name of the main RAM block in the source, such as "pc.ram".</param>
/// <param name="RamBytes">Bytes of the main block, the length of the flat file.</param>
/// <param name="DataPages">Pages of the main block that hold data; where a base is shared, those that differ from it.</param>
/// <param name="ZeroPages">All its other pages: holes, or zeros where a page was data before; where a base is shared, those that are in it.</param>
/// <param name="StoredBytes">Bytes that the files written take on disk.</param>
/// <param name="SharesBase">No flat file was written: the base's, with the pages in the device state, is the RAM.</param>
public sealed record SplitResult(string MainBlock, long RamBytes, long DataPages, long ZeroPages, long DeviceStateBytes, long BytesRead, long StoredBytes, bool SharesBase);

/// <summary>
/// Splits a QEMU migration stream while it arrives: pages of the main RAM block go to a flat sparse file that copies can map (page N at N × 4096), all else
/// to a device-state stream that QEMU loads, in which no page of the main block is left and the block bears <see cref="NewName"/>. With a <see cref="Base"/> only the pages that
/// differ from it are kept, as page records in the device-state stream, unless they are more than a quarter of the RAM.
/// </summary>
public sealed class MigrationStreamSplitter
{
    /// <summary>Name of the memory backend of copies, and so of their main RAM block.</summary>
    public const string SharedBlock = "weave-ram";

    /// <summary>The main block's name in the source; null: the largest block is it.</summary>
    public string? MainBlock { get; init; }
    /// <summary>The main block's name in the device-state stream; 1 to 255 bytes.</summary>
    public string NewName { get; init; } = SharedBlock;
    /// <summary>An earlier image of the same machine on whose flat file this one may stand; used only where its main block and length are those of the stream.</summary>
    public MemoryImage? Base { get; init; }
    /// <summary>Owner of the files; null: the process.</summary>
    public FileOwner? Owner { get; init; }

    /// <summary>
    /// Reads <paramref name="source"/> to its end and writes both files (the flat one only where no base is shared), 0600 and synced. They stand under their names only after success, and whole; after an error or
    /// cancellation nothing is left. DataLoss: the stream is damaged or ends too early, with the offset. Unsupported: it uses what is not read here (compression, post-copy, devices in parts).
    /// </summary>
    /// <param name="progress">Bytes read, about every 16 MiB and at the end.</param>
    public async Task<SplitResult> SplitAsync(Stream source, string flatPath, string deviceStatePath, IProgress<long>? progress, CancellationToken stop)
    {
        var (flatNamed, deviceNamed) = (false, false);
        try
        {
            long pages, deviceBytes;
            bool shares;
            MigrationStreamWalker walker;
            Sink sink;
            using (var flatFile = DurableFile.OpenPart(flatPath))
            using (var deviceFile = DurableFile.OpenPart(deviceStatePath))
            {
                var flat = new FlatMemoryFile(flatFile);
                using var device = new BufferedStream(deviceFile, 1 << 16);
                using (sink = new(this, flat, device))
                {
                    walker = new(source, sink, progress);
                    await walker.WalkAsync(stop);
                    shares = sink.Difference is { IsBase: false };
                    pages = shares ? sink.Difference!.Count : flat.DataPages;
                }
                flat.Flush();
                FileFaults.Pass("write", deviceFile.Name);
                device.Flush();
                FileFaults.Pass("sync", deviceFile.Name);
                await Task.WhenAll(shares ? Task.CompletedTask : Task.Run(() => flatFile.Flush(flushToDisk: true), stop), Task.Run(() => deviceFile.Flush(flushToDisk: true), stop));
                deviceBytes = deviceFile.Length;
            }
            stop.ThrowIfCancellationRequested();
            if (shares) DurableFile.TryDelete(DurableFile.PartOf(flatPath));
            else
            {
                flatNamed = true;
                DurableFile.Commit(flatPath, owner: Owner);
            }
            deviceNamed = true;
            DurableFile.Commit(deviceStatePath, owner: Owner);
            var ram = sink.Main!.Length;
            var stored = (shares ? 0 : FileFacts.Read(flatPath).AllocatedBytes) + FileFacts.Read(deviceStatePath).AllocatedBytes;
            return new(sink.Main.Name, ram, pages, ram / PageSize - pages, deviceBytes, walker.BytesRead, stored, shares);
        }
        catch (Exception error)
        {
            // A name that could not be synced may be there all the same.
            foreach (var (path, named) in new[] { (flatPath, flatNamed), (deviceStatePath, deviceNamed) })
            {
                DurableFile.TryDelete(DurableFile.PartOf(path));
                if (named) DurableFile.TryDelete(path);
            }
            // Also from closing the files, which writes what they have buffered.
            if (error is IOException or UnauthorizedAccessException) throw DiskFaults.From(error, $"write the memory image {Ids.Quote(flatPath)}", writes: true);
            throw;
        }
    }

    private sealed class Sink(MigrationStreamSplitter splitter, FlatMemoryFile flat, Stream device) : IMigrationSink, IDisposable
    {
        private IReadOnlyList<RamBlock> _blocks = [];
        private int _main;
        private uint _ram;
        public RamBlock? Main { get; private set; }
        /// <summary>Null where there is no base to compare with.</summary>
        public RamDifference? Difference { get; private set; }

        public void Copy(ReadOnlySpan<byte> bytes) => device.Write(bytes);

        public int Blocks(IReadOnlyList<RamBlock> blocks)
        {
            _main = BlockChoice.Main(blocks, splitter.MainBlock);
            Main = blocks[_main];
            _blocks = BlockChoice.Renamed(blocks, _main, splitter.NewName);
            flat.SetLength(Main.Length);
            if (splitter.Base is { } earlier && earlier.RamBytes == Main.Length && (Main.Name == SharedBlock || Main.Name == earlier.MainBlock) && Main.Length % PageSize == 0)
                Difference = RamDifference.Open(earlier.FlatPath, flat, Main.Length);
            WriteBlocks(device, _blocks);
            return _main;
        }

        public void Page(int block, long address, ReadOnlySpan<byte> data)
        {
            if (block == _main)
            {
                if (Difference is null) flat.Page(address, data);
                else Difference.Page(address, data);
            }
            else
            {
                WritePageHead(device, _blocks[block].Name, address, MigrationFormat.Page);
                device.Write(data);
            }
        }

        public void Filled(int block, long address, byte fill)
        {
            if (block == _main)
            {
                if (Difference is null) flat.Filled(address, fill);
                else Difference.Filled(address, fill);
            }
            else
            {
                WritePageHead(device, _blocks[block].Name, address, ZeroPage);
                device.WriteByte(fill);
            }
        }

        public ValueTask RamStartedAsync(uint section, CancellationToken stop)
        {
            _ram = section;
            return default;
        }

        /// <summary>Only now it is known which pages differ in the end: they make a part of their own, behind all others.</summary>
        public bool DevicesFollow()
        {
            if (Difference is not { IsBase: false, Count: > 0 } difference) return true;
            WriteSectionHead(device, SectionPart, _ram);
            var again = false;
            foreach (var page in difference.Pages())
            {
                WritePage(device, _blocks[_main].Name, page, again);
                again = true;
            }
            WriteEndOfPart(device);
            WriteFooter(device, _ram);
            return true;
        }

        public ValueTask DrainAsync(CancellationToken stop) => default;

        public void Dispose() => Difference?.Dispose();
    }
}

/// <summary>Which RAM block is the main one, and its change of name.</summary>
internal static class BlockChoice
{
    public static int Main(IReadOnlyList<RamBlock> blocks, string? name)
    {
        var main = 0;
        for (var i = 0; i < blocks.Count; i++)
        {
            if (blocks[i].Name == name) return i;
            if (blocks[i].Length > blocks[main].Length) main = i;
        }
        return name is null ? main : throw new WeaveException(Fault.Unsupported, $"The migration stream has no RAM block {Ids.Quote(name)}, but {string.Join(", ", blocks.Take(20).Select(b => Ids.Quote(b.Name)))}.", "Machines with one RAM block can be captured with memory.");
    }

    public static IReadOnlyList<RamBlock> Renamed(IReadOnlyList<RamBlock> blocks, int main, string name)
    {
        if (Encoding.UTF8.GetByteCount(name) is 0 or > 255) throw new WeaveException(Fault.InvalidRequest, $"{Ids.Quote(name)} cannot be the name of a RAM block.");
        return [.. blocks.Select((block, i) => i == main ? new RamBlock(name, block.Length) : block)];
    }
}
