using static WeaveHypervisor.Disks.Vhdx.VhdxFormat;

namespace WeaveHypervisor.Disks.Vhdx;

/// <summary>
/// One of the two headers ([MS-VHDX] 2.2.2). Of two good ones that with the greater sequence number is the current one; the other is overwritten by the next update.
/// </summary>
/// <param name="FileWriteGuid">Changes each time the file is opened for writing.</param>
/// <param name="DataWriteGuid">Changes before the first change of what a guest sees; children are linked to it.</param>
/// <param name="LogGuid">Empty where there is no log to replay.</param>
/// <param name="LogLength">Bytes; a multiple of 1 MiB.</param>
internal sealed record VhdxHeader(ulong SequenceNumber, Guid FileWriteGuid, Guid DataWriteGuid, Guid LogGuid, uint LogLength, ulong LogOffset, ushort LogVersion = 0, ushort Version = 1)
{
    private const int ChecksumAt = 4;
    private static ReadOnlySpan<byte> Signature => "head"u8;

    /// <summary>Null where signature or checksum say that it is none.</summary>
    public static VhdxHeader? TryParse(ReadOnlySpan<byte> bytes)
    {
        bytes = bytes[..HeaderSize];
        if (!bytes.StartsWith(Signature) || U32(bytes, ChecksumAt) != Checksum(bytes, ChecksumAt)) return null;
        return new(U64(bytes, 8), GuidAt(bytes, 16), GuidAt(bytes, 32), GuidAt(bytes, 48), U32(bytes, 68), U64(bytes, 72), U16(bytes, 64), U16(bytes, 66));
    }

    public byte[] ToBytes()
    {
        var bytes = new byte[HeaderSize];
        Signature.CopyTo(bytes);
        Put(bytes, 8, SequenceNumber);
        Put(bytes, 16, FileWriteGuid);
        Put(bytes, 32, DataWriteGuid);
        Put(bytes, 48, LogGuid);
        Put(bytes, 64, LogVersion);
        Put(bytes, 66, Version);
        Put(bytes, 68, LogLength);
        Put(bytes, 72, LogOffset);
        Put(bytes, ChecksumAt, Checksum(bytes, ChecksumAt));
        return bytes;
    }

    /// <summary>The current header and its place (0 or 1); checked. Two good headers of one number are believed only where they are equal.</summary>
    public static (VhdxHeader Current, int Slot) Choose(VhdxHeader? first, VhdxHeader? second, string path)
    {
        if (first is null && second is null) throw Damaged(path, "neither of its headers is intact");
        if (first is not null && second is not null && first.SequenceNumber == second.SequenceNumber && first != second)
            throw Damaged(path, $"both of its headers have the number {first.SequenceNumber}, with different content");
        var slot = second is null || (first is not null && first.SequenceNumber >= second.SequenceNumber) ? 0 : 1;
        var current = (slot == 0 ? first : second)!;
        if (current.Version != 1) throw Unsupported(path, $"it is version {current.Version}; version 1 is read");
        if (current.LogLength % Alignment != 0 || current.LogOffset % Alignment != 0 || (current.LogLength != 0 && current.LogOffset < HeaderSection) || current.LogOffset > MaxFileLength)
            throw Damaged(path, $"its header puts the log at {current.LogOffset}, {current.LogLength} bytes long");
        return (current, slot);
    }
}
