using System.Diagnostics;
using WeaveHypervisor.Benchmarks.Reporting;

namespace WeaveHypervisor.Benchmarks;

/// <summary>Measures figures one after the other. What one throws is in its result; only a cancellation ends the run.</summary>
public static class Runner
{
    public static async Task<IReadOnlyList<FigureResult>> RunAsync(IEnumerable<IFigure> figures, Bench bench, CancellationToken stop)
    {
        var results = new List<FigureResult>();
        foreach (var figure in figures)
        {
            stop.ThrowIfCancellationRequested();
            bench.Log($"== {figure.Id}: {figure.Goal}");
            var clock = Stopwatch.StartNew();
            var folder = Path.Combine(bench.Folder, figure.Id);
            Directory.CreateDirectory(folder);
            IReadOnlyList<Row> rows = [];
            string? error = null;
            try
            {
                rows = await figure.MeasureAsync(bench with { Folder = folder }, stop);
            }
            catch (Exception e) when (!stop.IsCancellationRequested)
            {
                error = e.Message;
                bench.Log(e.ToString());
            }
            results.Add(new(figure.Id, figure.Goal, rows, clock.Elapsed.TotalSeconds, error));
            // Who interrupts a long run has what was measured until then.
            foreach (var row in Cells.Of(results[^1])) bench.Log("   " + string.Join("  ", row.Where(c => c.Length > 0)));
        }
        return results;
    }
}
