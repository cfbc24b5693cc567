using Microsoft.Extensions.Logging;
using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Inspecting;
using WeaveHypervisor.HyperV.SelfTest.Trials;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.HyperV.SelfTest;

/// <summary>
/// Finds out by trying what a host does that neither documentation nor code proves, and records it where captures read it (<see cref="CapabilityStore"/>). Takes one to a few minutes, 64 MB of memory (128 for a moment) and some
/// tens of MB in its own folder; touches nothing that it has not made, and removes all of it, after failures too and, where the process died, at the next run.
/// That memory was resumed is told by the machine being saved after its import (EnabledState 6), by its start having been a restore (JobType 15), and, of machines of the first generation and where their serial port can be
/// heard, by a guest that counts in its memory (<see cref="CountingSector"/>). No guest runs in its machines of the second generation.
/// </summary>
public sealed partial class HostSelfTest
{
    private readonly DriverContext _context;
    private static readonly TimeSpan SweepPatience = TimeSpan.FromMinutes(10), Settles = TimeSpan.FromSeconds(15);
    private readonly ILogger _log;

    /// <summary>Checks the settings (InvalidRequest) and touches nothing else. The client and the files are the caller's to dispose of.</summary>
    public HostSelfTest(HyperVOptions options, ICimClient client, IHostFiles files, TimeProvider clock, ILoggerFactory loggers) : this(new(options, client, files, clock, loggers)) => options.Validate();

    internal HostSelfTest(DriverContext context) => (_context, _log) = (context, context.Loggers.CreateLogger<HostSelfTest>());

    /// <summary>A record as it is kept: JSON with names in camel case.</summary>
    public static string ToJson(CapabilityRecord record) => System.Text.Json.JsonSerializer.Serialize(record, CapabilityJson.Default.CapabilityRecord);

    /// <summary>Keeps a record as if it had been found out by a run: for hosts of which all is known.</summary>
    public static Task KeepAsync(HyperVOptions options, ICimClient client, IHostFiles files, CapabilityRecord record, CancellationToken stop) => new CapabilityStore(options, files, new(client)).WriteAsync(record, stop);

    private static IReadOnlyList<IHostTrial> Trials() =>
        [new SchemaTrial(), new TextTrial(), new LayerTrial(), new CheckpointTrial(), new RouteTrial(), new ProofTrial(), new TwinsTrial(), new MergeTrial(), new IdentityTrial(), new TranslationTrial()];

    /// <summary>
    /// Runs all trials and keeps the record. Where the host does not answer, or does not say how something ended, the run is broken off and nothing is recorded: the error is that of the host. Unavailable where
    /// something could not be removed.
    /// </summary>
    /// <param name="told">Called with each answer as it comes.</param>
    public async Task<CapabilityRecord> RunAsync(Action<TrialAnswer>? told, CancellationToken stop)
    {
        var sweep = new TrialSweep(_context);
        var run = new TrialRun(_context, new(_context), sweep, told ?? (_ => { }));
        var build = await _context.Services.BuildAsync(stop);
        await _context.Services.SystemsAsync(stop);
        await SweepAsync(sweep, stop);
        try
        {
            foreach (var trial in Trials())
                await HyperVFaults.DoAsync(() => trial.AskAsync(run, stop), $"The self-test ('{trial.Name}')");
        }
        catch (Exception e)
        {
            await ClearAfterAsync(sweep, e);
            throw;
        }
        await SweepAsync(sweep, stop);
        var last = new TrialAnswer("sweep", "nothing of the self-test is left on the host", TrialOutcome.Ok, "no machine, import, switch, translation or file of it");
        told?.Invoke(last);
        var record = run.Found with { TestedAt = _context.Clock.GetUtcNow(), Build = build, Answers = [.. run.Answers, last] };
        await _context.Record.WriteAsync(record, stop);
        return record;
    }

    private static Task SweepAsync(TrialSweep sweep, CancellationToken stop) => HyperVFaults.DoAsync(() => sweep.RunAsync(stop), "Removing what the self-test made");

    /// <summary>
    /// The error that ended the run is the one that is told; what could not be removed is removed by the next run. A call whose answer was lost may still be making something: so it is looked again after a while.
    /// </summary>
    private async Task ClearAfterAsync(TrialSweep sweep, Exception cause)
    {
        using var limit = new CancellationTokenSource(SweepPatience, _context.Clock);
        try
        {
            await SweepAsync(sweep, limit.Token);
            await Task.Delay(Settles, _context.Clock, limit.Token);
            await SweepAsync(sweep, limit.Token);
        }
        catch (Exception e) when (e is WeaveException or OperationCanceledException)
        {
            NotSwept(_log, e, cause.Message);
        }
    }

    [LoggerMessage(LogLevel.Warning, "After '{Cause}' not all of the self-test could be removed; its next run does so first.")]
    private static partial void NotSwept(ILogger log, Exception e, string cause);
}
