using System.Globalization;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;
using Spectre.Console;

namespace WeaveHypervisor.Benchmarks.Reporting;

[JsonSourceGenerationOptions(JsonSerializerDefaults.Web, WriteIndented = true, UseStringEnumConverter = true, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(Report))]
public sealed partial class ReportJson : JsonSerializerContext
{
    /// <summary>The whole report with every single value.</summary>
    public static string Write(Report report)
    {
        using var buffer = new MemoryStream();
        using (var writer = new Utf8JsonWriter(buffer, new() { Indented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping })) JsonSerializer.Serialize(writer, report, Default.Report);
        return Encoding.UTF8.GetString(buffer.ToArray());
    }
}

/// <summary>The cells that terminal and Markdown share.</summary>
public static class Cells
{
    public static readonly IReadOnlyList<string> Heads = ["", "What", "weave", "p90", "beside", "", "p90", "goal", "measured", "verdict"];

    public static IEnumerable<IReadOnlyList<string>> Of(FigureResult figure)
    {
        var first = true;
        foreach (var row in figure.Rows)
        {
            yield return
            [
                first ? figure.Id : "", row.Name, $"{Numbers.Text(row.Ours.Median)} {row.Unit}", Numbers.Text(row.Ours.P90), row.Beside ?? "", row.Theirs is { } t ? $"{Numbers.Text(t.Median)} {row.Unit}" : "",
                row.Theirs is { } u ? Numbers.Text(u.P90) : "", row.Check?.GoalText ?? "", row.Check?.ValueText ?? (row.Ratio is { } r ? Numbers.WithUnit(r, "×") : ""),
                row.Check is { } c ? c.Reached ? "reached" : "missed" : "",
            ];
            first = false;
        }
        if (figure.Error is { } error) yield return [first ? figure.Id : "", error, "", "", "", "", "", "", "", "failed"];
    }

    /// <summary>The head of a report: what was measured where, one line each.</summary>
    public static IEnumerable<string> Head(Report report)
    {
        var m = report.Machine;
        yield return string.Create(CultureInfo.InvariantCulture, $"{m.At:yyyy-MM-dd HH:mm} UTC, version {report.Version}, {(report.Quick ? "quick run, " : "")}{report.Repetitions} repetitions by turns, {report.Seconds / 60:0.0} min");
        yield return string.Create(CultureInfo.InvariantCulture, $"{m.Processor}, {m.Cores} cores, {m.MemoryGiB:0.0} GiB; {m.System}, Linux {m.Kernel}; QEMU {m.Qemu}, libvirt {m.Libvirt}, {(m.Accelerator == "kvm" ? "KVM" : "TCG (no KVM)")}");
        yield return string.Create(CultureInfo.InvariantCulture, $"load {m.LoadBefore} before, {m.LoadAfter} after; processors busy with other work {m.BusyBefore:P0} before, {m.BusyAfter:P0} after");
        yield return report.PageCache;
        foreach (var warning in m.Warnings) yield return "NOT HONEST: " + warning;
    }

    /// <summary>What stands below the table: the goals in words, and the notes of rows.</summary>
    public static IEnumerable<string> Feet(Report report)
    {
        foreach (var figure in report.Figures)
        {
            yield return $"{figure.Id} ({figure.Verdict.ToString().ToLowerInvariant()}): {figure.Goal}";
            foreach (var row in figure.Rows.Where(r => r.Note is not null)) yield return $"  {row.Name}: {row.Note}";
        }
    }
}

/// <summary>For the README.</summary>
public static class MarkdownReport
{
    public static string Write(Report report)
    {
        var text = new StringBuilder();
        foreach (var line in Cells.Head(report)) text.Append("- ").AppendLine(Escape(line));
        text.AppendLine().Append("| ").AppendJoin(" | ", Cells.Heads).AppendLine(" |").Append('|').AppendJoin("|", Cells.Heads.Select(_ => "---")).AppendLine("|");
        foreach (var row in report.Figures.SelectMany(Cells.Of)) text.Append("| ").AppendJoin(" | ", row.Select((c, i) => i == 9 && c is "missed" or "failed" ? $"**{c}**" : Escape(c))).AppendLine(" |");
        text.AppendLine();
        foreach (var line in Cells.Feet(report)) text.Append(line.StartsWith(' ') ? "  - " : "- ").AppendLine(Escape(line.Trim()));
        text.AppendLine().AppendLine(report.Summary + ".");
        return text.ToString();
    }

    private static string Escape(string cell) => cell.Replace("|", "\\|", StringComparison.Ordinal).Replace("\n", " ", StringComparison.Ordinal);
}

/// <summary>For people at a terminal; plain text in a pipe.</summary>
public static class TerminalReport
{
    public static void Write(Report report, IAnsiConsole console)
    {
        foreach (var line in Cells.Head(report)) console.Write(new Text(line + "\n", line.StartsWith("NOT", StringComparison.Ordinal) ? new Style(Color.Red) : Style.Plain));
        var table = new Table { Border = TableBorder.Rounded, Expand = false };
        foreach (var head in Cells.Heads) table.AddColumn(new TableColumn(new Text(head)) { NoWrap = head is not ("What" or "beside") });
        foreach (var figure in report.Figures)
            foreach (var row in Cells.Of(figure))
                table.AddRow(row.Select(c => new Text(c, c is "missed" or "failed" ? new Style(Color.Red) : c == "reached" ? new Style(Color.Green) : Style.Plain)));
        console.Write(table);
        foreach (var line in Cells.Feet(report)) console.Write(new Text(line + "\n"));
        console.Write(new Text("\n" + report.Summary + "\n"));
    }
}
