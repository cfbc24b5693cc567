namespace WeaveHypervisor.Disks;

/// <summary>Finds, going forward, the parts of two disks that metadata cannot tell to be equal.</summary>
/// <param name="left">The layers above the common one.</param>
/// <param name="ancestor">The common layer and all below it; null where there is none.</param>
/// <param name="capacity">Of the larger disk.</param>
internal sealed class Candidates(MapWalker left, MapWalker right, MapWalker? ancestor, long capacity, int granularity)
{
    private long _at;
    // A piece that was found and goes on behind the window.
    private (long Start, long End, GranuleMarks Marks) _piece;

    public long Capacity => capacity;

    /// <summary>The next part with something to look at; null at the end.</summary>
    public async ValueTask<DifferenceWindow?> NextAsync(CancellationToken stop)
    {
        DifferenceWindow? window = null;
        while (_piece.Start < _piece.End || await FindAsync(stop).ConfigureAwait(false))
        {
            window ??= new(_piece.Start & -DifferenceWindow.Size, capacity, granularity);
            var end = window.Offset + DifferenceWindow.Size;
            if (_piece.Start >= end) return window;
            window.Mark(_piece.Start, Math.Min(_piece.End, end), _piece.Marks);
            _piece.Start = Math.Min(_piece.End, end);
            if (_piece.Start < _piece.End) return window;
        }
        return window;
    }

    private async ValueTask<bool> FindAsync(CancellationToken stop)
    {
        while (_at < capacity)
        {
            var (leftKind, leftEnd) = await left.AtAsync(_at, stop).ConfigureAwait(false);
            var (rightKind, rightEnd) = await right.AtAsync(_at, stop).ConfigureAwait(false);
            var (start, end) = (_at, Math.Min(capacity, Math.Min(leftEnd, rightEnd)));
            _at = end;
            if (leftKind == rightKind && leftKind != WalkKind.Data) continue;
            if (ancestor is not null && leftKind != WalkKind.Data && rightKind != WalkKind.Data)
            {
                // One side says zero, the other is as the ancestor: equal where that is zero too.
                var (kind, ancestorEnd) = await ancestor.AtAsync(start, stop).ConfigureAwait(false);
                _at = end = Math.Min(end, ancestorEnd);
                if (kind == WalkKind.Zero) continue;
            }
            _piece = (start, end, (leftKind == WalkKind.Below ? 0 : GranuleMarks.LeftHas) | (rightKind == WalkKind.Below ? 0 : GranuleMarks.RightHas));
            return true;
        }
        return false;
    }
}
