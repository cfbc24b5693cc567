using System.Globalization;
using WeaveHypervisor.Model;
using WeaveHypervisor.Weaving.Tests.Worlds;
using WeaveHypervisor.Weaving.Volumes;
using static WeaveHypervisor.Weaving.Tests.Worlds.World;

namespace WeaveHypervisor.Weaving.Tests.Volumes;

/// <summary>Merges of random writes against what a byte array says of them, sector by sector.</summary>
public sealed class MergeModelTests
{
    private const int Size = 1 << 20, Sector = 512;
    private static readonly VolumeId Data = VolumeId.Parse("db/data");

    [Theory]
    [InlineData(OnConflict.Source)]
    [InlineData(OnConflict.Destination)]
    public async Task A_merge_is_what_a_model_of_bytes_says_and_conflicts_are_exactly_where_both_differ(OnConflict decision)
    {
        var seed = Environment.GetEnvironmentVariable("WEAVE_SEED") is { } given ? int.Parse(given, CultureInfo.InvariantCulture) : Random.Shared.Next();
        var random = new Random(seed);
        await using var world = await WithLabAsync();
        var start = new byte[Size];
        await FillAsync(world, "main", start, random, 6);
        await world.SnapshotAsync();
        await world.CreateAsync("past", snapshot: (await world.SnapshotsAsync())[0].Id);
        var (main, past) = ((byte[])start.Clone(), (byte[])start.Clone());
        for (var round = 0; round < 2; round++)
        {
            await FillAsync(world, "main", main, random, 8);
            await FillAsync(world, "past", past, random, 8);
            // Longer chains on either side, with a layer between that discards nothing.
            await world.SnapshotAsync(round == 0 ? "main" : "past", memory: false);
        }
        // The same change on both sides is none.
        var equal = random.Next(Size - 5000);
        main.AsSpan(equal, 4321).Fill(0xee);
        past.AsSpan(equal, 4321).Fill(0xee);
        await WriteAsync(world, "main", equal, main.AsMemory(equal, 4321));
        await WriteAsync(world, "past", equal, past.AsMemory(equal, 4321));

        var (expected, conflicts) = Merge(start, main, past, decision);
        Assert.Equal(main, await world.ReadAsync("main", Data));
        var result = await world.SyncAsync("main", "past", Data, SyncStrategy.Merge, decision);
        var (after, source) = (await world.ReadAsync("past", Data), await world.ReadAsync("main", Data));
        Assert.True(after.AsSpan().SequenceEqual(expected), $"WEAVE_SEED={seed}");
        Assert.True(source.AsSpan().SequenceEqual(main), $"WEAVE_SEED={seed}: the source");
        var found = result.Conflicts.SelectMany(c => Enumerable.Range(0, (int)(c.Length / Sector)).Select(i => (int)c.Offset + i * Sector)).ToList();
        Assert.True(conflicts.SequenceEqual(found), $"WEAVE_SEED={seed}: {conflicts.Count} conflicts, {found.Count} found");
        await world.CheckAsync();
    }

    private static (byte[] Merged, List<int> Conflicts) Merge(byte[] start, byte[] source, byte[] destination, OnConflict decision)
    {
        var (merged, conflicts) = ((byte[])destination.Clone(), new List<int>());
        for (var at = 0; at < Size; at += Sector)
        {
            // Bytes that are equal on both sides are no difference, whoever has changed them.
            var differ = Enumerable.Range(at, Sector).Where(i => source[i] != destination[i]).ToList();
            if (!differ.Any(i => source[i] != start[i])) continue;
            var conflict = differ.Any(i => destination[i] != start[i]);
            if (conflict) conflicts.Add(at);
            if (!conflict || decision == OnConflict.Source) source.AsSpan(at, Sector).CopyTo(merged.AsSpan(at));
        }
        return (merged, conflicts);
    }

    private static async Task FillAsync(World world, string weave, byte[] model, Random random, int count)
    {
        for (var n = 0; n < count; n++)
        {
            var at = random.Next(Size);
            var length = Math.Min(Size - at, random.Next(3) == 0 ? random.Next(1, 200_000) : random.Next(1, 3000));
            var bytes = new byte[length];
            // Zeroes are content, too.
            if (random.Next(4) > 0) random.NextBytes(bytes);
            bytes.CopyTo(model, at);
            await WriteAsync(world, weave, at, bytes);
        }
    }

    private static async Task WriteAsync(World world, string weave, int at, ReadOnlyMemory<byte> bytes) =>
        world.Host.WriteBytes((await world.WeaveAsync(weave)).Machines.First(m => m.Name == Db).Uuid, "data", at, bytes);
}
