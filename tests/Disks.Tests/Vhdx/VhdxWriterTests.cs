using System.Text.Json;
using WeaveHypervisor.Disks.Vhdx;
using WeaveHypervisor.Model;
using static WeaveHypervisor.Disks.Tests.RandomDisks;
using static WeaveHypervisor.Disks.Tests.Vhdx.VhdxTestDisks;

namespace WeaveHypervisor.Disks.Tests.Vhdx;

/// <summary>VHDX files that are written, against a byte array, and against QEMU's tools as a second opinion; and QEMU's files read by us.</summary>
public sealed class VhdxWriterTests : IDisposable
{
    private readonly TestFolder _folder = new();
    public void Dispose() => _folder.Dispose();

    private byte[] ReadByQemu(string path)
    {
        QemuImg.Run("convert", "-f", "vhdx", "-O", "raw", path, _folder["read"]);
        return File.ReadAllBytes(_folder["read"]);
    }

    private static void IsClean(string path) => Assert.Contains("No errors were found", QemuImg.Run("check", "-f", "vhdx", path), StringComparison.Ordinal);

    [Theory]
    [InlineData(1 << 20, 512, false)]
    [InlineData(1 << 20, 4096, false)]
    [InlineData(8 << 20, 512, false)]
    [InlineData(32 << 20, 512, false)]
    [InlineData(256 << 20, 4096, false)]
    [InlineData(1 << 20, 512, true)]
    [InlineData(2 << 20, 4096, true)]
    public async Task A_disk_on_its_own_reads_as_its_content_and_as_zeroes_elsewhere(int blockBytes, int sectorBytes, bool isFixed)
    {
        for (var round = 0; round < 8; round++)
        {
            var random = new Random(Seed + blockBytes + sectorBytes + round);
            var capacity = sectorBytes * random.Next(1, (12 << 20) / sectorBytes);
            var model = Content(random, capacity);
            var ranges = Ranges(random, capacity, 12);
            var path = _folder[$"{round}.vhdx"];
            await VhdxWriter.WriteAsync(path, new VhdxShape(capacity, BlockBytes: blockBytes, LogicalSectorBytes: sectorBytes, IsFixed: isFixed), ranges.ToAsyncEnumerable(), From(model), null, null, default);
            var expected = new byte[capacity];
            Lay(ranges, model, expected);
            var why = $"WEAVE_SEED={Seed}, blocks of {blockBytes}, sectors of {sectorBytes}, round {round}";
            Assert.True((await ReadFilesAsync(path)).AsSpan().SequenceEqual(expected), why);
            if (sectorBytes == 512)     // QEMU reads no other
            {
                Assert.True(ReadByQemu(path).AsSpan().SequenceEqual(expected), why);
                IsClean(path);
            }
            File.Delete(path);
        }
    }

    [Theory]
    [InlineData("dynamic", "1M", 0)]
    [InlineData("dynamic", "32M", 0)]
    [InlineData("dynamic", "4M", 1)]
    [InlineData("fixed", "8M", 2)]
    public async Task A_file_that_QEMU_has_written_reads_as_its_content(string subformat, string blockSize, int round)
    {
        var random = new Random(Seed + 7 * round);
        var content = Content(random, 512 * random.Next(1, 40_000));
        File.WriteAllBytes(_folder["raw"], content);
        QemuImg.Run("convert", "-f", "raw", "-O", "vhdx", "-o", $"subformat={subformat},block_size={blockSize}", _folder["raw"], _folder["vhdx"]);
        await using var image = await VhdxImage.OpenAsync(_folder["vhdx"], default);
        Assert.Null(image.Parent);
        // QEMU leaves a hole before the blocks, in which nothing is lost.
        Assert.Empty((await image.CheckAsync(null, default)).Findings);
        var read = await ReadAsync(image);
        Assert.True(read.AsSpan(0, content.Length).SequenceEqual(content), $"WEAVE_SEED={Seed}");
        Assert.False(read.AsSpan(content.Length).ContainsAnyExcept((byte)0));
    }

    [Theory]
    [InlineData(512, 32 << 20)]
    [InlineData(100L << 30, 32 << 20)]
    [InlineData(64L << 40, 32 << 20)]
    [InlineData(64L << 40, 1 << 20)]
    [InlineData((2L << 40) + 512, 1 << 20)]
    public async Task An_empty_disk_is_clean_for_QEMU_and_takes_at_most_64_KiB(long capacity, int blockBytes)
    {
        var path = _folder["empty.vhdx"];
        await VhdxWriter.CreateAsync(path, new VhdxShape(capacity, BlockBytes: blockBytes), default);
        var info = JsonDocument.Parse(QemuImg.Run("info", "--output=json", "-f", "vhdx", path)).RootElement;
        Assert.Equal(capacity, info.GetProperty("virtual-size").GetInt64());
        Assert.Equal(blockBytes, info.GetProperty("cluster-size").GetInt64());
        if (capacity < 1L << 40) IsClean(path);
        Assert.InRange(FileFacts.Read(path).AllocatedBytes, 1, 64 << 10);
        if (!OperatingSystem.IsWindows()) Assert.Equal(DurableFile.Private, File.GetUnixFileMode(path));
        Assert.Equal([path], Directory.GetFiles(_folder.Path));
        await using var image = await VhdxImage.OpenAsync(path, default);
        Assert.Equal(new Extent(0, capacity, ExtentKind.Zero), Assert.Single(await image.MapAsync(0, capacity, default).ToListAsync(TestContext.Current.CancellationToken)));
    }

    [Fact]
    public async Task What_QEMU_writes_into_our_file_is_read_back()
    {
        var path = _folder["ours.vhdx"];
        await VhdxWriter.CreateAsync(path, new VhdxShape(64 << 20, BlockBytes: 1 << 20), default);
        var expected = new byte[64 << 20];
        foreach (var (at, length, value) in ((int, int, byte)[])[(0, 512, 1), (3 << 20, 2 << 20, 2), ((63 << 20) + 4096, 8192, 3)])
        {
            QemuImg.VhdxIo(path, $"write -P {value} {at} {length}");
            expected.AsSpan(at, length).Fill(value);
        }
        IsClean(path);
        Assert.True((await ReadFilesAsync(path)).AsSpan().SequenceEqual(expected));
    }

    [Theory]
    [InlineData(1 << 20, 512)]
    [InlineData(1 << 20, 4096)]
    [InlineData(32 << 20, 512)]
    [InlineData(256 << 20, 4096)]
    public async Task A_differencing_disk_reads_as_its_content_in_the_ranges_and_as_its_parent_elsewhere(int blockBytes, int sectorBytes)
    {
        for (var round = 0; round < 10; round++)
        {
            var random = new Random(Seed + blockBytes + sectorBytes + 100 * round);
            var capacity = sectorBytes * random.Next(1, (9 << 20) / sectorBytes);
            var expected = Content(random, capacity);
            var files = new List<string> { _folder[$"{round}-base.vhdx"] };
            await VhdxWriter.WriteAsync(files[0], new VhdxShape(capacity, BlockBytes: 1 << random.Next(20, 25), LogicalSectorBytes: sectorBytes), new[] { new DiskRange(0, capacity) }.ToAsyncEnumerable(), From(expected), null, null, default);
            for (var depth = 1; depth <= 3; depth++)
            {
                var (below, model) = ((byte[])expected.Clone(), Content(random, capacity));
                var ranges = Ranges(random, capacity, 12);
                files.Insert(0, _folder[$"{round}-{depth}.avhdx"]);
                await VhdxWriter.WriteAsync(files[0], new VhdxShape(capacity, files[1], blockBytes, sectorBytes), ranges.ToAsyncEnumerable(), From(model), From(below), null, default);
                Lay(ranges, model, expected);
                Assert.True((await ReadFilesAsync([.. files])).AsSpan().SequenceEqual(expected), $"WEAVE_SEED={Seed}, blocks of {blockBytes}, sectors of {sectorBytes}, round {round}, depth {depth}");
            }
        }
    }

    [Fact]
    public async Task A_differencing_disk_names_its_parent_and_refuses_another()
    {
        var (parent, other, child) = (_folder["base.vhdx"], _folder["other.vhdx"], _folder["sub/child.avhdx"]);
        Directory.CreateDirectory(_folder["sub"]);
        await VhdxWriter.CreateAsync(parent, new VhdxShape(1 << 30), default);
        await VhdxWriter.CreateAsync(other, new VhdxShape(1 << 30), default);
        await VhdxWriter.CreateAsync(child, new VhdxShape(1 << 30, parent), default);
        Assert.InRange(FileFacts.Read(child).AllocatedBytes, 1, 64 << 10);
        await using var image = await VhdxImage.OpenAsync(child, default);
        await using var right = await VhdxImage.OpenAsync(parent, default);
        await using var wrong = await VhdxImage.OpenAsync(other, default);
        Assert.Equal(["../base.vhdx", parent], image.Parent!.Names);
        Assert.Equal((DiskFormat.Vhdx, right.Header.DataWriteGuid), (image.Parent.Format, image.Parent.Linkage));
        image.VerifyParent(right);
        Assert.Equal(Fault.DataLoss, Assert.Throws<WeaveException>(() => image.VerifyParent(wrong)).Fault);
        Assert.Equal(new Extent(0, 1 << 30, ExtentKind.Inherited), Assert.Single(await image.MapAsync(0, 1 << 30, default).ToListAsync(TestContext.Current.CancellationToken)));
    }

    [Fact]
    public async Task A_file_that_takes_the_place_of_another_keeps_its_children()
    {
        var (parent, child) = (_folder["base.vhdx"], _folder["child.avhdx"]);
        await VhdxWriter.CreateAsync(parent, new VhdxShape(1 << 20), default);
        await VhdxWriter.CreateAsync(child, new VhdxShape(1 << 20, parent), default);
        var facts = await VhdxFacts.ReadAsync(parent, default);
        File.Delete(parent);
        await VhdxWriter.CreateAsync(parent, new VhdxShape(1 << 20, VirtualDiskId: facts.VirtualDiskId, DataWriteId: facts.DataWriteId), default);
        var again = await VhdxFacts.ReadAsync(parent, default);
        Assert.Equal((facts.VirtualDiskId, facts.DataWriteId), (again.VirtualDiskId, again.DataWriteId));
        await using var image = await VhdxImage.OpenAsync(child, default);
        await using var right = await VhdxImage.OpenAsync(parent, default);
        image.VerifyParent(right);
    }

    [Fact]
    public async Task Impossible_files_are_refused_and_nothing_is_left()
    {
        var parent = _folder["base.vhdx"];
        await VhdxWriter.CreateAsync(parent, new VhdxShape(1 << 20), default);
        foreach (var shape in (VhdxShape[])[new(0), new(-512), new(513), new((64L << 40) + 512), new(1 << 20, BlockBytes: 1 << 19), new(1 << 20, BlockBytes: 512 << 20), new(1 << 20, BlockBytes: 3 << 20),
            new(1 << 20, LogicalSectorBytes: 1024), new(1 << 20, PhysicalSectorBytes: 0), new(1 << 20, "base.vhdx"), new(1 << 20, parent, LogicalSectorBytes: 4096), new(1 << 20, parent, IsFixed: true)])
            await RefusesAsync(Fault.InvalidRequest, shape);
        await RefusesAsync(Fault.NotFound, new(1 << 20, _folder["none"]));
        foreach (var ranges in (DiskRange[][])[[new(0, 1024), new(512, 512)], [new(1 << 20, 1)], [new(-1, 1)], [new(0, -1)], [new(512, long.MaxValue)]])
            await RefusesAsync(Fault.InvalidRequest, new(1 << 20), ranges);
        await RefusesAsync(Fault.AlreadyExists, new(1 << 20), [], parent);
        Assert.Equal([parent], Directory.GetFiles(_folder.Path));

        async Task RefusesAsync(Fault fault, VhdxShape shape, DiskRange[]? ranges = null, string? at = null) => Assert.Equal(fault,
            (await Assert.ThrowsAsync<WeaveException>(() => VhdxWriter.WriteAsync(at ?? _folder["a"], shape, (ranges ?? []).ToAsyncEnumerable(), From(new byte[1 << 20]), null, null, default))).Fault);
    }
}
