using System.Globalization;
using System.Text;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Service.Disks;

/// <summary>Where `disk` writes to: data to standard output, a table on a terminal and tab-separated lines with a head line in a pipe; all else to standard error.</summary>
internal sealed class DiskConsole
{
    public required TextWriter Out { get; init; }
    public required TextWriter Error { get; init; }
    /// <summary>Bytes to standard output, for what is large; <see cref="Out"/> must be flushed before.</summary>
    public required Stream Raw { get; init; }
    public bool OutIsTerminal { get; init; }
    public bool ErrorIsTerminal { get; init; }
    public bool Colours { get; init; }
    /// <summary>Columns of the terminal.</summary>
    public int Width { get; init; } = 100;
    public TimeProvider Clock { get; init; } = TimeProvider.System;

    public static DiskConsole FromProcess()
    {
        var terminal = Environment.GetEnvironmentVariable("WEAVE_COLOR") == "always" || !Console.IsOutputRedirected;
        var width = 100;
        try
        {
            if (!Console.IsOutputRedirected) width = Math.Max(40, Console.WindowWidth);
        }
        catch (IOException)
        {
            // A terminal that does not tell its width.
        }
        // The console's own writer hands over every line by itself: much too slow for the million lines of a large map.
        var raw = Console.OpenStandardOutput();
        return new()
        {
            Out = new StreamWriter(raw, new UTF8Encoding(false), 64 << 10) { AutoFlush = !Console.IsOutputRedirected }, Error = Console.Error, Raw = raw, OutIsTerminal = terminal, ErrorIsTerminal = !Console.IsErrorRedirected, Width = width,
            Colours = terminal && Environment.GetEnvironmentVariable("NO_COLOR") is not { Length: > 0 },
        };
    }

    public void Facts(params IEnumerable<(string Name, string? Value)> facts)
    {
        var all = facts.Where(f => !string.IsNullOrEmpty(f.Value)).ToList();
        var width = all.Max(f => f.Name.Length);
        foreach (var (name, value) in all) Out.WriteLine(OutIsTerminal ? $"{Dim(name.PadRight(width))}  {Cell(value!)}" : $"{name}\t{Cell(value!)}");
    }

    public void Table(IReadOnlyList<string> heads, IEnumerable<IReadOnlyList<string>> rows)
    {
        if (!OutIsTerminal)
        {
            Out.WriteLine(string.Join('\t', heads.Select(h => h.ToLowerInvariant())));
            foreach (var row in rows) Out.WriteLine(string.Join('\t', row.Select(Cell)));
            return;
        }
        var all = rows.Select(r => r.Select(Cell).ToList()).ToList();
        var widths = heads.Select((h, i) => Math.Max(h.Length, all.Count == 0 ? 0 : all.Max(r => r[i].Length))).ToList();
        Out.WriteLine(Dim(Line(heads)));
        foreach (var row in all) Out.WriteLine(Line(row));

        string Line(IReadOnlyList<string> cells) => string.Join("  ", cells.Select((c, i) => i == cells.Count - 1 ? c : c.PadRight(widths[i]))).TrimEnd();
    }

    public string Dim(string text) => Colours ? $"\e[2m{text}\e[0m" : text;
    /// <param name="colour">0 to 7, as terminals count.</param>
    public string Colour(int colour, string text) => Colours ? $"\e[3{colour}m{text}\e[0m" : text;

    /// <summary>Bytes for people: three digits and a unit.</summary>
    public static string Size(long bytes)
    {
        string[] units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
        var (value, unit) = ((double)bytes, 0);
        while (value >= 1024 && unit < units.Length - 1) (value, unit) = (value / 1024, unit + 1);
        return unit == 0 ? $"{bytes} B" : string.Create(CultureInfo.InvariantCulture, $"{value:0.##} {units[unit]}");
    }

    /// <summary>In tables for people sizes have units; in pipes they are numbers.</summary>
    public string Bytes(long bytes) => OutIsTerminal ? Size(bytes) : bytes.ToString(CultureInfo.InvariantCulture);

    /// <summary>How far work is, on a terminal, once it has taken a second.</summary>
    public DiskProgress Progress(string what) => new(this, what);

    private static string Cell(string text) => string.Concat(text.Select(c => char.IsControl(c) ? ' ' : c));
}

/// <summary>One line on standard error that is written over, and gone in the end.</summary>
internal sealed class DiskProgress(DiskConsole console, string what) : IProgress<double>, IDisposable
{
    private static readonly TimeSpan After = TimeSpan.FromSeconds(1), Between = TimeSpan.FromMilliseconds(200);
    private readonly long _start = console.Clock.GetTimestamp();
    private readonly Lock _gate = new();
    private TimeSpan _shown;

    /// <param name="value">From 0 to 1.</param>
    public void Report(double value)
    {
        if (!console.ErrorIsTerminal) return;
        lock (_gate)
        {
            var now = console.Clock.GetElapsedTime(_start);
            if (now < After || now - _shown < Between) return;
            _shown = now;
            console.Error.Write(string.Create(CultureInfo.InvariantCulture, $"\r{what}: {value * 100:0} %   "));
        }
    }

    public void Dispose()
    {
        if (_shown > TimeSpan.Zero) console.Error.Write("\r\e[K");
    }
}
