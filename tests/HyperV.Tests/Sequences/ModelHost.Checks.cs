using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Machines;
using WeaveHypervisor.HyperV.Owned;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.HyperV.Tests.Sequences;

/// <summary>That the host is what the model says.</summary>
internal sealed partial class ModelHost
{
    /// <param name="all">With what the driver itself says of it, and all that may be left on a host.</param>
    private async Task CheckAsync(bool all)
    {
        foreach (var (line, machine) in Everybody)
        {
            var who = $"{line.Name}/{machine.Ref.Name}";
            if (all)
            {
                var facts = await _driver.InspectAsync(machine.Ref, Stop);
                Assert.Equal((who, line.IsMain || machine.State != RunState.Off ? machine.State : null), (who, facts?.RunState));
                foreach (var volume in facts is null ? [] : machine.Volumes) Assert.Equal((who, volume.Head.Ref.Path), (who, facts!.VolumePaths[volume.Target]));
            }
            if (machine.Id is not { } id) continue;
            CheckGuest(who, line, machine, id);
            for (var disk = 0; disk < machine.Volumes.Count; disk++)
                Assert.Equal($"{who} {disk} {machine.Volumes[disk].Content}", $"{who} {disk} {Content.Read((offset, length) => Host.ReadDisk(id, disk, offset, length))}");
            if (machine.Firmware.Length > 0) Assert.True(await _bench.HasMarkAsync(machine.Ref, machine.Firmware, Stop), $"{who}: the firmware has forgotten {machine.Firmware}");
        }
        foreach (var (port, (line, machine)) in _ports) Assert.Equal((port, machine.State == RunState.Running ? machine.Id : null), (port, Host.BehindPort(port)));
        foreach (var (line, machine) in Everybody.Where(e => e.Line.IsMain || stage.Gateway)) Assert.Equal(machine.State == RunState.Running ? machine.Id : null, Host.Behind(AddressOf(line, machine)));
        var there = Everybody.Where(e => e.Machine.Id is not null).Select(e => e.Machine.Id!.Value).Order();
        Assert.Equal(there, Host.MachineNames().Where(m => !m.Name.Contains("gateway", StringComparison.OrdinalIgnoreCase)).Select(m => m.Id).Order());
        if (all) await CheckLeftAsync();
    }

    private void CheckGuest(string who, Line line, ModelMachine machine, Guid id)
    {
        var (state, guest) = (Host.StateOf(id), Host.Guest(id));
        ushort[] states = machine.State switch { RunState.Running => [MachineStates.Running], RunState.Paused => line.IsMain ? [MachineStates.Paused] : [MachineStates.Paused, MachineStates.Saved], _ => machine.IsSaved ? [MachineStates.Saved] : [MachineStates.Off] };
        Assert.True(states.Contains(state), $"{who}: {state} instead of {string.Join(" or ", states)}");
        if (guest is null)
        {
            Assert.True(state is MachineStates.Saved or MachineStates.Off, $"{who}: no guest");
            return;
        }
        Assert.False(guest.IsCorrupt, $"{who}: the guest was resumed on disks that do not fit its memory");
        if (machine.Boot is { } boot) Assert.True(boot == guest.Boot, $"{who}: the guest was booted, and should have gone on");
        else Assert.True(_boots.Add(guest.Boot), $"{who}: the guest goes on, and should have been booted");
        Assert.True(guest.Count >= machine.Count, $"{who}: the guest has counted back, from {machine.Count} to {guest.Count}");
        (machine.Boot, machine.Count) = (guest.Boot, guest.Count);
    }

    /// <summary>Nothing is on the host that no line needs.</summary>
    private async Task CheckLeftAsync()
    {
        Assert.Empty(await _bench.Context.Machines.ListPlannedAsync(Stop));
        Assert.Empty((await Host.Files.ListAsync(_bench.Context.Paths.Work, true, Stop)).Select(f => f.Path));
        var owned = (await _driver.ListOwnedAsync(Stop)).Things;
        string[] Keys(Drivers.OwnedKind kind) => [.. owned.Where(t => t.Kind == kind).Select(t => t.Key).Order(StringComparer.Ordinal)];
        Assert.Equal(Everybody.Where(e => !e.Line.IsMain && e.Machine.Id is not null).Select(e => e.Machine.Ref.Uuid.ToString()).Order(StringComparer.Ordinal), Keys(Drivers.OwnedKind.Machine));
        Assert.Equal(_lines.Skip(1).Select(l => l.Tag.Text).Order(StringComparer.Ordinal), Keys(Drivers.OwnedKind.Fence));
        var files = _layers.Where(l => !l.IsAdopted).Select(l => l.Ref.Path).Concat(_lines.SelectMany(l => l.Machines).SelectMany(m => m.States).Select(s => s.Path))
            .Concat(_moments.SelectMany(m => m.Machines).SelectMany(m => m.States.Select(s => s.Path).Concat(m.Memory is { } memory ? [memory.FlatPath, memory.DeviceStatePath] : [])));
        Assert.Equal(files.Order(StringComparer.Ordinal), Keys(Drivers.OwnedKind.File));
        Assert.Equal(Everybody.Count(e => !e.Line.IsMain && e.Machine.Id is not null), (await Host.Files.ListAsync(_bench.Context.Paths.Copies, false, Stop)).Count);
    }

    /// <summary>The user has what he had, and the host nothing of ours.</summary>
    private async Task CheckReleasedAsync()
    {
        await CheckLeftAsync();
        Assert.Empty((await _driver.ListOwnedAsync(Stop)).Things);
        Assert.Empty((await _driver.ListOwnedAsync(Stop)).Endpoints);
        foreach (var machine in Main.Machines)
        {
            var found = (await _bench.Context.Machines.FindAsync(machine.Ref, Stop))!;
            Assert.Empty(await _bench.Context.Machines.CheckpointsAsync(found, Stop));
            Assert.All(await new HostSwitches(_bench.Context).ListAsync(Stop), s => Assert.Null(s.Mark));
        }
        Assert.Equal(stage.Disks.Count, Host.MachineNames().Count);
        Assert.Equal(_files, await FilesAsync(), HostPath.Comparer);
    }

    /// <summary>Files of the host but those by which the driver knows it, and memory of saved machines.</summary>
    private async Task<IReadOnlyList<string>> FilesAsync() => [.. (await Host.Files.ListAsync(@"C:\", true, Stop)).Where(f => !f.IsFolder && !HostPath.Ending(f.Path).Equals(".vmrs", StringComparison.OrdinalIgnoreCase)
        && !(HostPath.Folder(f.Path).Equals(_bench.Context.Paths.Root, StringComparison.OrdinalIgnoreCase) && HostPath.Ending(f.Path) == ".json")).Select(f => f.Path).Order(HostPath.Comparer)];
}
