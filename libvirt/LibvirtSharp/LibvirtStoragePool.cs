using LibvirtSharp.Native;

namespace LibvirtSharp;

/// <summary>A storage pool.</summary>
public sealed unsafe class LibvirtStoragePool : IDisposable
{
    private readonly LibvirtConnection _connection;
    private readonly StoragePoolHandle _handle;

    internal LibvirtStoragePool(LibvirtConnection connection, StoragePoolHandle handle)
    {
        (_connection, _handle) = (connection, handle);
        Name = Check.Borrowed(StorageNative.PoolGetName(handle));
    }

    /// <summary>Gives up this reference; the object itself lives on in libvirt. Later calls throw <see cref="ObjectDisposedException"/>.</summary>
    public void Dispose() => _handle.Dispose();

    /// <summary>Name.</summary>
    public string Name { get; }

    /// <summary>Starts the pool.</summary>
    public Task CreateAsync(StoragePoolCreateFlags flags = 0, CancellationToken cancellationToken = default) => _connection.RunAsync(() => { Check.NotNegative(StorageNative.PoolCreate(_handle, (uint)flags)); }, cancellationToken);

    /// <summary>Makes what the pool needs, such as its folder.</summary>
    public Task BuildAsync(StoragePoolBuildFlags flags = 0, CancellationToken cancellationToken = default) => _connection.RunAsync(() => { Check.NotNegative(StorageNative.PoolBuild(_handle, (uint)flags)); }, cancellationToken);

    /// <summary>Stops the pool; its data stays.</summary>
    public Task DestroyAsync(CancellationToken cancellationToken = default) => _connection.RunAsync(() => { Check.NotNegative(StorageNative.PoolDestroy(_handle)); }, cancellationToken);

    /// <summary>Removes the definition.</summary>
    public Task UndefineAsync(CancellationToken cancellationToken = default) => _connection.RunAsync(() => { Check.NotNegative(StorageNative.PoolUndefine(_handle)); }, cancellationToken);

    /// <summary>Reads the list of volumes anew.</summary>
    public Task RefreshAsync(CancellationToken cancellationToken = default) => _connection.RunAsync(() => { Check.NotNegative(StorageNative.PoolRefresh(_handle, 0)); }, cancellationToken);

    /// <summary>Pool XML.</summary>
    public Task<string> GetXmlAsync(StorageXmlFlags flags = 0, CancellationToken cancellationToken = default) => _connection.RunAsync(() => Check.Owned(StorageNative.PoolGetXml(_handle, (uint)flags)), cancellationToken);

    /// <summary>True while it runs.</summary>
    public Task<bool> IsActiveAsync(CancellationToken cancellationToken = default) => _connection.RunAsync(() => Check.Boolean(StorageNative.PoolIsActive(_handle)), cancellationToken);

    /// <summary>State and sizes.</summary>
    public Task<StoragePoolInfo> GetInfoAsync(CancellationToken cancellationToken = default) => _connection.RunAsync(() =>
    {
        Check.NotNegative(StorageNative.PoolGetInfo(_handle, out var info));
        return new StoragePoolInfo((StoragePoolState)info.State, info.Capacity, info.Allocation, info.Available);
    }, cancellationToken);

    /// <summary>Volumes of the pool. The caller disposes them.</summary>
    public Task<IReadOnlyList<LibvirtStorageVolume>> ListVolumesAsync(CancellationToken cancellationToken = default) => _connection.RunAsync<IReadOnlyList<LibvirtStorageVolume>>(() =>
    {
        var count = StorageNative.PoolListVolumes(_handle, out var items, 0);
        return Array.ConvertAll(Check.List<StorageVolumeHandle>(count, items), h => new LibvirtStorageVolume(_connection, h));
    }, cancellationToken);

    /// <summary>Makes a volume.</summary>
    public Task<LibvirtStorageVolume> CreateVolumeAsync(string xml, StorageVolumeCreateFlags flags = 0, CancellationToken cancellationToken = default) => _connection.RunAsync(() => new LibvirtStorageVolume(_connection, Check.Valid(StorageNative.VolumeCreateXml(_handle, xml, (uint)flags))), cancellationToken);

    /// <summary>Fails with <see cref="VirErrorCode.NoStorageVol"/> where there is none.</summary>
    public Task<LibvirtStorageVolume> LookupVolumeAsync(string name, CancellationToken cancellationToken = default) => _connection.RunAsync(() => new LibvirtStorageVolume(_connection, Check.Valid(StorageNative.VolumeLookupByName(_handle, name))), cancellationToken);
}
