using System.Diagnostics;
using System.Runtime.CompilerServices;
using WeaveHypervisor.Conformance;
using WeaveHypervisor.HyperV.SelfTest;

namespace WeaveHypervisor.HyperV.Tests.SelfTest;

/// <summary>The boot sector whose counter proves that memory was resumed, on a real (emulated) processor.</summary>
public sealed class CountingSectorTests : IDisposable
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);
    private readonly string _folder = Directory.CreateTempSubdirectory("wvhv").FullName;

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private string At(string name) => Path.Combine(_folder, name);

    private static string? Find(string program) => Environment.GetEnvironmentVariable("PATH")?.Split(':').Select(folder => Path.Combine(folder, program)).FirstOrDefault(File.Exists);

    /// <summary>A machine under QEMU, without acceleration, that writes its COM1 to a file and is told what to do by lines.</summary>
    private sealed class Emulated : IDisposable
    {
        private readonly Process _process;
        private readonly string _heard;

        public Emulated(string qemu, string folder, string name, string? incoming = null)
        {
            _heard = Path.Combine(folder, name + ".txt");
            var start = new ProcessStartInfo(qemu) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true };
            foreach (var a in (string[])["-accel", "tcg", "-m", "16", "-display", "none", "-nodefaults", "-drive", $"file={Path.Combine(folder, "disk.raw")},format=raw,if=ide", "-serial", $"file:{_heard}", "-monitor", "stdio"]) start.ArgumentList.Add(a);
            foreach (var a in incoming is null ? (string[])[] : ["-incoming", "exec:cat " + incoming]) start.ArgumentList.Add(a);
            _process = Process.Start(start)!;
            _process.OutputDataReceived += static (_, _) => { };
            _process.ErrorDataReceived += static (_, _) => { };
            _process.BeginOutputReadLine();
            _process.BeginErrorReadLine();
        }

        public void Tell(string line)
        {
            _process.StandardInput.WriteLine(line);
            _process.StandardInput.Flush();
        }

        private CounterLine? Look() => File.Exists(_heard) ? CountingSector.Last(Read()) : null;

        private string Read()
        {
            using var reader = new StreamReader(new FileStream(_heard, FileMode.Open, FileAccess.Read, FileShare.ReadWrite));
            return reader.ReadToEnd();
        }

        public async Task<CounterLine> HearAsync(Func<CounterLine, bool> wanted)
        {
            await Eventually.HoldsAsync($"a line on {_heard}", () => Task.FromResult(Look() is { } line && wanted(line)), Limit, Stop);
            return Look()!.Value;
        }

        public Task EndsAsync() => _process.WaitForExitAsync(Stop);

        public void Dispose()
        {
            if (!_process.HasExited) _process.Kill();
            _process.Dispose();
        }
    }

    [Fact]
    public async Task A_guest_that_resumes_goes_on_counting_and_one_that_boots_is_another()
    {
        var qemu = Find("qemu-system-x86_64");
        Assert.SkipWhen(qemu is null, "QEMU is not installed.");
        await File.WriteAllBytesAsync(At("disk.raw"), CountingSector.Bytes, Stop);
        CounterLine before, after;
        using (var original = new Emulated(qemu!, _folder, "original"))
        {
            before = await original.HearAsync(l => l.Count >= 5);
            original.Tell($"migrate \"exec:cat > {At("memory")}\"");
            original.Tell("quit");
            await original.EndsAsync();
        }
        using var copy = new Emulated(qemu!, _folder, "copy", At("memory"));
        after = await copy.HearAsync(l => l.Count > before.Count);
        Assert.True(after.GoesOnFrom(before), $"{before}; {after}");
        copy.Tell("system_reset");
        var booted = await copy.HearAsync(l => l.Boot != before.Boot);
        Assert.False(booted.GoesOnFrom(before), $"{before}; {booted}");
        Assert.InRange(booted.Count, 1u, after.Count + 100);
    }

    [Fact]
    public async Task The_sector_is_what_its_listing_is_assembled_to()
    {
        Assert.SkipWhen(Find("as") is null || Find("ld") is null, "There is no assembler.");
        await RunAsync("as", "--32", Path.Combine(Listings(), "counter.s"), "-o", At("counter.o"));
        await RunAsync("ld", "-m", "elf_i386", "-Ttext", "0x7c00", "--oformat", "binary", At("counter.o"), "-o", At("counter.bin"));
        Assert.Equal(await File.ReadAllBytesAsync(At("counter.bin"), Stop), CountingSector.Bytes);
    }

    private static string Listings([CallerFilePath] string here = "") => Path.GetFullPath(Path.Combine(Path.GetDirectoryName(here)!, "..", "..", "..", "hyperv", "Driver", "SelfTest"));

    private static async Task RunAsync(string program, params string[] arguments)
    {
        using var process = Process.Start(program, arguments);
        await process.WaitForExitAsync(Stop);
        Assert.Equal(0, process.ExitCode);
    }

    [Theory]
    [InlineData("WEAVE 0000000A 000000FF\r\n", "boot 0000000A, count 255")]
    [InlineData("AVE 1 2\r\nWEAVE 0000000A 00000001\r\nWEAVE 0000000B 00000002\r\nWEAVE 0000000C 000", "boot 0000000B, count 2")]
    [InlineData("WEAVE 0000000A 000000F", null)]
    [InlineData("", null)]
    public void Only_whole_lines_are_heard(string heard, string? told) => Assert.Equal(told, CountingSector.Last(heard)?.ToString());
}
