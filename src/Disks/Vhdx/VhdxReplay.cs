using static WeaveHypervisor.Disks.Vhdx.VhdxFormat;

namespace WeaveHypervisor.Disks.Vhdx;

/// <summary>What a log changes in its file: whole pages of 4 KiB, and ranges of zeroes. Held in memory, bounded by <see cref="VhdxLog.MaxReplayed"/>.</summary>
internal sealed class VhdxReplay
{
    private readonly SortedSet<long> _pageNumbers = [];
    private readonly Dictionary<long, byte[]> _pages = [];
    /// <summary>Ends by starts; never touching each other. Pages above win over them.</summary>
    private readonly SortedDictionary<long, long> _zeroes = [];
    private readonly SortedSet<long> _zeroStarts = [];

    /// <summary>Bytes that the file has at least.</summary>
    public long MinLength { get; set; }

    /// <summary>True where that page was not written before.</summary>
    public bool Write(long offset, byte[] page)
    {
        _pages[offset / LogSector] = page;
        return _pageNumbers.Add(offset / LogSector);
    }

    public void Zero(long start, long end)
    {
        foreach (var page in _pageNumbers.GetViewBetween(start / LogSector, end / LogSector - 1).ToList())
        {
            _pageNumbers.Remove(page);
            _pages.Remove(page);
        }
        // The range that begins before this one may reach into it, all that begin within it are swallowed.
        var before = _zeroStarts.GetViewBetween(0, start).Max;
        if (_zeroStarts.Count > 0 && _zeroes.TryGetValue(before, out var reach) && before <= start && reach >= start) start = before;
        foreach (var other in _zeroStarts.GetViewBetween(start, end).ToList())
        {
            end = Math.Max(end, _zeroes[other]);
            _zeroes.Remove(other);
            _zeroStarts.Remove(other);
        }
        _zeroes[start] = end;
        _zeroStarts.Add(start);
    }

    /// <summary>Changes bytes that were read from <paramref name="offset"/> of the file to what they are after the log.</summary>
    public void Apply(long offset, Span<byte> bytes)
    {
        if (bytes.Length == 0) return;
        var end = offset + bytes.Length;
        foreach (var start in _zeroStarts.GetViewBetween(0, end - 1).Reverse())
        {
            var reach = _zeroes[start];
            if (reach <= offset) break;
            var (from, to) = (Math.Max(start, offset), Math.Min(reach, end));
            bytes[(int)(from - offset)..(int)(to - offset)].Clear();
        }
        foreach (var page in _pageNumbers.GetViewBetween(offset / LogSector, (end - 1) / LogSector))
        {
            var (from, to) = (Math.Max(page * LogSector, offset), Math.Min((page + 1) * LogSector, end));
            _pages[page].AsSpan((int)(from - page * LogSector), (int)(to - from)).CopyTo(bytes[(int)(from - offset)..]);
        }
    }

    /// <summary>All changes, for who makes them in the file: zeroes first.</summary>
    public IEnumerable<(long Start, long End)> Zeroes => _zeroStarts.Select(s => (s, _zeroes[s]));
    public IEnumerable<(long Offset, byte[] Bytes)> Pages => _pageNumbers.Select(p => (p * LogSector, _pages[p]));
}
