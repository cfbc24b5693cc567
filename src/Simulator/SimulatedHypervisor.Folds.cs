using WeaveHypervisor.Disks;
using WeaveHypervisor.Disks.Qcow2;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Simulator;

/// <summary>Folding of layers, in the two ways in which a real hypervisor does it.</summary>
public sealed partial class SimulatedHypervisor
{
    public async Task<FoldResult> FoldAsync(FoldRequest request, IProgress<Progress>? progress, CancellationToken stop)
    {
        Begin(stop);
        var live = host.Locked(() =>
        {
            foreach (var layer in (LayerRef[])[request.Layer, .. request.Between, .. request.Others]) RequireOurs(layer.Path);
            if (request.Between.Count == 0) throw new WeaveException(Fault.InvalidRequest, $"There is nothing between layer '{request.Layer.Id}' and its parent.", "Name what is between.");
            // A real process has every file of its chain open.
            var users = host.Machines.Values.Where(m => m.RunState != RunState.Off && m.Disks.Values.Any(d => ChainOf(d.Path).Contains(request.Layer.Path))).ToList();
            if (users.Any(u => u.Ref.Uuid != request.Machine?.Uuid))
                throw new WeaveException(Fault.Conflict, $"The layer {Ids.Quote(request.Layer.Path)} cannot be folded: {string.Join(", ", users.Select(u => u.Ref.HypervisorName))} have it open.", "Stop all but one.");
            return users.Count > 0;
        });
        await Reach("fold:begun", stop);
        progress?.Report(new("folding", 1, 1));
        host.Locked(() =>
        {
            if (Standing(request).Done) return;
            var merged = request.Between.Append(request.Layer).ToList();
            var lines = merged.SelectMany(l => host.ContentOf(l.Path)).ToList();
            // Under a machine a merge goes down into the lowest file, and its end is the link of the layer above; anything else goes up into the layer itself, and its end is that one's link.
            if (live && !request.IsHead && request.Above is { } above)
            {
                // Nobody needs what the lowest held by itself.
                if (HoldsBytes(merged)) host.Rewrite(request.Between[0].Path, request.Layer.Path, merged.Count, request.Parent.Path, request.Layer.VirtualSize);
                Relink(above, request.Between[0], () =>
                {
                    // Others may stand on the old files yet; they read the same through them.
                    foreach (var layer in merged) host.Content[layer.Path] = [];
                    host.Content[request.Between[0].Path] = lines;
                });
            }
            else Relink(request.Layer, request.Parent, () => host.Content[request.Layer.Path] = lines, merged.Count);
        });
        await Reach("fold:switched", stop);
        host.Locked(() => Finish(request));
        await Reach("fold:done", stop);
        return host.Locked(() => Standing(request));
    }

    public Task<FoldResult> EndFoldAsync(FoldRequest request, CancellationToken stop) => Do(stop, () =>
    {
        Finish(request);
        return Standing(request);
    });

    private void Finish(FoldRequest request)
    {
        var standing = Standing(request);
        if (!standing.Done || standing.Layer.Path == request.Layer.Path) return;
        foreach (var other in request.Others.Where(o => host.Below.GetValueOrDefault(o.Path) == request.Layer.Path)) Relink(other, standing.Layer);
    }

    private FoldResult Standing(FoldRequest request)
    {
        if (host.Below.GetValueOrDefault(request.Layer.Path) == request.Parent.Path) return new(true, request.Layer);
        var lowest = request.Between[0].Path;
        return request.Above is { } above && host.Below.GetValueOrDefault(above.Path) == lowest ? new(true, request.Layer with { Path = lowest }) : new(false, request.Layer);
    }

    /// <summary>
    /// Gives a layer another parent. The new file is written beside the old one and renamed over it: until that instant all is as it was, also after an error, and from it on
    /// <paramref name="then"/> is true, even where the folder cannot be synced any more.
    /// </summary>
    /// <param name="depth">How many files from this one on hold what it is to hold.</param>
    private void Relink(LayerRef layer, LayerRef parent, Action? then = null, int depth = 1)
    {
        if (host.Below.GetValueOrDefault(layer.Path) == parent.Path) return;
        var part = DurableFile.PartOf(layer.Path);
        try
        {
            DurableFile.TryDelete(part);
            if (HoldsBytes(ChainOf(layer.Path).Take(depth))) host.Rewrite(part, layer.Path, depth, parent.Path, layer.VirtualSize);
            else Qcow2OverlayWriter.Write(part, parent.Path, parent.Format, layer.VirtualSize);
            try
            {
                DurableFile.Commit(layer.Path);
            }
            finally
            {
                if (!File.Exists(part))
                {
                    host.Below[layer.Path] = parent.Path;
                    then?.Invoke();
                }
            }
        }
        catch
        {
            DurableFile.TryDelete(part);
            throw;
        }
    }

    private static bool HoldsBytes(IEnumerable<LayerRef> layers) => HoldsBytes(layers.Select(l => l.Path));

    /// <summary>A guest, or a sync, has written to one of them: only such files have small clusters here, and tell so in their headers (cluster_bits).</summary>
    internal static bool HoldsBytes(IEnumerable<string> files) => files.Any(f =>
    {
        if (!File.Exists(f)) return false;
        using var file = File.OpenHandle(f, share: FileShare.ReadWrite);
        var bits = new byte[1];
        return RandomAccess.Read(file, bits, 23) == 1 && bits[0] == 12;
    });

    private IEnumerable<string> ChainOf(string head)
    {
        for (string? path = head; path is not null; path = host.Below.GetValueOrDefault(path)) yield return path;
    }
}
