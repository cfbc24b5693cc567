using WeaveHypervisor.Disks;
using WeaveHypervisor.Libvirt.Memory;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt.Tests.Memory;

public sealed class MigrationStreamSplitterTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("weave-split").FullName;
    private string Flat => Path.Combine(_folder, "m.ram");
    private string Device => Path.Combine(_folder, "m.state");
    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private Task<SplitResult> Split(byte[] stream, int readSize = int.MaxValue, MigrationStreamSplitter? splitter = null) =>
        (splitter ?? new()).SplitAsync(new SlowStream(stream, readSize), Flat, Device, null, TestContext.Current.CancellationToken);

    private async Task<WeaveException> Refused(byte[] stream, MigrationStreamSplitter? splitter = null)
    {
        var error = await Assert.ThrowsAsync<WeaveException>(() => Split(stream, splitter: splitter));
        Assert.Empty(Directory.GetFiles(_folder));
        return error;
    }

    [Theory]
    [InlineData(int.MaxValue)]
    [InlineData(1)]
    [InlineData(4097)]
    public async Task Pages_of_the_main_block_lie_at_their_address_and_all_else_is_device_state(int readSize)
    {
        var result = await Split(TestStream.Small().ToArray(), readSize);
        var expected = new byte[64 * 4096];
        foreach (var (page, seed) in new[] { (0, 1), (1, 2), (9, 4), (10, 5), (63, 6) }) TestStream.PageOf((byte)seed).CopyTo(expected, page * 4096);
        expected.AsSpan(11 * 4096, 4096).Fill(0xff);
        Assert.Equal(expected, File.ReadAllBytes(Flat));
        var device = new TestStream().Begin()
            .Start().Blocks(("weave-ram", 64 * 4096), ("pc.rom", 2 * 4096)).Eos()
            .Byte(8).U16(1).U16(2).U16(0xbeef)
            .Part().Page(0, 3, "pc.rom").Zero(1, 0, "pc.rom").Eos().End().Eos().Devices().ToArray();
        Assert.Equal(device, File.ReadAllBytes(Device));
        Assert.Equal(("pc.ram", 64 * 4096L, 6L, 58L, (long)device.Length), (result.MainBlock, result.RamBytes, result.DataPages, result.ZeroPages, result.DeviceStateBytes));
        Assert.Equal(TestStream.Small().ToArray().Length, result.BytesRead);
        if (!OperatingSystem.IsWindows()) Assert.All([Flat, Device], f => Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(f)));
    }

    [Fact]
    public async Task Of_a_repeated_page_the_last_wins_also_zeros_after_data()
    {
        var stream = new TestStream().Begin().Start().Blocks(("pc.ram", 8 * 4096)).Eos()
            .Part().Page(1, 1, "pc.ram").Page(2, 2).Page(1, 3).Zero(2).Page(3, 9).Zero(3).Page(3, 4).Eos().Devices(description: false);
        var result = await Split(stream.ToArray());
        var flat = File.ReadAllBytes(Flat);
        Assert.Equal(TestStream.PageOf(3), flat[4096..8192]);
        Assert.Equal(new byte[4096], flat[8192..12288]);
        Assert.Equal(TestStream.PageOf(4), flat[12288..16384]);
        Assert.Equal((2L, 6L), (result.DataPages, result.ZeroPages));
    }

    [Fact]
    public async Task A_disk_that_fails_at_any_operation_leaves_no_file_and_says_why()
    {
        var count = 0;
        using (FileFaults.Hook((_, path) => path.StartsWith(_folder, StringComparison.Ordinal) && count++ < 0 ? 1 : 0)) await Split(TestStream.Small().ToArray());
        Assert.True(count >= 8, $"{count} operations");
        foreach (var file in Directory.GetFiles(_folder)) File.Delete(file);
        for (var failing = 0; failing < count; failing++)
            foreach (var (error, fault) in new[] { (28, Fault.Exhausted), (5, Fault.DataLoss) })
            {
                var (passed, at) = (0, "");
                using (FileFaults.Hook((operation, path) =>
                {
                    if (!path.StartsWith(_folder, StringComparison.Ordinal) || passed++ != failing) return 0;
                    at = $"{operation} {Path.GetFileName(path)}";
                    return error;
                }))
                {
                    var refusal = await Assert.ThrowsAsync<WeaveException>(() => Split(TestStream.Small().ToArray()));
                    Assert.Equal((at, fault, true), (at, refusal.Fault, refusal.NotWritten));
                }
                Assert.Equal((at, ""), (at, string.Join(" ", Directory.GetFiles(_folder))));
            }
    }

    [Fact]
    public async Task Zero_pages_take_no_disk()
    {
        const int pages = 16384;
        var stream = new TestStream().Begin().Start().Blocks(("pc.ram", pages * 4096)).Eos().Part().Page(0, 1, "pc.ram");
        for (ulong i = 1; i < pages; i++) stream.Zero(i);
        stream.U64((pages - 1) * 4096UL | 0x28).Bytes(new byte[4096]);   // a page of zeros sent as data
        var result = await Split(stream.Eos().Devices().ToArray());
        Assert.True(result.StoredBytes < 64 << 10, $"{result.StoredBytes} bytes");
        Assert.Equal(pages * 4096, new FileInfo(Flat).Length);
    }

    [Fact]
    public async Task A_stream_cut_anywhere_is_refused_and_leaves_nothing()
    {
        var stream = TestStream.Small().ToArray();
        for (var i = 0; i < 100; i++) Assert.Equal(Fault.DataLoss, (await Refused(stream[..(stream.Length * i / 100)])).Fault);
        // Every single byte from the device sections on, but for the one place where a stream without a description ends.
        var whole = stream.Length - 21;
        for (var cut = stream.Length - 60; cut < stream.Length; cut++)
            if (cut != whole) Assert.Equal(Fault.DataLoss, (await Refused(stream[..cut])).Fault);
    }

    [Fact]
    public async Task What_a_stream_must_not_hold_is_refused()
    {
        TestStream Begin() => new TestStream().Begin().Start().Blocks(("pc.ram", 8 * 4096)).Eos().Part();
        Assert.Equal(Fault.DataLoss, (await Refused(Begin().Page(8, 1, "pc.ram").Eos().Devices().ToArray())).Fault);         // past the block
        Assert.Equal(Fault.DataLoss, (await Refused(Begin().U64(0xfffffffffffff008).Name("pc.ram").Bytes(new byte[4096]).Eos().Devices().ToArray())).Fault);
        Assert.Equal(Fault.DataLoss, (await Refused(Begin().Page(1, 1, "other").Eos().Devices().ToArray())).Fault);          // unknown block
        Assert.Equal(Fault.DataLoss, (await Refused(Begin().Page(1, 1).Eos().Devices().ToArray())).Fault);                   // CONTINUE of nothing
        Assert.Equal(Fault.Unsupported, (await Refused(Begin().U64(0x40).Eos().Devices().ToArray())).Fault);                 // XBZRLE
        Assert.Equal(Fault.Unsupported, (await Refused(Begin().U64(0x100).Eos().Devices().ToArray())).Fault);                // compressed
        Assert.NotEqual(Fault.Internal, (await Refused(Begin().Page(1, 1, "pc.ram").Byte(0x7e).U32(2).Devices().ToArray())).Fault); // no EOS
        Assert.Equal(Fault.DataLoss, (await Refused(Begin().Page(1, 1, "pc.ram").Eos(3).Devices().ToArray())).Fault);        // another's footer
        Assert.Equal(Fault.DataLoss, (await Refused(Begin().Blocks(("pc.ram", 8 * 4096)).Eos().Devices().ToArray())).Fault); // blocks twice
        Assert.Equal(Fault.DataLoss, (await Refused(new TestStream().Begin().Devices().ToArray())).Fault);                   // no RAM
        Assert.Equal(Fault.DataLoss, (await Refused(new TestStream().Begin().Start().U64(0x7ffffffffffff004).ToArray())).Fault);
        Assert.Equal(Fault.DataLoss, (await Refused(new TestStream().Begin().Start().U64(0x10000 | 4).Name("a").U64(0x20000).Eos().Devices().ToArray())).Fault);
        Assert.Equal(Fault.DataLoss, (await Refused([1, 2, 3, 4, 5, 6, 7, 8, 9])).Fault);
        Assert.Equal(Fault.Unsupported, (await Refused(TestStream.Small().ToArray(), new() { MainBlock = "mach.ram" })).Fault);
    }

    [Fact]
    public async Task Any_damaged_byte_ends_in_success_or_a_named_fault()
    {
        var seed = Environment.TickCount;
        var random = new Random(seed);
        var whole = TestStream.Small().ToArray();
        for (var i = 0; i < 2000; i++)
        {
            var stream = (byte[])whole.Clone();
            for (var n = random.Next(1, 4); n > 0; n--) stream[random.Next(stream.Length)] = (byte)random.Next(256);
            try
            {
                await Split(stream);
            }
            catch (WeaveException error)
            {
                Assert.True(error.Fault is Fault.DataLoss or Fault.Unsupported, $"seed {seed}, {i}: {error}");
            }
            foreach (var file in Directory.GetFiles(_folder)) File.Delete(file);
        }
    }

    [Fact]
    public async Task A_cancelled_split_returns_while_the_source_is_silent_and_leaves_nothing()
    {
        using var stop = new CancellationTokenSource();
        var split = new MigrationStreamSplitter().SplitAsync(new SilentStream(stop), Flat, Device, null, stop.Token);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => split.WaitAsync(TimeSpan.FromSeconds(20)));
        Assert.Empty(Directory.GetFiles(_folder));
    }

    [Fact]
    public async Task The_whole_stream_written_again_splits_to_the_same_image()
    {
        await Split(TestStream.Small().ToArray());
        using var again = new MemoryStream();
        await WholeStreamWriter.WriteAsync(Flat, Device, "pc.ram", again, null, TestContext.Current.CancellationToken);
        var (flat, device) = (File.ReadAllBytes(Flat), File.ReadAllBytes(Device));
        var result = await Split(again.ToArray());
        Assert.Equal("pc.ram", result.MainBlock);
        Assert.Equal(flat, File.ReadAllBytes(Flat));
        // The pages came in a part of their own, which is empty now.
        var part = new TestStream().Part().Eos().ToArray();
        var at = new TestStream().Begin().Start().Blocks(("weave-ram", 64 * 4096), ("pc.rom", 2 * 4096)).Eos().ToArray().Length;
        Assert.Equal([.. device[..at], .. part, .. device[at..]], File.ReadAllBytes(Device));
    }

    [Fact]
    public async Task Changed_pages_joined_to_a_base_give_the_present_memory()
    {
        await Split(TestStream.Small().ToArray());
        var joined = Path.Combine(_folder, "joined.state");
        using var sections = new MemoryStream(new TestStream().U32(0x5145564d).U32(3).Devices(description: false).ToArray());
        RamPage[] pages = [new(0, new byte[4096]), new(5 * 4096, TestStream.PageOf(50))];
        await DeviceStateJoiner.JoinAsync(Device, sections, [new("weave-ram", 64 * 4096, pages), new("pc.rom", 2 * 4096, [new(4096, TestStream.PageOf(51))])], joined, null, TestContext.Current.CancellationToken);
        var expected = File.ReadAllBytes(Flat);
        expected.AsSpan(0, 4096).Clear();
        TestStream.PageOf(50).CopyTo(expected, 5 * 4096);
        using var whole = new MemoryStream();
        await WholeStreamWriter.WriteAsync(Flat, joined, "pc.ram", whole, null, TestContext.Current.CancellationToken);
        await Split(whole.ToArray());
        Assert.Equal(expected, File.ReadAllBytes(Flat));
        // Of a block that is given anew nothing is left of what the base's stream had.
        var rom = new TestStream().Page(1, 51, "pc.rom").ToArray();
        Assert.Equal((1, -1), (Count(File.ReadAllBytes(joined), rom), File.ReadAllBytes(joined).AsSpan().IndexOf(TestStream.PageOf(3))));
        await Assert.ThrowsAsync<WeaveException>(() => DeviceStateJoiner.JoinAsync(Device, new MemoryStream(sections.ToArray()), [new("pc.rom", 4096, [])], joined + "2", null, TestContext.Current.CancellationToken));
        Assert.False(File.Exists(joined + "2.part"));

        static int Count(ReadOnlySpan<byte> all, ReadOnlySpan<byte> one) => all.Count(one);
    }

    private sealed class SlowStream(byte[] bytes, int readSize) : MemoryStream(bytes)
    {
        public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken stop = default) => base.ReadAsync(buffer[..Math.Min(buffer.Length, readSize)], stop);
    }

    /// <summary>Gives a stream's beginning, then cancels and never answers, as a pipe's blocked read.</summary>
    private sealed class SilentStream(CancellationTokenSource stop) : MemoryStream
    {
        private readonly MemoryStream _head = new(TestStream.Small().ToArray()[..9000]);
        public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken ignored = default)
        {
            if (await _head.ReadAsync(buffer, CancellationToken.None) is var count and > 0) return count;
            stop.CancelAfter(10);
            await new TaskCompletionSource().Task;
            return 0;
        }
    }
}
