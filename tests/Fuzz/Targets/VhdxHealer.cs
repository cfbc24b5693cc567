using System.Buffers.Binary;
using Microsoft.Win32.SafeHandles;
using WeaveHypervisor.Disks.Vhdx;

namespace WeaveHypervisor.Fuzz.Targets;

/// <summary>Makes the checksums of a VHDX file right, whatever it holds: headers, region tables, and entries in the log's first 64 sectors.</summary>
internal static class VhdxHealer
{
    private const int KiB = 1 << 10, Log = 1 << 20, Sector = 4 * KiB;

    public static void Heal(SafeFileHandle file)
    {
        var bytes = new byte[64 * KiB];
        foreach (var (at, length, signature) in ((int, int, uint)[])[(64 * KiB, 4 * KiB, 0x64616568), (128 * KiB, 4 * KiB, 0x64616568), (192 * KiB, 64 * KiB, 0x69676572), (256 * KiB, 64 * KiB, 0x69676572)])
            Heal(file, bytes.AsSpan(0, length), at, signature);
        for (var sector = 0; sector < 64; sector++)
        {
            var head = bytes.AsSpan(0, 16);
            var at = Log + sector * Sector;
            if (RandomAccess.Read(file, head, at) < 16 || BinaryPrimitives.ReadUInt32LittleEndian(head) != 0x65676f6c) continue;
            if (BinaryPrimitives.ReadUInt32LittleEndian(head[8..]) is var length && length is >= Sector and <= 64 * KiB) Heal(file, bytes.AsSpan(0, (int)length), at, 0x65676f6c);
        }
    }

    private static void Heal(SafeFileHandle file, Span<byte> bytes, long at, uint signature)
    {
        if (RandomAccess.Read(file, bytes, at) < bytes.Length || BinaryPrimitives.ReadUInt32LittleEndian(bytes) != signature) return;
        var checksum = new byte[4];
        BinaryPrimitives.WriteUInt32LittleEndian(checksum, VhdxFormat.Checksum(bytes, 4));
        RandomAccess.Write(file, checksum, at + 4);
    }
}
