using WeaveHypervisor.Disks.Vhdx;
using WeaveHypervisor.Model;
using static WeaveHypervisor.Disks.Tests.RandomDisks;
using static WeaveHypervisor.Disks.Tests.Vhdx.VhdxTestDisks;

namespace WeaveHypervisor.Disks.Tests.Vhdx;

/// <summary>Files that a guest writes to, chains that grow and merge below it, and deaths at any instant.</summary>
public sealed class VhdxLiveDiskTests : IDisposable
{
    private static int Rounds { get; } = Environment.GetEnvironmentVariable("WEAVE_TESTS") == "full" ? 200 : 6;
    private readonly TestFolder _folder = new();
    public void Dispose() => _folder.Dispose();

    /// <summary>A machine's disk: files from top to base, what a guest has written, and what of it may be there after a death.</summary>
    private sealed class Machine(TestFolder folder, Random random, int capacity, int sector)
    {
        private int _number;
        public List<string> Files { get; } = [];
        public byte[] Model { get; private set; } = new byte[capacity];
        /// <summary>What was flushed, and all that the disk has been since.</summary>
        private List<byte[]> Versions { get; set; } = [new byte[capacity]];
        public VhdxLiveDisk? Live { get; private set; }
        public string Log { get; private set; } = "";

        public async Task CreateAsync()
        {
            var path = folder[$"{_number++}.vhdx"];
            var parent = Files.FirstOrDefault();
            await VhdxWriter.CreateAsync(path, new VhdxShape(capacity, parent, 1 << random.Next(20, 23), sector, IsFixed: parent is null && random.Next(4) == 0), default);
            Files.Insert(0, path);
            Live = await VhdxLiveDisk.OpenAsync(path, default);
        }

        public async Task StepAsync()
        {
            var what = random.Next(20);
            Log += what < 10 ? "w" : what < 13 ? "z" : what < 16 ? "f" : what < 17 ? "r" : what < 18 ? "c" : what < 19 ? "m" : "k";
            var (from, to) = (random.Next(capacity / sector), random.Next(capacity / sector));
            var offset = Math.Min(from, to) * sector;
            var length = random.Next(3) switch { 0 => sector, 1 => Math.Min(capacity - offset, sector * random.Next(1, 200)), _ => (Math.Abs(from - to) + 1) * sector };
            switch (what)
            {
                case < 10:
                    random.NextBytes(Model.AsSpan(offset, length));
                    Versions.Add((byte[])Model.Clone());
                    await Live!.WriteAsync(offset, Model.AsMemory(offset, length), default);
                    break;
                case < 13:
                    Model.AsSpan(offset, length).Clear();
                    Versions.Add((byte[])Model.Clone());
                    await Live!.ZeroAsync(offset, length, default);
                    break;
                case < 16:
                    await Live!.FlushAsync(default);
                    Versions = [(byte[])Model.Clone()];
                    break;
                case < 17:
                    await CloseAsync();
                    Live = await VhdxLiveDisk.OpenAsync(Files[0], default);
                    break;
                case < 18 when Files.Count < 10:
                    await CloseAsync();
                    await CreateAsync();
                    break;
                case < 19 when Files.Count > 1:
                    await MergeAsync(random.Next(Files.Count - 1));
                    break;
                case 19:
                    await KillAsync();
                    break;
                default:
                    break;
            }
        }

        public async Task CloseAsync()
        {
            await Live!.DisposeAsync();
            Versions = [(byte[])Model.Clone()];
        }

        /// <summary>A layer goes into the one below it.</summary>
        private async Task MergeAsync(int index)
        {
            await CloseAsync();
            await VhdxLiveDisk.MergeAsync(Files[index], Files[index + 1], default);
            await VerifyAsync();
            if (index > 0) await VhdxLiveDisk.SetParentAsync(Files[index - 1], Files[index + 1], default);
            File.Delete(Files[index]);
            Files.RemoveAt(index);
            Live = await VhdxLiveDisk.OpenAsync(Files[0], default);
        }

        /// <summary>The process dies: what was flushed is there, of all else each sector is as it was then or at a time since.</summary>
        private async Task KillAsync()
        {
            await Live!.AbandonAsync();
            var read = await ReadFilesAsync([.. Files]);
            for (var at = 0; at < capacity; at += sector)
                Assert.True(Versions.Exists(v => read.AsSpan(at, sector).SequenceEqual(v.AsSpan(at, sector))), $"A sector at {at} is neither old nor new. WEAVE_SEED={Seed}: {Log}");
            (Model, Versions) = (read, [(byte[])read.Clone()]);
            Live = await VhdxLiveDisk.OpenAsync(Files[0], default);
        }

        public async Task VerifyAsync() => Assert.True((await ReadFilesAsync([.. Files])).AsSpan().SequenceEqual(Model), $"WEAVE_SEED={Seed}: {Log}");
    }

    [Theory]
    [InlineData(512)]
    [InlineData(4096)]
    public async Task Random_programs_of_writes_checkpoints_merges_and_deaths_read_as_the_model(int sector)
    {
        for (var round = 0; round < Rounds; round++)
        {
            using var folder = new TestFolder();
            var random = new Random(Seed + 31 * sector + round);
            var machine = new Machine(folder, random, sector * random.Next(1, (6 << 20) / sector), sector);
            await machine.CreateAsync();
            for (var step = random.Next(10, 60); step > 0; step--) await machine.StepAsync();
            await machine.CloseAsync();
            await machine.VerifyAsync();
            foreach (var file in machine.Files)
            {
                await using var image = await VhdxImage.OpenAsync(file, default);
                Assert.False(image.File.IsReplayed, "A closed file has no log.");
                var check = await image.CheckAsync(null, default);
                Assert.DoesNotContain(check.Findings, f => f.Kind == CheckKind.Error);
                Assert.True(check.ImageEnd <= FileFacts.Read(file).Length && check.AllocatedClusters <= check.TotalClusters);
            }
            if (sector != 512) continue;
            QemuImg.Run("check", "-f", "vhdx", machine.Files[^1]);
            if (machine.Files.Count > 1) continue;
            QemuImg.Run("convert", "-f", "vhdx", "-O", "raw", machine.Files[0], folder["read"]);
            Assert.True(File.ReadAllBytes(folder["read"]).AsSpan().SequenceEqual(machine.Model), $"WEAVE_SEED={Seed}: {machine.Log}");
        }
    }

    [Fact]
    public async Task A_log_that_a_death_leaves_is_replayed_by_us_in_memory_and_by_QEMU_in_the_file_to_the_same()
    {
        var path = _folder["a.vhdx"];
        await VhdxWriter.CreateAsync(path, new VhdxShape(8 << 20, BlockBytes: 1 << 20), default);
        var model = new byte[8 << 20];
        var live = await VhdxLiveDisk.OpenAsync(path, default);
        foreach (var at in (int[])[1 << 20, 5 << 20, (7 << 20) + 512])
        {
            Random.Shared.NextBytes(model.AsSpan(at, 4096));
            await live.WriteAsync(at, model.AsMemory(at, 4096), default);
            await live.FlushAsync(default);
        }
        await live.AbandonAsync();
        // As if only the log had reached the disk: the BAT is what it was before.
        await using (var image = await VhdxImage.OpenAsync(path, default))
        {
            Assert.True(image.File.IsReplayed);
            Assert.Contains("log", Assert.Single((await image.DescribeAsync(default)).Warnings), StringComparison.Ordinal);
            using var file = File.OpenHandle(path, access: FileAccess.ReadWrite, share: FileShare.ReadWrite);
            RandomAccess.Write(file, new byte[4096], image.Regions.Bat.Offset);
        }
        var before = File.ReadAllBytes(path);
        Assert.True((await ReadFilesAsync(path)).AsSpan().SequenceEqual(model));
        Assert.True(File.ReadAllBytes(path).AsSpan().SequenceEqual(before), "Reading does not write.");
        File.Copy(path, _folder["q.vhdx"]);
        QemuImg.Run("check", "-r", "all", "-f", "vhdx", _folder["q.vhdx"]);
        QemuImg.Run("convert", "-f", "vhdx", "-O", "raw", _folder["q.vhdx"], _folder["read"]);
        Assert.True(File.ReadAllBytes(_folder["read"]).AsSpan().SequenceEqual(model));
        await (await VhdxLiveDisk.OpenAsync(path, default)).DisposeAsync();
        await using var replayed = await VhdxImage.OpenAsync(path, default);
        Assert.False(replayed.File.IsReplayed);
        Assert.True((await ReadAsync(replayed)).AsSpan().SequenceEqual(model));
    }

    [Fact]
    public async Task A_log_entry_that_is_torn_while_it_is_written_is_not_the_only_one()
    {
        var path = _folder["a.vhdx"];
        await VhdxWriter.CreateAsync(path, new VhdxShape(8 << 20, BlockBytes: 1 << 20), default);
        var (live, model, states) = (await VhdxLiveDisk.OpenAsync(path, default), new byte[8 << 20], new List<byte[]>());
        foreach (var at in (int[])[0, 2 << 20, 4 << 20])
        {
            Random.Shared.NextBytes(model.AsSpan(at, 512));
            await live.WriteAsync(at, model.AsMemory(at, 512), default);
            await live.FlushAsync(default);
            states.Add(await CopyAsync(path));
        }
        await live.AbandonAsync();
        for (var i = 1; i < 3; i++)
        {
            // What the last flush has changed in the log is torn; the BAT, which is written only after that, is as before.
            var file = (byte[])states[i].Clone();
            states[i - 1].AsSpan(VhdxBytes.Bat, 1 << 20).CopyTo(file.AsSpan(VhdxBytes.Bat));
            var torn = Enumerable.Range(VhdxBytes.Log, VhdxBytes.MiB).Last(at => file[at] != states[i - 1][at]);
            file[torn] ^= 0xff;
            File.WriteAllBytes(_folder["torn.vhdx"], file);
            var expected = (byte[])model.Clone();
            expected.AsSpan(i * 2 << 20).Clear();
            Assert.True((await ReadFilesAsync(_folder["torn.vhdx"])).AsSpan().SequenceEqual(expected), $"after flush {i}");
        }

        // Asks for no lock.
        static async Task<byte[]> CopyAsync(string path)
        {
            using var file = ImageFile.Open(path);
            var bytes = new byte[file.Length];
            await file.ReadAsync(0, bytes, default);
            return bytes;
        }
    }

    [Fact]
    public async Task A_guest_that_is_cut_off_at_any_operation_keeps_what_was_flushed()
    {
        for (var number = 0; ; number++)
        {
            using var folder = new TestFolder();
            var random = new Random(Seed);
            var (parent, path) = (folder["base.vhdx"], folder["top.avhdx"]);
            var model = Content(random, 4 << 20);
            await VhdxWriter.WriteAsync(parent, new VhdxShape(4 << 20, BlockBytes: 1 << 20), new[] { new DiskRange(0, 4 << 20) }.ToAsyncEnumerable(), From(model), null, null, default);
            await VhdxWriter.CreateAsync(path, new VhdxShape(4 << 20, parent, 2 << 20), default);
            // All that a sector may hold: what was flushed, and what was written since.
            var versions = new List<byte[]> { (byte[])model.Clone() };
            var (passed, failed) = (0, false);
            VhdxLiveDisk? live = null;
            using (FileFaults.Hook((_, at) => at == path && passed++ >= number ? 5 : 0))
            {
                try
                {
                    live = await VhdxLiveDisk.OpenAsync(path, default);
                    for (var step = 0; step < 6; step++)
                    {
                        var (offset, length) = (512 * random.Next(4000), 512 * random.Next(1, 4000));
                        random.NextBytes(model.AsSpan(offset, length));
                        versions.Add((byte[])model.Clone());
                        await live.WriteAsync(offset, model.AsMemory(offset, length), default);
                        if (step % 2 == 0) continue;
                        await live.FlushAsync(default);
                        versions = [(byte[])model.Clone()];
                    }
                    await live.DisposeAsync();
                }
                catch (WeaveException error)
                {
                    failed = true;
                    Assert.Equal(Fault.DataLoss, error.Fault);
                    if (live is not null)
                    {
                        // After a failed write there are no others.
                        if (!error.Message.Contains("open", StringComparison.Ordinal)) await Assert.ThrowsAsync<WeaveException>(() => live.WriteAsync(0, new byte[512], default));
                        await live.AbandonAsync();
                    }
                }
            }
            var read = await ReadFilesAsync(path, parent);
            for (var at = 0; at < read.Length; at += 512)
                Assert.True(versions.Exists(v => read.AsSpan(at, 512).SequenceEqual(v.AsSpan(at, 512))), $"WEAVE_SEED={Seed}, operation {number}, sector at {at}");
            await (await VhdxLiveDisk.OpenAsync(path, default)).DisposeAsync();
            Assert.True((await ReadFilesAsync(path, parent)).AsSpan().SequenceEqual(read));
            if (!failed)
            {
                Assert.InRange(number, 20, 1000);
                return;
            }
        }
    }

    [Fact]
    public async Task A_merge_that_is_cut_off_at_any_operation_leaves_the_chain_as_it_read_and_can_be_repeated()
    {
        for (var number = 0; ; number++)
        {
            using var folder = new TestFolder();
            var random = new Random(Seed + 1);
            string[] files = [folder["top.avhdx"], folder["middle.avhdx"], folder["base.vhdx"]];
            var expected = Content(random, 3 << 20);
            await VhdxWriter.WriteAsync(files[2], new VhdxShape(3 << 20, BlockBytes: 1 << 20), new[] { new DiskRange(0, 3 << 20) }.ToAsyncEnumerable(), From(expected), null, null, default);
            for (var i = 1; i >= 0; i--)
            {
                var (model, below, ranges) = (Content(random, 3 << 20), (byte[])expected.Clone(), Ranges(random, 3 << 20, 5));
                await VhdxWriter.WriteAsync(files[i], new VhdxShape(3 << 20, files[i + 1], 1 << 20), ranges.ToAsyncEnumerable(), From(model), From(below), null, default);
                Lay(ranges, model, expected);
            }
            var passed = 0;
            Exception? failure;
            using (FileFaults.Hook((_, at) => at.StartsWith(folder.Path, StringComparison.Ordinal) && passed++ >= number ? 28 : 0))
                failure = await Record.ExceptionAsync(() => VhdxLiveDisk.MergeAsync(files[1], files[2], default));
            Assert.True((await ReadFilesAsync(files)).AsSpan().SequenceEqual(expected), $"WEAVE_SEED={Seed}, operation {number}");
            await VhdxLiveDisk.MergeAsync(files[1], files[2], default);
            Assert.True((await ReadFilesAsync(files)).AsSpan().SequenceEqual(expected), $"WEAVE_SEED={Seed}, operation {number}, repeated");
            await VhdxLiveDisk.SetParentAsync(files[0], files[2], default);
            File.Delete(files[1]);
            Assert.True((await ReadFilesAsync(files[0], files[2])).AsSpan().SequenceEqual(expected), $"WEAVE_SEED={Seed}, operation {number}, without the middle");
            if (failure is null)
            {
                Assert.InRange(number, 20, 1000);
                return;
            }
            Assert.Equal(Fault.Exhausted, Assert.IsType<WeaveException>(failure).Fault);
        }
    }

    [Fact]
    public async Task Identities_change_with_the_first_write_and_break_other_children()
    {
        var (parent, child) = (_folder["base.vhdx"], _folder["child.avhdx"]);
        await VhdxWriter.CreateAsync(parent, new VhdxShape(1 << 20), default);
        await VhdxWriter.CreateAsync(child, new VhdxShape(1 << 20, parent), default);
        var before = await VhdxFacts.ReadAsync(parent, default);
        await (await VhdxLiveDisk.OpenAsync(parent, default)).DisposeAsync();
        await VhdxLiveDisk.SetVirtualDiskIdAsync(parent, Guid.Parse("00112233-4455-6677-8899-aabbccddeeff"), default);
        var renamed = await VhdxFacts.ReadAsync(parent, default);
        Assert.Equal((before.DataWriteId, Guid.Parse("00112233-4455-6677-8899-aabbccddeeff")), (renamed.DataWriteId, renamed.VirtualDiskId));
        await ReadFilesAsync(child, parent);
        await using (var live = await VhdxLiveDisk.OpenAsync(parent, default)) await live.WriteAsync(0, new byte[512], default);
        Assert.NotEqual(before.DataWriteId, (await VhdxFacts.ReadAsync(parent, default)).DataWriteId);
        Assert.Equal(Fault.DataLoss, (await Assert.ThrowsAsync<WeaveException>(() => ReadFilesAsync(child, parent))).Fault);
        Assert.Equal(Fault.DataLoss, (await Assert.ThrowsAsync<WeaveException>(() => VhdxLiveDisk.MergeAsync(child, parent, default))).Fault);
    }

    [Fact]
    public async Task What_cannot_be_written_is_refused()
    {
        var path = _folder["a.vhdx"];
        await VhdxWriter.CreateAsync(path, new VhdxShape(1 << 20, LogicalSectorBytes: 4096), default);
        var live = await VhdxLiveDisk.OpenAsync(path, default);
        Assert.Equal(Fault.Busy, (await Assert.ThrowsAsync<WeaveException>(() => VhdxLiveDisk.OpenAsync(path, default))).Fault);
        foreach (var (offset, length) in ((long, int)[])[(-4096, 4096), (512, 4096), (0, 512), (1 << 20, 4096), (0, 2 << 20)])
            Assert.Equal(Fault.InvalidRequest, (await Assert.ThrowsAsync<WeaveException>(() => live.WriteAsync(offset, new byte[length], default))).Fault);
        await live.WriteAsync(1 << 20, new byte[0], default);
        await live.DisposeAsync();
        await live.DisposeAsync();
        await Assert.ThrowsAsync<WeaveException>(() => live.FlushAsync(default));
        await Assert.ThrowsAsync<WeaveException>(() => VhdxLiveDisk.MergeAsync(path, path, default));
    }
}
