using System.Diagnostics;
using System.Runtime.CompilerServices;
using WeaveHypervisor.Disks;
using WeaveHypervisor.Disks.Qcow2;
using WeaveHypervisor.Disks.Vhdx;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Fuzz;

/// <summary>The committed seeds, and how they were made. WEAVE_GOLDEN=renew makes them anew (by our writers and by QEMU's tools); inputs that were findings, `found-…`, stay.</summary>
internal static class Corpus
{
    public static IReadOnlyList<(string Name, byte[] Bytes)> Read(string target) =>
        [.. Directory.GetFiles(Path.Combine(AppContext.BaseDirectory, "Corpus", target)).Order(StringComparer.Ordinal).Select(f => (Path.GetFileName(f), File.ReadAllBytes(f)))];

    public static async Task RenewAsync([CallerFilePath] string here = "")
    {
        var top = Path.Combine(Path.GetDirectoryName(here)!, "Corpus");
        foreach (var target in (string[])["raw", "qcow2", "vhdx", "vhdx-program", "chain-program"])
        {
            var folder = Directory.CreateDirectory(Path.Combine(top, target)).FullName;
            foreach (var old in Directory.GetFiles(folder).Where(f => !Path.GetFileName(f).StartsWith("found-", StringComparison.Ordinal))) File.Delete(old);
        }
        void Put(string target, string name, byte[] bytes) => File.WriteAllBytes(Path.Combine(top, target, name), bytes);

        Put("raw", "nothing", []);
        Put("raw", "sector", SparseInput.Encode(Text(512)));
        Put("raw", "holes", SparseInput.Encode([.. Text(700), .. new byte[70_000], .. Text(600)]));
        await Qcow2Async(Put);
        await VhdxAsync(Put);
        for (var i = 0; i < 6; i++)
        {
            // Programs are numbers without a form of their own.
            var random = new Random(i);
            var bytes = new byte[random.Next(40, 400)];
            random.NextBytes(bytes);
            Put("vhdx-program", $"random-{i}", bytes);
            random.NextBytes(bytes);
            Put("chain-program", $"random-{i}", bytes);
        }
    }

    private static async Task Qcow2Async(Action<string, string, byte[]> put)
    {
        var scratch = Scratch.Mine.Clear();
        var content = Text(300);
        DiskReader reader = (offset, into, _) =>
        {
            for (var i = 0; i < into.Length; i++) into.Span[i] = offset + i < content.Length ? content[offset + i] : (byte)0;
            return default;
        };
        await Qcow2Writer.WriteAsync(scratch["ours"], new Qcow2Shape(1 << 20, null, DiskFormat.Raw, 4096), new DiskRange[] { new(0, 300), new(8192, 4096) }.ToAsyncEnumerable(), reader, null, null, default);
        put("qcow2", "ours", SparseInput.Encode(File.ReadAllBytes(scratch["ours"])));
        File.WriteAllBytes(scratch["raw"], new byte[65536]);
        File.WriteAllBytes(scratch["text"], [.. content, .. new byte[200_000]]);
        foreach (var (name, options) in ((string, string)[])[("v2", "compat=0.10,cluster_size=512"), ("v3", "cluster_size=4096"), ("small-refcounts", "refcount_bits=1,cluster_size=512"), ("extended", "extended_l2=on,cluster_size=16384"),
            ("preallocated", "preallocation=metadata,cluster_size=65536"), ("large-clusters", "cluster_size=2M")])
        {
            Qemu("convert", "-f", "raw", "-O", "qcow2", "-o", options, scratch["text"], scratch[name]);
            put("qcow2", name, SparseInput.Encode(File.ReadAllBytes(scratch[name])));
        }
        foreach (var compression in (string[])["zlib", "zstd"])
        {
            Qemu("convert", "-c", "-f", "raw", "-O", "qcow2", "-o", $"compression_type={compression},cluster_size=4096", scratch["text"], scratch[compression]);
            put("qcow2", compression, SparseInput.Encode(File.ReadAllBytes(scratch[compression])));
        }
        // Names as they stand in images: beside the image, and itself.
        foreach (var backing in (string[])["raw", "qcow2"])
        {
            Qemu("create", "-u", "-f", "qcow2", "-F", backing, "-b", backing, "-o", "cluster_size=4096", scratch["child"], "1M");
            put("qcow2", $"on-{backing}", SparseInput.Encode(File.ReadAllBytes(scratch["child"])));
        }
        Qemu("snapshot", "-c", "one", scratch["v3"]);
        put("qcow2", "snapshot", SparseInput.Encode(File.ReadAllBytes(scratch["v3"])));
    }

    private static async Task VhdxAsync(Action<string, string, byte[]> put)
    {
        var scratch = Scratch.Mine.Clear();
        DiskReader reader = (_, into, _) =>
        {
            into.Span.Fill((byte)'w');
            return default;
        };
        async Task MakeAsync(string name, VhdxShape shape, params DiskRange[] ranges)
        {
            await VhdxWriter.WriteAsync(scratch[name], shape, ranges.ToAsyncEnumerable(), reader, null, null, default);
            PutFile(name);
        }
        // The first byte is odd: checksums are made right after each mutation.
        void PutFile(string name) => put("vhdx", name, [1, .. SparseInput.Encode(File.ReadAllBytes(scratch[name]))]);

        await MakeAsync("empty", new(1 << 30));
        await MakeAsync("small-blocks", new(3 << 20, null, 1 << 20), new(0, 200), new((2 << 20) + 512, 100));
        await MakeAsync("fixed", new(2 << 20, null, 1 << 20, IsFixed: true), new DiskRange(512, 64));
        await MakeAsync("large-sectors", new(2 << 20, null, 2 << 20, 4096, 4096), new DiskRange(4096, 64));
        await MakeAsync("child", new(1 << 30, scratch["empty"]));
        await MakeAsync("child-in-parts", new(3 << 20, scratch["small-blocks"], 1 << 20), new(1024, 100), new((1 << 20) + 5120, 512));
        // A death after a flush leaves a log; a second entry stands in its other half.
        File.Copy(scratch["small-blocks"], scratch["logged"]);
        var live = await VhdxLiveDisk.OpenAsync(scratch["logged"], default);
        await live.WriteAsync(1 << 20, Enumerable.Repeat((byte)'l', 512).ToArray(), default);
        await live.FlushAsync(default);
        await live.AbandonAsync();
        PutFile("logged");
        Qemu("create", "-f", "vhdx", "-o", "block_size=1M", scratch["by-qemu"], "3M");
        PutFile("by-qemu");
    }

    private static byte[] Text(int length) => [.. Enumerable.Range(0, length).Select(i => (byte)('a' + i % 23))];

    private static void Qemu(params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo("qemu-img", arguments) { RedirectStandardOutput = true })!;
        process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        if (process.ExitCode != 0) throw new InvalidOperationException($"qemu-img {string.Join(' ', arguments)} ended with {process.ExitCode}.");
    }
}
