using WeaveHypervisor.Disks;
using static WeaveHypervisor.Libvirt.Memory.MigrationFormat;

namespace WeaveHypervisor.Libvirt.Memory;

/// <summary>
/// The flat RAM file being written: page N at N × 4096, pages of zeros are holes. Neighbouring pages are gathered into one write. A page may come again; the last wins.
/// </summary>
internal sealed class FlatMemoryFile(FileStream file)
{
    private const int RunSize = 1 << 20;
    private readonly byte[] _run = GC.AllocateUninitializedArray<byte>(RunSize);
    private long _runAt;
    private int _runLength;
    private PageSet _written = new(0);

    public long Length { get; private set; }

    public void SetLength(long length)
    {
        file.SetLength(Length = length);
        _written = new(length / PageSize);
    }

    /// <summary>Pages that hold data now.</summary>
    public long DataPages => _written.Count;

    public void Page(long address, ReadOnlySpan<byte> data)
    {
        var zero = data.IndexOfAnyExcept((byte)0) < 0;
        if (!_written.Set(address / PageSize, !zero) && zero) return;  // was a hole, stays one
        Append(address, data);
    }

    public void Filled(long address, byte fill)
    {
        if (!_written.Set(address / PageSize, fill != 0) && fill == 0) return;
        Span<byte> page = stackalloc byte[PageSize];
        page.Fill(fill);
        Append(address, page);
    }

    /// <summary>Reads a page back; what was never written is zeros.</summary>
    public void Read(long address, Span<byte> page)
    {
        Flush();
        if (RandomAccess.Read(file.SafeFileHandle, page, address) < page.Length) throw new EndOfStreamException($"{file.Name} is too short.");
    }

    public void Flush()
    {
        if (_runLength == 0) return;
        FileFaults.Pass("write", file.Name);
        RandomAccess.Write(file.SafeFileHandle, _run.AsSpan(0, _runLength), _runAt);
        _runLength = 0;
    }

    private void Append(long address, ReadOnlySpan<byte> data)
    {
        if (_runLength == RunSize || address != _runAt + _runLength) Flush();
        if (_runLength == 0) _runAt = address;
        data.CopyTo(_run.AsSpan(_runLength));
        _runLength += PageSize;
    }
}
