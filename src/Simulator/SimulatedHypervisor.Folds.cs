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
            var lines = request.Between.Append(request.Layer).SelectMany(l => host.ContentOf(l.Path)).ToList();
            // Under a machine a merge goes down into the lowest file; anything else goes up into the layer itself.
            var into = live && !request.IsHead ? request.Between[0] : request.Layer;
            host.Content[into.Path] = lines;
            Relink(into, request.Parent);
            if (into.Path != request.Layer.Path && request.Above is { } above) Relink(above, request.Layer with { Path = into.Path });
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

    private void Relink(LayerRef layer, LayerRef parent)
    {
        if (host.Below.GetValueOrDefault(layer.Path) == parent.Path) return;
        DurableFile.Delete(layer.Path);
        Qcow2OverlayWriter.Write(layer.Path, parent.Path, parent.Format, layer.VirtualSize);
        host.Below[layer.Path] = parent.Path;
    }

    private IEnumerable<string> ChainOf(string head)
    {
        for (string? path = head; path is not null; path = host.Below.GetValueOrDefault(path)) yield return path;
    }
}
