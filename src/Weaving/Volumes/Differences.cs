using WeaveHypervisor.Model;

namespace WeaveHypervisor.Weaving.Volumes;

/// <summary>Who changed a range since the nearest common ancestor of two disks. Both: each of them, to different bytes.</summary>
public enum ChangedBy { Left, Right, Both }

/// <param name="Offset">Bytes, as the guest sees the disk.</param>
public sealed record RangeFound(long Offset, long Length, ChangedBy By);

/// <summary>What two disks differ by, in all.</summary>
/// <param name="Capacity">Bytes of the disk.</param>
/// <param name="LeftBytes">Changed on the left alone; likewise the others. Their sum is what differs.</param>
/// <param name="Ranges">How many ranges that is.</param>
/// <param name="CommonLayer">The nearest layer that both stand on; null: there is none, and everything was compared.</param>
/// <param name="BytesRead">Bytes of content that were read for it.</param>
/// <param name="Method">What was compared, for people.</param>
/// <param name="Picture">A digit for each of 64 equal stretches of the disk: how much of it differs, 0 (nothing) to 8 (all, or nearly).</param>
public sealed record DifferenceTotals(long Capacity, long LeftBytes, long RightBytes, long BothBytes, long Ranges, LayerId? CommonLayer, long BytesRead, string Method, string Picture)
{
    public long Bytes => LeftBytes + RightBytes + BothBytes;
}
