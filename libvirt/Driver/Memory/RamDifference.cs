using Microsoft.Win32.SafeHandles;
using WeaveHypervisor.Disks;
using WeaveHypervisor.Model;
using static WeaveHypervisor.Libvirt.Memory.MigrationFormat;

namespace WeaveHypervisor.Libvirt.Memory;

/// <summary>
/// RAM that is compared with a base while it arrives. Pages that differ are gathered in the flat file that is being made, at their own place. Where they pass a quarter of the RAM, what was
/// equal so far is copied from the base, and that file becomes a base itself; otherwise the pages go into the device state in the end, and the file is thrown away. Memory is bounded by two
/// bits for each page, and no page is written twice but the few of a small difference.
/// </summary>
internal sealed class RamDifference : IDisposable
{
    private const int WindowSize = 128 << 10;
    private readonly FlatMemoryFile _flat;
    private readonly SafeFileHandle _base;
    private readonly string _path;
    private readonly PageSet _seen, _differ;
    private readonly long _most;
    private readonly byte[] _window = GC.AllocateUninitializedArray<byte>(WindowSize);
    private long _windowAt = -1;

    private RamDifference(FlatMemoryFile flat, SafeFileHandle @base, string path, long length)
    {
        (_flat, _base, _path) = (flat, @base, path);
        var pages = length / PageSize;
        (_seen, _differ, _most) = (new(pages), new(pages), pages / 4);
    }

    /// <summary>Begins a comparison for RAM of <paramref name="length"/> bytes; null where the base's file is missing or of another length.</summary>
    public static RamDifference? Open(string path, FlatMemoryFile flat, long length)
    {
        try
        {
            var (handle, facts) = FileFacts.OpenRegular(path);
            if (facts.Length == length) return new(flat, handle, path, length);
            handle.Dispose();
        }
        catch (WeaveException error) when (error.Fault is Fault.NotFound or Fault.Unsupported)
        {
            // Somebody has taken it away: its images are lost, this one need not be.
        }
        return null;
    }

    /// <summary>So much differs that the flat file is a base of its own; then it holds all that has come.</summary>
    public bool IsBase { get; private set; }

    public long Count => _differ.Count;

    public void Page(long address, ReadOnlySpan<byte> data)
    {
        if (!IsBase && Is(address, data)) return;
        _flat.Page(address, data);
        if (!IsBase) Differs(address);
    }

    public void Filled(long address, byte fill)
    {
        Span<byte> page = stackalloc byte[PageSize];
        page.Fill(fill);
        if (!IsBase && Is(address, page)) return;
        _flat.Filled(address, fill);
        if (!IsBase) Differs(address);
    }

    /// <summary>The pages that differ, ascending; each is to be used before the next is asked for.</summary>
    public IEnumerable<RamPage> Pages()
    {
        var buffer = new byte[PageSize];
        foreach (var page in _differ.All())
        {
            _flat.Read(page * PageSize, buffer);
            yield return new(page * PageSize, buffer);
        }
    }

    public void Dispose() => _base.Dispose();

    private bool Is(long address, ReadOnlySpan<byte> data)
    {
        _seen.Set(address / PageSize, true);
        if (!data.SequenceEqual(BasePage(address))) return false;
        _differ.Set(address / PageSize, false);
        return true;
    }

    private void Differs(long address)
    {
        _differ.Set(address / PageSize, true);
        if (_differ.Count <= _most) return;
        IsBase = true;
        // What has not come yet will come, and needs no copy.
        foreach (var page in _seen.All())
            if (!_differ.Contains(page)) _flat.Page(page * PageSize, BasePage(page * PageSize));
    }

    private ReadOnlySpan<byte> BasePage(long address)
    {
        var at = address & ~(WindowSize - 1L);
        if (at != _windowAt)
        {
            _windowAt = -1;
            if (RandomAccess.Read(_base, _window, at) is var read && at + read < address + PageSize)
                throw new WeaveException(Fault.DataLoss, $"The flat memory file {Ids.Quote(_path)} became shorter while it was read.", "Delete the snapshots that stand on it, and take this one again.");
            _windowAt = at;
        }
        return _window.AsSpan((int)(address - at), PageSize);
    }
}
