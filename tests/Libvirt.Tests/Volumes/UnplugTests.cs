using System.Diagnostics;
using WeaveHypervisor.Conformance.Drivers;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.Libvirt.Tests.Conformance;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt.Tests.Volumes;

/// <summary>Disks that leave machines which run, on real guests: one that does as it is told, and one whose kernel does not listen.</summary>
public sealed class UnplugTests(ITestOutputHelper output)
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_volume_leaves_where_the_guest_lets_go_and_stays_as_it_was_where_it_does_not(bool listens)
    {
        await using var bench = new LibvirtBench { KernelWords = listens ? "" : "acpiphp.disable=1" };
        await using var stage = new DriverStage(bench, Stop);
        await stage.AdoptAsync(1);
        var (machine, volume) = (stage[0], VolumeName.Parse("vdb"));
        var (capture, _) = await stage.CaptureAsync(memory: false);
        var id = LayerId.New(TimeProvider.System);
        var layer = new LayerRef(id, stage.Driver.PlaceLayer(stage.Environment, stage.MainTag, id), DiskFormat.Qcow2, stage.Head(0).VirtualSize);
        await stage.Driver.CreateOverlayAsync(layer, capture.Machines[0].Volumes[0].Head, Stop);
        for (var twice = 0; twice < 2; twice++) await stage.Driver.AttachVolumeAsync(machine, new(volume, "vdb", layer), Stop);
        Assert.Equal(layer.Path, await PathAsync());

        var clock = Stopwatch.StartNew();
        var patience = TimeSpan.FromSeconds(listens ? 30 : 12);
        var detached = stage.Driver.DetachVolumeAsync(machine, "vdb", patience, Stop);
        if (listens) await detached;
        else Assert.Equal(Fault.Busy, (await Assert.ThrowsAsync<WeaveException>(() => detached)).Fault);
        output.WriteLine($"{(listens ? "gone" : "given up")} after {clock.Elapsed.TotalSeconds:0.0} s");
        Assert.Equal(listens ? null : layer.Path, await PathAsync());
        // The machine runs on either way, and its definition says what is so.
        await bench.OrderAsync(stage.AddressOf(0), "after", Stop);
        await stage.Driver.ChangePowerAsync([machine], PowerChange.PowerOff, TimeSpan.FromSeconds(30), Stop);
        Assert.Equal(listens ? null : layer.Path, await PathAsync());
        await stage.Driver.DetachVolumeAsync(machine, "vdb", TimeSpan.FromSeconds(5), Stop);
        await stage.Driver.DeleteFilesAsync([layer.Path], Stop);
        await stage.ReturnAllAsync();

        async Task<string?> PathAsync() => (await stage.Driver.InspectAsync(machine, Stop))!.VolumePaths.GetValueOrDefault("vdb");
    }
}
