using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Cim.Wrappers;
using WeaveHypervisor.HyperV.Capturing;
using WeaveHypervisor.HyperV.Inspecting;
using WeaveHypervisor.HyperV.Layers;
using WeaveHypervisor.HyperV.Machines;
using WeaveHypervisor.HyperV.Power;

namespace WeaveHypervisor.HyperV.SelfTest;

/// <summary>One point in time of a trial machine, as a definition that can be imported.</summary>
internal sealed record TrialPoint(string Definition);

/// <summary>An import that was made a machine.</summary>
/// <param name="State">EnabledState right after it was realized: 6 where its memory came along.</param>
/// <param name="Findings">What the host's validation had to say.</param>
/// <param name="Pipe">Where its guest is heard; null: it has no serial port.</param>
internal sealed record TrialCopy(Guid Id, CimPath System, ushort State, IReadOnlyList<string> Findings, string? Pipe);

/// <summary>Takes points of trial machines by each route, and makes copies of them as the driver does: new id, new layer for each disk, a private switch of its own.</summary>
/// <param name="takesAvhdx">An .avhdx can be a parent; otherwise a second name of it is used.</param>
/// <param name="grantsParents">The host grants a machine the parents of its disks; otherwise that is done here.</param>
internal sealed class TrialCopies(TrialThings things, bool takesAvhdx, bool grantsParents, bool savesPaused)
{
    private const string Machines = "Virtual Machines", Snapshots = "Snapshots";
    private DriverContext Context => things.Context;

    /// <summary>Takes a point of a machine that runs; it runs afterwards.</summary>
    public async Task<TrialPoint> TakeAsync(CaptureRoute route, TrialMachine machine, CancellationToken stop)
    {
        var folder = things.Fresh("point");
        switch (route)
        {
            case CaptureRoute.Live:
                return await ExportAsync(machine, folder, ExportSettings.OneSnapshotForBackup, await things.CheckAsync(machine, stop), stop);
            case CaptureRoute.Flat:
                return await ExportAsync(machine, folder, ExportSettings.OneSnapshot, await things.CheckAsync(machine, stop), stop);
            case CaptureRoute.Files:
                return await CopyFilesAsync(machine, folder, await things.CheckAsync(machine, stop), stop);
            case CaptureRoute.Saved:
                if (savesPaused) await things.RequestAsync(machine.System, StateChange.Pause, MachineStates.Paused, stop);
                await things.RequestAsync(machine.System, StateChange.Save, MachineStates.Saved, stop);
                var point = await ExportAsync(machine, folder, ExportSettings.NoSnapshots, null, stop);
                // What was exported names the present layers: a checkpoint freezes them before the machine goes on.
                await things.CheckAsync(machine, stop);
                await things.RequestAsync(machine.System, StateChange.Start, MachineStates.Running, stop);
                return point;
            default:
                throw new ArgumentOutOfRangeException(nameof(route), route, null);
        }
    }

    /// <summary>Exports a machine as it is (off or saved), or a checkpoint of it.</summary>
    public async Task<TrialPoint> ExportAsync(TrialMachine machine, string folder, byte mode, CimObject? checkpoint, CancellationToken stop)
    {
        await Context.Files.CreateFolderAsync(folder, stop);
        await things.OnSystemsAsync(VirtualSystemManagementService.ExportSystemDefinition(machine.System, folder, ExportSettings.Of(new(VirtualSystemExportSettingData.ClassName), mode, checkpoint)), stop);
        return new(await DefinitionInAsync(HostPath.Join(folder, Machines), stop));
    }

    private async Task<TrialPoint> CopyFilesAsync(TrialMachine machine, string folder, CimObject checkpoint, CancellationToken stop)
    {
        await Context.Files.CreateFolderAsync(folder, stop);
        var id = checkpoint.Get(VirtualSystemSettingData.InstanceID)!["Microsoft:".Length..];
        foreach (var file in await Context.Files.ListAsync(HostPath.Join(machine.Folder, Snapshots), below: false, stop))
            if (!file.IsFolder && HostPath.Comparer.Equals(HostPath.Stem(file.Path), id)) await Context.Files.CopyAsync(file.Path, HostPath.Join(folder, HostPath.Name(file.Path)), stop);
        return new(await DefinitionInAsync(folder, stop));
    }

    private async Task<string> DefinitionInAsync(string folder, CancellationToken stop) =>
        (await Context.Files.ListAsync(folder, below: false, stop)).FirstOrDefault(f => !f.IsFolder && HostPath.Ending(f.Path).Equals(".vmcx", StringComparison.OrdinalIgnoreCase))?.Path
            ?? throw new HostException(HostErrorKind.NotFound, $"There is no definition (.vmcx) in '{folder}'");

    /// <summary>An import under a new id that is not a machine yet, with its settings.</summary>
    public async Task<(CimPath Planned, CimObject Settings)> ImportAsync(TrialPoint point, CancellationToken stop)
    {
        var planned = await things.MadeAsync(await things.OnSystemsAsync(VirtualSystemManagementService.ImportSystemDefinition(generateNewSystemIdentifier: true, snapshotFolder: "", systemDefinitionFile: point.Definition), stop),
            "ImportedSystem", PlannedComputerSystem.ClassName, stop);
        return (planned, await things.SettingsAsync(planned, stop));
    }

    /// <summary>Makes a copy of a point, which is off or saved afterwards, on a switch of its own.</summary>
    public async Task<TrialCopy> CopyAsync(TrialPoint point, CancellationToken stop)
    {
        var folder = things.Fresh("copy");
        await Context.Files.CreateFolderAsync(folder, stop);
        var (planned, settings) = await ImportAsync(point, stop);
        await things.ChangeAsync(settings, s => things.Placed(s, folder), stop);
        var parents = new List<string>();
        foreach (var disk in await things.DisksAsync(settings, stop))
        {
            var parent = TrialThings.FileOf(disk);
            parents.Add(parent);
            var layer = await LayerAsync(HostPath.Join(folder, $"layer{parents.Count}.vhdx"), parent, stop);
            await things.ChangeAsync(disk, d => d.With(StorageAllocationSettingData.HostResource, [layer]), stop);
        }
        var place = await things.SwitchAsync(stop);
        foreach (var connection in await things.PartsAsync(settings, EthernetPortAllocationSettingData.ClassName, stop))
            await things.ChangeAsync(connection, c => c.With(EthernetPortAllocationSettingData.HostResource, [place.ToString()]).With(EthernetPortAllocationSettingData.EnabledState, (ushort)2), stop);
        var pipe = await things.OpenPipeAsync(settings, stop);
        var findings = (await things.OnSystemsAsync(VirtualSystemManagementService.ValidatePlannedSystem(planned), stop, readMessages: true)).Messages;
        var outcome = await things.OnSystemsAsync(VirtualSystemManagementService.RealizePlannedSystem(planned), stop);
        var system = await things.MadeAsync(outcome, "ResultingSystem", ComputerSystem.ClassName, stop);
        var id = Guid.Parse(system[ComputerSystem.Name.Name]!);
        if (!grantsParents)
            foreach (var parent in parents) await GrantAsync(parent, id, stop);
        var state = (await Context.Client.GetAsync(system, stop)).Find(ComputerSystem.EnabledState) ?? MachineStates.Off;
        return new(id, system, state, [.. findings.Select(f => $"{f.Id} {f.Text}".Trim())], pipe);
    }

    /// <summary>A layer on a parent, by the name that the host takes for a parent.</summary>
    public async Task<string> LayerAsync(string path, string parent, CancellationToken stop)
    {
        if (!takesAvhdx && DiskFiles.IsHypervisorsName(parent))
        {
            var named = HostPath.Join(HostPath.Folder(path), HostPath.Stem(path) + "-parent.vhdx");
            await Context.Files.LinkAsync(parent, named, stop);
            parent = named;
        }
        await things.CreateDiskAsync(path, parent, stop);
        return path;
    }

    /// <summary>Grants a machine a disk file and all that it stands on.</summary>
    public async Task GrantAsync(string path, Guid machine, CancellationToken stop)
    {
        foreach (var file in await things.ChainAsync(path, stop)) await Context.Files.GrantAsync(file, machine, stop);
    }
}
