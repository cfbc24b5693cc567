using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Cim.Wrappers;

namespace WeaveHypervisor.HyperV.Machines;

/// <summary>
/// Changes settings of machines. What is changed is sent with its InstanceID alone. A change says what is to be, so one whose answer was lost is made again. Errors are <see cref="HostException"/>s and <see cref="CimException"/>s.
/// </summary>
internal sealed class MachineEditor(DriverContext context)
{
    private const int Attempts = 3;
    private static readonly TimeSpan Deadline = TimeSpan.FromMinutes(2), Pause = TimeSpan.FromSeconds(3);

    /// <summary>An object of the class of these settings that says which they are, and nothing else.</summary>
    public static CimObject Of(CimObject settings) => new CimObject(settings.ClassName).With(VirtualSystemSettingData.InstanceID, settings.Get(VirtualSystemSettingData.InstanceID));

    /// <summary>System settings with all that Hyper-V keeps of a machine in one folder.</summary>
    public static CimObject In(string folder, CimObject settings) => settings
        .With(VirtualSystemSettingData.ConfigurationDataRoot, folder).With(VirtualSystemSettingData.SnapshotDataRoot, folder).With(VirtualSystemSettingData.SuspendDataRoot, folder)
        .With(VirtualSystemSettingData.SwapFileDataRoot, folder).With(VirtualSystemSettingData.LogDataRoot, folder).With(VirtualSystemSettingData.GuestStateDataRoot, folder);

    /// <summary>Changes of a machine's or checkpoint's system settings.</summary>
    public Task ChangeAsync(CimObject changes, CancellationToken stop) => AgainAsync(VirtualSystemManagementService.ModifySystemSettings(changes), stop);

    /// <summary>Changes of resources of one machine.</summary>
    public Task ChangeAsync(IReadOnlyList<CimObject> changes, CancellationToken stop) => changes.Count == 0 ? Task.CompletedTask : AgainAsync(VirtualSystemManagementService.ModifyResourceSettings(changes), stop);

    /// <summary>
    /// Whether Hyper-V merges the disks of a machine by itself. Off while layers are kept: a merge rewrites the file that they stand on. A restart of the service switches it on again, which does nothing as long as no checkpoint is removed.
    /// </summary>
    public Task SetMergesAsync(HostMachine machine, bool on, CancellationToken stop) => AgainAsync(Merges(machine.Id, on), stop);

    /// <summary>The call of <see cref="SetMergesAsync"/>.</summary>
    public static CimCall Merges(Guid machine, bool on) => VirtualSystemManagementService.ModifyDiskMergeSettings(
        new CimObject(DiskMergeSettingData.ClassName).With(DiskMergeSettingData.InstanceID, "Microsoft:" + MachineReader.Name(machine)).With(DiskMergeSettingData.EnabledState, on ? 1u : 0u));

    /// <summary>Adds a resource to a machine; <see cref="HostErrorKind.OutcomeUnknown"/> is the caller's: it is not made again.</summary>
    public async Task<CimPath> AddAsync(CimObject settings, CimObject resource, CancellationToken stop)
    {
        var outcome = await context.Jobs.RunAsync(await context.Services.SystemsAsync(stop), VirtualSystemManagementService.AddResourceSettings(settings.Reference, [resource]), Deadline, stop);
        if (outcome.Answer.Get(VirtualSystemManagementService.AddResourceSettingsAnswer.ResultingResourceSettings) is [{ } made, ..]) return made;
        return outcome.Job is { } job && (await context.Jobs.ResultsAsync(job.Reference, resource.ClassName, stop)) is [{ } result, ..] ? result.Reference
            : throw new HostException(HostErrorKind.OutcomeUnknown, $"Hyper-V does not say what it added as {resource.ClassName}");
    }

    private async Task AgainAsync(CimCall call, CancellationToken stop)
    {
        var systems = await context.Services.SystemsAsync(stop);
        for (var attempt = 1; ; attempt++)
        {
            try
            {
                await context.Jobs.RunAsync(systems, call, Deadline, stop);
                return;
            }
            catch (HostException e) when (attempt < Attempts && e.Kind is HostErrorKind.OutcomeUnknown or HostErrorKind.Unavailable)
            {
                await Task.Delay(Pause, context.Clock, stop);
            }
        }
    }
}
