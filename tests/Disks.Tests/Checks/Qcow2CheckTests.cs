using System.Buffers.Binary;
using System.Text.Json;
using WeaveHypervisor.Disks.Qcow2;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Disks.Tests.Checks;

/// <summary>A check finds what `qemu-img check` finds, and counts it the same.</summary>
public sealed class Qcow2CheckTests(ITestOutputHelper output) : IDisposable
{
    private readonly TestFolder _folder = new();
    public void Dispose() => _folder.Dispose();

    private async Task<ImageCheck> Check()
    {
        await using var chain = await DiskChain.OpenAsync(_folder["image"], DiskFormat.Qcow2, new FolderLocator(_folder["image"]), default);
        return await chain.CheckAsync(0, null, default);
    }

    private void Make(string options, Random? random = null)
    {
        random ??= new Random(1);
        File.Delete(_folder["image"]);
        QemuImg.Run("create", "-q", "-f", "qcow2", "-o", options, _folder["image"], "8M");
        string[] Writes() => [.. Enumerable.Range(0, 12).SelectMany(_ => (string[])["-c", random.Next(5) switch
        {
            0 => $"write -z {random.Next(1 << 14) * 512} {random.Next(1, 200) * 512}",
            1 => $"write -c -P 3 {random.Next(4) * (2 << 20)} 2M",
            _ => $"write -P {random.Next(9)} {random.Next((1 << 14) - 300) * 512} {random.Next(1, 300) * 512}",
        }])];
        QemuImg.Try("/usr/bin/qemu-io", ["-f", "qcow2", .. Writes(), _folder["image"]]);
        QemuImg.Try("/usr/bin/qemu-img", ["snapshot", "-c", "one", _folder["image"]]);
        QemuImg.Try("/usr/bin/qemu-io", ["-f", "qcow2", .. Writes(), _folder["image"]]);
        if (!options.Contains("0.10", StringComparison.Ordinal)) QemuImg.Run("bitmap", "--add", _folder["image"], "marks");
    }

    private static JsonElement Json(string text) => JsonDocument.Parse(text[text.IndexOf('{', StringComparison.Ordinal)..(text.IndexOf('}', StringComparison.Ordinal) + 1)]).RootElement;

    private static long Number(JsonElement json, string name) => json.TryGetProperty(name, out var value) ? value.GetInt64() : 0;

    [Theory]
    [InlineData("compat=0.10")]
    [InlineData("cluster_size=512")]
    [InlineData("cluster_size=4k,refcount_bits=1")]
    [InlineData("cluster_size=16k,extended_l2=on,refcount_bits=64")]
    [InlineData("cluster_size=2M,compression_type=zstd")]
    [InlineData("preallocation=metadata")]
    public async Task An_image_of_qemu_has_the_same_numbers(string options)
    {
        Make(options);
        var expected = Json(QemuImg.Try("/usr/bin/qemu-img", ["check", "--output=json", "-f", "qcow2", _folder["image"]]).Output);
        var check = await Check();
        // QEMU leaves leaks where small refcounts are used up.
        Assert.Equal((Number(expected, "corruptions"), Number(expected, "leaks")), (check.Errors, check.Leaks));
        Assert.Equal(check.Errors + check.Leaks, check.Findings.Count);
        Assert.Equal((Number(expected, "total-clusters"), Number(expected, "allocated-clusters"), Number(expected, "compressed-clusters"), Number(expected, "fragmented-clusters"), Number(expected, "image-end-offset")),
            (check.TotalClusters, check.AllocatedClusters, check.CompressedClusters, check.FragmentedClusters, check.ImageEnd));
    }

    [Fact]
    public async Task A_cluster_that_nothing_refers_to_is_a_leak_and_a_shared_one_is_an_error()
    {
        Make("cluster_size=64k");
        using (var file = File.Open(_folder["image"], FileMode.Open))
        {
            // The refcount block is the third cluster; the last refcounts that are set belong to data.
            file.Position = 2 << 16;
            var block = new byte[1 << 16];
            file.ReadExactly(block);
            var last = block.AsSpan().LastIndexOfAnyExcept((byte)0) / 2;
            BinaryPrimitives.WriteUInt16BigEndian(block.AsSpan((last + 1) * 2), 1);
            BinaryPrimitives.WriteUInt16BigEndian(block.AsSpan(last * 2), 0);
            file.Position = 2 << 16;
            file.Write(block);
            file.SetLength(Math.Max(file.Length, (last + 2L) << 16));
        }
        var check = await Check();
        Assert.Contains(check.Findings, f => f is { Kind: CheckKind.Leak, Structure: "refcount" });
        Assert.Contains(check.Findings, f => f is { Kind: CheckKind.Error, Structure: "refcount" } && f.Offset % (1 << 16) == 0);
    }

    /// <summary>Bytes of tables and refcounts are changed at random. Where QEMU gets through to the end, the counts are equal; else errors are found at least.</summary>
    [Fact]
    public async Task Damage_is_counted_as_qemu_counts_it()
    {
        var seed = Random.Shared.Next(1 << 30);
        output.WriteLine($"seed {seed}");
        var random = new Random(seed);
        var compared = 0;
        foreach (var options in (string[])["cluster_size=4k", "cluster_size=64k", "compat=0.10,cluster_size=8k", "cluster_size=16k,extended_l2=on", "cluster_size=512,refcount_bits=8"])
        {
            Make(options, random);
            var good = await File.ReadAllBytesAsync(_folder["image"]);
            var header = Header();
            for (var turn = 0; turn < 12; turn++)
            {
                var bytes = (byte[])good.Clone();
                for (var i = random.Next(1, 4); i > 0; i--) Damage(bytes, header, random);
                await File.WriteAllBytesAsync(_folder["image"], bytes);
                var (code, text) = QemuImg.Try("/usr/bin/qemu-img", ["check", "--output=json", "-f", "qcow2", _folder["image"]]);
                var json = text.Contains('{', StringComparison.Ordinal) && code is 0 or 2 or 3 ? Json(text) : default;
                ImageCheck check;
                try
                {
                    check = await Check();
                }
                catch (WeaveException error)
                {
                    Assert.Equal(Fault.DataLoss, error.Fault);
                    continue;
                }
                if (json.ValueKind == JsonValueKind.Undefined || Number(json, "check-errors") > 0) continue;
                compared++;
                Assert.True((Number(json, "leaks"), Number(json, "corruptions")) == (check.Leaks, check.Errors), $"seed {seed}, {options}, turn {turn}: {check.Leaks} leaks, {check.Errors} errors\n{string.Join('\n', check.Findings.Take(20))}\n{text}");
            }
        }
        output.WriteLine($"{compared} compared");
        Assert.InRange(compared, 20, 60);
    }

    private Qcow2Header Header()
    {
        var (handle, facts) = FileFacts.OpenRegular(_folder["image"]);
        using (handle) return Qcow2Header.Read(handle, facts.Length, _folder["image"]);
    }

    private static void Damage(byte[] bytes, Qcow2Header header, Random random)
    {
        var l1 = bytes.AsSpan((int)header.L1Offset, header.L1Entries * 8);
        var table = (int)(BinaryPrimitives.ReadUInt64BigEndian(l1[(random.Next(header.L1Entries) * 8)..]) & L1Table.OffsetMask);
        var block = (int)(BinaryPrimitives.ReadUInt64BigEndian(bytes.AsSpan((int)header.RefcountTableOffset)) & RefcountReader.OffsetMask);
        var at = random.Next(6) switch
        {
            0 => (int)header.L1Offset + random.Next(l1.Length),
            1 => (int)header.RefcountTableOffset + random.Next(16),
            2 or 3 => block + random.Next(256),
            _ when table == 0 || table + header.ClusterSize > bytes.Length => block + random.Next(header.ClusterSize),
            _ => table + random.Next(header.ClusterSize),
        };
        bytes[at % bytes.Length] ^= (byte)(1 << random.Next(8));
    }
}
