using System.Globalization;
using WeaveHypervisor.Disks.Qcow2;
using WeaveHypervisor.Model;
using static WeaveHypervisor.Disks.Tests.RandomDisks;

namespace WeaveHypervisor.Disks.Tests.Qcow2;

/// <summary>Images that are written with content, against a byte array, and against QEMU's tools as a second opinion.</summary>
public sealed class Qcow2WriterTests : IDisposable
{
    private readonly TestFolder _folder = new();
    public void Dispose() => _folder.Dispose();

    private static async IAsyncEnumerable<DiskRange> Each(IEnumerable<DiskRange> ranges)
    {
        foreach (var range in ranges)
        {
            await Task.Yield();
            yield return range;
        }
    }

    /// <summary>Ranges in order, of all lengths from one byte on, some of them neighbours.</summary>
    private static List<DiskRange> Ranges(Random random, int capacity, int most)
    {
        var cuts = Enumerable.Range(0, 2 * random.Next(most + 1)).Select(_ => random.Next(capacity + 1)).Order().ToArray();
        return [.. cuts.Chunk(2).Select(c => new DiskRange(c[0], c[1] - c[0])), .. random.Next(3) == 0 && cuts.Length > 0 && cuts[^1] < capacity ? new[] { new DiskRange(cuts[^1], capacity - cuts[^1]) } : []];
    }

    private byte[] ReadByQemu(string path)
    {
        QemuImg.Run("convert", "-f", "qcow2", "-O", "raw", path, _folder["read"]);
        return File.ReadAllBytes(_folder["read"]);
    }

    private void IsClean(string path) => Assert.Contains("No errors were found", QemuImg.Run("check", "-f", "qcow2", path), StringComparison.Ordinal);

    [Theory]
    [InlineData(12)]
    [InlineData(13)]
    [InlineData(16)]
    [InlineData(18)]
    [InlineData(21)]
    public async Task An_overlay_reads_as_its_content_in_the_ranges_and_as_its_parent_elsewhere(int clusterBits)
    {
        for (var round = 0; round < 12; round++)
        {
            var random = new Random(Seed + 100 * clusterBits + round);
            var capacity = 512 * random.Next(1, 16_000);
            var (below, model) = (Content(random, capacity), Content(random, capacity));
            var ranges = Ranges(random, capacity, 12);
            var (parent, path) = (_folder["parent"], _folder[$"{round}.qcow2"]);
            File.WriteAllBytes(parent, below);
            var shape = new Qcow2Shape(capacity, parent, DiskFormat.Raw, 1 << clusterBits);
            var bytes = await Qcow2Writer.WriteAsync(path, shape, Each(ranges), From(model), From(below), null, default);
            var expected = (byte[])below.Clone();
            foreach (var range in ranges) model.AsSpan((int)range.Offset, (int)range.Length).CopyTo(expected.AsSpan((int)range.Offset));
            Assert.True(ReadByQemu(path).AsSpan().SequenceEqual(expected), $"WEAVE_SEED={Seed}, clusters of 2^{clusterBits}, round {round}");
            IsClean(path);
            Assert.InRange(bytes, 1, Qcow2Writer.MostBytes(shape, ranges.Sum(r => r.Length), ranges.Count));
            Assert.Equal(capacity, DiskImageInspector.Inspect(path, DiskFormat.Qcow2).VirtualSize);
        }
    }

    [Theory]
    [InlineData(12)]
    [InlineData(16)]
    [InlineData(21)]
    public async Task An_image_on_its_own_reads_as_zeroes_elsewhere(int clusterBits)
    {
        for (var round = 0; round < 8; round++)
        {
            var random = new Random(Seed + 100 * clusterBits + round);
            var capacity = 512 * random.Next(1, 16_000);
            var model = Content(random, capacity);
            var ranges = Ranges(random, capacity, 8);
            var path = _folder[$"{round}.qcow2"];
            await Qcow2Writer.WriteAsync(path, new(capacity, ClusterBytes: 1 << clusterBits), Each(ranges), From(model), null, null, default);
            var expected = new byte[capacity];
            foreach (var range in ranges) model.AsSpan((int)range.Offset, (int)range.Length).CopyTo(expected.AsSpan((int)range.Offset));
            Assert.True(ReadByQemu(path).AsSpan().SequenceEqual(expected), $"WEAVE_SEED={Seed}, clusters of 2^{clusterBits}, round {round}");
            IsClean(path);
        }
    }

    [Fact]
    public async Task Zeroes_take_no_space_and_hide_what_is_below()
    {
        const int capacity = 8 << 20;
        var below = new byte[capacity];
        new Random(Seed).NextBytes(below);
        File.WriteAllBytes(_folder["parent"], below);
        var bytes = await Qcow2Writer.WriteAsync(_folder["zero"], new(capacity, _folder["parent"], DiskFormat.Raw), Each([new(0, capacity)]), From(new byte[capacity]), From(below), null, default);
        Assert.True(ReadByQemu(_folder["zero"]).All(b => b == 0));
        // Header, L2 table, refcount block, refcount table.
        Assert.InRange(bytes, 1, 5 * 65536);
        Assert.InRange(FileFacts.Read(_folder["zero"]).AllocatedBytes, 1, 5 * 65536);
        IsClean(_folder["zero"]);
    }

    [Fact]
    public async Task Refcounts_are_right_where_blocks_count_themselves_and_need_many()
    {
        // Clusters of 4 KiB: a refcount block counts 2048 of them, which is 8 MiB.
        const int capacity = 40 << 20;
        var model = new byte[capacity];
        new Random(Seed).NextBytes(model);
        await Qcow2Writer.WriteAsync(_folder["many"], new(capacity, ClusterBytes: 4096), Each([new(0, capacity)]), From(model), null, null, default);
        Assert.True(ReadByQemu(_folder["many"]).AsSpan().SequenceEqual(model));
        IsClean(_folder["many"]);
    }

    [Fact]
    public async Task A_huge_disk_with_little_on_it_takes_little_space()
    {
        const long capacity = 1L << 44;
        var path = _folder["huge"];
        var bytes = await Qcow2Writer.WriteAsync(path, new(capacity), Each([new(4096, 10), new(1L << 43, 1 << 16), new(capacity - 512, 512)]), (_, into, _) =>
        {
            into.Span.Fill(7);
            return ValueTask.CompletedTask;
        }, null, null, default);
        Assert.InRange(bytes, 1, 1 << 20);
        Assert.InRange(FileFacts.Read(path).AllocatedBytes, 1, 1 << 20);
        IsClean(path);
        Assert.Contains("read 512/512", QemuImg.Io(path, $"read -P 7 {capacity - 512} 512"), StringComparison.Ordinal);
        Assert.Contains("read 10/10", QemuImg.Io(path, "read -P 7 4096 10"), StringComparison.Ordinal);
        Assert.Contains("read 512/512", QemuImg.Io(path, $"read -P 0 {capacity - 1024} 512"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_guest_can_write_to_it()
    {
        const int capacity = 3 << 20;
        File.WriteAllBytes(_folder["parent"], new byte[capacity]);
        var path = _folder["live"];
        await Qcow2Writer.WriteAsync(path, new(capacity, _folder["parent"], DiskFormat.Raw), Each([new(100, 300_000)]), From(Enumerable.Repeat((byte)3, capacity).ToArray()), From(new byte[capacity]), null, default);
        QemuImg.Io(path, "write -P 9 200000 1000000");
        Assert.Contains("read 199900/199900", QemuImg.Io(path, "read -P 3 100 199900"), StringComparison.Ordinal);
        Assert.Contains("read 1000000/1000000", QemuImg.Io(path, "read -P 9 200000 1000000"), StringComparison.Ordinal);
        IsClean(path);
    }

    public static TheoryData<long, int, string?> WrongShapes => new()
    {
        { 0, 65536, null }, { 1000, 65536, null }, { -512, 65536, null }, { 1 << 20, 2048, null }, { 1 << 20, 4 << 20, null }, { 1 << 20, 5000, null }, { 1L << 55, 4096, null },
        { 1 << 20, 65536, "relative" }, { 1 << 20, 65536, "/a\nb" },
    };

    [Theory, MemberData(nameof(WrongShapes))]
    public async Task A_shape_that_cannot_be_is_refused(long capacity, int cluster, string? backing)
    {
        var error = await Assert.ThrowsAsync<WeaveException>(() => Qcow2Writer.WriteAsync(_folder["no"], new(capacity, backing, DiskFormat.Raw, cluster), Each([]), From([]), null, null, default));
        Assert.Equal(Fault.InvalidRequest, error.Fault);
        Assert.Empty(Directory.EnumerateFiles(_folder.Path));
    }

    public static TheoryData<long[]> WrongRanges => new(new long[] { 10, 10, 5, 10 }, [0, 20, 10, 5], [1 << 20, 1], [0, (1 << 20) + 1], [5, -1], [long.MaxValue - 5, 100]);

    [Theory, MemberData(nameof(WrongRanges))]
    public async Task Ranges_out_of_order_or_outside_are_refused_and_leave_nothing(long[] ranges)
    {
        var error = await Assert.ThrowsAsync<WeaveException>(() => Qcow2Writer.WriteAsync(_folder["no"], new(1 << 20), Each(ranges.Chunk(2).Select(r => new DiskRange(r[0], r[1]))), From(new byte[1 << 20]), null, null, default));
        Assert.Equal(Fault.InvalidRequest, error.Fault);
        Assert.Empty(Directory.EnumerateFiles(_folder.Path));
    }

    [Fact]
    public async Task What_is_there_is_never_written_over()
    {
        File.WriteAllText(_folder["there"], "precious");
        var error = await Assert.ThrowsAsync<WeaveException>(() => Qcow2Writer.WriteAsync(_folder["there"], new(1 << 20), Each([]), From([]), null, null, default));
        Assert.Equal((Fault.AlreadyExists, "precious"), (error.Fault, File.ReadAllText(_folder["there"])));
    }

    [Fact]
    public async Task Every_file_operation_may_fail_and_leaves_nothing()
    {
        var model = new byte[1 << 20];
        new Random(Seed).NextBytes(model);
        async Task<int> WriteAsync(int failAt)
        {
            var passed = 0;
            using (FileFaults.Hook((_, path) => path.StartsWith(_folder.Path, StringComparison.Ordinal) && passed++ == failAt ? 28 : 0))
            {
                try
                {
                    await Qcow2Writer.WriteAsync(_folder["image"], new(1 << 20), Each([new(0, 1 << 20)]), From(model), null, null, default);
                    Assert.True(failAt < 0);
                }
                catch (WeaveException e) when (failAt >= 0)
                {
                    Assert.Equal(Fault.Exhausted, e.Fault);
                }
            }
            return passed;
        }
        var count = await WriteAsync(-1);
        File.Delete(_folder["image"]);
        // The last one is the sync of the folder: the file has its name then.
        for (var n = 0; n < count - 1; n++)
        {
            await WriteAsync(n);
            Assert.Empty(Directory.EnumerateFiles(_folder.Path));
        }
    }

    [Fact]
    public async Task A_cancelled_writing_leaves_nothing_and_progress_tells_how_far_it_came()
    {
        using var stop = new CancellationTokenSource();
        long told = 0;
        var progress = new Telling(done =>
        {
            told = done;
            if (done >= 4 << 20) stop.Cancel();
        });
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => Qcow2Writer.WriteAsync(_folder["image"], new(16 << 20), Each([new(0, 16 << 20)]), From(new byte[16 << 20]), null, progress, stop.Token));
        Assert.InRange(told, 4 << 20, 5 << 20);
        Assert.Empty(Directory.EnumerateFiles(_folder.Path));
    }

    private sealed class Telling(Action<long> act) : IProgress<long>
    {
        public void Report(long value) => act(value);
    }
}
