using WeaveHypervisor.Disks.Qcow2;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Disks;

/// <summary>What is known of one disk file. The format is the declared one, never guessed.</summary>
public sealed record DiskImageFacts
{
    public required string Path { get; init; }
    public required DiskFormat Format { get; init; }
    /// <summary>Bytes that a guest sees. A raw file is rounded up to whole sectors of 512 bytes, as QEMU does.</summary>
    public required long VirtualSize { get; init; }
    /// <summary>Length of the file.</summary>
    public required long FileLength { get; init; }
    /// <summary>Bytes that the file takes on disk.</summary>
    public required long AllocatedBytes { get; init; }
    /// <summary>Equal for two paths exactly where they lead to one file.</summary>
    public required string Identity { get; init; }
    /// <summary>Backing file as the image states it, perhaps relative to the image's folder; null where there is none.</summary>
    public string? BackingName { get; init; }
    /// <summary>Backing format as the image states it, or null.</summary>
    public string? BackingFormat { get; init; }
    /// <summary>Bytes; 0 for raw.</summary>
    public int ClusterSize { get; init; }
    /// <summary>Refcounts may be out of date after a crash; the data can be read all the same.</summary>
    public bool IsDirty { get; init; }
    public int InternalSnapshots { get; init; }
}

/// <summary>Looks at one disk file through our own readers only, fail closed (invariant 8).</summary>
public static class DiskImageInspector
{
    /// <summary>
    /// Facts of the file, read as <paramref name="declared"/>. A raw file is never looked into, whatever it begins with, because a guest writes it.
    /// NotFound, InvalidRequest (not that format), Unsupported (encryption, data files, device nodes, unknown features), DataLoss (damaged).
    /// </summary>
    public static DiskImageFacts Inspect(string path, DiskFormat declared)
    {
        if (declared is not (DiskFormat.Raw or DiskFormat.Qcow2)) throw new WeaveException(Fault.Unsupported, $"{Ids.Quote(path)} cannot be read: {declared} images are not read here.", "Use raw or qcow2 images.");
        var (handle, file) = FileFacts.OpenRegular(path);
        using (handle)
        {
            if (declared == DiskFormat.Raw)
            {
                if (file.Length == 0) throw new WeaveException(Fault.InvalidRequest, $"{Ids.Quote(path)} is a disk of no bytes.", "Use a disk that has a size.");
                return new() { Path = path, Format = declared, VirtualSize = (file.Length + 511) & ~511L, FileLength = file.Length, AllocatedBytes = file.AllocatedBytes, Identity = file.Identity };
            }
            var header = Qcow2Header.Read(handle, file.Length, path);
            return new()
            {
                Path = path, Format = declared, VirtualSize = header.VirtualSize, FileLength = file.Length, AllocatedBytes = file.AllocatedBytes, Identity = file.Identity,
                BackingName = header.BackingName, BackingFormat = header.BackingFormat, ClusterSize = header.ClusterSize, IsDirty = header.IsDirty, InternalSnapshots = header.InternalSnapshots,
            };
        }
    }
}
