using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using LibvirtSharp.Native;

namespace LibvirtSharp;

/// <content>Guest agent, monitor, metadata, statistics.</content>
public sealed unsafe partial class LibvirtDomain
{
    /// <summary>Addresses of the guest, from DHCP leases, the guest agent or the host's ARP table.</summary>
    public Task<IReadOnlyList<DomainInterface>> GetInterfaceAddressesAsync(InterfaceAddressSource source, CancellationToken cancellationToken = default) =>
        _connection.RunAsync(() => ReadInterfaces(source), cancellationToken);

    /// <summary>Freezes all file systems through the guest agent; returns how many.</summary>
    public Task<int> FreezeFileSystemsAsync(CancellationToken cancellationToken = default) => _connection.RunAsync(() => Check.NotNegative(DomainNative.FsFreeze(_handle, 0, 0, 0)), cancellationToken);

    /// <summary>Thaws all file systems through the guest agent; returns how many.</summary>
    public Task<int> ThawFileSystemsAsync(CancellationToken cancellationToken = default) => _connection.RunAsync(() => Check.NotNegative(DomainNative.FsThaw(_handle, 0, 0, 0)), cancellationToken);

    /// <summary>Sets the guest's clock through the guest agent.</summary>
    public Task SetTimeAsync(DateTimeOffset time, DomainSetTimeFlags flags = 0, CancellationToken cancellationToken = default) => _connection.RunAsync(() =>
    {
        var seconds = time.ToUnixTimeSeconds();
        var nanoseconds = (uint)((time.UtcTicks % TimeSpan.TicksPerSecond) * 100);
        Check.NotNegative(DomainNative.SetTime(_handle, seconds, nanoseconds, (uint)flags));
    }, cancellationToken);

    /// <summary>Metadata; fails with <see cref="VirErrorCode.NoDomainMetadata"/> where there is none.</summary>
    public Task<string> GetMetadataAsync(DomainMetadataType type, string? uri = null, DomainModificationImpact impact = 0, CancellationToken cancellationToken = default) => _connection.RunAsync(() => Check.Owned(DomainNative.GetMetadata(_handle, (int)type, uri, (uint)impact)), cancellationToken);

    /// <summary>Sets metadata, or removes it with null.</summary>
    public Task SetMetadataAsync(DomainMetadataType type, string? metadata, string? key = null, string? uri = null, DomainModificationImpact impact = 0, CancellationToken cancellationToken = default) => _connection.RunAsync(() => { Check.NotNegative(DomainNative.SetMetadata(_handle, (int)type, metadata, key, uri, (uint)impact)); }, cancellationToken);

    /// <summary>Memory statistics; sizes in KiB, and only those that the hypervisor gives.</summary>
    public Task<IReadOnlyDictionary<DomainMemoryStatTag, ulong>> GetMemoryStatsAsync(CancellationToken cancellationToken = default) => _connection.RunAsync<IReadOnlyDictionary<DomainMemoryStatTag, ulong>>(() =>
    {
        const int Most = 64;
        // Sound: libvirt fills at most `Most` items of this stack buffer and returns how many.
        var stats = stackalloc NativeMemoryStat[Most];
        var count = Check.NotNegative(DomainNative.MemoryStats(_handle, stats, Most, 0));
        var result = new Dictionary<DomainMemoryStatTag, ulong>(count);
        for (var i = 0; i < count; i++)
        {
            result[(DomainMemoryStatTag)stats[i].Tag] = stats[i].Value;
        }

        return result;
    }, cancellationToken);

    /// <summary>Sends a command to the QEMU guest agent; a timeout below zero has libvirt's special meanings (-2 block, -1 default).</summary>
    public Task<string> AgentCommandAsync(string json, int timeoutSeconds = -1, CancellationToken cancellationToken = default) => _connection.RunAsync(() => Check.Owned(QemuNative.AgentCommand(_handle, json, timeoutSeconds, 0)), cancellationToken);

    /// <summary>Sends a QMP command to QEMU and returns its answer, in which QEMU's own errors are data. Taints the domain.</summary>
    public Task<string> MonitorCommandAsync(string json, CancellationToken cancellationToken = default) => _connection.RunAsync(() => MonitorCommandNow(json), cancellationToken);

    /// <summary><see cref="MonitorCommandAsync"/> on the calling thread, which it blocks.</summary>
    public string MonitorCommandNow(string json)
    {
        Check.NotNegative(QemuNative.MonitorCommand(_handle, json, out var result, 0));
        return Check.Owned(result);
    }

    /// <summary>As <see cref="MonitorCommandAsync"/>, with open descriptors that QEMU gets copies of (libvirt ≥ 8.2).</summary>
    /// <exception cref="LibvirtMissingException">The installed libvirt is older than 8.2.</exception>
    public Task<MonitorReply> MonitorCommandWithFilesAsync(string json, int[] files, CancellationToken cancellationToken = default) =>
        _connection.RunAsync(() => MonitorCommandWithFilesNow(json, files), cancellationToken);

    /// <summary><see cref="MonitorCommandWithFilesAsync"/> on the calling thread, which it blocks.</summary>
    public MonitorReply MonitorCommandWithFilesNow(string json, ReadOnlySpan<int> files)
    {
        // Sound: the descriptors are read during the call only, while the span is pinned; the result arrays are ours to free.
        fixed (int* first = files)
        {
            int* received;
            uint count;
            nint result;
            try
            {
                Check.NotNegative(QemuNative.MonitorCommandWithFiles(_handle, json, (uint)files.Length, first, out count, out received, out result, 0));
            }
            catch (EntryPointNotFoundException missing)
            {
                throw new LibvirtMissingException("The installed libvirt has no virDomainQemuMonitorCommandWithFiles: update it to 8.2 or newer.", missing);
            }

            var handles = new SafeFileHandle[count];
            for (var i = 0; i < count; i++)
            {
                handles[i] = new SafeFileHandle(received[i], ownsHandle: true);
            }

            NativeMemory.Free(received);
            return new MonitorReply(Check.Owned(result), handles);
        }
    }

    private IReadOnlyList<DomainInterface> ReadInterfaces(InterfaceAddressSource source)
    {
        var count = Check.NotNegative(DomainNative.InterfaceAddresses(_handle, out var items, (uint)source, 0));
        var result = new DomainInterface[count];
        // Sound: libvirt filled exactly `count` items; each is copied, then freed by its own function, the array by free().
        for (var i = 0; i < count; i++)
        {
            var item = items[i];
            var addresses = new IpAddress[item->AddressCount];
            for (var j = 0; j < addresses.Length; j++)
            {
                var address = item->Addresses[j];
                addresses[j] = new IpAddress((IpAddressType)address.Type, Marshal.PtrToStringUTF8(address.Address)!, address.Prefix);
            }

            result[i] = new DomainInterface(Marshal.PtrToStringUTF8(item->Name)!, Marshal.PtrToStringUTF8(item->HardwareAddress), addresses);
            DomainNative.InterfaceFree(item);
        }

        NativeMemory.Free(items);
        return result;
    }
}
