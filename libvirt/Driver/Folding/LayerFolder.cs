using LibvirtSharp;
using WeaveHypervisor.Disks;
using WeaveHypervisor.Disks.Chains;
using WeaveHypervisor.Disks.Qcow2;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.Libvirt.Capturing;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt.Folding;

/// <summary>
/// Takes layers out of chains. What stands is always told by the links in the qcow2 headers, which QEMU and qemu-img change last, after all data has been copied:
/// <list type="bullet">
/// <item>A merge under a running machine is a block commit of the layer into the lowest of those between. Until its end the layer's own file is whole and is what is read; only files
/// whose content nobody needs are written to. Its end is the new link in the layer above.</item>
/// <item>A pull under a running machine is a block stream into its head: what the head reads is the same whichever of the two it comes from. Its end is the new link in the head.</item>
/// <item>Where no machine runs, an overlay is made on the layer, filled and rebased by qemu-img beside its place, and renamed over it: the old file is whole until then.</item>
/// </list>
/// </summary>
internal sealed class LayerFolder(DriverContext context)
{
    public async Task<FoldResult> FoldAsync(FoldRequest request, IProgress<Progress>? progress, CancellationToken stop)
    {
        Check(request);
        if (Standing(request) is { Done: true } done)
        {
            await RelinkAsync(request, done, stop);
            return done;
        }
        await ForgetChainAsync(request, stop);
        using var domain = request.Machine is { } machine ? await context.Host.FindDomainAsync(machine, stop) : null;
        var live = domain is not null && await context.Host.CallAsync($"look at machine '{request.Machine!.HypervisorName}'", _ => domain.IsActiveAsync(stop), stop);
        if (live) await context.Host.CallAsync($"fold layers of '{request.Target}' of '{request.Machine!.HypervisorName}'", _ => RunJobAsync(domain!, request, progress, stop), stop);
        else await RewriteAsync(request, domain, progress, stop);
        var standing = Standing(request);
        if (!standing.Done)
            throw new WeaveException(Fault.Internal, $"The {(request.IsHead ? "pull" : "merge")} of layer '{request.Layer.Id}' of '{request.Target}' ended by itself before its end.",
                "Is the pool full, or the disk broken? Look into the machine's log under /var/log/libvirt/qemu; nothing is lost.");
        await RelinkAsync(request, standing, stop);
        return standing;
    }

    /// <inheritdoc cref="IHypervisorDriver.EndFoldAsync"/>
    public async Task<FoldResult> EndAsync(FoldRequest request, CancellationToken stop)
    {
        Check(request);
        using var domain = request.Machine is { } machine ? await context.Host.FindDomainAsync(machine, stop) : null;
        if (domain is not null)
            await context.Host.CallAsync($"end the block job of '{request.Target}' of '{request.Machine!.HypervisorName}'", async _ =>
            {
                if (await domain.IsActiveAsync(stop)) await EndJobAsync(domain, request.Target!, stop);
            }, stop);
        DurableFile.TryDelete(DurableFile.PartOf(request.Layer.Path));
        var standing = Standing(request);
        if (standing.Done) await RelinkAsync(request, standing, stop);
        return standing;
    }

    private void Check(FoldRequest request)
    {
        foreach (var layer in (LayerRef[])[.. request.Between, request.Layer, .. request.Others])
        {
            context.Paths.RequireOurs(layer.Path);
            if (layer.Format != DiskFormat.Qcow2) throw new WeaveException(Fault.Unsupported, $"Layer {Ids.Quote(layer.Path)} is {layer.Format}; only qcow2 layers are folded.", "Leave it as it is.");
        }
        if (request.Between.Count == 0 || request.Machine is null != request.Target is null || request.IsHead && request.Above is not null)
            throw new WeaveException(Fault.InvalidRequest, $"This is no way to fold layer '{request.Layer.Id}'.", "Name what is between, and the machine together with its device.");
    }

    /// <summary>How the layer stands, by the links on disk.</summary>
    private static FoldResult Standing(FoldRequest request)
    {
        if (BackingOf(request.Layer) == request.Parent.Path) return new(true, request.Layer);
        var lowest = request.Between[0].Path;
        return request.Above is { } above && BackingOf(above) == lowest ? new(true, request.Layer with { Path = lowest }) : new(false, request.Layer);
    }

    private static string? BackingOf(LayerRef layer) => File.Exists(layer.Path) ? DiskImageInspector.Inspect(layer.Path, layer.Format).BackingName : null;

    /// <summary>Layers on the merged one that no machine has open get the link that QEMU has given to the one in its own chain. Their old link leads to the same content until the old file is deleted.</summary>
    private static async Task RelinkAsync(FoldRequest request, FoldResult standing, CancellationToken stop)
    {
        if (standing.Layer.Path == request.Layer.Path) return;
        DurableFile.SyncFile(standing.Layer.Path);
        if (request.Above is { } above) DurableFile.SyncFile(above.Path);
        foreach (var other in request.Others.Where(o => BackingOf(o) == request.Layer.Path))
        {
            await QemuImgAsync(["rebase", "-q", "-u", "-f", Qcow2OverlayWriter.NameOf(other.Format), "-F", Qcow2OverlayWriter.NameOf(standing.Layer.Format), "-b", standing.Layer.Path, other.Path], stop);
            DurableFile.SyncFile(other.Path);
        }
    }

    /// <summary>
    /// libvirt writes into a stored definition on which files a new head stands, and starts the machine with exactly those, whatever the headers say. Without them it reads the headers.
    /// </summary>
    private async Task ForgetChainAsync(FoldRequest request, CancellationToken stop)
    {
        using var domain = request.Defined is { } defined ? await context.Host.FindDomainAsync(defined, stop) : null;
        if (domain is null) return;
        await context.Host.CallAsync($"keep the definition of '{domain.Name}' free of its chain", async connection =>
        {
            if (await domain.IsPersistentAsync(stop)) await DiskCut.ForgetChainAsync(connection, domain, request.DefinedTarget!, stop);
        }, stop);
    }

    private async Task RunJobAsync(LibvirtDomain domain, FoldRequest request, IProgress<Progress>? progress, CancellationToken stop)
    {
        var target = request.Target!;
        // A job that an earlier call left behind may have another end in mind.
        await EndJobAsync(domain, target, stop);
        if (Standing(request).Done) return;
        if (request.IsHead)
        {
            var path = DiskCut.Paths(DomainText.Parse(await domain.GetXmlAsync(cancellationToken: stop))).GetValueOrDefault(target);
            if (path != request.Layer.Path) throw new WeaveException(Fault.Conflict, $"Disk '{target}' of '{domain.Name}' is on '{path}', not on '{request.Layer.Path}': something else has changed it.", "Put the disk back to the file that `weave show` names.");
            await domain.BlockRebaseAsync(target, request.Parent.Path, (ulong)request.BytesPerSecond, BlockRebaseFlags.BandwidthBytes, stop);
        }
        else await domain.BlockCommitAsync(target, request.Between[0].Path, request.Layer.Path, (ulong)request.BytesPerSecond, BlockCommitFlags.BandwidthBytes, stop);
        try
        {
            while (await domain.GetBlockJobInfoAsync(target, cancellationToken: stop) is { } job)
            {
                progress?.Report(new($"{(request.IsHead ? "pulling" : "merging")} {request.Between.Count} layer{(request.Between.Count == 1 ? "" : "s")} of {request.Machine!.Name}/{target}", (long)job.Current, (long)job.End));
                await Task.Delay(TimeSpan.FromMilliseconds(20), context.Clock, stop);
            }
        }
        catch (OperationCanceledException)
        {
            await EndJobAsync(domain, target, CancellationToken.None);
            throw;
        }
    }

    /// <summary>No job is at work at the disk afterwards. One that ended meanwhile has ended.</summary>
    private async Task EndJobAsync(LibvirtDomain domain, string target, CancellationToken stop)
    {
        for (var attempt = 0; await domain.GetBlockJobInfoAsync(target, cancellationToken: stop) is not null; attempt++)
        {
            try
            {
                await domain.BlockJobAbortAsync(target, cancellationToken: stop);
            }
            catch (LibvirtException e) when (e.Code is VirErrorCode.OperationInvalid or VirErrorCode.InvalidArg && attempt < 250)
            {
                // It is being concluded just now.
                await Task.Delay(TimeSpan.FromMilliseconds(20), context.Clock, stop);
            }
        }
    }

    private async Task RewriteAsync(FoldRequest request, LibvirtDomain? domain, IProgress<Progress>? progress, CancellationToken stop)
    {
        progress?.Report(new($"rewriting layer {request.Layer.Id}", 0, 0));
        var (path, part) = (request.Layer.Path, DurableFile.PartOf(request.Layer.Path));
        // Our own layers name their backing formats; what they say was written by us and is checked again here.
        DiskChainInspector.Inspect(path, request.Layer.Format);
        try
        {
            DurableFile.TryDelete(part);
            Qcow2OverlayWriter.Write(part, path, request.Layer.Format, request.Layer.VirtualSize, owner: context.Paths.QemuOwner);
            await QemuImgAsync(["rebase", "-q", "-f", "qcow2", "-F", Qcow2OverlayWriter.NameOf(request.Parent.Format), "-b", request.Parent.Path, part], stop);
            DurableFile.SyncFile(part);
            if (domain is not null && await context.Host.CallAsync($"look at machine '{domain.Name}'", _ => domain.IsActiveAsync(stop), stop))
                throw new WeaveException(Fault.Conflict, $"Machine '{domain.Name}' was started while its layers were folded.", "Try again: they are folded while it runs then.");
            using (Locked(path)) DurableFile.Commit(path, owner: context.Paths.QemuOwner);
        }
        catch
        {
            DurableFile.TryDelete(part);
            throw;
        }
    }

    /// <summary>
    /// A hold on the bytes by which QEMU tells others that it has an image open (offsets 100 to 299): refused where a process has it open, and none can open it until the hold is given up.
    /// </summary>
    private static FileStream Locked(string path)
    {
        var file = new FileStream(path, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite | FileShare.Delete);
        try
        {
            if (OperatingSystem.IsLinux()) file.Lock(100, 200);
            return file;
        }
        catch (IOException e)
        {
            file.Dispose();
            throw new WeaveException(Fault.Conflict, $"Layer '{path}' cannot be folded: another process has it open. {e.Message}", "End that program, then try again.", e);
        }
    }

    private static async Task QemuImgAsync(string[] arguments, CancellationToken stop)
    {
        var (exit, _, error, line) = await HostCommand.TryAsync("qemu-img", arguments, null, stop, HostCommand.Long);
        if (exit == 0) return;
        var full = error.Contains("No space left", StringComparison.Ordinal);
        throw new WeaveException(full ? Fault.Exhausted : Fault.Internal, $"`{line}` failed: {error.Trim()}", full ? "Free space in the pool and try again; nothing is lost." : "Look whether another program has the layer open; nothing is lost.");
    }
}
