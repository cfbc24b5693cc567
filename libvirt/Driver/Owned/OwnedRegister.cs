using System.Xml.Linq;
using LibvirtSharp;
using WeaveHypervisor.Disks;
using WeaveHypervisor.Disks.Qcow2;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.Libvirt.Fences;
using WeaveHypervisor.Libvirt.States;
using WeaveHypervisor.Libvirt.Traffic;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt.Owned;

/// <summary>Everything on the host that bears this service's mark: copies, fences, files; and the making and removing of files.</summary>
internal sealed class OwnedRegister(DriverContext context, FenceKeeper fences, EndpointPublisher endpoints, StateKeeper states)
{
    private static readonly XNamespace Mark = DriverContext.MarkNamespace;

    public async Task<OwnedThings> ListAsync(CancellationToken stop)
    {
        var things = new List<OwnedThing>();
        await context.Host.CallAsync("list machines", async connection =>
        {
            foreach (var domain in await connection.ListDomainsAsync(cancellationToken: stop))
                using (domain)
                    if (await IsCopyAsync(domain, stop)) things.Add(new(OwnedKind.Machine, domain.Uuid.ToString(), $"machine {domain.Name}", 0));
        }, stop);
        foreach (var tag in await fences.ListAsync(stop)) things.Add(new(OwnedKind.Fence, tag.Text, $"fence {tag.Text}", 0));
        if (Directory.Exists(context.Paths.Environments))
            foreach (var path in Directory.EnumerateFiles(context.Paths.Environments, "*", new EnumerationOptions { RecurseSubdirectories = true, AttributesToSkip = FileAttributes.ReparsePoint }))
                if (context.Paths.IsOurs(path)) things.Add(new(OwnedKind.File, path, $"file {path}", FileFacts.Read(path).AllocatedBytes));
        return new(things, await endpoints.ListWorkingAsync(stop));
    }

    public async Task RemoveAsync(OwnedThing thing, CancellationToken stop)
    {
        switch (thing.Kind)
        {
            case OwnedKind.Machine:
                await context.Host.CallAsync($"remove {thing.Description}", async connection =>
                {
                    try
                    {
                        using var domain = await connection.LookupDomainAsync(Guid.Parse(thing.Key), stop);
                        await EndAsync(domain, stop);
                    }
                    catch (LibvirtException e) when (e.Code == VirErrorCode.NoDomain)
                    {
                        // Gone is what was wanted.
                    }
                }, stop);
                break;
            case OwnedKind.Fence:
                await fences.RetireAsync(FenceTag.TryCreate(thing.Key, out var tag) ? tag : throw new WeaveException(Fault.InvalidRequest, $"{Ids.Quote(thing.Key)} is no fence tag."), stop);
                break;
            default:
                await DeleteFilesAsync([thing.Key], stop);
                break;
        }
    }

    /// <summary>Ends a copy for good; gone already: success. A machine without our mark is refused.</summary>
    public async Task RetireAsync(MachineRef machine, CancellationToken stop)
    {
        using var domain = await context.Host.FindDomainAsync(machine, stop);
        if (domain is null) return;
        await context.Host.CallAsync($"end machine '{machine.HypervisorName}'", _ => EndAsync(domain, stop), stop);
    }

    /// <summary>Mostly waits for the disk: several at once take little longer than one.</summary>
    public Task CreateOverlayAsync(LayerRef layer, LayerRef parent, CancellationToken stop) => Task.Run(() =>
    {
        context.Paths.EnsureFolderOf(layer.Path);
        Qcow2OverlayWriter.Write(layer.Path, parent.Path, parent.Format, layer.VirtualSize, owner: context.Paths.QemuOwner);
    }, stop);

    /// <summary>Off the caller's thread: most of it is reading and writing files.</summary>
    public Task WriteLayerAsync(LayerRef layer, LayerRef parent, LayerContent content, IProgress<Progress>? progress, CancellationToken stop) => Task.Run(() =>
    {
        context.Paths.EnsureFolderOf(layer.Path);
        var written = progress is null ? null : new SynchronousProgress(done => progress.Report(new("copying what differs", done, content.Bytes)));
        return Qcow2Writer.WriteOnceAsync(layer.Path, new(layer.VirtualSize, parent.Path, parent.Format), content.Ranges, content.Read, content.Below, written, stop, owner: context.Paths.QemuOwner);
    }, stop);

    public Task DeleteFilesAsync(IReadOnlyList<string> paths, CancellationToken stop)
    {
        foreach (var path in paths) context.Paths.RequireOurs(path);
        foreach (var path in paths)
        {
            stop.ThrowIfCancellationRequested();
            states.Forget(path);
            DurableFile.Delete(path);
            context.Paths.RemoveEmptyFolders(path);
        }
        return Task.CompletedTask;
    }

    private async Task EndAsync(LibvirtDomain domain, CancellationToken stop)
    {
        try
        {
            if (!await IsCopyAsync(domain, stop))
                throw new WeaveException(Fault.InvalidRequest, $"Machine '{domain.Name}' was not made by this service; it is not ended.", "Use `virsh` for machines of your own.");
            if (await domain.IsActiveAsync(stop)) await domain.DestroyAsync(cancellationToken: stop);
            // Somebody may have defined it meanwhile.
            if (await domain.IsPersistentAsync(stop)) await domain.UndefineAsync(DomainUndefineFlags.ManagedSave | DomainUndefineFlags.SnapshotsMetadata | DomainUndefineFlags.Nvram, stop);
        }
        catch (LibvirtException e) when (e.Code is VirErrorCode.NoDomain)
        {
            // A transient domain is gone as soon as it ends.
        }
    }

    /// <summary>Our mark with our prefix in the metadata, and a name that begins with it.</summary>
    private async Task<bool> IsCopyAsync(LibvirtDomain domain, CancellationToken stop)
    {
        if (!domain.Name.StartsWith(context.Options.Prefix + ".", StringComparison.Ordinal)) return false;
        try
        {
            var mark = XElement.Parse(await domain.GetMetadataAsync(DomainMetadataType.Element, Mark.NamespaceName, cancellationToken: stop));
            return (string?)mark.Attribute("owner") == context.Options.Prefix;
        }
        catch (LibvirtException e) when (e.Code is VirErrorCode.NoDomainMetadata or VirErrorCode.NoDomain)
        {
            return false;
        }
    }
}
