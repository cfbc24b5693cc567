using System.Globalization;
using System.Text.Json;
using WeaveHypervisor.Disks;
using WeaveHypervisor.Disks.Chains;
using WeaveHypervisor.Disks.Qcow2;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt.Exporting;

/// <summary>
/// Images that stand alone, made of frozen layers: qcow2 by qemu-img, VHDX by <see cref="VhdxExport"/>. Readers of qemu-img's do not lock (`-U`): a frozen layer is below a running machine's head, and nobody writes to it. Every file of the chain is
/// read by our own reader first, because what a guest wrote into a raw disk, or a foreign header, must not send qemu-img anywhere else.
/// </summary>
internal sealed class ImageExporter(DriverContext context)
{
    private static readonly TimeSpan Look = TimeSpan.FromMilliseconds(250);

    public static Task<StorageFacts> InspectFolderAsync(string folder, CancellationToken stop) => Task.Run(() =>
    {
        try
        {
            var drive = new DriveInfo(folder);
            return new StorageFacts(folder, drive.AvailableFreeSpace, drive.TotalSize);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException)
        {
            throw DiskFaults.From(e, $"look at the file system of {Ids.QuotePath(folder)}");
        }
    }, stop);

    public static async Task<long> MeasureAsync(LayerRef layer, DiskFormat format, CancellationToken stop)
    {
        if (format == DiskFormat.Vhdx) return await VhdxExport.MeasureAsync(layer, stop);
        DiskChainInspector.Inspect(layer.Path, layer.Format);
        var output = await RunAsync(["measure", "-U", "-f", Qcow2OverlayWriter.NameOf(layer.Format), "-O", "qcow2", "--output=json", layer.Path], stop);
        using var answer = JsonDocument.Parse(output);
        return answer.RootElement.GetProperty("required").GetInt64();
    }

    public async Task WriteAsync(LayerRef layer, DiskFormat format, string path, IProgress<Progress>? progress, CancellationToken stop)
    {
        if (path.StartsWith(context.Paths.Root + "/", StringComparison.Ordinal)) throw new WeaveException(Fault.InvalidRequest, $"{Ids.QuotePath(path)} is in the pool.", "Export into a folder of its own.");
        if (format is not (DiskFormat.Qcow2 or DiskFormat.Vhdx)) throw new WeaveException(Fault.InvalidRequest, $"Images of the format {format} are not exported.", "Use qcow2 or VHDX.");
        if (format == DiskFormat.Vhdx)
        {
            await VhdxExport.WriteAsync(layer, path, progress, stop);
            return;
        }
        var expected = await MeasureAsync(layer, format, stop);
        var part = DurableFile.PartOf(path);
        try
        {
            // Made by us first: with its mode from the first moment, and never through somebody's link.
            await using (DurableFile.OpenPart(path))
            {
            }
            using var ended = CancellationTokenSource.CreateLinkedTokenSource(stop);
            var telling = TellAsync(layer, part, expected, progress, ended.Token);
            try
            {
                await RunAsync(["convert", "-U", "-q", "-c", "-f", Qcow2OverlayWriter.NameOf(layer.Format), "-O", "qcow2", "-o", "compat=1.1", layer.Path, part], stop);
            }
            finally
            {
                await ended.CancelAsync();
                await telling;
            }
            DurableFile.SyncFile(part);
            DurableFile.Commit(path);
        }
        catch
        {
            DurableFile.TryDelete(part);
            throw;
        }
    }

    /// <summary>How far it is, by the size of what is written. It ends where it is told to.</summary>
    private async Task TellAsync(LayerRef layer, string part, long expected, IProgress<Progress>? progress, CancellationToken stop)
    {
        while (progress is not null && !stop.IsCancellationRequested)
        {
            try
            {
                progress.Report(new($"writing an image of layer {layer.Id}", Math.Min(FileFacts.Read(part).AllocatedBytes, expected), expected));
                await Task.Delay(Look, context.Clock, stop);
            }
            catch (Exception e) when (e is OperationCanceledException or WeaveException)
            {
                return;
            }
        }
    }

    private static async Task<string> RunAsync(string[] arguments, CancellationToken stop)
    {
        var (exit, output, error, line) = await HostCommand.TryAsync("qemu-img", arguments, null, stop, HostCommand.Long);
        if (exit == 0) return output;
        var full = error.Contains("No space left", StringComparison.Ordinal);
        throw new WeaveException(full ? Fault.Exhausted : Fault.Internal, string.Create(CultureInfo.InvariantCulture, $"`{line}` failed ({exit}): {error.Trim()}"), full ? "Free space in the file system of the export, or choose another." : "Check the layer with `qemu-img check -U`.");
    }
}
