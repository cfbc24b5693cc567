using System.Text;
using WeaveHypervisor.Disks;
using WeaveHypervisor.Model;
using static WeaveHypervisor.Libvirt.Memory.MigrationFormat;

namespace WeaveHypervisor.Libvirt.Memory;

/// <summary>What a split wrote.</summary>
/// <param name="MainBlock">Name of the main RAM block in the source, such as "pc.ram".</param>
/// <param name="RamBytes">Bytes of the main block, the length of the flat file.</param>
/// <param name="DataPages">Pages of the main block that hold data.</param>
/// <param name="ZeroPages">All its other pages: holes, or zeros where a page was data before.</param>
/// <param name="StoredBytes">Bytes that both files take on disk.</param>
public sealed record SplitResult(string MainBlock, long RamBytes, long DataPages, long ZeroPages, long DeviceStateBytes, long BytesRead, long StoredBytes);

/// <summary>
/// Splits a QEMU migration stream while it arrives: pages of the main RAM block go to a flat sparse file that copies can map (page N at N × 4096), all else
/// to a device-state stream that QEMU loads, in which no page of the main block is left and the block bears <see cref="NewName"/>.
/// </summary>
public sealed class MigrationStreamSplitter
{
    /// <summary>Name of the memory backend of copies, and so of their main RAM block.</summary>
    public const string SharedBlock = "weave-ram";

    /// <summary>The main block's name in the source; null: the largest block is it.</summary>
    public string? MainBlock { get; init; }
    /// <summary>The main block's name in the device-state stream; 1 to 255 bytes.</summary>
    public string NewName { get; init; } = SharedBlock;
    /// <summary>Owner of both files; null: the process.</summary>
    public FileOwner? Owner { get; init; }

    /// <summary>
    /// Reads <paramref name="source"/> to its end and writes both files, 0600 and synced. They stand under their names only after success, and whole; after an error or
    /// cancellation nothing is left. DataLoss: the stream is damaged or ends too early, with the offset. Unsupported: it uses what is not read here (compression, post-copy, devices in parts).
    /// </summary>
    /// <param name="progress">Bytes read, about every 16 MiB and at the end.</param>
    public async Task<SplitResult> SplitAsync(Stream source, string flatPath, string deviceStatePath, IProgress<long>? progress, CancellationToken stop)
    {
        var flatStands = false;
        try
        {
            long dataPages, deviceBytes;
            MigrationStreamWalker walker;
            Sink sink;
            using (var flatFile = DurableFile.OpenPart(flatPath))
            using (var deviceFile = DurableFile.OpenPart(deviceStatePath))
            {
                var flat = new FlatMemoryFile(flatFile);
                using var device = new BufferedStream(deviceFile, 1 << 16);
                sink = new(this, flat, device);
                walker = new(source, sink, progress);
                await walker.WalkAsync(stop);
                flat.Flush();
                device.Flush();
                await Task.WhenAll(Task.Run(() => flatFile.Flush(flushToDisk: true), stop), Task.Run(() => deviceFile.Flush(flushToDisk: true), stop));
                dataPages = flat.DataPages;
                deviceBytes = deviceFile.Length;
            }
            stop.ThrowIfCancellationRequested();
            DurableFile.Commit(flatPath, owner: Owner);
            flatStands = true;
            DurableFile.Commit(deviceStatePath, owner: Owner);
            var ram = sink.Main!.Length;
            var stored = FileFacts.Read(flatPath).AllocatedBytes + FileFacts.Read(deviceStatePath).AllocatedBytes;
            return new(sink.Main.Name, ram, dataPages, ram / PageSize - dataPages, deviceBytes, walker.BytesRead, stored);
        }
        catch (Exception error)
        {
            DurableFile.TryDelete(flatStands ? flatPath : DurableFile.PartOf(flatPath));
            DurableFile.TryDelete(DurableFile.PartOf(deviceStatePath));
            // Also from closing the files, which writes what they have buffered.
            if (error is IOException or UnauthorizedAccessException) throw DiskFaults.From(error, $"write the memory image {Ids.Quote(flatPath)}");
            throw;
        }
    }

    private sealed class Sink(MigrationStreamSplitter splitter, FlatMemoryFile flat, Stream device) : IMigrationSink
    {
        private IReadOnlyList<RamBlock> _blocks = [];
        private int _main;
        public RamBlock? Main { get; private set; }

        public void Copy(ReadOnlySpan<byte> bytes) => device.Write(bytes);

        public int Blocks(IReadOnlyList<RamBlock> blocks)
        {
            _main = BlockChoice.Main(blocks, splitter.MainBlock);
            Main = blocks[_main];
            _blocks = BlockChoice.Renamed(blocks, _main, splitter.NewName);
            flat.SetLength(Main.Length);
            WriteBlocks(device, _blocks);
            return _main;
        }

        public void Page(int block, long address, ReadOnlySpan<byte> data)
        {
            if (block == _main) flat.Page(address, data);
            else
            {
                WritePageHead(device, _blocks[block].Name, address, MigrationFormat.Page);
                device.Write(data);
            }
        }

        public void Filled(int block, long address, byte fill)
        {
            if (block == _main) flat.Filled(address, fill);
            else
            {
                WritePageHead(device, _blocks[block].Name, address, ZeroPage);
                device.WriteByte(fill);
            }
        }

        public ValueTask RamStartedAsync(uint section, CancellationToken stop) => default;
        public bool DevicesFollow() => true;
        public ValueTask DrainAsync(CancellationToken stop) => default;
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
