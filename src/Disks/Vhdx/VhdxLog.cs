using static WeaveHypervisor.Disks.Vhdx.VhdxFormat;

namespace WeaveHypervisor.Disks.Vhdx;

/// <summary>
/// The log ([MS-VHDX] 2.3): a ring of entries that say what else the file holds. Which of them count is found by 2.3.2: the valid run of entries
/// with growing numbers, of all such runs the one with the greatest, and of that run the part from its tail on.
/// </summary>
internal static class VhdxLog
{
    /// <summary>
    /// Bytes of the longest log that is replayed. Windows makes logs of 1 MiB, and so does QEMU; the format has no limit below 4 GiB, but a log is held in
    /// memory, with all that it changes. Time grows with its length alone: no sector can be the start of one entry and within another that is looked at to its end.
    /// </summary>
    public const int MaxReplayed = 8 * MiB;

    private const int HeaderBytes = 64, DescriptorBytes = 32, ChecksumAt = 4;
    private static ReadOnlySpan<byte> EntrySignature => "loge"u8;
    private static ReadOnlySpan<byte> ZeroSignature => "zero"u8;
    private static ReadOnlySpan<byte> DataSignature => "desc"u8;
    private static ReadOnlySpan<byte> SectorSignature => "data"u8;

    /// <summary>2.3.1.1: the fields of an entry that has been found good.</summary>
    private readonly record struct Entry(int Offset, int Length, int Tail, ulong Sequence, int Descriptors, ulong FlushedFileOffset, ulong LastFileOffset);

    /// <summary>Reads the log that <paramref name="header"/> speaks of. DataLoss where it cannot be followed: without it the file's content is not known.</summary>
    public static async ValueTask<VhdxReplay> ReadAsync(VhdxFile file, VhdxHeader header, CancellationToken stop)
    {
        var path = file.Path;
        if (header.LogVersion != 0) throw Unsupported(path, $"its log is version {header.LogVersion}; version 0 is read");
        if (header.LogLength == 0) throw Damaged(path, "it has a log to replay of no length");
        if (header.LogLength > MaxReplayed) throw Unsupported(path, $"its log to replay has {header.LogLength} bytes; {MaxReplayed} are read");
        var length = (int)header.LogLength;
        // Twice in a row, so that an entry that goes on at the ring's start is one piece.
        var ring = new byte[length * 2];
        await file.ReadAsync((long)header.LogOffset, ring.AsMemory(0, length), "the log", stop).ConfigureAwait(false);
        ring.AsSpan(0, length).CopyTo(ring.AsSpan(length));

        var active = FindActive(ring, length, header.LogGuid, stop);
        if (active.Count == 0) throw Damaged(path, "its log has no whole entry, so what it holds is not known");
        var head = active[^1];
        // 2.3.1.1: what was flushed when the head was written must be there.
        if (head.FlushedFileOffset > (ulong)file.Length) throw Damaged(path, $"it has {file.Length} bytes, but had at least {head.FlushedFileOffset} when its log was written");
        if (head.LastFileOffset > MaxFileLength) throw Damaged(path, $"its log extends it to {head.LastFileOffset} bytes");
        var replay = new VhdxReplay { MinLength = Math.Max(file.Length, (long)head.LastFileOffset) };
        var log = new VhdxRegion((long)header.LogOffset, header.LogLength);
        foreach (var entry in active)
        {
            stop.ThrowIfCancellationRequested();
            Replay(ring.AsSpan(entry.Offset, entry.Length), entry, replay, log, path);
        }
        return replay;
    }

    /// <summary>2.3.2 "Log Replay", the search for the active sequence; empty where there is none. Ends with its head.</summary>
    private static List<Entry> FindActive(byte[] ring, int length, Guid logGuid, CancellationToken stop)
    {
        var best = new List<Entry>();
        for (var start = 0; start < length;)
        {
            stop.ThrowIfCancellationRequested();
            var run = new List<Entry>();
            var taken = 0L;
            var at = start;
            while (taken < length && TryEntry(ring, length, at, logGuid) is { } entry && (run.Count == 0 || entry.Sequence == run[^1].Sequence + 1) && taken + entry.Length <= length)
            {
                run.Add(entry);
                taken += entry.Length;
                at = (int)((start + taken) % length);
            }
            if (run.Count > 0 && run.FindIndex(e => e.Offset == run[^1].Tail) is var tail and >= 0 && (best.Count == 0 || run[^1].Sequence > best[^1].Sequence)) best = run[tail..];
            start += run.Count == 0 ? LogSector : (int)Math.Min(taken, length);
        }
        return best;
    }

    /// <summary>The entry at that place of the ring; null where it is none, is of another log, or is torn.</summary>
    private static Entry? TryEntry(byte[] ring, int length, int at, Guid logGuid)
    {
        ReadOnlySpan<byte> bytes = ring.AsSpan(at);
        if (!bytes.StartsWith(EntrySignature)) return null;
        var (entryLength, tail, sequence, descriptors) = (U32(bytes, 8), U32(bytes, 12), U64(bytes, 16), U32(bytes, 24));
        if (entryLength == 0 || entryLength % LogSector != 0 || entryLength > length || tail % LogSector != 0 || tail >= length || sequence == 0) return null;
        if (GuidAt(bytes, 32) != logGuid || descriptors > (entryLength - HeaderBytes) / DescriptorBytes) return null;
        bytes = bytes[..(int)entryLength];
        // Cheap looks first: the checksum is over the whole entry.
        var sectors = 0L;
        for (var i = 0; i < descriptors; i++)
        {
            var descriptor = bytes.Slice(HeaderBytes + i * DescriptorBytes, DescriptorBytes);
            if (U64(descriptor, 24) != sequence) return null;
            if (descriptor.StartsWith(DataSignature)) sectors++;
            else if (!descriptor.StartsWith(ZeroSignature)) return null;
        }
        var first = SectorsAt((int)descriptors);
        if (first + sectors * LogSector != entryLength) return null;
        for (var i = 0; i < sectors; i++)
        {
            var sector = bytes.Slice(first + i * LogSector, LogSector);
            if (!sector.StartsWith(SectorSignature) || U32(sector, 4) != (uint)(sequence >> 32) || U32(sector, LogSector - 4) != (uint)sequence) return null;
        }
        if (U32(bytes, ChecksumAt) != Checksum(bytes, ChecksumAt)) return null;
        return new(at, (int)entryLength, (int)tail, sequence, (int)descriptors, U64(bytes, 48), U64(bytes, 56));
    }

    /// <summary>Where an entry's data sectors begin: descriptors fill whole sectors together with the header.</summary>
    private static int SectorsAt(int descriptors) => (int)RoundUp(HeaderBytes + (long)descriptors * DescriptorBytes, LogSector);

    private static void Replay(ReadOnlySpan<byte> bytes, Entry entry, VhdxReplay replay, VhdxRegion log, string path)
    {
        var next = SectorsAt(entry.Descriptors);
        for (var i = 0; i < entry.Descriptors; i++)
        {
            var descriptor = bytes.Slice(HeaderBytes + i * DescriptorBytes, DescriptorBytes);
            var isData = descriptor.StartsWith(DataSignature);
            var (offset, length) = (U64(descriptor, 16), isData ? LogSector : U64(descriptor, 8));
            // Identifier and headers are never logged (2.3), the log does not describe itself.
            if (offset % LogSector != 0 || length % LogSector != 0 || offset < FirstRegionTable || offset > (ulong)replay.MinLength || length > (ulong)replay.MinLength - offset
                || log.Overlaps((long)offset, (long)length))
                throw Damaged(path, $"its log changes {length} bytes at {offset}, where it must not");
            if (!isData)
            {
                if (length > 0) replay.Zero((long)offset, (long)(offset + length));
                continue;
            }
            // 2.3.1.3: the sector's signature and sequence numbers stand in the place of eight leading and four trailing bytes, which are in the descriptor.
            var page = bytes.Slice(next, LogSector).ToArray();
            descriptor[8..16].CopyTo(page);
            descriptor[4..8].CopyTo(page.AsSpan(LogSector - 4));
            replay.Write((long)offset, page);
            next += LogSector;
        }
    }
}
