using System.Buffers;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using WeaveHypervisor.Model;
using static WeaveHypervisor.Disks.Vhdx.VhdxFormat;

namespace WeaveHypervisor.Disks.Vhdx;

/// <summary>
/// A VHDX file as one layer: fixed, dynamic or differencing. A log that waits to be replayed is replayed in memory, the file is never written.
/// Blocks that are undefined or unmapped read as zeroes, whatever the parent holds.
/// </summary>
internal sealed class VhdxImage : LayerImage
{
    private readonly VhdxGeometry _geometry;
    private readonly VhdxRegion _log;

    private VhdxImage(VhdxFile file, VhdxHeader header, int headerSlot, VhdxRegionTable regions, VhdxMetadata metadata)
    {
        (File, Header, HeaderSlot, Regions, Metadata) = (file, header, headerSlot, regions, metadata);
        _geometry = metadata.Geometry;
        _log = LogOf(header);
    }

    internal VhdxFile File { get; }
    internal VhdxHeader Header { get; }
    /// <summary>0 or 1: which of the two headers is the current one.</summary>
    internal int HeaderSlot { get; }
    internal VhdxRegionTable Regions { get; }
    internal VhdxMetadata Metadata { get; }
    internal VhdxRegion Log => _log;

    public override string Path => File.Path;
    public override FileFacts Facts => File.File.Facts;
    public override long BytesRead => File.File.BytesRead;
    public override DiskFormat Format => DiskFormat.Vhdx;
    public override long Capacity => _geometry.Capacity;
    public override ParentLink? Parent => Metadata.Parent is { } parent ? new(parent.Names, DiskFormat.Vhdx, parent.Linkage) : null;

    /// <summary>
    /// Opens the file read-only. InvalidRequest: it is no VHDX file. Unsupported: it is one, of a kind that is not read. DataLoss: it is damaged or
    /// made to mislead, or its log cannot be followed.
    /// </summary>
    public static async ValueTask<VhdxImage> OpenAsync(string path, ChainCaches caches, CancellationToken stop)
    {
        var file = ImageFile.Open(path);
        try
        {
            if (file.Length > MaxFileLength) throw Unsupported(path, $"its file has {file.Length} bytes; {MaxFileLength} are read");
            return await OpenAsync(new VhdxFile(file, caches), file.Length, stop).ConfigureAwait(false);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>The same with caches of its own.</summary>
    public static ValueTask<VhdxImage> OpenAsync(string path, CancellationToken stop) => OpenAsync(path, new ChainCaches(), stop);

    private static async ValueTask<VhdxImage> OpenAsync(VhdxFile file, long length, CancellationToken stop)
    {
        var path = file.Path;
        var bytes = ArrayPool<byte>.Shared.Rent(RegionTableSize);
        try
        {
            var signature = bytes.AsMemory(0, (int)Math.Min(length, FileSignature.Length));
            await file.ReadAsync(0, signature, "the file identifier", stop).ConfigureAwait(false);
            if (!signature.Span.SequenceEqual(FileSignature))
                throw new WeaveException(Fault.InvalidRequest, $"{Ids.QuotePath(path)} was declared to be VHDX, but is not.", "Declare the format that the file has.");
            if (length < SecondRegionTable + RegionTableSize) throw Damaged(path, "it ends within its header section");

            var (first, second) = (bytes.AsMemory(0, HeaderSize), bytes.AsMemory(HeaderSize, HeaderSize));
            await file.ReadAsync(FirstHeader, first, "a header", stop).ConfigureAwait(false);
            await file.ReadAsync(SecondHeader, second, "a header", stop).ConfigureAwait(false);
            var (header, slot) = VhdxHeader.Choose(VhdxHeader.TryParse(first.Span), VhdxHeader.TryParse(second.Span), path);
            if (header.LogGuid != Guid.Empty) file.Replay(await VhdxLog.ReadAsync(file, header, stop).ConfigureAwait(false));

            var table = bytes.AsMemory(0, RegionTableSize);
            await ReadTableAsync(file, FirstRegionTable, table, stop).ConfigureAwait(false);
            if (!VhdxRegionTable.IsIntact(table.Span)) await ReadTableAsync(file, SecondRegionTable, table, stop).ConfigureAwait(false);
            if (!VhdxRegionTable.IsIntact(table.Span)) throw Damaged(path, "neither of its region tables is intact");
            return await OpenAsync(file, header, slot, VhdxRegionTable.Parse(table.Span, LogOf(header), path), stop).ConfigureAwait(false);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(bytes);
        }
    }

    /// <summary>In two reads that are short enough to be done at once, on this thread: an open waits for no other then.</summary>
    internal static async ValueTask ReadTableAsync(VhdxFile file, long offset, Memory<byte> table, CancellationToken stop)
    {
        const int half = RegionTableSize / 2;
        await file.ReadAsync(offset, table[..half], "a region table", stop).ConfigureAwait(false);
        await file.ReadAsync(offset + half, table[half..], "a region table", stop).ConfigureAwait(false);
    }

    private static async ValueTask<VhdxImage> OpenAsync(VhdxFile file, VhdxHeader header, int slot, VhdxRegionTable regions, CancellationToken stop)
    {
        var metadata = await VhdxMetadata.ReadAsync(file, regions.Metadata, stop).ConfigureAwait(false);
        var needed = metadata.Geometry.BatEntries * sizeof(ulong);
        if (needed > regions.Bat.Length || regions.Bat.Offset + needed > file.Length)
            throw Damaged(file.Path, $"its BAT of {regions.Bat.Length} bytes at {regions.Bat.Offset} is too small, or outside of the file, for {metadata.Geometry.BatEntries} entries");
        return new(file, header, slot, regions, metadata);
    }

    private static VhdxRegion LogOf(VhdxHeader header) => new((long)header.LogOffset, header.LogLength);

    public override void VerifyParent(LayerImage parent)
    {
        if (Metadata.Parent is not { } locator) throw new WeaveException(Fault.Internal, $"{Ids.QuotePath(Path)} has no parent to verify.");
        if (parent is not VhdxImage vhdx)
            throw new WeaveException(Fault.DataLoss, $"{Ids.QuotePath(parent.Path)} is not the parent of {Ids.QuotePath(Path)}: it is no VHDX image.", "Point at the VHDX file that the differencing disk was made on.");
        if (vhdx.Header.DataWriteGuid != locator.Linkage && vhdx.Header.DataWriteGuid != locator.Linkage2)
            throw new WeaveException(Fault.DataLoss, $"{Ids.QuotePath(parent.Path)} is not the parent of {Ids.QuotePath(Path)}, or has been written to since: its data identity is {vhdx.Header.DataWriteGuid}, and {locator.Linkage} is needed.",
                "Bring back the parent as it was when the differencing disk was made.");
    }

    public override async IAsyncEnumerable<Extent> MapAsync(long offset, long length, [EnumeratorCancellation] CancellationToken stop)
    {
        RefuseOutside(offset, length);
        var (at, end) = (offset, offset + length);
        Extent? pending = null;
        while (at < end)
        {
            stop.ThrowIfCancellationRequested();
            var next = await LocateAsync(at, end - at, stop).ConfigureAwait(false);
            at = next.End;
            if (pending is { } before && before.GoesOnWith(next))
            {
                pending = before with { Length = before.Length + next.Length };
                continue;
            }
            if (pending is { } done) yield return done;
            pending = next;
        }
        if (pending is { } last) yield return last;
    }

    public override async ValueTask ReadAsync(long offset, Memory<byte> into, CancellationToken stop)
    {
        RefuseOutside(offset, into.Length);
        for (var done = 0; done < into.Length;)
        {
            var (kind, at, length) = await PlaceAsync(offset + done, into.Length - done, stop).ConfigureAwait(false);
            if (kind != ExtentKind.Data) throw new WeaveException(Fault.Internal, $"{Ids.QuotePath(Path)} holds no data at {offset + done}.");
            await File.ReadAsync(at, into.Slice(done, (int)length), "a payload block", stop).ConfigureAwait(false);
            done += (int)length;
        }
    }

    public override ValueTask ReadAsync(in Extent extent, Memory<byte> into, CancellationToken stop) =>
        extent.FileOffset < 0 ? ReadAsync(extent.Offset, into, stop) : File.ReadAsync(extent.FileOffset, into, "a payload block", stop);

    public override ValueTask<ImageDetails> DescribeAsync(CancellationToken stop)
    {
        var features = new Dictionary<string, string>
        {
            ["kind"] = Metadata.Parent is not null ? "differencing" : Metadata.LeaveBlocksAllocated ? "fixed" : "dynamic", ["block size"] = $"{Metadata.BlockSize}",
            ["logical sector size"] = $"{Metadata.LogicalSectorSize}", ["physical sector size"] = $"{Metadata.PhysicalSectorSize}", ["virtual disk id"] = $"{Metadata.VirtualDiskId}", ["data write id"] = $"{Header.DataWriteGuid}",
        };
        if (Metadata.Parent is { } parent) features["parent linkage"] = $"{parent.Linkage}";
        var warnings = new List<string>();
        if (File.IsReplayed) warnings.Add("It was not closed: its log is to be replayed. It is read as if that had been done.");
        return new(new ImageDetails { Features = [.. features], Warnings = warnings });
    }

    public override ValueTask<ImageCheck> CheckAsync(IProgress<double>? progress, CancellationToken stop) => VhdxCheck.RunAsync(this, progress, stop);

    public override void EnsureUnchanged() => File.File.EnsureUnchanged();

    public override ValueTask DisposeAsync()
    {
        File.Dispose();
        return default;
    }

    private void RefuseOutside(long offset, long length)
    {
        if (offset < 0 || length < 0 || offset > Capacity - length) throw new WeaveException(Fault.Internal, $"{length} bytes at {offset} are outside of {Ids.QuotePath(Path)}, a disk of {Capacity} bytes.");
    }

    /// <summary>What the image says from <paramref name="at"/> on, as far as it says the same; blocks that say nothing are passed over a page of the BAT at a time.</summary>
    private async ValueTask<Extent> LocateAsync(long at, long most, CancellationToken stop)
    {
        var (kind, fileOffset, length) = await PlaceAsync(at, most, stop).ConfigureAwait(false);
        if (kind == ExtentKind.Data) return new(at, length, kind, File.IsReplayed ? -1 : fileOffset);
        if ((at + length) % _geometry.BlockSize != 0 || length == most) return new(at, length, kind);
        var block = (at + length) / _geometry.BlockSize;
        var same = await SameBlocksAsync(block, kind, stop).ConfigureAwait(false);
        return new(at, Math.Min(most, length + same * _geometry.BlockSize), kind);
    }

    /// <summary>How many of the blocks from there on, within one page of the BAT, say <paramref name="kind"/> as a whole.</summary>
    private async ValueTask<long> SameBlocksAsync(long block, ExtentKind kind, CancellationToken stop)
    {
        var entry = _geometry.EntryOfBlock(block);
        var at = Regions.Bat.Offset + entry * sizeof(ulong);
        if (entry >= _geometry.BatEntries) return 0;
        var page = await File.PageAsync(at, "the BAT", stop).ConfigureAwait(false);
        var entries = MemoryMarshal.Cast<byte, ulong>(page)[(int)(at % VhdxFile.PageSize / sizeof(ulong))..];
        // Up to the next bitmap's entry, which is another thing.
        var most = (int)Math.Min(Math.Min(entries.Length, _geometry.Blocks - block), _geometry.ChunkRatio - block % _geometry.ChunkRatio);
        var count = 0;
        while (count < most && new VhdxBatEntry(entries[count]) is { HasBlock: false, IsReserved: false } one && KindOf(one.State) == kind) count++;
        return count;
    }

    /// <summary>A dynamic disk says zero where it holds nothing: there is nothing below it that could be asked.</summary>
    private ExtentKind KindOf(VhdxBlockState state) => state == VhdxBlockState.NotPresent && _geometry.HasParent ? ExtentKind.Inherited : ExtentKind.Zero;

    /// <summary>Where the byte at <paramref name="at"/> is, and for how many more, at most to the end of its block, the same goes.</summary>
    private async ValueTask<(ExtentKind Kind, long FileOffset, long Length)> PlaceAsync(long at, long most, CancellationToken stop)
    {
        var (block, within) = Math.DivRem(at, _geometry.BlockSize);
        var length = Math.Min(most, _geometry.VisibleBytes(block) - within);
        var entry = await EntryAsync(_geometry.EntryOfBlock(block), stop).ConfigureAwait(false);
        if (entry.IsReserved) throw Damaged(Path, $"block {block} has the reserved state {entry.Value & 7}");
        if (!entry.HasBlock) return (KindOf(entry.State), -1, length);
        var start = Checked(entry, _geometry.VisibleBytes(block), $"block {block}");
        if (entry.State == VhdxBlockState.Present) return (ExtentKind.Data, start + within, length);
        if (!_geometry.HasParent) throw Damaged(Path, $"block {block} is present in part, but the disk has no parent");
        var chunk = block / _geometry.ChunkRatio;
        var bitmap = await EntryAsync(_geometry.EntryOfBitmap(chunk), stop).ConfigureAwait(false);
        if ((bitmap.Value & 7) != (ulong)VhdxBlockState.Present) throw Damaged(Path, $"block {block} is present in part, but its chunk {chunk} has no sector bitmap");
        var bits = Checked(bitmap, SectorBitmapSize, $"the sector bitmap of chunk {chunk}") + _geometry.BitmapByteOf(block);
        var (isHere, same) = await BitsAsync(bits, within / _geometry.LogicalSectorSize, (within + length - 1) / _geometry.LogicalSectorSize + 1, stop).ConfigureAwait(false);
        length = Math.Min(length, same * _geometry.LogicalSectorSize - within % _geometry.LogicalSectorSize);
        return isHere ? (ExtentKind.Data, start + within, length) : (ExtentKind.Inherited, -1, length);
    }

    internal async ValueTask<VhdxBatEntry> EntryAsync(long index, CancellationToken stop)
    {
        var at = Regions.Bat.Offset + index * sizeof(ulong);
        return new(U64(await File.PageAsync(at, "the BAT", stop).ConfigureAwait(false), (int)(at % VhdxFile.PageSize)));
    }

    /// <summary>Metadata of that range have changed.</summary>
    internal void Forget(long offset, long length) => File.Forget(offset, length);

    /// <summary>The file offset of a block that is there, <paramref name="length"/> bytes of which matter.</summary>
    private long Checked(VhdxBatEntry entry, long length, string what)
    {
        if (entry.FileOffset < HeaderSection || entry.FileOffset > (ulong)File.Length || length > File.Length - (long)entry.FileOffset)
            throw Damaged(Path, $"{what} is at {entry.FileOffset}, outside of its {File.Length} bytes");
        var offset = (long)entry.FileOffset;
        if (_log.Overlaps(offset, length) || Regions.Bat.Overlaps(offset, length) || Regions.Metadata.Overlaps(offset, length))
            throw Damaged(Path, $"{what} is at {offset}, where its log, BAT or metadata are");
        return offset;
    }

    /// <summary>The bit of sector <paramref name="sector"/> of a block, and how many sectors from there on, up to <paramref name="end"/>, have the same; perhaps fewer at a page's end.</summary>
    private async ValueTask<(bool IsSet, long Sectors)> BitsAsync(long firstByte, long sector, long end, CancellationToken stop)
    {
        var at = firstByte + sector / 8;
        var page = await File.PageAsync(at, "a sector bitmap", stop).ConfigureAwait(false);
        var bytes = page.AsSpan((int)(at % VhdxFile.PageSize));
        var (bit, most) = ((int)(sector % 8), end - sector);
        var isSet = (bytes[0] >> bit & 1) != 0;
        var same = isSet ? byte.MaxValue : (byte)0;
        long count = 0;
        while (count < most && bit < 8 && ((bytes[0] >> bit & 1) != 0) == isSet) (count, bit) = (count + 1, bit + 1);
        if (bit < 8 || count >= most) return (isSet, Math.Min(count, most));
        var rest = bytes[1..];
        var whole = rest.IndexOfAnyExcept(same) is var other and >= 0 ? other : rest.Length;
        count += whole * 8L;
        if (whole < rest.Length)
            for (var i = 0; i < 8 && (rest[whole] >> i & 1) != 0 == isSet; i++) count++;
        return (isSet, Math.Min(count, most));
    }
}
