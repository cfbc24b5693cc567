using System.Buffers;
using System.Runtime.CompilerServices;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Disks.Qcow2;

/// <summary>A qcow2 image, version 2 or 3, of every cluster size, with compressed clusters and subclusters. Internal snapshots are read past. Damage is found where it is met.</summary>
internal sealed class Qcow2Image : LayerImage
{
    private readonly ImageFile _file;
    private readonly Qcow2Geometry _geometry;
    private readonly Qcow2Tables _tables;
    private readonly BoundedCache<byte[]> _clusters;
    private readonly PreallocatedHoles _holes;

    private Qcow2Image(ImageFile file, Qcow2Header header, ChainCaches caches)
    {
        (_file, _clusters) = (file, caches.Clusters);
        _geometry = new(header, file.Length, file.Path);
        _tables = new(file, _geometry, caches.Tables);
        _holes = new(file, _geometry);
        Parent = header.BackingName is { } name ? new([name], header.BackingFormat is { } format ? FormatOf(format, file.Path) : null) : null;
    }

    public override string Path => _file.Path;
    public override DiskFormat Format => DiskFormat.Qcow2;
    public override long Capacity => _geometry.Header.VirtualSize;
    public override ParentLink? Parent { get; }
    public override FileFacts Facts => _file.Facts;
    public override long BytesRead => _file.BytesRead;
    public Qcow2Header Header => _geometry.Header;

    /// <summary>InvalidRequest: no qcow2 image. Unsupported: of a kind that is not read. DataLoss: damaged.</summary>
    public static Qcow2Image Open(string path, ChainCaches caches)
    {
        var file = ImageFile.Open(path);
        try
        {
            return new(file, Qcow2Header.Read(file.Handle, file.Length, path), caches);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    public override async IAsyncEnumerable<Extent> MapAsync(long offset, long length, [EnumeratorCancellation] CancellationToken stop)
    {
        var part = new Extent[64];
        var last = default(Extent);
        for (var end = offset + length; offset < end;)
        {
            var count = await MapAsync(offset, end, part, stop).ConfigureAwait(false);
            for (var i = 0; i < count; i++)
            {
                var next = part[i];
                // Only the first of a part may go on with the one before.
                if (last.Length > 0 && last.GoesOnWith(next)) last = last with { Length = last.Length + next.Length };
                else
                {
                    if (last.Length > 0) yield return last;
                    last = next;
                }
            }
            offset = part[count - 1].End;
        }
        if (last.Length > 0) yield return last;
    }

    public override async ValueTask<int> MapAsync(long offset, long end, Memory<Extent> into, CancellationToken stop)
    {
        try
        {
            return await _holes.AreThereAsync(stop).ConfigureAwait(false) ? await _holes.SplitAsync(this, offset, end, into, stop).ConfigureAwait(false) : await MapTablesAsync(offset, end, into, stop).ConfigureAwait(false);
        }
        catch (WeaveException error) when (error.Fault == Fault.DataLoss)
        {
            // Tables that are being written look damaged.
            EnsureUnchanged();
            throw;
        }
    }

    /// <summary>What the tables say, whether or not there is anything in the file where they point to.</summary>
    internal async ValueTask<int> MapTablesAsync(long offset, long end, Memory<Extent> into, CancellationToken stop)
    {
        var list = new ExtentList(offset, end, into.Length);
        while (!list.IsComplete)
        {
            stop.ThrowIfCancellationRequested();
            var index = list.At >> _geometry.L1Shift;
            var l1 = await _tables.L1Async(index, stop).ConfigureAwait(false);
            var table = L1Table.OffsetOf(l1.Span[0], index, _geometry);
            if (table == 0)
            {
                var none = 1 + Math.Max(0, l1.Span[1..].IndexOfAnyExcept(0UL) is var next and >= 0 ? next : l1.Length - 1);
                if (!list.Add(into.Span, index << _geometry.L1Shift, (long)none << _geometry.L1Shift, ExtentKind.Inherited)) break;
                continue;
            }
            var word = (int)((list.At & ((1L << _geometry.L1Shift) - 1)) >> _geometry.ClusterBits) * _geometry.EntryWords;
            var first = word - word % _tables.SliceWords;
            var slice = await _tables.L2Async(table, first, l1, (int)Math.Min(int.MaxValue, (end - 1 >> _geometry.L1Shift) - index), stop).ConfigureAwait(false);
            // Entries behind the range are not looked at.
            var wanted = (int)Math.Min(slice.Length - (word - first), ((end - 1 >> _geometry.ClusterBits) - (list.At >> _geometry.ClusterBits) + 1) * _geometry.EntryWords);
            if (!L2Table.Decode(slice.AsSpan(word - first, wanted), list.At & ~(_geometry.ClusterSize - 1L), _geometry, ref list, into.Span)) break;
        }
        return list.Count;
    }

    public override async ValueTask ReadAsync(long offset, Memory<byte> into, CancellationToken stop)
    {
        var part = new Extent[8];
        while (into.Length > 0)
        {
            var count = await MapTablesAsync(offset, offset + into.Length, part, stop).ConfigureAwait(false);
            for (var i = 0; i < count; i++)
            {
                var length = (int)part[i].Length;
                await ReadAsync(part[i], into[..length], stop).ConfigureAwait(false);
                into = into[length..];
                offset += length;
            }
        }
    }

    public override ValueTask ReadAsync(in Extent extent, Memory<byte> into, CancellationToken stop)
    {
        if (extent.Kind != ExtentKind.Data) throw new WeaveException(Fault.Internal, $"{Ids.QuotePath(Path)} holds no data at {extent.Offset}.");
        return extent.IsCompressed ? ReadCompressedAsync(extent.Offset, into, stop) : _file.ReadAsync(extent.FileOffset, into, stop);
    }

    public override async ValueTask<ImageDetails> DescribeAsync(CancellationToken stop)
    {
        var header = Header;
        var features = new Dictionary<string, string>
        {
            ["version"] = $"{header.Version} (compat {(header.Version == 2 ? "0.10" : "1.1")})", ["cluster size"] = $"{header.ClusterSize}", ["compression"] = header.CompressionType == 1 ? "zstd" : "deflate",
            ["refcount bits"] = $"{header.RefcountBits}",
        };
        if (header.HasExtendedL2) features["extended L2"] = $"subclusters of {_geometry.SubclusterSize}";
        if (header.HasLazyRefcounts) features["lazy refcounts"] = "yes";
        var snapshots = new List<InternalSnapshot>();
        await foreach (var snapshot in new SnapshotTable(_file, _geometry).ReadAsync(stop).ConfigureAwait(false)) snapshots.Add(snapshot);
        var warnings = new List<string>();
        if (header.IsDirty) warnings.Add("It was not closed: refcounts may be out of date. The data can be read; `qemu-img check -r leaks` puts the refcounts right.");
        if (header.Bitmaps == BitmapDirectory.Inconsistent) warnings.Add("It has bitmaps that are out of date: a program that does not know them has written the image.");
        return new()
        {
            Features = [.. features], Snapshots = snapshots, Bitmaps = header.Bitmaps is { } directory ? await directory.ReadAsync(_file, _geometry, stop).ConfigureAwait(false) : [], Warnings = warnings,
        };
    }

    public override async ValueTask<ImageCheck> CheckAsync(IProgress<double>? progress, CancellationToken stop)
    {
        var check = await Qcow2Check.RunAsync(_file, _geometry, progress, stop).ConfigureAwait(false);
        EnsureUnchanged();
        return check;
    }

    public override void EnsureUnchanged() => _file.EnsureUnchanged();

    public override ValueTask DisposeAsync()
    {
        _file.Dispose();
        return default;
    }

    private async ValueTask ReadCompressedAsync(long offset, Memory<byte> into, CancellationToken stop)
    {
        while (into.Length > 0)
        {
            var within = (int)(offset & (_geometry.ClusterSize - 1));
            var cluster = await DecompressAsync(offset - within, stop).ConfigureAwait(false);
            var length = Math.Min(into.Length, cluster.Length - within);
            cluster.AsMemory(within, length).CopyTo(into);
            into = into[length..];
            offset += length;
        }
    }

    private async ValueTask<byte[]> DecompressAsync(long offset, CancellationToken stop)
    {
        if (_clusters.Find(this, offset) is { } known) return known;
        var index = offset >> _geometry.L1Shift;
        var l1 = await _tables.L1Async(index, stop).ConfigureAwait(false);
        var word = (int)((offset & ((1L << _geometry.L1Shift) - 1)) >> _geometry.ClusterBits) * _geometry.EntryWords;
        var first = word - word % _tables.SliceWords;
        var slice = await _tables.L2Async(L1Table.OffsetOf(l1.Span[0], index, _geometry), first, l1, 0, stop).ConfigureAwait(false);
        var at = CompressedCluster.Check(slice[word - first], offset, _geometry);
        var compressed = ArrayPool<byte>.Shared.Rent(at.Length);
        try
        {
            await _file.ReadAsync(at.Offset, compressed.AsMemory(0, at.Length), stop).ConfigureAwait(false);
            var cluster = new byte[_geometry.ClusterSize];
            Decompression.Run(compressed.AsMemory(0, at.Length), cluster, at, offset, _geometry);
            _clusters.Put(this, offset, cluster, cluster.Length);
            return cluster;
        }
        catch (WeaveException error) when (error.Fault == Fault.DataLoss)
        {
            EnsureUnchanged();
            throw;
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(compressed);
        }
    }

    private static DiskFormat FormatOf(string stated, string path) => Qcow2OverlayWriter.FormatOf(stated)
        ?? throw new WeaveException(Fault.Unsupported, $"{Ids.QuotePath(path)} states {Ids.Quote(stated)} as the format of its backing file; raw, qcow2 and vhdx are read.", "Convert the backing file.");
}
