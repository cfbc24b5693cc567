using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Spectre.Console;
using WeaveHypervisor.Client;
using WeaveHypervisor.Client.V1;

namespace WeaveHypervisor.Cli.Rendering;

/// <summary>Data to standard output: JSON where asked for, a table on a terminal, tab-separated lines with a head line in a pipe. All else to standard error.</summary>
internal sealed class Output(CliHost host, bool json)
{
    public bool IsJson => json;
    public CliHost Host => host;

    public void Json<T>(T value, JsonTypeInfo<T> type)
    {
        using var buffer = new MemoryStream();
        using (var writer = new Utf8JsonWriter(buffer, new JsonWriterOptions { Indented = true, Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping })) JsonSerializer.Serialize(writer, value, type);
        host.Out.WriteLine(Encoding.UTF8.GetString(buffer.ToArray()));
    }

    /// <summary>A JSON array of items.</summary>
    public void JsonList<T>(IReadOnlyList<T> items, JsonTypeInfo<T> type)
    {
        using var buffer = new MemoryStream();
        using (var writer = new Utf8JsonWriter(buffer, new JsonWriterOptions { Indented = true, Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping }))
        {
            writer.WriteStartArray();
            foreach (var item in items) JsonSerializer.Serialize(writer, item, type);
            writer.WriteEndArray();
        }
        host.Out.WriteLine(Encoding.UTF8.GetString(buffer.ToArray()));
    }

    public void Table(IReadOnlyList<string> heads, IEnumerable<IReadOnlyList<string>> rows, string? empty = null)
    {
        var all = rows.ToList();
        if (!host.OutIsTerminal)
        {
            host.Out.WriteLine(string.Join('\t', heads.Select(h => h.ToLowerInvariant())));
            foreach (var row in all) host.Out.WriteLine(string.Join('\t', row.Select(Cell)));
            return;
        }
        if (all.Count == 0)
        {
            host.Error.WriteLine(empty ?? "nothing");
            return;
        }
        var table = new Table { Border = TableBorder.None, ShowHeaders = true, Expand = false };
        foreach (var head in heads) table.AddColumn(new TableColumn(new Text(head, new Style(decoration: Decoration.Dim))) { Padding = new Padding(0, 0, 2, 0), NoWrap = true });
        foreach (var row in all) table.AddRow(row.Select(c => new Text(Cell(c), Colours.Of(c))));
        host.OpenConsole(error: false).Write(table);
    }

    /// <summary>Names and values of one thing.</summary>
    public void Facts(IEnumerable<(string Name, string? Value)> facts)
    {
        var all = facts.Where(f => !string.IsNullOrEmpty(f.Value)).ToList();
        if (!host.OutIsTerminal)
        {
            foreach (var (name, value) in all) host.Out.WriteLine($"{name}\t{Cell(value!)}");
            return;
        }
        var grid = new Grid().AddColumn(new GridColumn { NoWrap = true, Padding = new Padding(0, 0, 2, 0) }).AddColumn();
        foreach (var (name, value) in all) grid.AddRow(new Text(name, new Style(decoration: Decoration.Dim)), new Text(Cell(value!), Colours.Of(value!)));
        host.OpenConsole(error: false).Write(grid);
    }

    public void Line(string text) => host.Out.WriteLine(text);
    public void Note(string text) => host.Error.WriteLine(text);

    /// <summary>Answers the exit code that belongs to the problem.</summary>
    public int Problem(ApiException error)
    {
        if (json) Json(error.Problem, V1Json.Default.Problem);
        var console = host.OpenConsole(error: true);
        console.Write(new Text("weave: ", new Style(Color.Red)));
        console.WriteLine(error.Message);
        if (error.Problem.Holders is { Count: > 0 } holders) console.WriteLine($"  held by: {string.Join(", ", holders)}");
        if (error.Problem.Operation is { } operation) console.WriteLine($"  operation: {operation}");
        if (error.Problem.NextStep is { } next) console.WriteLine($"  next: {next}");
        return ExitCodes.Of(error.Fault);
    }

    private static string Cell(string text) => string.Concat(text.Select(c => char.IsControl(c) ? ' ' : c));
}

/// <summary>States have colours, so that a look is enough.</summary>
internal static class Colours
{
    public static Style Of(string text) => text switch
    {
        "running" or "succeeded" or "managed" or "ok" or "ready" => new(Color.Green),
        "paused" or "creating" or "queued" or "undoing" or "warning" or "releasing" or "capturing" => new(Color.Yellow),
        "failed" or "error" or "undone" => new(Color.Red),
        "stopped" or "off" or "deleting" => new(Color.Grey),
        _ => Style.Plain,
    };
}
