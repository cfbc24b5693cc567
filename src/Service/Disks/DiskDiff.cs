using WeaveHypervisor.Disks;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Service.Disks;

/// <summary>`disk diff`: in what two disks differ, and which has changed it.</summary>
internal static class DiskDiff
{
    private const int FewRanges = 40;
    /// <summary>Bytes that --hex shows at most.</summary>
    private const long MostHex = 64 << 10;
    private static readonly (char Sign, int Colour, string Name)[] Sides = [('◀', 4, "left"), ('▶', 2, "right"), ('◆', 1, "both")];

    public static async Task<int> RunAsync(DiskChain left, DiskChain right, DiskArguments arguments, DiskConsole console, CancellationToken stop)
    {
        DifferenceResult result;
        using (var progress = console.Progress("diff"))
            result = await DiskDifference.CompareAsync(left, right, new() { Granularity = arguments.Granularity, KeepRanges = !arguments.Summary || arguments.Hex || console.OutIsTerminal }, new Fraction(progress), stop);
        if (arguments.Hex && result.DifferentBytes > MostHex)
            throw new WeaveException(Fault.InvalidRequest, $"The disks differ in {result.DifferentBytes} bytes, too many to be shown as hexadecimal digits.", $"Leave --hex out; it shows up to {MostHex} bytes. A smaller --granularity counts fewer.");
        if (arguments.Json)
        {
            DiskCommand.Json(new DiskDiffView(left.Layers[0].Path, right.Layers[0].Path, result.IsEqual, result.LeftCapacity, result.RightCapacity, result.CommonLayer?.Path, result.LeftOnlyBytes, result.RightOnlyBytes, result.BothBytes,
                result.RangeCount, result.ComparedBytes, result.BytesRead, arguments.Summary ? null : [.. result.Ranges.Select(r => new DiskRangeView(r.Offset, r.Length, Sides[(int)r.Side].Name))]), DiskJson.Default.DiskDiffView, console);
            return 0;
        }
        if (arguments.Summary || console.OutIsTerminal) Summarize(left, right, result, console);
        if (!arguments.Summary && result.RangeCount > 0 && (!console.OutIsTerminal || arguments.All || result.RangeCount <= FewRanges))
            console.Table(["OFFSET", "LENGTH", "SIDE"], result.Ranges.Select(r => new[] { $"{r.Offset}", $"{r.Length}", Sides[(int)r.Side].Name }));
        else if (!arguments.Summary && result.RangeCount > FewRanges) console.Error.WriteLine($"{result.RangeCount} ranges; `--all` lists them");
        if (arguments.Hex) await HexAsync(left, right, result, console, stop);
        return 0;
    }

    private static void Summarize(DiskChain left, DiskChain right, DifferenceResult result, DiskConsole console)
    {
        var capacity = Math.Max(result.LeftCapacity, result.RightCapacity);
        if (console.OutIsTerminal)
        {
            var bar = new DiskBar(capacity, Math.Min(120, console.Width - 2), Sides.Length);
            foreach (var range in result.Ranges) bar.Add(range.Offset, range.Length, (int)range.Side);
            console.Out.WriteLine(string.Concat(bar.Columns().Select(k => k < 0 ? console.Dim("·") : console.Colour(Sides[k].Colour, Sides[k].Sign.ToString()))));
            console.Out.WriteLine(console.Dim($"0{DiskConsole.Size(capacity).PadLeft(Math.Min(120, console.Width - 2) - 1)}"));
            console.Out.WriteLine(string.Join("  ", Sides.Select(s => $"{console.Colour(s.Colour, s.Sign.ToString())} {(s.Name == "both" ? "changed by both" : $"changed by {s.Name} alone")}")));
        }
        console.Facts([
            ("left", left.Layers[0].Path), ("right", right.Layers[0].Path),
            ("common layer", result.CommonLayer?.Path ?? "none: all of both disks was compared, and nothing tells who has changed what"),
            ("result", result.IsEqual ? "equal" : result.RangeCount == 0 ? "equal, but of different capacity" : $"{console.Bytes(result.DifferentBytes)} differ in {result.RangeCount} ranges"),
            ("changed by left alone", console.Bytes(result.LeftOnlyBytes)), ("changed by right alone", console.Bytes(result.RightOnlyBytes)), (result.CommonLayer is null ? "different" : "changed by both", console.Bytes(result.BothBytes)),
            ("capacity", result.LeftCapacity == result.RightCapacity ? console.Bytes(capacity) : $"{console.Bytes(result.LeftCapacity)} left, {console.Bytes(result.RightCapacity)} right"),
            ("compared", console.Bytes(result.ComparedBytes)), ("read", console.Bytes(result.BytesRead)),
        ]);
    }

    /// <summary>Lines of 16 bytes in which the disks differ, left above right.</summary>
    private static async Task HexAsync(DiskChain left, DiskChain right, DifferenceResult result, DiskConsole console, CancellationToken stop)
    {
        foreach (var range in result.Ranges)
        {
            var (one, two) = (await ReadAsync(left, range, stop), await ReadAsync(right, range, stop));
            for (var at = 0; at < one.Length; at += 16)
            {
                var length = Math.Min(16, one.Length - at);
                if (one.AsSpan(at, length).SequenceEqual(two.AsSpan(at, length))) continue;
                console.Out.WriteLine($"{range.Offset + at:x12} < {Digits(one, two, at, length, console)}");
                console.Out.WriteLine($"{"",12} > {Digits(two, one, at, length, console)}");
            }
        }
    }

    private static string Digits(byte[] bytes, byte[] others, int at, int length, DiskConsole console) =>
        string.Join(' ', Enumerable.Range(at, length).Select(i => bytes[i] == others[i] ? $"{bytes[i]:x2}" : console.Colour(1, $"{bytes[i]:x2}")))
        + new string(' ', (16 - length) * 3) + "  " + string.Concat(Enumerable.Range(at, length).Select(i => bytes[i] is >= 0x20 and < 0x7f ? (char)bytes[i] : '.'));

    /// <summary>Behind its end a disk counts as zeroes.</summary>
    private static async Task<byte[]> ReadAsync(DiskChain chain, DifferenceRange range, CancellationToken stop)
    {
        var bytes = new byte[range.Length];
        var within = (int)Math.Clamp(chain.Capacity - range.Offset, 0, range.Length);
        if (within > 0) await chain.ReadAsync(range.Offset, bytes.AsMemory(0, within), stop);
        return bytes;
    }

    private sealed class Fraction(DiskProgress progress) : IProgress<DifferenceProgress>
    {
        public void Report(DifferenceProgress value) => progress.Report((double)value.Position / value.Capacity);
    }
}
