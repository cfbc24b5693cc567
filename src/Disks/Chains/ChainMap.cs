namespace WeaveHypervisor.Disks;

/// <summary>
/// Merges what the layers of a chain say, going forward through a range. Each layer is asked only where those above it say nothing, and in parts, so that the cost
/// is that of the extents and not of the disk. One at a time: not for parallel use.
/// </summary>
/// <param name="layers">Top to base.</param>
/// <param name="depth">How many of them, from the top, are asked.</param>
/// <param name="end">Where the range ends, within the top's capacity.</param>
internal sealed class ChainMap(IReadOnlyList<LayerImage> layers, int depth, long start, long end)
{
    /// <summary>Extents that a layer is asked for at once.</summary>
    private const int PartSize = 128;

    private struct Cursor
    {
        public Extent[]? Part;
        public int Index, Count;
    }

    private readonly Cursor[] _cursors = new Cursor[depth];
    /// <summary>For each layer, up to where it and all above it say nothing; falling with the depth.</summary>
    private readonly long[] _silent = new long[depth];
    private int _asked;
    private long _at = start;
    private ChainExtent _pending;

    /// <summary>The next extent; false at the end of the range. Gives extents that go on as one.</summary>
    public async ValueTask<(bool Found, ChainExtent Extent)> NextAsync(CancellationToken stop)
    {
        while (_at < end)
        {
            var next = TryStep(out var layer, out var extent) ? extent : await StepAsync(layer, stop).ConfigureAwait(false);
            _at = next.End;
            if (_pending.Length > 0 && !_pending.GoesOnWith(next))
            {
                (var done, _pending) = (_pending, next);
                return (true, done);
            }
            _pending = _pending.Length > 0 ? _pending with { Length = _pending.Length + next.Length } : next;
        }
        if (_pending.Length == 0) return default;
        (var last, _pending) = (_pending, default);
        return (true, last);
    }

    /// <summary>Goes on from a later place; what is before it is not looked at.</summary>
    public void SkipTo(long at)
    {
        if (at <= _at) return;
        (_at, _pending) = (at, default);
    }

    private async ValueTask<ChainExtent> StepAsync(int layer, CancellationToken stop)
    {
        while (true)
        {
            await FillAsync(layer, stop).ConfigureAwait(false);
            if (TryStep(out layer, out var extent)) return extent;
        }
    }

    /// <summary>What holds at the present place, from parts that are at hand; false where <paramref name="layer"/> has to be asked first.</summary>
    private bool TryStep(out int layer, out ChainExtent extent)
    {
        // Layers whose silence reaches further need not be asked again.
        while (_asked > 0 && _silent[_asked - 1] <= _at) _asked--;
        while (true)
        {
            layer = _asked;
            var limit = layer == 0 ? end : _silent[layer - 1];
            if (layer == depth && depth < layers.Count)
            {
                extent = new(_at, limit - _at, false, -1, -1, false);
                return true;
            }
            // Nothing is below; or a layer is shorter than the one above it: behind its end the disk reads as zeroes, whatever is further below.
            if (layer == depth || _at >= layers[layer].Capacity)
            {
                extent = new(_at, limit - _at, true, -1, layer == 0 ? -1 : PlaceIn(layer - 1), false);
                return true;
            }
            ref var cursor = ref _cursors[layer];
            while (cursor.Index < cursor.Count && cursor.Part![cursor.Index].End <= _at) cursor.Index++;
            if (cursor.Index == cursor.Count || cursor.Part![cursor.Index].Offset > _at)
            {
                extent = default;
                return false;
            }
            ref var said = ref cursor.Part[cursor.Index];
            limit = Math.Min(limit, said.End);
            if (said.Kind != ExtentKind.Inherited)
            {
                extent = new(_at, limit - _at, said.Kind == ExtentKind.Zero, layer, PlaceIn(layer), said.IsCompressed, said.IsHole);
                return true;
            }
            _silent[layer] = limit;
            _asked = layer + 1;
        }
    }

    /// <summary>The present place in the file of a layer that was asked; -1 where it has none.</summary>
    private long PlaceIn(int layer)
    {
        ref var said = ref _cursors[layer].Part![_cursors[layer].Index];
        return said.FileOffset < 0 ? -1 : said.FileOffset + (_at - said.Offset);
    }

    private async ValueTask FillAsync(int layer, CancellationToken stop)
    {
        var last = Math.Min(end, layers[layer].Capacity);
        var part = _cursors[layer].Part ??= new Extent[(int)Math.Clamp((last - _at) >> 16, 4, PartSize)];
        var count = await layers[layer].MapAsync(_at, last, part, stop).ConfigureAwait(false);
        _cursors[layer].Index = 0;
        _cursors[layer].Count = count;
    }
}
