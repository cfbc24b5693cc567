namespace LibvirtSharp;

/// <summary>
/// Runs blocking native calls on at most <c>limit</c> threads of its own, started on demand and ended after 30 s without work,
/// so that a slow hypervisor never starves the thread pool.
/// </summary>
internal sealed class NativeCallScheduler(int limit) : IDisposable
{
    private static readonly TimeSpan IdleTime = TimeSpan.FromSeconds(30);
    private readonly Lock _gate = new();
    private readonly Queue<Action> _calls = new();
    private readonly SemaphoreSlim _available = new(0);
    private int _threads;
    private int _idle;
    private bool _closed;

    internal int Threads
    {
        get
        {
            lock (_gate)
            {
                return _threads;
            }
        }
    }

    /// <summary>
    /// Cancellation ends the wait, not the call. A call that has not begun is not made; the result of one that has is disposed when it comes.
    /// </summary>
    /// <exception cref="ObjectDisposedException">The connection was disposed.</exception>
    internal Task<T> RunAsync<T>(Func<T> call, CancellationToken cancellationToken)
    {
        if (cancellationToken.IsCancellationRequested)
        {
            return Task.FromCanceled<T>(cancellationToken);
        }

        var done = new TaskCompletionSource<T>(TaskCreationOptions.RunContinuationsAsynchronously);
        var registration = cancellationToken.Register(() => done.TrySetCanceled(cancellationToken));
        var accepted = Enqueue(() =>
        {
            using var _ = registration;
            if (done.Task.IsCompleted)
            {
                return;
            }

            try
            {
                var result = call();
                if (!done.TrySetResult(result))
                {
                    Discard(result);
                }
            }
            catch (Exception failure)
            {
                done.TrySetException(failure);
            }
        });
        if (!accepted)
        {
            registration.Dispose();
            throw new ObjectDisposedException(nameof(LibvirtConnection));
        }

        return done.Task;
    }

    /// <summary>Accepts no more calls; those queued are still made.</summary>
    public void Dispose()
    {
        lock (_gate)
        {
            _closed = true;
            _available.Release(_threads + 1);
        }
    }

    private static void Discard<T>(T result)
    {
        if (result is IDisposable one)
        {
            one.Dispose();
        }
        else if (result is IEnumerable<IDisposable> many)
        {
            foreach (var item in many)
            {
                item.Dispose();
            }
        }
    }

    private bool Enqueue(Action call)
    {
        lock (_gate)
        {
            if (_closed)
            {
                return false;
            }

            _calls.Enqueue(call);
            if (_calls.Count > _idle && _threads < limit)
            {
                _threads++;
                new Thread(Work) { IsBackground = true, Name = "libvirt call" }.Start();
            }

            _available.Release();
            return true;
        }
    }

    private void Work()
    {
        while (true)
        {
            lock (_gate)
            {
                _idle++;
            }

            var signalled = _available.Wait(IdleTime);
            Action? call;
            lock (_gate)
            {
                _idle--;
                // Looked at under the lock, so that a call queued at the very end of the idle time is not left behind.
                if (!_calls.TryDequeue(out call) && (_closed || !signalled))
                {
                    _threads--;
                    return;
                }
            }

            call?.Invoke();
        }
    }
}
