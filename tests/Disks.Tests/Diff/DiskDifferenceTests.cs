using WeaveHypervisor.Disks.Qcow2;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Disks.Tests.Diff;

public sealed class DiskDifferenceTests(ITestOutputHelper output) : IDisposable
{
    private readonly TestFolder _folder = new();
    public void Dispose() => _folder.Dispose();

    private async Task<DiskChain> Open(string name, DiskFormat format = DiskFormat.Qcow2) => await DiskChain.OpenAsync(_folder[name], format, new FolderLocator(_folder[name]), default);

    private async Task<DifferenceResult> Compare(string left, string right, DifferenceOptions? options = null)
    {
        await using var one = await Open(left);
        await using var two = await Open(right);
        return await DiskDifference.CompareAsync(one, two, options ?? new(), null, default);
    }

    /// <summary>base.raw of random bytes, and `left` and `right` on it.</summary>
    private void Siblings(long size = 1 << 20, int cluster = 65536)
    {
        var bytes = new byte[size];
        new Random(1).NextBytes(bytes);
        File.WriteAllBytes(_folder["base.raw"], bytes);
        foreach (var side in (string[])["left", "right"]) QemuImg.Run("create", "-q", "-f", "qcow2", "-o", $"cluster_size={cluster}", "-F", "raw", "-b", _folder["base.raw"], _folder[side]);
    }

    [Fact]
    public async Task Each_range_tells_who_has_changed_it()
    {
        Siblings();
        QemuImg.Io(_folder["left"], "write -P 1 0 64k");
        QemuImg.Io(_folder["left"], "write -P 2 128k 64k");
        QemuImg.Io(_folder["right"], "write -P 3 64k 64k");
        QemuImg.Io(_folder["right"], "write -P 3 128k 4k");
        var result = await Compare("left", "right");
        Assert.Equal([new(0, 65536, DifferenceSide.LeftOnly), new(65536, 65536, DifferenceSide.RightOnly), new(131072, 4096, DifferenceSide.Both), new(135168, 61440, DifferenceSide.LeftOnly)], result.Ranges);
        Assert.Equal((126976, 65536, 4096), (result.LeftOnlyBytes, result.RightOnlyBytes, result.BothBytes));
        Assert.Equal(_folder["base.raw"], result.CommonLayer!.Path);
    }

    [Fact]
    public async Task What_was_rewritten_with_the_same_bytes_is_no_difference()
    {
        Siblings();
        File.WriteAllBytes(_folder["same"], File.ReadAllBytes(_folder["base.raw"])[..65536]);
        QemuImg.Io(_folder["left"], $"write -s {_folder["same"]} 0 64k");
        var result = await Compare("left", "right");
        Assert.True(result.IsEqual);
        Assert.Equal(65536, result.ComparedBytes);
    }

    [Fact]
    public async Task What_both_have_changed_to_the_same_is_no_difference()
    {
        Siblings();
        QemuImg.Io(_folder["left"], "write -P 7 64k 64k");
        QemuImg.Io(_folder["right"], "write -P 7 64k 64k");
        Assert.True((await Compare("left", "right")).IsEqual);
    }

    [Fact]
    public async Task A_disk_compared_with_its_own_ancestor_differs_on_one_side_alone()
    {
        Siblings();
        QemuImg.Run("create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", _folder["left"], _folder["child"]);
        QemuImg.Io(_folder["child"], "write -P 9 512k 4k");
        Assert.Equal([new(512 << 10, 4096, DifferenceSide.RightOnly)], (await Compare("left", "child")).Ranges);
        Assert.Equal([new(512 << 10, 4096, DifferenceSide.LeftOnly)], (await Compare("child", "left")).Ranges);
    }

    [Fact]
    public async Task Chains_without_a_common_layer_are_compared_in_full_and_that_is_said()
    {
        Siblings();
        QemuImg.Run("convert", "-f", "raw", "-O", "qcow2", _folder["base.raw"], _folder["copy"]);
        QemuImg.Io(_folder["copy"], "write -P 9 300k 1k");
        var result = await Compare("left", "copy");
        Assert.Null(result.CommonLayer);
        Assert.Equal([new(300 << 10, 4096, DifferenceSide.Both)], result.Ranges);
        Assert.Equal(1 << 20, result.ComparedBytes);
    }

    [Fact]
    public async Task Zeroes_that_metadata_know_are_not_read()
    {
        QemuImg.Run("create", "-q", "-f", "qcow2", _folder["base"], "1T");
        foreach (var side in (string[])["left", "right"]) QemuImg.Run("create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", _folder["base"], _folder[side]);
        QemuImg.Io(_folder["left"], "write -z -n 0 100G");
        QemuImg.Io(_folder["right"], "write -z -n 50G 100G");
        var result = await Compare("left", "right");
        Assert.True(result.IsEqual);
        Assert.Equal(0, result.ComparedBytes);
        Assert.InRange(result.BytesRead, 1, 64 << 20);
    }

    [Fact]
    public async Task The_tail_beyond_the_shorter_disk_counts_as_zeroes_there()
    {
        Siblings();
        QemuImg.Run("resize", "-q", "-f", "qcow2", _folder["right"], "3M");
        QemuImg.Io(_folder["right"], "write -P 5 2M 64k");
        var result = await Compare("left", "right");
        Assert.Equal([new(2 << 20, 65536, DifferenceSide.RightOnly)], result.Ranges);
        Assert.Equal((1 << 20, 3 << 20), (result.LeftCapacity, result.RightCapacity));
        QemuImg.Run("resize", "-q", "--shrink", "-f", "qcow2", _folder["left"], "512k");
        Assert.Contains(new(512 << 10, 512 << 10, DifferenceSide.LeftOnly), (await Compare("left", "right")).Ranges);
    }

    [Theory]
    [InlineData(256)]
    [InlineData(3000)]
    [InlineData(2 << 20)]
    public async Task A_granularity_that_cannot_be_is_refused(int granularity)
    {
        Siblings();
        Assert.Equal(Fault.InvalidRequest, (await Assert.ThrowsAsync<WeaveException>(() => Compare("left", "right", new() { Granularity = granularity }))).Fault);
    }

    [Fact]
    public async Task A_comparison_can_be_cancelled()
    {
        Siblings();
        QemuImg.Io(_folder["left"], "write -P 1 0 64k");
        await using var one = await Open("left");
        await using var two = await Open("right");
        using var cancel = new CancellationTokenSource();
        cancel.Cancel();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => DiskDifference.CompareAsync(one, two, new(), null, cancel.Token));
    }

    [Fact]
    public async Task A_disk_that_is_written_while_it_is_compared_is_refused()
    {
        Siblings();
        await using var one = await Open("left");
        await using var two = await Open("right");
        QemuImg.Io(_folder["left"], "write -P 1 0 64k");
        // The clock of file times may not have gone on since the disk was opened.
        File.SetLastWriteTimeUtc(_folder["left"], new DateTime(2001, 1, 1, 0, 0, 0, DateTimeKind.Utc));
        Assert.Equal(Fault.Conflict, (await Assert.ThrowsAsync<WeaveException>(() => DiskDifference.CompareAsync(one, two, new(), null, default))).Fault);
    }

    /// <summary>Random chains that share a base, against byte arrays: every granule's side is what the bytes of the three disks say.</summary>
    [Fact]
    public async Task Ranges_are_those_that_the_bytes_of_the_three_disks_give()
    {
        var seed = Random.Shared.Next(1 << 30);
        output.WriteLine($"seed {seed}");
        var random = new Random(seed);
        for (var turn = 0; turn < 12; turn++)
        {
            var cluster = 1 << random.Next(9, 18);
            var granularity = 1 << random.Next(9, 17);
            var size = 512L * random.Next(1, 2048);
            foreach (var name in Directory.GetFiles(_folder.Path)) File.Delete(name);
            Layer("base", null, size, cluster, random);
            Layer("left", "base", Near(size, random), cluster, random);
            var right = Near(size, random);
            Layer("middle", "base", right, 1 << random.Next(9, 18), random);
            Layer("right", "middle", Near(size, random), 1 << random.Next(9, 18), random);
            var result = await Compare("left", "right", new() { Granularity = granularity, Parallelism = random.Next(1, 5) });
            var expected = await ExpectedAsync(granularity);
            Assert.True(expected.SequenceEqual(result.Ranges), $"seed {seed}, turn {turn}\n{string.Join(' ', expected)}\n{string.Join(' ', result.Ranges)}");
            Assert.Equal(result.Ranges.Sum(r => r.Length), result.DifferentBytes);
            Assert.Equal(result.Ranges.Count, (await Compare("left", "right", new() { Granularity = granularity, KeepRanges = false })).RangeCount);
        }
    }

    private static long Near(long size, Random random) => random.Next(3) == 0 ? Math.Max(512, size + 512L * random.Next(-500, 500)) : size;

    private void Layer(string name, string? below, long size, int cluster, Random random)
    {
        List<string> create = ["create", "-q", "-f", "qcow2", "-o", $"cluster_size={cluster}", _folder[name], $"{size}"];
        if (below is not null) create.InsertRange(6, ["-F", "qcow2", "-b", _folder[below]]);
        QemuImg.Run([.. create]);
        var commands = Enumerable.Range(0, random.Next(0, 12)).SelectMany(_ =>
        {
            var at = 512 * random.NextInt64(size / 512);
            var length = Math.Min(size - at, 512L * random.Next(1, 300));
            // Few patterns, so that equal rewrites come up.
            return (string[])["-c", random.Next(4) == 0 ? $"write -z {at} {length}" : $"write -P {random.Next(3)} {at} {length}"];
        });
        QemuImg.IoAll(_folder[name], [.. commands]);
    }

    private async Task<List<DifferenceRange>> ExpectedAsync(int granularity)
    {
        var disks = new List<byte[]>();
        foreach (var name in (string[])["left", "right", "base"])
        {
            QemuImg.Run("convert", "-f", "qcow2", "-O", "raw", _folder[name], _folder[name + ".bytes"]);
            disks.Add(await File.ReadAllBytesAsync(_folder[name + ".bytes"]));
        }
        var capacity = Math.Max(disks[0].Length, disks[1].Length);
        byte At(int disk, int at) => at < disks[disk].Length ? disks[disk][at] : (byte)0;
        var ranges = new List<DifferenceRange>();
        for (var start = 0; start < capacity; start += granularity)
        {
            var (left, right, end) = (false, false, Math.Min(capacity, start + granularity));
            for (var at = start; at < end; at++)
            {
                if (At(0, at) == At(1, at)) continue;
                left |= At(0, at) != At(2, at);
                right |= At(1, at) != At(2, at);
            }
            if (!left && !right) continue;
            var side = left && right ? DifferenceSide.Both : left ? DifferenceSide.LeftOnly : DifferenceSide.RightOnly;
            if (ranges.Count > 0 && ranges[^1].Side == side && ranges[^1].End == start) ranges[^1] = ranges[^1] with { Length = ranges[^1].Length + end - start };
            else ranges.Add(new(start, end - start, side));
        }
        return ranges;
    }
}
