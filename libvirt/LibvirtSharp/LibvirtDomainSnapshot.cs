using LibvirtSharp.Native;

namespace LibvirtSharp;

/// <summary>A snapshot of a domain.</summary>
public sealed unsafe class LibvirtDomainSnapshot : IDisposable
{
    private readonly LibvirtConnection _connection;
    private readonly SnapshotHandle _handle;

    internal LibvirtDomainSnapshot(LibvirtConnection connection, SnapshotHandle handle)
    {
        (_connection, _handle) = (connection, handle);
        Name = Check.Borrowed(SnapshotNative.GetName(handle));
    }

    /// <summary>Gives up this reference; the object itself lives on in libvirt. Later calls throw <see cref="ObjectDisposedException"/>.</summary>
    public void Dispose() => _handle.Dispose();

    /// <summary>Name.</summary>
    public string Name { get; }

    /// <summary>Snapshot XML.</summary>
    public Task<string> GetXmlAsync(SnapshotXmlFlags flags = 0, CancellationToken cancellationToken = default) => _connection.RunAsync(() => Check.Owned(SnapshotNative.GetXml(_handle, (uint)flags)), cancellationToken);

    /// <summary>Deletes the snapshot, or with <see cref="SnapshotDeleteFlags.MetadataOnly"/> only what libvirt knows of it.</summary>
    public Task DeleteAsync(SnapshotDeleteFlags flags = 0, CancellationToken cancellationToken = default) => _connection.RunAsync(() => { Check.NotNegative(SnapshotNative.Delete(_handle, (uint)flags)); }, cancellationToken);
}
