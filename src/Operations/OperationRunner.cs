using Microsoft.Extensions.Logging;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Operations;

/// <summary>
/// Runs the operations of environments from the journal: one at a time in each environment, in order of submission, under the environment's lease.
/// What a step is about to do is written before it is done, so a process that dies at any instant leaves an operation that a runner can take up again.
/// Safe for concurrent use; one instance per process.
/// </summary>
/// <param name="owner">Names this process in leases. A name that is the same after a restart takes its leases back at once; two processes that live at the same time must not share one.</param>
public sealed partial class OperationRunner(IJournal journal, StepCatalogue catalogue, TimeProvider clock, ProgressBoard board, string owner, RunnerOptions options,
    ILogger<OperationRunner> log)
{
    private readonly WakeUps _wakeUps = new();

    /// <summary>The name of this process in leases.</summary>
    public string Owner => owner;

    /// <summary>True for operations on this runner's host: no others are ever run.</summary>
    public bool IsOurs(Operation operation) => operation.Host is null || options.Host is null || operation.Host == options.Host;

    /// <summary>True while this process runs operations of that environment, or waits for its lease.</summary>
    public bool Runs(EnvironmentId environment) => _wakeUps.IsAtWork(environment);

    /// <summary>
    /// Runs the environment of that operation, as <see cref="RunEnvironmentAsync"/> does, until that operation has ended: what was submitted before it comes first. It goes on with operations for
    /// which this was called meanwhile (those calls end at once), up to <see cref="RunnerOptions.LongestRun"/>. Answers the operation that is to be woken next, because its own wake-up may have come
    /// and gone; null where there is none, or another run, of this process or another, ends that operation: whoever ends it wakes the next. No effect where there is no such operation, it has ended,
    /// or it is another host's.
    /// </summary>
    public async Task<OperationId?> RunAsync(OperationId id, CancellationToken stop)
    {
        if ((board.Known(id) ?? await journal.FindAsync(id, stop).ConfigureAwait(false)) is not { IsEnded: false } operation || !IsOurs(operation)) return null;
        return await RunAsync(operation.Environment, id, stop).ConfigureAwait(false);
    }

    /// <summary>
    /// Ends when no unfinished operation is left, or at once where this process runs the environment already (then that run does the work). Waits while another
    /// process holds the lease. Operations that fail do not fail this task: how they ended is in the journal. Throws <see cref="OperationCanceledException"/>
    /// on <paramref name="stop"/>, with the operation left as it is to be resumed; <see cref="WeaveException"/> where the journal cannot be used, or where
    /// an operation was begun by a version with other steps (<see cref="Fault.Unsupported"/>; it stays as it is).
    /// </summary>
    public Task RunEnvironmentAsync(EnvironmentId environment, CancellationToken stop) => RunAsync(environment, null, stop);

    /// <param name="wanted">Null: all.</param>
    private async Task<OperationId?> RunAsync(EnvironmentId environment, OperationId? wanted, CancellationToken stop)
    {
        if (!_wakeUps.Enter(environment, wanted)) return null;
        try
        {
            var began = clock.GetTimestamp();
            Operation? next = null;
            while (true)
            {
                next ??= await NextAsync(environment, wanted is null, stop).ConfigureAwait(false);
                if (next is null && _wakeUps.TryLeave(environment)) return null;
                if (next is null) continue;
                if (!IsOurs(next)) return null;
                var (ended, left) = await UnderLeaseAsync(next, wanted is null, stop).ConfigureAwait(false);
                next = null;
                if (!ended || wanted is null) continue;
                if (_wakeUps.TryLeave(environment)) return left?.Id;
                if (left is null) continue;
                if (clock.GetElapsedTime(began) > options.LongestRun) return left.Id;
                if (_wakeUps.IsWanted(environment, left.Id)) next = left;
            }
        }
        finally
        {
            _wakeUps.Leave(environment);
        }
    }

    /// <summary>The operation that comes first, where it is wanted or precedes one that is; null where none is left of these.</summary>
    private async Task<Operation?> NextAsync(EnvironmentId environment, bool all, CancellationToken stop)
    {
        // Before the look: what comes later may not be in it.
        var wanted = _wakeUps.Wanted(environment);
        var first = await journal.NextAsync(environment, stop).ConfigureAwait(false);
        if (first is not null && (all || wanted.Contains(first.Id))) return first;
        var left = false;
        foreach (var id in wanted)
            if (first is not null && await journal.FindAsync(id, stop).ConfigureAwait(false) is { IsEnded: false }) left = true;
            else _wakeUps.Over(environment, id);
        return left ? first : null;
    }

    /// <summary>Runs that operation and, under the same lease, those after it that are wanted. Ended: one was ended, and Left is the oldest that is unfinished then. Otherwise all is to be looked at again.</summary>
    private async Task<(bool Ended, Operation? Left)> UnderLeaseAsync(Operation first, bool all, CancellationToken stop)
    {
        var environment = first.Environment;
        var hold = new LeaseHold(environment, journal, clock, owner, options, log, stop);
        await using (hold.ConfigureAwait(false))
            try
            {
                for (var operation = first; ;)
                {
                    // Nobody waits for another here: the lease ends with the operation.
                    var left = await new OperationRun(operation, hold, () => !all && _wakeUps.IsLast(environment, operation.Id), journal, catalogue, clock, board, options, log).RunAsync(stop).ConfigureAwait(false);
                    _wakeUps.Over(environment, operation.Id);
                    if (hold.IsGiven || left is null || !IsOurs(left) || !(all || _wakeUps.IsWanted(environment, left.Id))) return (true, left);
                    operation = left;
                }
            }
            catch (LeaseHeldException)
            {
                await Task.Delay(options.LeasePoll, clock, stop).ConfigureAwait(false);
                return default;
            }
            catch (LeaseLostException)
            {
                if (hold.IsTaken) LeaseLost(log, environment, hold.Lease.Number);
                await Task.Delay(options.FirstBackoff, clock, stop).ConfigureAwait(false);
                return default;
            }
    }

    [LoggerMessage(LogLevel.Warning, "The lease {Number} of environment {Environment} was lost; its work stops here and is taken up by the next holder.")]
    private static partial void LeaseLost(ILogger log, EnvironmentId environment, long number);
}
