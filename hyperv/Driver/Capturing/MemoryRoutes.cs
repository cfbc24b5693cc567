using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Cim.Wrappers;
using WeaveHypervisor.HyperV.Inspecting;
using WeaveHypervisor.HyperV.States;

namespace WeaveHypervisor.HyperV.Capturing;

/// <summary>Takes a machine's memory of an instant, with the definition that it belongs to, out of the host, by one of the <see cref="CaptureRoute"/>s. Errors are <see cref="HostException"/>s and <see cref="CimException"/>s.</summary>
internal sealed class MemoryRoutes(DriverContext context)
{
    /// <summary>A saved machine, which must stay so until this has ended.</summary>
    public Task ExportSavedAsync(CaptureMember member, string folder, CancellationToken stop) => ExportAsync(member, folder, ExportSettings.NoSnapshots, null, stop);

    /// <summary>What was captured of a member goes to the paths that were chosen for it; <see cref="CaptureMember.Memory"/> stays null where the host gave no memory.</summary>
    public async Task TakeAsync(CaptureMember member, string folder, CancellationToken stop)
    {
        string definition;
        switch (member.Route)
        {
            case CaptureRoute.Saved:
                definition = await FindDefinitionAsync(folder, stop);
                break;
            case CaptureRoute.Live or CaptureRoute.Flat:
                await ExportAsync(member, folder, member.Route == CaptureRoute.Live ? ExportSettings.OneSnapshotForBackup : ExportSettings.OneSnapshot, member.Checkpoint!, stop);
                definition = await FindDefinitionAsync(folder, stop);
                break;
            default:
                definition = StateKeeper.DefinitionOf(member.Checkpoint!);
                break;
        }
        var memory = HostPath.Join(HostPath.Folder(definition), HostPath.Stem(definition) + ".VMRS");
        if (await context.Files.FindAsync(memory, stop) is null)
        {
            member.Reason = "The host gave no memory of it.";
            return;
        }
        var (flat, device) = (member.Request.FlatPath, member.Request.DeviceStatePath);
        await context.Paths.EnsureFolderOfAsync(flat, stop);
        foreach (var (from, to) in new[] { (memory, flat), (definition, device) })
        {
            await context.Files.DeleteAsync(to, stop);
            // What was exported is ours alone; what belongs to a checkpoint stays the host's.
            if (member.Route == CaptureRoute.Files) await context.Files.CopyAsync(from, to, stop);
            else await context.Files.LinkAsync(from, to, stop);
        }
        member.Memory = new()
        {
            FlatPath = flat, DeviceStatePath = device, RamBytes = member.Parts.MemoryBytes,
            StoredBytes = (await context.Files.MeasureAsync(flat, stop) ?? 0) + (await context.Files.MeasureAsync(device, stop) ?? 0),
            // Hyper-V finds memory beside a definition by their common name, which is part of neither.
            MainBlock = HostPath.Stem(definition),
        };
    }

    private async Task ExportAsync(CaptureMember member, string folder, byte mode, CimObject? checkpoint, CancellationToken stop)
    {
        // An export refuses a folder with anything in it: what an earlier attempt has left goes first.
        await context.Files.DeleteAsync(folder, stop);
        await context.Files.CreateFolderAsync(HostPath.Folder(folder), stop);
        var settings = (await context.Client.AssociatorsAsync(member.Machine.System, SystemExportSettingData.ClassName, VirtualSystemExportSettingData.ClassName, null, null, stop)).FirstOrDefault()
            ?? throw new HostException(HostErrorKind.NotFound, $"'{member.Machine.Name}' has no settings for exports");
        await context.Jobs.RunAsync(await context.Services.SystemsAsync(stop), VirtualSystemManagementService.ExportSystemDefinition(member.Machine.System, folder, ExportSettings.Of(settings, mode, checkpoint)), context.Options.CopyPatience, stop);
    }

    private async Task<string> FindDefinitionAsync(string folder, CancellationToken stop) =>
        (await context.Files.ListAsync(folder, true, stop)).FirstOrDefault(f => HostPath.Ending(f.Path).Equals(".vmcx", StringComparison.OrdinalIgnoreCase))?.Path
        ?? throw new HostException(HostErrorKind.Failed, $"The export to '{folder}' has no definition");
}
