using WeaveHypervisor.Model;
using WeaveHypervisor.Operations;
using WeaveHypervisor.Service.Housekeeping;

namespace WeaveHypervisor.Service.Jobs;

/// <summary>
/// Takes over the work of a process of this host that has died: an environment with unfinished work whose lease ran out without being given back, and at the start what an earlier life of this
/// process held. It runs here at once, with no job: those of the dead one are still counted as being done.
/// </summary>
internal sealed partial class TakingOver(OperationDesk desk, OperationRunner runner, IJournal journal, TimeProvider clock, HousekeepingOptions options, ILogger<TakingOver> log)
    : PeriodicLook(clock, options.TakeOverEvery, log)
{
    private readonly TimeProvider _clock = clock;
    private readonly List<Task> _taken = [];

    /// <summary>Looks now; answers how many environments were taken over.</summary>
    public async Task<int> TakeAsync(CancellationToken stop)
    {
        var count = 0;
        foreach (var operation in (await desk.OldestUnfinishedAsync(stop)).Where(o => runner.IsOurs(o) && !runner.Runs(o.Environment)))
        {
            if (await journal.FindLeaseAsync(operation.Environment, stop) is not { } lease || (lease.ExpiresAt > _clock.GetUtcNow() && lease.Owner != runner.Owner)) continue;
            TakenOver(Log, operation.Environment, lease.Owner);
            _taken.Add(RunAsync(operation.Environment, stop));
            count++;
        }
        return count;
    }

    protected override async Task LookAsync(CancellationToken stop)
    {
        _taken.RemoveAll(t => t.IsCompleted);
        await TakeAsync(stop);
    }

    public override async Task StopAsync(CancellationToken cancellationToken)
    {
        await base.StopAsync(cancellationToken);
        await Task.WhenAll(_taken);
    }

    private async Task RunAsync(EnvironmentId environment, CancellationToken stop)
    {
        try
        {
            await Task.Run(() => runner.RunEnvironmentAsync(environment, stop), stop);
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
        }
        catch (Exception e)
        {
            // It stays in the journal, and the next look finds it.
            NotEnded(Log, e, environment);
        }
    }

    [LoggerMessage(LogLevel.Warning, "The work of environment {Environment} is taken over from {Owner}, which has ended without giving it back.")]
    private static partial void TakenOver(ILogger log, EnvironmentId environment, string owner);
    [LoggerMessage(LogLevel.Warning, "The work of environment {Environment}, which was taken over, could not be ended.")]
    private static partial void NotEnded(ILogger log, Exception e, EnvironmentId environment);
}
