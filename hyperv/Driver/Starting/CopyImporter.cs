using WeaveHypervisor.Drivers;
using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Cim.Wrappers;
using WeaveHypervisor.HyperV.Examining;
using WeaveHypervisor.HyperV.Inspecting;
using WeaveHypervisor.HyperV.Machines;
using WeaveHypervisor.HyperV.Owned;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.HyperV.Starting;

/// <summary>
/// Imports a captured machine under a new identity, with its memory: a planned machine is made of its definition, its disks and adapters are pointed to its layers and to the fence, its serial ports to nothing, and it is realized, saved. Nothing else is
/// changed: saved memory fits the same devices only. Errors are <see cref="HostException"/>s and <see cref="CimException"/>s.
/// </summary>
internal sealed class CopyImporter(DriverContext context, MachineEditor editor, CopyRemover remover) : IDisposable
{
    private const string MachinesFolder = "Virtual Machines";
    private const int Looks = 30;
    private static readonly TimeSpan Later = TimeSpan.FromSeconds(1);

    /// <summary>An imported machine bears no mark at first: one after the other, so that it is known whose it is.</summary>
    private readonly SemaphoreSlim _one = new(1, 1);

    public void Dispose() => _one.Dispose();

    public async Task<HostMachine> ImportAsync(CopyMachine copy, InstantiateRequest request, IReadOnlyDictionary<NetworkName, CimPath> networks, CapabilityRecord record, CancellationToken stop)
    {
        var work = HostPath.Join(context.Paths.Work, copy.Machine.Uuid.ToString("N"));
        var definition = await LayOutAsync(copy, work, stop);
        HostMachine planned;
        await _one.WaitAsync(stop);
        try
        {
            planned = await PlanAsync(copy, definition, stop);
            await context.Files.CreateFolderAsync(context.Paths.PlaceCopy(copy.Machine.Uuid), stop);
            await editor.ChangeAsync(CopySettings.System(MachineEditor.Of(planned.Settings), copy, request, context), stop);
            await remover.MarkedAsync(copy.Machine.Uuid, stop);
        }
        finally
        {
            _one.Release();
        }
        if (!record.KeepsIdentity) await KeepIdentityAsync(copy, planned, stop);
        var parts = await context.Machines.ReadAsync(planned.Settings, stop);
        await editor.ChangeAsync(CopySettings.Disks(parts, copy), stop);
        await editor.ChangeAsync(CopySettings.Connections(parts, copy, networks), stop);
        await editor.ChangeAsync(CopySettings.Ports(parts), stop);
        var realized = await RealizeAsync(planned, stop);
        await context.Files.DeleteAsync(work, stop);
        return realized.State == MachineStates.Saved ? realized
            : throw new WeaveException(Fault.Internal, $"Hyper-V has imported machine '{copy.Machine.Name}' without its memory (state {realized.State}).", "Run the host's self-test again: its record does not fit.");
    }

    /// <summary>The files of an import as Hyper-V expects them: named alike, in one folder, which is this import's alone.</summary>
    private async Task<string> LayOutAsync(CopyMachine copy, string work, CancellationToken stop)
    {
        var memory = copy.Memory!;
        foreach (var path in new[] { memory.FlatPath, memory.DeviceStatePath })
            if (await context.Files.FindAsync(path, stop) is null) throw new WeaveException(Fault.DataLoss, $"The memory of machine '{copy.Machine.Name}', {Ids.QuotePath(path)}, is gone.", "Make the weave without memory, or from another snapshot.");
        await context.Files.DeleteAsync(work, stop);
        var folder = HostPath.Join(work, MachinesFolder);
        await context.Files.CreateFolderAsync(folder, stop);
        var stem = HostPath.Join(folder, memory.MainBlock);
        // Memory is read only, and large.
        await context.Files.LinkAsync(memory.FlatPath, stem + ".VMRS", stop);
        await context.Files.CopyAsync(memory.DeviceStatePath, stem + ".vmcx", stop);
        if (copy.States.FirstOrDefault(s => s.Kind == StateKind.Nvram) is { } state && await context.Files.FindAsync(state.Path, stop) is not null) await context.Files.CopyAsync(state.Path, stem + ".vmgs", stop);
        return stem + ".vmcx";
    }

    private async Task<HostMachine> PlanAsync(CopyMachine copy, string definition, CancellationToken stop)
    {
        var source = MachineDefinition.Read(copy.Blueprint).Settings.Get(VirtualSystemSettingData.ElementName) ?? "";
        var intent = new ImportIntent(source, [.. (await context.Machines.ListPlannedAsync(stop)).Select(m => m.Id)]);
        await remover.BeginAsync(copy.Machine.Uuid, intent, stop);
        return await MadeAsync(VirtualSystemManagementService.ImportSystemDefinition(generateNewSystemIdentifier: true, snapshotFolder: "", systemDefinitionFile: definition),
            () => remover.FindUnmarkedAsync(copy.Machine.Uuid, intent, stop), $"imported '{definition}'", stop);
    }

    private Task<HostMachine> RealizeAsync(HostMachine planned, CancellationToken stop) =>
        MadeAsync(VirtualSystemManagementService.RealizePlannedSystem(planned.System), () => context.Machines.FindAsync(planned.Id, stop), $"realized '{planned.Name}'", stop);

    /// <summary>Makes a machine by a call, and looks for it; for a while where the answer is lost.</summary>
    private async Task<HostMachine> MadeAsync(CimCall call, Func<Task<HostMachine?>> find, string done, CancellationToken stop)
    {
        HostException? lost = null;
        try
        {
            await context.Jobs.RunAsync(await context.Services.SystemsAsync(stop), call, context.Options.CopyPatience, stop);
        }
        catch (HostException e) when (e.Kind == HostErrorKind.OutcomeUnknown)
        {
            lost = e;
        }
        for (var look = 0; look < Looks; look++)
        {
            if (await TryAsync(find) is { } made) return made;
            if (lost is null) break;
            await Task.Delay(Later, context.Clock, stop);
        }
        throw lost ?? new HostException(HostErrorKind.Failed, $"Hyper-V has {done}, and shows no such machine");
    }

    /// <summary>A service that restarts shows nothing for a while.</summary>
    private static async Task<HostMachine?> TryAsync(Func<Task<HostMachine?>> look)
    {
        try
        {
            return await look();
        }
        catch (WeaveException e) when (e.Fault == Fault.Unavailable)
        {
            return null;
        }
    }

    /// <summary>The BIOS GUID and serial numbers of the original, by which guests know themselves.</summary>
    private async Task KeepIdentityAsync(CopyMachine copy, HostMachine planned, CancellationToken stop)
    {
        var source = MachineDefinition.Read(copy.Blueprint).Settings;
        var changes = MachineEditor.Of(planned.Settings);
        foreach (var property in new[] { VirtualSystemSettingData.BIOSGUID, VirtualSystemSettingData.BIOSSerialNumber, VirtualSystemSettingData.BaseBoardSerialNumber, VirtualSystemSettingData.ChassisSerialNumber })
            if (source.Get(property) is { } kept && kept != planned.Settings.Get(property)) changes = changes.With(property, kept);
        if (changes.Properties.Count > 1) await editor.ChangeAsync(changes, stop);
    }
}
