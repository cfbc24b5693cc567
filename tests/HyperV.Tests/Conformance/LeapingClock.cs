namespace WeaveHypervisor.HyperV.Tests;

/// <summary>
/// A clock for code that waits for nothing but time: as soon as somebody waits, it is the time that is waited for. Waits of more than an hour never end, those of several that are begun together end in their order.
/// </summary>
internal sealed class LeapingClock : TimeProvider
{
    private static readonly TimeSpan Never = TimeSpan.FromHours(1);
    private readonly Lock _gate = new();
    private readonly PriorityQueue<Leap, DateTimeOffset> _waiting = new();
    private DateTimeOffset _now = System.GetUtcNow();

    public override DateTimeOffset GetUtcNow()
    {
        lock (_gate) return _now;
    }

    public override long TimestampFrequency => TimeSpan.TicksPerSecond;

    public override long GetTimestamp() => GetUtcNow().Ticks;

    public void Advance(TimeSpan by)
    {
        lock (_gate) _now += by;
    }

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        var leap = new Leap(this, callback, state);
        leap.Change(dueTime, period);
        return leap;
    }

    private void Wait(Leap leap, TimeSpan due)
    {
        if (due == Timeout.InfiniteTimeSpan || due > Never) return;
        lock (_gate) _waiting.Enqueue(leap, _now + due);
        // Whoever begins to wait at the same time gets in, too.
        ThreadPool.UnsafeQueueUserWorkItem(_ => ThreadPool.UnsafeQueueUserWorkItem(_ => Next(), null), null);
    }

    private void Next()
    {
        Leap? leap;
        lock (_gate)
        {
            if (!_waiting.TryDequeue(out leap, out var due)) return;
            if (due > _now) _now = due;
        }
        leap.Ring();
    }

    private sealed class Leap(LeapingClock clock, TimerCallback callback, object? state) : ITimer
    {
        private volatile bool _gone;

        public bool Change(TimeSpan dueTime, TimeSpan period)
        {
            clock.Wait(this, dueTime);
            return true;
        }

        public void Ring()
        {
            if (!_gone) callback(state);
        }

        public void Dispose() => _gone = true;

        public ValueTask DisposeAsync()
        {
            _gone = true;
            return default;
        }
    }
}
