using WeaveHypervisor.Disks.Vhdx;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Disks.Tests.Vhdx;

/// <summary>What the tests of VHDX share: random ranges, and reading a chain of layers in the plainest way.</summary>
internal static class VhdxTestDisks
{
    /// <summary>Ranges in order, of all lengths from none on, some of them neighbours; at times aligned.</summary>
    public static List<DiskRange> Ranges(Random random, long capacity, int most)
    {
        var unit = random.Next(3) switch { 0 => 1, 1 => 512, _ => 1 << 20 };
        var cuts = Enumerable.Range(0, 2 * random.Next(most + 1)).Select(_ => Math.Min(capacity, random.NextInt64(capacity + 1) / unit * unit)).Order().ToArray();
        return [.. cuts.Chunk(2).Select(c => new DiskRange(c[0], c[1] - c[0])), .. random.Next(3) == 0 && cuts.Length > 0 && cuts[^1] < capacity ? new[] { new DiskRange(cuts[^1], capacity - cuts[^1]) } : []];
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
