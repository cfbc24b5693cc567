using WeaveHypervisor.Benchmarks.Reporting;

namespace WeaveHypervisor.Benchmarks;

/// <summary>One figure of the table, measured beside what it is compared with, in the same run and by turns. <see cref="Program.Figures"/> lists them.</summary>
public interface IFigure
{
    /// <summary>"P1".</summary>
    string Id { get; }
    /// <summary>What is to be reached, in words.</summary>
    string Goal { get; }

    /// <summary>
    /// Measures; the goals are in the rows' checks. What it makes it removes itself, also after an error; files go below <see cref="Bench.Folder"/>, which is removed at the end in any case.
    /// An exception ends this figure only, and stands in the report.
    /// </summary>
    Task<IReadOnlyList<Row>> MeasureAsync(Bench bench, CancellationToken stop);
}

/// <summary>What a figure finds when it begins.</summary>
/// <param name="Folder">A folder of its own, empty, removed at the end of the run.</param>
/// <param name="Settings">What was asked for.</param>
/// <param name="Log">Progress for who waits.</param>
/// <param name="Stage">Guests and the service, for figures that need them.</param>
public sealed record Bench(string Folder, Arguments Settings, Action<string> Log, Stage Stage)
{
    /// <summary>Fewer and smaller: to see whether it works, and roughly where it stands.</summary>
    public bool Quick => Settings.Quick;
    /// <summary>How often each side is measured.</summary>
    public int Repetitions => Settings.Turns ?? (Quick ? 3 : 10);
    /// <summary>MiB of the largest machine.</summary>
    public int Largest => Settings.Largest;
    /// <summary>MiB of the machines that are copied; the first and the last stand for small and large.</summary>
    public IReadOnlyList<int> Sizes => Quick || Largest == 512 ? [256, Largest] : [256, Largest / 2, Largest];
}
