using System.Collections.Concurrent;
using WeaveHypervisor.Operations;
using WeaveHypervisor.Weaving;

namespace WeaveHypervisor.State;

/// <summary>What differs between the databases: how a transaction is made safe, how the tables are made, what an error means.</summary>
internal abstract class StateEngine : IDisposable
{
    private readonly ConcurrentDictionary<string, SemaphoreSlim> _inThisProcess = new(StringComparer.Ordinal);

    /// <summary><see cref="WeaveDatabase.MigrateAsync"/>.</summary>
    public abstract Task MigrateAsync(CancellationToken stop);

    /// <summary>Runs <paramref name="read"/>, possibly again after a lost connection. <paramref name="what"/> is what is being done, in the form "reading a token".</summary>
    public abstract Task<T> ReadAsync<T>(string what, Func<WeaveDbContext, Task<T>> read);

    /// <summary>
    /// Runs <paramref name="write"/>, possibly several times, in one transaction that is durable when the task ends. What it checks of the things that <paramref name="locks"/> names
    /// still holds when it writes: two writes that name one thing never overlap, in all processes.
    /// </summary>
    public abstract Task<T> WriteAsync<T>(string what, IReadOnlyCollection<string> locks, Func<WeaveDbContext, Task<T>> write, CancellationToken stop);

    /// <summary>The journal in this database.</summary>
    public virtual IJournal MakeJournal(TimeProvider clock) => new Journal(this, clock);

    /// <summary>One line for people: which database, where.</summary>
    public abstract Task<string> DescribeAsync(CancellationToken stop);

    /// <summary><see cref="WeaveDatabase.ClaimHostAsync"/>.</summary>
    public virtual Task ClaimHostAsync(string host, string machine, bool replace, CancellationToken stop) => Task.CompletedTask;

    /// <summary>Takes a lock of that name, first in this process, then among all that use the database.</summary>
    public async Task<IHeldLock> LockAsync(string name, CancellationToken stop)
    {
        var first = _inThisProcess.GetOrAdd(name, _ => new(1, 1));
        await first.WaitAsync(stop).ConfigureAwait(false);
        try
        {
            return new Held(first, await LockAmongProcessesAsync(name, stop).ConfigureAwait(false));
        }
        catch
        {
            first.Release();
            throw;
        }
    }

    public virtual void Dispose()
    {
    }

    /// <summary>Null where one process alone uses the database.</summary>
    protected virtual Task<IHeldLock?> LockAmongProcessesAsync(string name, CancellationToken stop) => Task.FromResult<IHeldLock?>(null);

    private sealed class Held(SemaphoreSlim first, IHeldLock? second) : IHeldLock
    {
        public Task CheckAsync(CancellationToken stop) => second?.CheckAsync(stop) ?? Task.CompletedTask;

        public async ValueTask DisposeAsync()
        {
            if (second is not null) await second.DisposeAsync().ConfigureAwait(false);
            first.Release();
        }
    }
}
