using System.Text;
using WeaveHypervisor.Conformance.Drivers;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt.Tests.Conformance;

/// <summary>Exports and imports of the driver, of real guests' disks.</summary>
public sealed class LibvirtTransferTests : TransferContract
{
    protected override DriverBench NewBench() => new LibvirtBench();

    protected override async Task<bool> HoldsAsync(string image, DiskFormat format, string order, CancellationToken stop)
    {
        // By QEMU's own reader, which is not the product's.
        var name = format == DiskFormat.Vhdx ? "vhdx" : "qcow2";
        var raw = Path.Combine(Path.GetTempPath(), Path.GetRandomFileName());
        try
        {
            await LibvirtBench.RunAsync(null, stop, "qemu-img", "check", "-q", "-f", name, image);
            await LibvirtBench.RunAsync(null, stop, "qemu-img", "convert", "-f", name, "-O", "raw", image, raw);
            return (await File.ReadAllBytesAsync(raw, stop)).AsSpan().IndexOf(Encoding.ASCII.GetBytes(order)) >= 0;
        }
        finally
        {
            File.Delete(raw);
        }
    }

    [Fact]
    public Task An_image_that_stands_on_another_file_or_is_of_another_format_is_not_accepted() => WithAsync(1, async (bench, stage) =>
    {
        var path = RequestOf(bench, stage, closed: true).Machines[0].Disks[0];
        await Imports(stage).PrepareImportAsync(path, Stop);
        await LibvirtBench.RunAsync(null, Stop, "qemu-img", "create", "-q", "-f", "qcow2", "-b", "/etc/passwd", "-F", "raw", path);
        Assert.Equal(Fault.Unsupported, (await Assert.ThrowsAsync<WeaveException>(() => Imports(stage).AcceptImportAsync(path, 1 << 20, Stop))).Fault);
        await File.WriteAllTextAsync(path, "no image at all", Stop);
        await Assert.ThrowsAsync<WeaveException>(() => Imports(stage).AcceptImportAsync(path, 1 << 20, Stop));
    });
}
