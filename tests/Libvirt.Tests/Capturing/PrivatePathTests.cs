using System.Globalization;
using LibvirtSharp;
using WeaveHypervisor.Conformance.Drivers;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.Libvirt.Capturing;
using WeaveHypervisor.Libvirt.Memory;
using WeaveHypervisor.Libvirt.Tests.Conformance;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt.Tests.Capturing;

/// <summary>Copies whose memory is a private map, where the driver's suite cannot look: their screens, and a service that dies while it holds one.</summary>
public sealed class PrivatePathTests
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public async Task What_is_on_the_screen_of_a_copy_is_on_that_of_its_copies()
    {
        await using var bench = new LibvirtBench { Video = "vga" };
        await using var stage = new DriverStage(bench, Stop);
        await stage.AdoptAsync(1);
        await using var connection = await LibvirtConnection.OpenAsync("qemu:///system", cancellationToken: Stop);
        var nonce = (await bench.AskAsync(stage.AddressOf(0), true, Stop))!.Nonce;
        var (capture, result) = await stage.CaptureAsync(memory: true);
        var (_, _, first) = await stage.PrepareCopyAsync(capture, result);
        await stage.Driver.InstantiateAsync(first, null, Stop);

        // A part of the screen that no text mode touches, drawn from outside.
        var drawn = new byte[3 * 4096];
        new Random(7).NextBytes(drawn);
        const int at = 5 << 20;
        await using (var screen = await ScreenAsync(connection, first.Machines[0].Machine))
        {
            Assert.Equal(16 << 20, screen.Block.Length);
            Assert.NotEqual(drawn, screen.Read(at, drawn.Length));
            screen.Write(at, drawn);
        }
        capture = stage.PlanCapture(first);
        result = await stage.Driver.CaptureAsync(capture, null, Stop);
        Assert.Equal(("private", null), (result.Machines[0].Method, result.Machines[0].Reason));
        var (_, facts, second) = await stage.PrepareCopyAsync(capture, result);
        await stage.Driver.InstantiateAsync(second, null, Stop);
        await using (var screen = await ScreenAsync(connection, second.Machines[0].Machine)) Assert.Equal(drawn, screen.Read(at, drawn.Length));
        Assert.Equal(nonce, (await bench.AskAsync(facts.Addresses[0].Outer, true, Stop))!.Nonce);
    }

    [Fact]
    public async Task A_copy_whose_capturer_died_runs_on_and_nothing_is_left_in_it()
    {
        await using var bench = new LibvirtBench();
        await using var stage = new DriverStage(bench, Stop);
        await stage.AdoptAsync(1);
        var (capture, result) = await stage.CaptureAsync(memory: true);
        var (_, facts, copies) = await stage.PrepareCopyAsync(capture, result);
        await stage.Driver.InstantiateAsync(copies, null, Stop);
        var nonce = (await bench.AskAsync(facts.Addresses[0].Outer, true, Stop))!.Nonce;
        await using var connection = await LibvirtConnection.OpenAsync("qemu:///system", cancellationToken: Stop);
        using var domain = await connection.LookupDomainAsync(copies.Machines[0].Machine.Uuid, Stop);

        // As far as a capture may come: held, devices saved, pages copied, the image half written.
        var request = stage.PlanCapture(copies);
        var machine = request.Machines[0];
        Directory.CreateDirectory(Path.GetDirectoryName(machine.DeviceStatePath)!);
        await File.WriteAllTextAsync(CaptureCleanup.HeldMark(machine), "", Stop);
        var (path, reason) = await PrivatePath.PrepareAsync(domain, machine, Stop);
        Assert.Null(reason);
        using (path)
        {
            path!.Reserve();
            domain.SuspendNow();
            path.SaveDevices(domain);
            path.Copy();
            await path.WriteAsync(machine.DeviceStatePath, null, Stop);
        }
        File.WriteAllText(machine.DeviceStatePath + ".part", "half");
        await stage.RestartAsync();
        Assert.Equal(machine.Volumes[0].Head.Id, Assert.Single(await stage.Driver.AbandonCaptureAsync(request, Stop)).LiveLayer);
        Assert.Equal(RunState.Running, (await stage.Driver.InspectAsync(machine.Machine, Stop))!.RunState);
        Assert.Equal(nonce, (await bench.AskAsync(facts.Addresses[0].Outer, true, Stop))!.Nonce);
        Assert.DoesNotContain((await Monitor.ExecuteAsync(domain, "query-fdsets", null, Stop)).EnumerateArray(), s => s.ToString().Contains("weave", StringComparison.Ordinal));
        Assert.False(Directory.Exists(Path.GetDirectoryName(machine.DeviceStatePath)));
        Assert.True(File.Exists(machine.Base!.FlatPath) && File.Exists(machine.Base.DeviceStatePath));
        // And it can be captured after all.
        Assert.Equal("private", (await stage.Driver.CaptureAsync(stage.PlanCapture(copies), null, Stop)).Machines[0].Method);
    }

    private static async Task<Screen> ScreenAsync(LibvirtConnection connection, MachineRef machine)
    {
        using var domain = await connection.LookupDomainAsync(machine.Uuid, Stop);
        var process = QemuProcess.Find(machine.HypervisorName)!.Value;
        using var memory = ProcessMemory.Open(process);
        var (blocks, reason) = await RamBlocks.FindAsync(domain, memory, Stop);
        Assert.Null(reason);
        return new(Assert.Single(blocks), process);
    }

    private sealed class Screen(PlacedBlock block, int process) : IAsyncDisposable
    {
        private readonly FileStream _memory = new($"/proc/{process.ToString(CultureInfo.InvariantCulture)}/mem", FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite, 0);
        public PlacedBlock Block => block;

        public byte[] Read(long at, int length)
        {
            var bytes = new byte[length];
            _memory.Position = block.Address + at;
            _memory.ReadExactly(bytes);
            return bytes;
        }

        public void Write(long at, byte[] bytes)
        {
            _memory.Position = block.Address + at;
            _memory.Write(bytes);
        }

        public ValueTask DisposeAsync() => _memory.DisposeAsync();
    }
}
