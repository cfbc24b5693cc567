namespace WeaveHypervisor.Disks.Qcow2;

/// <summary>
/// An image made with preallocation=metadata has a place in its file for every cluster, and holes there. Its tables alone would call the whole disk data. So where the
/// file takes notably less disk than its refcounts say (by the same measure as QEMU: a ninth, and two clusters), the file system is asked about the holes.
/// </summary>
internal sealed class PreallocatedHoles(ImageFile file, Qcow2Geometry geometry)
{
    private readonly RefcountReader _refcounts = new(file, geometry);
    private bool? _there;

    /// <summary>Whether there may be holes where the tables point to. Reads refcounts at the first call, and only of files with holes.</summary>
    public async ValueTask<bool> AreThereAsync(CancellationToken stop)
    {
        if (_there is { } known) return known;
        var real = file.Facts.AllocatedBytes / geometry.ClusterSize;
        var enough = Math.Max(real * 10 / 9, real + 2);
        var clusters = (file.Length + geometry.ClusterSize - 1) / geometry.ClusterSize;
        var there = !OperatingSystem.IsWindows() && clusters >= enough && await _refcounts.CountUsedAsync(clusters, enough, stop).ConfigureAwait(false) >= enough;
        _there = there;
        return there;
    }

    /// <summary>What the tables say, with data that is a hole as zeroes. Two readings of one instant: whoever needs that looks whether the file was changed.</summary>
    public async ValueTask<int> SplitAsync(Qcow2Image image, long offset, long end, Memory<Extent> into, CancellationToken stop)
    {
        var list = new ExtentList(offset, end, into.Length);
        var part = new Extent[Math.Min(into.Length, 64)];
        while (!list.IsComplete)
        {
            var count = await image.MapTablesAsync(list.At, end, part, stop).ConfigureAwait(false);
            for (var i = 0; i < count; i++)
                if (!Split(part[i], ref list, into.Span)) return list.Count;
        }
        return list.Count;
    }

    private bool Split(in Extent extent, ref ExtentList list, Span<Extent> into)
    {
        if (extent.Kind != ExtentKind.Data || extent.FileOffset < 0) return list.Add(into, extent.Offset, extent.Length, extent.Kind, extent.FileOffset, extent.IsCompressed);
        for (var done = 0L; done < extent.Length;)
        {
            long at = extent.FileOffset + done, length = extent.Length - done;
            var data = at >= file.Length ? null : Posix.SeekData(file.Handle, at, "read the map of a file");
            var isHole = data is not { } start || start > at;
            if (isHole) length = data is { } next ? Math.Min(length, next - at) : length;
            else length = Math.Min(length, Posix.SeekHole(file.Handle, at, "read the map of a file") is var hole && hole >= file.Length ? long.MaxValue : hole - at);
            if (!list.Add(into, extent.Offset + done, length, isHole ? ExtentKind.Zero : ExtentKind.Data, at, hole: isHole)) return false;
            done += length;
        }
        return true;
    }
}
