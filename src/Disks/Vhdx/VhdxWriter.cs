using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using WeaveHypervisor.Model;
using static WeaveHypervisor.Disks.Vhdx.VhdxFormat;

namespace WeaveHypervisor.Disks.Vhdx;

/// <summary>
/// Writes new VHDX files with content, once and from front to back: fixed, dynamic, or differencing. What is empty, and sectors that read as zeroes, are
/// holes: an empty file takes about 40 KiB of disk. Memory does not grow with the disk.
/// </summary>
public static class VhdxWriter
{
    private const int RunBytes = MiB, BatPageEntries = 8192;

    /// <summary>Makes an empty file, on a parent or alone. The same as <see cref="WriteAsync"/> without ranges.</summary>
    public static Task CreateAsync(string path, VhdxShape shape, CancellationToken stop, UnixFileMode mode = DurableFile.Private, FileOwner? owner = null) =>
        WriteAsync(path, shape, AsyncEnumerable.Empty<DiskRange>(), (_, _, _) => default, null, null, stop, mode, owner);

    /// <summary>
    /// Makes <paramref name="path"/>, durably: after a crash, an error or a cancellation it is whole or absent. In <paramref name="ranges"/> it reads as <paramref name="content"/>, elsewhere
    /// as its parent; without one as zeroes. A file that is there already is never written over (AlreadyExists). The parent is read only for its identity: it must not be written to any more.
    /// </summary>
    /// <param name="ranges">Ascending, without overlaps, within the capacity; any offsets and lengths, also none (InvalidRequest otherwise). Enumerated once.</param>
    /// <param name="content">Read within <paramref name="ranges"/> only.</param>
    /// <param name="below">What the file stands on, read where a range covers a part of a sector; null: zeroes. With a parent it must answer what that reads as.</param>
    /// <param name="written">Told how many bytes of content are dealt with.</param>
    /// <returns>Bytes that were written: the file's size on disk, but for what the file system adds. The file's length is that of whole blocks.</returns>
    public static async Task<long> WriteAsync(string path, VhdxShape shape, IAsyncEnumerable<DiskRange> ranges, DiskReader content, DiskReader? below, IProgress<long>? written, CancellationToken stop,
        UnixFileMode mode = DurableFile.Private, FileOwner? owner = null)
    {
        shape.Check();
        if (Path.Exists(path)) throw new WeaveException(Fault.AlreadyExists, $"An image cannot be made at {Ids.QuotePath(path)}: a file is there.", "Move that file away.");
        var locator = shape.ParentPath is null ? null : await LocateAsync(path, shape, stop).ConfigureAwait(false);
        return await DurableFile.WriteAsync(path, file => new Run(file.SafeFileHandle, path, shape, content, below, written, stop).WriteAsync(ranges, shape.Metadata(locator)), mode, owner).ConfigureAwait(false);
    }

    private static async ValueTask<VhdxParentLocator> LocateAsync(string path, VhdxShape shape, CancellationToken stop)
    {
        await using var parent = await VhdxImage.OpenAsync(shape.ParentPath!, stop).ConfigureAwait(false);
        if (parent.Metadata.LogicalSectorSize != shape.LogicalSectorBytes)
            throw new WeaveException(Fault.InvalidRequest, $"A VHDX image with sectors of {shape.LogicalSectorBytes} bytes cannot stand on {Ids.QuotePath(shape.ParentPath)}, which has sectors of {parent.Metadata.LogicalSectorSize}.", "Use the parent's sector size.");
        return VhdxShape.Locate(path, shape.ParentPath!, parent.Header.DataWriteGuid);
    }

    private sealed class Run(SafeFileHandle file, string path, VhdxShape shape, DiskReader content, DiskReader? below, IProgress<long>? written, CancellationToken stop)
    {
        private readonly VhdxGeometry _geometry = shape.Geometry;
        private readonly long _batOffset = shape.Regions.Bat.Offset;
        private readonly int _sector = shape.LogicalSectorBytes;
        private readonly byte[] _buffer = new byte[RunBytes];
        private readonly ulong[] _bat = new ulong[BatPageEntries];
        private readonly byte[] _bitmap = shape.ParentPath is null ? [] : new byte[SectorBitmapSize];
        private long _next = shape.Regions.Bat.End;     // file offset: the first place that is not given out yet
        private long _batPage;
        private long _block = -1, _blockAt = -1, _covered;  // the block that is being written, its place (-1: none yet), its bytes that have been dealt with
        private bool _bitmapUsed;                       // a block of this chunk is present in part
        private long _bytes, _done;

        public async Task<long> WriteAsync(IAsyncEnumerable<DiskRange> ranges, VhdxMetadata metadata)
        {
            // What is gathered begins with a whole sector, and ends where its last range does.
            long begin = 0, filled = 0;
            long last = 0;
            await foreach (var range in ranges.WithCancellation(stop).ConfigureAwait(false))
            {
                if (range.Offset < last || range.Length < 0 || range.Length > shape.Capacity - range.Offset)
                    throw new WeaveException(Fault.InvalidRequest, $"The range of {range.Length} bytes at {range.Offset} is out of order, or outside of the disk of {shape.Capacity} bytes.");
                last = range.End;
                for (var at = range.Offset; at < range.End;)
                {
                    if (at >= RoundUp(filled, _sector) && (at > RoundUp(filled, _sector) || filled - begin + _sector > _buffer.Length))
                    {
                        await FlushAsync().ConfigureAwait(false);
                        begin = filled = at / _sector * _sector;
                    }
                    await BelowAsync(at).ConfigureAwait(false);
                    var part = (int)Math.Min(range.End - at, begin + _buffer.Length - at);
                    await content(at, _buffer.AsMemory((int)(at - begin), part), stop).ConfigureAwait(false);
                    _done += part;
                    filled = at += part;
                }
            }
            await FlushAsync().ConfigureAwait(false);
            Finish(metadata);
            return _bytes;

            async ValueTask BelowAsync(long to)
            {
                if (to <= filled) return;
                var gap = _buffer.AsMemory((int)(filled - begin), (int)(to - filled));
                if (below is null) gap.Span.Clear();
                else await below(filled, gap, stop).ConfigureAwait(false);
                filled = to;
            }

            async ValueTask FlushAsync()
            {
                stop.ThrowIfCancellationRequested();
                if (filled == begin) return;
                await BelowAsync(RoundUp(filled, _sector)).ConfigureAwait(false);
                Place(begin, _buffer.AsSpan(0, (int)(filled - begin)));
                written?.Report(_done);
                begin = filled;
            }
        }

        /// <summary>Whole sectors, behind all that came before.</summary>
        private void Place(long offset, ReadOnlySpan<byte> bytes)
        {
            while (bytes.Length > 0)
            {
                var (block, within) = Math.DivRem(offset, _geometry.BlockSize);
                if (block != _block) MoveTo(block);
                var part = bytes[..(int)Math.Min(bytes.Length, _geometry.BlockSize - within)];
                if (_geometry.HasParent) SetBits(_geometry.BitmapByteOf(block) * 8 + (int)(within / _sector), part.Length / _sector);
                _covered += part.Length;
                // A page of the file system at a time: what is zero stays a hole, and a block of nothing else has no place at all.
                for (var at = 0; at < part.Length;)
                {
                    var piece = part[at..Math.Min(part.Length, at + LogSector)];
                    if (!piece.ContainsAnyExcept((byte)0))
                    {
                        at += piece.Length;
                        continue;
                    }
                    var end = at;
                    while (end < part.Length && part[end..Math.Min(part.Length, end + LogSector)].ContainsAnyExcept((byte)0)) end = Math.Min(part.Length, end + LogSector);
                    if (_blockAt < 0) _blockAt = Take(_geometry.BlockSize);
                    Write(part[at..end], _blockAt + within + at);
                    at = end;
                }
                bytes = bytes[part.Length..];
                offset += part.Length;
            }
        }

        /// <summary>Ends the block that was written, and all up to <paramref name="block"/>.</summary>
        private void MoveTo(long block)
        {
            if (_block >= 0) EndBlock();
            var chunk = _block < 0 ? 0 : _block / _geometry.ChunkRatio;
            if (_geometry.HasParent && block / _geometry.ChunkRatio != chunk) EndChunk(chunk);
            if (shape.IsFixed)
                for (var empty = _block + 1; empty < block; empty++) SetBat(_geometry.EntryOfBlock(empty), new(VhdxBlockState.Present, Take(_geometry.BlockSize)));
            _block = block;
            // Of a fixed disk each block has the place behind the one before it.
            _blockAt = shape.IsFixed && block < _geometry.Blocks ? Take(_geometry.BlockSize) : -1;
            _covered = 0;
        }

        private void EndBlock()
        {
            var entry = _geometry.EntryOfBlock(_block);
            var whole = _covered == _geometry.VisibleBytes(_block);
            if (!_geometry.HasParent)
            {
                if (_blockAt >= 0) SetBat(entry, new(VhdxBlockState.Present, _blockAt));
                return;
            }
            // Nothing but zeroes: a whole block can say so without a place, a part cannot.
            if (whole && _blockAt < 0) SetBat(entry, new(VhdxBlockState.Zero));
            else
            {
                if (_blockAt < 0) _blockAt = Take(_geometry.BlockSize);
                SetBat(entry, new(whole ? VhdxBlockState.Present : VhdxBlockState.PartiallyPresent, _blockAt));
                _bitmapUsed |= !whole;
            }
        }

        private void EndChunk(long chunk)
        {
            if (_bitmapUsed)
            {
                var at = Take(SectorBitmapSize);
                for (var from = 0; from < _bitmap.Length; from += LogSector)
                    if (_bitmap.AsSpan(from, LogSector).ContainsAnyExcept((byte)0)) Write(_bitmap.AsSpan(from, LogSector), at + from);
                SetBat(_geometry.EntryOfBitmap(chunk), new(VhdxBlockState.Present, at));
            }
            _bitmap.AsSpan().Clear();
            _bitmapUsed = false;
        }

        private void SetBits(int first, int count)
        {
            for (; count > 0 && first % 8 != 0; first++, count--) _bitmap[first / 8] |= (byte)(1 << first % 8);
            _bitmap.AsSpan(first / 8, count / 8).Fill(byte.MaxValue);
            for (var i = count / 8 * 8; i < count; i++) _bitmap[(first + i) / 8] |= (byte)(1 << (first + i) % 8);
        }

        private long Take(int bytes)
        {
            var at = _next;
            _next += bytes;
            return at;
        }

        /// <summary>Entries come in ascending order, so one page of them is enough.</summary>
        private void SetBat(long index, VhdxBatEntry entry)
        {
            if (index / BatPageEntries != _batPage)
            {
                EndBatPage();
                _batPage = index / BatPageEntries;
            }
            _bat[index % BatPageEntries] = entry.Value;
        }

        private void EndBatPage()
        {
            var bytes = MemoryMarshal.AsBytes<ulong>(_bat);
            for (var from = 0; from < bytes.Length; from += LogSector)
                if (bytes.Slice(from, LogSector).ContainsAnyExcept((byte)0)) Write(bytes.Slice(from, LogSector), _batOffset + _batPage * BatPageEntries * sizeof(ulong) + from);
            Array.Clear(_bat);
        }

        private void Finish(VhdxMetadata metadata)
        {
            if (shape.IsFixed) MoveTo(_geometry.Blocks);
            else if (_block >= 0)
            {
                EndBlock();
                if (_geometry.HasParent) EndChunk(_block / _geometry.ChunkRatio);
            }
            EndBatPage();
            var bytes = metadata.ToBytes();
            Write(bytes.AsSpan(0, LogSector), shape.Regions.Metadata.Offset);
            Write(bytes.AsSpan(64 * KiB), shape.Regions.Metadata.Offset + 64 * KiB);
            // All behind the first sector of a region table is zero.
            var regions = shape.Regions.ToBytes().AsSpan(0, LogSector);
            Write(regions, FirstRegionTable);
            Write(regions, SecondRegionTable);
            var header = new VhdxHeader(1, Guid.NewGuid(), shape.DataWriteId ?? Guid.NewGuid(), Guid.Empty, VhdxShape.LogLength, VhdxShape.LogOffset);
            Write(header.ToBytes(), FirstHeader);
            Write((header with { SequenceNumber = 2 }).ToBytes(), SecondHeader);
            Write(VhdxShape.Identifier(), 0);
            FileFaults.Pass("write", path);
            RandomAccess.SetLength(file, _next);
        }

        private void Write(ReadOnlySpan<byte> bytes, long at)
        {
            FileFaults.Pass("write", path);
            RandomAccess.Write(file, bytes, at);
            _bytes += bytes.Length;
        }
    }
}
