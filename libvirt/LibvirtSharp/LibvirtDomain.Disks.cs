using System.Runtime.InteropServices;
using LibvirtSharp.Native;

namespace LibvirtSharp;

/// <content>Disks, block jobs and snapshots. Bandwidth is in MiB/s unless a flag says bytes; 0 is no limit.</content>
public sealed unsafe partial class LibvirtDomain
{
    /// <summary>Sizes of a disk, by target name or path.</summary>
    public Task<DomainBlockInfo> GetBlockInfoAsync(string disk, CancellationToken cancellationToken = default) => _connection.RunAsync(() =>
    {
        Check.NotNegative(DomainNative.GetBlockInfo(_handle, disk, out var info, 0));
        return info;
    }, cancellationToken);

    /// <summary>Starts to merge layers from <paramref name="top"/> down into <paramref name="baseLayer"/> (null: the ends of the chain).</summary>
    public Task BlockCommitAsync(string disk, string? baseLayer = null, string? top = null, ulong bandwidth = 0, BlockCommitFlags flags = 0, CancellationToken cancellationToken = default) => _connection.RunAsync(() => { Check.NotNegative(DomainNative.BlockCommit(_handle, disk, baseLayer, top, new CULong((nuint)bandwidth), (uint)flags)); }, cancellationToken);

    /// <summary>Starts to fill the top layer from the layers below.</summary>
    public Task BlockPullAsync(string disk, ulong bandwidth = 0, BlockPullFlags flags = 0, CancellationToken cancellationToken = default) => _connection.RunAsync(() => { Check.NotNegative(DomainNative.BlockPull(_handle, disk, new CULong((nuint)bandwidth), (uint)flags)); }, cancellationToken);

    /// <summary>Starts to fill the top layer from the layers below, down to but without <paramref name="baseLayer"/>, on which it stands afterwards; null: from all.</summary>
    public Task BlockRebaseAsync(string disk, string? baseLayer, ulong bandwidth = 0, BlockRebaseFlags flags = 0, CancellationToken cancellationToken = default) =>
        _connection.RunAsync(() => { Check.NotNegative(DomainNative.BlockRebase(_handle, disk, baseLayer, new CULong((nuint)bandwidth), (uint)flags)); }, cancellationToken);

    /// <summary>Starts to mirror a disk to the destination that the XML describes.</summary>
    public Task BlockCopyAsync(string disk, string destinationXml, BlockCopyFlags flags = 0, CancellationToken cancellationToken = default) => _connection.RunAsync(() => { Check.NotNegative(DomainNative.BlockCopy(_handle, disk, destinationXml, 0, 0, (uint)flags)); }, cancellationToken);

    /// <summary>Ends a block job, or pivots to its destination with <see cref="BlockJobAbortFlags.Pivot"/>.</summary>
    public Task BlockJobAbortAsync(string disk, BlockJobAbortFlags flags = 0, CancellationToken cancellationToken = default) => _connection.RunAsync(() => { Check.NotNegative(DomainNative.BlockJobAbort(_handle, disk, (uint)flags)); }, cancellationToken);

    /// <summary>The job of a disk, null where none runs.</summary>
    public Task<BlockJobInfo?> GetBlockJobInfoAsync(string disk, BlockJobInfoFlags flags = 0, CancellationToken cancellationToken = default) => _connection.RunAsync(() =>
        Check.Boolean(DomainNative.GetBlockJobInfo(_handle, disk, out var info, (uint)flags))
            ? new BlockJobInfo((BlockJobType)info.Type, info.Bandwidth.Value, info.Current, info.End) : null, cancellationToken);

    /// <summary>Takes a snapshot (virDomainSnapshotCreateXML). The caller disposes the result.</summary>
    public Task<LibvirtDomainSnapshot> CreateSnapshotAsync(string xml, SnapshotCreateFlags flags = 0, CancellationToken cancellationToken = default) =>
        _connection.RunAsync(() => CreateSnapshotNow(xml, flags), cancellationToken);

    /// <summary><see cref="CreateSnapshotAsync"/> on the calling thread, which it blocks.</summary>
    public LibvirtDomainSnapshot CreateSnapshotNow(string xml, SnapshotCreateFlags flags = 0) =>
        new(_connection, Check.Valid(SnapshotNative.CreateXml(_handle, xml, (uint)flags)));

    /// <summary>Snapshots that libvirt knows of. The caller disposes them.</summary>
    public Task<IReadOnlyList<LibvirtDomainSnapshot>> ListSnapshotsAsync(SnapshotListFlags flags = 0, CancellationToken cancellationToken = default) => _connection.RunAsync<IReadOnlyList<LibvirtDomainSnapshot>>(() =>
    {
        var count = SnapshotNative.ListAll(_handle, out var items, (uint)flags);
        return Array.ConvertAll(Check.List<SnapshotHandle>(count, items), h => new LibvirtDomainSnapshot(_connection, h));
    }, cancellationToken);

    /// <summary>Fails with <see cref="VirErrorCode.NoDomainSnapshot"/> where there is none.</summary>
    public Task<LibvirtDomainSnapshot> LookupSnapshotAsync(string name, CancellationToken cancellationToken = default) => _connection.RunAsync(() => new LibvirtDomainSnapshot(_connection, Check.Valid(SnapshotNative.LookupByName(_handle, name, 0))), cancellationToken);
}
