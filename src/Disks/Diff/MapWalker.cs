namespace WeaveHypervisor.Disks;

/// <summary>What is known of a range of a disk without reading it.</summary>
internal enum WalkKind
{
    /// <summary>As the common ancestor has it.</summary>
    Below,
    Zero,
    Data,
}

/// <summary>Tells what the uppermost layers of a chain say at a place; places are asked for in ascending order, and may be far apart. Behind the end of the disk all is zero.</summary>
internal sealed class MapWalker(IReadOnlyList<LayerImage> images, int depth)
{
    /// <summary>Bytes; gaps from there on are jumped over.</summary>
    private const long SkipFrom = 1 << 20;
    private readonly long _capacity = images[0].Capacity;
    private readonly ChainMap _map = new(images, depth, 0, images[0].Capacity);
    private readonly ChainExtent[] _batch = new ChainExtent[256];
    private ChainExtent _current;
    private int _index, _count;

    /// <summary>What holds at <paramref name="at"/>, and up to where.</summary>
    public ValueTask<(WalkKind Kind, long End)> AtAsync(long at, CancellationToken stop)
    {
        if (at >= _capacity) return new((WalkKind.Zero, long.MaxValue));
        if (depth == 0) return new((WalkKind.Below, _capacity));
        return at < _current.End ? new(Told()) : NextAsync(at, stop);
    }

    private async ValueTask<(WalkKind Kind, long End)> NextAsync(long at, CancellationToken stop)
    {
        do
        {
            if (++_index >= _count)
            {
                if (_current.End < at - SkipFrom) _map.SkipTo(at);
                (_index, _count) = (0, await _map.ReadAsync(_batch, stop).ConfigureAwait(false));
            }
            _current = _batch[_index];
        }
        while (_current.End <= at);
        return Told();
    }

    private (WalkKind, long) Told() => (_current.IsZero ? WalkKind.Zero : _current.Layer < 0 ? WalkKind.Below : WalkKind.Data, _current.End);
}
