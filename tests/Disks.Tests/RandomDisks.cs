using System.Globalization;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Disks.Tests;

/// <summary>Random content of disks, and the seed of it.</summary>
internal static class RandomDisks
{
    /// <summary>Of this run; WEAVE_SEED gives an earlier one's.</summary>
    public static int Seed { get; } = Environment.GetEnvironmentVariable("WEAVE_SEED") is { } given ? int.Parse(given, CultureInfo.InvariantCulture) : Random.Shared.Next();

    public static DiskReader From(byte[] bytes) => (offset, into, _) =>
    {
        bytes.AsMemory((int)offset, into.Length).CopyTo(into);
        return ValueTask.CompletedTask;
    };

    /// <summary>Bytes of which long stretches are zeroes, as disks have them.</summary>
    public static byte[] Content(Random random, int capacity)
    {
        var bytes = new byte[capacity];
        random.NextBytes(bytes);
        for (var n = random.Next(6); n > 0; n--)
        {
            var (a, b) = (random.Next(capacity), random.Next(capacity));
            bytes.AsSpan(Math.Min(a, b), Math.Abs(a - b)).Clear();
        }
        return bytes;
    }
}
