using System.Buffers.Binary;
using Microsoft.Win32.SafeHandles;
using WeaveHypervisor.Disks.Vhdx;

namespace WeaveHypervisor.Fuzz.Targets;

/// <summary>Makes the checksums of a VHDX file right, whatever it holds: headers, region tables, and entries that begin in the first sectors of the log's halves, where they are written.</summary>
internal static class VhdxHealer
{
    private const int KiB = 1 << 10, HeaderSection = 320 * KiB, Log = 1 << 20, HalfLog = 512 * KiB, Sector = 4 * KiB, Look = 64 * KiB;
    [ThreadStatic] private static byte[]? _bytes;

    public static void Heal(SafeFileHandle file)
    {
        var bytes = _bytes ??= new byte[HeaderSection];
        var there = bytes.AsSpan(0, RandomAccess.Read(file, bytes.AsSpan(0, HeaderSection), 0));
        if (there.Length < HeaderSection) return;
        var isLogged = false;
        foreach (var at in (int[])[64 * KiB, 128 * KiB])
        {
            Heal(file, there.Slice(at, Sector), at, "head"u8);
            isLogged |= there.Slice(at + 48, 16).ContainsAnyExcept((byte)0);
        }
        foreach (var at in (int[])[192 * KiB, 256 * KiB]) Heal(file, there.Slice(at, 64 * KiB), at, "regi"u8);
        if (!isLogged) return;
        foreach (var half in (int[])[Log, Log + HalfLog])
        {
            there = bytes.AsSpan(0, RandomAccess.Read(file, bytes.AsSpan(0, Look), half));
            for (var at = 0; at + Sector <= there.Length; at += Sector)
                if (BinaryPrimitives.ReadUInt32LittleEndian(there[(at + 8)..]) is var length && length >= Sector && length <= there.Length - at) Heal(file, there.Slice(at, (int)length), half + at, "loge"u8);
        }
    }

    private static void Heal(SafeFileHandle file, Span<byte> bytes, long at, ReadOnlySpan<byte> signature)
    {
        if (!bytes.StartsWith(signature)) return;
        var checksum = VhdxFormat.Checksum(bytes, 4);
        if (checksum == BinaryPrimitives.ReadUInt32LittleEndian(bytes[4..])) return;
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[4..], checksum);
        RandomAccess.Write(file, bytes.Slice(4, 4), at + 4);
    }
}
