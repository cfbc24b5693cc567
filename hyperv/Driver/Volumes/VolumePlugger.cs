using WeaveHypervisor.Drivers;
using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Layers;
using WeaveHypervisor.HyperV.Machines;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.HyperV.Volumes;

/// <summary>
/// Volumes that come to and leave machines. Machines that run take and give SCSI disks; IDE disks of the first generation come and go only while the machine is off. What else a device had (limits of its speed, for
/// instance) does not come back with it.
/// </summary>
internal sealed class VolumePlugger(DriverContext context)
{
    private static readonly TimeSpan Pace = TimeSpan.FromSeconds(1);
    private readonly VirtualHardware _hardware = new(context);
    private readonly DiskFiles _disks = new(context);

    /// <inheritdoc cref="IHypervisorDriver.AttachVolumeAsync"/>
    /// <param name="volume">With the host's path of its layer.</param>
    public Task AttachAsync(MachineRef machine, AttachedVolume volume, CancellationToken stop) => HyperVFaults.DoAsync(async () =>
    {
        var found = await FindAsync(machine, stop);
        var names = await context.Files.NamesAsync(volume.Layer.Path, stop);
        if (names.Count == 0) throw new WeaveException(Fault.DataLoss, $"The file {Ids.QuotePath(volume.Layer.Path)} of volume '{volume.Volume}' is gone.", "Use another snapshot.");
        // Hyper-V's own name of a layer keeps it in the machine's chain of checkpoints.
        var file = names.FirstOrDefault(DiskFiles.IsHypervisorsName) ?? volume.Layer.Path;
        await _hardware.PutDiskAsync(found, volume.Target, file, stop);
        await _disks.GrantParentsAsync(file, found.Id, stop);
    }, $"Attaching '{volume.Target}' to '{machine.HypervisorName}'");

    /// <inheritdoc cref="IHypervisorDriver.DetachVolumeAsync"/>
    public Task DetachAsync(MachineRef machine, string target, TimeSpan patience, CancellationToken stop) => HyperVFaults.DoAsync(async () =>
    {
        var found = await FindAsync(machine, stop);
        var end = context.Clock.GetUtcNow() + patience;
        while (true)
        {
            try
            {
                await _hardware.TakeDiskAsync(found, target, stop);
                return;
            }
            catch (HostException e) when (e.Kind is HostErrorKind.InUse or HostErrorKind.InvalidState && found.State != MachineStates.Off)
            {
                // The guest, or another operation, holds it.
                if (context.Clock.GetUtcNow() + Pace >= end)
                    throw new WeaveException(Fault.Busy, $"The guest of '{machine.HypervisorName}' did not let go of '{target}' within {patience.TotalSeconds:0} s; it is still attached.", "Unmount it in the guest, then try again.", e);
            }
            await Task.Delay(Pace, context.Clock, stop);
        }
    }, $"Detaching '{target}' from '{machine.HypervisorName}'");

    private async Task<HostMachine> FindAsync(MachineRef machine, CancellationToken stop) => await context.Machines.FindAsync(machine, stop)
        ?? throw new WeaveException(Fault.NotFound, $"Machine '{machine.HypervisorName}' is not there.", "A copy that is off is started with its weave: `weave start ENV/WEAVE`.");
}
