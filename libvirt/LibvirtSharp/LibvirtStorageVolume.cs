using LibvirtSharp.Native;

namespace LibvirtSharp;

/// <summary>A volume of a storage pool.</summary>
public sealed unsafe class LibvirtStorageVolume : IDisposable
{
    private readonly LibvirtConnection _connection;
    private readonly StorageVolumeHandle _handle;

    internal LibvirtStorageVolume(LibvirtConnection connection, StorageVolumeHandle handle)
    {
        (_connection, _handle) = (connection, handle);
        Name = Check.Borrowed(StorageNative.VolumeGetName(handle));
    }

    /// <summary>Gives up this reference; the object itself lives on in libvirt. Later calls throw <see cref="ObjectDisposedException"/>.</summary>
    public void Dispose() => _handle.Dispose();

    /// <summary>Name within the pool.</summary>
    public string Name { get; }

    /// <summary>Path on the host.</summary>
    public Task<string> GetPathAsync(CancellationToken cancellationToken = default) => _connection.RunAsync(() => Check.Owned(StorageNative.VolumeGetPath(_handle)), cancellationToken);

    /// <summary>Volume XML.</summary>
    public Task<string> GetXmlAsync(CancellationToken cancellationToken = default) => _connection.RunAsync(() => Check.Owned(StorageNative.VolumeGetXml(_handle, 0)), cancellationToken);

    /// <summary>Deletes the volume and its data.</summary>
    public Task DeleteAsync(StorageVolumeDeleteFlags flags = 0, CancellationToken cancellationToken = default) => _connection.RunAsync(() => { Check.NotNegative(StorageNative.VolumeDelete(_handle, (uint)flags)); }, cancellationToken);

    /// <summary>Sizes.</summary>
    public Task<StorageVolumeInfo> GetInfoAsync(CancellationToken cancellationToken = default) => _connection.RunAsync(() =>
    {
        Check.NotNegative(StorageNative.VolumeGetInfo(_handle, out var info));
        return new StorageVolumeInfo((StorageVolumeType)info.Type, info.Capacity, info.Allocation);
    }, cancellationToken);
}
