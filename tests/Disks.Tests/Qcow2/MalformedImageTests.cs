using System.Diagnostics;
using System.IO.Compression;
using CsCheck;
using WeaveHypervisor.Model;
using static WeaveHypervisor.Disks.Tests.Qcow2.CraftedImage;

namespace WeaveHypervisor.Disks.Tests.Qcow2;

/// <summary>Images that are damaged or made to harm: each is refused, naming file and structure, or read right; never followed elsewhere, never for long, never with much memory.</summary>
public sealed class MalformedImageTests : IDisposable
{
    private readonly TestFolder _folder = new();
    public void Dispose() => _folder.Dispose();

    /// <summary>What every reader of the product does with an image: opens, describes, maps, reads what has data, checks.</summary>
    private async Task<byte[]> Use(CraftedImage image)
    {
        await File.WriteAllBytesAsync(_folder["image"], image.Bytes);
        return await Use();
    }

    private async Task<byte[]> Use(string name = "image")
    {
        await using var chain = await DiskChain.OpenAsync(_folder[name], DiskFormat.Qcow2, new FolderLocator(_folder[name]), default);
        await chain.DescribeAsync(0, default);
        var first = new byte[2 * Cluster];
        await foreach (var extent in chain.ExtentsAsync(0, chain.Capacity, default))
            if (!extent.IsZero && extent.Length < 1 << 24) await chain.ReadAsync(extent.Offset, new byte[extent.Length], default);
        if (chain.Capacity >= first.Length) await chain.ReadAsync(0, first, default);
        await chain.CheckAsync(0, null, default);
        return first;
    }

    public static TheoryData<string, Func<object>, Fault, string> Refused()
    {
        var data = new TheoryData<string, Func<object>, Fault, string>();
        void Add(string what, Func<CraftedImage> image, Fault fault, string text) => data.Add(what, () => image(), fault, text);
        CraftedImage New() => new();

        Add("L1 with reserved bits", () => New().U64(L1, L2 | 1), Fault.DataLoss, "L1 entry 0");
        Add("L1 into a cluster's middle", () => New().U64(L1, L2 + 512), Fault.DataLoss, "L1 entry 0");
        Add("L1 beyond the end", () => New().U64(L1, 1UL << 40), Fault.DataLoss, "L1 entry 0 leads behind the end");
        Add("L1 to the header", () => New().Put(L1, new byte[8]).U64(L1, 0x200), Fault.DataLoss, "L1 entry 0");
        Add("L1 to itself", () => New().U64(L1, L1), Fault.DataLoss, "the L1 table");
        Add("L1 to the refcount table", () => New().U64(L1, RefcountTable), Fault.DataLoss, "the refcount table");
        Add("L2 beyond the end", () => New().U64(L2, 1UL << 40 | Copied), Fault.DataLoss, "guest offset 0 leads behind the end");
        Add("L2 run beyond the end", () => New().U64(L2 + 16, Length | Copied), Fault.DataLoss, "behind the end");
        Add("L2 on the header", () => New().U64(L2, 1 << 9 | Copied), Fault.DataLoss, "guest offset 0");
        Add("L2 on the L1 table", () => New().U64(L2, L1 | Copied), Fault.DataLoss, "the L1 table");
        Add("L2 on the refcount table", () => New().U64(L2, RefcountTable | Copied), Fault.DataLoss, "the refcount table");
        Add("L2 with low reserved bits", () => New().U64(L2, Data | 2), Fault.DataLoss, "reserved bits");
        Add("L2 with high reserved bits", () => New().U64(L2, Data | 1UL << 58), Fault.DataLoss, "reserved bits");
        Add("L2 into a cluster's middle", () => New().U64(L2, Data + 512), Fault.DataLoss, "middle");
        Add("zero flag in version 2", () => new CraftedImage(2).U64(L2, 1), Fault.DataLoss, "version 2");
        Add("extended: allocated and zero", () => New().Extended(Data | Copied, 0x0000_0001_0000_0001), Fault.DataLoss, "at once");
        Add("extended: allocated without a cluster", () => New().Extended(0, 1), Fault.DataLoss, "no cluster");
        Add("extended: zero flag", () => New().Extended(1, 0), Fault.DataLoss, "zero flag");
        Add("extended: compressed with a bitmap", () => New().Extended(CompressedAt(Data, 1), 1), Fault.DataLoss, "bitmap");
        Add("compressed beyond the end", () => New().U64(L2, CompressedAt(1L << 40, 1)), Fault.DataLoss, "compressed bytes behind the end");
        Add("compressed with an end beyond the end", () => New().U64(L2, CompressedAt(Length - 512, 100)), Fault.DataLoss, "compressed bytes behind the end");
        Add("compressed on the header", () => New().U64(L2, CompressedAt(0, 1)), Fault.DataLoss, "the header");
        Add("compressed that is no stream", () => New().U64(L2, CompressedAt(Data, 8)), Fault.DataLoss, "compressed cluster of guest offset 0");
        Add("deflate that ends early", () => New().Stream(Deflate(1000)), Fault.DataLoss, "ends after 1000 of 65536 bytes");
        Add("deflate that is cut off", () => New().Stream(Deflate(65536, random: true).AsSpan(0, 4096)), Fault.DataLoss, "compressed cluster of guest offset 0");
        Add("zstd that is no frame", () => New().Zstd().U64(L2, CompressedAt(Data, 8)), Fault.DataLoss, "compressed cluster of guest offset 0");
        Add("zstd with a window of 1 GiB", () => New().Zstd().Stream([0x28, 0xb5, 0x2f, 0xfd, 0, (30 - 10) << 3, 1, 0, 0]), Fault.DataLoss, "compressed cluster of guest offset 0");
        Add("zstd that claims 8 GiB", () => New().Zstd().Stream([0x28, 0xb5, 0x2f, 0xfd, 0xe0, 0, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0]), Fault.DataLoss, "compressed cluster of guest offset 0");
        Add("zstd that ends early", () => New().Zstd().Stream(Zstd(1000)), Fault.DataLoss, "compressed cluster of guest offset 0");
        Add("snapshot table that is cut off", () => New().U32(60, 65536).U64(64, Data + Cluster), Fault.DataLoss, "snapshot table");
        Add("snapshot with much extra data", () => New().U32(60, 1).U64(64, Data + Cluster).U32(Data + Cluster + 36, 1 << 30), Fault.DataLoss, "snapshot table");
        Add("bitmap directory beyond the end", () => New().U64(88, 1).U32(112, 0x23852875).U32(116, 24).U32(120, 1).U64(128, 24).U64(136, 1UL << 40), Fault.DataLoss, "bitmap directory");
        Add("bitmaps without number", () => New().U64(88, 1).U32(112, 0x23852875).U32(116, 24).U32(120, 0).U64(128, 24).U64(136, Data), Fault.DataLoss, "bitmaps");
        Add("bitmap entry that crosses the end", () => New().U64(88, 1).U32(112, 0x23852875).U32(116, 24).U32(120, 1).U64(128, 24).U64(136, Data), Fault.DataLoss, "bitmap directory");
        Add("extension across the cluster", () => New().U32(112, 0x11111111).U32(116, Cluster), Fault.DataLoss, "extension");
        Add("snapshots over 65536", () => New().U32(60, 65537).U64(64, Data), Fault.DataLoss, "snapshots");
        Add("backing name of 1024 bytes", () => New().Backing(new string('x', 1024)), Fault.DataLoss, "backing file name");
        foreach (var name in (string[])["json:{\"driver\":\"null-co\"}", "nbd:localhost:10809", "http://host/image", "fat:rw:/tmp", "nbd+unix:///x"]) Add(name, () => New().Backing(name), Fault.Unsupported, "protocol");
        foreach (var name in (string[])["/etc/hostname", "../../../../../../../../etc/hostname", "a/../../../../../../../../../etc/hostname"]) Add(name, () => New().Backing(name), Fault.Unsupported, "outside of");
        Add("backing file that is not there", () => New().Backing("absent"), Fault.DataLoss, "is not there");
        Add("backing file without format", () => New().Backing("base", null), Fault.Unsupported, "does not state the format");
        Add("backing file of an unknown format", () => New().Backing("base", "vmdk"), Fault.Unsupported, "'vmdk'");
        Add("backing file that is no qcow2", () => New().Backing("base", "qcow2"), Fault.DataLoss, "declared to be qcow2, but is not");
        Add("itself", () => New().Backing("image", "qcow2"), Fault.DataLoss, "circle");
        return data;
    }

    [Theory]
    [MemberData(nameof(Refused), DisableDiscoveryEnumeration = true)]
    public async Task It_is_refused_with_file_and_structure(string what, Func<object> image, Fault fault, string text)
    {
        await File.WriteAllBytesAsync(_folder["base"], new byte[Cluster]);
        var started = Stopwatch.GetTimestamp();
        var error = await Assert.ThrowsAsync<WeaveException>(() => Use((CraftedImage)image()));
        Assert.True(fault == error.Fault && error.Message.Contains(text, StringComparison.Ordinal), $"{what}: {error}");
        Assert.Contains(_folder.Path, error.Message);
        Assert.NotNull(error.NextStep);
        // A bound against endless work, far above what it takes.
        Assert.InRange(Stopwatch.GetElapsedTime(started), TimeSpan.Zero, TimeSpan.FromSeconds(20));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_sound_image_is_read_also_where_an_unknown_extension_fills_its_header(bool full)
    {
        var bytes = await Use(full ? new CraftedImage().U32(112, 0x11111111).U32(116, Cluster - 120) : new CraftedImage());
        Assert.All(bytes[..Cluster], b => Assert.Equal(0xaa, b));
        Assert.All(bytes[Cluster..], b => Assert.Equal(0xbb, b));
    }

    [Fact]
    public async Task Two_L1_entries_to_one_L2_table_give_the_same_clusters_twice()
    {
        await File.WriteAllBytesAsync(_folder["image"], new CraftedImage().U64(L1 + 8, L2 | Copied).Bytes);
        await using var chain = await DiskChain.OpenAsync(_folder["image"], DiskFormat.Qcow2, new FolderLocator(_folder["image"]), default);
        var bytes = new byte[2];
        await chain.ReadAsync(512 << 20, bytes, default);
        Assert.Equal([0xaa, 0xaa], bytes);
        // The check says what is wrong with it.
        Assert.True((await chain.CheckAsync(0, null, default)).Errors > 0);
    }

    [Fact]
    public async Task A_bomb_of_either_compression_gives_one_cluster_and_no_more()
    {
        Assert.All((await Use(new CraftedImage().Stream(Deflate(64 << 20), 200)))[..Cluster], b => Assert.Equal(0, b));
        Assert.All((await Use(new CraftedImage().Zstd().Stream(Zstd(64 << 20), 200)))[..Cluster], b => Assert.Equal(0, b));
    }

    [Fact]
    public async Task A_cluster_may_be_several_zstd_frames()
    {
        var half = Zstd(Cluster / 2, 7);
        Assert.All((await Use(new CraftedImage().Zstd().Stream([.. half, .. half])))[..Cluster], b => Assert.Equal(7, b));
    }

    [Fact]
    public async Task The_end_of_the_last_cluster_may_be_cut_off_and_reads_as_zeroes()
    {
        var bytes = await Use(new CraftedImage().Cut(Data + Cluster + 1000));
        Assert.All(bytes[Cluster..(Cluster + 1000)], b => Assert.Equal(0xbb, b));
        Assert.All(bytes[(Cluster + 1000)..], b => Assert.Equal(0, b));
    }

    [Fact]
    public async Task A_file_that_is_changed_while_it_is_read_is_told_and_not_called_damaged()
    {
        await File.WriteAllBytesAsync(_folder["image"], new CraftedImage().Bytes);
        await using var chain = await DiskChain.OpenAsync(_folder["image"], DiskFormat.Qcow2, new FolderLocator(_folder["image"]), default);
        await chain.ReadAsync(0, new byte[1], default);
        using (var file = File.OpenWrite(_folder["image"]))
        {
            file.Position = L2;
            file.Write([0xff, 0xff, 0xff, 0xff]);
        }
        // The clock of file times may not have gone on since.
        File.SetLastWriteTimeUtc(_folder["image"], new DateTime(2001, 1, 1, 0, 0, 0, DateTimeKind.Utc));
        Assert.Equal(Fault.Conflict, (await Assert.ThrowsAsync<WeaveException>(async () => await chain.ReadAsync(0, new byte[1], default))).Fault);
        Assert.Equal(Fault.Conflict, (await Assert.ThrowsAsync<WeaveException>(async () => await chain.ExtentsAsync(0, chain.Capacity, default).ToListAsync())).Fault);
        Assert.Equal(Fault.Conflict, (await Assert.ThrowsAsync<WeaveException>(async () => await chain.CheckAsync(0, null, default))).Fault);
    }

    [Theory]
    [InlineData("FIFO")]
    [InlineData("device")]
    [InlineData("folder")]
    [InlineData("links")]
    public async Task A_parent_that_is_no_file_is_refused_without_waiting(string kind)
    {
        if (kind == "FIFO") using (var make = Process.Start("mkfifo", _folder["base"])) await make.WaitForExitAsync();
        else if (kind == "device") File.CreateSymbolicLink(_folder["base"], "/dev/zero");
        else if (kind == "folder") Directory.CreateDirectory(_folder["base"]);
        else
        {
            File.CreateSymbolicLink(_folder["base"], _folder["other"]);
            File.CreateSymbolicLink(_folder["other"], _folder["base"]);
        }
        var error = await Assert.ThrowsAsync<WeaveException>(() => Use(new CraftedImage().Backing("base")));
        Assert.Equal(kind == "links" ? Fault.DataLoss : Fault.Unsupported, error.Fault);
    }

    [Theory]
    [InlineData(2)]
    [InlineData(5)]
    public async Task A_circle_of_images_is_refused(int length)
    {
        for (var i = 0; i < length; i++) await File.WriteAllBytesAsync(_folder[$"{i}"], new CraftedImage().Backing($"{(i + 1) % length}", "qcow2").Bytes);
        var error = await Assert.ThrowsAsync<WeaveException>(() => Use("0"));
        Assert.Equal((Fault.DataLoss, true), (error.Fault, error.Message.Contains("circle", StringComparison.Ordinal)));
    }

    [Fact]
    public async Task Two_hundred_layers_are_read_and_one_more_is_refused()
    {
        for (var i = 0; i < 201; i++)
            WeaveHypervisor.Disks.Qcow2.Qcow2OverlayWriter.Write(_folder[$"{i}"], i == 0 ? Base() : _folder[$"{i - 1}"], i == 0 ? DiskFormat.Raw : DiskFormat.Qcow2, 1 << 20);
        var bytes = await Use("198");
        Assert.All(bytes, b => Assert.Equal(5, b));
        Assert.Equal(Fault.Unsupported, (await Assert.ThrowsAsync<WeaveException>(() => Use("199"))).Fault);

        string Base()
        {
            File.WriteAllBytes(_folder["base"], [.. Enumerable.Repeat((byte)5, 1 << 20)]);
            return _folder["base"];
        }
    }

    [Fact]
    public async Task A_parent_stated_as_raw_is_read_as_raw_whatever_it_begins_with()
    {
        await File.WriteAllBytesAsync(_folder["base"], new CraftedImage().Backing("/etc/hostname").Bytes);
        var bytes = await Use(new CraftedImage().U64(L1, 0).Backing("base"));
        Assert.Equal("QFI\u00fb"u8[..3].ToArray(), bytes[..3]);
    }

    [Fact]
    public async Task A_catalogue_allows_its_files_alone_and_in_their_formats()
    {
        await File.WriteAllBytesAsync(_folder["base"], new byte[Cluster]);
        await File.WriteAllBytesAsync(_folder["image"], new CraftedImage().Backing("base").Bytes);
        async Task<int> Layers(Dictionary<string, DiskFormat> known)
        {
            await using var chain = await DiskChain.OpenAsync(_folder["image"], DiskFormat.Qcow2, new CatalogueLocator(known), default);
            return chain.Layers.Count;
        }
        Assert.Equal(2, await Layers(new() { [_folder["base"]] = DiskFormat.Raw }));
        Assert.Equal(Fault.Unsupported, (await Assert.ThrowsAsync<WeaveException>(() => Layers(new() { [_folder["image"]] = DiskFormat.Qcow2 }))).Fault);
        Assert.Equal(Fault.DataLoss, (await Assert.ThrowsAsync<WeaveException>(() => Layers(new() { [_folder["base"]] = DiskFormat.Qcow2 }))).Fault);
    }

    /// <summary>Whatever bytes the tables have: bytes, or a fault that says what is wrong.</summary>
    [Fact]
    public void Mutated_tables_are_read_or_refused_by_name() =>
        Gen.Select(Gen.Int[0, 3], Gen.Int[0, 63], Gen.Byte).Array[1, 6].Sample(changes =>
        {
            var image = new CraftedImage();
            foreach (var (table, at, value) in changes) image.Bytes[Tables[table] + at] = value;
            try
            {
                Use(image).GetAwaiter().GetResult();
            }
            catch (WeaveException error)
            {
                Assert.Equal(Fault.DataLoss, error.Fault);
            }
        }, iter: 300, threads: 1);

    private static readonly int[] Tables = [RefcountTable, RefcountBlock, L1, L2];

    private static byte[] Deflate(int length, bool random = false)
    {
        var bytes = new byte[length];
        if (random) new Random(1).NextBytes(bytes);
        using var to = new MemoryStream();
        using (var deflate = new DeflateStream(to, CompressionLevel.Optimal)) deflate.Write(bytes);
        return to.ToArray();
    }

    private static byte[] Zstd(int length, byte value = 0)
    {
        var bytes = new byte[length];
        bytes.AsSpan().Fill(value);
        using var compressor = new ZstdSharp.Compressor();
        return compressor.Wrap(bytes).ToArray();
    }
}
