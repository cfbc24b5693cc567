namespace WeaveHypervisor.Disks.Vhdx;

/// <summary>The three kinds of VHDX files.</summary>
public enum VhdxKind { Fixed, Dynamic, Differencing }

/// <summary>What a VHDX file says of itself; sizes in bytes.</summary>
/// <param name="Capacity">As a guest sees the disk.</param>
/// <param name="VirtualDiskId">What a guest sees as the disk's identity (SCSI page 83).</param>
/// <param name="DataWriteId">Changes before what a guest sees changes ([MS-VHDX] 2.2.2, DataWriteGuid). Differencing disks are linked to that of their parent.</param>
/// <param name="ParentNames">Where the parent may be, in the order in which they are to be tried, as the file says it; the relative one with <c>/</c>. Empty without a parent.</param>
/// <param name="ParentLinkage">The parent's <paramref name="DataWriteId"/>; null without a parent.</param>
public sealed record VhdxFacts(string Path, VhdxKind Kind, long Capacity, int BlockBytes, int LogicalSectorBytes, int PhysicalSectorBytes, Guid VirtualDiskId, Guid DataWriteId,
    IReadOnlyList<string> ParentNames, Guid? ParentLinkage, long FileLength, long AllocatedBytes)
{
    /// <summary>Reads the file's metadata, never its content. NotFound, InvalidRequest (no VHDX file), Unsupported (of a kind that is not read), DataLoss (damaged).</summary>
    public static async ValueTask<VhdxFacts> ReadAsync(string path, CancellationToken stop)
    {
        await using var image = await VhdxImage.OpenAsync(path, stop).ConfigureAwait(false);
        var metadata = image.Metadata;
        var file = FileFacts.Read(path);
        return new(path, metadata.Parent is not null ? VhdxKind.Differencing : metadata.LeaveBlocksAllocated ? VhdxKind.Fixed : VhdxKind.Dynamic, metadata.Capacity, metadata.BlockSize,
            metadata.LogicalSectorSize, metadata.PhysicalSectorSize, metadata.VirtualDiskId, image.Header.DataWriteGuid, metadata.Parent?.Names ?? [], metadata.Parent?.Linkage, file.Length, file.AllocatedBytes);
    }
}
