using WeaveHypervisor.Libvirt.Memory;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt.Tests.Memory;

/// <summary>Streams that are split against the flat file of an earlier image.</summary>
public sealed class BaseTests : IDisposable
{
    private const int Pages = 64;
    private readonly string _folder = Directory.CreateTempSubdirectory("weave-base").FullName;
    private string In(string name) => Path.Combine(_folder, name);
    public void Dispose() => Directory.Delete(_folder, recursive: true);
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    /// <summary>The image of <see cref="TestStream.Small"/>: pages 0, 1, 9, 10, 11 and 63 hold data.</summary>
    private async Task<MemoryImage> BaseAsync()
    {
        await new MigrationStreamSplitter().SplitAsync(new MemoryStream(TestStream.Small().ToArray()), In("base.ram"), In("base.state"), null, Stop);
        return new() { FlatPath = In("base.ram"), DeviceStatePath = In("base.state"), RamBytes = Pages * 4096, StoredBytes = 0, MainBlock = "pc.ram" };
    }

    private Task<SplitResult> SplitAsync(byte[] stream, MemoryImage? on, string name = "next") =>
        new MigrationStreamSplitter { Base = on }.SplitAsync(new MemoryStream(stream), In(name + ".ram"), In(name + ".state"), null, Stop);

    /// <summary>All RAM of an image as a machine that loads it has it: by the whole stream, on the flat file that the image names.</summary>
    private async Task<byte[]> RamAsync(string flat, string state)
    {
        using var whole = new MemoryStream();
        await WholeStreamWriter.WriteAsync(flat, state, "pc.ram", whole, null, Stop);
        await new MigrationStreamSplitter().SplitAsync(new MemoryStream(whole.ToArray()), In("all.ram"), In("all.state"), null, Stop);
        return File.ReadAllBytes(In("all.ram"));
    }

    private static TestStream Ram(Action<TestStream> pages)
    {
        var stream = new TestStream().Begin().Start().Blocks(("pc.ram", Pages * 4096), ("pc.rom", 2 * 4096)).Eos().Part().Page(0, 3, "pc.rom").Zero(1);
        pages(stream);
        return stream.Eos().End().Eos().Devices();
    }

    [Fact]
    public async Task A_machine_that_changed_nothing_stores_no_page_and_no_flat_file()
    {
        var image = await BaseAsync();
        var result = await SplitAsync(TestStream.Small().ToArray(), image);
        Assert.Equal((true, 0L, Pages * 4096L), (result.SharesBase, result.DataPages, result.RamBytes));
        Assert.Equal(["base.ram", "base.state", "next.state"], Directory.GetFiles(_folder).Select(Path.GetFileName).Order());
        Assert.Equal(File.ReadAllBytes(image.DeviceStatePath), File.ReadAllBytes(In("next.state")));
        if (!OperatingSystem.IsWindows()) Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(In("next.state")));
    }

    [Fact]
    public async Task Only_pages_that_differ_are_stored_zeros_over_data_and_data_over_zeros_among_them()
    {
        var image = await BaseAsync();
        var result = await SplitAsync(Ram(s => s
            .Page(0, 1, "pc.ram").Zero(1).Page(2, 7).Zero(3).Page(9, 4).Page(10, 5).Zero(11, 0xff).Page(63, 60)).ToArray(), image);
        Assert.Equal((true, 3L), (result.SharesBase, result.DataPages));
        var expected = File.ReadAllBytes(image.FlatPath);
        expected.AsSpan(4096, 4096).Clear();
        TestStream.PageOf(7).CopyTo(expected, 2 * 4096);
        TestStream.PageOf(60).CopyTo(expected, 63 * 4096);
        Assert.Equal(expected, await RamAsync(image.FlatPath, In("next.state")));
        Assert.InRange(result.DeviceStateBytes, 3 * 4096, 5 * 4096);   // one page of the ROM, two of data, one record of zeros
    }

    [Fact]
    public async Task Of_a_repeated_page_the_last_counts_also_where_it_is_as_in_the_base_again()
    {
        var image = await BaseAsync();
        var result = await SplitAsync(Ram(s => s.Page(0, 50, "pc.ram").Page(1, 51).Page(2, 52).Zero(3, 9).Page(0, 1).Page(1, 53).Zero(2).Zero(3).Page(9, 54).Zero(9)).ToArray(), image);
        Assert.Equal(2L, result.DataPages);
        var expected = File.ReadAllBytes(image.FlatPath);
        TestStream.PageOf(53).CopyTo(expected, 4096);
        expected.AsSpan(9 * 4096, 4096).Clear();
        Assert.Equal(expected, await RamAsync(image.FlatPath, In("next.state")));
    }

    [Theory]
    [InlineData(16, true)]
    [InlineData(17, false)]
    public async Task Past_a_quarter_of_the_memory_it_becomes_a_base_itself_with_all_that_came_before(int differing, bool shares)
    {
        var image = await BaseAsync();
        // Some pages as they were before and after the ones that differ, one that differs only for a while, and one that never comes.
        var stream = Ram(s =>
        {
            s.Page(0, 1, "pc.ram").Page(1, 99).Page(1, 2).Zero(11, 0xff);
            for (var i = 0; i < differing; i++) s.Page((ulong)(20 + i), (byte)(100 + i));
            s.Page(9, 4).Page(10, 5).Page(63, 6);
        }).ToArray();
        var result = await SplitAsync(stream, image);
        Assert.Equal((shares, shares), (result.SharesBase, !File.Exists(In("next.ram"))));
        var expected = File.ReadAllBytes(image.FlatPath);
        for (var i = 0; i < differing; i++) TestStream.PageOf((byte)(100 + i)).CopyTo(expected, (20 + i) * 4096);
        Assert.Equal(expected, await RamAsync(shares ? image.FlatPath : In("next.ram"), In("next.state")));
        if (!shares) Assert.DoesNotContain("weave-ram", System.Text.Encoding.Latin1.GetString(File.ReadAllBytes(In("next.state")))[200..]);
        Assert.DoesNotContain(Directory.GetFiles(_folder), f => f.EndsWith(".part", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("longer")]
    [InlineData("gone")]
    [InlineData("another block")]
    [InlineData("another length")]
    public async Task A_base_that_does_not_fit_is_not_used(string how)
    {
        var image = await BaseAsync();
        if (how == "longer") File.AppendAllText(image.FlatPath, "x");
        if (how == "gone") File.Delete(image.FlatPath);
        if (how == "another block") image = image with { MainBlock = "mach.ram" };
        if (how == "another length") image = image with { RamBytes = 4096 };
        var result = await SplitAsync(TestStream.Small().ToArray(), image);
        Assert.Equal((false, 6L, true), (result.SharesBase, result.DataPages, File.Exists(In("next.ram"))));
    }

    [Fact]
    public async Task An_image_may_stand_on_one_that_stands_on_a_base()
    {
        var image = await BaseAsync();
        await SplitAsync(Ram(s => s.Page(0, 1, "pc.ram").Page(1, 2).Page(2, 7).Page(9, 4).Page(10, 5).Zero(11, 0xff).Page(63, 6)).ToArray(), image, "second");
        var third = Ram(s => s.Page(0, 1, "pc.ram").Page(1, 2).Page(2, 8).Page(9, 4).Page(10, 5).Zero(11, 0xff).Page(63, 6)).ToArray();
        var result = await SplitAsync(third, image with { DeviceStatePath = In("second.state"), SharesBase = true }, "third");
        Assert.Equal((true, 1L), (result.SharesBase, result.DataPages));
        Assert.Equal(TestStream.PageOf(8), (await RamAsync(image.FlatPath, In("third.state")))[(2 * 4096)..(3 * 4096)]);
        // The private map of a copy of it is saved on the same base: what its own stream held is left out, the map has it among its own pages.
        using var sections = new MemoryStream(new TestStream().U32(0x5145564d).U32(3).Devices(description: false).ToArray());
        await DeviceStateJoiner.JoinAsync(In("third.state"), sections, [new("weave-ram", Pages * 4096, [new(2 * 4096, TestStream.PageOf(9))])], In("joined.state"), null, Stop);
        Assert.Equal(TestStream.PageOf(9), (await RamAsync(image.FlatPath, In("joined.state")))[(2 * 4096)..(3 * 4096)]);
    }

    [Fact]
    public async Task A_stream_cut_anywhere_is_refused_leaves_nothing_and_the_base_as_it_was()
    {
        var image = await BaseAsync();
        var before = File.ReadAllBytes(image.FlatPath);
        var few = Ram(s => s.Page(0, 1, "pc.ram").Page(1, 99)).ToArray();
        var many = Ram(s =>
        {
            s.Page(0, 1, "pc.ram");
            for (var i = 0; i < 40; i++) s.Page((ulong)(20 + i), (byte)(100 + i));
        }).ToArray();
        foreach (var stream in new[] { few, many })
            for (var i = 0; i < 100; i++)
            {
                Assert.Equal(Fault.DataLoss, (await Assert.ThrowsAsync<WeaveException>(() => SplitAsync(stream[..(stream.Length * i / 100)], image))).Fault);
                Assert.Equal(2, Directory.GetFiles(_folder).Length);
            }
        Assert.Equal(before, File.ReadAllBytes(image.FlatPath));
    }
}
