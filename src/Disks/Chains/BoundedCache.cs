namespace WeaveHypervisor.Disks;

/// <summary>
/// Keeps what was used last, up to a number of bytes. One is shared by all images of a chain, so that memory grows neither with the disk nor with the chain.
/// Safe for parallel calls; values must not be changed once they are in.
/// </summary>
/// <param name="budget">Bytes; at least one value is kept, however large.</param>
internal sealed class BoundedCache<TValue>(long budget) where TValue : class
{
    private readonly record struct Key(object Owner, long Place);
    private sealed record Entry(Key Key, TValue Value, long Bytes);

    private readonly Lock _gate = new();
    private readonly Dictionary<Key, LinkedListNode<Entry>> _entries = [];
    private readonly LinkedList<Entry> _recent = [];
    private long _bytes;

    /// <summary>Bytes that are kept now.</summary>
    public long Bytes { get { lock (_gate) return _bytes; } }

    public TValue? Find(object owner, long place)
    {
        lock (_gate)
        {
            if (!_entries.TryGetValue(new(owner, place), out var node)) return null;
            if (node != _recent.First)
            {
                _recent.Remove(node);
                _recent.AddFirst(node);
            }
            return node.Value.Value;
        }
    }

    /// <summary>Forgets a value; not there: nothing.</summary>
    public void Remove(object owner, long place)
    {
        lock (_gate)
        {
            if (!_entries.Remove(new(owner, place), out var node)) return;
            _recent.Remove(node);
            _bytes -= node.Value.Bytes;
        }
    }

    public void Put(object owner, long place, TValue value, long bytes)
    {
        var key = new Key(owner, place);
        lock (_gate)
        {
            if (_entries.ContainsKey(key)) return;
            _entries[key] = _recent.AddFirst(new Entry(key, value, bytes));
            _bytes += bytes;
            while (_bytes > budget && _recent.Count > 1)
            {
                var oldest = _recent.Last!;
                _recent.RemoveLast();
                _entries.Remove(oldest.Value.Key);
                _bytes -= oldest.Value.Bytes;
            }
        }
    }
}

/// <summary>The memory that the images of one chain share.</summary>
internal sealed class ChainCaches
{
    /// <summary>24 MiB: a window of an L1 and of an L2 table for each of 200 layers.</summary>
    public BoundedCache<ulong[]> Tables { get; } = new(24 << 20);
    /// <summary>4 MiB: two decompressed clusters of the largest size.</summary>
    public BoundedCache<byte[]> Clusters { get; } = new(4 << 20);
    /// <summary>16 MiB: a page of the BAT for each of 200 VHDX layers, and some of their bitmaps.</summary>
    public BoundedCache<byte[]> Pages { get; } = new(16 << 20);
}
