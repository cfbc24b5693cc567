using WeaveHypervisor.Disks;
using WeaveHypervisor.Disks.Qcow2;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Simulator;

/// <summary>The driver of a <see cref="SimulatedHost"/>. Holds nothing of its own: any number of drivers may be made on one host.</summary>
/// <param name="rulesReason">Why it enforces no rules, for tests of what is said then; null: it does.</param>
public sealed partial class SimulatedHypervisor(SimulatedHost host, string? rulesReason = null) : IHypervisorDriver, IMachineExports, IMachineImports
{
    private const UnixFileMode FolderMode = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute | UnixFileMode.GroupExecute;

    public DriverCapabilities Capabilities { get; } = new("simulator", MemoryCapture: true, MemorySharing: true, null, HotPlug: true, Fences: true, DiskFormat.Qcow2) { RulesReason = rulesReason };

    public Task<HostFacts> InspectHostAsync(CancellationToken stop)
    {
        stop.ThrowIfCancellationRequested();
        Finding finding = host.IsUp ? new(FindingLevel.Ok, "hypervisor", "The simulated host answers.", null) : new(FindingLevel.Error, "hypervisor", "The simulated host does not answer.", "Switch it on.");
        return Task.FromResult(new HostFacts("simulator", "1", new Dictionary<string, string> { ["root"] = host.Root }, [finding]));
    }

    public Task<Examination> ExamineAsync(IReadOnlyList<MachineRequest> machines, CancellationToken stop) => Do(stop, () =>
    {
        var refusals = new List<Refusal>();
        var found = new List<(MachineRequest Request, SimulatedMachine Machine)>();
        foreach (var request in machines)
        {
            var subject = $"machine {request.HypervisorName}";
            var machine = host.Machines.Values.FirstOrDefault(m => m.Ref.Uuid.ToString() == request.HypervisorName) ?? host.Machines.Values.FirstOrDefault(m => m.Ref.HypervisorName == request.HypervisorName);
            if (machine is null) refusals.Add(new(subject, "there is no such machine", "Use the name of a machine of this host."));
            else if (machine.Tag is not null) refusals.Add(new(subject, "it is a copy that was made here", "Adopt originals only."));
            else if (found.Any(f => f.Machine == machine || f.Request.Name == request.Name)) refusals.Add(new(subject, "the machine or its name is asked for twice", "Name every machine once."));
            else
            {
                refusals.AddRange(machine.Refusals.Select(r => new Refusal(subject, r, "Change the machine.")));
                refusals.AddRange(machine.Disks.Where(d => !File.Exists(d.Value.Path)).Select(d => new Refusal($"{subject}, disk {d.Key}", $"its file {Ids.Quote(d.Value.Path)} is missing", "Restore the file.")));
                found.Add((request, machine));
            }
        }
        var blueprint = new EnvironmentBlueprint
        {
            Machines = [.. found.Select(f => new MachineBlueprint
            {
                Name = f.Request.Name, Definition = DefinitionOf(f.Machine), MemoryBytes = f.Machine.MemoryBytes, VirtualCpus = 1, Nics = f.Machine.Nics, States = f.Machine.Nvram is null ? [] : [StateKind.Nvram], MemoryRefusal = f.Machine.MemoryRefusal,
                Volumes = [.. f.Machine.Disks.Select(d => new VolumeBlueprint { Name = VolumeName.Parse(d.Key), Target = d.Key, VirtualSize = d.Value.VirtualSize })],
            })],
            Networks = [.. found.SelectMany(f => f.Machine.Nics).Select(n => n.Network).Distinct().Select(n => host.Networks[n])],
        };
        return new Examination(blueprint, [.. found.Select(f => new ExaminedMachine(f.Machine.Ref with { Name = f.Request.Name }, f.Machine.RunState,
            [.. f.Machine.Disks.Select(d => new ExaminedVolume(VolumeName.Parse(d.Key), d.Value.Path, d.Value.Format, d.Value.VirtualSize))]))], refusals);
    });

    public Task<MachineFacts?> InspectAsync(MachineRef machine, CancellationToken stop) => Do(stop, () => Find(machine) is not { } m ? null : new MachineFacts(m.RunState,
        m.Disks.ToDictionary(d => d.Key, d => d.Value.Path), m.Nics.ToDictionary(n => n.Mac, n => n.Addresses), m.RunState == RunState.Off ? 0 : m.MemoryBytes, m.RunState == RunState.Off ? 0 : 1 << 20) { Trouble = m.Trouble });

    public string PlaceLayer(EnvironmentId environment, FenceTag weave, LayerId layer) => Path.Combine(host.Tree, environment.Text, weave.Text, "layers", layer.Text + ".qcow2");

    public (string Flat, string DeviceState) PlaceMemory(EnvironmentId environment, SnapshotId snapshot, MachineName machine)
    {
        var stem = Path.Combine(host.Tree, environment.Text, "memory", snapshot.Text, machine.Text);
        return (stem + ".ram", stem + ".state");
    }

    public string PlaceState(EnvironmentId environment, SnapshotId snapshot, MachineName machine, StateKind kind) =>
        Path.Combine(host.Tree, environment.Text, "memory", snapshot.Text, $"{machine}.{kind.ToString().ToLowerInvariant()}");

    public string PlaceState(EnvironmentId environment, FenceTag weave, MachineRef copy, StateKind kind) =>
        Path.Combine(host.Tree, environment.Text, weave.Text, "state", $"{copy.Uuid:N}.{kind.ToString().ToLowerInvariant()}");

    public Task<IReadOnlyList<string>> FindMissingAsync(IReadOnlyList<string> paths, CancellationToken stop) => Do<IReadOnlyList<string>>(stop, () => [.. paths.Where(p => !File.Exists(p))]);

    public Task<StorageFacts> InspectStorageAsync(CancellationToken stop) => Do(stop, () => new StorageFacts(host.Tree, host.FreeBytes, Math.Max(host.FreeBytes, 1L << 40)));

    public Task<IReadOnlyDictionary<string, long>> MeasureFilesAsync(IReadOnlyList<string> paths, CancellationToken stop) => Do<IReadOnlyDictionary<string, long>>(stop, () =>
        paths.Distinct().Where(File.Exists).ToDictionary(p => p, p => FileFacts.Read(p).AllocatedBytes));

    public Task CreateOverlayAsync(LayerRef layer, LayerRef parent, CancellationToken stop) => Do(stop, () => MakeOverlay(layer, parent));

    public async Task WriteLayerAsync(LayerRef layer, LayerRef parent, LayerContent content, IProgress<Progress>? progress, CancellationToken stop)
    {
        Begin(stop);
        RequireOurs(layer.Path);
        DurableFile.CreateDirectory(Path.GetDirectoryName(layer.Path)!, FolderMode);
        await Reach("write:begun", stop);
        await Qcow2Writer.WriteOnceAsync(layer.Path, new(layer.VirtualSize, parent.Path, parent.Format, SimulatedHost.ClusterBytes), content.Ranges, content.Read, content.Below, null, stop);
        host.Locked(() => host.Below[layer.Path] = parent.Path);
        progress?.Report(new("copying what differs", content.Bytes, content.Bytes));
        await Reach("write:done", stop);
    }

    public Task CreateStateAsync(StateFile captured, string path, CancellationToken stop) => Do(stop, () =>
    {
        RequireOurs(path);
        if (!File.Exists(captured.Path)) throw new WeaveException(Fault.DataLoss, $"The state file {Ids.Quote(captured.Path)} is missing.", "Use another snapshot.");
        if (!File.Exists(path)) CopyState(captured.Path, path);
    });

    public Task DeleteFilesAsync(IReadOnlyList<string> paths, CancellationToken stop) => Do(stop, () =>
    {
        foreach (var path in paths) RequireOurs(path);
        foreach (var path in paths) Forget(path);
    });

    public Task<FenceFacts> MakeFenceAsync(FenceSpec fence, CancellationToken stop) => Do(stop, () =>
    {
        if (fence.Groups.Count > 0) RequireRules();
        if (host.Fences.GetValueOrDefault(fence.Tag) is not { } made)
        {
            Span<bool> taken = stackalloc bool[16384];
            foreach (var other in host.Fences.Values) taken[other.Block] = true;
            var block = taken.IndexOf(false);
            if (block < 0) throw new WeaveException(Fault.Exhausted, $"The fence of {fence.Environment}/{fence.Weave} gets no addresses: all {taken.Length} blocks of 100.64.0.0/10 are taken.", "Delete weaves.");
            var next = 2;
            var addresses = from machine in fence.Machines from nic in machine.Nics from inner in nic.Addresses
                            select new MachineAddress(machine.Name, nic.Mac, inner, $"100.{64 + block / 256}.{block % 256}.{next++}");
            made = new(block, [.. addresses], fence);
        }
        host.Fences[fence.Tag] = made with { Spec = fence, Stands = true };
        host.Damages.Remove(fence.Tag);
        return new FenceFacts(made.Addresses);
    });

    public Task<IReadOnlyList<string>> InspectFenceAsync(FenceSpec fence, CancellationToken stop) => Do<IReadOnlyList<string>>(stop, () =>
        host.Standing(fence.Tag) is not { } made ? ["it is gone from the host"]
        : [.. host.Damages.GetValueOrDefault(fence.Tag) ?? [], .. made.Spec.Groups.SequenceEqual(fence.Groups) ? [] : (string[])["its security groups are others"]]);

    public Task RetireFenceAsync(FenceTag tag, CancellationToken stop) => Do(stop, () => { host.Fences.Remove(tag); });

    public Task RetireAsync(MachineRef machine, CancellationToken stop) => Do(stop, () =>
    {
        if (Find(machine) is not { } found) return;
        if (found.Tag is null) throw new WeaveException(Fault.InvalidRequest, $"{Ids.Quote(machine.HypervisorName)} was not made here and cannot be retired.", "Release the environment instead.");
        host.Machines.Remove(machine.Uuid);
    });

    public Task ChangePowerAsync(IReadOnlyList<MachineRef> machines, PowerChange change, TimeSpan patience, CancellationToken stop) => Do(stop, () =>
    {
        foreach (var machine in machines)
        {
            if (Find(machine) is not { } found)
            {
                if (change is PowerChange.ShutDown or PowerChange.PowerOff) continue;     // a copy that is off is not there
                throw Missing(machine);
            }
            found.RunState = (change, found.RunState) switch
            {
                (PowerChange.Start, _) when found.Tag is not null => throw new WeaveException(Fault.InvalidRequest, $"{Ids.Quote(machine.HypervisorName)} is a copy; copies are started with their weave."),
                (PowerChange.Start, RunState.Off) => Booted(found),
                (PowerChange.Start, var state) => state,
                (PowerChange.Resume, _) when found.Trouble is not null && host.FreeBytes > 0 => Resumed(found),
                (PowerChange.Pause or PowerChange.Resume, RunState.Off) => throw new WeaveException(Fault.Conflict, $"{Ids.Quote(machine.HypervisorName)} is off.", "Start it first."),
                (PowerChange.Pause, _) => RunState.Paused,
                (PowerChange.Resume, _) => RunState.Running,
                (PowerChange.ShutDown, RunState.Paused) => throw new WeaveException(Fault.Conflict, $"{Ids.Quote(machine.HypervisorName)} is paused and cannot shut down.", "Resume it first."),
                _ => RunState.Off,
            };
            if (found.RunState == RunState.Off && found.Tag is not null) host.Machines.Remove(machine.Uuid);
        }
    });

    public Task ReturnVolumesAsync(MachineRef machine, IReadOnlyList<ReturnedVolume> volumes, IProgress<Progress>? progress, CancellationToken stop) => Do(stop, () =>
    {
        var found = Find(machine) ?? throw Missing(machine);
        foreach (var volume in volumes)
        {
            var disk = found.Disks.GetValueOrDefault(volume.Target) ?? throw new WeaveException(Fault.NotFound, $"{Ids.Quote(machine.HypervisorName)} has no disk {Ids.Quote(volume.Target)}.");
            if (volume.Chain.Count == 0 || disk.Path == volume.Adopted.Path) continue;
            if (disk.Path != volume.Chain[^1].Path) throw new WeaveException(Fault.Conflict, $"{Ids.Quote(machine.HypervisorName)} uses {Ids.Quote(disk.Path)}, not the live layer that was to be merged.", "Run the doctor.");
            if (HoldsBytes(volume.Chain)) host.Return(disk.Path, volume.Chain.Count, volume.Adopted.Path);
            foreach (var layer in volume.Chain)
            {
                host.ContentOf(volume.Adopted.Path).AddRange(host.ContentOf(layer.Path));
                host.ContentOf(layer.Path).Clear();
            }
            found.Disks[volume.Target] = new(volume.Adopted.Path, volume.Adopted.Format, volume.Adopted.VirtualSize);
            progress?.Report(new($"merged {machine.Name}/{volume.Volume}", 1, 1));
        }
    });

    public Task PublishAsync(IReadOnlyList<PublishedEndpoint> endpoints, CancellationToken stop) => Do(stop, () =>
    {
        for (var i = 0; i < endpoints.Count; i++)
        {
            var wanted = endpoints[i];
            if (wanted.Sources is not null) RequireRules();
            if (host.ForeignListeners.Contains($"{wanted.Protocol.ToString().ToLowerInvariant()} {wanted.ListenPort}"))
                throw new WeaveException(Fault.Conflict, $"Port {wanted.ListenPort} cannot be published: another program listens on it.", "Use another port.");
            if (endpoints.Take(i).Any(e => e.Protocol == wanted.Protocol && e.ListenPort == wanted.ListenPort && (e.ListenAddress == wanted.ListenAddress || e.ListenAddress == "0.0.0.0" || wanted.ListenAddress == "0.0.0.0")))
                throw new WeaveException(Fault.Conflict, $"Port {wanted.ListenPort} is asked for twice.", "Use another port.");
        }
        host.Published = [.. endpoints];
    });

    public Task<OwnedThings> ListOwnedAsync(CancellationToken stop) => Do(stop, () =>
    {
        var files = Directory.Exists(host.Tree) ? Directory.EnumerateFiles(host.Tree, "*", SearchOption.AllDirectories) : [];
        return new OwnedThings(
        [
            .. host.Machines.Values.Where(m => m.Tag is not null).Select(m => new OwnedThing(OwnedKind.Machine, m.Ref.Uuid.ToString(), m.Ref.HypervisorName, 0)),
            .. host.Fences.Values.Select(f => new OwnedThing(OwnedKind.Fence, f.Spec.Tag.Text, $"fence of {f.Spec.Environment}/{f.Spec.Weave}", 0)),
            .. files.Select(f => new OwnedThing(OwnedKind.File, f, Path.GetFileName(f), FileFacts.Read(f).AllocatedBytes)),
        ], [.. host.Published]);
    });

    public Task RemoveOwnedAsync(OwnedThing thing, CancellationToken stop) => Do(stop, () =>
    {
        switch (thing.Kind)
        {
            case OwnedKind.Machine:
                if (!Guid.TryParse(thing.Key, out var uuid)) throw new WeaveException(Fault.InvalidRequest, $"{Ids.Quote(thing.Key)} is no machine's UUID.");
                if (host.Machines.GetValueOrDefault(uuid) is { Tag: null }) throw new WeaveException(Fault.InvalidRequest, $"Machine {uuid} was not made here.");
                host.Machines.Remove(uuid);
                break;
            case OwnedKind.Fence:
                host.Fences.Remove(FenceTag.Parse(thing.Key));
                break;
            default:
                RequireOurs(thing.Key);
                Forget(thing.Key);
                break;
        }
    });

    public Task AttachVolumeAsync(MachineRef machine, AttachedVolume volume, CancellationToken stop) => Do(stop, () =>
    {
        var found = Find(machine) ?? throw Missing(machine);
        if (found.Disks.GetValueOrDefault(volume.Target) is { } there && there.Path != volume.Layer.Path)
            throw new WeaveException(Fault.Conflict, $"{Ids.Quote(machine.HypervisorName)} has another disk as {volume.Target}.", "Use another target.");
        if (!File.Exists(volume.Layer.Path)) throw new WeaveException(Fault.DataLoss, $"The layer {Ids.Quote(volume.Layer.Path)} is missing.");
        found.Disks[volume.Target] = new(volume.Layer.Path, volume.Layer.Format, volume.Layer.VirtualSize);
    });

    public Task DetachVolumeAsync(MachineRef machine, string target, TimeSpan patience, CancellationToken stop) => Do(stop, () =>
    {
        var found = Find(machine) ?? throw Missing(machine);
        if (found.RunState != RunState.Off && found.Held.Contains(target)) throw new WeaveException(Fault.Busy, $"The guest of {Ids.Quote(machine.HypervisorName)} did not let go of {target} within {patience}.", "Unmount it in the guest.");
        found.Disks.Remove(target);
        found.Mounted.Remove(target);
    });

    public ValueTask DisposeAsync() => default;

    private static string DefinitionOf(SimulatedMachine machine) => $"simulated machine {machine.Ref.HypervisorName}";

    private static RunState Resumed(SimulatedMachine machine)
    {
        machine.Trouble = null;
        return RunState.Running;
    }

    private static RunState Booted(SimulatedMachine machine)
    {
        machine.Boot();
        return RunState.Running;
    }

    private SimulatedMachine? Find(MachineRef machine) => host.Machines.GetValueOrDefault(machine.Uuid) is { } found && found.Ref.HypervisorName == machine.HypervisorName ? found : null;

    private static WeaveException Missing(MachineRef machine) => new(Fault.NotFound, $"There is no machine {Ids.Quote(machine.HypervisorName)} with the UUID {machine.Uuid} on this host.", "Run the doctor.");

    private void MakeOverlay(LayerRef layer, LayerRef parent)
    {
        RequireOurs(layer.Path);
        DurableFile.CreateDirectory(Path.GetDirectoryName(layer.Path)!, FolderMode);
        Qcow2OverlayWriter.Write(layer.Path, parent.Path, parent.Format, layer.VirtualSize);
        host.Below[layer.Path] = parent.Path;
    }

    private void Forget(string path)
    {
        DurableFile.Delete(path);
        host.Content.Remove(path);
        host.Below.Remove(path);
    }

    private static long CopyState(string from, string to)
    {
        var content = File.ReadAllBytes(from);
        DurableFile.CreateDirectory(Path.GetDirectoryName(to)!, FolderMode);
        DurableFile.Write(to, file => file.Write(content));
        return content.Length;
    }

    private void RequireRules()
    {
        if (rulesReason is not null) throw new WeaveException(Fault.Unsupported, $"Rules cannot be enforced: {rulesReason}", "Clear them.");
    }

    private void RequireOurs(string path)
    {
        if (!Path.IsPathFullyQualified(path) || Path.GetFullPath(path) != path || !path.StartsWith(host.Tree + Path.DirectorySeparatorChar, StringComparison.Ordinal))
            throw new WeaveException(Fault.InvalidRequest, $"{Ids.Quote(path)} is not a file of the driver's own tree.", "Only layers and memory images that were made here can be given.");
    }

    private void Begin(CancellationToken stop)
    {
        stop.ThrowIfCancellationRequested();
        if (!host.IsUp) throw new WeaveException(Fault.Unavailable, "The simulated host does not answer.", "Switch it on.");
    }

    private Task<T> Do<T>(CancellationToken stop, Func<T> act)
    {
        try
        {
            Begin(stop);
            return Task.FromResult(host.Locked(act));
        }
        catch (OperationCanceledException)
        {
            return Task.FromCanceled<T>(stop);
        }
        catch (Exception error)
        {
            return Task.FromException<T>(error);
        }
    }

    private Task Do(CancellationToken stop, Action act) => Do(stop, () =>
    {
        act();
        return true;
    });
}
