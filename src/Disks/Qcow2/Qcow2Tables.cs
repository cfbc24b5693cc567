using System.Buffers;
using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace WeaveHypervisor.Disks.Qcow2;

/// <summary>Reads the L1 and L2 tables of an image in windows, through the chain's cache. Tables that follow each other in the file are read at once.</summary>
internal sealed class Qcow2Tables(ImageFile file, Qcow2Geometry geometry, BoundedCache<ulong[]> cache)
{
    /// <summary>64-bit words of a window: 64 KiB, an L2 table of the usual size. L2 tables of larger clusters are read in parts.</summary>
    private const int WindowWords = 8192;
    /// <summary>Windows of the L1 table are smaller, since a chain may have 200 layers: 4096 entries of 512 MiB each, with the usual clusters.</summary>
    private const int L1Window = 4096;

    /// <summary>L2 tables that are announced: 512 KiB of the usual ones. Each is told of some times, which costs little where it is there already.</summary>
    private const int TablesAhead = 8;

    /// <summary>Words of a part of an L2 table.</summary>
    public int SliceWords { get; } = Math.Min(WindowWords, geometry.ClusterSize / 8);

    /// <summary>Entries from <paramref name="index"/> on, at least one, as far as they are at hand.</summary>
    public ValueTask<ReadOnlyMemory<ulong>> L1Async(long index, CancellationToken stop)
    {
        var first = index - index % L1Window;
        var place = geometry.Header.L1Offset + first * 8;
        return cache.Find(this, place) is { } known ? new(known.AsMemory((int)(index - first))) : LoadAsync();

        async ValueTask<ReadOnlyMemory<ulong>> LoadAsync()
        {
            var window = await ReadAsync(place, (int)Math.Min(L1Window, geometry.Header.L1Entries - first), stop).ConfigureAwait(false);
            cache.Put(this, place, window, window.Length * 8L);
            return window.AsMemory((int)(index - first));
        }
    }

    /// <summary>The part of the L2 table at <paramref name="table"/> that begins with its word <paramref name="first"/>, a multiple of <see cref="SliceWords"/>.</summary>
    /// <param name="l1">The table's L1 entry and those behind it: what else may be read with it.</param>
    /// <param name="ahead">How many of those behind it will be asked for next.</param>
    public ValueTask<ulong[]> L2Async(long table, int first, ReadOnlyMemory<ulong> l1, int ahead, CancellationToken stop)
    {
        if (cache.Find(this, table + first * 8L) is { } known) return new(known);
        if (ahead > 0) Announce(l1.Span.Slice(1, Math.Min(ahead, l1.Length - 1)));
        return LoadL2Async(table, first, l1, stop);
    }

    /// <summary>Tables are scattered over the file, so that the system does not guess which comes next; told, it reads them while this one is worked on.</summary>
    private void Announce(ReadOnlySpan<ulong> l1)
    {
        if (OperatingSystem.IsWindows()) return;
        foreach (var entry in l1[..Math.Min(l1.Length, TablesAhead)])
            if ((long)(entry & L1Table.OffsetMask) is var table and > 0 && table < file.Length) Posix.WillRead(file.Handle, table, geometry.ClusterSize);
    }

    private async ValueTask<ulong[]> LoadL2Async(long table, int first, ReadOnlyMemory<ulong> l1, CancellationToken stop)
    {
        var words = geometry.ClusterSize / 8;
        var tables = words >= WindowWords ? 1 : Following(l1.Span, words);
        if (tables == 1)
        {
            var slice = await ReadAsync(table + first * 8L, SliceWords, stop).ConfigureAwait(false);
            cache.Put(this, table + first * 8L, slice, slice.Length * 8L);
            return slice;
        }
        var window = await ReadAsync(table, tables * words, stop).ConfigureAwait(false);
        ulong[]? asked = null;
        for (var i = tables - 1; i >= 0; i--)
        {
            var one = window.AsSpan(i * words, words).ToArray();
            cache.Put(this, table + (long)i * geometry.ClusterSize, one, one.Length * 8L);
            asked = one;
        }
        return asked!;
    }

    /// <summary>How many tables lie one behind the other in the file, as far as a window reaches.</summary>
    private int Following(ReadOnlySpan<ulong> l1, int words)
    {
        var count = 1;
        while (count < l1.Length && (count + 1) * words <= WindowWords && (l1[count] & L1Table.OffsetMask) == (l1[0] & L1Table.OffsetMask) + (ulong)count * (ulong)geometry.ClusterSize) count++;
        return count;
    }

    private async ValueTask<ulong[]> ReadAsync(long offset, int words, CancellationToken stop)
    {
        var bytes = ArrayPool<byte>.Shared.Rent(words * 8);
        try
        {
            await file.ReadAsync(offset, bytes.AsMemory(0, words * 8), stop).ConfigureAwait(false);
            var decoded = GC.AllocateUninitializedArray<ulong>(words);
            var raw = MemoryMarshal.Cast<byte, ulong>(bytes.AsSpan(0, words * 8));
            if (BitConverter.IsLittleEndian) BinaryPrimitives.ReverseEndianness(raw, decoded);
            else raw.CopyTo(decoded);
            return decoded;
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(bytes);
        }
    }
}
