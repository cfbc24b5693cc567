using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using System.Threading.Channels;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Operations;

/// <summary>What a watcher hears: the operation entered another state, a step did, or there is progress within a step.</summary>
public enum OperationEventKind { State, Step, Progress }

/// <param name="Operation">The operation as it was last written; null only for progress of an operation whose state this process has not seen.</param>
/// <param name="Progress">Set for <see cref="OperationEventKind.Progress"/>.</param>
public sealed record OperationEvent(OperationId Id, OperationEventKind Kind, Operation? Operation, OperationProgress? Progress);

/// <summary>
/// The latest state and progress of the operations that this process runs, in memory: for displays, never the truth (that is the journal).
/// Watchers that read slowly get the newest state and not each one between; nothing grows with the number of reports.
/// </summary>
public sealed class ProgressBoard
{
    private const int KeptAfterEnd = 256;
    private readonly ConcurrentDictionary<OperationId, Entry> _entries = new();
    private readonly ConcurrentQueue<OperationId> _ended = new();

    /// <summary>The latest progress of an operation; null where nothing was reported in this process, or the operation has ended.</summary>
    public OperationProgress? Find(OperationId id) => _entries.TryGetValue(id, out var entry) && entry.Operation is not { IsEnded: true } ? entry.Progress : null;

    /// <summary>An operation as this process last wrote it; null where it has not, or has forgotten. Another process may have written it since, unless it has ended.</summary>
    internal Operation? Known(OperationId id) => _entries.TryGetValue(id, out var entry) ? entry.Operation : null;

    /// <summary>
    /// What is known now, then every change, coalesced to the newest, until the operation ended (its end is always the last event) or
    /// <paramref name="stop"/>. Hears only what this process runs: <see cref="OperationDesk.WatchAsync"/> also follows the journal.
    /// </summary>
    public async IAsyncEnumerable<OperationEvent> WatchAsync(OperationId id, [EnumeratorCancellation] CancellationToken stop = default)
    {
        var wakes = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });
        var entry = Watched(id, wakes);
        try
        {
            Operation? told = null;
            OperationProgress? toldProgress = null;
            while (true)
            {
                var (operation, progress) = entry.Now;
                if (operation is not null && (told is null || operation.Revision > told.Revision))
                {
                    var kind = told?.State == operation.State ? OperationEventKind.Step : OperationEventKind.State;
                    told = operation;
                    yield return new(id, kind, operation, null);
                    if (operation.IsEnded) yield break;
                }
                if (progress is not null && !ReferenceEquals(progress, toldProgress))
                {
                    toldProgress = progress;
                    yield return new(id, OperationEventKind.Progress, told, progress);
                }
                await wakes.Reader.ReadAsync(stop).ConfigureAwait(false);
            }
        }
        finally
        {
            entry.Remove(wakes);
            if (entry.IsEmpty) _entries.TryRemove(new(id, entry));
        }
    }

    /// <summary>Tells watchers what was written to the journal. An older revision than the one known is dropped.</summary>
    public void Report(Operation operation)
    {
        if (!Reached(operation.Id, e => e.Put(operation)) || !operation.IsEnded) return;
        _ended.Enqueue(operation.Id);
        while (_ended.Count > KeptAfterEnd && _ended.TryDequeue(out var old))
            if (_entries.TryRemove(old, out var entry)) entry.Close();
    }

    /// <summary>Tells watchers what a step is doing.</summary>
    public void Report(OperationProgress progress) => Reached(progress.Operation, e => e.Put(progress));

    /// <summary>Wakes the runner of this process, if it runs that operation, to look at the journal for a request to cancel.</summary>
    internal void SignalCancel(OperationId id)
    {
        if (_entries.TryGetValue(id, out var entry)) entry.CancelSignal?.Invoke();
    }

    internal IDisposable OnCancelSignal(OperationId id, Action act)
    {
        Reached(id, e => { e.CancelSignal = act; return true; });
        return new Ending(() => { if (_entries.TryGetValue(id, out var entry)) entry.CancelSignal = null; });
    }

    /// <summary>Listens for reports on an operation from now until it is disposed: what is reported between two waits ends the second at once.</summary>
    internal Listener Listen(OperationId id)
    {
        var wakes = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });
        var entry = Watched(id, wakes);
        return new(wakes.Reader, () =>
        {
            entry.Remove(wakes);
            if (entry.IsEmpty) _entries.TryRemove(new(id, entry));
        });
    }

    internal sealed class Listener(ChannelReader<bool> wakes, Action end) : IDisposable
    {
        /// <summary>Ends at the next report, or after <paramref name="limit"/>.</summary>
        public async Task ChangedAsync(TimeSpan limit, TimeProvider clock, CancellationToken stop)
        {
            using var over = CancellationTokenSource.CreateLinkedTokenSource(stop);
            await Task.WhenAny(wakes.ReadAsync(over.Token).AsTask(), Task.Delay(limit, clock, over.Token)).ConfigureAwait(false);
            await over.CancelAsync().ConfigureAwait(false);
            stop.ThrowIfCancellationRequested();
        }

        public void Dispose() => end();
    }

    private Entry Watched(OperationId id, Channel<bool> wakes)
    {
        while (true)
        {
            var entry = _entries.GetOrAdd(id, _ => new Entry());
            if (entry.Add(wakes)) return entry;
            _entries.TryRemove(new(id, entry));
        }
    }

    private bool Reached(OperationId id, Func<Entry, bool> put)
    {
        while (true)
        {
            var entry = _entries.GetOrAdd(id, _ => new Entry());
            if (entry.IsClosed) { _entries.TryRemove(new(id, entry)); continue; }
            return put(entry);
        }
    }

    private sealed class Ending(Action act) : IDisposable
    {
        public void Dispose() => act();
    }

    private sealed class Entry
    {
        private readonly Lock _gate = new();
        private readonly List<Channel<bool>> _watchers = [];
        private bool _closed;

        public Operation? Operation { get { lock (_gate) return field; } private set; }
        public OperationProgress? Progress { get; private set; }
        public Action? CancelSignal { get; set; }

        public (Operation? Operation, OperationProgress? Progress) Now { get { lock (_gate) return (Operation, Progress); } }
        public bool IsClosed { get { lock (_gate) return _closed; } }

        /// <summary>Closes the entry where nobody watches it and nothing is known: it can be forgotten.</summary>
        public bool IsEmpty
        {
            get
            {
                lock (_gate) return _closed = _closed || (_watchers.Count == 0 && Operation is null && Progress is null && CancelSignal is null);
            }
        }

        public bool Add(Channel<bool> wakes)
        {
            lock (_gate)
            {
                if (_closed) return false;
                _watchers.Add(wakes);
                return true;
            }
        }

        public void Remove(Channel<bool> wakes) { lock (_gate) _watchers.Remove(wakes); }
        public void Close() { lock (_gate) _closed = true; }

        public bool Put(Operation operation)
        {
            lock (_gate)
            {
                if (Operation is not null && operation.Revision <= Operation.Revision) return false;
                Operation = operation;
                Wake();
                return true;
            }
        }

        public bool Put(OperationProgress progress)
        {
            lock (_gate)
            {
                Progress = progress;
                Wake();
                return true;
            }
        }

        private void Wake() { foreach (var w in _watchers) w.Writer.TryWrite(true); }
    }
}
