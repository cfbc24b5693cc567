using System.Runtime.CompilerServices;

namespace WeaveHypervisor.Disks;

/// <summary>
/// Merges what the layers of a chain say, going forward through a range. Each layer is asked only where those above it say nothing, and in parts, so that the cost
/// is that of the extents and not of the disk. One at a time: not for parallel use.
/// </summary>
internal sealed class ChainMap
{
    /// <summary>Extents that a layer is asked for at once.</summary>
    private const int PartSize = 256;

    private struct Cursor
    {
        public Extent[]? Part;
        public int Index, Count;
    }

    private readonly LayerImage[] _layers;
    private readonly long[] _capacities;
    private readonly int _depth;
    private readonly long _end;
    private readonly Cursor[] _cursors;
    /// <summary>For each layer, up to where it and all above it say nothing; falling with the depth.</summary>
    private readonly long[] _silent;
    private int _asked;
    private long _at;

    /// <param name="layers">Top to base.</param>
    /// <param name="depth">How many of them, from the top, are asked.</param>
    /// <param name="end">Where the range ends, within the top's capacity.</param>
    public ChainMap(IReadOnlyList<LayerImage> layers, int depth, long start, long end)
    {
        _layers = layers as LayerImage[] ?? [.. layers];
        (_depth, _at, _end) = (depth, start, end);
        _capacities = new long[_layers.Length];
        for (var i = 0; i < _layers.Length; i++) _capacities[i] = _layers[i].Capacity;
        _cursors = new Cursor[depth];
        _silent = new long[depth];
    }

    /// <summary>Fills <paramref name="into"/> with the next extents and answers how many they are, 0 at the end of the range. Extents that go on are one, also across calls.</summary>
    public async ValueTask<int> ReadAsync(Memory<ChainExtent> into, CancellationToken stop)
    {
        var count = 0;
        while (!Step(into.Span, ref count, out var layer)) await FillAsync(layer, stop).ConfigureAwait(false);
        return count;
    }

    /// <summary>Goes on from a later place; what is before it is not looked at.</summary>
    public void SkipTo(long at) => _at = Math.Max(_at, at);

    // A command reads one map and ends: the loops are compiled once and well, and not first to be tried out.

    /// <summary>Goes on as far as parts are at hand and there is room; false where <paramref name="layer"/> has to be asked first.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private bool Step(Span<ChainExtent> into, ref int count, out int layer)
    {
        layer = 0;
        while (_at < _end)
        {
            if (!Find(out layer, out var next)) return false;
            if (count > 0 && into[count - 1].GoesOnWith(next)) into[count - 1] = into[count - 1] with { Length = next.End - into[count - 1].Offset };
            else if (count == into.Length) return true;
            else into[count++] = next;
            _at = next.End;
        }
        return true;
    }

    /// <summary>What holds at the present place; false where <paramref name="layer"/> has to be asked first.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private bool Find(out int layer, out ChainExtent extent)
    {
        // Layers whose silence reaches further need not be asked again.
        while (_asked > 0 && _silent[_asked - 1] <= _at) _asked--;
        while (true)
        {
            layer = _asked;
            var limit = layer == 0 ? _end : _silent[layer - 1];
            if (layer == _depth && _depth < _layers.Length)
            {
                extent = new(_at, limit - _at, false, -1, -1, false);
                return true;
            }
            // Nothing is below; or a layer is shorter than the one above it: behind its end the disk reads as zeroes, whatever is further below.
            if (layer == _depth || _at >= _capacities[layer])
            {
                extent = new(_at, limit - _at, true, -1, layer == 0 ? -1 : PlaceIn(ref _cursors[layer - 1]), false);
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
                extent = new(_at, limit - _at, said.Kind == ExtentKind.Zero, layer, PlaceIn(ref cursor), said.IsCompressed, said.IsHole);
                return true;
            }
            _silent[layer] = limit;
            _asked = layer + 1;
        }
    }

    /// <summary>The present place in the file of a layer that was asked; -1 where it has none.</summary>
    private long PlaceIn(ref Cursor cursor)
    {
        ref var said = ref cursor.Part![cursor.Index];
        return said.FileOffset < 0 ? -1 : said.FileOffset + (_at - said.Offset);
    }

    private async ValueTask FillAsync(int layer, CancellationToken stop)
    {
        var last = Math.Min(_end, _capacities[layer]);
        var part = _cursors[layer].Part ??= new Extent[(int)Math.Clamp((last - _at) >> 16, 4, PartSize)];
        var count = await _layers[layer].MapAsync(_at, last, part, stop).ConfigureAwait(false);
        _cursors[layer].Index = 0;
        _cursors[layer].Count = count;
    }
}
