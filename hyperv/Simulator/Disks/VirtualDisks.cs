using System.Security.Cryptography;
using WeaveHypervisor.Disks;
using WeaveHypervisor.Disks.Vhdx;
using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.HyperV.Simulator.Disks;

/// <summary>What a disk file says of itself.</summary>
/// <param name="Type">2 fixed, 3 dynamic, 4 differencing.</param>
/// <param name="Size">Bytes that a guest sees.</param>
/// <param name="DataWriteId">Changes with the first write after each opening; a child remembers that of its parent.</param>
internal sealed record DiskFile(ushort Type, long Size, Guid DiskId, Guid DataWriteId, string? ParentPath, Guid? ParentLinkage, uint BlockSize, uint LogicalSector, uint PhysicalSector);

/// <summary>
/// Virtual disks of a host, real VHDX files, and the rules of their chains: a child knows its parent's path and the identity of the parent's last change, and does not open where either does not fit.
/// So a write to a file with children poisons them, as on a real host. Nobody counts children.
/// </summary>
internal sealed class VirtualDisks(HostVolume volume)
{
    private const int LongestChain = 200;
    private readonly Dictionary<string, (DateTime Changed, long Length, DiskFile Disk)> _read = new(HostPath.Comparer);

    /// <summary>One file without its parents.</summary>
    public DiskFile Read(string path)
    {
        var file = new FileInfo(volume.Real(path));
        if (!file.Exists) throw new JobFailure(JobFailure.FileNotFound, $"The system cannot find the file '{path}'");
        if (_read.TryGetValue(path, out var known) && known.Changed == file.LastWriteTimeUtc && known.Length == file.Length) return known.Disk;
        var facts = Run(path, stop => VhdxFacts.ReadAsync(volume.Real(path), stop).AsTask());
        var parents = facts.ParentNames.Select(n => Path.GetFullPath(n, Path.GetDirectoryName(volume.Real(path))!)).ToList();
        var parent = parents.Find(File.Exists) ?? parents.FirstOrDefault();
        var disk = new DiskFile(facts.Kind switch { VhdxKind.Fixed => 2, VhdxKind.Dynamic => 3, _ => 4 }, facts.Capacity, facts.VirtualDiskId, facts.DataWriteId, parent is null ? null : volume.Hosted(parent), facts.ParentLinkage,
            (uint)facts.BlockBytes, (uint)facts.LogicalSectorBytes, (uint)facts.PhysicalSectorBytes);
        _read[path] = (file.LastWriteTimeUtc, file.Length, disk);
        return disk;
    }

    /// <summary>A disk and its ancestors, the leaf first, each checked against the next.</summary>
    public IReadOnlyList<(string Path, DiskFile Disk)> Chain(string leaf)
    {
        var chain = new List<(string Path, DiskFile Disk)>();
        for (var path = leaf; path is not null; path = chain[^1].Disk.ParentPath)
        {
            if (chain.Exists(c => HostPath.Comparer.Equals(c.Path, path)) || chain.Count > LongestChain) throw new JobFailure(JobFailure.Cycle, $"The chain of '{leaf}' leads back to '{path}'");
            if (chain.Count > 0 && !volume.Exists(path)) throw new JobFailure(JobFailure.ParentNotFound, $"'{path}', the parent of '{chain[^1].Path}', is not there");
            var disk = Read(path);
            if (chain.Count > 0 && chain[^1].Disk.ParentLinkage != disk.DataWriteId) throw new JobFailure(JobFailure.IdMismatch, $"'{chain[^1].Path}' was made on another state of its parent '{path}'");
            if (chain.Count > 0 && chain[^1].Disk.Size < disk.Size) throw new JobFailure(JobFailure.SizeMismatch, $"'{chain[^1].Path}' is smaller than its parent '{path}'");
            chain.Add((path, disk));
        }
        return chain;
    }

    /// <summary>A new disk file; the target must not be there. Sizes of 0: as Hyper-V makes them.</summary>
    public void Create(string path, ushort type, long size, string? parent, uint blockSize, uint logicalSector, uint physicalSector) => Write(path, parent is null ? null : Chain(parent)[0], new(
        size, null, (int)(blockSize != 0 ? blockSize : parent is null ? 32u << 20 : 2u << 20), (int)(logicalSector != 0 ? logicalSector : 512), (int)(physicalSector != 0 ? physicalSector : 4096), type == 2));

    /// <summary>A new disk file without a parent, with all that a guest sees of another.</summary>
    public void Flatten(string leaf, string path, ushort type, uint blockSize, long? size = null, Guid? id = null)
    {
        var disk = Chain(leaf)[0].Disk;
        Write(path, null, new(size ?? disk.Size, null, (int)(blockSize != 0 ? blockSize : 32u << 20), (int)disk.LogicalSector, (int)disk.PhysicalSector, type == 2, id), leaf);
    }

    private void Write(string path, (string Path, DiskFile Disk)? parent, VhdxShape shape, string? content = null)
    {
        if (volume.Exists(path)) throw new JobFailure(JobFailure.FileExists, $"The file '{path}' exists");
        if (!volume.FolderExists(HostPath.Folder(path))) throw new JobFailure(0x80070003, $"There is no folder for '{path}'");
        if (!volume.HasSpace(shape.BlockBytes)) throw new JobFailure(JobFailure.DiskFull, $"There is not enough space for '{path}'");
        if (parent is { } above) shape = shape with { Capacity = above.Disk.Size, ParentPath = volume.Real(above.Path), LogicalSectorBytes = (int)above.Disk.LogicalSector, PhysicalSectorBytes = (int)above.Disk.PhysicalSector };
        else if (shape.Capacity <= 0 || shape.Capacity % shape.LogicalSectorBytes != 0 || shape.Capacity > VhdxShape.MostCapacity) throw new JobFailure(JobFailure.InvalidSize, $"A disk cannot have {shape.Capacity} bytes");
        Run(path, async stop =>
        {
            if (content is null)
            {
                await VhdxWriter.CreateAsync(volume.Real(path), shape, stop);
                return true;
            }
            await using var chain = await OpenAsync(content, stop);
            var ranges = chain.ExtentsAsync(0, Math.Min(chain.Capacity, shape.Capacity), stop).Where(e => !e.IsZero && e.Layer >= 0).Select(e => new DiskRange(e.Offset, e.Length));
            await VhdxWriter.WriteAsync(volume.Real(path), shape, ranges, chain.ReadAsync, null, null, stop);
            return true;
        });
        volume.Register(path);
    }

    /// <summary>One hash of what a guest sees; what is zero is left out, so that it does not count how that is written down.</summary>
    public string Hash(string leaf)
    {
        _ = Chain(leaf);
        return Run(leaf, async stop =>
        {
            using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
            await using var chain = await OpenAsync(leaf, stop);
            var buffer = new byte[64 << 10];
            await foreach (var extent in chain.ExtentsAsync(0, chain.Capacity, stop).Where(e => !e.IsZero && e.Layer >= 0))
                for (var at = extent.Offset; at < extent.End; at += buffer.Length)
                {
                    var part = buffer.AsMemory(0, (int)Math.Min(buffer.Length, extent.End - at));
                    await chain.ReadAsync(at, part, stop);
                    for (var sector = 0; sector < part.Length; sector += 512)
                    {
                        var bytes = part[sector..Math.Min(sector + 512, part.Length)];
                        if (!bytes.Span.ContainsAnyExcept((byte)0)) continue;
                        hash.AppendData(BitConverter.GetBytes(at + sector));
                        hash.AppendData(bytes.Span);
                    }
                }
            return Convert.ToHexString(hash.GetHashAndReset());
        });
    }

    public byte[] ReadBytes(string leaf, long offset, int length) => Run(leaf, async stop =>
    {
        await using var chain = await OpenAsync(leaf, stop);
        var bytes = new byte[length];
        await chain.ReadAsync(offset, bytes, stop);
        return bytes;
    });

    /// <summary>Writes into a leaf, as a guest does; whoever does it changes the identity that children remember.</summary>
    public void WriteBytes(string leaf, long offset, ReadOnlySpan<byte> bytes)
    {
        if (volume.IsReadOnly(leaf)) throw new JobFailure(JobFailure.AccessDenied, $"'{leaf}' is read-only");
        var disk = Chain(leaf)[0].Disk;
        if (offset < 0 || offset + bytes.Length > disk.Size) throw new JobFailure(JobFailure.InvalidArgument, $"{offset} is beyond the end of '{leaf}'");
        if (!volume.HasSpace(bytes.Length)) throw new JobFailure(JobFailure.DiskFull, $"There is not enough space for '{leaf}'");
        var first = offset - offset % disk.LogicalSector;
        var end = (offset + bytes.Length + disk.LogicalSector - 1) / disk.LogicalSector * disk.LogicalSector;
        var whole = ReadBytes(leaf, first, (int)(end - first));
        bytes.CopyTo(whole.AsSpan((int)(offset - first)));
        Run(leaf, async stop =>
        {
            await using var live = await VhdxLiveDisk.OpenAsync(volume.Real(leaf), stop);
            await live.WriteAsync(first, whole, stop);
            return true;
        });
    }

    /// <summary>Writes a child into one of its ancestors, layer by layer, and removes the files above that; children of the ancestor that are not in the chain are broken by it.</summary>
    public void MergeInto(string child, string ancestor)
    {
        var chain = Chain(child);
        var end = chain.ToList().FindIndex(c => HostPath.Comparer.Equals(c.Path, ancestor));
        if (end <= 0) throw new JobFailure(JobFailure.InvalidArgument, $"'{ancestor}' is no ancestor of '{child}'");
        for (var i = 0; i < end; i++)
        {
            var (from, into) = (chain[i].Path, chain[i + 1].Path);
            Run(from, async stop =>
            {
                await VhdxLiveDisk.MergeAsync(volume.Real(from), volume.Real(into), stop);
                return true;
            });
            volume.Delete(from);
        }
    }

    /// <summary>Gives a disk without a parent another size; one that would cut off what is written is refused.</summary>
    public void Resize(string path, long size)
    {
        var disk = Chain(path)[0].Disk;
        if (disk.ParentPath is not null) throw new JobFailure(JobFailure.InvalidType, $"'{path}' has a parent");
        if (size <= 0 || size % disk.LogicalSector != 0 || (size < disk.Size && ReadBytes(path, size, (int)Math.Min(disk.Size - size, 1 << 30)).AsSpan().ContainsAnyExcept((byte)0))) throw new JobFailure(JobFailure.InvalidSize, $"'{path}' cannot have {size} bytes");
        var aside = path + ".resized";
        Flatten(path, aside, disk.Type, disk.BlockSize, size, disk.DiskId);
        volume.Replace(path, aside);
    }

    /// <summary>Makes a child refer to a file as its parent. Without <paramref name="ignoreMismatch"/> the file must be in the state that the child was made on.</summary>
    public void SetParent(string child, string parent, bool ignoreMismatch)
    {
        var disk = Read(child);
        if (disk.ParentPath is null) throw new JobFailure(JobFailure.InvalidType, $"'{child}' has no parent");
        var chain = Chain(parent);
        if (chain.Any(c => HostPath.Comparer.Equals(c.Path, child))) throw new JobFailure(JobFailure.Cycle, $"'{child}' is itself below '{parent}'");
        if (!ignoreMismatch && disk.ParentLinkage != chain[0].Disk.DataWriteId) throw new JobFailure(JobFailure.IdMismatch, $"'{child}' was made on another state of '{parent}'");
        if (chain[0].Disk.Size > disk.Size) throw new JobFailure(JobFailure.SizeMismatch, $"'{child}' is smaller than '{parent}'");
        Run(child, async stop =>
        {
            await VhdxLiveDisk.SetParentAsync(volume.Real(child), volume.Real(parent), stop);
            return true;
        });
    }

    /// <summary>Changes the id that a guest sees as the disk's own.</summary>
    public void SetDiskId(string path, Guid id) => Run(path, async stop =>
    {
        await VhdxLiveDisk.SetVirtualDiskIdAsync(volume.Real(path), id, stop);
        return true;
    });

    private ValueTask<DiskChain> OpenAsync(string leaf, CancellationToken stop) => DiskChain.OpenAsync(volume.Real(leaf), DiskFormat.Vhdx, new FolderLocator(volume.Real(leaf), volume.Root), stop);

    /// <summary>The host answers a call at a time, so files are worked on to the end; their errors become Windows' own.</summary>
    private static T Run<T>(string path, Func<CancellationToken, Task<T>> work)
    {
        try
        {
            return Task.Run(() => work(CancellationToken.None)).GetAwaiter().GetResult();
        }
        catch (WeaveException e)
        {
            throw new JobFailure(e.Fault switch
            {
                Fault.NotFound => JobFailure.FileNotFound,
                Fault.AlreadyExists => JobFailure.FileExists,
                Fault.Busy or Fault.Conflict => JobFailure.SharingViolation,
                Fault.Exhausted => JobFailure.DiskFull,
                Fault.InvalidRequest or Fault.Unsupported => JobFailure.NotADisk,
                _ => JobFailure.ErrorInParent,
            }, $"'{path}': {e.Message.TrimEnd('.')}");
        }
    }
}
