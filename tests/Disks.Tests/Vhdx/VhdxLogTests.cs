using WeaveHypervisor.Disks.Vhdx;
using WeaveHypervisor.Model;
using static WeaveHypervisor.Disks.Tests.RandomDisks;
using static WeaveHypervisor.Disks.Tests.Vhdx.VhdxTestDisks;
using Change = WeaveHypervisor.Disks.Tests.Vhdx.VhdxLogBuilder.Change;

namespace WeaveHypervisor.Disks.Tests.Vhdx;

/// <summary>Logs that wait to be replayed: read as if they had been, in memory; and what cannot be followed is refused.</summary>
public sealed class VhdxLogTests : IDisposable
{
    private const int MiB = VhdxBytes.MiB, Size = 4 * MiB;
    private readonly TestFolder _folder = new();
    public void Dispose() => _folder.Dispose();

    private async Task<VhdxBytes> FileAsync(Random random)
    {
        var path = _folder[$"{Guid.NewGuid():N}.vhdx"];
        await VhdxWriter.WriteAsync(path, new VhdxShape(Size, BlockBytes: MiB), new DiskRange[] { new(0, Size) }.ToAsyncEnumerable(), From(Content(random, Size)), null, null, default);
        return new(File.ReadAllBytes(path));
    }

    private static Change Data(Random random, VhdxBytes file)
    {
        var page = new byte[4096];
        random.NextBytes(page);
        return new(VhdxBytes.Blocks + 4096 * random.Next((file.Bytes.Length - VhdxBytes.Blocks) / 4096), page, 0);
    }

    private static Change Zero(Random random, VhdxBytes file)
    {
        var at = VhdxBytes.Blocks + 4096 * random.Next((file.Bytes.Length - VhdxBytes.Blocks) / 4096);
        return new(at, null, 4096 * random.Next(1, Math.Min(300, (file.Bytes.Length - at) / 4096) + 1));
    }

    private async Task<byte[]> ReadWholeFileAsync(VhdxBytes file)
    {
        File.WriteAllBytes(_folder["log.vhdx"], file.Bytes);
        await using var image = await VhdxImage.OpenAsync(_folder["log.vhdx"], default);
        Assert.True(image.File.IsReplayed);
        var bytes = new byte[image.File.Length];
        // In pieces of all sizes and places, so that pieces of pages count.
        for (var at = 0; at < bytes.Length;)
        {
            var part = Math.Min(bytes.Length - at, at % 7 == 0 ? 100_003 : 4096);
            await image.File.ReadAsync(at, bytes.AsMemory(at, part), "the file", default);
            at += part;
        }
        Assert.Equal(file.Bytes, File.ReadAllBytes(_folder["log.vhdx"]));
        return bytes;
    }

    [Fact]
    public async Task Logs_of_every_shape_are_replayed_as_the_specification_says()
    {
        var byQemu = 0;
        for (var round = 0; round < 24; round++)
        {
            var random = new Random(Seed + round);
            var file = await FileAsync(random);
            var log = new VhdxLogBuilder(file, Guid.NewGuid(), round % 2 == 0 ? 0 : 4096 * random.Next(256), random.Next(2) == 0 ? 1 : (1UL << 32) - 2);
            // What an older log has left, whose entries count no more.
            if (random.Next(2) == 0) new VhdxLogBuilder(file, Guid.NewGuid(), 4096 * random.Next(256), 1000).Add([Data(random, file), Data(random, file)]);
            var changes = new List<Change>();
            var (start, tail, before) = (log.Position, log.Position, round % 2 == 0 ? 0 : random.Next(3));
            for (var entry = random.Next(1, 8); entry > 0 && log.Used < MiB / 2; entry--)
            {
                // Entries before the tail have reached their places already; here they say what must not be taken.
                if (before-- > 0 && entry > 1)
                {
                    log.Add([Data(random, file)], tail);
                    tail = log.Position;
                    continue;
                }
                var these = Enumerable.Range(0, random.Next(12) == 0 ? 130 : random.Next(6)).Select(_ => random.Next(3) == 0 ? Zero(random, file) : Data(random, file)).ToList();
                log.Add(these, tail);
                changes.AddRange(these);
            }
            // An entry that was being written when all ended.
            if (random.Next(2) == 0) log.Add([Data(random, file), Data(random, file)], tail, spoil: e => e[random.Next(e.Length)] ^= 0x55);
            log.Activate();
            var expected = (byte[])file.Bytes.Clone();
            VhdxLogBuilder.Apply(changes, expected);
            Assert.True((await ReadWholeFileAsync(file)).AsSpan().SequenceEqual(expected), $"WEAVE_SEED={Seed}, round {round}");
            // QEMU, which replays in the file, comes to the same; it leaves headers and log as it likes. It takes no entries over the ring's end, and those before the tail, too (block/vhdx-log.c).
            var isSimple = start + log.Used <= MiB && tail == start;
            File.Copy(_folder["log.vhdx"], _folder["qemu.vhdx"], overwrite: true);
            if (isSimple && QemuImg.Does("check", "-r", "all", "-f", "vhdx", _folder["qemu.vhdx"]) && ++byQemu > 0)
                Assert.True(File.ReadAllBytes(_folder["qemu.vhdx"]).AsSpan(VhdxBytes.Metadata, expected.Length - VhdxBytes.Metadata).SequenceEqual(expected.AsSpan(VhdxBytes.Metadata)), $"WEAVE_SEED={Seed}, round {round}: QEMU");
            // And so do we, when we write.
            await (await VhdxLiveDisk.OpenAsync(_folder["log.vhdx"], default)).DisposeAsync();
            Assert.True(File.ReadAllBytes(_folder["log.vhdx"]).AsSpan(VhdxBytes.Metadata).SequenceEqual(expected.AsSpan(VhdxBytes.Metadata)), $"WEAVE_SEED={Seed}, round {round}: in place");
        }
        Assert.InRange(byQemu, 4, 24);
    }

    [Fact]
    public async Task A_log_may_make_the_file_longer_and_put_blocks_there()
    {
        var file = await FileAsync(new Random(1));
        var (end, length) = (file.Bytes.Length, file.Bytes.Length + MiB);
        var bat = file.Bytes[VhdxBytes.Bat..(VhdxBytes.Bat + 4096)];
        BitConverter.GetBytes(6UL | (ulong)end).CopyTo(bat, 0);
        var page = Enumerable.Repeat((byte)9, 4096).ToArray();
        var log = new VhdxLogBuilder(file, Guid.NewGuid(), 0, 1);
        log.Add([new(VhdxBytes.Bat, bat, 0), new(end + 8192, page, 0), new(end + 65536, null, 65536)], last: length);
        log.Activate();
        File.WriteAllBytes(_folder["a.vhdx"], file.Bytes);
        var read = await ReadFilesAsync(_folder["a.vhdx"]);
        var expected = new byte[MiB];
        page.CopyTo(expected, 8192);
        Assert.Equal(expected, read[..MiB]);
    }

    public static TheoryData<string> Refusals => [.. Bad.Keys];
    private static readonly Dictionary<string, Action<VhdxBytes, VhdxLogBuilder, Change>> Bad = new()
    {
        ["a torn entry alone"] = (_, log, c) => log.Add([c], spoil: e => e[5000] ^= 1),
        ["a torn descriptor"] = (_, log, c) => log.Add([c], spoil: e => e[64] ^= 1),
        ["a descriptor of another number"] = (_, log, c) => log.Add([c], spoil: e => Again(e, 64 + 24)),
        ["a sector of another number"] = (_, log, c) => log.Add([c], spoil: e => Again(e, 4096 + 4)),
        ["a sector of another number at its end"] = (_, log, c) => log.Add([c], spoil: e => Again(e, 8191)),
        ["an entry with number 0"] = (_, log, c) => log.Add([c], spoil: e => { e.AsSpan(16, 8).Clear(); Heal(e); }),
        ["more descriptors than there is room"] = (_, log, c) => log.Add([c], spoil: e => { BitConverter.GetBytes(uint.MaxValue).CopyTo(e, 24); Heal(e); }),
        ["a length of nothing"] = (_, log, c) => log.Add([c], spoil: e => { e.AsSpan(8, 4).Clear(); Heal(e); }),
        ["a length beyond the log"] = (_, log, c) => log.Add([c], spoil: e => { BitConverter.GetBytes(2 * MiB).CopyTo(e, 8); Heal(e); }),
        ["a tail that is no entry"] = (_, log, c) => log.Add([c], tail: 512 << 10),
        ["a tail behind the log"] = (_, log, c) => log.Add([c], tail: MiB),
        ["a tail in the middle of a sector"] = (_, log, c) => log.Add([c], tail: 100),
        ["a gap after the tail"] = (f, log, c) =>
        {
            var tail = log.Add([c], spoil: e => e.AsSpan(0, 4).Clear());
            log.Add([c], tail);
        },
        ["a file that was cut since"] = (f, log, c) => log.Add([c], flushed: f.Bytes.Length + 1),
        ["a file of 2^63 bytes"] = (_, log, c) => log.Add([c], last: long.MaxValue),
        ["a change of the identifier"] = (_, log, c) => log.Add([c with { Offset = 0 }]),
        ["a change of a header"] = (_, log, c) => log.Add([c with { Offset = 64 << 10 }]),
        ["a change of the log"] = (_, log, c) => log.Add([c with { Offset = MiB + 8192 }]),
        ["a change behind the file"] = (f, log, c) => log.Add([c with { Offset = f.Bytes.Length }]),
        ["a change at the end of all numbers"] = (_, log, c) => log.Add([c with { Offset = -4096 }]),
        ["a change in the middle of a page"] = (_, log, c) => log.Add([c with { Offset = c.Offset + 512 }]),
        ["zeroes behind the file"] = (f, log, c) => log.Add([new(c.Offset, null, f.Bytes.Length)]),
        ["zeroes without end"] = (_, log, c) => log.Add([new(c.Offset, null, -4096)]),
        ["zeroes over the log"] = (_, log, c) => log.Add([new(192 << 10, null, 4 * MiB)]),
    };

    private static void Heal(byte[] entry) => BitConverter.GetBytes(VhdxBytes.Crc(entry)).CopyTo(entry, 4);

    private static void Again(byte[] entry, int at)
    {
        entry[at] ^= 1;
        Heal(entry);
    }

    [Theory, MemberData(nameof(Refusals))]
    public async Task A_log_that_cannot_be_followed_is_refused(string what)
    {
        var random = new Random(7);
        var file = await FileAsync(random);
        var log = new VhdxLogBuilder(file, Guid.NewGuid(), 8192, 5);
        Bad[what](file, log, Data(random, file));
        log.Activate();
        File.WriteAllBytes(_folder["a.vhdx"], file.Bytes);
        var error = await Assert.ThrowsAsync<WeaveException>(async () => await ReadFilesAsync(_folder["a.vhdx"]));
        Assert.Equal((what, Fault.DataLoss), (what, error.Fault));
        Assert.Contains("log", error.Message, StringComparison.Ordinal);
        Assert.Equal(file.Bytes, File.ReadAllBytes(_folder["a.vhdx"]));
    }

    [Fact]
    public async Task Of_two_runs_of_entries_the_one_with_the_greater_numbers_counts()
    {
        foreach (var olderFirst in (bool[])[true, false])
        {
            var random = new Random(3);
            var file = await FileAsync(random);
            var guid = Guid.NewGuid();
            var (older, newer) = (new VhdxLogBuilder(file, guid, olderFirst ? 0 : 512 << 10, 5), new VhdxLogBuilder(file, guid, olderFirst ? 512 << 10 : 0, 9));
            older.Add([Data(random, file)]);
            var change = Data(random, file);
            newer.Add([change]);
            newer.Activate();
            var expected = (byte[])file.Bytes.Clone();
            VhdxLogBuilder.Apply([change], expected);
            Assert.True((await ReadWholeFileAsync(file)).AsSpan().SequenceEqual(expected));
        }
    }

    [Fact]
    public async Task A_log_of_entries_that_all_claim_the_rest_is_refused_in_time()
    {
        var file = await FileAsync(new Random(5));
        // 8 MiB, each sector an entry that claims all that follows, and is wrong at its very end.
        var ring = new byte[8 * MiB];
        var guid = Guid.NewGuid();
        for (var at = 0; at < ring.Length; at += 4096)
        {
            var sector = ring.AsSpan(at, 4096);
            "loge"u8.CopyTo(sector);
            BitConverter.TryWriteBytes(sector[8..], 4096 * 1024);
            BitConverter.TryWriteBytes(sector[16..], 1UL);
            BitConverter.TryWriteBytes(sector[24..], 4096 * 1024 / 32 - 2);
            guid.TryWriteBytes(sector[32..]);
        }
        // Descriptors that fill it, all of the right number.
        for (var at = 64; at < ring.Length; at += 32)
            if (at % 4096 != 0 && at % 4096 != 32)
            {
                "zero"u8.CopyTo(ring.AsSpan(at));
                BitConverter.TryWriteBytes(ring.AsSpan(at + 24), 1UL);
            }
        var end = file.Bytes.Length;
        file.Bytes = [.. file.Bytes, .. ring];
        file.Headers(h => file.Guid(h + 48, guid).U32(h + 68, 8 * MiB).U64(h + 72, (ulong)end));
        File.WriteAllBytes(_folder["a.vhdx"], file.Bytes);
        using var limit = new CancellationTokenSource(TimeSpan.FromMinutes(1));
        Assert.Equal(Fault.DataLoss, (await Assert.ThrowsAsync<WeaveException>(async () => await VhdxImage.OpenAsync(_folder["a.vhdx"], limit.Token))).Fault);
    }
}
