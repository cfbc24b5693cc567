using System.Diagnostics;
using WeaveHypervisor.Libvirt.Memory;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt.Tests.Memory;

/// <summary>Streams of a real QEMU: a paused machine without disks, driven by its monitor on standard input.</summary>
public sealed class RealStreamTests : IDisposable
{
    private const string Qemu = "/usr/bin/qemu-system-x86_64";
    private readonly string _folder = Directory.CreateTempSubdirectory("weave-qemu").FullName;
    public void Dispose() => Directory.Delete(_folder, recursive: true);
    private string In(string name) => Path.Combine(_folder, name);

    /// <summary>Runs QEMU until its monitor has taken all commands; answers what it printed.</summary>
    private static async Task<string> Monitor(string[] extra, params string[] commands)
    {
        var start = new ProcessStartInfo(Qemu) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (var argument in (string[])["-machine", "pc,accel=tcg", "-m", "64", "-nodefaults", "-display", "none", "-vga", "std", "-S", "-monitor", "stdio", .. extra]) start.ArgumentList.Add(argument);
        using var process = Process.Start(start)!;
        try
        {
            // A machine with -incoming is ready when its status is no longer "inmigrate"; every answer is waited for, so this does not spin.
            string? line;
            do
            {
                await process.StandardInput.WriteLineAsync("info status");
                do line = await process.StandardOutput.ReadLineAsync().WaitAsync(TimeSpan.FromSeconds(60));
                while (line is not null && !line.StartsWith("VM status:", StringComparison.Ordinal));
            }
            while (line is not null && line.Contains("inmigrate", StringComparison.Ordinal));
            foreach (var command in commands) await process.StandardInput.WriteLineAsync(command);
            await process.StandardInput.WriteLineAsync("quit");
            process.StandardInput.Close();
            var output = process.StandardOutput.ReadToEndAsync();
            var errors = process.StandardError.ReadToEndAsync();
            await process.WaitForExitAsync().WaitAsync(TimeSpan.FromSeconds(60));
            return await output + await errors;
        }
        finally
        {
            if (!process.HasExited) process.Kill();
        }
    }

    [Fact]
    public async Task A_real_machine_comes_back_from_flat_memory_and_from_the_whole_stream_with_the_same_memory()
    {
        Assert.SkipUnless(File.Exists(Qemu), "QEMU is not installed.");
        var content = new byte[8 << 20];
        new Random(1).NextBytes(content);
        File.WriteAllBytes(In("content"), content);
        // `migrate` without -d waits.
        await Monitor(["-device", $"loader,file={In("content")},addr=0x200000,force-raw=on"], $"migrate \"exec:cat > {In("stream")}\"", $"pmemsave 0 0x4000000 \"{In("before")}\"");
        using (var stream = File.OpenRead(In("stream")))
        {
            var result = await new MigrationStreamSplitter().SplitAsync(stream, In("flat"), In("state"), null, TestContext.Current.CancellationToken);
            Assert.Equal(("pc.ram", 64L << 20), (result.MainBlock, result.RamBytes));
            Assert.InRange(result.DataPages, content.Length / 4096, content.Length / 4096 + 1024);
        }
        string[] shared = ["-object", $"memory-backend-file,id=weave-ram,size=64M,mem-path={In("flat")},share=off,x-use-canonical-path-for-ramblock-id=false", "-machine", "memory-backend=weave-ram"];
        var log = await Monitor([.. shared, "-incoming", $"exec:cat {In("state")}"], $"pmemsave 0 0x4000000 \"{In("after")}\"");
        Assert.True(File.Exists(In("after")), log);
        Assert.Equal(File.ReadAllBytes(In("before")), File.ReadAllBytes(In("after")));

        using (var whole = File.Create(In("whole"))) await WholeStreamWriter.WriteAsync(In("flat"), In("state"), "pc.ram", whole, null, TestContext.Current.CancellationToken);
        log = await Monitor(["-incoming", $"exec:cat {In("whole")}"], $"pmemsave 0 0x4000000 \"{In("again")}\"");
        Assert.True(File.Exists(In("again")), log);
        Assert.Equal(File.ReadAllBytes(In("before")), File.ReadAllBytes(In("again")));
    }

    [Fact]
    public async Task A_real_machine_comes_back_from_what_differs_from_a_base()
    {
        Assert.SkipUnless(File.Exists(Qemu), "QEMU is not installed.");
        var content = new byte[8 << 20];
        new Random(3).NextBytes(content);
        async Task<SplitResult> SaveAsync(string name, MemoryImage? on)
        {
            File.WriteAllBytes(In("content"), content);
            await Monitor(["-device", $"loader,file={In("content")},addr=0x200000,force-raw=on"], $"migrate \"exec:cat > {In("stream")}\"", $"pmemsave 0 0x4000000 \"{In("before")}\"");
            using var stream = File.OpenRead(In("stream"));
            return await new MigrationStreamSplitter { Base = on }.SplitAsync(stream, In(name + ".ram"), In(name + ".state"), null, TestContext.Current.CancellationToken);
        }
        var first = await SaveAsync("base", null);
        new Random(4).NextBytes(content.AsSpan(1 << 20, 64 << 10));
        content.AsSpan(2 << 20, 64 << 10).Clear();
        var second = await SaveAsync("next", new() { FlatPath = In("base.ram"), DeviceStatePath = In("base.state"), RamBytes = first.RamBytes, StoredBytes = first.StoredBytes, MainBlock = first.MainBlock });
        Assert.True(second.SharesBase);
        Assert.InRange(second.DataPages, 32, 1024);
        string[] shared = ["-object", $"memory-backend-file,id=weave-ram,size=64M,mem-path={In("base.ram")},share=off,x-use-canonical-path-for-ramblock-id=false", "-machine", "memory-backend=weave-ram"];
        var log = await Monitor([.. shared, "-incoming", $"exec:cat {In("next.state")}"], $"pmemsave 0 0x4000000 \"{In("after")}\"");
        Assert.True(File.Exists(In("after")), log);
        Assert.Equal(File.ReadAllBytes(In("before")), File.ReadAllBytes(In("after")));

        using (var whole = File.Create(In("whole"))) await WholeStreamWriter.WriteAsync(In("base.ram"), In("next.state"), "pc.ram", whole, null, TestContext.Current.CancellationToken);
        log = await Monitor(["-incoming", $"exec:cat {In("whole")}"], $"pmemsave 0 0x4000000 \"{In("again")}\"");
        Assert.True(File.Exists(In("again")), log);
        Assert.Equal(File.ReadAllBytes(In("before")), File.ReadAllBytes(In("again")));
    }

    [Fact]
    public async Task A_background_snapshot_gives_the_same_memory_as_a_migration()
    {
        Assert.SkipUnless(File.Exists(Qemu), "QEMU is not installed.");
        var content = new byte[8 << 20];
        new Random(2).NextBytes(content);
        File.WriteAllBytes(In("content"), content);
        var log = await Monitor(["-device", $"loader,file={In("content")},addr=0x200000,force-raw=on"], "cont", "stop", "migrate_set_capability background-snapshot on", $"migrate \"exec:cat > {In("stream")}\"", "info migrate");
        // A machine that never ran cannot become paused, hence `cont` and `stop`.
        Assert.SkipWhen(log.Contains("not supported", StringComparison.Ordinal) || log.Contains("not compatible", StringComparison.Ordinal), "This kernel allows no background snapshot.");
        using (var stream = File.OpenRead(In("stream")))
        {
            var result = await new MigrationStreamSplitter().SplitAsync(stream, In("flat"), In("state"), null, TestContext.Current.CancellationToken);
            Assert.Equal(("pc.ram", 64L << 20), (result.MainBlock, result.RamBytes));
        }
        Assert.Equal(content, File.ReadAllBytes(In("flat")).AsSpan(2 << 20, content.Length).ToArray());
        string[] shared = ["-object", $"memory-backend-file,id=weave-ram,size=64M,mem-path={In("flat")},share=off,x-use-canonical-path-for-ramblock-id=false", "-machine", "memory-backend=weave-ram"];
        log = await Monitor([.. shared, "-incoming", $"exec:cat {In("state")}"], $"pmemsave 0x200000 {content.Length} \"{In("after")}\"");
        Assert.True(File.Exists(In("after")), log);
        Assert.Equal(content, File.ReadAllBytes(In("after")));
    }
}
