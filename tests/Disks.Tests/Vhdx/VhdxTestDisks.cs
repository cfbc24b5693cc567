using System.Globalization;
using WeaveHypervisor.Disks.Vhdx;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Disks.Tests.Vhdx;

/// <summary>What the tests of VHDX share: a seed, random disks, and reading a chain of layers in the plainest way.</summary>
internal static class VhdxTestDisks
{
    public static int Seed { get; } = Environment.GetEnvironmentVariable("WEAVE_SEED") is { } given ? int.Parse(given, CultureInfo.InvariantCulture) : Random.Shared.Next();

    public static DiskReader From(byte[] bytes) => (offset, into, _) =>
    {
        bytes.AsMemory((int)offset, into.Length).CopyTo(into);
        return ValueTask.CompletedTask;
    };

    /// <summary>Ranges in order, of all lengths from none on, some of them neighbours; at times aligned.</summary>
    public static List<DiskRange> Ranges(Random random, long capacity, int most)
    {
        var unit = random.Next(3) switch { 0 => 1, 1 => 512, _ => 1 << 20 };
        var cuts = Enumerable.Range(0, 2 * random.Next(most + 1)).Select(_ => Math.Min(capacity, random.NextInt64(capacity + 1) / unit * unit)).Order().ToArray();
        return [.. cuts.Chunk(2).Select(c => new DiskRange(c[0], c[1] - c[0])), .. random.Next(3) == 0 && cuts.Length > 0 && cuts[^1] < capacity ? new[] { new DiskRange(cuts[^1], capacity - cuts[^1]) } : []];
    }

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

    public static void Lay(IEnumerable<DiskRange> ranges, byte[] from, byte[] into)
    {
        foreach (var range in ranges) from.AsSpan((int)range.Offset, (int)range.Length).CopyTo(into.AsSpan((int)range.Offset));
    }

    public static async Task<byte[]> ReadAsync(params LayerImage[] topFirst)
    {
        var bytes = new byte[topFirst[0].Capacity];
        foreach (var layer in topFirst.Reverse())
        {
            long at = 0;
            Extent? before = null;
            await foreach (var extent in layer.MapAsync(0, layer.Capacity, default))
            {
                Assert.Equal(at, extent.Offset);
                Assert.True(extent.Length > 0);
                Assert.False(before is { } b && b.Kind == extent.Kind && (extent.Kind != ExtentKind.Data || b.FileOffset + b.Length == extent.FileOffset), "Neighbours that say the same are one.");
                (at, before) = (extent.End, extent);
                var into = bytes.AsMemory((int)extent.Offset, (int)extent.Length);
                if (extent.Kind == ExtentKind.Zero) into.Span.Clear();
                else if (extent.Kind == ExtentKind.Data) await layer.ReadAsync(extent.Offset, into, default);
            }
            Assert.Equal(layer.Capacity, at);
        }
        return bytes;
    }

    public static async Task<byte[]> ReadFilesAsync(params string[] topFirst)
    {
        var layers = new List<LayerImage>();
        try
        {
            foreach (var path in topFirst) layers.Add(await VhdxImage.OpenAsync(path, default));
            for (var i = 0; i + 1 < layers.Count; i++) layers[i].VerifyParent(layers[i + 1]);
            return await ReadAsync([.. layers]);
        }
        finally
        {
            foreach (var layer in layers) await layer.DisposeAsync();
        }
    }
}
