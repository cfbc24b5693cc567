using System.Diagnostics;
using WeaveHypervisor.Disks.Vhdx;
using WeaveHypervisor.Model;
using static WeaveHypervisor.Disks.Tests.RandomDisks;
using static WeaveHypervisor.Disks.Tests.Vhdx.VhdxTestDisks;

namespace WeaveHypervisor.Disks.Tests.Vhdx;

/// <summary>Chains of differencing disks, up to ten deep, of every block and sector size: as arrays of bytes, and as libvhdi, another reader of them, reads them.</summary>
public sealed class VhdxChainTests : IDisposable
{
    private const string Script = """
        import sys, pyvhdi
        files = []
        for path in sys.argv[2:]:
            one = pyvhdi.file()
            one.open(path)
            files.append(one)
        for child, parent in zip(files, files[1:]): child.set_parent(parent)
        left = files[0].get_media_size()
        with open(sys.argv[1], 'wb') as out:
            while left > 0:
                part = files[0].read(min(left, 1 << 20))
                out.write(part)
                left -= len(part)
        print(files[0].get_parent_identifier() if len(files) > 1 else '')
        """;

    private readonly TestFolder _folder = new();
    public void Dispose() => _folder.Dispose();

    private string ReadByLibvhdi(IEnumerable<string> files)
    {
        const string python = "/usr/bin/python3";
        Assert.SkipUnless(File.Exists(python) && Run(python, ["-c", "import pyvhdi"]).Code == 0, "python3-libvhdi is not installed.");
        var (code, output) = Run(python, ["-c", Script, _folder["read"], .. files]);
        Assert.True(code == 0, output);
        return output.Trim();

        static (int Code, string Output) Run(string program, IEnumerable<string> arguments)
        {
            using var process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true })!;
            var errors = process.StandardError.ReadToEndAsync();
            var output = process.StandardOutput.ReadToEnd();
            process.WaitForExit();
            return (process.ExitCode, output + errors.Result);
        }
    }

    /// <summary>
    /// libvhdi 20210425 takes the file's first bytes for the sector bitmap where a chunk has none, and looks below blocks that are zero. So each of these layers has a bitmap (a block in
    /// parts), and none a block of zeroes alone.
    /// </summary>
    [Theory]
    [InlineData(512, 22)]
    [InlineData(512, 28)]
    [InlineData(4096, 22)]
    public async Task Another_reader_reads_our_chains_as_we_do(int sector, int mostBlock)
    {
        for (var round = 0; round < 4; round++)
        {
            var random = new Random(Seed + 500 * sector + mostBlock + round);
            var capacity = sector * random.Next(8, (5 << 20) / sector);
            var content = new byte[capacity];
            var files = new List<string>();
            for (var depth = random.Next(1, 7); depth > 0; depth--)
            {
                var (below, model, path) = ((byte[])content.Clone(), new byte[capacity], _folder[$"{round}-{depth}.vhdx"]);
                random.NextBytes(model);
                // The first sector alone, then anything behind a gap.
                var ranges = files.Count == 0 ? Ranges(random, capacity, 6)
                    : [new(0, sector), .. Ranges(random, capacity - 3 * sector, 6).Select(r => new DiskRange(r.Offset + 3 * sector, r.Length))];
                await VhdxWriter.WriteAsync(path, new VhdxShape(capacity, files.FirstOrDefault(), 1 << random.Next(20, mostBlock + 1), sector), ranges.ToAsyncEnumerable(), From(model), From(below), null, default);
                Lay(ranges, model, content);
                files.Insert(0, path);
            }
            var why = $"WEAVE_SEED={Seed}, sectors of {sector}, blocks up to 2^{mostBlock}, round {round}";
            Assert.True((await ReadFilesAsync([.. files])).AsSpan().SequenceEqual(content), why);
            ReadByLibvhdi(files);
            Assert.True(File.ReadAllBytes(_folder["read"]).AsSpan().SequenceEqual(content), why);
        }
    }

    /// <summary>A chain that is written, in part at once and in part as a guest writes; top first.</summary>
    private async Task<(List<string> Files, byte[] Content)> MakeAsync(Random random, int depth, int sector, int mostBlock)
    {
        var capacity = sector * random.Next(1, (7 << 20) / sector);
        var content = new byte[capacity];
        var files = new List<string>();
        for (var layer = 0; layer < depth; layer++)
        {
            var path = _folder[$"{random.Next():x8}.vhdx"];
            var (below, model, ranges) = ((byte[])content.Clone(), Content(random, capacity), Ranges(random, capacity, 8));
            if (random.Next(4) == 0) ranges.Clear();
            await VhdxWriter.WriteAsync(path, new VhdxShape(capacity, files.FirstOrDefault(), 1 << random.Next(20, mostBlock + 1), sector), ranges.ToAsyncEnumerable(), From(model), From(below), null, default);
            Lay(ranges, model, content);
            files.Insert(0, path);
            if (random.Next(2) == 0) continue;
            await using var live = await VhdxLiveDisk.OpenAsync(path, default);
            for (var n = random.Next(1, 8); n > 0; n--)
            {
                var offset = sector * random.Next(capacity / sector);
                var length = Math.Min(capacity - offset, sector * random.Next(1, 300));
                var isZero = random.Next(4) == 0;
                if (isZero) content.AsSpan(offset, length).Clear();
                else random.NextBytes(content.AsSpan(offset, length));
                if (isZero) await live.ZeroAsync(offset, length, default);
                else await live.WriteAsync(offset, content.AsMemory(offset, length), default);
            }
        }
        return (files, content);
    }

    [Theory]
    [InlineData(512, 22)]
    [InlineData(4096, 22)]
    [InlineData(512, 28)]
    public async Task Chains_up_to_ten_deep_read_as_what_was_written(int sector, int mostBlock)
    {
        var rounds = Environment.GetEnvironmentVariable("WEAVE_TESTS") == "full" ? 100 : 6;
        for (var round = 0; round < rounds; round++)
        {
            var random = new Random(Seed + 1000 * sector + 10 * mostBlock + round);
            var depth = round == 0 ? 10 : random.Next(1, 11);
            var why = $"WEAVE_SEED={Seed}, sectors of {sector}, blocks up to 2^{mostBlock}, round {round}, depth {depth}";
            var (files, content) = await MakeAsync(random, depth, sector, mostBlock);
            await using (var chain = await DiskChain.OpenAsync(files[0], DiskFormat.Vhdx, new FolderLocator(files[0]), default))
            {
                Assert.Equal(files, chain.Layers.Select(l => l.Path));
                var bytes = new byte[chain.Capacity];
                await chain.ReadAsync(0, bytes, default);
                Assert.True(bytes.AsSpan().SequenceEqual(content), why);
                // In pieces, at once, and from any place.
                await Parallel.ForAsync(0, 40, async (_, stop) =>
                {
                    var (from, to) = (Random.Shared.Next(content.Length), Random.Shared.Next(content.Length));
                    var piece = new byte[Math.Abs(to - from)];
                    await chain.ReadAsync(Math.Min(from, to), piece, stop);
                    Assert.True(piece.AsSpan().SequenceEqual(content.AsSpan(Math.Min(from, to), piece.Length)), why);
                });
            }
            foreach (var file in Directory.GetFiles(_folder.Path)) File.Delete(file);
        }
    }

    [Fact]
    public async Task Another_reader_finds_the_identity_of_the_parent_in_our_locator()
    {
        var (files, _) = await MakeAsync(new Random(5), 2, 512, 20);
        var facts = await VhdxFacts.ReadAsync(files[0], default);
        Assert.Equal(facts.ParentLinkage.ToString(), ReadByLibvhdi(files), ignoreCase: true);
        Assert.Equal((await VhdxFacts.ReadAsync(files[1], default)).DataWriteId, facts.ParentLinkage);
    }

    [Fact]
    public async Task Differences_of_chains_on_a_common_layer_are_those_of_their_bytes()
    {
        var random = new Random(Seed + 3);
        var (files, content) = await MakeAsync(random, 2, 512, 22);
        var (left, right) = (_folder["left.avhdx"], _folder["right.avhdx"]);
        var sides = new List<byte[]>();
        foreach (var path in (string[])[left, right])
        {
            var (below, model, ranges, side) = ((byte[])content.Clone(), Content(random, content.Length), Ranges(random, content.Length, 4), (byte[])content.Clone());
            await VhdxWriter.WriteAsync(path, new VhdxShape(content.Length, files[0], 1 << 20), ranges.ToAsyncEnumerable(), From(model), From(below), null, default);
            Lay(ranges, model, side);
            sides.Add(side);
        }
        await using var leftChain = await DiskChain.OpenAsync(left, DiskFormat.Vhdx, new FolderLocator(left), default);
        await using var rightChain = await DiskChain.OpenAsync(right, DiskFormat.Vhdx, new FolderLocator(right), default);
        var result = await DiskDifference.CompareAsync(leftChain, rightChain, new DifferenceOptions { Granularity = 512 }, null, default);
        Assert.Equal(files[0], result.CommonLayer?.Path);
        var differs = result.Ranges.SelectMany(r => Enumerable.Range((int)(r.Offset / 512), (int)(r.Length / 512))).ToHashSet();
        for (var i = 0; i < content.Length / 512; i++)
            Assert.True(differs.Contains(i) != sides[0].AsSpan(i * 512, 512).SequenceEqual(sides[1].AsSpan(i * 512, 512)), $"WEAVE_SEED={Seed}, sector {i}");
    }
}
