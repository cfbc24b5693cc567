using WeaveHypervisor.Disks;
using WeaveHypervisor.Disks.Qcow2;
using WeaveHypervisor.Disks.Vhdx;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Fuzz.Targets;

/// <summary>Numbers from an input, as long as there are any; then zeroes.</summary>
internal sealed class Numbers(byte[] bytes)
{
    private int _at;
    public bool IsOver => _at >= bytes.Length;
    public int Byte() => IsOver ? 0 : bytes[_at++];
    public int Word() => Byte() | Byte() << 8;
    public int Below(int limit) => Word() % limit;
}

/// <summary>Writes of a guest into VHDX files, with flushes, closings, new layers and merges, beside an array of bytes.</summary>
internal sealed class VhdxProgramTarget : IFuzzTarget
{
    private const int Most = 3 << 20, MostLayers = 5;

    public static void Run(ReadOnlySpan<byte> input)
    {
        var program = new Numbers(input.ToArray());
        // What a guest does is never refused.
        RunAsync(program, Scratch.Mine.Clear()).GetAwaiter().GetResult();
    }

    private static async Task RunAsync(Numbers program, Scratch scratch)
    {
        var sector = program.Byte() % 2 == 0 ? 512 : 4096;
        var capacity = sector * (1 + program.Below(Most / sector));
        var model = new byte[capacity];
        var files = new List<string>();
        var number = 0;
        VhdxLiveDisk? live = null;
        async Task LayerAsync()
        {
            var path = scratch[$"{number++}"];
            await VhdxWriter.CreateAsync(path, new VhdxShape(capacity, files.FirstOrDefault(), 1 << 20 + program.Byte() % 3, sector, IsFixed: files.Count == 0 && program.Byte() % 4 == 0), default);
            files.Insert(0, path);
            live = await VhdxLiveDisk.OpenAsync(path, default);
        }
        await LayerAsync();
        for (var steps = 0; !program.IsOver && steps < 40; steps++)
        {
            var what = program.Byte();
            var from = program.Below(capacity / sector);
            var count = Math.Min(capacity / sector - from, 1 + (program.Byte() is var size && size < 200 ? size % 16 : size * 37));
            var (offset, length) = (from * sector, count * sector);
            switch (what % 16)
            {
                case < 8:
                    // Bytes that say where and when they were written.
                    for (var i = offset; i < offset + length; i++) model[i] = (byte)(i / sector + steps + 1);
                    await live!.WriteAsync(offset, model.AsMemory(offset, length), default);
                    break;
                case < 11:
                    model.AsSpan(offset, length).Clear();
                    await live!.ZeroAsync(offset, length, default);
                    break;
                case 11:
                    await live!.FlushAsync(default);
                    await VerifyAsync(files, model);
                    break;
                case 12:
                    await live!.DisposeAsync();
                    live = await VhdxLiveDisk.OpenAsync(files[0], default);
                    break;
                case 13 when files.Count < MostLayers:
                    await live!.DisposeAsync();
                    await LayerAsync();
                    break;
                case 14 when files.Count > 1:
                    await live!.DisposeAsync();
                    var index = program.Below(files.Count - 1);
                    await VhdxLiveDisk.MergeAsync(files[index], files[index + 1], default);
                    if (index > 0) await VhdxLiveDisk.SetParentAsync(files[index - 1], files[index + 1], default);
                    File.Delete(files[index]);
                    files.RemoveAt(index);
                    live = await VhdxLiveDisk.OpenAsync(files[0], default);
                    break;
                default:
                    // Death after a flush loses nothing.
                    await live!.FlushAsync(default);
                    await live.AbandonAsync();
                    await VerifyAsync(files, model);
                    live = await VhdxLiveDisk.OpenAsync(files[0], default);
                    break;
            }
        }
        await live!.DisposeAsync();
        await VerifyAsync(files, model);
    }

    private static async Task VerifyAsync(List<string> files, byte[] model)
    {
        await using var chain = await DiskChain.OpenAsync(files[0], DiskFormat.Vhdx, new FolderLocator(files[0]), default);
        Looks.Require(chain.Layers.Count == files.Count && chain.Capacity == model.Length, "the chain is as it was made");
        var bytes = new byte[model.Length];
        await chain.ReadAsync(0, bytes, default);
        Looks.Require(bytes.AsSpan().SequenceEqual(model), "a disk reads as what was written to it");
    }
}

/// <summary>Two chains of written images on common layers, of mixed formats where that can be: reads, maps and differences beside arrays of bytes.</summary>
internal sealed class ChainProgramTarget : IFuzzTarget
{
    private const int Most = 1 << 20;

    public static void Run(ReadOnlySpan<byte> input)
    {
        var program = new Numbers(input.ToArray());
        RunAsync(program, Scratch.Mine.Clear()).GetAwaiter().GetResult();
    }

    private static async Task RunAsync(Numbers program, Scratch scratch)
    {
        var isVhdx = program.Byte() % 2 == 0;
        var capacity = 512 * (1 + program.Below(Most / 512));
        var common = new List<string>();
        var model = new byte[capacity];
        for (var depth = 1 + program.Byte() % 3; depth > 0; depth--) await LayerAsync(program, scratch, isVhdx, capacity, common, model);
        var (left, right) = (new List<string>(common), new List<string>(common));
        var (leftModel, rightModel) = ((byte[])model.Clone(), (byte[])model.Clone());
        for (var depth = program.Byte() % 3; depth > 0; depth--) await LayerAsync(program, scratch, isVhdx, capacity, left, leftModel);
        for (var depth = program.Byte() % 3; depth > 0; depth--) await LayerAsync(program, scratch, isVhdx, capacity, right, rightModel);

        var format = isVhdx ? DiskFormat.Vhdx : DiskFormat.Qcow2;
        await using var leftChain = await DiskChain.OpenAsync(left[0], format, new FolderLocator(left[0]), default);
        await using var rightChain = await DiskChain.OpenAsync(right[0], format, new FolderLocator(right[0]), default);
        await ReadAsync(program, leftChain, leftModel);
        await ReadAsync(program, rightChain, rightModel);

        var step = 512 << program.Byte() % 4;
        var result = await DiskDifference.CompareAsync(leftChain, rightChain, new DifferenceOptions { Granularity = step, Parallelism = 1 }, null, default);
        var differs = new bool[(capacity + step - 1) / step];
        foreach (var range in result.Ranges)
        {
            Looks.Require(range.Offset % step == 0, "ranges are whole granules");
            for (var at = range.Offset; at < range.End; at += step) differs[at / step] = true;
        }
        for (var i = 0; i < differs.Length; i++)
        {
            var (from, to) = (i * step, Math.Min(capacity, (i + 1) * step));
            Looks.Require(differs[i] != leftModel.AsSpan(from..to).SequenceEqual(rightModel.AsSpan(from..to)), "a range is told where the disks differ, and only there");
        }
    }

    private static async Task LayerAsync(Numbers program, Scratch scratch, bool isVhdx, int capacity, List<string> files, byte[] model)
    {
        var path = scratch[$"{Directory.GetFiles(scratch.Folder).Length}"];
        var content = (byte[])model.Clone();
        var below = (byte[])model.Clone();
        var ranges = new List<DiskRange>();
        for (int at = 0, n = program.Byte() % 6; n > 0 && at < capacity; n--)
        {
            var offset = Math.Min(capacity, at + program.Word() % 32768);
            var length = Math.Min(capacity - offset, program.Word() * (program.Byte() % 8));
            var value = (byte)program.Byte();
            content.AsSpan(offset, length).Fill(value);
            if (value % 3 == 0) content.AsSpan(offset, length / 2).Clear();
            ranges.Add(new(offset, length));
            at = offset + length;
        }
        DiskReader Reader(byte[] bytes) => (offset, into, _) =>
        {
            bytes.AsMemory((int)offset, into.Length).CopyTo(into);
            return default;
        };
        if (isVhdx) await VhdxWriter.WriteAsync(path, new VhdxShape(capacity, files.FirstOrDefault(), 1 << 20 + program.Byte() % 2), ranges.ToAsyncEnumerable(), Reader(content), Reader(below), null, default);
        else await Qcow2Writer.WriteAsync(path, new Qcow2Shape(capacity, files.FirstOrDefault(), DiskFormat.Qcow2, 4096 << program.Byte() % 6), ranges.ToAsyncEnumerable(), Reader(content), Reader(below), null, default);
        files.Insert(0, path);
        content.CopyTo(model, 0);
    }

    private static async Task ReadAsync(Numbers program, DiskChain chain, byte[] model)
    {
        Looks.Require(chain.Capacity == model.Length, "the chain is as it was made");
        long at = 0;
        await foreach (var extent in chain.ExtentsAsync(0, chain.Capacity, default))
        {
            Looks.Require(extent.Offset == at && extent.Length > 0, "extents follow each other");
            Looks.Require(!extent.IsZero || !model.AsSpan((int)extent.Offset, (int)extent.Length).ContainsAnyExcept((byte)0), "what is told to be zero is zero");
            at = extent.End;
        }
        Looks.Require(at == chain.Capacity, "a map is whole");
        var bytes = new byte[model.Length];
        await chain.ReadAsync(0, bytes, default);
        Looks.Require(bytes.AsSpan().SequenceEqual(model), "a disk reads as what was written");
        for (var i = 0; i < 4; i++)
        {
            var from = program.Word() * 17 % model.Length;
            var length = Math.Min(model.Length - from, program.Word());
            await chain.ReadAsync(from, bytes.AsMemory(0, length), default);
            Looks.Require(bytes.AsSpan(0, length).SequenceEqual(model.AsSpan(from, length)), "a part reads as the whole");
        }
    }
}
