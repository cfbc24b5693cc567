using System.Text.Json;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Disks.Tests.Chains;

/// <summary>Random chains that QEMU has made are read as QEMU reads them: the same map and the same bytes.</summary>
public sealed class QemuDifferentialTests(ITestOutputHelper output)
{
    private static bool Full => Environment.GetEnvironmentVariable("WEAVE_TESTS") == "full";

    /// <summary>Thirteen cluster sizes twice; with WEAVE_TESTS=full 2,080 chains. A failure names the seed, which WEAVE_SEED repeats.</summary>
    [Fact]
    public async Task Map_and_bytes_of_a_chain_are_those_that_qemu_reads()
    {
        var seed = Environment.GetEnvironmentVariable("WEAVE_SEED") is { Length: > 0 } given ? int.Parse(given, System.Globalization.CultureInfo.InvariantCulture) : Random.Shared.Next(1 << 30);
        var count = Full ? 2080 : 26;
        output.WriteLine($"WEAVE_SEED={seed}, {count} chains");
        var (corrupt, close) = (0, 0);
        for (var i = 0; i < count; i++)
        {
            using var chain = RandomChain.Make(seed + i);
            if (chain.IsMarkedCorrupt)
            {
                corrupt++;
                continue;
            }
            try
            {
                if (!await CompareAsync(chain, new Random(seed + i))) close++;
            }
            catch (Exception error)
            {
                throw new InvalidOperationException($"WEAVE_SEED={seed}, chain {i} (WEAVE_SEED={seed + i} makes it the first): {chain.Description}", error);
            }
        }
        output.WriteLine($"{count - corrupt} compared, {corrupt} that QEMU has marked corrupt left out, {close} of whose holes the file system told both readers differently");
        Assert.InRange(corrupt, 0, count / 10);
        Assert.InRange(close, 0, 1 + count / 100);
    }

    /// <summary>
    /// False where the maps differ in holes alone: whether a file is taken for preallocated hangs on the blocks that it takes at that moment, by one of which the file system may change its mind.
    /// </summary>
    private static async Task<bool> CompareAsync(RandomChain expected, Random random)
    {
        await using var chain = await DiskChain.OpenAsync(expected.Top, expected.Format, new FolderLocator(expected.Top), default);
        var map = JsonDocument.Parse(expected.Map).RootElement.EnumerateArray().Select(e => new QemuMapEntry(e.GetProperty("start").GetInt64(), e.GetProperty("length").GetInt64(), e.GetProperty("depth").GetInt32(),
            e.GetProperty("present").GetBoolean(), e.GetProperty("zero").GetBoolean(), e.GetProperty("data").GetBoolean(), e.TryGetProperty("offset", out var offset) ? offset.GetInt64() : null)).ToList();
        var ours = await QemuMap.ReadAsync(chain, default).ToListAsync();
        var same = map.SequenceEqual(ours);
        if (!same) Assert.Equal(WithoutHoles(map), WithoutHoles(ours));

        var content = expected.Content;
        Assert.Equal(content.Length, chain.Capacity);
        var whole = new byte[content.Length];
        await chain.ReadAsync(0, whole, default);
        Assert.True(content.AsSpan().SequenceEqual(whole), $"The disk differs at {content.AsSpan().CommonPrefixLength(whole)}.");
        for (var i = 0; i < 20; i++)
        {
            var at = random.Next(content.Length);
            var piece = new byte[random.Next(1, Math.Min(content.Length - at, 100_000) + 1)];
            await chain.ReadAsync(at, piece, default);
            Assert.True(content.AsSpan(at, piece.Length).SequenceEqual(piece), $"{piece.Length} bytes at {at} differ.");
            // A map of a part is that part of the map.
            var part = await chain.ExtentsAsync(at, piece.Length, default).ToListAsync();
            Assert.Equal((at, at + piece.Length), (part[0].Offset, part[^1].End));
            Assert.All(part.Where(e => e.IsZero), e => Assert.False(content.AsSpan((int)e.Offset, (int)e.Length).ContainsAnyExcept((byte)0)));
        }
        return same;
    }

    private static List<QemuMapEntry> WithoutHoles(List<QemuMapEntry> map)
    {
        var entries = new List<QemuMapEntry>();
        foreach (var entry in map.Select(e => e with { Zero = e.Zero && !e.Data }))
            if (entries.Count > 0 && entries[^1] is var before && entry.Data && before.Data && before.Depth == entry.Depth && before.Offset + before.Length == entry.Offset) entries[^1] = before with { Length = before.Length + entry.Length };
            else entries.Add(entry);
        return entries;
    }
}
