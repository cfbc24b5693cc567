using WeaveHypervisor.Model;

namespace WeaveHypervisor.Weaving;

/// <summary>
/// Locks among all processes that share one state, for what is one for a whole host and not one for each environment: an environment's own work has its lease. A lock is freed by the death of
/// its holder. Implemented by the stores.
/// </summary>
public interface ISharedLocks
{
    /// <summary>Waits for the lock of that name and holds it until it is disposed of; not for a second time in one flow of control. <see cref="Fault.Unavailable"/> where the state cannot be reached.</summary>
    Task<IHeldLock> TakeAsync(string name, CancellationToken stop);
}

public interface IHeldLock : IAsyncDisposable
{
    /// <summary>
    /// <see cref="Fault.Unavailable"/> where the lock may have been lost meanwhile (the connection to the state was), so that another may have worked at the same time: what was done under it is to be done again.
    /// </summary>
    Task CheckAsync(CancellationToken stop);
}

/// <summary>Where one process alone works on the state.</summary>
internal sealed class LocksOfOneProcess : ISharedLocks
{
    private readonly System.Collections.Concurrent.ConcurrentDictionary<string, SemaphoreSlim> _locks = new(StringComparer.Ordinal);

    public async Task<IHeldLock> TakeAsync(string name, CancellationToken stop)
    {
        var found = _locks.GetOrAdd(name, _ => new(1, 1));
        await found.WaitAsync(stop);
        return new Held(found);
    }

    private sealed class Held(SemaphoreSlim taken) : IHeldLock
    {
        public Task CheckAsync(CancellationToken stop) => Task.CompletedTask;

        public ValueTask DisposeAsync()
        {
            taken.Release();
            return default;
        }
    }
}
