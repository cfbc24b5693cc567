using Microsoft.Win32.SafeHandles;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Disks;

/// <summary>
/// The file of one image, opened read-only, with what it was like then. Reads are positioned and safe in parallel. Short ones are done at once on the caller's
/// thread, because handing them over costs more than they do.
/// </summary>
internal sealed class ImageFile : IDisposable
{
    /// <summary>Bytes; measured: a read of this size from the page cache takes about as long as its way through the thread pool.</summary>
    private const int ReadAtOnce = 32 << 10;

    private readonly SafeFileHandle _handle;
    private readonly long _modified;
    private long _bytesRead;

    private ImageFile(string path, SafeFileHandle handle, FileFacts facts)
    {
        (Path, _handle, Facts) = (path, handle, facts);
        _modified = Modified();
    }

    public string Path { get; }
    /// <summary>As it was when the file was opened.</summary>
    public FileFacts Facts { get; }
    public long Length => Facts.Length;
    public SafeFileHandle Handle => _handle;
    /// <summary>Bytes that were read from the file so far.</summary>
    public long BytesRead => Interlocked.Read(ref _bytesRead);

    /// <summary>NotFound; Unsupported for what is no regular file.</summary>
    public static ImageFile Open(string path)
    {
        var (handle, facts) = FileFacts.OpenRegular(path);
        return new(path, handle, facts);
    }

    /// <summary>Reads all of <paramref name="into"/>; what lies behind the end of the file reads as zeroes, as QEMU reads it.</summary>
    public async ValueTask ReadAsync(long offset, Memory<byte> into, CancellationToken stop)
    {
        stop.ThrowIfCancellationRequested();
        try
        {
            FileFaults.Pass("read", Path);
            while (into.Length > 0)
            {
                var read = into.Length <= ReadAtOnce ? RandomAccess.Read(_handle, into.Span, offset) : await RandomAccess.ReadAsync(_handle, into, offset, stop).ConfigureAwait(false);
                if (read == 0) break;
                Interlocked.Add(ref _bytesRead, read);
                offset += read;
                into = into[read..];
            }
            into.Span.Clear();
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw DiskFaults.From(error, $"read {Ids.QuotePath(Path)} at {offset}");
        }
    }

    /// <summary>Conflict where somebody has written to the file, or changed its length, since it was opened: then what was read is of no one instant.</summary>
    public void EnsureUnchanged()
    {
        if (Modified() == _modified && RandomAccess.GetLength(_handle) == Length) return;
        throw new WeaveException(Fault.Conflict, $"{Ids.QuotePath(Path)} was changed by somebody while it was read.", "Read images that nobody writes: stop the machine, or take a snapshot and read its layers.");
    }

    public void Dispose() => _handle.Dispose();

    private long Modified() => OperatingSystem.IsWindows() ? File.GetLastWriteTimeUtc(_handle).Ticks : Posix.Stat(_handle, $"look at {Ids.QuotePath(Path)}").ModifiedNanoseconds;
}
