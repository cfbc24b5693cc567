using System.Collections.Concurrent;
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
    private readonly ConcurrentDictionary<EnvironmentId, byte> _running = new();
    /// <summary>What came after the operation that a run has just ended.</summary>
    private readonly ConcurrentDictionary<OperationId, OperationId> _next = new();

    /// <summary>The name of this process in leases.</summary>
    public string Owner => owner;

    /// <summary>True for operations on this runner's host: no others are ever run.</summary>
    public bool IsOurs(Operation operation) => operation.Host is null || options.Host is null || operation.Host == options.Host;

    /// <summary>True while this process runs operations of that environment, or waits for its lease.</summary>
    public bool Runs(EnvironmentId environment) => _running.ContainsKey(environment);

    /// <summary>
    /// Runs the environment of that operation, as <see cref="RunEnvironmentAsync"/> does, until that operation has ended: what was submitted before it comes first,
    /// what was submitted after it is left. Answers the operation that is to be woken next, because its own wake-up may have come and gone meanwhile; null where there
    /// is none, or another run, of this process or another, ends that operation: whoever ends it wakes the next. No effect where there is no such operation, it has ended, or it is
    /// another host's.
    /// </summary>
    public async Task<OperationId?> RunAsync(OperationId id, CancellationToken stop)
    {
        if (await journal.FindAsync(id, stop).ConfigureAwait(false) is not { IsEnded: false } operation || !IsOurs(operation)) return null;
        var ended = await RunAsync(operation.Environment, async () => await journal.FindAsync(id, stop).ConfigureAwait(false) is { IsEnded: false }, id, stop).ConfigureAwait(false);
        if (!ended) return null;
        // Read while the lease was held: later another process may have gone on, and woken the same one.
        return _next.TryRemove(id, out var next) ? next : (await journal.NextAsync(operation.Environment, stop).ConfigureAwait(false))?.Id;
    }

    /// <summary>
    /// Ends when no unfinished operation is left, or at once where this process runs the environment already (then that run does the work). Waits while another
    /// process holds the lease. Operations that fail do not fail this task: how they ended is in the journal. Throws <see cref="OperationCanceledException"/>
    /// on <paramref name="stop"/>, with the operation left as it is to be resumed; <see cref="WeaveException"/> where the journal cannot be used, or where
    /// an operation was begun by a version with other steps (<see cref="Fault.Unsupported"/>; it stays as it is).
    /// </summary>
    // After each run one more look: an operation that came between the last look and the end of the run has had its wake-up already.
    public Task RunEnvironmentAsync(EnvironmentId environment, CancellationToken stop) =>
        RunAsync(environment, async () => await journal.NextAsync(environment, stop).ConfigureAwait(false) is not null, null, stop);

    /// <summary>True where this run itself has ended the operation <paramref name="until"/>.</summary>
    private async Task<bool> RunAsync(EnvironmentId environment, Func<Task<bool>> isLeft, OperationId? until, CancellationToken stop)
    {
        while (await isLeft().ConfigureAwait(false))
        {
            if (!_running.TryAdd(environment, 0)) return false;
            try
            {
                var lease = await journal.TryAcquireAsync(environment, owner, options.LeaseDuration, stop).ConfigureAwait(false);
                if (lease is null) await Task.Delay(options.LeasePoll, clock, stop).ConfigureAwait(false);
                else if (await RunUnderLeaseAsync(lease, until, stop).ConfigureAwait(false) is { } ended) return ended;
            }
            finally
            {
                _running.TryRemove(environment, out _);
            }
        }
        return false;
    }

    /// <summary>True: <paramref name="until"/> was ended here. False: another host's operation comes first, and that host wakes what comes after it. Null: look again whether something is left.</summary>
    private async Task<bool?> RunUnderLeaseAsync(Lease lease, OperationId? until, CancellationToken stop)
    {
        using var lost = new CancellationTokenSource();
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(stop);
        var renewal = KeepAsync(lease, lost, ended.Token);
        try
        {
            while (await journal.NextAsync(lease.Environment, stop).ConfigureAwait(false) is { } operation)
            {
                if (!IsOurs(operation)) return false;
                await new OperationRun(operation, lease, journal, catalogue, clock, board, options, log).RunAsync(lost.Token, stop).ConfigureAwait(false);
                if (operation.Id != until) continue;
                if ((await journal.NextAsync(lease.Environment, stop).ConfigureAwait(false))?.Id is { } next) _next[operation.Id] = next;
                return true;
            }
            return null;
        }
        catch (LeaseLostException)
        {
            LeaseLost(log, lease.Environment, lease.Number);
            await Task.Delay(options.FirstBackoff, clock, stop).ConfigureAwait(false);
            return null;
        }
        finally
        {
            await ended.CancelAsync().ConfigureAwait(false);
            await renewal.ConfigureAwait(false);
            await GiveBackAsync(lease).ConfigureAwait(false);
        }
    }

    /// <summary>Prolongs the lease until it is lost (<paramref name="lost"/> is then cancelled), or until <paramref name="ended"/>.</summary>
    private async Task KeepAsync(Lease lease, CancellationTokenSource lost, CancellationToken ended)
    {
        var expires = lease.ExpiresAt;
        while (true)
        {
            try
            {
                await Task.Delay(options.RenewEvery, clock, ended).ConfigureAwait(false);
                var renewed = await journal.RenewAsync(lease, options.LeaseDuration, ended).ConfigureAwait(false);
                if (renewed is null) break;
                expires = renewed.ExpiresAt;
            }
            catch (OperationCanceledException) when (ended.IsCancellationRequested)
            {
                return;
            }
            catch (Exception e)
            {
                // The journal may answer again before the lease ends; after that another runner may have begun.
                RenewalFailed(log, e, lease.Environment);
                if (clock.GetUtcNow() >= expires - options.RenewEvery) break;
            }
        }
        await lost.CancelAsync().ConfigureAwait(false);
    }

    private async Task GiveBackAsync(Lease lease)
    {
        try
        {
            await journal.ReleaseAsync(lease, CancellationToken.None).ConfigureAwait(false);
        }
        catch (Exception e)
        {
            RenewalFailed(log, e, lease.Environment);
        }
    }

    [LoggerMessage(LogLevel.Warning, "The lease {Number} of environment {Environment} was lost; its work stops here and is taken up by the next holder.")]
    private static partial void LeaseLost(ILogger log, EnvironmentId environment, long number);

    [LoggerMessage(LogLevel.Warning, "The lease of environment {Environment} could not be prolonged or given back.")]
    private static partial void RenewalFailed(ILogger log, Exception e, EnvironmentId environment);
}

/// <summary>Another runner has the environment, or may have it: stop without a further effect.</summary>
internal sealed class LeaseLostException(Exception? inner = null) : Exception("The lease was lost.", inner);
