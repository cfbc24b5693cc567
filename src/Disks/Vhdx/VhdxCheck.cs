using System.Collections;
using static WeaveHypervisor.Disks.Vhdx.VhdxFormat;

namespace WeaveHypervisor.Disks.Vhdx;

/// <summary>
/// Looks at all of a file's structure, beyond what opening it needs: both region tables, each entry of the BAT, whether two things have one place. As it is once a log that waits is
/// replayed; that, and a header that was torn by a crash, are no findings: the format is made for both. Memory: one bit for each MiB of the file.
/// </summary>
internal static class VhdxCheck
{
    private const string Bat = "BAT", RegionTable = "region table";

    public static async ValueTask<ImageCheck> RunAsync(VhdxImage image, IProgress<double>? progress, CancellationToken stop)
    {
        var found = new CheckFindings();
        await RegionTablesAsync(image, found, stop).ConfigureAwait(false);
        var geometry = image.Metadata.Geometry;
        var used = new Occupancy(image.File.Length);
        foreach (var region in (VhdxRegion[])[new(0, HeaderSection), image.Log, image.Regions.Bat, image.Regions.Metadata]) used.Take(region.Offset, region.Length);
        var (allocated, fragmented, expected) = (0L, 0L, -1L);
        for (long index = 0; index < geometry.BatEntries; index++)
        {
            if (index % 8192 == 0)
            {
                stop.ThrowIfCancellationRequested();
                progress?.Report((double)index / geometry.BatEntries);
            }
            var entry = await image.EntryAsync(index, stop).ConfigureAwait(false);
            if (entry.Value == 0) continue;
            var place = image.Regions.Bat.Offset + index * sizeof(ulong);
            var chunk = index / (geometry.ChunkRatio + 1);
            var isBitmap = index % (geometry.ChunkRatio + 1) == geometry.ChunkRatio;
            var block = index - chunk;
            var name = isBitmap ? $"the sector bitmap of chunk {chunk}" : $"block {block}";
            if (entry.HasReservedBits) found.Error(Bat, place, $"The entry of {name} has reserved bits set.");
            if (!isBitmap && block >= geometry.Blocks) found.Error(Bat, place, $"There is an entry for {name}, which is behind the end of the disk.");
            else if (entry.IsReserved || (isBitmap && (entry.Value & 7) is not (0 or 6))) found.Error(Bat, place, $"The entry of {name} has the reserved state {entry.Value & 7}.");
            else if (entry.HasBlock)
            {
                if (entry.State == VhdxBlockState.PartiallyPresent) await PartAsync(image, chunk, name, place, found, stop).ConfigureAwait(false);
                var visible = isBitmap ? SectorBitmapSize : geometry.VisibleBytes(block);
                if (entry.FileOffset < HeaderSection || entry.FileOffset > (ulong)image.File.Length || visible > image.File.Length - (long)entry.FileOffset)
                    found.Error(Bat, place, $"The entry of {name} leads to {entry.FileOffset}, outside of the file's {image.File.Length} bytes.");
                // What has no meaning takes space all the same, and is told at the end.
                else if (isBitmap && !geometry.HasParent) continue;
                else if (!used.Take((long)entry.FileOffset, isBitmap ? SectorBitmapSize : geometry.BlockSize)) found.Error(Bat, place, $"The entry of {name} leads to {entry.FileOffset}, where something else is.");
                if (isBitmap) continue;
                allocated++;
                if (expected >= 0 && expected != (long)entry.FileOffset) fragmented++;
                expected = (long)entry.FileOffset + geometry.BlockSize;
            }
        }
        Leaks(image, used, found);
        progress?.Report(1);
        return new()
        {
            Leaks = found.Leaks, Errors = found.Errors, Findings = found.Kept, TotalClusters = geometry.Blocks, AllocatedClusters = allocated, FragmentedClusters = fragmented,
            ImageEnd = Math.Min(used.End, image.File.Length),
        };
    }

    /// <summary>What nothing uses is lost only where the file system keeps bytes for it: QEMU leaves holes between its tables and the blocks.</summary>
    private static void Leaks(VhdxImage image, Occupancy used, CheckFindings found)
    {
        using var data = SparseFile.DataRanges(image.File.File.Handle, image.File.File.Length).GetEnumerator();
        var (start, end) = (0L, 0L);
        foreach (var (offset, length) in used.Gaps())
        {
            var lost = 0L;
            while (start < offset + length)
            {
                lost += Math.Max(0, Math.Min(end, offset + length) - Math.Max(start, offset));
                if (end > offset + length) break;
                if (!data.MoveNext()) break;
                (start, end) = data.Current;
            }
            if (lost > 0) found.Leak("file", offset, $"Of {length} bytes that nothing uses the file system keeps {lost}.");
        }
    }

    private static async ValueTask PartAsync(VhdxImage image, long chunk, string name, long place, CheckFindings found, CancellationToken stop)
    {
        var geometry = image.Metadata.Geometry;
        if (!geometry.HasParent) found.Error(Bat, place, $"The entry of {name} says that it is present in part, but the disk has no parent.");
        else if (((await image.EntryAsync(geometry.EntryOfBitmap(chunk), stop).ConfigureAwait(false)).Value & 7) != (ulong)VhdxBlockState.Present)
            found.Error(Bat, place, $"The entry of {name} says that it is present in part, but its chunk {chunk} has no sector bitmap.");
    }

    /// <summary>They are never changed, and equal.</summary>
    private static async ValueTask RegionTablesAsync(VhdxImage image, CheckFindings found, CancellationToken stop)
    {
        var bytes = new byte[2 * RegionTableSize];
        await VhdxImage.ReadTableAsync(image.File, FirstRegionTable, bytes.AsMemory(0, RegionTableSize), stop).ConfigureAwait(false);
        await VhdxImage.ReadTableAsync(image.File, SecondRegionTable, bytes.AsMemory(RegionTableSize), stop).ConfigureAwait(false);
        var (first, second) = (bytes.AsMemory(0, RegionTableSize), bytes.AsMemory(RegionTableSize));
        var isIntact = true;
        foreach (var (table, offset) in ((Memory<byte>, int)[])[(first, FirstRegionTable), (second, SecondRegionTable)])
        {
            if (VhdxRegionTable.IsIntact(table.Span)) continue;
            found.Error(RegionTable, offset, "It is not intact; the other one is used.");
            isIntact = false;
        }
        if (isIntact && !first.Span.SequenceEqual(second.Span)) found.Error(RegionTable, SecondRegionTable, "It is not the same as the first one.");
    }

    /// <summary>Which MiB of a file are used.</summary>
    private sealed class Occupancy(long length)
    {
        private readonly BitArray _used = new(checked((int)((length + Alignment - 1) / Alignment)));

        /// <summary>Bytes, where the last used MiB ends.</summary>
        public long End { get; private set; }

        /// <summary>False where some of it is used already. What is behind the file's end counts as not there.</summary>
        public bool Take(long offset, long bytes)
        {
            var free = true;
            for (var at = offset / Alignment; at < Math.Min(_used.Length, (offset + bytes + Alignment - 1) / Alignment); at++)
            {
                free &= !_used[(int)at];
                _used[(int)at] = true;
                End = Math.Max(End, (at + 1) * Alignment);
            }
            return free;
        }

        public IEnumerable<(long Offset, long Length)> Gaps()
        {
            for (var at = 0; at < _used.Length; at++)
            {
                if (_used[at]) continue;
                var start = at;
                while (at < _used.Length && !_used[at]) at++;
                yield return ((long)start * Alignment, (long)(at - start) * Alignment);
            }
        }
    }
}
