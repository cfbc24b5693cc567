using System.Text.Json.Nodes;
using LibvirtSharp;
using WeaveHypervisor.Disks;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.Libvirt.Memory;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt.Capturing;

/// <summary>
/// Memory of a machine whose RAM is a private map of a base: no migration at all. While it is suspended, QEMU saves its devices into a file in memory, and the pages that are the machine's own are copied
/// out of its process: all that can differ from the base, also what it loaded when it was started. They are written when it runs again, as the base with those pages.
/// </summary>
internal sealed class PrivatePath : IDisposable
{
    /// <summary>Changed RAM that is copied in a pause (some 50 ms); a machine with more is sent live, and gets a base of its own where that is worth it.</summary>
    private const long MostInPause = 128L << 20;
    /// <summary>What a machine may still change between the look before the pause and the pause.</summary>
    private const long Slack = 8L << 20;
    private readonly MemoryImage _image;
    private readonly ProcessMemory _memory;
    private readonly long _ram;
    private readonly IReadOnlyList<PlacedBlock> _others;
    private readonly MemoryFile _devices = new("weave-devices");
    private readonly List<CopiedPages> _copies;
    private string _set = "";

    private PrivatePath(MemoryImage image, ProcessMemory memory, long ram, IReadOnlyList<PlacedBlock> others, string spill)
    {
        (_image, _memory, _ram, _others) = (image, memory, ram, others);
        _copies = [.. Enumerable.Range(0, 1 + others.Count).Select(_ => new CopiedPages(spill))];
    }

    /// <summary>Looks whether a machine really maps the image that it is said to; null with the reason where it does not, or cannot be captured so.</summary>
    public static async Task<(PrivatePath? Path, string? Reason)> PrepareAsync(LibvirtDomain domain, CaptureMachine machine, CancellationToken stop)
    {
        var image = machine.Base!;
        if (!File.Exists(image.DeviceStatePath)) return (null, "the device state that it was started from is gone");
        if (QemuProcess.Find(machine.Machine.HypervisorName) is not { } process) return (null, "libvirt does not tell its process");
        ProcessMemory? memory = null;
        PrivatePath? path = null;
        try
        {
            memory = ProcessMemory.Open(process);
            if (MappedAt(memory.Maps(), image) is not { } ram) return (null, "its memory is not a private map of the image that it was started from");
            var (others, reason) = await RamBlocks.FindAsync(domain, memory, stop);
            if (reason is not null) return (null, reason);
            path = new(image, memory, ram, others, DurableFile.PartOf(machine.DeviceStatePath) + ".pages");
            memory = null;
            if (path.Changed() is var changed && changed > MostInPause) return (null, $"it has changed {changed >> 20} MiB of its memory, more than is copied in a pause");
            using (var writeEnd = path._devices.OpenForWriting())
                path._set = $"/dev/fdset/{await Monitor.KeepFileAsync(domain, CapturePipe.Mark, (int)writeEnd.DangerousGetHandle(), stop)}";
            var ready = path;
            path = null;
            return (ready, null);
        }
        catch (WeaveException error) when (error.Fault is not Fault.Internal)
        {
            return (null, error.Message);
        }
        catch (QemuRefusal refusal)
        {
            return (null, refusal.Text);
        }
        finally
        {
            memory?.Dispose();
            path?.Dispose();
        }
    }

    /// <summary>Just before the pause: makes room for what is to be copied.</summary>
    public void Reserve()
    {
        _copies[0].Reserve(Changed() + Slack);
        for (var i = 0; i < _others.Count; i++) _copies[i + 1].Reserve(_memory.OwnPages(_others[i].Address, _others[i].Length).Sum(r => r.Count) * MigrationFormat.PageSize);
    }

    /// <summary>With the machine suspended: has QEMU save the devices, which reads guest memory and might write it. Before <see cref="Copy"/>.</summary>
    public void SaveDevices(LibvirtDomain domain) => Monitor.Execute(domain, "xen-save-devices-state", new JsonObject { ["filename"] = _set, ["live"] = false });

    /// <summary>With the machine suspended: copies its own pages.</summary>
    public void Copy()
    {
        try
        {
            _copies[0].Copy(_memory, _ram, _memory.OwnPages(_ram, _image.RamBytes));
            for (var i = 0; i < _others.Count; i++) _copies[i + 1].Copy(_memory, _others[i].Address, _memory.OwnPages(_others[i].Address, _others[i].Length));
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw DiskFaults.From(error, "copy the changed memory of a machine");
        }
    }

    /// <summary>With the machine running again: writes the image.</summary>
    public async Task<MemoryImage> WriteAsync(string deviceStatePath, FileOwner? owner, CancellationToken stop)
    {
        List<RamContent> contents = [new(MigrationStreamSplitter.SharedBlock, _image.RamBytes, _copies[0].Pages())];
        for (var i = 0; i < _others.Count; i++) contents.Add(new(_others[i].Name, _others[i].Length, All(_copies[i + 1].Pages(), _others[i].Length)));
        await using (var devices = _devices.OpenForReading()) await DeviceStateJoiner.JoinAsync(_image.DeviceStatePath, devices, contents, deviceStatePath, owner, stop);
        return _image with { DeviceStatePath = deviceStatePath, SharesBase = true, StoredBytes = FileFacts.Read(deviceStatePath).AllocatedBytes };
    }

    public void Dispose()
    {
        foreach (var copy in _copies) copy.Dispose();
        _devices.Dispose();
        _memory.Dispose();
    }

    private long Changed() => _memory.OwnPages(_ram, _image.RamBytes).Sum(r => r.Count) * MigrationFormat.PageSize;

    /// <summary>Where a process maps the whole flat file of an image, and it alone, privately; null where it does not.</summary>
    internal static long? MappedAt(IReadOnlyList<Mapping> maps, MemoryImage image)
    {
        var parts = maps.Where(m => m.Path == image.FlatPath).ToList();
        if (parts.Count == 0 || parts[0].Offset != 0 || !FileFacts.Read(image.FlatPath).Identity.EndsWith($":{parts[0].Inode}", StringComparison.Ordinal)) return null;
        long at = parts[0].Start, offset = 0;
        foreach (var part in parts)
        {
            if (!part.IsPrivate || !part.Access.StartsWith("rw", StringComparison.Ordinal) || part.Start != at || part.Offset != offset || part.Inode != parts[0].Inode) return null;
            offset += part.End - part.Start;
            at = part.End;
        }
        return offset == image.RamBytes ? parts[0].Start : null;
    }

    /// <summary>All pages of a block, zeros for those that were not copied.</summary>
    private static IEnumerable<RamPage> All(IEnumerable<RamPage> copied, long length)
    {
        var zeros = new byte[MigrationFormat.PageSize];
        long next = 0;
        foreach (var page in copied)
        {
            for (; next < page.Address; next += MigrationFormat.PageSize) yield return new(next, zeros);
            yield return page;
            next = page.Address + MigrationFormat.PageSize;
        }
        for (; next < length; next += MigrationFormat.PageSize) yield return new(next, zeros);
    }
}
