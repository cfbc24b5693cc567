using WeaveHypervisor.Disks;
using WeaveHypervisor.Disks.Vhdx;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Layers;
using WeaveHypervisor.HyperV.Machines;
using WeaveHypervisor.HyperV.Power;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.HyperV.Folding;

/// <summary>
/// Writes a layer anew on a lower parent, with all that was between, and puts it in its own place under all its names. It has the identities of the old one, so that its children and machines' memory go on to fit.
/// Nobody may have the layer open then. Until the name by which machines open it is another file's, all is as before; from then on the rest can only be finished.
/// </summary>
internal sealed class LayerRewriter(DriverContext context, DiskFiles disks, FoldIntents intents, StateChange states)
{
    /// <summary>Rewrites the layer of a request.</summary>
    /// <param name="saves">A machine that runs on the layer and may be saved meanwhile; null: none does.</param>
    public async Task RewriteAsync(FoldRequest request, HostMachine? saves, IProgress<Progress>? progress, CancellationToken stop)
    {
        var names = await context.Files.NamesAsync(request.Layer.Path, stop);
        if (names.Count == 0) throw new WeaveException(Fault.DataLoss, $"Layer {Ids.QuotePath(request.Layer.Path)} is gone.", "Look at it with `weave doctor`.");
        var primary = names.FirstOrDefault(DiskFiles.IsHypervisorsName) ?? request.Layer.Path;
        var intent = new FoldIntent(primary, [.. names.Where(n => !HostPath.Comparer.Equals(n, primary))], primary + ".part", saves?.Id);
        await intents.WriteAsync(request.Layer.Id, intent, stop);
        try
        {
            // A frozen layer can be read while its machine runs; a head not before it stands still.
            if (!request.IsHead) await WriteAsync(request, intent, progress, stop);
            if (saves is not null) await states.RequestAsync(saves.System, StateChange.Save, s => s == MachineStates.Saved, context.Options.CopyPatience, stop);
            if (request.IsHead) await WriteAsync(request, intent, progress, stop);
            await ReplaceAsync(intent.Part, primary, stop);
        }
        finally
        {
            await EndAsync(request.Layer.Id, CancellationToken.None);
        }
    }

    /// <summary>Finishes what a rewriting has begun where it can only be finished, undoes it elsewhere, and lets a machine run on that was saved for it. Nothing begun: success.</summary>
    public async Task EndAsync(LayerId layer, CancellationToken stop)
    {
        if (await intents.ReadAsync(layer, stop) is not { } intent) return;
        if (await context.Files.FindAsync(intent.Part, stop) is not null)
        {
            if (await disks.IsSameAsync(intent.Primary, intent.Part, stop))
                foreach (var other in intent.Others)
                    if (!await disks.IsSameAsync(intent.Primary, other, stop)) await ReplaceAsync(intent.Primary, other, stop);
            await context.Files.DeleteAsync(intent.Part, stop);
        }
        foreach (var name in intent.Others.Append(intent.Primary)) await context.Files.DeleteAsync(Aside(name), stop);
        if (intent.Saved is { } id && await context.Machines.FindAsync(id, stop) is { State: MachineStates.Saved } saved)
            await states.RequestAsync(saved.System, StateChange.Start, s => s == MachineStates.Running, context.Options.CopyPatience, stop);
        await intents.RemoveAsync(layer, stop);
    }

    private static string Aside(string name) => name + ".new";

    /// <summary>Makes a name lead to a file, which keeps its own.</summary>
    private async Task ReplaceAsync(string file, string name, CancellationToken stop)
    {
        await context.Files.DeleteAsync(Aside(name), stop);
        await context.Files.LinkAsync(file, Aside(name), stop);
        await context.Files.ReplaceAsync(Aside(name), name, stop);
    }

    private async Task WriteAsync(FoldRequest request, FoldIntent intent, IProgress<Progress>? progress, CancellationToken stop)
    {
        await context.Files.DeleteAsync(intent.Part, stop);
        var files = await disks.ChainAsync(intent.Primary, stop);
        for (var i = 0; i <= request.Between.Count; i++)
        {
            var wanted = i < request.Between.Count ? request.Between[request.Between.Count - 1 - i] : request.Parent;
            if (files.Count <= i + 1 || !await disks.IsSameAsync(files[i + 1], wanted.Path, stop))
                throw new WeaveException(Fault.DataLoss, $"Layer {Ids.QuotePath(request.Layer.Path)} does not stand on {Ids.QuotePath(wanted.Path)}.", "Look at it with `weave doctor`.");
        }
        var locator = new CatalogueLocator(files.Select(context.Files.Local).Distinct().ToDictionary(f => f, _ => DiskFormat.Vhdx));
        var facts = await VhdxFacts.ReadAsync(context.Files.Local(intent.Primary), stop);
        var depth = request.Between.Count + 1;
        await using var chain = await DiskChain.OpenAsync(context.Files.Local(intent.Primary), DiskFormat.Vhdx, locator, stop);
        // What reads as zeroes by one of these layers hides what is below.
        var ranges = chain.ExtentsAsync(0, chain.Capacity, depth, stop).Where(e => e.Layer >= 0).Select(e => new DiskRange(e.Offset, e.Length));
        var shape = new VhdxShape(facts.Capacity, context.Files.Local(files[depth]), facts.BlockBytes, facts.LogicalSectorBytes, facts.PhysicalSectorBytes, VirtualDiskId: facts.VirtualDiskId, DataWriteId: facts.DataWriteId);
        var total = chain.Layers.Take(depth).Sum(l => l.AllocatedBytes);
        await VhdxWriter.WriteAsync(context.Files.Local(intent.Part), shape, ranges, chain.ReadAsync, chain.ReadAsync, progress is null ? null : new WrittenBytes(progress, $"rewriting layer {request.Layer.Id}", total), stop);
    }
}
