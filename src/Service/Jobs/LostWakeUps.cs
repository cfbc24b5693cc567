using Hangfire;
using WeaveHypervisor.Model;
using WeaveHypervisor.Operations;
using WeaveHypervisor.Service.Housekeeping;
using WeaveHypervisor.Weaving;

namespace WeaveHypervisor.Service.Jobs;

/// <summary>
/// Wakes operations again whose job was lost: deleted by hand, or ended by an error of the journal. Lost is what two looks in a row found waiting, unchanged, with its environment
/// not at work and no job left in the queue. What cannot be run at all (a version of the service that is gone wrote it) is tried after 1, 2, 4, 8… looks.
/// </summary>
internal sealed partial class LostWakeUps(OperationDesk desk, OperationRunner runner, IJournal journal, JobStorage jobs, JobsOnTheWay onTheWay, WeavingOptions weaving, TimeProvider clock, HousekeepingOptions options, ILogger<LostWakeUps> log)
    : PeriodicLook(clock, options.WakeUpsEvery, log)
{
    private readonly TimeProvider _clock = clock;
    private Dictionary<OperationId, (long Revision, int Looks)> _waiting = [];

    protected override async Task LookAsync(CancellationToken stop)
    {
        var waiting = new Dictionary<OperationId, (long Revision, int Looks)>();
        if (jobs.GetMonitoringApi().EnqueuedCount(HangfireOperationQueue.QueueOf(weaving.Host)) > 0)
        {
            _waiting = waiting;
            return;
        }
        onTheWay.Forget();
        var woken = await desk.ResumeAllAsync(stop, async operation =>
        {
            if (!runner.IsOurs(operation) || runner.Runs(operation.Environment)) return true;
            // Another process is at work there; its end wakes what waits.
            if (await journal.FindLeaseAsync(operation.Environment, stop) is { } lease && lease.ExpiresAt > _clock.GetUtcNow()) return true;
            var looks = _waiting.TryGetValue(operation.Id, out var seen) && seen.Revision == operation.Revision ? seen.Looks + 1 : 0;
            waiting[operation.Id] = (operation.Revision, looks);
            return !int.IsPow2(looks);
        });
        _waiting = waiting;
        if (woken > 0) Woken(Log, woken);
    }

    [LoggerMessage(LogLevel.Warning, "{Count} operations waited with no job to run them; they are woken again.")]
    private static partial void Woken(ILogger log, int count);
}
