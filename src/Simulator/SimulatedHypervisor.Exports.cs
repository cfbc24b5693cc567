using System.Text;
using WeaveHypervisor.Disks;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Simulator;

/// <content>What leaves the host: an image is a text file of the lines that guests wrote, whatever its format.</content>
public sealed partial class SimulatedHypervisor
{
    public MachineShape Describe(MachineBlueprint machine) => new()
    {
        Firmware = machine.States.Contains(StateKind.Nvram) ? FirmwareKind.Uefi : FirmwareKind.Bios,
        Disks = [.. machine.Volumes.Select(v => new DiskShape(v.Name, "virtio"))], Nics = [.. machine.Nics.Select(n => new NicShape(n.Mac, n.Network, "virtio", n.Addresses, IsManagement: false))],
        NotCarried = machine.States.Contains(StateKind.Nvram) ? ["the variables of its UEFI firmware"] : [],
    };

    public Task<StorageFacts> InspectFolderAsync(string folder, CancellationToken stop) => Do(stop, () => new StorageFacts(folder, host.FreeBytes, Math.Max(host.FreeBytes, 1L << 40)));

    public Task<long> MeasureImageAsync(LayerRef layer, DiskFormat format, CancellationToken stop) => Do(stop, () =>
    {
        RequireThere(layer);
        return layer.VirtualSize;
    });

    public async Task WriteImageAsync(LayerRef layer, DiskFormat format, string path, IProgress<Progress>? progress, CancellationToken stop)
    {
        Begin(stop);
        if (format is not (DiskFormat.Qcow2 or DiskFormat.Vhdx)) throw new WeaveException(Fault.InvalidRequest, $"Images of the format {format} are not exported.", "Use qcow2 or VHDX.");
        if (path.StartsWith(host.Tree + Path.DirectorySeparatorChar, StringComparison.Ordinal)) throw new WeaveException(Fault.InvalidRequest, $"{Ids.QuotePath(path)} is in the driver's own tree.", "Export into a folder of its own.");
        RequireThere(layer);
        if (host.At is { } before) await before($"export:begun:{Path.GetFileName(layer.Path)}", stop);
        var text = Encoding.UTF8.GetBytes(string.Join('\n', host.ReadDisk(layer.Path)));
        DurableFile.Write(path, file => file.Write(text));
        progress?.Report(new("writing an image", text.Length, text.Length));
        if (host.At is { } after) await after($"export:written:{Path.GetFileName(layer.Path)}", stop);
    }

    private static void RequireThere(LayerRef layer)
    {
        if (!File.Exists(layer.Path)) throw new WeaveException(Fault.DataLoss, $"The layer {Ids.QuotePath(layer.Path)} is missing.", "Export another snapshot.");
    }
}
