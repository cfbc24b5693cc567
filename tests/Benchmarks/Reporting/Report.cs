namespace WeaveHypervisor.Benchmarks.Reporting;

public enum Verdict { Reached, Missed, Failed, Measured }

/// <summary>What one figure came to.</summary>
/// <param name="Seconds">How long measuring took.</param>
/// <param name="Error">Why it could not be measured (to the end); its rows are those that were complete.</param>
public sealed record FigureResult(string Id, string Goal, IReadOnlyList<Row> Rows, double Seconds, string? Error = null)
{
    /// <summary>Missed where one row is; Measured where no row has a goal.</summary>
    public Verdict Verdict => Error is not null ? Verdict.Failed : Rows.Any(r => r.Check is { Reached: false }) ? Verdict.Missed : Rows.Any(r => r.Check is not null) ? Verdict.Reached : Verdict.Measured;
}

/// <summary>The machine that the figures are of.</summary>
/// <param name="Accelerator">kvm or tcg.</param>
/// <param name="LoadBefore">Load averages of 1, 5 and 15 minutes.</param>
/// <param name="BusyBefore">Part of the processors' time, 0 to 1, that others took in a moment before the run; so after it.</param>
/// <param name="Warnings">Why the figures may not be honest.</param>
public sealed record MachineFacts(string Processor, int Cores, double MemoryGiB, string Kernel, string System, string Libvirt, string Qemu, string Accelerator, DateTimeOffset At,
    string LoadBefore, string LoadAfter, double BusyBefore, double BusyAfter, IReadOnlyList<string> Warnings);

/// <param name="Version">Commit that was measured, or "unknown".</param>
/// <param name="Repetitions">Of each side, where a row says nothing else.</param>
/// <param name="PageCache">State of the page cache on both sides.</param>
public sealed record Report(MachineFacts Machine, string Version, bool Quick, int Repetitions, string PageCache, double Seconds, IReadOnlyList<FigureResult> Figures)
{
    /// <summary>One line that says how it went.</summary>
    public string Summary => string.Join(", ", Figures.GroupBy(f => f.Verdict).OrderBy(g => g.Key).Select(g => $"{g.Count()} {g.Key.ToString().ToLowerInvariant()}"));
}
