using System.Numerics;
using System.Text;
using WeaveHypervisor.Model;
using static WeaveHypervisor.Disks.Vhdx.VhdxFormat;

namespace WeaveHypervisor.Disks.Vhdx;

/// <summary>What a new VHDX file is to be, before any content.</summary>
/// <param name="Capacity">Bytes that a guest sees: a positive multiple of the logical sector size, at most 64 TiB.</param>
/// <param name="ParentPath">Absolute path of a VHDX file, which must be there and is what a differencing disk is linked to; null: the disk stands alone. It is never written.</param>
/// <param name="BlockBytes">1 MiB to 256 MiB, a power of two.</param>
/// <param name="LogicalSectorBytes">512 or 4096; of a differencing disk that of its parent. Also the unit in which it tells its own bytes from its parent's.</param>
/// <param name="PhysicalSectorBytes">512 or 4096.</param>
/// <param name="IsFixed">All blocks have their places from the start; only without a parent.</param>
/// <param name="VirtualDiskId">What a guest sees as the disk's identity (SCSI page 83); null: a new one.</param>
/// <param name="DataWriteId">What children are linked to; null: a new one. Given for a file that takes the place of one that reads the same, so that children of that stay its children.</param>
public sealed record VhdxShape(long Capacity, string? ParentPath = null, int BlockBytes = VhdxShape.DefaultBlockBytes, int LogicalSectorBytes = 512, int PhysicalSectorBytes = 4096,
    bool IsFixed = false, Guid? VirtualDiskId = null, Guid? DataWriteId = null)
{
    /// <summary>What Hyper-V takes.</summary>
    public const int DefaultBlockBytes = 32 << 20;
    public const long MostCapacity = MaxCapacity;
    private const int MostPathCharacters = 4096;
    /// <summary>Bytes: the log's place and length, as Hyper-V and QEMU make them.</summary>
    internal const int LogOffset = MiB, LogLength = MiB;
    private const int MetadataOffset = 2 * MiB, MetadataLength = MiB, BatOffset = 3 * MiB;

    internal VhdxGeometry Geometry => new(Capacity, BlockBytes, LogicalSectorBytes, ParentPath is not null);
    internal VhdxRegionTable Regions => new(new(BatOffset, RoundUp(Geometry.BatEntries * sizeof(ulong), Alignment)), new(MetadataOffset, MetadataLength));

    /// <summary>InvalidRequest where no such file can be.</summary>
    internal void Check()
    {
        if (BlockBytes is < MinBlockSize or > MaxBlockSize || !BitOperations.IsPow2(BlockBytes))
            throw new WeaveException(Fault.InvalidRequest, $"A VHDX image with blocks of {BlockBytes} bytes cannot be made.", "Use a power of two from 1 MiB to 256 MiB.");
        if (LogicalSectorBytes is not (512 or 4096) || PhysicalSectorBytes is not (512 or 4096))
            throw new WeaveException(Fault.InvalidRequest, $"A VHDX image with sectors of {LogicalSectorBytes} and {PhysicalSectorBytes} bytes cannot be made.", "Use 512 or 4096.");
        if (Capacity <= 0 || Capacity > MaxCapacity || Capacity % LogicalSectorBytes != 0)
            throw new WeaveException(Fault.InvalidRequest, $"A VHDX image of {Capacity} bytes with sectors of {LogicalSectorBytes} cannot be made.", "Use a multiple of the sector size, at most 64 TiB.");
        if (ParentPath is not { } parent) return;
        if (IsFixed) throw new WeaveException(Fault.InvalidRequest, "A fixed VHDX image has no parent.", "Make a differencing disk.");
        if (!Path.IsPathFullyQualified(parent) || parent.Any(char.IsControl) || parent.Length > MostPathCharacters)
            throw new WeaveException(Fault.InvalidRequest, $"{Ids.Quote(parent)} cannot be a parent: the path must be absolute and at most {MostPathCharacters} characters.", "Give the full path of the frozen layer.");
    }

    internal VhdxMetadata Metadata(VhdxParentLocator? parent) => new()
    {
        BlockSize = BlockBytes, LeaveBlocksAllocated = IsFixed, Capacity = Capacity, VirtualDiskId = VirtualDiskId ?? Guid.NewGuid(),
        LogicalSectorSize = LogicalSectorBytes, PhysicalSectorSize = PhysicalSectorBytes, Parent = parent,
    };

    /// <summary>The locator of a differencing disk at <paramref name="path"/> on a parent of that identity; paths are written as Windows writes them, so that Hyper-V finds the parent beside the disk.</summary>
    internal static VhdxParentLocator Locate(string path, string parentPath, Guid linkage)
    {
        var relative = Path.GetRelativePath(Path.GetDirectoryName(Path.GetFullPath(path))!, parentPath);
        var isRelative = !Path.IsPathFullyQualified(relative);           // on another drive there is no such path
        relative = relative.Replace('/', '\\');
        if (!relative.StartsWith('.')) relative = @".\" + relative;
        return new(linkage, null, isRelative ? relative : null, null, parentPath);
    }

    /// <summary>2.2.1: the file identifier with who made the file.</summary>
    internal static byte[] Identifier() => [.. FileSignature, .. Encoding.Unicode.GetBytes("WeaveHypervisor")];
}
