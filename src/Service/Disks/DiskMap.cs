using System.Buffers.Text;
using System.Runtime.CompilerServices;
using WeaveHypervisor.Disks;

namespace WeaveHypervisor.Service.Disks;

/// <summary>`disk map`: which layer answers for which range.</summary>
internal static class DiskMap
{
    /// <summary>Lines that are shown on a terminal unless all are asked for.</summary>
    private const int FewExtents = 40;
    private const int Data = 0, Compressed = 1, Zero = 2, None = 3;
    private static readonly (char Sign, int Colour, string Name)[] Kinds = [('█', 4, "data"), ('▓', 6, "compressed"), ('░', 3, "zero"), ('·', 0, "nothing")];

    public static async Task<int> RunAsync(DiskChain chain, DiskArguments arguments, DiskConsole console, CancellationToken stop)
    {
        using var progress = console.Progress("map");
        if (arguments.Json) await WriteJsonAsync(chain, console, progress, stop);
        else if (console.OutIsTerminal && !arguments.All) await ShowAsync(chain, console, progress, stop);
        else
        {
            console.Out.WriteLine("offset\tlength\tkind\tlayer\tfile-offset");
            await foreach (var batch in chain.ExtentBatchesAsync(0, chain.Capacity, chain.Layers.Count, stop))
                for (var i = 0; i < batch.Length; i++) console.Out.WriteLine(string.Join('\t', Row(batch.Span[i])));
        }
        return 0;
    }

    private static string[] Row(in ChainExtent extent) =>
        [$"{extent.Offset}", $"{extent.Length}", extent.IsHole ? "preallocated" : Kinds[KindOf(extent)].Name, extent.Layer < 0 ? "" : $"{extent.Layer}", extent.FileOffset < 0 ? "" : $"{extent.FileOffset}"];

    private static int KindOf(in ChainExtent extent) => extent.Layer < 0 ? None : extent.IsZero ? Zero : extent.IsCompressed ? Compressed : Data;

    private static async Task ShowAsync(DiskChain chain, DiskConsole console, DiskProgress progress, CancellationToken stop)
    {
        var bar = new DiskBar(chain.Capacity, Math.Min(120, console.Width - 2), Kinds.Length);
        var bytes = new long[chain.Layers.Count + 1, Kinds.Length];
        var counts = new long[chain.Layers.Count + 1];
        var few = new List<ChainExtent>();
        await foreach (var batch in chain.ExtentBatchesAsync(0, chain.Capacity, chain.Layers.Count, stop))
        {
            for (var i = 0; i < batch.Length; i++)
            {
                var extent = batch.Span[i];
                var layer = extent.Layer < 0 ? chain.Layers.Count : extent.Layer;
                if (extent.Layer >= 0) bar.Add(extent.Offset, extent.Length, KindOf(extent));
                bytes[layer, KindOf(extent)] += extent.Length;
                counts[layer]++;
                if (few.Count <= FewExtents) few.Add(extent);
            }
            progress.Report((double)batch.Span[^1].End / chain.Capacity);
        }
        console.Out.WriteLine(string.Concat(bar.Columns().Select(k => k < 0 ? console.Dim("·") : console.Colour(Kinds[k].Colour, Kinds[k].Sign.ToString()))));
        console.Out.WriteLine(console.Dim($"0{DiskConsole.Size(chain.Capacity).PadLeft(Math.Min(120, console.Width - 2) - 1)}"));
        console.Out.WriteLine(string.Join("  ", Kinds.Select(k => $"{console.Colour(k.Colour == 0 ? 7 : k.Colour, k.Sign.ToString())} {k.Name}")));
        console.Table(["LAYER", "DATA", "COMPRESSED", "ZERO", "EXTENTS", "FILE"], chain.Layers.Select((l, i) => new[]
        {
            $"{i}", DiskConsole.Size(bytes[i, Data]), DiskConsole.Size(bytes[i, Compressed]), DiskConsole.Size(bytes[i, Zero]), $"{counts[i]}", l.Path,
        }));
        var extents = counts.Sum();
        if (few.Count <= FewExtents) console.Table(["OFFSET", "LENGTH", "KIND", "LAYER", "IN FILE AT"], few.Select(e => Row(e)));
        else console.Error.WriteLine($"{extents} extents; `--all` lists them, `--json` writes them as qemu-img map does");
    }

    /// <summary>
    /// As `qemu-img map --output=json` writes it. Only numbers and words of ours, and a million lines for a large disk: written by hand.
    /// </summary>
    private static async Task WriteJsonAsync(DiskChain chain, DiskConsole console, DiskProgress progress, CancellationToken stop)
    {
        await console.Out.FlushAsync(stop);
        // The longest entry has four numbers of 19 digits and less than 120 other characters.
        const int longest = 256;
        var buffer = new byte[64 << 10];
        var first = true;
        await foreach (var batch in QemuMap.ReadBatchesAsync(chain, stop))
        {
            for (var done = 0; done < batch.Length;)
            {
                var used = Write(buffer.Length - longest, buffer, batch.Span, ref done, ref first);
                await console.Raw.WriteAsync(buffer.AsMemory(0, used), stop);
            }
            progress.Report((double)batch.Span[^1].Start / chain.Capacity);
        }
        await console.Raw.WriteAsync("]\n"u8.ToArray(), stop);
        await console.Raw.FlushAsync(stop);
    }

    /// <summary>As many entries as there is room for; bytes that were written. The command runs once, so that the loop must be fast at once.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static int Write(int room, Span<byte> into, ReadOnlySpan<QemuMapEntry> entries, ref int done, ref bool first)
    {
        var used = 0;
        for (; done < entries.Length && used < room; done++, first = false) used = Write(into, used, entries[done], first);
        return used;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static int Write(Span<byte> into, int at, in QemuMapEntry entry, bool first)
    {
        Text(into, ref at, first ? "[{ \"start\": "u8 : ",\n{ \"start\": "u8);
        Number(into, ref at, entry.Start);
        Text(into, ref at, ", \"length\": "u8);
        Number(into, ref at, entry.Length);
        Text(into, ref at, ", \"depth\": "u8);
        Number(into, ref at, entry.Depth);
        Text(into, ref at, entry.Present ? ", \"present\": true"u8 : ", \"present\": false"u8);
        Text(into, ref at, entry.Zero ? ", \"zero\": true"u8 : ", \"zero\": false"u8);
        Text(into, ref at, entry.Data ? ", \"data\": true"u8 : ", \"data\": false"u8);
        if (entry.Offset is { } offset)
        {
            Text(into, ref at, ", \"offset\": "u8);
            Number(into, ref at, offset);
        }
        Text(into, ref at, "}"u8);
        return at;

        static void Text(Span<byte> into, ref int at, ReadOnlySpan<byte> text)
        {
            text.CopyTo(into[at..]);
            at += text.Length;
        }

        static void Number(Span<byte> into, ref int at, long number)
        {
            Utf8Formatter.TryFormat(number, into[at..], out var written);
            at += written;
        }
    }
}
