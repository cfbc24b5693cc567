using static WeaveHypervisor.Disks.Vhdx.VhdxFormat;

namespace WeaveHypervisor.Disks.Vhdx;

/// <summary>
/// Which entry of the BAT speaks of which part of the disk ([MS-VHDX] 2.5). Behind the entries of each chunk's payload blocks stands that of its sector
/// bitmap block, also in files that have none.
/// </summary>
/// <param name="Capacity">Bytes, as all sizes here.</param>
internal readonly record struct VhdxGeometry(long Capacity, int BlockSize, int LogicalSectorSize, bool HasParent)
{
    /// <summary>Payload blocks that one sector bitmap block covers.</summary>
    public long ChunkRatio => (long)SectorsPerChunk * LogicalSectorSize / BlockSize;
    public long Blocks => (Capacity + BlockSize - 1) / BlockSize;
    public long Chunks => (Blocks + ChunkRatio - 1) / ChunkRatio;
    public int SectorsPerBlock => BlockSize / LogicalSectorSize;
    /// <summary>A differencing disk ends with the bitmap entry of its last chunk, all others with their last payload block.</summary>
    public long BatEntries => HasParent ? Chunks * (ChunkRatio + 1) : Blocks + (Blocks - 1) / ChunkRatio;

    public long EntryOfBlock(long block) => block + block / ChunkRatio;
    public long EntryOfBitmap(long chunk) => chunk * (ChunkRatio + 1) + ChunkRatio;
    /// <summary>Bytes of a block that lie on the disk: less than a block only at the end.</summary>
    public long VisibleBytes(long block) => Math.Min(BlockSize, Capacity - block * BlockSize);
    /// <summary>The first byte of a block's bits in its chunk's sector bitmap; a block has at least 256 sectors, so it begins with a whole byte.</summary>
    public int BitmapByteOf(long block) => (int)(block % ChunkRatio * (SectorsPerBlock / 8));
}

/// <summary>States of payload blocks (2.5.1.1); a sector bitmap block (2.5.1.2) is not there or present.</summary>
internal enum VhdxBlockState { NotPresent = 0, Undefined = 1, Zero = 2, Unmapped = 3, Present = 6, PartiallyPresent = 7 }

/// <summary>An entry of the BAT: three bits of state, and in the upper 44 the file offset in MiB.</summary>
internal readonly record struct VhdxBatEntry(ulong Value)
{
    public VhdxBatEntry(VhdxBlockState state, long offset = 0) : this((ulong)offset | (uint)state) { }
    public VhdxBlockState State => (VhdxBlockState)(Value & 7);
    public bool IsReserved => (Value & 7) is 4 or 5;
    /// <summary>Bits that must be zero.</summary>
    public bool HasReservedBits => (Value & 0xffff8) != 0;
    public bool HasBlock => (Value & 7) >= 6;
    /// <summary>Bytes; up to 2^64, so compared before it is believed.</summary>
    public ulong FileOffset => Value & ~0xfffffUL;
}
