using System.Text;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Cim.Wrappers;
using WeaveHypervisor.HyperV.Layers;
using WeaveHypervisor.HyperV.Machines;
using WeaveHypervisor.HyperV.Owned;
using WeaveHypervisor.HyperV.Power;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.HyperV.Fences;

/// <summary>
/// The gateway of a fence: a small machine of the first generation on a child of <see cref="HyperVOptions.GatewayImage"/>, with an adapter on the uplink and one in each network that had a gateway. Its second disk says
/// what it has to do (<see cref="GatewayText"/>). It keeps nothing: told otherwise, it is made anew. Errors are <see cref="HostException"/>s and <see cref="WeaveException"/>s.
/// </summary>
internal sealed class Gateway(DriverContext context, FenceStore store)
{
    private const ulong Megabytes = 128;
    private const ushort DoNothing = 2, TurnsOff = 2, NoCheckpoints = 2;
    private const string System = "ide0-0", Settings = "ide0-1";
    private readonly VirtualHardware _hardware = new(context);
    private readonly StateChange _states = new(context.Client, context.Jobs);

    private string SystemDisk(FenceTag tag) => HostPath.Join(store.Folder(tag), "gateway.vhdx");
    private string SettingsDisk(FenceTag tag) => HostPath.Join(store.Folder(tag), "settings.vhdx");

    public string NameOf(FenceTag tag) => $"{context.Options.Prefix}.{tag}.gateway";

    /// <summary>All gateways of this service, also those that were made half.</summary>
    public async Task<IReadOnlyList<HostMachine>> ListAsync(CancellationToken stop) =>
        [.. (await context.Machines.ListAsync(stop)).Where(m => OwnedMark.Is(m.Mark, MarkKind.Gateway, context.Options))];

    public async Task<HostMachine?> FindAsync(FenceTag tag, CancellationToken stop) => (await ListAsync(stop)).FirstOrDefault(m => m.Mark!.Key == tag.Text);

    /// <summary>Makes what is missing of it and starts it. What it is told by <paramref name="record"/> is on its disk when it does.</summary>
    public async Task EnsureAsync(FenceSpec fence, FenceRecord record, IReadOnlyList<OwnedSwitch> switches, CimPath uplink, CancellationToken stop)
    {
        await EnsureDisksAsync(record, stop);
        await context.UntilAsync($"Making the gateway of fence {fence.Tag}", async () =>
        {
            if (await FindAsync(fence.Tag, stop) is not null) return true;
            var folder = store.Folder(fence.Tag);
            await context.Jobs.RunAsync(await context.Services.SystemsAsync(stop), VirtualSystemManagementService.DefineSystem(systemSettings: new CimObject(VirtualSystemSettingData.ClassName)
                .With(VirtualSystemSettingData.ElementName, NameOf(fence.Tag)).With(VirtualSystemSettingData.VirtualSystemSubType, HardwareKinds.FirstGeneration)
                .With(VirtualSystemSettingData.Notes, new OwnedMark(context.Options.Prefix, MarkKind.Gateway, fence.Tag.Text, $"{fence.Environment}/{fence.Weave}").ToNotes())
                .With(VirtualSystemSettingData.ConfigurationDataRoot, folder).With(VirtualSystemSettingData.SnapshotDataRoot, folder).With(VirtualSystemSettingData.SuspendDataRoot, folder).With(VirtualSystemSettingData.SwapFileDataRoot, folder)
                .With(VirtualSystemSettingData.AutomaticStartupAction, DoNothing).With(VirtualSystemSettingData.AutomaticShutdownAction, TurnsOff)
                .With(VirtualSystemSettingData.AutomaticSnapshotsEnabled, false).With(VirtualSystemSettingData.UserSnapshotType, NoCheckpoints)), context.Options.StatePatience, stop);
            return false;
        }, stop);
        var machine = (await FindAsync(fence.Tag, stop))!;
        var parts = await context.Machines.ReadAsync(machine.Settings, stop);
        var nics = Nics(fence, switches, uplink).ToList();
        if (machine.State != MachineStates.Off && (new[] { System, Settings }.Any(t => parts.Disks.All(d => d.Target != t)) || nics.Any(n => parts.Nics.All(p => p.Mac != n.Mac || p.Connection is null))))
        {
            // What is missing can only be put in while it is off.
            await TurnOffAsync(machine, stop);
            machine = (await FindAsync(fence.Tag, stop))!;
        }
        if (machine.State == MachineStates.Off && parts.Find(MemorySettingData.ClassName) is { } memory && memory.Find(MemorySettingData.VirtualQuantity) != Megabytes)
            await _hardware.ModifyAsync(new CimObject(MemorySettingData.ClassName).With(MemorySettingData.InstanceID, memory.Get(MemorySettingData.InstanceID)).With(MemorySettingData.VirtualQuantity, Megabytes).With(MemorySettingData.DynamicMemoryEnabled, false), stop);
        await _hardware.PutDiskAsync(machine, System, SystemDisk(fence.Tag), stop);
        await _hardware.PutDiskAsync(machine, Settings, SettingsDisk(fence.Tag), stop);
        foreach (var (mac, name, place) in nics) await _hardware.PutNicAsync(machine, mac, name, place, stop);
        await StartAsync(machine, stop);
    }

    /// <summary>What is missing of it, a sentence each.</summary>
    public async Task<IReadOnlyList<string>> InspectAsync(FenceSpec fence, IReadOnlyList<OwnedSwitch> switches, CimPath? uplink, CancellationToken stop)
    {
        if (await FindAsync(fence.Tag, stop) is not { } machine) return [$"its gateway {NameOf(fence.Tag)} is gone"];
        var missing = new List<string>();
        if (machine.State != MachineStates.Running) missing.Add($"its gateway {NameOf(fence.Tag)} does not run");
        var parts = await context.Machines.ReadAsync(machine.Settings, stop);
        foreach (var target in (string[])[System, Settings])
            if (parts.Disks.All(d => d.Target != target)) missing.Add($"its gateway {NameOf(fence.Tag)} has lost its disk {target}");
        // A network whose switch is gone is told of as that.
        if (uplink is not null)
            foreach (var (mac, name, place) in Nics(fence, switches, uplink))
                if (parts.Nics.FirstOrDefault(n => n.Mac == mac) is not { Switch: { } on } || !on.Equals(place)) missing.Add($"its gateway is not connected to network {name}");
        return missing;
    }

    /// <summary>Ends it and removes it, with its disks; gone already: success.</summary>
    public async Task RetireAsync(FenceTag tag, CancellationToken stop)
    {
        while (await FindAsync(tag, stop) is { } machine)
        {
            await TurnOffAsync(machine, stop);
            try
            {
                await context.Jobs.RunAsync(await context.Services.SystemsAsync(stop), VirtualSystemManagementService.DestroySystem(machine.System), context.Options.StatePatience, stop);
            }
            catch (HostException e) when (e.Kind == HostErrorKind.OutcomeUnknown)
            {
                // The next look tells.
            }
        }
        foreach (var file in (string[])[SystemDisk(tag), SettingsDisk(tag)]) await context.Files.DeleteAsync(file, stop);
    }

    private IEnumerable<(string Mac, string Name, CimPath Place)> Nics(FenceSpec fence, IReadOnlyList<OwnedSwitch> switches, CimPath uplink)
    {
        yield return (GatewayText.UplinkMac(fence.Tag), "uplink", uplink);
        for (var i = 0; i < fence.Networks.Count; i++)
            if (fence.Networks[i].Gateway is not null && SwitchBoard.Of(switches, fence.Tag, fence.Networks[i].Name) is { } place)
                yield return (GatewayText.LegMac(fence.Tag, fence.Networks[i], i), fence.Networks[i].Name.Text, place);
    }

    private async Task EnsureDisksAsync(FenceRecord record, CancellationToken stop)
    {
        var (system, settings) = (SystemDisk(record.Tag), SettingsDisk(record.Tag));
        await context.UntilAsync($"Making the disk of the gateway of fence {record.Tag}", async () =>
        {
            if (await context.Files.FindAsync(system, stop) is not null) return true;
            try
            {
                await context.Jobs.RunAsync(await context.Services.ImagesAsync(stop), ImageManagementService.CreateVirtualHardDisk(DiskFiles.LayerOn(context.Options.GatewayImage!, system)), context.Options.StatePatience, stop);
            }
            catch (HostException e) when (e.Kind == HostErrorKind.NotFound)
            {
                throw new WeaveException(Fault.Unavailable, $"The gateway's image {Ids.QuotePath(context.Options.GatewayImage)} is not there.", $"Put it back, or set {nameof(HyperVOptions.GatewayImage)} to where it is.", e);
            }
            return false;
        }, stop);
        if (await context.Files.FindAsync(settings, stop) is not null) return;
        var text = new byte[GatewayText.DiskBytes];
        var length = Encoding.ASCII.GetBytes(record.Settings, text);
        await new DiskFiles(context).WriteAsync(settings, GatewayText.DiskBytes, text.AsMemory(0, length), stop);
    }

    private async Task StartAsync(HostMachine machine, CancellationToken stop)
    {
        if (machine.State == MachineStates.Running) return;
        // Hyper-V grants a machine the disks that are attached to it, and what they stand on perhaps not.
        if (!(await context.Record.ReadAsync(stop)).GrantsParents) await context.Files.GrantAsync(context.Options.GatewayImage!, machine.Id, stop);
        await _states.RequestAsync(machine.System, StateChange.Start, s => s == MachineStates.Running, context.Options.StatePatience, stop);
    }

    private async Task TurnOffAsync(HostMachine machine, CancellationToken stop)
    {
        if (machine.State != MachineStates.Off) await _states.RequestAsync(machine.System, StateChange.TurnOff, s => s == MachineStates.Off, context.Options.StatePatience, stop);
    }
}
