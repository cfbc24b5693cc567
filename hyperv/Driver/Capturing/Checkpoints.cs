using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Cim.Wrappers;
using WeaveHypervisor.HyperV.Layers;
using WeaveHypervisor.HyperV.Machines;

namespace WeaveHypervisor.HyperV.Capturing;

/// <summary>Makes checkpoints and finds what they froze. Errors are <see cref="HostException"/>s and <see cref="CimException"/>s.</summary>
internal sealed class Checkpoints(DriverContext context, MachineEditor editor, DiskFiles disks)
{
    /// <summary>Values of UserSnapshotType.</summary>
    public const ushort ProductionOrStandard = 3, Standard = 5;
    /// <summary>Types of CreateSnapshot: with memory, where the machine is set so; of disks.</summary>
    public const ushort Full = 2, DisksOnly = 3;

    private static readonly TimeSpan Late = TimeSpan.FromSeconds(1);
    private const int Looks = 30;

    /// <summary>
    /// Freezes a machine's disks. Where the answer is lost, the checkpoint is looked for: it is the machine's own if it froze the heads.
    /// </summary>
    public async Task<CimObject> MakeAsync(CaptureMember member, ushort type, CancellationToken stop)
    {
        try
        {
            var service = await context.Services.SnapshotsAsync(stop);
            await context.Jobs.RunAsync(service, VirtualSystemSnapshotService.CreateSnapshot(member.Machine.System, snapshotType: type), context.Options.CopyPatience, stop);
        }
        catch (HostException e) when (e.Kind == HostErrorKind.OutcomeUnknown)
        {
            for (var look = 0; look < Looks; look++)
            {
                await Task.Delay(Late, context.Clock, stop);
                if (await TryFindAsync(member, stop) is { } made) return made;
            }
            throw;
        }
        return await TryFindAsync(member, stop) ?? throw new HostException(HostErrorKind.Failed, $"Hyper-V has made no checkpoint of '{member.Machine.Name}' that has its disks");
    }

    private async Task<CimObject?> TryFindAsync(CaptureMember member, CancellationToken stop)
    {
        try
        {
            return await FindAsync(member.Machine, member.Request.Volumes.Select(v => (v.Target, v.Head.Path)), stop);
        }
        catch (CimException e) when (e.Status == CimStatus.ServerShuttingDown)
        {
            return null;
        }
    }

    /// <summary>The newest checkpoint of a machine where it has frozen exactly these files; null where it has not.</summary>
    public async Task<CimObject?> FindAsync(HostMachine machine, IEnumerable<(string Target, string Path)> heads, CancellationToken stop)
    {
        var newest = (await context.Client.AssociatorsAsync(machine.System, MostCurrentSnapshotInBranch.ClassName, VirtualSystemSettingData.ClassName, null, null, stop)).FirstOrDefault();
        if (newest is null) return null;
        var parts = await PartsAsync(newest, stop);
        foreach (var (target, path) in heads)
            if (parts.Disks.FirstOrDefault(d => d.Target == target) is not { } frozen || !await disks.IsSameAsync(path, frozen.File, stop)) return null;
        return newest;
    }

    private async Task<MachineParts> PartsAsync(CimObject settings, CancellationToken stop) => new(await context.Client.AssociatorsAsync(settings.Reference, VirtualSystemSettingDataComponent.ClassName, null, null, null, stop));

    /// <summary>Gives a checkpoint a name that says what stands on it.</summary>
    public Task NameAsync(CimObject checkpoint, string name, CancellationToken stop) => editor.ChangeAsync(MachineEditor.Of(checkpoint).With(VirtualSystemSettingData.ElementName, name), stop);

    /// <summary>Gives the files that a machine writes to now the paths that were chosen for them, as second names. There already: success.</summary>
    public async Task LinkHeadsAsync(HostMachine machine, IEnumerable<Drivers.CaptureVolume> volumes, CancellationToken stop)
    {
        // Names of files change with checkpoints: they are read, never made up.
        var parts = await PartsAsync(machine.Settings, stop);
        foreach (var volume in volumes)
        {
            var live = parts.Disks.FirstOrDefault(d => d.Target == volume.Target) ?? throw new HostException(HostErrorKind.NotFound, $"'{machine.Name}' has no disk {volume.Target}");
            if (await disks.IsSameAsync(live.File, volume.NewHead.Path, stop)) continue;
            await context.Paths.EnsureFolderOfAsync(volume.NewHead.Path, stop);
            await context.Files.LinkAsync(live.File, volume.NewHead.Path, stop);
        }
    }
}
