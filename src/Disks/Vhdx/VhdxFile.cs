using WeaveHypervisor.Model;

namespace WeaveHypervisor.Disks.Vhdx;

/// <summary>The bytes of an image's file as they are once its log is replayed; the file itself is never written. Safe for parallel calls. Owns <paramref name="file"/>.</summary>
internal sealed class VhdxFile(ImageFile file, ChainCaches caches) : IDisposable
{
    /// <summary>Bytes in which metadata (BAT, sector bitmaps) are read and kept.</summary>
    public const int PageSize = 32 << 10;

    private long _length = file.Length;
    private VhdxReplay? _replay;

    public string Path => file.Path;
    public ImageFile File => file;
    /// <summary>Bytes; with a log that extends the file, more than it has.</summary>
    public long Length => Math.Max(_length, _replay?.MinLength ?? 0);
    /// <summary>Whether bytes may come from the log instead of from their place in the file.</summary>
    public bool IsReplayed => _replay is not null;

    public void Replay(VhdxReplay replay) => _replay = replay;

    /// <summary>What the log changes, for who makes it in the file: zeroes first.</summary>
    public (IEnumerable<(long Start, long End)> Zeroes, IEnumerable<(long Offset, byte[] Bytes)> Pages) Changes => (_replay?.Zeroes ?? [], _replay?.Pages ?? []);

    /// <summary>The file has been made longer, by zeroes.</summary>
    public void Grow(long to) => _length = to;

    /// <summary>Reads exactly that range. DataLoss, naming <paramref name="what"/>, where the file is too short for it.</summary>
    public async ValueTask ReadAsync(long offset, Memory<byte> into, string what, CancellationToken stop)
    {
        if (offset < 0 || offset > Length - into.Length) throw VhdxFormat.Damaged(Path, $"{what} ({into.Length} bytes at {offset}) is not within its {Length} bytes");
        await file.ReadAsync(offset, into, stop).ConfigureAwait(false);
        _replay?.Apply(offset, into.Span);
    }

    /// <summary>The page with that byte of the file, which begins at a multiple of its size; behind the file's end it is zero. Never to be written to.</summary>
    public ValueTask<byte[]> PageAsync(long offset, string what, CancellationToken stop)
    {
        var page = offset / PageSize;
        return caches.Pages.Find(this, page) is { } known ? new(known) : LoadAsync(page, what, stop);
    }

    private async ValueTask<byte[]> LoadAsync(long page, string what, CancellationToken stop)
    {
        var bytes = new byte[PageSize];
        var length = (int)Math.Min(PageSize, Length - page * PageSize);
        if (length <= 0) throw VhdxFormat.Damaged(Path, $"{what} at {page * PageSize} is not within its {Length} bytes");
        await ReadAsync(page * PageSize, bytes.AsMemory(0, length), what, stop).ConfigureAwait(false);
        caches.Pages.Put(this, page, bytes, PageSize);
        return bytes;
    }

    /// <summary>Forgets what is known of a range that has been written.</summary>
    public void Forget(long offset, long length)
    {
        for (var page = offset / PageSize; page <= (offset + length - 1) / PageSize; page++) caches.Pages.Remove(this, page);
    }

    public void Dispose() => file.Dispose();
}
