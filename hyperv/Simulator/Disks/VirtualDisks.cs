using System.Security.Cryptography;
using WeaveHypervisor.HyperV.Cim;

namespace WeaveHypervisor.HyperV.Simulator.Disks;

/// <summary>
/// Virtual disks of a host and the rules of their chains: a child knows its parent's path and the identity of the parent's last change, and does not open where either does not fit.
/// So a write to a file with children poisons them, as on a real host. Nobody counts children.
/// </summary>
internal sealed class VirtualDisks(HostVolume volume, IDiskFormat format, Func<Guid> newId)
{
    private const int LongestChain = 1024;

    /// <summary>One file without its parents.</summary>
    public DiskFile Read(string path) => format.Read(volume, path);

    /// <summary>A disk and its ancestors, the leaf first, each checked against the next.</summary>
    public IReadOnlyList<(string Path, DiskFile Disk)> Chain(string leaf)
    {
        var chain = new List<(string Path, DiskFile Disk)>();
        for (var path = leaf; path is not null; path = chain[^1].Disk.ParentPath)
        {
            if (chain.Exists(c => HostPath.Comparer.Equals(c.Path, path)) || chain.Count > LongestChain) throw new JobFailure(JobFailure.Cycle, $"The chain of '{leaf}' leads back to '{path}'");
            if (!volume.Exists(path)) throw chain.Count == 0 ? new JobFailure(JobFailure.FileNotFound, $"The system cannot find the file '{path}'") : new JobFailure(JobFailure.ParentNotFound, $"'{path}', the parent of '{chain[^1].Path}', is not there");
            var disk = Read(path);
            if (chain.Count > 0 && chain[^1].Disk.ParentLinkage != disk.DataWriteId) throw new JobFailure(JobFailure.IdMismatch, $"'{chain[^1].Path}' was made on another state of its parent '{path}'");
            if (chain.Count > 0 && chain[^1].Disk.Size < disk.Size) throw new JobFailure(JobFailure.SizeMismatch, $"'{chain[^1].Path}' is smaller than its parent '{path}'");
            chain.Add((path, disk));
        }
        return chain;
    }

    /// <summary>A new disk file; the target must not be there.</summary>
    public void Create(string path, ushort type, long size, string? parent, uint blockSize, uint logicalSector, uint physicalSector, IEnumerable<KeyValuePair<long, byte[]>>? content = null)
    {
        if (volume.Exists(path)) throw new JobFailure(JobFailure.FileExists, $"The file '{path}' exists");
        if (!volume.FolderExists(HostPath.Folder(path))) throw new JobFailure(0x80070003, $"There is no folder for '{path}'");
        var above = parent is null ? null : Chain(parent)[0].Disk;
        if (above is null && (size <= 0 || size % DiskFile.Sector != 0 || size > 64L << 40)) throw new JobFailure(JobFailure.InvalidSize, $"A disk cannot have {size} bytes");
        format.Write(volume, path, new DiskFile
        {
            Type = type, Size = above?.Size ?? size, DiskId = newId(), DataWriteId = newId(), ParentPath = parent, ParentLinkage = above?.DataWriteId,
            BlockSize = blockSize != 0 ? blockSize : above is null ? 32u << 20 : 2u << 20, LogicalSector = logicalSector != 0 ? logicalSector : above?.LogicalSector ?? 512,
            PhysicalSector = physicalSector != 0 ? physicalSector : above?.PhysicalSector ?? 4096, Sectors = new(new Dictionary<long, byte[]>(content ?? [])),
        });
    }

    /// <summary>What a guest sees, without the sectors that are zero.</summary>
    public SortedDictionary<long, byte[]> Content(string leaf)
    {
        var content = new SortedDictionary<long, byte[]>();
        foreach (var (_, disk) in Chain(leaf).Reverse())
            foreach (var (sector, bytes) in disk.Sectors) content[sector] = bytes;
        foreach (var zero in content.Where(s => !s.Value.AsSpan().ContainsAnyExcept((byte)0)).Select(s => s.Key).ToList()) content.Remove(zero);
        return content;
    }

    /// <summary>One hash of what a guest sees.</summary>
    public string Hash(string leaf)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (var (sector, bytes) in Content(leaf))
        {
            hash.AppendData(BitConverter.GetBytes(sector));
            hash.AppendData(bytes);
        }
        return Convert.ToHexString(hash.GetHashAndReset());
    }

    public byte[] ReadBytes(string leaf, long offset, int length)
    {
        var content = Content(leaf);
        var bytes = new byte[length];
        for (var i = 0; i < length; i++)
            if (content.TryGetValue((offset + i) / DiskFile.Sector, out var sector)) bytes[i] = sector[(offset + i) % DiskFile.Sector];
        return bytes;
    }

    /// <summary>Writes into a leaf, as a guest does; whoever does it changes the identity that children remember.</summary>
    public void WriteBytes(string leaf, long offset, ReadOnlySpan<byte> bytes)
    {
        if (volume.IsReadOnly(leaf)) throw new JobFailure(JobFailure.AccessDenied, $"'{leaf}' is read-only");
        var disk = Chain(leaf)[0].Disk;
        if (offset < 0 || offset + bytes.Length > disk.Size) throw new JobFailure(JobFailure.InvalidArgument, $"{offset} is beyond the end of '{leaf}'");
        var first = offset / DiskFile.Sector;
        var last = (offset + bytes.Length - 1) / DiskFile.Sector;
        var whole = ReadBytes(leaf, first * DiskFile.Sector, (int)(last - first + 1) * DiskFile.Sector);
        bytes.CopyTo(whole.AsSpan((int)(offset - first * DiskFile.Sector)));
        var changed = disk.Written(newId());
        for (var sector = first; sector <= last; sector++) changed.Sectors[sector] = whole.AsSpan((int)(sector - first) * DiskFile.Sector, DiskFile.Sector).ToArray();
        format.Write(volume, leaf, changed);
    }

    /// <summary>Writes a child's sectors into one of its ancestors and removes the files between; children of the ancestor that are not in the chain are broken by it.</summary>
    public void MergeInto(string child, string ancestor)
    {
        var chain = Chain(child);
        var end = chain.ToList().FindIndex(c => HostPath.Comparer.Equals(c.Path, ancestor));
        if (end <= 0) throw new JobFailure(JobFailure.InvalidArgument, $"'{ancestor}' is no ancestor of '{child}'");
        var merged = chain[end].Disk.Written(newId()) with { Size = Math.Max(chain[0].Disk.Size, chain[end].Disk.Size) };
        for (var i = end - 1; i >= 0; i--)
            foreach (var (sector, bytes) in chain[i].Disk.Sectors) merged.Sectors[sector] = bytes;
        format.Write(volume, ancestor, merged);
        for (var i = 0; i < end; i++) volume.Delete(chain[i].Path);
    }

    public void Resize(string path, long size)
    {
        var disk = Chain(path)[0].Disk;
        if (size <= 0 || size % DiskFile.Sector != 0 || disk.Sectors.Keys.Any(s => (s + 1) * DiskFile.Sector > size)) throw new JobFailure(JobFailure.InvalidSize, $"'{path}' cannot have {size} bytes");
        format.Write(volume, path, disk.Written(newId()) with { Size = size });
    }

    /// <summary>Makes a child refer to a file as its parent. Without <paramref name="ignoreMismatch"/> the file must be in the state that the child was made on.</summary>
    public void SetParent(string child, string parent, bool ignoreMismatch)
    {
        var disk = Read(child);
        if (disk.ParentPath is null) throw new JobFailure(JobFailure.InvalidType, $"'{child}' has no parent");
        var chain = Chain(parent);
        if (chain.Any(c => HostPath.Comparer.Equals(c.Path, child))) throw new JobFailure(JobFailure.Cycle, $"'{child}' is itself below '{parent}'");
        var above = chain[0].Disk;
        if (!ignoreMismatch && disk.ParentLinkage != above.DataWriteId) throw new JobFailure(JobFailure.IdMismatch, $"'{child}' was made on another state of '{parent}'");
        if (above.Size > disk.Size) throw new JobFailure(JobFailure.SizeMismatch, $"'{child}' is smaller than '{parent}'");
        format.Write(volume, child, disk with { ParentPath = parent, ParentLinkage = above.DataWriteId });
    }

    /// <summary>Changes the id that a guest sees as the disk's own.</summary>
    public void SetDiskId(string path, Guid id) => format.Write(volume, path, Read(path) with { DiskId = id });
}
