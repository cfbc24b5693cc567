using System.Buffers;
using System.Buffers.Binary;
using Microsoft.Win32.SafeHandles;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Disks.Qcow2;

/// <summary>
/// Writes new qcow2 images with content, once and from front to back: clusters as the ranges come, each L2 table behind its clusters, at last the refcounts and the header. Clusters that read
/// as zeroes take no space. Memory does not grow with the content but for the L1 table (8 bytes for 512 MiB with clusters of 64 KiB).
/// </summary>
public static class Qcow2Writer
{
    private const long Copied = 1L << 63;       // refcount is exactly one
    private const long ReadsZero = 1;
    private const int RunBytes = 1 << 20;

    /// <summary>
    /// Makes <paramref name="path"/>, durably: after a crash, an error or a cancellation it is whole or absent. In <paramref name="ranges"/> it reads as <paramref name="content"/>, elsewhere as its
    /// backing file; without one as zeroes. A file that is there already is never written over (AlreadyExists).
    /// </summary>
    /// <param name="ranges">Ascending, without overlaps, within the capacity; any offsets and lengths (InvalidRequest otherwise). Enumerated once.</param>
    /// <param name="content">Read within <paramref name="ranges"/> only.</param>
    /// <param name="below">What the image stands on, read where a range covers a part of a cluster; null: zeroes. With a backing file it must answer what that reads as.</param>
    /// <param name="written">Told how many bytes of content are dealt with.</param>
    /// <returns>Bytes of the file that hold something: its size on disk, but for what the file system adds.</returns>
    public static async Task<long> WriteAsync(string path, Qcow2Shape shape, IAsyncEnumerable<DiskRange> ranges, DiskReader content, DiskReader? below, IProgress<long>? written, CancellationToken stop,
        UnixFileMode mode = DurableFile.Private, FileOwner? owner = null)
    {
        shape.Check();
        if (Path.Exists(path)) throw new WeaveException(Fault.AlreadyExists, $"An image cannot be made at {Ids.Quote(path)}: a file is there.", "Move that file away.");
        return await DurableFile.WriteAsync(path, file => new Run(file.SafeFileHandle, path, shape, content, below, written, stop).WriteAsync(ranges), mode, owner).ConfigureAwait(false);
    }

    /// <summary>As <see cref="WriteAsync"/>, for steps that may be repeated: there already on the same backing file, of the same format and size, it is left as it is, whatever it holds; another is a Conflict.</summary>
    public static async Task WriteOnceAsync(string path, Qcow2Shape shape, IAsyncEnumerable<DiskRange> ranges, DiskReader content, DiskReader below, IProgress<long>? written, CancellationToken stop,
        UnixFileMode mode = DurableFile.Private, FileOwner? owner = null)
    {
        if (shape.BackingPath is not { } backing) throw new WeaveException(Fault.Internal, $"A layer at {Ids.Quote(path)} needs a parent.");
        if (Path.Exists(path)) Qcow2OverlayWriter.Write(path, backing, shape.BackingFormat, shape.Capacity);
        else await WriteAsync(path, shape, ranges, content, below, written, stop, mode, owner).ConfigureAwait(false);
    }

    /// <summary>Bytes that an image with that many bytes in that many ranges takes at most, whatever their places.</summary>
    public static long MostBytes(Qcow2Shape shape, long bytes, long ranges)
    {
        // A range may touch a part of one more cluster at each end, and every cluster may need an L2 table of its own.
        var clusters = Math.Min(bytes / shape.ClusterBytes + 2 * ranges, (shape.Capacity + shape.ClusterBytes - 1) / shape.ClusterBytes);
        var all = 1 + shape.L1Clusters + clusters + Math.Min(clusters, shape.L1Entries);
        return (all + Refcounts.For(all, shape.ClusterBytes).Clusters) * shape.ClusterBytes;
    }

    /// <summary>Clusters of refcount blocks and of their table, which count themselves, too.</summary>
    private readonly record struct Refcounts(long Blocks, long Table)
    {
        public long Clusters => Blocks + Table;

        public static Refcounts For(long counted, int clusterBytes)
        {
            var found = new Refcounts(0, 0);
            while (true)
            {
                var blocks = Divide(counted + found.Clusters, clusterBytes / 2);
                var next = new Refcounts(blocks, Divide(blocks * 8, clusterBytes));
                if (next == found) return found;
                found = next;
            }
        }

        private static long Divide(long count, long per) => (count + per - 1) / per;
    }

    private sealed class Run(SafeFileHandle file, string path, Qcow2Shape shape, DiskReader content, DiskReader? below, IProgress<long>? written, CancellationToken stop)
    {
        private readonly int _cluster = shape.ClusterBytes;
        private readonly long[] _l1 = new long[shape.L1Entries];
        private readonly byte[] _l2 = new byte[shape.ClusterBytes];
        private readonly byte[] _buffer = new byte[Math.Max(RunBytes, shape.ClusterBytes)];
        private long _next = 1 + shape.L1Clusters;      // the first cluster that is not given out yet
        private long _l2Of = -1;                        // the L1 entry of the table in _l2; -1: none
        private bool _l2Used;
        private long _done;

        public async Task<long> WriteAsync(IAsyncEnumerable<DiskRange> ranges)
        {
            // Ranges that touch the same clusters, or neighbours, are gathered and written together.
            var gathered = new List<DiskRange>();
            long last = 0;
            await foreach (var range in ranges.WithCancellation(stop).ConfigureAwait(false))
            {
                if (range.Offset < last || range.Length < 0 || range.Length > shape.Capacity - range.Offset)
                    throw new WeaveException(Fault.InvalidRequest, $"The range of {range.Length} bytes at {range.Offset} is out of order, or outside of the disk of {shape.Capacity} bytes.");
                last = range.End;
                for (var (at, left) = (range.Offset, range.Length); left > 0;)
                {
                    var begin = gathered.Count == 0 ? Down(at) : Down(gathered[0].Offset);
                    // The buffer is full, or there is a gap of whole clusters: what is gathered goes first.
                    if (gathered.Count > 0 && (at - begin >= _buffer.Length || Down(at) > Up(gathered[^1].End)))
                    {
                        await FlushAsync(gathered).ConfigureAwait(false);
                        continue;
                    }
                    var part = Math.Min(left, begin + _buffer.Length - at);
                    gathered.Add(new(at, part));
                    at += part;
                    left -= part;
                }
            }
            if (gathered.Count > 0) await FlushAsync(gathered).ConfigureAwait(false);
            EndL2();
            return Finish();
        }

        private long Down(long offset) => offset / _cluster * _cluster;
        private long Up(long offset) => (offset + _cluster - 1) / _cluster * _cluster;

        /// <summary>Writes the clusters that the gathered ranges touch: they are one after the other, and fit into the buffer.</summary>
        private async Task FlushAsync(List<DiskRange> gathered)
        {
            stop.ThrowIfCancellationRequested();
            var (begin, end) = (Down(gathered[0].Offset), Up(gathered[^1].End));
            var used = _buffer.AsMemory(0, (int)(end - begin));
            var at = begin;
            foreach (var range in gathered)
            {
                await BelowAsync(at, range.Offset).ConfigureAwait(false);
                await content(range.Offset, used.Slice((int)(range.Offset - begin), (int)range.Length), stop).ConfigureAwait(false);
                at = range.End;
            }
            await BelowAsync(at, Math.Min(end, shape.Capacity)).ConfigureAwait(false);
            // Behind the end of the disk there is nothing to read.
            if (end > shape.Capacity) used.Span[(int)(shape.Capacity - begin)..].Clear();
            Place(begin, used.Span);
            _done += gathered.Sum(r => r.Length);
            written?.Report(_done);
            gathered.Clear();

            async ValueTask BelowAsync(long from, long to)
            {
                if (from >= to) return;
                var gap = used.Slice((int)(from - begin), (int)(to - from));
                if (below is null) gap.Span.Clear();
                else await below(from, gap, stop).ConfigureAwait(false);
            }
        }

        /// <summary>Gives clusters their places: those of zeroes none, all others one after the other.</summary>
        private void Place(long offset, ReadOnlySpan<byte> bytes)
        {
            var from = 0;
            for (var at = 0; at < bytes.Length; at += _cluster)
            {
                var index = (offset + at) / _cluster;
                var of = index / shape.PerL2;
                if (of != _l2Of)
                {
                    Data(bytes[from..at]);
                    from = at;
                    EndL2();
                    _l2Of = of;
                }
                var zero = !bytes.Slice(at, _cluster).ContainsAnyExcept((byte)0);
                if (zero)
                {
                    Data(bytes[from..at]);
                    from = at + _cluster;
                    // On its own an image reads as zeroes where it has nothing.
                    if (shape.BackingPath is null) continue;
                }
                BinaryPrimitives.WriteInt64BigEndian(_l2.AsSpan((int)(index % shape.PerL2) * 8), zero ? ReadsZero : Copied | (_next + (at - from) / _cluster) * _cluster);
                _l2Used = true;
            }
            Data(bytes[from..]);
        }

        /// <summary>Clusters at the next places.</summary>
        private void Data(ReadOnlySpan<byte> clusters)
        {
            if (clusters.IsEmpty) return;
            Write(clusters, _next * _cluster);
            _next += clusters.Length / _cluster;
        }

        private void EndL2()
        {
            if (_l2Used)
            {
                _l1[_l2Of] = Copied | _next * _cluster;
                Data(_l2);
                Array.Clear(_l2);
            }
            (_l2Of, _l2Used) = (-1, false);
        }

        private long Finish()
        {
            var refcounts = Refcounts.For(_next, _cluster);
            var (blocksAt, tableAt, end) = (_next, _next + refcounts.Blocks, _next + refcounts.Clusters);
            // Every cluster of the file is in use, by one.
            var block = new byte[_cluster];
            for (var b = 0L; b < refcounts.Blocks; b++)
            {
                block.AsSpan().Clear();
                var counted = (int)Math.Min(_cluster / 2, end - b * (_cluster / 2));
                for (var i = 0; i < counted; i++) block[2 * i + 1] = 1;
                Write(block, (blocksAt + b) * _cluster);
            }
            Write(Table(Enumerable.Range(0, (int)refcounts.Blocks).Select(b => (blocksAt + b) * _cluster), refcounts.Table), tableAt * _cluster);
            // What is not written here is a hole: an L1 table of a large disk is almost nothing else.
            var (first, last) = (Array.FindIndex(_l1, e => e != 0), Array.FindLastIndex(_l1, e => e != 0));
            if (first >= 0)
            {
                var entries = new byte[(last - first + 1) * 8];
                for (var i = first; i <= last; i++) BinaryPrimitives.WriteInt64BigEndian(entries.AsSpan((i - first) * 8), _l1[i]);
                Write(entries, _cluster + first * 8L);
            }
            Write(shape.Header(_cluster, tableAt * _cluster, (int)refcounts.Table), 0);
            if (RandomAccess.GetLength(file) < end * _cluster) RandomAccess.SetLength(file, end * _cluster);
            return (end - shape.L1Clusters) * _cluster + (first < 0 ? 0 : (last - first + 1) * 8);
        }

        private byte[] Table(IEnumerable<long> entries, long clusters)
        {
            var table = new byte[clusters * _cluster];
            var at = 0;
            foreach (var entry in entries) BinaryPrimitives.WriteInt64BigEndian(table.AsSpan(8 * at++), entry);
            return table;
        }

        private void Write(ReadOnlySpan<byte> bytes, long at)
        {
            FileFaults.Pass("write", path);
            RandomAccess.Write(file, bytes, at);
        }
    }
}
