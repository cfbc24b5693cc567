using static WeaveHypervisor.Disks.Vhdx.VhdxFormat;

namespace WeaveHypervisor.Disks.Vhdx;

/// <summary>The metadata table and its items ([MS-VHDX] 2.6): what the disk is.</summary>
internal sealed record VhdxMetadata
{
    private const int TableSize = 64 * KiB, HeaderBytes = 32, EntryBytes = 32;
    /// <summary>2.6.1.1: entries that fit into 64 KiB.</summary>
    private const int MaxEntries = 2047;
    /// <summary>2.6.1.2: bytes of one item.</summary>
    private const int MaxItem = MiB;
    private const uint IsUser = 1, IsVirtualDisk = 2, IsRequired = 4;
    private static ReadOnlySpan<byte> Signature => "metadata"u8;

    private static readonly Guid
        FileParametersId = new("caa16737-fa36-4d43-b3b6-33f0aa44e76b"),
        VirtualDiskSizeId = new("2fa54224-cd1b-4876-b211-5dbed83bf4b8"),
        VirtualDiskIdId = new("beca12ab-b2e6-4523-93ef-c309e000c746"),
        LogicalSectorSizeId = new("8141bf1d-a96f-4709-ba47-f233a8faab5f"),
        PhysicalSectorSizeId = new("cda348c7-445d-4471-9cc9-e9885251c556"),
        ParentLocatorId = new("a8d35f2d-b30b-454d-abf7-d3d84834ab0c"),
        // Not in the specification; Windows keeps it in a file while it is made (microsoft/openvmm vhdx/src/format.rs).
        IncompleteId = new("71cc85f0-1b69-4e28-9558-c3bf83ae75d3");

    /// <summary>2.6.2.1: bytes; a power of two.</summary>
    public required int BlockSize { get; init; }
    /// <summary>2.6.2.1: the file is fixed: blocks stay allocated.</summary>
    public bool LeaveBlocksAllocated { get; init; }
    /// <summary>2.6.2.2: bytes, a multiple of the logical sector size.</summary>
    public required long Capacity { get; init; }
    /// <summary>2.6.2.3: what a guest sees as SCSI page 83.</summary>
    public required Guid VirtualDiskId { get; init; }
    /// <summary>2.6.2.4 and 2.6.2.5: 512 or 4096.</summary>
    public required int LogicalSectorSize { get; init; }
    public required int PhysicalSectorSize { get; init; }
    /// <summary>Null where the disk has no parent, whatever the table holds.</summary>
    public VhdxParentLocator? Parent { get; init; }
    /// <summary>Where the entries of the locator and of the disk's id stand in the table, and where the item ends that ends last: what is behind it is free. Bytes from the region's start.</summary>
    public int ParentEntryAt { get; init; }
    public int VirtualDiskIdEntryAt { get; init; }
    public int ItemsEnd { get; init; }

    public VhdxGeometry Geometry => new(Capacity, BlockSize, LogicalSectorSize, Parent is not null);

    public static async ValueTask<VhdxMetadata> ReadAsync(VhdxFile file, VhdxRegion region, CancellationToken stop)
    {
        var path = file.Path;
        var table = new byte[TableSize];
        await file.ReadAsync(region.Offset, table.AsMemory(0, HeaderBytes), "the metadata table", stop).ConfigureAwait(false);
        if (!table.AsSpan().StartsWith(Signature)) throw Damaged(path, "its metadata table has no signature");
        var count = U16(table, 10);
        if (count > MaxEntries) throw Damaged(path, $"its metadata table has {count} entries");
        await file.ReadAsync(region.Offset + HeaderBytes, table.AsMemory(HeaderBytes, count * EntryBytes), "the metadata table", stop).ConfigureAwait(false);

        var items = new Dictionary<Guid, byte[]>();
        var seen = new HashSet<(Guid, bool)>();
        var (parentEntryAt, idEntryAt, itemsEnd) = (0, 0, TableSize);
        for (var i = 0; i < count; i++)
        {
            var at = HeaderBytes + i * EntryBytes;
            var (id, offset, length, flags) = (GuidAt(table, at), U32(table, at + 16), U32(table, at + 20), U32(table, at + 24));
            if (!seen.Add((id, (flags & IsUser) != 0))) throw Damaged(path, $"the metadata item {id} is there twice");
            if (length > MaxItem || (length == 0 ? offset != 0 : offset < TableSize || offset > region.Length || length > region.Length - offset))
                throw Damaged(path, $"the metadata item {id} is {length} bytes at {offset} of a region of {region.Length}");
            itemsEnd = Math.Max(itemsEnd, (int)Math.Min(int.MaxValue, (long)offset + length));
            var known = (flags & IsUser) == 0 && (id == FileParametersId || id == VirtualDiskSizeId || id == VirtualDiskIdId || id == LogicalSectorSizeId || id == PhysicalSectorSizeId || id == ParentLocatorId);
            if ((flags & IsUser) == 0 && id == IncompleteId) throw Damaged(path, "its making was not finished");
            if (!known)
            {
                if ((flags & IsRequired) != 0) throw Unsupported(path, $"it needs the metadata item {id}, which is not known");
                continue;
            }
            if (id == ParentLocatorId) parentEntryAt = at;
            if (id == VirtualDiskIdId) idEntryAt = at;
            await file.ReadAsync(region.Offset + offset, items[id] = new byte[length], "a metadata item", stop).ConfigureAwait(false);
        }

        var parameters = Item(FileParametersId, "file parameters", 8);
        var (blockSize, hasParent) = (U32(parameters, 0), (U32(parameters, 4) & 2) != 0);
        if (blockSize is < MinBlockSize or > MaxBlockSize || !System.Numerics.BitOperations.IsPow2(blockSize)) throw Damaged(path, $"its block size is {blockSize}");
        var (logical, physical) = (U32(Item(LogicalSectorSizeId, "logical sector size", 4), 0), U32(Item(PhysicalSectorSizeId, "physical sector size", 4), 0));
        if (logical is not (512 or 4096)) throw Damaged(path, $"its logical sector size is {logical}");
        if (physical is not (512 or 4096)) throw Damaged(path, $"its physical sector size is {physical}");
        var capacity = U64(Item(VirtualDiskSizeId, "virtual disk size", 8), 0);
        if (capacity == 0 || capacity > MaxCapacity || capacity % logical != 0) throw Damaged(path, $"its disk has {capacity} bytes");
        return new()
        {
            BlockSize = (int)blockSize, LeaveBlocksAllocated = (U32(parameters, 4) & 1) != 0, Capacity = (long)capacity, VirtualDiskId = GuidAt(Item(VirtualDiskIdId, "virtual disk id", 16), 0),
            LogicalSectorSize = (int)logical, PhysicalSectorSize = (int)physical, ParentEntryAt = parentEntryAt, VirtualDiskIdEntryAt = idEntryAt, ItemsEnd = itemsEnd,
            Parent = !hasParent ? null : VhdxParentLocator.Parse(items.GetValueOrDefault(ParentLocatorId) ?? throw Damaged(path, "it has a parent, but does not say which"), path),
        };

        byte[] Item(Guid id, string name, int length) => items.GetValueOrDefault(id) is { } item && item.Length == length ? item
            : throw Damaged(path, items.ContainsKey(id) ? $"its {name} has {items[id].Length} bytes" : $"it has no {name}");
    }

    /// <summary>Table (the first 64 KiB) and items of a new file.</summary>
    public byte[] ToBytes()
    {
        var disk = IsVirtualDisk | IsRequired;
        var items = new List<(Guid Id, uint Flags, byte[] Bytes)>
        {
            (FileParametersId, IsRequired, [.. BitConverter.GetBytes(BlockSize), .. BitConverter.GetBytes((LeaveBlocksAllocated ? 1 : 0) | (Parent is null ? 0 : 2))]),
            (VirtualDiskSizeId, disk, BitConverter.GetBytes(Capacity)),
            (VirtualDiskIdId, disk, VirtualDiskId.ToByteArray()),
            (LogicalSectorSizeId, disk, BitConverter.GetBytes(LogicalSectorSize)),
            (PhysicalSectorSizeId, disk, BitConverter.GetBytes(PhysicalSectorSize)),
        };
        if (Parent is not null) items.Add((ParentLocatorId, IsRequired, Parent.ToBytes()));
        var bytes = new byte[TableSize + items.Sum(i => i.Bytes.Length)];
        Signature.CopyTo(bytes);
        Put(bytes, 10, (ushort)items.Count);
        var offset = TableSize;
        for (var i = 0; i < items.Count; i++)
        {
            var entry = bytes.AsSpan(HeaderBytes + i * EntryBytes, EntryBytes);
            Put(entry, 0, items[i].Id);
            Put(entry, 16, (uint)offset);
            Put(entry, 20, (uint)items[i].Bytes.Length);
            Put(entry, 24, items[i].Flags);
            items[i].Bytes.CopyTo(bytes, offset);
            offset += items[i].Bytes.Length;
        }
        return bytes;
    }
}
