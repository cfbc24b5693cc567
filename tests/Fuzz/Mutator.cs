using System.Buffers.Binary;

namespace WeaveHypervisor.Fuzz;

/// <summary>
/// Makes mutants of seeds: number n of a seed is always the same. Changes bits, bytes and whole numbers of all widths and both byte orders, to values at which programs break;
/// copies, removes and doubles pieces, and takes pieces of other seeds.
/// </summary>
internal static class Mutator
{
    private static readonly ulong[] Values =
    [
        0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 16, 20, 21, 22, 31, 32, 63, 64, 127, 128, 255, 256, 511, 512, 513, 1023, 1024, 2047, 2048, 4095, 4096, 4097, 8191, 32767, 32768, 65535, 65536, 65537,
        0xfffff, 1 << 20, (1 << 20) + 1, 0x200000, 0x300000, 0x400000, 0x500000, 1 << 30, 0x7fffffff, 0x80000000, 0xffffffff, 1UL << 32, 1UL << 40, 1UL << 46, 1UL << 56, 1UL << 62, long.MaxValue, 1UL << 63, ulong.MaxValue, ulong.MaxValue - 511, 0xfffffffffff00000,
    ];

    public static byte[] Mutate(IReadOnlyList<byte[]> seeds, int seed, long number)
    {
        var random = new Random(HashCode(seed, number));
        var bytes = new List<byte>(seeds[seed]);
        for (var changes = 1 + random.Next(1 + random.Next(8)); changes > 0; changes--) Change(bytes, random, seeds);
        if (bytes.Count > 64 << 10) bytes.RemoveRange(64 << 10, bytes.Count - (64 << 10));
        return [.. bytes];
    }

    private static int HashCode(int seed, long number)
    {
        // splitmix64: neighbours have nothing in common. System.HashCode is another in each process.
        var z = (ulong)number * 0x9e3779b97f4a7c15 + (ulong)seed * 0xd1b54a32d192ed03 + 0x2545f4914f6cdd1d;
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
        z = (z ^ z >> 27) * 0x94d049bb133111eb;
        return (int)(z ^ z >> 31);
    }

    private static void Change(List<byte> bytes, Random random, IReadOnlyList<byte[]> seeds)
    {
        if (bytes.Count == 0)
        {
            bytes.Add((byte)random.Next(256));
            return;
        }
        var at = random.Next(bytes.Count);
        switch (random.Next(16))
        {
            case < 3:
                bytes[at] ^= (byte)(1 << random.Next(8));
                break;
            case < 5:
                bytes[at] = (byte)random.Next(256);
                break;
            case < 11:
                Number(bytes, at & ~(random.Next(4) == 0 ? 0 : 1), random);
                break;
            case 11:
                bytes.RemoveRange(at, Math.Min(bytes.Count - at, 1 << random.Next(7)));
                break;
            case 12:
                bytes.InsertRange(at, bytes.GetRange(at, Math.Min(bytes.Count - at, 1 << random.Next(7))));
                break;
            case 13:
                var from = random.Next(bytes.Count);
                var length = Math.Min(1 << random.Next(7), bytes.Count - Math.Max(at, from));
                for (var i = 0; i < length; i++) bytes[at + i] = bytes[from + i];
                break;
            case 14:
                var other = seeds[random.Next(seeds.Count)];
                if (other.Length == 0) break;
                from = random.Next(other.Length);
                length = Math.Min(Math.Min(1 << random.Next(10), other.Length - from), bytes.Count - at);
                for (var i = 0; i < length; i++) bytes[at + i] = other[from + i];
                break;
            default:
                if (random.Next(8) == 0) bytes.RemoveRange(at, bytes.Count - at);
                break;
        }
    }

    /// <summary>A number of 2, 4 or 8 bytes becomes one at which programs break, or moves a little.</summary>
    private static void Number(List<byte> bytes, int at, Random random)
    {
        var width = 2 << random.Next(3);
        if (at + width > bytes.Count) return;
        Span<byte> number = stackalloc byte[8];
        for (var i = 0; i < width; i++) number[i] = bytes[at + i];
        var isBig = random.Next(2) == 0;
        var shift = 64 - 8 * width;
        var value = isBig ? BinaryPrimitives.ReadUInt64BigEndian(number) >> shift : BinaryPrimitives.ReadUInt64LittleEndian(number);
        value = random.Next(4) switch
        {
            0 => value + (ulong)random.Next(-16, 17),
            1 => value ^ 1UL << random.Next(8 * width),
            _ => Values[random.Next(Values.Length)] + (random.Next(4) == 0 ? (ulong)random.Next(-2, 3) : 0),
        };
        if (isBig) BinaryPrimitives.WriteUInt64BigEndian(number, value << shift);
        else BinaryPrimitives.WriteUInt64LittleEndian(number, value);
        for (var i = 0; i < width; i++) bytes[at + i] = number[i];
    }
}
