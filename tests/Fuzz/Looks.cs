using WeaveHypervisor.Disks;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Fuzz;

/// <summary>What is asked of any image that opens, within bounds: its map, in one piece and in parts, and its bytes. Only a <see cref="WeaveException"/> may say no.</summary>
internal static class Looks
{
    private const int MaxExtents = 300, MaxBytes = 256 << 10;

    public static async Task AllAsync(LayerImage image, CancellationToken stop)
    {
        Require(image.Capacity > 0, "a disk has bytes");
        _ = image.Parent?.Names.Count;
        var end = image.Capacity;
        // Where the map is long only its start and its end are looked at.
        await MapAsync(image, 0, end, stop);
        if (end > 1 << 20) await MapAsync(image, end - (1 << 20) + 1, end, stop);
        await MapAsync(image, end / 2, end / 2 + Math.Min(4097, end - end / 2), stop);
    }

    private static async Task MapAsync(LayerImage image, long from, long end, CancellationToken stop)
    {
        var part = new Extent[7];
        var buffer = new byte[16 << 10];
        var (at, extents, bytes) = (from, 0, 0);
        var before = default(Extent);
        while (at < end && extents < MaxExtents)
        {
            var count = await image.MapAsync(at, end, part, stop);
            Require(count > 0, "each call maps something");
            for (var i = 0; i < count; i++)
            {
                var extent = part[i];
                Require(extent.Offset == at && extent.Length > 0 && extent.End <= end, "extents follow each other");
                Require(i == 0 || !before.GoesOnWith(extent), "neighbours that say the same are one");
                (at, before) = (extent.End, extent);
                extents++;
                if (extent.Kind != ExtentKind.Data || bytes >= MaxBytes) continue;
                var length = (int)Math.Min(buffer.Length, extent.Length);
                await image.ReadAsync(extent, buffer.AsMemory(0, length), stop);
                // The same by the place on the disk alone, from the end.
                var tail = Math.Min(512, length);
                var again = new byte[tail];
                await image.ReadAsync(extent.Offset + length - tail, again, stop);
                Require(buffer.AsSpan(length - tail, tail).SequenceEqual(again), "a byte reads the same twice");
                bytes += length;
            }
        }
    }

    public static void Require(bool holds, string what)
    {
        if (!holds) throw new InvalidOperationException($"It must be so that {what}.");
    }

    /// <summary>Runs to the end; a refusal is an answer.</summary>
    public static void Run(Func<CancellationToken, Task> look)
    {
        // A bound on time: an input that is not done by then is a finding.
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        try
        {
            look(limit.Token).GetAwaiter().GetResult();
        }
        catch (WeaveException error) when (error.Fault != Fault.Internal)
        {
            Require(error.Message.Length is > 0 and < 4096, "a refusal is a sentence");
        }
    }
}
