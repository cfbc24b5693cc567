using WeaveHypervisor.Benchmarks.Reporting;

namespace WeaveHypervisor.Benchmarks.Tests;

public sealed class RunTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("weave-benchmarks-tests-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private sealed class Figure(string id, Func<CancellationToken, IReadOnlyList<Row>> measure) : IFigure
    {
        public string Id => id;
        public string Goal => "goal of " + id;
        public Task<IReadOnlyList<Row>> MeasureAsync(Bench bench, CancellationToken stop) => Task.FromResult(measure(stop));
    }

    private Bench Bench => new(_folder, Arguments.Parse(["--quick"], []), _ => { }, new Stage(_ => { }));

    [Fact]
    public async Task A_figure_that_fails_does_not_end_the_run()
    {
        var results = await Runner.RunAsync([new Figure("A", _ => throw new InvalidOperationException("no guest")), new Figure("B", _ => [new("x", "ms", Samples.Of(1))])], Bench, default);
        Assert.Equal(["no guest", null], results.Select(r => r.Error));
        Assert.Single(results[1].Rows);
    }

    [Fact]
    public async Task A_cancellation_ends_the_run()
    {
        using var stop = new CancellationTokenSource();
        var second = false;
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => Runner.RunAsync(
            [new Figure("A", _ => { stop.Cancel(); return []; }), new Figure("B", _ => { second = true; return []; })], Bench, stop.Token));
        Assert.False(second);
    }

    [Fact]
    public void Arguments_name_figures_in_any_case_and_files()
    {
        var arguments = Arguments.Parse(["p1", "--quick", "P14", "--turns", "5", "--largest", "512", "--json", "a.json", "--markdown", "b.md"], ["P1", "P14"]);
        Assert.Equal(["P1", "P14"], arguments.Figures);
        Assert.Equal((true, false, "a.json", "b.md", 5, 512), (arguments.Quick, arguments.Clean, arguments.Json, arguments.Markdown, arguments.Turns, arguments.Largest));
    }

    [Theory]
    [InlineData("P99")]
    [InlineData("--json")]
    [InlineData("--fast")]
    [InlineData("--turns 0")]
    [InlineData("--largest 1000")]
    public void What_is_no_argument_is_refused(string words) => Assert.Throws<FormatException>(() => Arguments.Parse(words.Split(' '), ["P1"]));

    [Fact]
    public void A_full_run_has_ten_turns_and_three_sizes_a_quick_one_three_and_two()
    {
        Assert.Equal((3, 2), (Bench.Repetitions, Bench.Sizes.Count));
        var full = Bench with { Settings = Arguments.Parse([], []) };
        Assert.Equal(10, full.Repetitions);
        Assert.Equal([256, 1024, 2048], full.Sizes);
    }

    [Fact]
    public void Every_figure_has_an_id_and_a_goal_of_its_own()
    {
        Assert.Equal(Program.Figures.Count, Program.Figures.Select(f => f.Id).Distinct().Count());
        Assert.All(Program.Figures, f => Assert.NotEmpty(f.Goal));
    }
}
