using Microsoft.Win32.SafeHandles;
using WeaveHypervisor.Model;
using static WeaveHypervisor.Disks.Vhdx.VhdxFormat;

namespace WeaveHypervisor.Disks.Vhdx;

/// <summary>
/// A VHDX file that is written to in place, as a hypervisor does for its guest. For simulators and tests: the product itself writes new files only and
/// leaves frozen layers alone. What a guest reads is read with a chain, after a flush.
/// <para>
/// Kept as [MS-VHDX] demands: new write identities before the first change; changes of the BAT and of sector bitmaps go through the log. After a crash at
/// any instant the file holds what was flushed, and of each sector that was written since the old or the new bytes.
/// </para>
/// Calls are taken one after the other. After a failed write all further ones are refused.
/// </summary>
public sealed class VhdxLiveDisk : IAsyncDisposable
{
    private readonly SemaphoreSlim _one = new(1, 1);
    private readonly SafeFileHandle _file;
    private readonly VhdxImage _image;
    private readonly VhdxGeometry _geometry;
    private VhdxReplay _pending = new();
    private int _pendingPages;
    private VhdxHeader _header;
    private int _slot;
    private long _length;
    private ulong _sequence = 1;
    private bool _fileChanged, _dataChanged, _unsynced, _failed, _closed;

    private VhdxLiveDisk(VhdxImage image, SafeFileHandle file, long length)
    {
        (_image, _file, _geometry, _header, _slot, _length) = (image, file, image.Metadata.Geometry, image.Header, image.HeaderSlot, length);
        _image.File.Replay(_pending);
    }

    public string Path => _image.Path;
    /// <summary>Bytes that a guest sees.</summary>
    public long Capacity => _geometry.Capacity;
    /// <summary>Bytes; guests write whole ones.</summary>
    public int SectorBytes => _geometry.LogicalSectorSize;
    /// <summary>What differencing disks on this one are linked to; changes with the first write.</summary>
    public Guid DataWriteId => _header.DataWriteGuid;

    /// <summary>
    /// Opens an existing file for writing, alone; a log that waits is replayed. Faults as <see cref="VhdxFacts.ReadAsync"/>; DataLoss also where anything of the structure is damaged;
    /// Busy where another has it open for writing.
    /// </summary>
    public static async Task<VhdxLiveDisk> OpenAsync(string path, CancellationToken stop)
    {
        var image = await VhdxImage.OpenAsync(path, stop).ConfigureAwait(false);
        SafeFileHandle? file = null;
        try
        {
            var check = await image.CheckAsync(null, stop).ConfigureAwait(false);
            if (check.Findings.FirstOrDefault(f => f.Kind == CheckKind.Error) is { } finding) throw Damaged(path, $"{finding.Structure} at {finding.Offset}: {finding.Text.TrimEnd('.')}");
            if (image.Log.Length < 2 * LogSector * (1 + VhdxLogWriter.MaxPages)) throw Unsupported(path, $"its log has {image.Log.Length} bytes, which are too few for a change");
            // Numbers are never used up in a file's life; one that is made to mislead would make the next header an old one.
            if (image.Header.SequenceNumber > long.MaxValue) throw Unsupported(path, $"its headers have the number {image.Header.SequenceNumber}, and cannot be followed by others");
            file = OpenFile(path);
            if (image.File.IsReplayed)
            {
                MakeReplay(file, image, path);
                await image.DisposeAsync().ConfigureAwait(false);
                image = await VhdxImage.OpenAsync(path, stop).ConfigureAwait(false);
            }
            var length = RandomAccess.GetLength(file);
            if (length > MaxFileLength - 2 * MaxBlockSize) throw Unsupported(path, $"its file has {length} bytes, and cannot become longer");
            var disk = new VhdxLiveDisk(image, file, length);
            // New blocks begin at whole MiB behind all that is there.
            if (length % Alignment != 0) disk.Extend(RoundUp(length, Alignment));
            return disk;
        }
        catch (Exception error)
        {
            file?.Dispose();
            await image.DisposeAsync().ConfigureAwait(false);
            if (error is IOException or UnauthorizedAccessException) throw DiskFaults.From(error, $"write {Ids.QuotePath(path)}");
            throw;
        }
    }

    /// <summary>Writes whole sectors within the capacity (InvalidRequest otherwise). Durable after the next flush.</summary>
    public Task WriteAsync(long offset, ReadOnlyMemory<byte> bytes, CancellationToken stop) => AloneAsync(async () =>
    {
        CheckRange(offset, bytes.Length);
        await EachBlockAsync(offset, bytes.Length, (block, within, at, length) => WriteBlockAsync(block, within, bytes.Slice((int)at, length), stop), stop).ConfigureAwait(false);
    }, stop);

    /// <summary>Makes whole sectors zeroes; blocks that are covered as a whole give up their bytes. The file does not become shorter.</summary>
    public Task ZeroAsync(long offset, long length, CancellationToken stop) => AloneAsync(() =>
    {
        CheckRange(offset, length);
        return EachBlockAsync(offset, length, (block, within, _, part) => ZeroBlockAsync(block, within, part, stop), stop);
    }, stop);

    /// <summary>All that was written is on the disk when this returns.</summary>
    public Task FlushAsync(CancellationToken stop) => AloneAsync(() =>
    {
        Flush();
        return Task.CompletedTask;
    }, stop);

    /// <summary>Flushes and closes; twice: once. A file that was changed has no log to replay then.</summary>
    public async ValueTask DisposeAsync()
    {
        await _one.WaitAsync().ConfigureAwait(false);
        try
        {
            if (_closed) return;
            _closed = true;
            if (_failed) return;
            Flush();
            if (_header.LogGuid == Guid.Empty) return;
            Sync();
            WriteHeaders(_header with { LogGuid = Guid.Empty });
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw DiskFaults.From(error, $"write {Ids.QuotePath(Path)}");
        }
        finally
        {
            _one.Release();
            _file.Dispose();
            await _image.DisposeAsync().ConfigureAwait(false);
        }
    }

    /// <summary>Ends as the death of the process does: nothing more is written.</summary>
    internal async ValueTask AbandonAsync()
    {
        _closed = true;
        _file.Dispose();
        await _image.DisposeAsync().ConfigureAwait(false);
    }

    /// <summary>
    /// Writes what <paramref name="childPath"/> holds into the parent that it is linked to, in place, as Hyper-V does when a checkpoint is removed. The child stays, and reads the same
    /// at each instant, also after a crash; a repeat ends the work. Other children of the parent are lost: who may call this knows that there are none. Children of the child are to be
    /// linked to the parent by <see cref="SetParentAsync"/>, before the child is deleted.
    /// DataLoss: it is not the child's parent. Unsupported: they have not one size.
    /// </summary>
    public static async Task MergeAsync(string childPath, string parentPath, CancellationToken stop)
    {
        await using var parent = await OpenAsync(parentPath, stop).ConfigureAwait(false);
        await using var child = await VhdxImage.OpenAsync(childPath, stop).ConfigureAwait(false);
        if (child.Metadata.Parent is not { } locator) throw new WeaveException(Fault.InvalidRequest, $"{Ids.QuotePath(childPath)} cannot be merged: it has no parent.", "Merge a differencing disk.");
        child.VerifyParent(parent._image);
        if (child.Capacity != parent.Capacity || child.Metadata.LogicalSectorSize != parent.SectorBytes)
            throw new WeaveException(Fault.Unsupported, $"{Ids.QuotePath(childPath)} cannot be merged into {Ids.QuotePath(parentPath)}: their disks have {child.Capacity} and {parent.Capacity} bytes.", "Write a copy of the chain instead.");
        // The child knows the identity that its parent will have before the parent has it (2.6.2.6.3, parent_linkage2).
        var identity = Guid.NewGuid();
        await ChangeAsync(childPath, disk => disk.PutLocatorAsync(locator with { Linkage = parent.DataWriteId, Linkage2 = identity }, stop), stop).ConfigureAwait(false);
        await parent.AloneAsync(() =>
        {
            parent.BeginData(identity);
            return Task.CompletedTask;
        }, stop).ConfigureAwait(false);
        var buffer = new byte[MiB];
        await foreach (var extent in child.MapAsync(0, child.Capacity, stop).ConfigureAwait(false))
        {
            if (extent.Kind == ExtentKind.Zero) await parent.ZeroAsync(extent.Offset, extent.Length, stop).ConfigureAwait(false);
            if (extent.Kind != ExtentKind.Data) continue;
            for (var at = extent.Offset; at < extent.End; at += buffer.Length)
            {
                var part = buffer.AsMemory(0, (int)Math.Min(buffer.Length, extent.End - at));
                await child.ReadAsync(at, part, stop).ConfigureAwait(false);
                await parent.WriteAsync(at, part, stop).ConfigureAwait(false);
            }
        }
    }

    /// <summary>Links a differencing disk to another parent, whose content must be what the old one had: nothing can check that. What a guest sees of the disk itself is not changed.</summary>
    public static async Task SetParentAsync(string childPath, string parentPath, CancellationToken stop)
    {
        var parent = await VhdxFacts.ReadAsync(parentPath, stop).ConfigureAwait(false);
        await ChangeAsync(childPath, disk => disk.PutLocatorAsync(VhdxShape.Locate(childPath, System.IO.Path.GetFullPath(parentPath), parent.DataWriteId), stop), stop).ConfigureAwait(false);
    }

    /// <summary>Gives a disk another <see cref="VhdxFacts.VirtualDiskId"/>.</summary>
    public static Task SetVirtualDiskIdAsync(string path, Guid id, CancellationToken stop) => ChangeAsync(path, async disk =>
    {
        disk.BeginFile();
        var region = disk._image.Regions.Metadata.Offset;
        var entry = new byte[32];
        await disk._image.File.ReadAsync(region + disk._image.Metadata.VirtualDiskIdEntryAt, entry, "the metadata table", stop).ConfigureAwait(false);
        await disk.PutAsync(region + U32(entry, 16), id.ToByteArray(), stop).ConfigureAwait(false);
    }, stop);

    private static async Task ChangeAsync(string path, Func<VhdxLiveDisk, Task> change, CancellationToken stop)
    {
        await using var disk = await OpenAsync(path, stop).ConfigureAwait(false);
        await disk.AloneAsync(() => change(disk), stop).ConfigureAwait(false);
    }

    private async Task PutLocatorAsync(VhdxParentLocator locator, CancellationToken stop)
    {
        if (_image.Metadata.Parent is null) throw new WeaveException(Fault.InvalidRequest, $"{Ids.QuotePath(Path)} cannot have another parent: it has none.", "Make a differencing disk.");
        BeginFile();
        var entryAt = _image.Regions.Metadata.Offset + _image.Metadata.ParentEntryAt;
        var entry = new byte[32];
        await _image.File.ReadAsync(entryAt, entry, "the metadata table", stop).ConfigureAwait(false);
        var bytes = locator.ToBytes();
        var (offset, length) = ((long)U32(entry, 16), (long)U32(entry, 20));
        // In its old place where it fits there, or where nothing is behind it.
        if (bytes.Length > length && offset + length != _image.Metadata.ItemsEnd) offset = RoundUp(_image.Metadata.ItemsEnd, 8);
        if (offset + bytes.Length > _image.Regions.Metadata.Length) throw Unsupported(Path, "its metadata have no place left for another parent");
        Put(entry, 16, (uint)offset);
        Put(entry, 20, (uint)bytes.Length);
        await PutAsync(_image.Regions.Metadata.Offset + offset, bytes, stop).ConfigureAwait(false);
        await PutAsync(entryAt, entry, stop).ConfigureAwait(false);
    }

    private async Task WriteBlockAsync(long block, int within, ReadOnlyMemory<byte> bytes, CancellationToken stop)
    {
        BeginData(Guid.NewGuid());
        var index = _geometry.EntryOfBlock(block);
        var entry = await _image.EntryAsync(index, stop).ConfigureAwait(false);
        var isNew = !entry.HasBlock;
        var at = isNew ? Extend(_length + _geometry.BlockSize) : (long)entry.FileOffset;
        WriteFile(bytes.Span, at + within);
        if (entry.State == VhdxBlockState.Present) return;
        var inParts = entry.State == VhdxBlockState.PartiallyPresent || (entry.State == VhdxBlockState.NotPresent && _geometry.HasParent && bytes.Length < _geometry.VisibleBytes(block));
        if (inParts) inParts = !await PutBitsAsync(block, isNew, within / SectorBytes, bytes.Length / SectorBytes, stop).ConfigureAwait(false);
        var state = inParts ? VhdxBlockState.PartiallyPresent : VhdxBlockState.Present;
        if (isNew || state != entry.State) await PutEntryAsync(index, new(state, at), stop).ConfigureAwait(false);
    }

    private async Task ZeroBlockAsync(long block, int within, int length, CancellationToken stop)
    {
        var index = _geometry.EntryOfBlock(block);
        var entry = await _image.EntryAsync(index, stop).ConfigureAwait(false);
        if (!entry.HasBlock && (!_geometry.HasParent || entry.State != VhdxBlockState.NotPresent)) return;      // zeroes already
        if (length == _geometry.VisibleBytes(block) && !_image.Metadata.LeaveBlocksAllocated)
        {
            BeginData(Guid.NewGuid());
            await PutEntryAsync(index, new(_geometry.HasParent ? VhdxBlockState.Zero : VhdxBlockState.NotPresent), stop).ConfigureAwait(false);
            return;
        }
        var zeroes = new byte[Math.Min(length, MiB)];
        for (var done = 0; done < length; done += zeroes.Length)
            await WriteBlockAsync(block, within + done, zeroes.AsMemory(0, Math.Min(zeroes.Length, length - done)), stop).ConfigureAwait(false);
    }

    /// <summary>Says of sectors of a block that they are here; true where all are now. Of a new block all others are the parent's, whatever the bitmap said.</summary>
    private async Task<bool> PutBitsAsync(long block, bool isNew, int first, int count, CancellationToken stop)
    {
        var chunk = block / _geometry.ChunkRatio;
        var bitmap = await _image.EntryAsync(_geometry.EntryOfBitmap(chunk), stop).ConfigureAwait(false);
        if (!bitmap.HasBlock)
        {
            bitmap = new(VhdxBlockState.Present, Extend(_length + SectorBitmapSize));
            await PutEntryAsync(_geometry.EntryOfBitmap(chunk), bitmap, stop).ConfigureAwait(false);
        }
        var at = (long)bitmap.FileOffset + _geometry.BitmapByteOf(block);
        var bits = new byte[_geometry.SectorsPerBlock / 8];
        if (!isNew) await _image.File.ReadAsync(at, bits, "a sector bitmap", stop).ConfigureAwait(false);
        for (var sector = first; sector < first + count; sector++) bits[sector / 8] |= (byte)(1 << sector % 8);
        var (from, to) = isNew ? (0, bits.Length) : (first / 8, (first + count + 7) / 8);
        await PutAsync(at + from, bits.AsMemory(from, to - from), stop).ConfigureAwait(false);
        var sectors = (int)(_geometry.VisibleBytes(block) / SectorBytes);
        return !bits.AsSpan(0, sectors / 8).ContainsAnyExcept(byte.MaxValue) && (sectors % 8 == 0 || (bits[sectors / 8] & (1 << sectors % 8) - 1) == (1 << sectors % 8) - 1);
    }

    private async Task PutEntryAsync(long index, VhdxBatEntry entry, CancellationToken stop) =>
        await PutAsync(_image.Regions.Bat.Offset + index * sizeof(ulong), BitConverter.GetBytes(entry.Value), stop).ConfigureAwait(false);

    /// <summary>Changes metadata: in memory until the next flush, which makes all changes or none.</summary>
    private async Task PutAsync(long offset, ReadOnlyMemory<byte> bytes, CancellationToken stop)
    {
        for (var done = 0; done < bytes.Length;)
        {
            var page = (offset + done) / LogSector * LogSector;
            var within = (int)(offset + done - page);
            var part = Math.Min(bytes.Length - done, LogSector - within);
            var content = new byte[LogSector];
            await _image.File.ReadAsync(page, content, "metadata", stop).ConfigureAwait(false);
            bytes.Slice(done, part).CopyTo(content.AsMemory(within));
            if (_pending.Write(page, content)) _pendingPages++;
            done += part;
        }
        _image.Forget(offset, bytes.Length);
    }

    private async Task EachBlockAsync(long offset, long length, Func<long, int, long, int, Task> act, CancellationToken stop)
    {
        for (long done = 0; done < length;)
        {
            stop.ThrowIfCancellationRequested();
            var (block, within) = Math.DivRem(offset + done, _geometry.BlockSize);
            var part = (int)Math.Min(length - done, _geometry.VisibleBytes(block) - within);
            // One step changes the pages of one block's bits (16 at most), and of two entries.
            if (_pendingPages > VhdxLogWriter.MaxPages - 20) Flush();
            await act(block, (int)within, done, part).ConfigureAwait(false);
            done += part;
        }
    }

    /// <summary>Data first, then the log, then (the first time) the header that makes the log count, then the metadata in their places; those are durable before the log is used again.</summary>
    private void Flush()
    {
        if (_unsynced) Sync();
        _unsynced = false;
        if (_pendingPages == 0) return;
        var pages = _pending.Pages.ToList();
        var logGuid = _header.LogGuid == Guid.Empty ? Guid.NewGuid() : _header.LogGuid;
        // Two places in turn: what is torn is never the only entry.
        var place = _sequence % 2 == 0 ? 0 : (int)(_image.Log.Length / 2 / LogSector * LogSector);
        WriteFile(VhdxLogWriter.Entry(logGuid, _sequence++, place, _length, pages), _image.Log.Offset + place);
        Sync();
        if (_header.LogGuid == Guid.Empty) WriteHeaders(_header with { LogGuid = logGuid });
        foreach (var (offset, bytes) in pages) WriteFile(bytes, offset);
        (_pending, _pendingPages) = (new(), 0);
        _image.File.Replay(_pending);
    }

    /// <summary>2.2.2: before anything of the file changes it has a new FileWriteGuid.</summary>
    private void BeginFile()
    {
        if (_fileChanged) return;
        WriteHeaders(_header with { FileWriteGuid = Guid.NewGuid() });
        _fileChanged = true;
    }

    /// <summary>2.2.2: before anything changes that a guest sees, there is a new DataWriteGuid, too.</summary>
    private void BeginData(Guid identity)
    {
        if (_dataChanged) return;
        WriteHeaders(_header with { FileWriteGuid = Guid.NewGuid(), DataWriteGuid = identity });
        (_fileChanged, _dataChanged) = (true, true);
    }

    /// <summary>2.2.2.1: always the one that is not current, and then the other, so that both say the same.</summary>
    private void WriteHeaders(VhdxHeader header) => (_header, _slot) = WriteHeaders(_file, header, _slot, Path);

    private static (VhdxHeader, int) WriteHeaders(SafeFileHandle file, VhdxHeader header, int slot, string path)
    {
        for (var i = 0; i < 2; i++)
        {
            header = header with { SequenceNumber = header.SequenceNumber + 1 };
            slot = 1 - slot;
            WriteFile(file, header.ToBytes(), slot == 0 ? FirstHeader : SecondHeader, path);
            Sync(file, path);
        }
        return (header, slot);
    }

    /// <summary>What was held in memory is made in the file.</summary>
    private static void MakeReplay(SafeFileHandle file, VhdxImage image, string path)
    {
        var length = RandomAccess.GetLength(file);
        if (image.File.Length > length) RandomAccess.SetLength(file, image.File.Length);
        var zeroes = new byte[MiB];
        var (ranges, pages) = image.File.Changes;
        // What the file was made longer by is zero already.
        foreach (var (start, end) in ranges)
            for (var at = start; at < Math.Min(end, length); at += zeroes.Length) WriteFile(file, zeroes.AsSpan(0, (int)Math.Min(zeroes.Length, Math.Min(end, length) - at)), at, path);
        foreach (var (offset, bytes) in pages) WriteFile(file, bytes, offset, path);
        Sync(file, path);
        WriteHeaders(file, image.Header with { FileWriteGuid = Guid.NewGuid(), LogGuid = Guid.Empty }, image.HeaderSlot, path);
    }

    /// <summary>Makes the file longer, by zeroes that take no space; what was its end is given back.</summary>
    private long Extend(long length)
    {
        FileFaults.Pass("extend", Path);
        RandomAccess.SetLength(_file, length);
        var end = _length;
        _length = length;
        _image.File.Grow(length);
        _unsynced = true;
        return end;
    }

    private void WriteFile(ReadOnlySpan<byte> bytes, long at)
    {
        WriteFile(_file, bytes, at, Path);
        _unsynced = true;
    }

    private static void WriteFile(SafeFileHandle file, ReadOnlySpan<byte> bytes, long at, string path)
    {
        FileFaults.Pass("write", path);
        RandomAccess.Write(file, bytes, at);
    }

    private void Sync() => Sync(_file, Path);

    private static void Sync(SafeFileHandle file, string path)
    {
        FileFaults.Pass("sync", path);
        RandomAccess.FlushToDisk(file);
    }

    private static SafeFileHandle OpenFile(string path)
    {
        try
        {
            // On Linux that is an advisory lock, which our own readers do not ask; on Windows it would shut them out.
            return File.OpenHandle(path, FileMode.Open, FileAccess.ReadWrite, OperatingSystem.IsWindows() ? FileShare.Read : FileShare.None);
        }
        // EWOULDBLOCK on Linux, a sharing violation on Windows.
        catch (IOException error) when (error is not (FileNotFoundException or DirectoryNotFoundException) && (error.HResult & 0xffff) is 11 or 32)
        {
            throw new WeaveException(Fault.Busy, $"{Ids.QuotePath(path)} is open for writing already.", "Close it there first.", error);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw DiskFaults.From(error, $"open {Ids.QuotePath(path)} for writing");
        }
    }

    private void CheckRange(long offset, long length)
    {
        if (offset < 0 || length < 0 || offset > Capacity - length || offset % SectorBytes != 0 || length % SectorBytes != 0)
            throw new WeaveException(Fault.InvalidRequest, $"{length} bytes at {offset} are not whole sectors of {SectorBytes} within {Capacity} bytes.", "Write whole sectors.");
    }

    private async Task AloneAsync(Func<Task> act, CancellationToken stop)
    {
        await _one.WaitAsync(stop).ConfigureAwait(false);
        try
        {
            if (_closed) throw new WeaveException(Fault.Internal, $"{Ids.QuotePath(Path)} is closed.");
            if (_failed) throw new WeaveException(Fault.Unavailable, $"{Ids.QuotePath(Path)} takes no more writes: one has failed.", "Open it again.");
            await act().ConfigureAwait(false);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            _failed = true;
            throw DiskFaults.From(error, $"write {Ids.QuotePath(Path)}");
        }
        finally
        {
            _one.Release();
        }
    }
}
