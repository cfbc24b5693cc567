using Microsoft.Extensions.Logging;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Operations;

/// <summary>
/// The lease of one environment while this process works there: taken with the first write of an operation, prolonged from then on, and given back with the last write of one, or when this is
/// disposed of. So an operation by itself costs no write for it.
/// </summary>
internal sealed partial class LeaseHold(EnvironmentId environment, IJournal journal, TimeProvider clock, string owner, RunnerOptions options, ILogger log, CancellationToken stop) : IAsyncDisposable
{
    private readonly CancellationTokenSource _lost = new(), _ended = CancellationTokenSource.CreateLinkedTokenSource(stop);
    private Task _renewal = Task.CompletedTask;
    private Lease? _lease;
    private bool _given;

    /// <summary>Another runner has the environment, or may have it: nothing more may be done or written.</summary>
    public CancellationToken Lost => _lost.Token;
    public bool IsTaken => _lease is not null;
    /// <summary>True when the lease was given back with a last write: no further write can be made.</summary>
    public bool IsGiven => _given;
    /// <summary>There is none before the first write.</summary>
    public Lease Lease => _lease ?? throw new InvalidOperationException($"The lease of {environment} has not been taken.");

    /// <summary>Writes the next revision of an operation, the first time with the lease. <see cref="LeaseHeldException"/> where another has that.</summary>
    public async Task<Operation> SaveAsync(Operation operation, CancellationToken token)
    {
        if (_lease is { } held) return await journal.SaveAsync(operation, held, token).ConfigureAwait(false);
        var taken = await journal.SaveFirstAsync(operation, owner, options.LeaseDuration, token).ConfigureAwait(false) ?? throw new LeaseHeldException();
        _lease = taken.Lease;
        _renewal = KeepAsync(taken.Lease, _ended.Token);
        return taken.Operation;
    }

    /// <summary>Writes the last revision of an operation, with <paramref name="release"/> the end of the lease too.</summary>
    public async Task<Ended> SaveLastAsync(Operation operation, bool release, CancellationToken token)
    {
        // What ends with its first write is rare: the lease is given back when this is disposed of.
        if (_lease is null) return new(await SaveAsync(operation, token).ConfigureAwait(false), await journal.NextAsync(environment, token).ConfigureAwait(false));
        var ended = await journal.SaveLastAsync(operation, _lease, release, token).ConfigureAwait(false);
        _given = release;
        return ended;
    }

    public async ValueTask DisposeAsync()
    {
        await _ended.CancelAsync().ConfigureAwait(false);
        await _renewal.ConfigureAwait(false);
        if (_lease is { } held && !_given)
            try
            {
                await journal.ReleaseAsync(held, CancellationToken.None).ConfigureAwait(false);
            }
            catch (Exception e)
            {
                RenewalFailed(log, e, environment);
            }
        _ended.Dispose();
        _lost.Dispose();
    }

    /// <summary>Prolongs the lease until it is lost (<see cref="Lost"/> is then cancelled), or until <paramref name="ended"/>.</summary>
    private async Task KeepAsync(Lease lease, CancellationToken ended)
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
        // The lease was given back with a last write while this asked for more of it.
        if (!_given) await _lost.CancelAsync().ConfigureAwait(false);
    }

    [LoggerMessage(LogLevel.Warning, "The lease of environment {Environment} could not be prolonged or given back.")]
    private static partial void RenewalFailed(ILogger log, Exception e, EnvironmentId environment);
}

/// <summary>Another runner has the environment, or may have it: stop without a further effect.</summary>
internal sealed class LeaseLostException(Exception? inner = null) : Exception("The lease was lost.", inner);

/// <summary>Another runner has the environment: nothing was begun.</summary>
internal sealed class LeaseHeldException() : Exception("The lease is another's.");
