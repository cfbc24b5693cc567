using System.Numerics;
using WeaveHypervisor.Disks;
using static WeaveHypervisor.Libvirt.Memory.MigrationFormat;

namespace WeaveHypervisor.Libvirt.Memory;

/// <summary>
/// The flat RAM file being written: page N at N × 4096, pages of zeros are holes. Neighbouring pages are gathered into one write. A page may come again; the last wins.
/// </summary>
internal sealed class FlatMemoryFile(FileStream file)
{
    private const int RunSize = 1 << 20;
    private const int PagesPerChunk = 1 << 15;                         // 128 MiB of RAM, 4 KiB of bits
    private readonly byte[] _run = GC.AllocateUninitializedArray<byte>(RunSize);
    private long _runAt;
    private int _runLength;
    private ulong[]?[] _written = [];

    public long Length { get; private set; }

    public void SetLength(long length)
    {
        file.SetLength(Length = length);
        _written = new ulong[]?[(length / PageSize + PagesPerChunk - 1) / PagesPerChunk];
    }

    /// <summary>Pages that hold data now.</summary>
    public long DataPages => _written.Sum(chunk => chunk?.Sum(bits => (long)BitOperations.PopCount(bits)) ?? 0);

    public void Page(long address, ReadOnlySpan<byte> data)
    {
        var zero = data.IndexOfAnyExcept((byte)0) < 0;
        if (!Mark(address, !zero) && zero) return;                     // was a hole, stays one
        Append(address, data);
    }

    public void Filled(long address, byte fill)
    {
        if (!Mark(address, fill != 0) && fill == 0) return;
        Span<byte> page = stackalloc byte[PageSize];
        page.Fill(fill);
        Append(address, page);
    }

    public void Flush()
    {
        if (_runLength == 0) return;
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

    /// <summary>Sets whether the page holds data; answers whether it did before.</summary>
    private bool Mark(long address, bool data)
    {
        var page = address / PageSize;
        ref var chunk = ref _written[page / PagesPerChunk];
        if (chunk is null)
        {
            if (!data) return false;
            chunk = new ulong[PagesPerChunk / 64];
        }
        ref var bits = ref chunk[page % PagesPerChunk / 64];
        var bit = 1UL << (int)(page % 64);
        var before = (bits & bit) != 0;
        bits = data ? bits | bit : bits & ~bit;
        return before;
    }
}
