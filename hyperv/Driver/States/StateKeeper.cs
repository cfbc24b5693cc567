using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Cim.Wrappers;
using WeaveHypervisor.HyperV.Machines;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.HyperV.States;

/// <summary>
/// What firmware of the second generation keeps (.vmgs): copied with an instant from the checkpoint's, given to a copy at its start, and taken back from it before Hyper-V removes it with the machine.
/// </summary>
internal sealed class StateKeeper(DriverContext context)
{
    /// <summary>The kinds of state that a machine keeps beside its disks. An emulated TPM's is in the same file.</summary>
    public static IReadOnlyList<StateKind> KindsOf(HostMachine machine) => machine.IsSecondGeneration ? [StateKind.Nvram] : [];

    /// <summary>A copy's own state file from one that was captured. There already: kept. DataLoss where the captured one is gone.</summary>
    public async Task CreateAsync(StateFile captured, string path, CancellationToken stop)
    {
        context.Paths.RequireOurs(path);
        context.Paths.RequireOurs(captured.Path);
        await HyperVFaults.DoAsync(async () =>
        {
            if (await context.Files.FindAsync(captured.Path, stop) is null) throw new WeaveException(Fault.DataLoss, $"The captured state {Ids.QuotePath(captured.Path)} is gone.", "Make the copy from another snapshot.");
            if (await context.Files.FindAsync(path, stop) is not null) return;
            await CopyWholeAsync(captured.Path, path, stop);
        }, $"Copying {captured.Path}");
    }

    /// <summary>The firmware state beside a checkpoint's definition, copied to a path of ours; null where the machine has none.</summary>
    public async Task<StateFile?> CaptureAsync(CimObject checkpoint, string path, CancellationToken stop)
    {
        var definition = DefinitionOf(checkpoint);
        var source = HostPath.Join(HostPath.Folder(definition), HostPath.Stem(definition) + ".vmgs");
        if (await context.Files.FindAsync(source, stop) is null) return null;
        return await CopyAsync(source, path, stop);
    }

    /// <summary>State of a copy that is off, from its own file; null where it has none yet.</summary>
    public async Task<StateFile?> CopyAsync(string source, string path, CancellationToken stop)
    {
        context.Paths.RequireOurs(path);
        if (await context.Files.FindAsync(source, stop) is null) return null;
        await context.Files.DeleteAsync(path, stop);
        await CopyWholeAsync(source, path, stop);
        return new(StateKind.Nvram, path, (await context.Files.FindAsync(path, stop))?.Length ?? 0);
    }

    /// <summary>Takes a copy's firmware state, which goes with its definition, back into its own file.</summary>
    public async Task TakeBackAsync(HostMachine copy, string path, CancellationToken stop)
    {
        if (FileOf(copy.Settings) is not { } source || await context.Files.FindAsync(source, stop) is null) return;
        if (await context.Files.ReadAsync(source, stop) is not { } bytes) return;
        await context.Files.CreateFolderAsync(HostPath.Folder(path), stop);
        await context.Files.WriteAsync(path, bytes, stop);
    }

    /// <summary>Puts a copy's own state in place of the fresh one of a machine that was just defined and never ran.</summary>
    public async Task GiveAsync(HostMachine machine, string path, CancellationToken stop)
    {
        if (FileOf(machine.Settings) is not { } target || await context.Files.ReadAsync(path, stop) is not { } bytes) return;
        await context.Files.WriteAsync(target, bytes, stop);
    }

    /// <summary>The definition file of a machine or checkpoint.</summary>
    public static string DefinitionOf(CimObject settings) => HostPath.Join(settings.Get(VirtualSystemSettingData.ConfigurationDataRoot) ?? "", settings.Get(VirtualSystemSettingData.ConfigurationFile) ?? "");

    private static string? FileOf(CimObject settings) =>
        settings.Get(VirtualSystemSettingData.GuestStateFile) is { Length: > 0 } file ? HostPath.Join(settings.Get(VirtualSystemSettingData.GuestStateDataRoot) ?? settings.Get(VirtualSystemSettingData.ConfigurationDataRoot) ?? "", file) : null;

    /// <summary>A copy that is whole or absent: what died on the way is beside it, and made anew.</summary>
    private async Task CopyWholeAsync(string from, string to, CancellationToken stop)
    {
        var bytes = await context.Files.ReadAsync(from, stop) ?? throw new HostException(HostErrorKind.NotFound, $"'{from}' is gone");
        await context.Files.CreateFolderAsync(HostPath.Folder(to), stop);
        await context.Files.WriteAsync(to, bytes, stop);
    }
}
