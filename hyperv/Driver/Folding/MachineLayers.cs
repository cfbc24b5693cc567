using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Cim.Wrappers;
using WeaveHypervisor.HyperV.Layers;
using WeaveHypervisor.HyperV.Machines;

namespace WeaveHypervisor.HyperV.Folding;

/// <summary>A checkpoint of a machine with what it froze.</summary>
internal sealed record FrozenPoint(CimObject Settings, MachineParts Parts);

/// <summary>
/// Which files machines and their checkpoints name, and Hyper-V's own merging of them. A checkpoint that is removed has the layer above it written into the one that it froze, by the host itself and also while the machine
/// runs; which machines of others stand on those files the host does not ask. Errors are <see cref="HostException"/>s and <see cref="CimException"/>s.
/// </summary>
internal sealed class MachineLayers(DriverContext context, DiskFiles disks, MachineEditor editor)
{
    /// <summary>Second values of OperationalStatus: removing a checkpoint, merging disks.</summary>
    private const ushort RemovesPoint = 32770, MergesDisks = 32772;

    /// <summary>A machine's checkpoints, oldest first.</summary>
    public async Task<IReadOnlyList<FrozenPoint>> PointsAsync(HostMachine machine, CancellationToken stop)
    {
        var points = new List<FrozenPoint>();
        foreach (var settings in await context.Machines.CheckpointsAsync(machine, stop)) points.Add(new(settings, await context.Machines.ReadAsync(settings, stop)));
        return points;
    }

    public async Task<bool> IsAmongAsync(string path, IEnumerable<string> files, CancellationToken stop)
    {
        var names = (await context.Files.NamesAsync(path, stop)).Append(path).ToHashSet(HostPath.Comparer);
        return files.Any(names.Contains);
    }

    /// <summary>The machines of the host that have any of the files in the chain of a disk that they use now.</summary>
    public async Task<IReadOnlyList<HostMachine>> UsersAsync(IReadOnlyCollection<string> files, CancellationToken stop)
    {
        var names = new HashSet<string>(HostPath.Comparer);
        foreach (var file in files) names.UnionWith((await context.Files.NamesAsync(file, stop)).Append(file));
        var users = new List<HostMachine>();
        foreach (var machine in await context.Machines.ListAsync(stop))
            foreach (var disk in (await context.Machines.ReadAsync(machine.Settings, stop)).Disks)
                if (await IsAboveAsync(disk.File, names, stop))
                {
                    users.Add(machine);
                    break;
                }
        return users;
    }

    private async Task<bool> IsAboveAsync(string file, HashSet<string> names, CancellationToken stop)
    {
        try
        {
            foreach (var at in await disks.ChainAsync(file, stop))
                if (names.Contains(at)) return true;
        }
        catch (HostException e) when (e.Kind is HostErrorKind.NotFound or HostErrorKind.Unsupported)
        {
            // A disk of a user's that is gone, or of another kind, stands on nothing of ours.
        }
        return false;
    }

    /// <summary>Removes a checkpoint of a machine; gone already: success. Its merges follow.</summary>
    public Task RemovePointAsync(HostMachine machine, FrozenPoint point, CancellationToken stop) => context.UntilAsync($"Removing a checkpoint of '{machine.Name}'", async () =>
    {
        if ((await context.Machines.CheckpointsAsync(machine, stop)).All(c => !c.Reference.Equals(point.Settings.Reference))) return true;
        await context.Jobs.RunAsync(await context.Services.SnapshotsAsync(stop), VirtualSystemSnapshotService.DestroySnapshot(point.Settings.Reference), context.Options.CopyPatience, stop);
        return false;
    }, stop);

    public Task LetMergeAsync(HostMachine machine, bool merges, CancellationToken stop) => editor.SetMergesAsync(machine, merges, stop);

    /// <summary>True while the host works at the machine's checkpoints or disks by itself.</summary>
    public async Task<bool> IsMergingAsync(HostMachine machine, CancellationToken stop) =>
        (await context.Client.GetAsync(machine.System, stop)).List(ComputerSystem.OperationalStatus).Any(s => s is RemovesPoint or MergesDisks);
}
