using WeaveHypervisor.Disks.Vhdx;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Cim.Wrappers;
using WeaveHypervisor.HyperV.Layers;
using WeaveHypervisor.HyperV.Machines;
using WeaveHypervisor.HyperV.Power;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.HyperV.Folding;

/// <summary>
/// Takes layers out of chains, in one of two ways.
/// <list type="bullet">
/// <item>Where the checkpoints of one machine froze what is between, and nobody else has it in a chain, they are removed: the host merges the layer down into the lowest of the files, also while the machine runs. Hyper-V
/// merges all disks of a checkpoint, so that this is done for machines with one volume alone.</item>
/// <item>Else the layer is written anew (<see cref="LayerRewriter"/>), which nobody may have open. A machine that runs on it is saved meanwhile where that is allowed (<see cref="HyperVOptions.AllowOutage"/>), and
/// resumed; elsewhere the fold is refused. Checkpoints that froze what was between are left behind then, without their file, until the volumes are given back.</item>
/// </list>
/// </summary>
internal sealed class LayerFolder(DriverContext context, DiskFiles disks, MachineLayers machines, StateChange states)
{
    private static readonly TimeSpan Pace = TimeSpan.FromSeconds(1);
    /// <summary>Looks at a host that seems to have nothing to merge, before that is believed.</summary>
    private const int MostIdle = 3;
    private readonly LayerRewriter _rewriter = new(context, disks, new(context), states);

    /// <summary>A machine whose checkpoints, or present, name the layers, and its device.</summary>
    private sealed record Named(HostMachine Machine, string Target);

    /// <inheritdoc cref="IHypervisorDriver.FoldAsync"/>
    public Task<FoldResult> FoldAsync(FoldRequest request, IProgress<Progress>? progress, CancellationToken stop) => HyperVFaults.AskAsync(async () =>
    {
        Check(request);
        var before = await SettleAsync(request, stop);
        if (before.Done) return before;
        var named = await NamedAsync(request, stop);
        string[] written = request.IsHead ? [request.Layer.Path] : [.. request.Between.Append(request.Layer).Select(l => l.Path)];
        var users = await machines.UsersAsync(written, stop);
        if (!request.IsHead && await MergeableAsync(request, named, users, stop) is var (machine, points))
            await MergeAsync(request, machine, points, progress, stop);
        else await _rewriter.RewriteAsync(request, Saves(request, named, users), progress, stop);
        var standing = await StandingAsync(request, stop);
        if (!standing.Done) throw new WeaveException(Fault.Internal, $"The fold of layer '{request.Layer.Id}' ended before its end.", "Look into the host's event log (Hyper-V-VMMS-Admin); nothing is lost.");
        await RelinkAsync(request, standing, stop);
        return standing;
    }, $"Folding layer {request.Layer.Id}");

    /// <inheritdoc cref="IHypervisorDriver.EndFoldAsync"/>
    public Task<FoldResult> EndAsync(FoldRequest request, CancellationToken stop) => HyperVFaults.AskAsync(async () =>
    {
        Check(request);
        return await SettleAsync(request, stop);
    }, $"Looking at layer {request.Layer.Id}");

    private void Check(FoldRequest request)
    {
        foreach (var layer in (LayerRef[])[.. request.Between, request.Layer, .. request.Others])
        {
            context.Paths.RequireOurs(layer.Path);
            if (layer.Format != DiskFormat.Vhdx) throw new WeaveException(Fault.Unsupported, $"Layer {Ids.QuotePath(layer.Path)} is {layer.Format}; only VHDX layers are folded.", "Leave it as it is.");
        }
        if (request.Between.Count == 0 || request.Machine is null != request.Target is null || request.IsHead && request.Above is not null)
            throw new WeaveException(Fault.InvalidRequest, $"This is no way to fold layer '{request.Layer.Id}'.", "Name what is between, and the machine together with its device.");
    }

    /// <summary>Ends what an earlier call has begun, and says how the layer stands then.</summary>
    private async Task<FoldResult> SettleAsync(FoldRequest request, CancellationToken stop)
    {
        await _rewriter.EndAsync(request.Layer.Id, stop);
        var standing = await StandingAsync(request, stop);
        foreach (var (machine, target) in standing.Done || request.IsHead ? [] : await NamedAsync(request, stop))
        {
            // Merges that have begun cannot be taken back, only waited for: their checkpoints are gone.
            if (!await IsBegunAsync(request, machine, target, stop)) continue;
            standing = await WaitAsync(request, machine, null, stop);
            break;
        }
        if (standing.Done) await RelinkAsync(request, standing, stop);
        return standing;
    }

    /// <summary>The machines of a request that are there.</summary>
    private async Task<IReadOnlyList<Named>> NamedAsync(FoldRequest request, CancellationToken stop)
    {
        var named = new List<Named>();
        foreach (var (reference, target) in ((MachineRef?, string?)[])[(request.Machine, request.Target), (request.Defined, request.DefinedTarget)])
            if (reference is not null && target is not null && await context.Machines.FindAsync(reference, stop) is { } found && named.TrueForAll(n => n.Machine.Id != found.Id)) named.Add(new(found, target));
        return named;
    }

    /// <summary>All files that a machine names at a target: those of its checkpoints, and the one that it uses.</summary>
    private async Task<IReadOnlyList<string>> FilesAsync(HostMachine machine, string target, CancellationToken stop) =>
        [.. (await machines.PointsAsync(machine, stop)).Select(p => p.Parts).Append(await context.Machines.ReadAsync(machine.Settings, stop)).SelectMany(p => p.Disks).Where(d => d.Target == target).Select(d => d.File)];

    /// <summary>How the layer stands.</summary>
    private async Task<FoldResult> StandingAsync(FoldRequest request, CancellationToken stop)
    {
        var lowest = request.Between[0].Path;
        if (await ParentIsAsync(request.Layer.Path, request.Parent.Path, stop)) return new(true, request.Layer);
        if (request.IsHead) return new(false, request.Layer);
        var merged = new FoldResult(true, request.Layer with { Path = lowest });
        if (!await ParentIsAsync(lowest, request.Parent.Path, stop)) return new(false, request.Layer);
        if (request.Above is { } above && await ParentIsAsync(above.Path, lowest, stop)) return merged;
        if (await context.Files.FindAsync(request.Layer.Path, stop) is null) return merged;
        foreach (var (machine, target) in await NamedAsync(request, stop))
        {
            var files = await FilesAsync(machine, target, stop);
            if (await machines.IsAmongAsync(request.Layer.Path, files, stop) || !await machines.IsAmongAsync(lowest, files, stop)) continue;
            // A layer that was attached anew stands on it without naming it.
            if (await StandsOnAsync(machine, target, request.Layer.Path, stop)) continue;
            // Named no more, and made on another state of what is there: it was merged into that.
            if (!await FitsAsync(request.Layer.Path, lowest, stop)) return merged;
        }
        return new(false, request.Layer);
    }

    /// <summary>True where a file is in the chain of what a machine uses now, or the host is changing that chain.</summary>
    private async Task<bool> StandsOnAsync(HostMachine machine, string target, string path, CancellationToken stop)
    {
        try
        {
            foreach (var disk in (await context.Machines.ReadAsync(machine.Settings, stop)).Disks.Where(d => d.Target == target))
                if (await machines.IsAmongAsync(path, await disks.ChainAsync(disk.File, stop), stop)) return true;
            return false;
        }
        catch (HostException e) when (e.Kind == HostErrorKind.NotFound)
        {
            return true;
        }
    }

    /// <summary>True where a file is there and the other one is what it names as its parent.</summary>
    private async Task<bool> ParentIsAsync(string path, string parent, CancellationToken stop) =>
        await context.Files.FindAsync(path, stop) is not null && (await disks.ReadAsync(path, stop)).Get(VirtualHardDiskSettingData.ParentPath) is { Length: > 0 } named && await disks.IsSameAsync(named, parent, stop);

    /// <summary>True where a frozen file was made on the present state of another frozen one.</summary>
    private async Task<bool> FitsAsync(string child, string parent, CancellationToken stop) =>
        (await VhdxFacts.ReadAsync(context.Files.Local(child), stop)).ParentLinkage == (await VhdxFacts.ReadAsync(context.Files.Local(parent), stop)).DataWriteId;

    /// <summary>
    /// The machine that the host can merge the layers of, with the checkpoints to remove; null where it cannot: somebody else stands on the layers, a checkpoint holds another disk as well, or there is none.
    /// </summary>
    private async Task<(HostMachine Machine, IReadOnlyList<FrozenPoint> Points)?> MergeableAsync(FoldRequest request, IReadOnlyList<Named> named, IReadOnlyList<HostMachine> users, CancellationToken stop)
    {
        foreach (var (machine, target) in named)
        {
            if (machine.State is not (MachineStates.Running or MachineStates.Off) || users.Any(u => u.Id != machine.Id)) continue;
            if (!await machines.IsAmongAsync(request.Layer.Path, await FilesAsync(machine, target, stop), stop)) continue;
            var points = new List<FrozenPoint>();
            foreach (var point in await machines.PointsAsync(machine, stop))
                if (point.Parts.Disks.FirstOrDefault(d => d.Target == target) is { } frozen)
                    foreach (var between in request.Between)
                        if (await disks.IsSameAsync(frozen.File, between.Path, stop)) points.Add(point);
            if (points.Count == request.Between.Count && points.TrueForAll(p => p.Parts.Disks.Count == 1)) return (machine, points);
        }
        return null;
    }

    /// <summary>A machine that runs on what is to be written; null where none does. Conflict where it may not be saved, or is another one.</summary>
    private HostMachine? Saves(FoldRequest request, IReadOnlyList<Named> named, IReadOnlyList<HostMachine> users)
    {
        var holders = users.Where(u => u.State is not (MachineStates.Off or MachineStates.Saved)).ToList();
        if (holders.Count == 0) return null;
        if (holders is [{ State: MachineStates.Running } only] && request.Machine is not null && named.Any(n => n.Machine.Id == only.Id))
            return context.Options.AllowOutage ? only : throw new WeaveException(Fault.Conflict, $"Hyper-V cannot take layers out of the chain of '{only.Name}' while it runs.",
                $"Shut it down, or allow that machines are saved for a while ({nameof(HyperVOptions.AllowOutage)}).", holders: [only.Name]);
        throw new WeaveException(Fault.Conflict, $"Layer '{request.Layer.Id}' cannot be folded: {string.Join(", ", holders.Select(h => $"'{h.Name}'"))} {(holders.Count == 1 ? "has" : "have")} open what would be written.",
            "Stop the machine, or its weave, then try again.", holders: [.. holders.Select(h => h.Name)]);
    }

    private async Task MergeAsync(FoldRequest request, HostMachine machine, IReadOnlyList<FrozenPoint> points, IProgress<Progress>? progress, CancellationToken stop)
    {
        await machines.LetMergeAsync(machine, true, stop);
        foreach (var point in points) await machines.RemovePointAsync(machine, point, stop);
        await WaitAsync(request, machine, progress, stop);
    }

    /// <summary>True where a machine still stands on a file whose checkpoint is gone: the host is to merge it.</summary>
    private async Task<bool> IsBegunAsync(FoldRequest request, HostMachine machine, string target, CancellationToken stop)
    {
        var points = await machines.PointsAsync(machine, stop);
        var frozen = points.SelectMany(p => p.Parts.Disks).Where(d => d.Target == target).Select(d => d.File).ToList();
        if ((await context.Machines.ReadAsync(machine.Settings, stop)).Disks.FirstOrDefault(d => d.Target == target) is not { } live) return false;
        IReadOnlyList<string> chain;
        try
        {
            chain = await disks.ChainAsync(live.File, stop);
        }
        catch (HostException e) when (e.Kind == HostErrorKind.NotFound)
        {
            // A file of it went while it was read: something is merged.
            return await HasMergesAsync(machine, stop);
        }
        foreach (var between in request.Between)
            if (await machines.IsAmongAsync(between.Path, chain, stop) && !await machines.IsAmongAsync(between.Path, frozen, stop)) return await HasMergesAsync(machine, stop);
        return false;
    }

    /// <summary>Lets the host merge, and looks whether it has anything to: a machine may well stand on files that no checkpoint of its own froze.</summary>
    private async Task<bool> HasMergesAsync(HostMachine machine, CancellationToken stop)
    {
        await machines.LetMergeAsync(machine, true, stop);
        for (var look = 0; look < MostIdle; look++)
        {
            if (await machines.IsMergingAsync(machine, stop)) return true;
            await Task.Delay(Pace, context.Clock, stop);
        }
        await machines.LetMergeAsync(machine, false, stop);
        return false;
    }

    /// <summary>Waits for the host's merges.</summary>
    private async Task<FoldResult> WaitAsync(FoldRequest request, HostMachine machine, IProgress<Progress>? progress, CancellationToken stop)
    {
        var begun = context.Clock.GetTimestamp();
        await machines.LetMergeAsync(machine, true, stop);
        while (true)
        {
            progress?.Report(new($"merging {request.Between.Count} layer{(request.Between.Count == 1 ? "" : "s")} of {machine.Name}", 0, 0));
            var standing = await StandingAsync(request, stop);
            if (standing.Done && !await machines.IsMergingAsync(machine, stop))
            {
                await machines.LetMergeAsync(machine, false, stop);
                return standing;
            }
            if (context.Clock.GetElapsedTime(begun) > context.Options.CopyPatience)
                throw new WeaveException(Fault.Unavailable, $"Hyper-V did not merge the layers of '{machine.Name}' in {context.Options.CopyPatience}; it may be at it still.", "Look into its event log (Hyper-V-VMMS-Admin), then try again.");
            await Task.Delay(Pace, context.Clock, stop);
        }
    }

    /// <summary>Layers on the merged one that no machine has open get it as their parent where it is now: it reads as their old one did.</summary>
    private async Task RelinkAsync(FoldRequest request, FoldResult standing, CancellationToken stop)
    {
        if (standing.Layer.Path == request.Layer.Path) return;
        foreach (var other in request.Others)
            await context.UntilAsync($"Giving layer {other.Id} its parent", async () =>
            {
                if (await context.Files.FindAsync(other.Path, stop) is null || await ParentIsAsync(other.Path, standing.Layer.Path, stop) && await FitsAsync(other.Path, standing.Layer.Path, stop)) return true;
                await context.Jobs.RunAsync(await context.Services.ImagesAsync(stop), ImageManagementService.SetParentVirtualHardDisk(other.Path, true, null, standing.Layer.Path), context.Options.StatePatience, stop);
                return false;
            }, stop);
    }
}
