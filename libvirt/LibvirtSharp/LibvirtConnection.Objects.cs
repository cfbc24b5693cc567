using LibvirtSharp.Native;

namespace LibvirtSharp;

/// <content>Finding and making objects. The caller disposes every object returned.</content>
public sealed unsafe partial class LibvirtConnection
{
    /// <summary>Domains that match <paramref name="flags"/> (all when none).</summary>
    public Task<IReadOnlyList<LibvirtDomain>> ListDomainsAsync(ListDomainsFlags flags = 0, CancellationToken cancellationToken = default) => RunAsync<IReadOnlyList<LibvirtDomain>>(() =>
    {
        var count = ConnectNative.ListAllDomains(Handle, out var items, (uint)flags);
        return Array.ConvertAll(Check.List<DomainHandle>(count, items), h => new LibvirtDomain(this, h));
    }, cancellationToken);

    /// <summary>Fails with <see cref="VirErrorCode.NoDomain"/> where there is none.</summary>
    public Task<LibvirtDomain> LookupDomainAsync(string name, CancellationToken cancellationToken = default) => Domain(() => DomainNative.LookupByName(Handle, name), cancellationToken);

    /// <summary>Fails with <see cref="VirErrorCode.NoDomain"/> where there is none.</summary>
    public Task<LibvirtDomain> LookupDomainAsync(Guid uuid, CancellationToken cancellationToken = default) => Domain(() => DomainNative.LookupByUuid(Handle, uuid.ToString()), cancellationToken);

    /// <summary>Finds a running domain by its number; fails with <see cref="VirErrorCode.NoDomain"/> where there is none.</summary>
    public Task<LibvirtDomain> LookupDomainAsync(int id, CancellationToken cancellationToken = default) => Domain(() => DomainNative.LookupById(Handle, id), cancellationToken);

    /// <summary>Makes or changes a persistent domain (virDomainDefineXMLFlags).</summary>
    public Task<LibvirtDomain> DefineDomainAsync(string xml, DomainDefineFlags flags = 0, CancellationToken cancellationToken = default) => Domain(() => DomainNative.DefineXml(Handle, xml, (uint)flags), cancellationToken);

    /// <summary>Starts a transient domain (virDomainCreateXML).</summary>
    public Task<LibvirtDomain> CreateDomainAsync(string xml, DomainCreateFlags flags = 0, CancellationToken cancellationToken = default) => Domain(() => DomainNative.CreateXml(Handle, xml, (uint)flags), cancellationToken);

    /// <summary>Starts a transient domain and hands it open descriptors, which stay the caller's too (virDomainCreateXMLWithFiles).</summary>
    public Task<LibvirtDomain> CreateDomainWithFilesAsync(string xml, int[] files, DomainCreateFlags flags = 0, CancellationToken cancellationToken = default) => Domain(() =>
    {
        // Sound: libvirt reads the descriptors during the call only, while the array is pinned.
        fixed (int* first = files)
        {
            return DomainNative.CreateXmlWithFiles(Handle, xml, (uint)files.Length, first, (uint)flags);
        }
    }, cancellationToken);

    /// <summary>Starts a domain from a file that <see cref="LibvirtDomain.SaveAsync"/> wrote.</summary>
    public Task RestoreDomainAsync(string path, string? xml = null, DomainSaveRestoreFlags flags = 0, CancellationToken cancellationToken = default) =>
        RunAsync(() => { Check.NotNegative(DomainNative.Restore(Handle, path, xml, (uint)flags)); }, cancellationToken);

    /// <summary>Networks that match <paramref name="flags"/> (all when none).</summary>
    public Task<IReadOnlyList<LibvirtNetwork>> ListNetworksAsync(ListNetworksFlags flags = 0, CancellationToken cancellationToken = default) => RunAsync<IReadOnlyList<LibvirtNetwork>>(() =>
    {
        var count = ConnectNative.ListAllNetworks(Handle, out var items, (uint)flags);
        return Array.ConvertAll(Check.List<NetworkHandle>(count, items), h => new LibvirtNetwork(this, h));
    }, cancellationToken);

    /// <summary>Fails with <see cref="VirErrorCode.NoNetwork"/> where there is none.</summary>
    public Task<LibvirtNetwork> LookupNetworkAsync(string name, CancellationToken cancellationToken = default) => Network(() => NetworkNative.LookupByName(Handle, name), cancellationToken);

    /// <summary>Fails with <see cref="VirErrorCode.NoNetwork"/> where there is none.</summary>
    public Task<LibvirtNetwork> LookupNetworkAsync(Guid uuid, CancellationToken cancellationToken = default) => Network(() => NetworkNative.LookupByUuid(Handle, uuid.ToString()), cancellationToken);

    /// <summary>Makes or changes a persistent network.</summary>
    public Task<LibvirtNetwork> DefineNetworkAsync(string xml, CancellationToken cancellationToken = default) => Network(() => NetworkNative.DefineXml(Handle, xml), cancellationToken);

    /// <summary>Starts a transient network.</summary>
    public Task<LibvirtNetwork> CreateNetworkAsync(string xml, CancellationToken cancellationToken = default) => Network(() => NetworkNative.CreateXml(Handle, xml), cancellationToken);

    /// <summary>Storage pools that match <paramref name="flags"/> (all when none).</summary>
    public Task<IReadOnlyList<LibvirtStoragePool>> ListStoragePoolsAsync(ListStoragePoolsFlags flags = 0, CancellationToken cancellationToken = default) => RunAsync<IReadOnlyList<LibvirtStoragePool>>(() =>
    {
        var count = ConnectNative.ListAllStoragePools(Handle, out var items, (uint)flags);
        return Array.ConvertAll(Check.List<StoragePoolHandle>(count, items), h => new LibvirtStoragePool(this, h));
    }, cancellationToken);

    /// <summary>Fails with <see cref="VirErrorCode.NoStoragePool"/> where there is none.</summary>
    public Task<LibvirtStoragePool> LookupStoragePoolAsync(string name, CancellationToken cancellationToken = default) => RunAsync(() => new LibvirtStoragePool(this, Check.Valid(StorageNative.PoolLookupByName(Handle, name))), cancellationToken);

    /// <summary>Makes or changes a persistent storage pool.</summary>
    public Task<LibvirtStoragePool> DefineStoragePoolAsync(string xml, CancellationToken cancellationToken = default) => RunAsync(() => new LibvirtStoragePool(this, Check.Valid(StorageNative.PoolDefineXml(Handle, xml, 0))), cancellationToken);

    /// <summary>Finds a volume of any active pool; fails with <see cref="VirErrorCode.NoStorageVol"/> where there is none.</summary>
    public Task<LibvirtStorageVolume> LookupStorageVolumeByPathAsync(string path, CancellationToken cancellationToken = default) => RunAsync(() => new LibvirtStorageVolume(this, Check.Valid(StorageNative.VolumeLookupByPath(Handle, path))), cancellationToken);

    private Task<LibvirtDomain> Domain(Func<DomainHandle> call, CancellationToken cancellationToken) => RunAsync(() => new LibvirtDomain(this, Check.Valid(call())), cancellationToken);

    private Task<LibvirtNetwork> Network(Func<NetworkHandle> call, CancellationToken cancellationToken) => RunAsync(() => new LibvirtNetwork(this, Check.Valid(call())), cancellationToken);
}
