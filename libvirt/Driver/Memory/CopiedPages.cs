using WeaveHypervisor.Disks;
using static WeaveHypervisor.Libvirt.Memory.MigrationFormat;

namespace WeaveHypervisor.Libvirt.Memory;

/// <summary>
/// Pages that are copied out of a machine while it stands still, to be written when it runs again. Up to <see cref="MostInMemory"/> they are kept in memory, which is touched before; what is more goes to
/// an unsynced file that has no name any more.
/// </summary>
internal sealed class CopiedPages(string spillPath) : IDisposable
{
    public const long MostInMemory = 256L << 20;
    private const int ChunkSize = 4 << 20;
    private readonly List<byte[]> _chunks = [];
    private readonly List<(long Address, long Count)> _ranges = [];
    private FileStream? _spill;
    private long _length;

    /// <summary>Pages copied so far.</summary>
    public long Count => _length / PageSize;

    /// <summary>Makes room for that many bytes before the machine is held: memory is slow the first time that it is used.</summary>
    public void Reserve(long bytes)
    {
        while (_chunks.Count * (long)ChunkSize < Math.Min(bytes, MostInMemory)) _chunks.Add(new byte[ChunkSize]);
        foreach (var chunk in _chunks)
            for (var i = 0; i < chunk.Length; i += PageSize) chunk[i] = 1;
    }

    /// <summary>Copies pages of a block that begins at <paramref name="start"/> in the process. To be called with ascending ranges.</summary>
    public void Copy(ProcessMemory memory, long start, IEnumerable<PageRange> ranges)
    {
        foreach (var range in ranges)
        {
            _ranges.Add((range.First * PageSize, range.Count));
            for (long done = 0, bytes = range.Count * PageSize; done < bytes;)
            {
                var room = Room((int)Math.Min(bytes - done, ChunkSize));
                memory.Read(start + range.First * PageSize + done, room);
                if (_length >= MostInMemory) _spill!.Write(room);
                _length += room.Length;
                done += room.Length;
            }
        }
    }

    /// <summary>All pages in the order in which they were copied; each is to be used before the next is asked for.</summary>
    public IEnumerable<RamPage> Pages()
    {
        var buffer = new byte[PageSize];
        _spill?.Seek(0, SeekOrigin.Begin);
        long at = 0;
        foreach (var (address, count) in _ranges)
            for (long i = 0; i < count; i++, at += PageSize)
            {
                if (at < MostInMemory) yield return new(address + i * PageSize, _chunks[(int)(at / ChunkSize)].AsMemory((int)(at % ChunkSize), PageSize));
                else
                {
                    _spill!.ReadExactly(buffer);
                    yield return new(address + i * PageSize, buffer);
                }
            }
    }

    public void Dispose() => _spill?.Dispose();

    private byte[]? _spilled;

    private Span<byte> Room(int wanted)
    {
        if (_length < MostInMemory)
        {
            var chunk = (int)(_length / ChunkSize);
            if (chunk == _chunks.Count) _chunks.Add(GC.AllocateUninitializedArray<byte>(ChunkSize));
            var at = (int)(_length % ChunkSize);
            return _chunks[chunk].AsSpan(at, Math.Min(wanted, ChunkSize - at));
        }
        if (_spill is null)
        {
            FileFaults.Pass("create", spillPath);
            var how = new FileStreamOptions { Mode = FileMode.Create, Access = FileAccess.ReadWrite, BufferSize = 0 };
            if (!OperatingSystem.IsWindows()) how.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
            _spill = new(spillPath, how);
            File.Delete(spillPath);
        }
        return (_spilled ??= new byte[ChunkSize]).AsSpan(0, wanted);
    }
}
