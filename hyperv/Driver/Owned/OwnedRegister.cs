using WeaveHypervisor.Drivers;
using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Layers;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.HyperV.Owned;

/// <summary>Copies and files of ours on the host: what is listed, and removed where nobody knows it. Paths are the host's.</summary>
internal sealed class OwnedRegister(DriverContext context, CopyRemover copies, LayerKeeper layers)
{
    public async Task<IReadOnlyList<OwnedThing>> ListAsync(CancellationToken stop)
    {
        var things = new List<OwnedThing>();
        foreach (var (uuid, name) in await copies.ListAsync(stop)) things.Add(new(OwnedKind.Machine, uuid.ToString(), name, 0));
        foreach (var file in await HyperVFaults.AskAsync(() => context.Files.ListAsync(context.Paths.Environments, true, stop), "Looking for files of ours"))
        {
            // A layer's other name, which Hyper-V has given it, is no other thing.
            if (file.IsFolder || !context.Paths.IsOurs(file.Path)) continue;
            var path = context.Paths.Canonical(file.Path);
            things.Add(new(OwnedKind.File, path, $"{HostPath.Name(path)} in {HostPath.Folder(path)}", await HyperVFaults.AskAsync(() => context.Files.MeasureAsync(path, stop), $"Measuring {path}") ?? 0));
        }
        return things;
    }

    /// <summary>A copy or a file; a fence is its keeper's.</summary>
    public async Task RemoveAsync(OwnedThing thing, CancellationToken stop)
    {
        if (thing.Kind == OwnedKind.File)
        {
            await layers.DeleteAsync([thing.Key], stop);
            return;
        }
        if (!Guid.TryParse(thing.Key, out var uuid)) throw new WeaveException(Fault.InvalidRequest, $"{Ids.Quote(thing.Key)} names no copy.", "Give it as it is listed.");
        await RetireAsync(uuid, stop);
    }

    /// <summary>Ends a copy for good. Gone already: success. InvalidRequest for a machine of a user's.</summary>
    public async Task RetireAsync(Guid uuid, CancellationToken stop)
    {
        if (await context.Machines.FindAsync(uuid, stop) is { } users && !copies.IsOurs(users))
            throw new WeaveException(Fault.InvalidRequest, $"Machine '{users.Name}' was not made by this service.", "Only copies can be retired.");
        await copies.RemoveAsync(uuid, stop);
    }
}
