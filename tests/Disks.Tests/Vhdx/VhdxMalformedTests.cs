using WeaveHypervisor.Disks.Vhdx;
using WeaveHypervisor.Model;
using static WeaveHypervisor.Disks.Tests.Vhdx.VhdxBytes;

namespace WeaveHypervisor.Disks.Tests.Vhdx;

/// <summary>Files that are damaged, or made to mislead: each is refused in a sentence that names it, or read as it must be.</summary>
public sealed class VhdxMalformedTests : IDisposable
{
    private const int Size = 3 << 20;
    private static readonly Guid Other = new("11111111-2222-3333-4444-555555555555");
    private readonly TestFolder _folder = new();
    public void Dispose() => _folder.Dispose();

    /// <summary>Null: it is read. Blocks of 1 MiB: 0 and 2 are there, in that order in the file.</summary>
    private static readonly Dictionary<string, (Action<VhdxBytes> Change, Fault? Fault)> Alone = new()
    {
        ["as it is"] = (_ => { }, null),
        ["no identifier"] = (f => f.Put(0, (byte)'V'), Fault.InvalidRequest),
        ["another format's magic"] = (f => f.Put(0, 0x51, 0x46, 0x49, 0xfb), Fault.InvalidRequest),
        ["an empty file"] = (f => f.Bytes = [], Fault.InvalidRequest),
        ["the identifier alone"] = (f => f.Bytes = f.Bytes[..8], Fault.DataLoss),

        ["first header's checksum wrong"] = (f => f.U32(Header1 + 4, 1), null),
        ["second header's checksum wrong"] = (f => f.U32(Header2 + 4, 1), null),
        ["both headers' checksums wrong"] = (f => f.U32(Header1 + 4, 1).U32(Header2 + 4, 1), Fault.DataLoss),
        ["both headers' signatures wrong"] = (f => f.Headers(h => f.Put(h, 0)), Fault.DataLoss),
        ["equal numbers, equal headers"] = (f => f.Headers(h => f.U64(h + 8, 7)), null),
        ["equal numbers, different headers"] = (f => f.Headers(h => f.U64(h + 8, 7)).Guid(Header2 + 32, Other).Heal(), Fault.DataLoss),
        ["numbers at their end"] = (f => f.Headers(h => f.U64(h + 8, ulong.MaxValue)), null),
        ["version 0"] = (f => f.Headers(h => f.U16(h + 66, 0)), Fault.Unsupported),
        ["version 2"] = (f => f.Headers(h => f.U16(h + 66, 2)), Fault.Unsupported),
        ["log not at a whole MiB"] = (f => f.Headers(h => f.U64(h + 72, MiB + 4096)), Fault.DataLoss),
        ["log of part of a MiB"] = (f => f.Headers(h => f.U32(h + 68, 4096)), Fault.DataLoss),
        ["log on the headers"] = (f => f.Headers(h => f.U64(h + 72, 0)), Fault.DataLoss),
        ["log behind all that can be"] = (f => f.Headers(h => f.U64(h + 72, ulong.MaxValue - MiB + 1)), Fault.DataLoss),

        ["first region table bad"] = (f => f.U32(Regions1 + 4, 1), null),
        ["second region table bad"] = (f => f.Put(Regions2, 0), null),
        ["both region tables bad"] = (f => f.U32(Regions1 + 4, 1).U32(Regions2 + 4, 1), Fault.DataLoss),
        ["too many regions"] = (f => f.Region(r => f.U32(r + 8, 2048)), Fault.DataLoss),
        ["regions beyond counting"] = (f => f.Region(r => f.U32(r + 8, uint.MaxValue)), Fault.DataLoss),
        ["no regions"] = (f => f.Region(r => f.U32(r + 8, 0)), Fault.DataLoss),
        ["no metadata"] = (f => f.Region(r => f.U32(r + 8, 1)), Fault.DataLoss),
        ["no BAT"] = (f => f.Region(r => f.Guid(r + 16, Other).U32(r + 44, 0)), Fault.DataLoss),
        ["BAT twice"] = (f => f.Region(r => f.Guid(r + 48, BatRegion)), Fault.DataLoss),
        ["regions on each other"] = (f => f.Region(r => f.U64(r + 48 + 16, Bat)), Fault.DataLoss),
        ["a region on the log"] = (f => f.Region(r => f.U64(r + 48 + 16, MiB)), Fault.DataLoss),
        ["a region on the headers"] = (f => f.Region(r => f.U64(r + 48 + 16, 0)), Fault.DataLoss),
        ["a region at part of a MiB"] = (f => f.Region(r => f.U64(r + 48 + 16, Metadata + 65536)), Fault.DataLoss),
        ["a region behind the file"] = (f => f.Region(r => f.U64(r + 48 + 16, 1UL << 40)), Fault.DataLoss),
        ["a region behind all that can be"] = (f => f.Region(r => f.U64(r + 48 + 16, 0xfffffffffff00000)), Fault.DataLoss),
        ["a region of no length"] = (f => f.Region(r => f.U32(r + 48 + 24, 0)), Fault.DataLoss),
        ["an unknown region"] = (f => f.Region(r => f.U32(r + 8, 3).Guid(r + 80, Other).U64(r + 96, 32UL << 20).U32(r + 104, MiB)), null),
        ["an unknown region that is needed"] = (f => f.Region(r => f.U32(r + 8, 3).Guid(r + 80, Other).U64(r + 96, 32UL << 20).U32(r + 104, MiB).U32(r + 108, 1)), Fault.Unsupported),
        ["a BAT behind the file"] = (f => f.Region(r => f.U64(r + 16 + 16, 1UL << 40)), Fault.DataLoss),

        ["metadata without signature"] = (f => f.Put(Metadata, 0), Fault.DataLoss),
        ["too many items"] = (f => f.U16(Metadata + 10, 2048), Fault.DataLoss),
        ["items of nothing, twice"] = (f => f.U16(Metadata + 10, 2047), Fault.DataLoss),
        ["no items"] = (f => f.U16(Metadata + 10, 0), Fault.DataLoss),
        ["an item behind its region"] = (f => f.U32(f.Entry(FileParameters) + 16, MiB - 4), Fault.DataLoss),
        ["an item at 4 GiB"] = (f => f.U32(f.Entry(FileParameters) + 16, uint.MaxValue), Fault.DataLoss),
        ["an item in the table"] = (f => f.U32(f.Entry(FileParameters) + 16, 64), Fault.DataLoss),
        ["an item that is too long"] = (f => f.AddItem(Other, 65536, uint.MaxValue, 0), Fault.DataLoss),
        ["an item of no length with a place"] = (f => f.AddItem(Other, 65536, 0, 0), Fault.DataLoss),
        ["an item of no length"] = (f => f.AddItem(Other, 0, 0, 0), null),
        ["an item twice"] = (f => f.AddItem(VirtualDiskSize, 65536, 8, 6), Fault.DataLoss),
        ["an unknown item"] = (f => f.AddItem(Other, 65536, 8, 2), null),
        ["an unknown item that is needed"] = (f => f.AddItem(Other, 65536, 8, 4), Fault.Unsupported),
        ["a user's item that is needed"] = (f => f.AddItem(Other, 65536, 8, 5), Fault.Unsupported),
        ["a user's item of a known id"] = (f => f.AddItem(VirtualDiskSize, 65536, 8, 1), null),
        ["not finished"] = (f => f.AddItem(Incomplete, 0, 0, 0), Fault.DataLoss),
        ["no file parameters"] = (f => f.Guid(f.Entry(FileParameters), Other).U32(f.Entry(Other) + 24, 0), Fault.DataLoss),
        ["no size"] = (f => f.Guid(f.Entry(VirtualDiskSize), Other).U32(f.Entry(Other) + 24, 0), Fault.DataLoss),
        ["no id"] = (f => f.Guid(f.Entry(VirtualDiskId), Other).U32(f.Entry(Other) + 24, 0), Fault.DataLoss),
        ["no sector size"] = (f => f.Guid(f.Entry(LogicalSectorSize), Other).U32(f.Entry(Other) + 24, 0), Fault.DataLoss),
        ["a size of four bytes"] = (f => f.U32(f.Entry(VirtualDiskSize) + 20, 4), Fault.DataLoss),
        ["a parent without a locator"] = (f => f.U32(f.Item(FileParameters) + 4, 2), Fault.DataLoss),

        ["blocks of nothing"] = (f => f.U32(f.Item(FileParameters), 0), Fault.DataLoss),
        ["blocks of 512 KiB"] = (f => f.U32(f.Item(FileParameters), 1 << 19), Fault.DataLoss),
        ["blocks of 3 MiB"] = (f => f.U32(f.Item(FileParameters), 3 << 20), Fault.DataLoss),
        ["blocks of 512 MiB"] = (f => f.U32(f.Item(FileParameters), 512 << 20), Fault.DataLoss),
        ["blocks of 2 GiB"] = (f => f.U32(f.Item(FileParameters), 1u << 31), Fault.DataLoss),
        ["sectors of nothing"] = (f => f.U32(f.Item(LogicalSectorSize), 0), Fault.DataLoss),
        ["sectors of 1024"] = (f => f.U32(f.Item(LogicalSectorSize), 1024), Fault.DataLoss),
        ["physical sectors of nothing"] = (f => f.U32(f.Item(PhysicalSectorSize), 0), Fault.DataLoss),
        ["a disk of nothing"] = (f => f.U64(f.Item(VirtualDiskSize), 0), Fault.DataLoss),
        ["a disk over 64 TiB"] = (f => f.U64(f.Item(VirtualDiskSize), (64UL << 40) + 512), Fault.DataLoss),
        ["a disk of 2^64-1"] = (f => f.U64(f.Item(VirtualDiskSize), ulong.MaxValue), Fault.DataLoss),
        ["a disk of part of a sector"] = (f => f.U64(f.Item(VirtualDiskSize), Size - 1), Fault.DataLoss),
        ["a disk larger than its BAT"] = (f => f.U64(f.Item(VirtualDiskSize), 64UL << 40), Fault.DataLoss),

        ["block state 4"] = (f => f.U64(Bat, 4), Fault.DataLoss),
        ["block state 5"] = (f => f.U64(Bat + 16, 5 | Blocks), Fault.DataLoss),
        ["undefined, zero and unmapped blocks"] = (f => f.U64(Bat, 1).U64(Bat + 8, 2).U64(Bat + 16, 3), null),
        ["reserved bits of an entry"] = (f => f.U64(Bat, f.U64(Bat) | 0x80), null),
        ["a block at no place"] = (f => f.U64(Bat, 6), Fault.DataLoss),
        ["a block behind the file"] = (f => f.U64(Bat, 6 | (1UL << 40)), Fault.DataLoss),
        ["a block at the end of all numbers"] = (f => f.U64(Bat, 0xfffffffffff00006), Fault.DataLoss),
        ["a block half behind the file"] = (f => f.Bytes = f.Bytes[..^4096], Fault.DataLoss),
        ["a block on the BAT"] = (f => f.U64(Bat, 6 | Bat), Fault.DataLoss),
        ["a block on the metadata"] = (f => f.U64(Bat, 6 | Metadata), Fault.DataLoss),
        ["a block on the log"] = (f => f.U64(Bat, 6 | Log), Fault.DataLoss),
        ["two blocks at one place"] = (f => f.U64(Bat + 16, f.U64(Bat)), null),
        ["a block in parts without a parent"] = (f => f.U64(Bat, 7 | Blocks), Fault.DataLoss),

        ["a log that is empty"] = (f => f.Headers(h => f.Guid(h + 48, Other)), Fault.DataLoss),
        ["a log of another version"] = (f => f.Headers(h => f.Guid(h + 48, Other).U16(h + 64, 1)), Fault.Unsupported),
        ["a log of no length"] = (f => f.Headers(h => f.Guid(h + 48, Other).U32(h + 68, 0).U64(h + 72, 0)), Fault.DataLoss),
        ["a log of 4 GiB"] = (f => f.Headers(h => f.Guid(h + 48, Other).U32(h + 68, 0xfff00000)), Fault.Unsupported),
        ["a log behind the file"] = (f => f.Headers(h => f.Guid(h + 48, Other).U64(h + 72, 1UL << 40)), Fault.DataLoss),
    };

    /// <summary>A disk with a parent; one block, in parts. The locator has a linkage, a relative and an absolute path.</summary>
    private static readonly Dictionary<string, (Action<VhdxBytes> Change, Fault? Fault)> Differencing = new()
    {
        ["as it is"] = (_ => { }, null),
        ["no bitmap"] = (f => f.U64(Bat + 8 * 4096, 0), Fault.DataLoss),
        ["a bitmap behind the file"] = (f => f.U64(Bat + 8 * 4096, 6 | (1UL << 40)), Fault.DataLoss),
        ["a bitmap on the BAT"] = (f => f.U64(Bat + 8 * 4096, 6 | Bat), Fault.DataLoss),
        ["a bitmap half behind the file"] = (f => f.Bytes = f.Bytes[..^4096], Fault.DataLoss),
        ["a bitmap that is the block"] = (f => f.U64(Bat + 8 * 4096, f.U64(Bat) & ~7UL | 6), null),
        ["a locator of another kind"] = (f => f.Guid(f.Item(ParentLocator), Other), Fault.Unsupported),
        ["a locator of 19 bytes"] = (f => f.U32(f.Entry(ParentLocator) + 20, 19), Fault.DataLoss),
        ["a locator of no length"] = (f => f.U32(f.Entry(ParentLocator) + 20, 0).U32(f.Entry(ParentLocator) + 16, 0), Fault.DataLoss),
        ["a locator of nothing"] = (f => f.U16(f.Item(ParentLocator) + 18, 0), Fault.DataLoss),
        ["more entries than there is room"] = (f => f.U16(f.Item(ParentLocator) + 18, 65535), Fault.DataLoss),
        ["a key behind the locator"] = (f => f.U32(f.Item(ParentLocator) + 20, uint.MaxValue), Fault.DataLoss),
        ["a value behind the locator"] = (f => f.U32(f.Item(ParentLocator) + 24, 100_000), Fault.DataLoss),
        ["a key of no length"] = (f => f.U16(f.Item(ParentLocator) + 28, 0), Fault.DataLoss),
        ["a key of odd length"] = (f => f.U16(f.Item(ParentLocator) + 28, 27), Fault.DataLoss),
        ["a value of 65534 bytes"] = (f => f.U16(f.Item(ParentLocator) + 30, 65534), Fault.DataLoss),
        ["a key twice"] = (f => f.Put(f.Item(ParentLocator) + 32, f.Bytes[(f.Item(ParentLocator) + 20)..(f.Item(ParentLocator) + 32)]), Fault.DataLoss),
        ["no linkage"] = (f => f.Text("parent_linkage", "parent_linkagX"), Fault.DataLoss),
        ["a linkage that is no GUID"] = (f => f.Text("{", "("), Fault.DataLoss),
        ["no path that is known"] = (f => f.Text("relative_path", "relativX_path").Text("absolute_win32_path", "absolute_win32_pXth"), null),
        ["a locator that is not used"] = (f => f.U32(f.Item(FileParameters) + 4, 0).U64(Bat, f.U64(Bat) & ~7UL | 6), null),
    };

    public static TheoryData<string> AloneNames => [.. Alone.Keys];
    public static TheoryData<string> DifferencingNames => [.. Differencing.Keys];

    private async Task<VhdxBytes> AloneFileAsync()
    {
        var path = _folder["good.vhdx"];
        var content = new byte[Size];
        new Random(1).NextBytes(content);
        await VhdxWriter.WriteAsync(path, new VhdxShape(Size, BlockBytes: MiB), new DiskRange[] { new(0, MiB), new(2 * MiB, MiB) }.ToAsyncEnumerable(), RandomDisks.From(content), null, null, default);
        return new(File.ReadAllBytes(path));
    }

    private async Task<VhdxBytes> DifferencingFileAsync()
    {
        var (parent, path) = (_folder["parent.vhdx"], _folder["good.avhdx"]);
        await VhdxWriter.CreateAsync(parent, new VhdxShape(Size, BlockBytes: MiB), default);
        var content = new byte[Size];
        content.AsSpan().Fill(7);
        await VhdxWriter.WriteAsync(path, new VhdxShape(Size, parent, MiB), new DiskRange[] { new(512, 65536) }.ToAsyncEnumerable(), RandomDisks.From(content), null, null, default);
        return new(File.ReadAllBytes(path));
    }

    [Theory, MemberData(nameof(AloneNames))]
    public async Task A_disk_on_its_own(string what) => await TryAsync(what, await AloneFileAsync(), Alone[what]);

    [Theory, MemberData(nameof(DifferencingNames))]
    public async Task A_differencing_disk(string what) => await TryAsync(what, await DifferencingFileAsync(), Differencing[what]);

    private async Task TryAsync(string what, VhdxBytes file, (Action<VhdxBytes> Change, Fault? Fault) test)
    {
        var path = _folder["bad.vhdx"];
        test.Change(file);
        File.WriteAllBytes(path, file.Bytes);
        // Bounded time, whatever stands there.
        using var limit = new CancellationTokenSource(TimeSpan.FromMinutes(1));
        var error = await Record.ExceptionAsync(() => ReadAllAsync(path, limit.Token));
        if (test.Fault is null) Assert.True(error is null, $"{what}: {error}");
        else
        {
            var refusal = Assert.IsType<WeaveException>(error);
            Assert.Equal((what, test.Fault), (what, refusal.Fault));
            Assert.Contains(path, refusal.Message, StringComparison.Ordinal);
            Assert.NotNull(refusal.NextStep);
        }
        Assert.Equal(file.Bytes, File.ReadAllBytes(path));
        // Nobody writes to what is not sound.
        if (test.Fault is not null) await Assert.ThrowsAsync<WeaveException>(async () => await (await VhdxLiveDisk.OpenAsync(path, limit.Token)).DisposeAsync());
    }

    private static async Task ReadAllAsync(string path, CancellationToken stop)
    {
        await using var image = await VhdxImage.OpenAsync(path, stop);
        Assert.True(image.Capacity <= 16 * MiB, "No change makes a large disk that opens.");
        await VhdxTestDisks.ReadAsync(image);
    }

    [Fact]
    public async Task A_file_cut_at_any_place_is_refused_or_reads_as_before()
    {
        var whole = (await AloneFileAsync()).Bytes;
        var path = _folder["cut.vhdx"];
        foreach (var edge in (int[])[8, 520, Header1, Header1 + 80, Header1 + 4096, Header2, Header2 + 4096, Regions1, Regions1 + 80, Regions2, Regions2 + 65536, MiB, 2 * MiB, Metadata + 32, Metadata + 192, Items, Items + 40, Bat, Bat + 8, Bat + 24, Blocks, 5 * MiB, 6 * MiB])
            foreach (var length in (int[])[edge - 1, edge, edge + 1])
            {
                if (length > whole.Length) continue;
                File.WriteAllBytes(path, whole[..length]);
                var error = await Record.ExceptionAsync(() => ReadAllAsync(path, default));
                if (length == whole.Length) Assert.Null(error);
                else Assert.True(error is WeaveException { Fault: Fault.InvalidRequest or Fault.DataLoss }, $"{length}: {error}");
            }
    }

    [Fact]
    public async Task Undefined_and_unmapped_blocks_of_a_differencing_disk_do_not_show_the_parent()
    {
        var file = await DifferencingFileAsync();
        File.WriteAllBytes(_folder["bad.vhdx"], file.U64(Bat, 1).U64(Bat + 8, 2).U64(Bat + 16, 3).Bytes);
        await using var image = await VhdxImage.OpenAsync(_folder["bad.vhdx"], default);
        Assert.Equal(new Extent(0, Size, ExtentKind.Zero), Assert.Single(await image.MapAsync(0, Size, default).ToListAsync(TestContext.Current.CancellationToken)));
    }

    [Theory]
    [InlineData("two blocks at one place", "BAT", Bat + 16)]
    [InlineData("block state 4", "BAT", Bat)]
    [InlineData("a block behind the file", "BAT", Bat)]
    [InlineData("a block on the log", "BAT", Bat)]
    [InlineData("a block in parts without a parent", "BAT", Bat)]
    [InlineData("reserved bits of an entry", "BAT", Bat)]
    [InlineData("second region table bad", "region table", Regions2)]
    [InlineData("first region table bad", "region table", Regions1)]
    [InlineData("undefined, zero and unmapped blocks", null, 0)]
    [InlineData("first header's checksum wrong", null, 0)]
    [InlineData("as it is", null, 0)]
    public async Task A_check_finds_what_reading_does_not_need(string what, string? structure, long place)
    {
        var file = await AloneFileAsync();
        Alone[what].Change(file);
        File.WriteAllBytes(_folder["bad.vhdx"], file.Bytes);
        await using var chain = await DiskChain.OpenAsync(_folder["bad.vhdx"], DiskFormat.Vhdx, new FolderLocator(_folder["bad.vhdx"]), default);
        var check = await chain.CheckAsync(0, null, default);
        var errors = check.Findings.Where(f => f.Kind == CheckKind.Error).ToList();
        Assert.Equal(errors.Count, check.Errors);
        if (structure is null) Assert.Empty(errors);
        else Assert.Equal((structure, place), (Assert.Single(errors).Structure, errors[0].Offset));
        // Blocks that the BAT has let go of are space that nothing uses.
        Assert.Equal(what is "undefined, zero and unmapped blocks" or "block state 4" or "a block behind the file" or "a block on the log" or "two blocks at one place" ? 1 : 0, check.Leaks);
        if (what == "as it is") Assert.Equal((3, 2, 0, file.Bytes.Length), (check.TotalClusters, check.AllocatedClusters, check.FragmentedClusters, check.ImageEnd));
    }

    [Fact]
    public async Task A_check_finds_a_block_in_parts_whose_bitmap_is_gone()
    {
        var file = await DifferencingFileAsync();
        Differencing["no bitmap"].Change(file);
        File.WriteAllBytes(_folder["good.avhdx"], file.Bytes);
        await using var chain = await DiskChain.OpenAsync(_folder["good.avhdx"], DiskFormat.Vhdx, new FolderLocator(_folder["good.avhdx"]), default);
        var check = await chain.CheckAsync(0, null, default);
        Assert.Equal((1L, 1L, (long)Bat), (check.Errors, check.Leaks, check.Findings[0].Offset));
    }

    [Fact]
    public async Task Chains_that_lead_in_a_circle_or_to_another_parent_are_refused()
    {
        var files = Enumerable.Range(0, 5).Select(i => _folder[$"{i}.vhdx"]).ToArray();
        await VhdxWriter.CreateAsync(files[0], new VhdxShape(MiB), default);
        for (var i = 1; i < 5; i++) await VhdxWriter.CreateAsync(files[i], new VhdxShape(MiB, files[i - 1]), default);
        await using (var chain = await DiskChain.OpenAsync(files[4], DiskFormat.Vhdx, new FolderLocator(files[4]), default)) Assert.Equal(5, chain.Layers.Count);
        // 1 becomes a child of 4: a circle of four; of 1: of one.
        foreach (var parent in (int[])[4, 1])
        {
            await VhdxLiveDisk.SetParentAsync(files[1], files[parent], default);
            Assert.Contains("circle", (await RefusesAsync(Fault.DataLoss, files[4])).Message, StringComparison.Ordinal);
        }
        await VhdxLiveDisk.SetParentAsync(files[1], files[0], default);
        await using (var live = await VhdxLiveDisk.OpenAsync(files[2], default)) await live.WriteAsync(0, new byte[512], default);
        Assert.Contains("written to since", (await RefusesAsync(Fault.DataLoss, files[4])).Message, StringComparison.Ordinal);
        File.Delete(files[3]);
        await RefusesAsync(Fault.DataLoss, files[4]);
        File.WriteAllBytes(files[3], new byte[MiB]);
        await RefusesAsync(Fault.DataLoss, files[4]);
        Directory.CreateDirectory(_folder["elsewhere"]);
        await VhdxWriter.CreateAsync(_folder["elsewhere/child.avhdx"], new VhdxShape(MiB, files[0]), default);
        await RefusesAsync(Fault.Unsupported, _folder["elsewhere/child.avhdx"]);

        async Task<WeaveException> RefusesAsync(Fault fault, string top)
        {
            var error = await Assert.ThrowsAsync<WeaveException>(async () => await DiskChain.OpenAsync(top, DiskFormat.Vhdx, new FolderLocator(top), default));
            Assert.Equal(fault, error.Fault);
            return error;
        }
    }
}
