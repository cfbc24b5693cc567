using System.Buffers.Binary;
using System.Text;

namespace WeaveHypervisor.Disks.Qcow2;

/// <summary>The directory of an image's internal snapshots (docs/interop/qcow2.rst, "Snapshots"). Read in windows; nothing of it is needed to read the disk.</summary>
internal sealed class SnapshotTable(ImageFile file, Qcow2Geometry geometry)
{
    private const int EntryLength = 40;
    /// <summary>Bytes; QEMU's limits of one entry's extra data and of the whole table.</summary>
    private const int MaxExtra = 1024, MaxTable = 64 << 20;
    private const int WindowBytes = 64 << 10;

    /// <summary>All entries. DataLoss where one is damaged or the table is not within the file.</summary>
    public async IAsyncEnumerable<InternalSnapshot> ReadAsync([System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken stop)
    {
        var header = geometry.Header;
        var entry = new byte[EntryLength + MaxExtra + 2 * ushort.MaxValue];
        var window = new Window(file, WindowBytes);
        var at = header.SnapshotTableOffset;
        for (var i = 0; i < header.InternalSnapshots; i++)
        {
            Require(i, at, EntryLength);
            await window.ReadAsync(at, entry.AsMemory(0, EntryLength), stop).ConfigureAwait(false);
            int id = BinaryPrimitives.ReadUInt16BigEndian(entry.AsSpan(12)), name = BinaryPrimitives.ReadUInt16BigEndian(entry.AsSpan(14));
            var extra = BinaryPrimitives.ReadUInt32BigEndian(entry.AsSpan(36));
            if (extra > MaxExtra) throw geometry.Damaged($"the snapshot table entry at {at}", $"has {extra} bytes of extra data");
            var length = EntryLength + (int)extra + id + name;
            Require(i, at, length);
            await window.ReadAsync(at, entry.AsMemory(0, length), stop).ConfigureAwait(false);
            yield return Of(entry.AsSpan(0, length), (int)extra, id, name);
            at += (length + 7) & ~7;
        }

        void Require(int index, long offset, int length)
        {
            if (offset > file.Length - length || offset + length - header.SnapshotTableOffset > MaxTable) throw geometry.Damaged($"entry {index} of the snapshot table, at {offset},", "is not within the file, or too far from the table's start");
        }
    }

    private static InternalSnapshot Of(ReadOnlySpan<byte> entry, int extra, int id, int name) => new(
        Encoding.UTF8.GetString(entry.Slice(EntryLength + extra, id)), Encoding.UTF8.GetString(entry.Slice(EntryLength + extra + id, name)),
        DateTimeOffset.FromUnixTimeSeconds(BinaryPrimitives.ReadUInt32BigEndian(entry[16..])),
        extra >= 8 ? (long)BinaryPrimitives.ReadUInt64BigEndian(entry[40..]) : BinaryPrimitives.ReadUInt32BigEndian(entry[32..]))
    {
        L1Offset = (long)BinaryPrimitives.ReadUInt64BigEndian(entry), L1Entries = BinaryPrimitives.ReadUInt32BigEndian(entry[8..]), Length = entry.Length,
    };

    /// <summary>A part of the file that was read ahead.</summary>
    private sealed class Window(ImageFile file, int size)
    {
        private readonly byte[] _bytes = new byte[size];
        private long _start = -1;

        public async ValueTask ReadAsync(long offset, Memory<byte> into, CancellationToken stop)
        {
            if (into.Length > _bytes.Length)
            {
                await file.ReadAsync(offset, into, stop).ConfigureAwait(false);
                return;
            }
            if (_start < 0 || offset < _start || offset + into.Length > _start + _bytes.Length)
            {
                await file.ReadAsync(offset, _bytes, stop).ConfigureAwait(false);
                _start = offset;
            }
            _bytes.AsMemory((int)(offset - _start), into.Length).CopyTo(into);
        }
    }
}
