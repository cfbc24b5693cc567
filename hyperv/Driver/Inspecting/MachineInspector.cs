using WeaveHypervisor.Drivers;
using WeaveHypervisor.HyperV.Layers;
using WeaveHypervisor.HyperV.Machines;
using WeaveHypervisor.HyperV.Owned;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.HyperV.Inspecting;

/// <summary>The present of one machine. Touches nothing.</summary>
internal sealed class MachineInspector(DriverContext context, DiskFiles disks, GuestNetworks guests)
{
    /// <summary>Under this the host's volume counts as full: Hyper-V stops machines before nothing is left.</summary>
    private const long Full = 512L << 20;

    public async Task<MachineFacts?> InspectAsync(MachineRef machine, CancellationToken stop)
    {
        if (await context.Machines.FindAsync(machine, stop) is not { } found || found is { Mark.Kind: MarkKind.Copy, RunState: RunState.Off }) return null;
        var parts = await context.Machines.ReadAsync(found.Settings, stop);
        var volumes = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (var disk in parts.Disks) volumes[disk.Target] = await HyperVFaults.AskAsync(() => disks.NameAsync(disk.File, stop), $"Looking for {disk.File}");
        var said = await guests.ReadAsync(found, stop);
        var addresses = parts.Nics.Select(n => (n.Mac, Guest: GuestNetworks.Of(said, n))).Where(n => n.Guest is { Addresses.Count: > 0 }).DistinctBy(n => n.Mac)
            .ToDictionary(n => n.Mac, IReadOnlyList<string> (n) => [.. n.Guest!.Addresses.Select(a => a.Address)], StringComparer.OrdinalIgnoreCase);
        return new(found.RunState, volumes, addresses, 0, 0) { Trouble = await TroubleAsync(found, stop) };
    }

    /// <summary>A critical state does not say what is missing; the volume does.</summary>
    private async Task<DiskTrouble?> TroubleAsync(HostMachine machine, CancellationToken stop)
    {
        if (!MachineStates.IsCritical(machine.State)) return null;
        var free = await HyperVFaults.AskAsync(() => context.Files.FreeBytesAsync(context.Paths.Root, stop), "Asking for free space");
        return free < Full ? DiskTrouble.NoSpace : DiskTrouble.Failed;
    }
}
