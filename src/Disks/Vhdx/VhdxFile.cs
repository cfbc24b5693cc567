using Microsoft.Win32.SafeHandles;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Disks.Vhdx;

/// <summary>The bytes of an image's file as they are once its log is replayed; the file itself is never written. Safe for parallel calls. Owns the handle.</summary>
internal sealed class VhdxFile(SafeFileHandle handle, long length, string path) : IDisposable
{
    private VhdxReplay? _replay;

    public string Path => path;
    public SafeFileHandle Handle => handle;
    /// <summary>Bytes; with a log that extends the file, more than it has.</summary>
    public long Length => Math.Max(length, _replay?.MinLength ?? 0);
    /// <summary>Whether bytes may come from the log instead of from their place in the file.</summary>
    public bool IsReplayed => _replay is not null;

    public void Replay(VhdxReplay replay) => _replay = replay;

    /// <summary>Reads exactly that range. DataLoss, naming <paramref name="what"/>, where the file is too short for it.</summary>
    public async ValueTask ReadAsync(long offset, Memory<byte> into, string what, CancellationToken stop)
    {
        if (offset < 0 || offset > Length - into.Length) throw VhdxFormat.Damaged(path, $"{what} ({into.Length} bytes at {offset}) is not within its {Length} bytes");
        try
        {
            for (var done = 0; done < into.Length;)
            {
                var read = await RandomAccess.ReadAsync(handle, into[done..], offset + done, stop);
                if (read == 0)
                {
                    // Behind the file's end lies what only the log has made; a file that has become shorter since is not read on.
                    if (offset + done < length) throw VhdxFormat.Damaged(path, $"{what} is gone: the file has been cut at {offset + done}");
                    into[done..].Span.Clear();
                    break;
                }
                done += read;
            }
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw DiskFaults.From(error, $"read {Ids.Quote(path)}");
        }
        _replay?.Apply(offset, into.Span);
    }

    public void Dispose() => handle.Dispose();
}

/// <summary>A bounded cache of metadata, in pages of 64 KiB: BAT and sector bitmaps. Safe for parallel calls.</summary>
internal sealed class VhdxPages(VhdxFile file)
{
    public const int PageSize = 64 << 10;
    /// <summary>4 MiB: the BAT entries of 16 TiB, or the bitmaps of 16 GiB.</summary>
    private const int MaxPages = 64;

    private readonly Lock _gate = new();
    private readonly Dictionary<long, LinkedListNode<(long Page, byte[] Bytes)>> _pages = [];
    private readonly LinkedList<(long Page, byte[] Bytes)> _recent = [];

    /// <summary>The page with that byte of the file, which begins at a multiple of its size; behind the file's end it is zero. Never to be written to.</summary>
    public ValueTask<byte[]> GetAsync(long offset, string what, CancellationToken stop)
    {
        var page = offset / PageSize;
        lock (_gate)
        {
            if (_pages.TryGetValue(page, out var known))
            {
                if (known != _recent.First)
                {
                    _recent.Remove(known);
                    _recent.AddFirst(known);
                }
                return new(known.Value.Bytes);
            }
        }
        return LoadAsync(page, what, stop);
    }

    private async ValueTask<byte[]> LoadAsync(long page, string what, CancellationToken stop)
    {
        var bytes = new byte[PageSize];
        var length = (int)Math.Min(PageSize, file.Length - page * PageSize);
        if (length <= 0) throw VhdxFormat.Damaged(file.Path, $"{what} at {page * PageSize} is not within its {file.Length} bytes");
        await file.ReadAsync(page * PageSize, bytes.AsMemory(0, length), what, stop);
        lock (_gate)
        {
            if (_pages.TryGetValue(page, out var other)) return other.Value.Bytes;
            _pages[page] = _recent.AddFirst((page, bytes));
            if (_recent.Count > MaxPages)
            {
                _pages.Remove(_recent.Last!.Value.Page);
                _recent.RemoveLast();
            }
        }
        return bytes;
    }

    /// <summary>Forgets what is known of a range that has been written.</summary>
    public void Forget(long offset, long length)
    {
        lock (_gate)
            for (var page = offset / PageSize; page <= (offset + length - 1) / PageSize; page++)
                if (_pages.Remove(page, out var known)) _recent.Remove(known);
    }
}
