using System.Diagnostics;
using System.Runtime.InteropServices;
using Spectre.Console;
using WeaveHypervisor.Benchmarks.Figures;
using WeaveHypervisor.Benchmarks.Hosts;
using WeaveHypervisor.Benchmarks.Reporting;

namespace WeaveHypervisor.Benchmarks;

/// <summary>Measures what the product promises. Progress goes to standard error, the table to standard output. Ends with 0 where all was measured, whatever the verdicts.</summary>
public static class Program
{
    private const string PageCache = "page cache: warm on both sides, each reads what it has just written; where a row says that files are not in it, they were taken out before each side";

    /// <summary>In the order of the table.</summary>
    public static IReadOnlyList<IFigure> Figures { get; } = [new CloneTime(), new RamIndependence(), new StartCost(), new SourcePause(), new CutSkew(), new PrivatePages(), new OverlayCost(), new AllocationMap(), new SiblingDifference(), new VolumeSync(), new FurtherSnapshot(), new ServiceStart(), new FrameworkCost()];

    public static async Task<int> Main(string[] words)
    {
        Arguments arguments;
        try
        {
            arguments = Arguments.Parse(words, [.. Figures.Select(f => f.Id)]);
        }
        catch (FormatException error)
        {
            await Console.Error.WriteLineAsync($"{error.Message}\n{Arguments.Usage}");
            return 2;
        }
        using var stop = new CancellationTokenSource();
        void Stop(PosixSignalContext signal)
        {
            signal.Cancel = true;
            stop.Cancel();
        }
        using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);
        using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);
        using var hangUp = PosixSignalRegistration.Create(PosixSignal.SIGHUP, Stop);
        try
        {
            return await RunAsync(arguments, stop.Token);
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
            await Console.Error.WriteLineAsync("interrupted; all of it is removed");
            return 130;
        }
    }

    private static async Task<int> RunAsync(Arguments arguments, CancellationToken stop)
    {
        using var alone = TakeLock();
        if (alone is null)
        {
            await Console.Error.WriteLineAsync("another run of the benchmarks is at work");
            return 1;
        }
        await Names.RemoveAllAsync();
        if (arguments.Clean) return 0;
        Report report;
        var clock = Stopwatch.StartNew();
        var figures = Figures.Where(f => arguments.Figures.Count == 0 || arguments.Figures.Contains(f.Id)).ToList();
        try
        {
            Directory.CreateDirectory(Names.Folder, (UnixFileMode)Convert.ToInt32("711", 8));
            var examination = await Examination.BeginAsync(TimeProvider.System, stop);
            if (examination.Busy) Log($"This host is busy ({examination.BusyBefore:P0} of its processors): the figures will be those of somebody else's work.");
            await using var stage = new Stage(Log);
            var bench = new Bench(Names.Folder, arguments, Log, stage);
            var results = await Runner.RunAsync(figures, bench, stop);
            if (results.Any(r => r.Error is not null) && File.Exists(Path.Combine(Names.Folder, "service.log")))
                foreach (var line in File.ReadLines(Path.Combine(Names.Folder, "service.log")).TakeLast(20)) Log("service: " + line);
            await stage.DisposeAsync();
            await Names.RemoveAllAsync();
            report = new(await examination.EndAsync(stop), await VersionAsync(stop), arguments.Quick, bench.Repetitions, PageCache, clock.Elapsed.TotalSeconds, results);
        }
        finally
        {
            await Names.RemoveAllAsync();
        }
        if (arguments.Json is { } json) await File.WriteAllTextAsync(json, ReportJson.Write(report), CancellationToken.None);
        if (arguments.Markdown is { } markdown) await File.WriteAllTextAsync(markdown, MarkdownReport.Write(report), CancellationToken.None);
        var console = AnsiConsole.Create(new AnsiConsoleSettings());
        if (Console.IsOutputRedirected) console.Profile.Width = 200;
        TerminalReport.Write(report, console);
        return report.Figures.Any(f => f.Error is not null) ? 1 : 0;
    }

    private static void Log(string text) => Console.Error.WriteLine(text);

    private static FileStream? TakeLock()
    {
        try
        {
            return new FileStream("/run/lock/weave-benchmarks", FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (IOException)
        {
            return null;
        }
    }

    private static async Task<string> VersionAsync(CancellationToken stop)
    {
        try
        {
            var said = await Shell.RunAsync("git", ["-C", AppContext.BaseDirectory, "describe", "--always", "--dirty"], stop);
            return said.Exit == 0 ? said.Output.Trim() : "unknown";
        }
        catch (System.ComponentModel.Win32Exception)
        {
            return "unknown";
        }
    }
}
