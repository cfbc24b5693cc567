using System.Buffers.Binary;
using WeaveHypervisor.Disks.Qcow2;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Disks.Tests.Chains;

[CollectionDefinition("memory", DisableParallelization = true)]
public sealed class MemoryCollection;

/// <summary>Memory is that of caches with a bound, and not that of the disk. By itself, so that what it measures is its own.</summary>
[Collection("memory")]
public sealed class MemoryTests : IDisposable
{
    private const int Cluster = 65536;
    private const long Bound = 64 << 20, Tebibyte = 1L << 40;
    private readonly TestFolder _folder = new();
    public void Dispose() => _folder.Dispose();

    /// <summary>A disk of 1 TiB with all of its 16 Mi clusters there, none behind the one before: 128 MiB of L2 tables. The data are a hole, and there are no refcounts, which reading does not need.</summary>
    private void Populate(string path)
    {
        const int tables = (int)(Tebibyte / Cluster / 8192);
        Qcow2OverlayWriter.Write(path, Base(), DiskFormat.Raw, Tebibyte);
        var (handle, facts) = FileFacts.OpenRegular(path);
        Qcow2Header header;
        using (handle) header = Qcow2Header.Read(handle, facts.Length, path);
        using var file = File.OpenHandle(path, FileMode.Open, FileAccess.ReadWrite);
        const long firstTable = 16L * Cluster, firstData = 4096L * Cluster;
        RandomAccess.SetLength(file, firstData + Tebibyte);
        var l1 = new byte[tables * 8];
        var l2 = new byte[Cluster];
        for (var i = 0; i < tables; i++)
        {
            BinaryPrimitives.WriteInt64BigEndian(l1.AsSpan(i * 8), firstTable + (long)i * Cluster);
            for (var j = 0; j < 8192; j++) BinaryPrimitives.WriteInt64BigEndian(l2.AsSpan(j * 8), firstData + Tebibyte - ((long)i * 8192 + j + 1) * Cluster);
            RandomAccess.Write(file, l2, firstTable + (long)i * Cluster);
        }
        RandomAccess.Write(file, l1, header.L1Offset);
    }

    private string Base()
    {
        if (!File.Exists(_folder["base"]))
            using (var file = File.Create(_folder["base"])) file.SetLength(Tebibyte);
        return _folder["base"];
    }

    [Fact]
    public async Task The_map_of_a_full_disk_of_a_tebibyte_takes_less_than_64_MiB()
    {
        Populate(_folder["disk"]);
        var before = GC.GetTotalMemory(forceFullCollection: true);
        await using var chain = await DiskChain.OpenAsync(_folder["disk"], DiskFormat.Qcow2, new FolderLocator(_folder["disk"]), default);
        long extents = 0, most = 0;
        await foreach (var batch in chain.ExtentBatchesAsync(0, chain.Capacity, 2, default))
        {
            if (extents / (1 << 21) != (extents + batch.Length) / (1 << 21)) most = Math.Max(most, GC.GetTotalMemory(forceFullCollection: true) - before);
            extents += batch.Length;
        }
        Assert.Equal(Tebibyte / Cluster, extents);
        Assert.True(most < Bound, $"{most} bytes more were in use.");
    }

    [Fact]
    public async Task A_chain_of_two_hundred_layers_shares_one_bound()
    {
        for (var i = 0; i < 199; i++) Qcow2OverlayWriter.Write(_folder[$"{i}"], i == 0 ? Base() : _folder[$"{i - 1}"], i == 0 ? DiskFormat.Raw : DiskFormat.Qcow2, Tebibyte);
        var before = GC.GetTotalMemory(forceFullCollection: true);
        await using var chain = await DiskChain.OpenAsync(_folder["198"], DiskFormat.Qcow2, new FolderLocator(_folder["198"]), default);
        Assert.Equal([new(0, Tebibyte, true, 199, 0, false)], await chain.ExtentsAsync(0, chain.Capacity, default).ToListAsync());
        var random = new Random(1);
        for (var i = 0; i < 100; i++) await chain.ReadAsync(random.NextInt64(Tebibyte - Cluster), new byte[Cluster], default);
        // What is left of pools of earlier tests may be freed meanwhile, so this can be below zero.
        var more = GC.GetTotalMemory(forceFullCollection: true) - before;
        Assert.True(more < Bound, $"{more} bytes more were in use.");
    }
}
