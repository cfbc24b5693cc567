namespace WeaveHypervisor.Service.Disks;

/// <summary>A disk as a line: each column is an equal part of it, and shows what there is most of in it; however little that is, it is seen.</summary>
internal sealed class DiskBar(long capacity, int width, int kinds)
{
    private readonly long[,] _bytes = new long[width, kinds];

    /// <param name="kind">0 to the number of kinds.</param>
    public void Add(long offset, long length, int kind)
    {
        // Column edges are at capacity × i / width, which a disk of exbibytes would overflow.
        for (var end = offset + length; offset < end;)
        {
            var column = Math.Min(width - 1, (int)((Int128)offset * width / capacity));
            var edge = Math.Min(end, (long)(((Int128)capacity * (column + 1) + width - 1) / width));
            if (edge <= offset) edge = end;
            _bytes[column, kind] += edge - offset;
            offset = edge;
        }
    }

    /// <summary>The kind of each column; -1 where nothing was added.</summary>
    public IEnumerable<int> Columns()
    {
        for (var column = 0; column < width; column++)
        {
            var best = -1;
            for (var kind = 0; kind < kinds; kind++)
                if (_bytes[column, kind] > 0 && (best < 0 || _bytes[column, kind] > _bytes[column, best])) best = kind;
            yield return best;
        }
    }
}
