using System.Globalization;
using WeaveHypervisor.Disks;
using static WeaveHypervisor.Service.Disks.DiskConsole;

namespace WeaveHypervisor.Service.Disks;

/// <summary>`disk info`: what a disk and its layers are.</summary>
internal static class DiskInfo
{
    public static async Task<int> RunAsync(DiskChain chain, DiskArguments arguments, DiskConsole console, CancellationToken stop)
    {
        var details = new List<ImageDetails>();
        for (var i = 0; i < chain.Layers.Count; i++) details.Add(await chain.DescribeAsync(i, stop));
        chain.EnsureUnchanged();
        if (arguments.Json)
        {
            var top = chain.Layers[0];
            DiskCommand.Json(new DiskInfoView(top.Path, DiskCommand.Name(top.Format), chain.Capacity, true, [.. chain.Layers.Select((l, i) => View(l, i, details[i]))]), DiskJson.Default.DiskInfoView, console);
            return 0;
        }
        var first = details[0];
        console.Facts([
            ("file", chain.Layers[0].Path), ("format", DiskCommand.Name(chain.Layers[0].Format)), ("capacity", Both(chain.Capacity)), ("on disk", Both(chain.Layers.Sum(l => l.AllocatedBytes))),
            .. first.Features.Select(f => (f.Key, (string?)f.Value)), ("layers", $"{chain.Layers.Count}"),
            ("health", details.Sum(d => d.Warnings.Count) is 0 ? "can be read, and so can all layers below; `weave disk check` looks deeper" : "can be read, with warnings"),
        ]);
        if (chain.Layers.Count > 1)
            console.Table(["LAYER", "FORMAT", "CAPACITY", "ON DISK", "FILE"], chain.Layers.Select((l, i) => new[] { $"{i}", DiskCommand.Name(l.Format), console.Bytes(l.Capacity), console.Bytes(l.AllocatedBytes), l.Path }));
        if (first.Snapshots.Count > 0)
            console.Table(["SNAPSHOT", "NAME", "TIME", "STATE"], first.Snapshots.Select(s => new[] { s.Id, s.Name, s.Time.ToString("yyyy-MM-dd HH:mm:ss'Z'", CultureInfo.InvariantCulture), console.Bytes(s.StateBytes) }));
        if (first.Bitmaps.Count > 0)
            console.Table(["BITMAP", "GRANULARITY", "STATE"], first.Bitmaps.Select(b => new[] { b.Name, console.Bytes(b.Granularity), b.IsInUse ? "not saved" : b.IsAuto ? "recording" : "off" }));
        for (var i = 0; i < details.Count; i++)
            foreach (var warning in details[i].Warnings) console.Error.WriteLine($"weave: {Model.Ids.QuotePath(chain.Layers[i].Path)}: {warning}");
        return 0;

        string Both(long bytes) => console.OutIsTerminal ? $"{Size(bytes)} ({bytes} bytes)" : $"{bytes}";
    }

    private static DiskLayerView View(ChainLayer layer, int depth, ImageDetails details) => new(depth, layer.Path, DiskCommand.Name(layer.Format), layer.Capacity, layer.FileLength, layer.AllocatedBytes,
        new Dictionary<string, string>(details.Features), [.. details.Snapshots.Select(s => new DiskSnapshotView(s.Id, s.Name, s.Time, s.StateBytes))],
        [.. details.Bitmaps.Select(b => new DiskBitmapView(b.Name, b.Granularity, b.IsAuto, b.IsInUse))], details.Warnings);
}
