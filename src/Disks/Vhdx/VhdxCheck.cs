using System.Runtime.CompilerServices;
using static WeaveHypervisor.Disks.Vhdx.VhdxFormat;

namespace WeaveHypervisor.Disks.Vhdx;

/// <summary>What a look at the whole structure has found.</summary>
/// <param name="IsDamage">False for what costs space or safety, but no data.</param>
internal readonly record struct VhdxFinding(bool IsDamage, string Text);

/// <summary>
/// Looks at all of a file's structure, beyond what opening it needs: both headers, both region tables, each entry of the BAT. Memory: one bit for each
/// MiB of the file.
/// </summary>
internal static class VhdxCheck
{
    public static async IAsyncEnumerable<VhdxFinding> RunAsync(VhdxImage image, [EnumeratorCancellation] CancellationToken stop)
    {
        foreach (var finding in await HeaderSectionAsync(image, stop).ConfigureAwait(false)) yield return finding;
        var geometry = image.Metadata.Geometry;
        var used = new Occupancy(image.File.Length);
        used.Take(0, HeaderSection);
        used.Take(image.Log.Offset, image.Log.Length);
        used.Take(image.Regions.Bat.Offset, image.Regions.Bat.Length);
        used.Take(image.Regions.Metadata.Offset, image.Regions.Metadata.Length);
        for (long entryAt = 0; entryAt < geometry.BatEntries; entryAt++)
        {
            if (entryAt % 8192 == 0) stop.ThrowIfCancellationRequested();
            var entry = await image.EntryAsync(entryAt, stop).ConfigureAwait(false);
            if (entry.Value == 0) continue;
            var chunk = entryAt / (geometry.ChunkRatio + 1);
            var isBitmap = entryAt % (geometry.ChunkRatio + 1) == geometry.ChunkRatio;
            var block = entryAt - chunk;
            var name = isBitmap ? $"the sector bitmap of chunk {chunk}" : $"block {block}";
            if (entry.HasReservedBits) yield return new(false, $"the BAT entry of {name} has reserved bits set");
            if (!isBitmap && block >= geometry.Blocks)
            {
                yield return new(false, $"the BAT has an entry for {name}, which is behind the end of the disk");
                continue;
            }
            if (entry.IsReserved || (isBitmap && (entry.Value & 7) is not (0 or 6)))
            {
                yield return new(true, $"{name} has the reserved state {entry.Value & 7}");
                continue;
            }
            if (!entry.HasBlock) continue;
            if (isBitmap && !geometry.HasParent)
            {
                yield return new(false, $"{name} is there, but the disk has no parent");
                continue;
            }
            if (entry.State == VhdxBlockState.PartiallyPresent)
            {
                if (!geometry.HasParent) yield return new(true, $"{name} is present in part, but the disk has no parent");
                else if (((await image.EntryAsync(geometry.EntryOfBitmap(chunk), stop).ConfigureAwait(false)).Value & 7) != 6) yield return new(true, $"{name} is present in part, but its chunk {chunk} has no sector bitmap");
            }
            var visible = isBitmap ? SectorBitmapSize : geometry.VisibleBytes(block);
            if (entry.FileOffset < HeaderSection || entry.FileOffset > (ulong)image.File.Length || visible > image.File.Length - (long)entry.FileOffset)
                yield return new(true, $"{name} is at {entry.FileOffset}, outside of the file's {image.File.Length} bytes");
            else if (!used.Take((long)entry.FileOffset, isBitmap ? SectorBitmapSize : geometry.BlockSize))
                yield return new(true, $"{name} is at {entry.FileOffset}, where something else is");
        }
        if (used.Free is var free and > 0) yield return new(false, $"{free} bytes of the file are used by nothing");
    }

    private static async ValueTask<List<VhdxFinding>> HeaderSectionAsync(VhdxImage image, CancellationToken stop)
    {
        var found = new List<VhdxFinding>();
        var bytes = new byte[RegionTableSize * 5];
        await image.File.ReadAsync(0, bytes, "the header section", stop).ConfigureAwait(false);
        if (VhdxHeader.TryParse(bytes.AsSpan(image.HeaderSlot == 0 ? SecondHeader : FirstHeader)) is null) found.Add(new(false, $"header {2 - image.HeaderSlot} is not intact; the other one is used"));
        var (first, second) = (bytes.AsMemory(FirstRegionTable, RegionTableSize), bytes.AsMemory(SecondRegionTable, RegionTableSize));
        var (firstIntact, secondIntact) = (VhdxRegionTable.IsIntact(first.Span), VhdxRegionTable.IsIntact(second.Span));
        if (!firstIntact) found.Add(new(false, "region table 1 is not intact; the other one is used"));
        if (!secondIntact) found.Add(new(false, "region table 2 is not intact; the other one is used"));
        if (firstIntact && secondIntact && !first.Span.SequenceEqual(second.Span)) found.Add(new(true, "its region tables differ"));
        if (image.File.IsReplayed) found.Add(new(false, "its log has not been replayed; it is here, in memory"));
        return found;
    }

    /// <summary>Which MiB of a file are used.</summary>
    private sealed class Occupancy(long length)
    {
        private readonly long _all = (length + Alignment - 1) / Alignment;
        private readonly System.Collections.BitArray _used = new(checked((int)((length + Alignment - 1) / Alignment)));
        private long _taken;

        public long Free => (_all - _taken) * Alignment;

        /// <summary>False where some of it is used already. What is behind the file's end counts as not there.</summary>
        public bool Take(long offset, long bytes)
        {
            var free = true;
            for (var at = offset / Alignment; at < Math.Min(_all, (offset + bytes + Alignment - 1) / Alignment); at++)
            {
                if (_used[(int)at]) free = false;
                else _taken++;
                _used[(int)at] = true;
            }
            return free;
        }
    }
}
