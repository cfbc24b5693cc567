using System.Buffers.Binary;

namespace WeaveHypervisor.Disks.Qcow2;

/// <summary>
/// Checks an image as `qemu-img check` does: counts the references to every cluster of the file and compares them with its refcounts. Large files are counted a part
/// at a time, so that memory is bounded; each part costs one more reading of the tables. Reads only; damaged structures are told and passed over.
/// </summary>
internal sealed class Qcow2Check
{
    /// <summary>8 Mi clusters, 64 MiB of counts: with the usual clusters 512 GiB of file at once.</summary>
    private const int PartClusters = 8 << 20;
    /// <summary>Standard Cluster Descriptor: bits 1 to 8 and 56 to 61. L1 table entry: bits 0 to 8 and 56 to 62. Refcount table entry: bits 0 to 8.</summary>
    private const ulong L2Reserved = 0x3f00_0000_0000_01fe, L1Reserved = 0x7f00_0000_0000_01ff, TableReserved = 0x1ff;
    private const int MaxRefcountTable = 8 << 20;

    private readonly ImageFile _file;
    private readonly Qcow2Geometry _geometry;
    private readonly RefcountReader _refcounts;
    private readonly CheckFindings _findings = new();
    private readonly int[] _stored, _counted;
    private readonly byte[] _table;
    private readonly ulong _largest;
    private readonly IReadOnlyList<InternalSnapshot> _snapshots;
    private readonly IReadOnlyList<StoredBitmap> _bitmaps;
    private long _first, _clusters, _lastUsed, _allocated, _compressed, _fragmented;

    private Qcow2Check(ImageFile file, Qcow2Geometry geometry, IReadOnlyList<InternalSnapshot> snapshots, IReadOnlyList<StoredBitmap> bitmaps)
    {
        (_file, _geometry, _snapshots, _bitmaps) = (file, geometry, snapshots, bitmaps);
        _refcounts = new(file, geometry);
        // The last cluster may be cut off by the end of the file, and one more referred to behind it.
        _clusters = (file.Length + geometry.ClusterSize - 1) >> geometry.ClusterBits;
        var part = (int)Math.Min(PartClusters, _clusters + 1);
        (_stored, _counted) = (new int[part], new int[part]);
        _table = new byte[geometry.ClusterSize];
        _largest = geometry.Header.RefcountBits >= 31 ? int.MaxValue : (1UL << geometry.Header.RefcountBits) - 1;
    }

    private bool IsFirstPart => _first == 0;

    /// <summary>DataLoss where the directory of snapshots or bitmaps cannot be read: then what they use is not known.</summary>
    public static async ValueTask<ImageCheck> RunAsync(ImageFile file, Qcow2Geometry geometry, IProgress<double>? progress, CancellationToken stop)
    {
        var snapshots = new List<InternalSnapshot>();
        await foreach (var snapshot in new SnapshotTable(file, geometry).ReadAsync(stop).ConfigureAwait(false)) snapshots.Add(snapshot);
        var bitmaps = geometry.Header.Bitmaps is { } directory ? await directory.ReadAsync(file, geometry, stop).ConfigureAwait(false) : [];
        return await new Qcow2Check(file, geometry, snapshots, bitmaps).RunAsync(progress, stop).ConfigureAwait(false);
    }

    private async ValueTask<ImageCheck> RunAsync(IProgress<double>? progress, CancellationToken stop)
    {
        for (; IsFirstPart || _first < _clusters; _first += _counted.Length)
        {
            Array.Clear(_stored);
            Array.Clear(_counted);
            await LoadStoredAsync(stop).ConfigureAwait(false);
            await CountAsync(progress, stop).ConfigureAwait(false);
            Compare();
            if (_first + _counted.Length >= _clusters) break;
        }
        var header = _geometry.Header;
        return new()
        {
            Leaks = _findings.Leaks, Errors = _findings.Errors, Findings = _findings.Kept, TotalClusters = (header.VirtualSize + _geometry.ClusterSize - 1) >> _geometry.ClusterBits,
            AllocatedClusters = _allocated, CompressedClusters = _compressed, FragmentedClusters = _fragmented, ImageEnd = (_lastUsed + 1) << _geometry.ClusterBits,
        };
    }

    /// <summary>The refcounts of this part as the file has them. Blocks that cannot be are told when they are counted.</summary>
    private async ValueTask LoadStoredAsync(CancellationToken stop)
    {
        await foreach (var (first, place) in _refcounts.BlocksAsync(stop).ConfigureAwait(false))
        {
            if (first >= _first + _stored.Length) break;
            if (first + _refcounts.PerBlock <= _first || !IsPlace(place)) continue;
            await _file.ReadAsync(place, _table, stop).ConfigureAwait(false);
            for (var i = Math.Max(0, _first - first); i < _refcounts.PerBlock && first + i < _first + _stored.Length; i++)
                _stored[first + i - _first] = (int)Math.Min(int.MaxValue, _refcounts.Of(_table, i));
        }
    }

    private bool IsPlace(long offset) => offset > 0 && (offset & (_geometry.ClusterSize - 1)) == 0 && offset < _file.Length;

    private async ValueTask CountAsync(IProgress<double>? progress, CancellationToken stop)
    {
        var header = _geometry.Header;
        Count(0, _geometry.ClusterSize, "header");
        await CountL1Async(header.L1Offset, header.L1Entries, isActive: true, progress, stop).ConfigureAwait(false);
        foreach (var snapshot in _snapshots)
        {
            if ((snapshot.L1Offset & (_geometry.ClusterSize - 1)) != 0 || snapshot.L1Offset < 0) Error("snapshot table", header.SnapshotTableOffset, $"the L1 table of snapshot {Model.Ids.Quote(snapshot.Id)} is not at a cluster's start ({snapshot.L1Offset})");
            else if (snapshot.L1Entries > Qcow2Header.MaxL1Bytes / 8) Error("snapshot table", header.SnapshotTableOffset, $"the L1 table of snapshot {Model.Ids.Quote(snapshot.Id)} has {snapshot.L1Entries} entries, over 32 MiB");
            else await CountL1Async(snapshot.L1Offset, snapshot.L1Entries, isActive: false, null, stop).ConfigureAwait(false);
        }
        if (_snapshots.Count > 0) Count(header.SnapshotTableOffset, _snapshots.SkipLast(1).Sum(s => (s.Length + 7L) & ~7L) + _snapshots[^1].Length, "snapshot table");
        Count(header.RefcountTableOffset, (long)header.RefcountTableClusters * _geometry.ClusterSize, "refcount table");
        await CountBitmapsAsync(stop).ConfigureAwait(false);
        await CountRefcountBlocksAsync(stop).ConfigureAwait(false);
    }

    private async ValueTask CountL1Async(long offset, long entries, bool isActive, IProgress<double>? progress, CancellationToken stop)
    {
        if (entries == 0) return;
        Count(offset, entries * 8, "L1 table");
        var window = new byte[Math.Min(64 << 10, entries * 8)];
        for (long at = 0; at < entries; at += window.Length / 8)
        {
            await _file.ReadAsync(offset + at * 8, window, stop).ConfigureAwait(false);
            for (var i = 0; i < window.Length / 8 && at + i < entries; i++)
            {
                var entry = BinaryPrimitives.ReadUInt64BigEndian(window.AsSpan(i * 8));
                if (entry == 0) continue;
                stop.ThrowIfCancellationRequested();
                progress?.Report((double)(at + i) / entries);
                var place = offset + (at + i) * 8;
                if ((entry & L1Reserved) != 0) Error("L1 entry", place, $"has reserved bits ({entry:x16})");
                var table = (long)(entry & L1Table.OffsetMask);
                Count(table, _geometry.ClusterSize, "L2 table", place);
                if ((table & (_geometry.ClusterSize - 1)) != 0) Error("L1 entry", place, $"leads into a cluster's middle ({table})");
                if (isActive && table != 0) CheckCopied("L1 entry", place, entry, table);
                // QEMU gives up here; the rest of the image is worth a look.
                if (table >= _file.Length) continue;
                await _file.ReadAsync(table, _table, stop).ConfigureAwait(false);
                CountL2(table, isActive);
            }
        }
    }

    private void CountL2(long table, bool isActive)
    {
        long cluster = _geometry.ClusterSize, next = 0;
        var step = _geometry.EntryWords * 8;
        for (var at = 0; at < _table.Length; at += step)
        {
            var entry = BinaryPrimitives.ReadUInt64BigEndian(_table.AsSpan(at));
            var bitmap = step == 16 ? BinaryPrimitives.ReadUInt64BigEndian(_table.AsSpan(at + 8)) : 0;
            if ((entry | bitmap) == 0) continue;
            if ((entry & L2Table.Compressed) != 0)
            {
                if ((entry & L2Table.Copied) != 0) Error("L2 entry", table + at, "is compressed and says that nothing else refers to its cluster");
                if (bitmap != 0)
                {
                    Error("L2 entry", table + at, "is compressed and has a subcluster bitmap");
                    continue;
                }
                var compressed = CompressedCluster.Of(entry, _geometry.ClusterBits);
                Count(compressed.Offset, compressed.Length, "compressed cluster", table + at);
                if (!isActive || !IsFirstPart) continue;
                _allocated++;
                _compressed++;
                _fragmented++;
                continue;
            }
            if ((entry & L2Reserved) != 0) Error("L2 entry", table + at, $"has reserved bits ({entry:x16})");
            var host = (long)(entry & L2Table.OffsetMask);
            if (host == 0)
            {
                if ((uint)bitmap != 0) Error("L2 entry", table + at, "has allocated subclusters and no cluster");
                continue;
            }
            if (isActive && table != 0) CheckCopied("L2 entry", table + at, entry, host);
            if ((bitmap >> 32 & bitmap) != 0) Error("L2 entry", table + at, $"has subclusters that are allocated and zero at once ({bitmap:x16})");
            if ((host & (cluster - 1)) != 0) Error("L2 entry", table + at, $"leads into a cluster's middle ({host})");
            Count(host, cluster, "cluster", table + at);
            if (!isActive || !IsFirstPart) continue;
            _allocated++;
            if (next != 0 && host != next) _fragmented++;
            next = host + cluster;
        }
    }

    /// <summary>Entries of the active tables say whether their cluster may be written in place: exactly where its refcount is one.</summary>
    private void CheckCopied(string structure, long place, ulong entry, long host)
    {
        var index = (host >> _geometry.ClusterBits) - _first;
        var isLast = _first + _stored.Length >= _clusters;
        if (index < 0 || index >= _stored.Length && !isLast) return;
        var stored = index < _stored.Length ? _stored[index] : 0;
        if (stored == 1 == ((entry & L2Table.Copied) != 0)) return;
        _findings.Error(structure, place, $"says that its cluster at {host} {((entry & L2Table.Copied) != 0 ? "has a refcount of one" : "is shared")}, but the refcount is {stored}");
    }

    private async ValueTask CountBitmapsAsync(CancellationToken stop)
    {
        if (_bitmaps.Count == 0) return;
        Count(_geometry.Header.Bitmaps!.Offset, _geometry.Header.Bitmaps.Length, "bitmap directory");
        foreach (var bitmap in _bitmaps)
        {
            Count(bitmap.TableOffset, bitmap.TableEntries * 8, "bitmap table");
            var window = new byte[Math.Min(64 << 10, bitmap.TableEntries * 8)];
            for (long at = 0; at < bitmap.TableEntries * 8; at += window.Length)
            {
                await _file.ReadAsync(bitmap.TableOffset + at, window, stop).ConfigureAwait(false);
                for (var i = 0; i < window.Length && at + i < bitmap.TableEntries * 8; i += 8)
                {
                    var entry = BinaryPrimitives.ReadUInt64BigEndian(window.AsSpan(i));
                    var host = (long)(entry & L2Table.OffsetMask);
                    if ((entry & ~L2Table.OffsetMask & ~1UL) != 0 || host != 0 && ((entry & 1) != 0 || (host & (_geometry.ClusterSize - 1)) != 0))
                        Error("bitmap table entry", bitmap.TableOffset + at + i, $"of {Model.Ids.Quote(bitmap.Name)} is none ({entry:x16})");
                    else if (host != 0) Count(host, _geometry.ClusterSize, "bitmap", bitmap.TableOffset + at + i);
                }
            }
        }
    }

    private async ValueTask CountRefcountBlocksAsync(CancellationToken stop)
    {
        var header = _geometry.Header;
        var table = new byte[Math.Min(MaxRefcountTable, (long)header.RefcountTableClusters * _geometry.ClusterSize)];
        await _file.ReadAsync(header.RefcountTableOffset, table, stop).ConfigureAwait(false);
        for (var at = 0; at < table.Length; at += 8)
        {
            var entry = BinaryPrimitives.ReadUInt64BigEndian(table.AsSpan(at));
            if (entry == 0) continue;
            var place = header.RefcountTableOffset + at;
            var block = (long)(entry & RefcountReader.OffsetMask);
            var index = (block >> _geometry.ClusterBits) - _first;
            if ((entry & TableReserved) != 0) Error("refcount table entry", place, $"has reserved bits ({entry:x16})");
            else if ((block & (_geometry.ClusterSize - 1)) != 0) Error("refcount table entry", place, $"leads into a cluster's middle ({block})");
            else if (block < 0 || block >> _geometry.ClusterBits >= _clusters) Error("refcount table entry", place, $"leads behind the end of the file ({block})");
            else
            {
                Count(block, _geometry.ClusterSize, "refcount block", place);
                if (index >= 0 && index < _counted.Length && _counted[index] != 1) _findings.Error("refcount block", block, $"is used {_counted[index]} times");
            }
        }
    }

    /// <summary>Something refers to the range of the file. At most one cluster may be beyond the end of the file, which may have been cut off.</summary>
    private void Count(long offset, long length, string structure, long place = -1)
    {
        if (offset < 0 || offset > _file.Length + _geometry.ClusterSize || offset + length - _file.Length >= _geometry.ClusterSize)
        {
            Error(structure, place, $"lies behind the end of the file ({length} bytes at {offset} of {_file.Length})");
            return;
        }
        var last = offset + length - 1 >> _geometry.ClusterBits;
        _clusters = Math.Max(_clusters, last + 1);
        for (var i = Math.Max(0, (offset >> _geometry.ClusterBits) - _first); i <= last - _first && i < _counted.Length; i++)
        {
            if ((ulong)_counted[i] < _largest) _counted[i]++;
            else _findings.Error(structure, _first + i << _geometry.ClusterBits, $"is used more often than refcounts of {_geometry.Header.RefcountBits} bits can tell");
        }
    }

    private void Compare()
    {
        for (var i = 0; i < _counted.Length && _first + i < _clusters; i++)
        {
            var (stored, counted) = (_stored[i], _counted[i]);
            if ((stored | counted) != 0) _lastUsed = _first + i;
            if (stored == counted) continue;
            var offset = _first + i << _geometry.ClusterBits;
            if (stored < counted) _findings.Error("refcount", offset, $"of the cluster is {stored}, and {counted} refer to it");
            else _findings.Leak("refcount", offset, $"of the cluster is {stored}, and {(counted == 0 ? "nothing refers" : counted == 1 ? "1 refers" : $"{counted} refer")} to it");
        }
    }

    /// <summary>A finding that does not depend on refcounts: told once.</summary>
    private void Error(string structure, long place, string text)
    {
        if (IsFirstPart) _findings.Error(structure, place, text);
    }
}
