using System.Runtime.CompilerServices;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Disks.Raw;

/// <summary>A raw file: its bytes are the disk's. Holes read as zeroes; where the file system does not tell of them, all is data. Rounded up to whole sectors of 512 bytes, as QEMU does.</summary>
internal sealed class RawImage : LayerImage
{
    private const int SectorSize = 512;
    private readonly ImageFile _file;

    private RawImage(ImageFile file) => _file = file;

    public override string Path => _file.Path;
    public override DiskFormat Format => DiskFormat.Raw;
    public override long Capacity => (_file.Length + SectorSize - 1) & ~(SectorSize - 1L);
    public override ParentLink? Parent => null;
    public override FileFacts Facts => _file.Facts;
    public override long BytesRead => _file.BytesRead;

    /// <summary>InvalidRequest for a file of no bytes.</summary>
    public static RawImage Open(string path)
    {
        var file = ImageFile.Open(path);
        if (file.Length > 0) return new(file);
        file.Dispose();
        throw new WeaveException(Fault.InvalidRequest, $"{Ids.QuotePath(path)} is a disk of no bytes.", "Use a disk that has a size.");
    }

    public override async IAsyncEnumerable<Extent> MapAsync(long offset, long length, [EnumeratorCancellation] CancellationToken stop)
    {
        var one = new Extent[1];
        for (var end = offset + length; offset < end; offset = one[0].End)
        {
            await MapAsync(offset, end, one, stop).ConfigureAwait(false);
            yield return one[0];
        }
    }

    public override ValueTask<int> MapAsync(long offset, long end, Memory<Extent> into, CancellationToken stop)
    {
        var list = new ExtentList(offset, end, into.Length);
        while (!list.IsComplete && Step(ref list, into.Span)) stop.ThrowIfCancellationRequested();
        return new(list.Count);
    }

    private bool Step(ref ExtentList list, Span<Extent> into)
    {
        var at = list.At;
        if (OperatingSystem.IsWindows()) return at < _file.Length ? list.Add(into, 0, _file.Length, ExtentKind.Data, 0) : list.Add(into, at, Capacity - at, ExtentKind.Zero, at);
        var what = $"read the map of {Ids.QuotePath(Path)}";
        var data = at >= _file.Length ? null : Posix.SeekData(_file.Handle, at, what);
        // The rest of the last sector, which the file does not have, is a hole too.
        if (data is not { } start) return list.Add(into, at, Capacity - at, ExtentKind.Zero, at);
        if (start > at) return list.Add(into, at, start - at, ExtentKind.Zero, at);
        var hole = Posix.SeekHole(_file.Handle, at, what);
        return list.Add(into, at, Math.Min(hole, _file.Length) - at, ExtentKind.Data, at);
    }

    public override ValueTask ReadAsync(long offset, Memory<byte> into, CancellationToken stop) => _file.ReadAsync(offset, into, stop);

    public override void EnsureUnchanged() => _file.EnsureUnchanged();

    public override ValueTask DisposeAsync()
    {
        _file.Dispose();
        return default;
    }
}
