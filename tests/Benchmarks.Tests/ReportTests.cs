using System.Text.Json;
using Spectre.Console.Testing;
using WeaveHypervisor.Benchmarks.Reporting;

namespace WeaveHypervisor.Benchmarks.Tests;

public sealed class ReportTests
{
    private static readonly Row Good = new("copy at 2 GiB", "ms", Samples.Of(500, 400, 600), "virsh save + restore", Samples.Of(5000, 6000, 4000), new("ratio", 10, Sense.AtLeast, 8, "×"), "from | a pipe");
    private static readonly Row Bad = new("pause", "ms", Samples.Of(300), null, null, new("p99", 300, Sense.AtMost, 250, "ms"));
    private static readonly Row Plain = new("for information", "MiB", Samples.Of(0.05));

    private static Report With(params FigureResult[] figures) =>
        new(new("some processor", 2, 23.5, "6.1", "Debian 12", "9.0.0", "7.2.22", "tcg", new(2026, 11, 25, 1, 2, 0, TimeSpan.Zero), "0.1 0.2 0.3", "1 1 1", 0.02, 0.4, ["other work took 40 %"]), "abc", true, 3, "page cache: warm", 90, figures);

    [Theory]
    [InlineData(Sense.AtLeast, 8, 8, true)]
    [InlineData(Sense.AtLeast, 7.99, 8, false)]
    [InlineData(Sense.AtMost, 8, 8, true)]
    [InlineData(Sense.AtMost, 8.01, 8, false)]
    [InlineData(Sense.AtMost, double.NaN, 8, false)]
    public void A_bound_itself_is_reached_and_what_is_no_number_is_not(Sense sense, double value, double bound, bool reached) => Assert.Equal(reached, new Check("x", value, sense, bound).Reached);

    [Fact]
    public void A_ratio_is_of_medians() => Assert.Equal(10, Check.Faster(Good.Ours, Good.Theirs!, 8).Value);

    [Fact]
    public void One_missed_row_misses_the_figure_and_an_error_outweighs_both()
    {
        Assert.Equal(Verdict.Reached, new FigureResult("P1", "", [Good, Plain], 1).Verdict);
        Assert.Equal(Verdict.Missed, new FigureResult("P1", "", [Good, Bad], 1).Verdict);
        Assert.Equal(Verdict.Measured, new FigureResult("P1", "", [Plain], 1).Verdict);
        Assert.Equal(Verdict.Failed, new FigureResult("P1", "", [Good], 1, "no guest").Verdict);
        Assert.Equal("1 reached, 1 missed", With(new FigureResult("P1", "", [Bad], 1), new FigureResult("P2", "", [Good], 1)).Summary);
    }

    [Fact]
    public void Markdown_has_a_row_of_equal_width_for_each_row_and_escapes_what_would_end_a_cell()
    {
        var lines = MarkdownReport.Write(With(new FigureResult("P1", "8× | faster", [Good, Bad, Plain], 1), new FigureResult("P2", "g", [], 1, "broke\noff"))).Split('\n');
        var table = lines.Where(l => l.StartsWith('|')).ToList();
        Assert.Equal(2 + 3 + 1, table.Count);
        Assert.All(table, l => Assert.Equal(Cells.Heads.Count + 1, l.Replace("\\|", "", StringComparison.Ordinal).Count(c => c == '|')));
        Assert.Contains("| P1 | copy at 2 GiB | 500 ms | 600 | virsh save + restore | 5000 ms | 6000 | ≥ 8× | 10× | reached |", lines);
        Assert.Contains("|  | pause | 300 ms | 300 |  |  |  | ≤ 250 ms | 300 ms | **missed** |", lines);
        Assert.Contains("| P2 | broke off |  |  |  |  |  |  |  | **failed** |", lines);
        Assert.Contains("- P1 (missed): 8× \\| faster", lines);
        Assert.Contains("- NOT HONEST: other work took 40 %", lines);
    }

    [Fact]
    public void The_terminal_shows_every_row_and_the_machine()
    {
        using var console = new TestConsole();
        console.Profile.Width = 220;
        TerminalReport.Write(With(new FigureResult("P1", "faster", [Good, Bad], 1)), console);
        foreach (var part in new[] { "TCG", "copy at 2 GiB", "virsh save + restore", "missed", "≥ 8×", "some processor, 2 cores, 23.5 GiB", "1 missed" }) Assert.Contains(part, console.Output, StringComparison.Ordinal);
    }

    [Fact]
    public void Json_has_every_value_and_the_verdicts()
    {
        var root = JsonDocument.Parse(ReportJson.Write(With(new FigureResult("P1", "faster", [Good], 1)))).RootElement;
        var figure = root.GetProperty("figures")[0];
        Assert.Equal("Reached", figure.GetProperty("verdict").GetString());
        Assert.Equal([500, 400, 600], figure.GetProperty("rows")[0].GetProperty("ours").GetProperty("values").EnumerateArray().Select(v => v.GetDouble()));
        Assert.True(figure.GetProperty("rows")[0].GetProperty("check").GetProperty("reached").GetBoolean());
        Assert.Equal(2, root.GetProperty("machine").GetProperty("cores").GetInt32());
    }

    [Theory]
    [InlineData(0, "0")]
    [InlineData(0.042, "0.0420")]
    [InlineData(0.42, "0.42")]
    [InlineData(4.234, "4.23")]
    [InlineData(42.34, "42.3")]
    [InlineData(4234.4, "4234")]
    public void Numbers_have_the_digits_that_count(double value, string text) => Assert.Equal(text, Numbers.Text(value));
}
