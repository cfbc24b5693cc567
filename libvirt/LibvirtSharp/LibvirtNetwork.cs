using System.Runtime.InteropServices;
using LibvirtSharp.Native;

namespace LibvirtSharp;

/// <summary>A virtual network.</summary>
public sealed unsafe class LibvirtNetwork : IDisposable
{
    private readonly LibvirtConnection _connection;
    private readonly NetworkHandle _handle;

    internal LibvirtNetwork(LibvirtConnection connection, NetworkHandle handle)
    {
        (_connection, _handle) = (connection, handle);
        // Sound: libvirt needs 37 bytes for the text of a UUID.
        var uuid = stackalloc byte[37];
        Check.NotNegative(NetworkNative.GetUuidString(handle, uuid));
        Uuid = Guid.Parse(Marshal.PtrToStringUTF8((nint)uuid)!);
        Name = Check.Borrowed(NetworkNative.GetName(handle));
    }

    /// <summary>Gives up this reference; the object itself lives on in libvirt. Later calls throw <see cref="ObjectDisposedException"/>.</summary>
    public void Dispose() => _handle.Dispose();

    /// <summary>Name.</summary>
    public string Name { get; }

    /// <summary>UUID, which never changes.</summary>
    public Guid Uuid { get; }

    /// <summary>Starts the defined network.</summary>
    public Task CreateAsync(CancellationToken cancellationToken = default) => _connection.RunAsync(() => { Check.NotNegative(NetworkNative.Create(_handle)); }, cancellationToken);

    /// <summary>Stops the network.</summary>
    public Task DestroyAsync(CancellationToken cancellationToken = default) => _connection.RunAsync(() => { Check.NotNegative(NetworkNative.Destroy(_handle)); }, cancellationToken);

    /// <summary>Removes the definition.</summary>
    public Task UndefineAsync(CancellationToken cancellationToken = default) => _connection.RunAsync(() => { Check.NotNegative(NetworkNative.Undefine(_handle)); }, cancellationToken);

    /// <summary>Network XML.</summary>
    public Task<string> GetXmlAsync(NetworkXmlFlags flags = 0, CancellationToken cancellationToken = default) => _connection.RunAsync(() => Check.Owned(NetworkNative.GetXml(_handle, (uint)flags)), cancellationToken);

    /// <summary>Name of the host's bridge.</summary>
    public Task<string> GetBridgeNameAsync(CancellationToken cancellationToken = default) => _connection.RunAsync(() => Check.Owned(NetworkNative.GetBridgeName(_handle)), cancellationToken);

    /// <summary>True while it runs.</summary>
    public Task<bool> IsActiveAsync(CancellationToken cancellationToken = default) => _connection.RunAsync(() => Check.Boolean(NetworkNative.IsActive(_handle)), cancellationToken);

    /// <summary>True where it is defined.</summary>
    public Task<bool> IsPersistentAsync(CancellationToken cancellationToken = default) => _connection.RunAsync(() => Check.Boolean(NetworkNative.IsPersistent(_handle)), cancellationToken);

    /// <summary>True where it starts with the host.</summary>
    public Task<bool> GetAutostartAsync(CancellationToken cancellationToken = default) => _connection.RunAsync(() =>
    {
        Check.NotNegative(NetworkNative.GetAutostart(_handle, out var autostart));
        return autostart != 0;
    }, cancellationToken);

    /// <summary>Says whether it starts with the host.</summary>
    public Task SetAutostartAsync(bool autostart, CancellationToken cancellationToken = default) => _connection.RunAsync(() => { Check.NotNegative(NetworkNative.SetAutostart(_handle, autostart ? 1 : 0)); }, cancellationToken);

    /// <summary>Changes one element, for example adds a DHCP host; <paramref name="parentIndex"/> -1 lets libvirt choose.</summary>
    public Task UpdateAsync(NetworkUpdateCommand command, NetworkUpdateSection section, string xml, int parentIndex = -1, NetworkUpdateFlags flags = 0, CancellationToken cancellationToken = default) => _connection.RunAsync(() => { Check.NotNegative(NetworkNative.Update(_handle, (uint)command, (uint)section, parentIndex, xml, (uint)flags)); }, cancellationToken);

    /// <summary>DHCP leases, of one MAC or (null) all.</summary>
    public Task<IReadOnlyList<DhcpLease>> GetDhcpLeasesAsync(string? mac = null, CancellationToken cancellationToken = default) => _connection.RunAsync<IReadOnlyList<DhcpLease>>(() =>
    {
        var count = Check.NotNegative(NetworkNative.GetDhcpLeases(_handle, mac, out var items, 0));
        var result = new DhcpLease[count];
        // Sound: libvirt filled exactly `count` items; each is copied, then freed by its own function, the array by free().
        for (var i = 0; i < count; i++)
        {
            var lease = *items[i];
            result[i] = new DhcpLease(Marshal.PtrToStringUTF8(lease.Interface)!, lease.ExpiryTime == 0 ? null : DateTimeOffset.FromUnixTimeSeconds(lease.ExpiryTime), (IpAddressType)lease.Type,
                Marshal.PtrToStringUTF8(lease.Mac), Marshal.PtrToStringUTF8(lease.Iaid), Marshal.PtrToStringUTF8(lease.IpAddress)!, lease.Prefix, Marshal.PtrToStringUTF8(lease.Hostname), Marshal.PtrToStringUTF8(lease.ClientId));
            NetworkNative.DhcpLeaseFree(items[i]);
        }

        NativeMemory.Free(items);
        return result;
    }, cancellationToken);
}
