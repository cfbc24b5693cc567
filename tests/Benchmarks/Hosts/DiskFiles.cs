using System.Buffers.Binary;
using System.Diagnostics;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace WeaveHypervisor.Benchmarks.Hosts;

/// <summary>Disk images to be measured with, and the page cache of exactly these files.</summary>
public static class DiskFiles
{
    private const int Cluster = 65536, PerTable = Cluster / 8;

    /// <summary>
    /// A qcow2 image of 100 GiB with the usual clusters, as a guest leaves it that has written here and there for a long time: 2 of 100 clusters have data, each somewhere else in
    /// the file; of the others every second one is known to be zero. Refcounts are right; the space of the data is allocated, and not written.
    /// </summary>
    public static void WriteFragmented(string path)
    {
        const long capacity = 100L << 30;
        const int clusters = (int)(capacity / Cluster), tables = clusters / PerTable;
        var random = new Random(8);
        var kinds = new byte[clusters];
        for (var i = 0; i < clusters; i++) kinds[i] = random.NextDouble() < 0.02 ? (byte)2 : random.NextDouble() < 0.5 ? (byte)1 : (byte)0;
        var data = Enumerable.Range(0, clusters).Where(i => kinds[i] == 2).ToArray();
        random.Shuffle(data);
        // Header, refcount table, refcount blocks, L1 table; then each L2 table with a part of the data behind it.
        var blocks = (data.Length + tables + 64 + Cluster / 2 - 1) / (Cluster / 2);
        var next = 3 + blocks;
        var places = new long[clusters];
        var l2 = new long[tables];
        var part = data.Length / tables + 1;
        for (int table = 0, at = 0; table < tables; table++)
        {
            l2[table] = (long)next++ * Cluster;
            for (var i = 0; i < part && at < data.Length; i++) places[data[at++]] = (long)next++ * Cluster;
        }
        random.Shuffle(l2);
        using var file = File.OpenHandle(path, FileMode.CreateNew, FileAccess.ReadWrite, preallocationSize: (long)next * Cluster);
        RandomAccess.SetLength(file, (long)next * Cluster);
        var header = new byte[Cluster];
        void U32(int at, uint value) => BinaryPrimitives.WriteUInt32BigEndian(header.AsSpan(at), value);
        void U64(int at, long value) => BinaryPrimitives.WriteInt64BigEndian(header.AsSpan(at), value);
        U32(0, 0x514649fb);
        U32(4, 3);
        U32(20, 16);
        U64(24, capacity);
        U32(36, tables);
        U64(40, (2L + blocks) * Cluster);
        U64(48, Cluster);
        U32(56, 1);
        U32(96, 4);
        U32(100, 104);
        RandomAccess.Write(file, header, 0);
        Write(file, Cluster, Enumerable.Range(0, PerTable).Select(i => i < blocks ? (2L + i) * Cluster : 0));
        var counts = new byte[blocks * Cluster];
        for (var i = 0; i < next; i++) counts[i * 2 + 1] = 1;
        RandomAccess.Write(file, counts, 2L * Cluster);
        Write(file, (2L + blocks) * Cluster, Enumerable.Range(0, PerTable).Select(i => i < tables ? l2[i] | long.MinValue : 0));
        for (var table = 0; table < tables; table++)
            Write(file, l2[table], Enumerable.Range(table * PerTable, PerTable).Select(i => kinds[i] == 2 ? places[i] | long.MinValue : kinds[i]));
        Sync(file);
    }

    /// <summary>A raw file in which each cluster has a byte of its own, <see cref="Pattern"/>.</summary>
    public static void WritePatterned(string path, long length)
    {
        using var file = File.OpenHandle(path, FileMode.CreateNew, FileAccess.ReadWrite, preallocationSize: length);
        var bytes = new byte[Cluster];
        for (long at = 0; at < length; at += Cluster)
        {
            bytes.AsSpan().Fill(Pattern(at / Cluster));
            RandomAccess.Write(file, bytes, at);
        }
        Sync(file);
    }

    public static byte Pattern(long cluster) => (byte)(cluster * 7 % 255 + 1);

    /// <summary>A qcow2 overlay on a patterned file with 1 of 100 clusters written anew: with the bytes that were there, but for the last, which differs.</summary>
    public static async Task WriteOverlayAsync(string path, string on, long length, int seed, bool changed, CancellationToken stop)
    {
        (await Shell.RunAsync("qemu-img", ["create", "-q", "-f", "qcow2", "-F", "raw", "-b", on, path], stop)).Succeeded();
        var random = new Random(seed);
        var clusters = length / Cluster;
        var written = Enumerable.Range(0, (int)(clusters / 100)).Select(_ => random.NextInt64(clusters - 1)).Append(clusters - 1).Distinct().ToList();
        foreach (var some in written.Chunk(500))
            (await Shell.RunAsync("qemu-io", ["-f", "qcow2", .. some.SelectMany(c => (string[])["-c", $"write -P {(changed || c == clusters - 1 ? Pattern(c) ^ 0xff : Pattern(c))} {c * Cluster} {Cluster}"]), path], stop)).Succeeded();
        using var file = File.OpenHandle(path, FileMode.Open, FileAccess.ReadWrite);
        Sync(file);
    }

    /// <summary>Takes the files out of the page cache; they have been synced.</summary>
    public static void Forget(params IEnumerable<string> paths)
    {
        foreach (var path in paths)
        {
            using var file = File.OpenHandle(path);
            if (posix_fadvise(file, 0, 0, DontNeed) is var error and not 0) throw new IOException($"{path} stays in the page cache: error {error}");
        }
    }

    /// <summary>Ms of a program whose output goes nowhere.</summary>
    public static async Task<double> TimeAsync(string program, IReadOnlyList<string> arguments, CancellationToken stop, params int[] exits)
    {
        var clock = Stopwatch.StartNew();
        // Not read by this process: a map is 100 MB of text.
        var result = await Shell.RunAsync("/bin/sh", ["-c", "exec \"$0\" \"$@\" > /dev/null", program, .. arguments], stop);
        if (!exits.Contains(result.Exit)) result.Succeeded();
        return clock.Elapsed.TotalMilliseconds;
    }

    /// <summary>The command as it is installed; null where it was not built (tests/Benchmarks/run builds it).</summary>
    public static string? Command => Path.GetFullPath(Path.Combine(AppContext.BaseDirectory, "../../../../../bin/weave")) is var path && File.Exists(path) ? path : null;

    private static void Write(SafeFileHandle file, long at, IEnumerable<long> entries)
    {
        var bytes = new byte[Cluster];
        var i = 0;
        foreach (var entry in entries) BinaryPrimitives.WriteInt64BigEndian(bytes.AsSpan(i++ * 8), entry);
        RandomAccess.Write(file, bytes, at);
    }

    private static void Sync(SafeFileHandle file) => RandomAccess.FlushToDisk(file);

    private const int DontNeed = 4;

    [DllImport("libc")]
    private static extern int posix_fadvise(SafeFileHandle descriptor, long offset, long length, int advice);
}
