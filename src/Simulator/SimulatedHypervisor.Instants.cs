using System.Text.Json;
using System.Text.Json.Serialization;
using WeaveHypervisor.Disks;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Simulator;

/// <summary>Captures and copies.</summary>
public sealed partial class SimulatedHypervisor
{
    public async Task<CaptureResult> CaptureAsync(CaptureRequest request, IProgress<Progress>? progress, CancellationToken stop)
    {
        Begin(stop);
        var members = host.Locked(() => request.Machines.Select(m => (Request: m, Machine: m.Exists ? Find(m.Machine) ?? throw Missing(m.Machine) : null)).ToList());
        foreach (var (member, machine) in members)
            foreach (var volume in member.Volumes)
                if (machine is not null && machine.Disks.GetValueOrDefault(volume.Target)?.Path != volume.Head.Path)
                    throw new WeaveException(Fault.Conflict, $"{Ids.Quote(member.Machine.HypervisorName)} does not use {Ids.Quote(volume.Head.Path)} as {volume.Target}.", "Run the doctor.");
        foreach (var (member, _) in members)
            foreach (var volume in member.Volumes) host.Locked(() => MakeOverlay(volume.NewHead, volume.Head));
        await Reach("capture:prepared", stop);

        var paused = new List<SimulatedMachine>();
        var captured = new List<CapturedMachine>();
        var quiesced = new Dictionary<MachineName, Quiescing?>();
        DateTimeOffset at;
        try
        {
            foreach (var (member, machine) in members)
            {
                quiesced[member.Machine.Name] = host.Locked(() =>
                {
                    if (machine is not null) machine.Capturing = true;
                    return Freeze(machine, request);
                });
                await Reach($"capture:frozen:{member.Machine.Name}", stop);
            }
            foreach (var (member, machine) in members)
            {
                if (machine is not { RunState: RunState.Running }) continue;
                host.Locked(() => (machine.RunState, machine.PausedByCapture) = (RunState.Paused, true));
                paused.Add(machine);
                await Reach($"capture:paused:{member.Machine.Name}", stop);
            }
            at = host.Clock.GetUtcNow();
            foreach (var (member, machine) in members)
            {
                if (machine is not null)
                    foreach (var volume in member.Volumes)
                        host.Locked(() => machine.Disks[volume.Target] = new(volume.NewHead.Path, volume.NewHead.Format, volume.NewHead.VirtualSize));
                await Reach($"capture:switched:{member.Machine.Name}", stop);
                var (state, method, reason, memory) = (RunState.Off, "off", (string?)null, (MemoryImage?)null);
                if (machine is { RunState: RunState.Paused })
                {
                    state = paused.Contains(machine) ? RunState.Running : RunState.Paused;
                    if (request.Memory && machine.MemoryRefusal is null)
                    {
                        memory = SaveMemory(machine, member);
                        method = Maps(machine, member.Base) ? "private" : state == RunState.Paused ? "suspended" : "background";
                    }
                    else (method, reason) = ("disk", request.Memory ? machine.MemoryRefusal : null);
                }
                captured.Add(new(member.Machine.Name, state, memory, method, reason, machine is not null && paused.Contains(machine) ? host.Pause : TimeSpan.Zero, machine?.Nics ?? []) { States = SaveStates(machine, member), Quiescing = quiesced[member.Machine.Name] });
                await Reach($"capture:saved:{member.Machine.Name}", stop);
            }
        }
        finally
        {
            host.Locked(() =>
            {
                paused.ForEach(LetGo);
                foreach (var machine in members.Select(m => m.Machine).OfType<SimulatedMachine>())
                {
                    machine.Capturing = false;
                    Thaw(machine);
                }
            });
        }
        await Reach("capture:done", stop);
        progress?.Report(new("captured", 1, 1));
        return new(at, Consistencies.Of(request, captured), TimeSpan.FromMilliseconds(Math.Max(0, paused.Count - 1)), captured);
    }

    public Task<IReadOnlyList<HeadReport>> AbandonCaptureAsync(CaptureRequest request, CancellationToken stop) => Do<IReadOnlyList<HeadReport>>(stop, () =>
    {
        var reports = new List<HeadReport>();
        foreach (var member in request.Machines)
        {
            foreach (var path in (string[])[member.FlatPath, member.DeviceStatePath, .. member.States.Select(s => s.Path)])
            {
                RequireOurs(path);
                Forget(path);
            }
            var machine = Find(member.Machine);
            if (machine is not null)
            {
                LetGo(machine);
                Thaw(machine);
            }
            foreach (var volume in member.Volumes)
            {
                RequireOurs(volume.NewHead.Path);
                // Of a machine that is gone meanwhile a new head that holds data is kept: it had taken over.
                var switched = machine is null ? host.Content.GetValueOrDefault(volume.NewHead.Path) is { Count: > 0 } : machine.Disks.GetValueOrDefault(volume.Target)?.Path == volume.NewHead.Path;
                if (!switched) Forget(volume.NewHead.Path);
                reports.Add(new(member.Machine.Name, volume.Volume, switched ? volume.NewHead.Id : volume.Head.Id));
            }
        }
        return reports;
    });

    public async Task<IReadOnlyList<StartedMachine>> InstantiateAsync(InstantiateRequest request, IProgress<Progress>? progress, CancellationToken stop)
    {
        Begin(stop);
        var started = new List<StartedMachine>();
        var made = new List<Guid>();
        try
        {
            foreach (var copy in request.Machines)
            {
                await Reach($"instantiate:{copy.Machine.Name}", stop);
                started.Add(host.Locked(() => Start(request, copy, made)));
            }
            await Reach("instantiate:done", stop);
            return started;
        }
        catch
        {
            host.Locked(() => made.ForEach(uuid => host.Machines.Remove(uuid)));
            throw;
        }
    }

    private static void LetGo(SimulatedMachine machine)
    {
        if (machine is { PausedByCapture: true, RunState: RunState.Paused }) machine.RunState = RunState.Running;
        machine.PausedByCapture = false;
    }

    private StartedMachine Start(InstantiateRequest request, CopyMachine copy, List<Guid> made)
    {
        var name = copy.Machine.Name;
        if (Find(copy.Machine) is { } there) return new(name, there.RunState, "kept", null, default, default, default);
        if (copy.RunState == RunState.Off) return new(name, RunState.Off, "off", null, default, default, default);
        if (host.Standing(request.Tag) is null) throw new WeaveException(Fault.NotFound, $"The fence {request.Tag} of weave {request.Weave} is not there.", "Make the fence first.");
        if (host.Machines.ContainsKey(copy.Machine.Uuid) || host.Machines.Values.Any(m => m.Ref.HypervisorName == copy.Machine.HypervisorName))
            throw new WeaveException(Fault.AlreadyExists, $"Another machine has the name {Ids.Quote(copy.Machine.HypervisorName)} or the UUID {copy.Machine.Uuid}.");
        var machine = new SimulatedMachine
        {
            Ref = copy.Machine, Tag = request.Tag, MemoryBytes = copy.Blueprint.MemoryBytes, Nics = copy.Blueprint.Nics, MemoryRefusal = copy.Blueprint.MemoryRefusal,
            RunState = request.LeavePaused ? RunState.Paused : copy.RunState,
            Agent = host.Machines.Values.FirstOrDefault(m => DefinitionOf(m) == copy.Blueprint.Definition)?.Agent ?? SimulatedAgent.Missing,
        };
        foreach (var head in copy.Heads)
        {
            if (!File.Exists(head.Head.Path)) throw new WeaveException(Fault.DataLoss, $"The layer {Ids.Quote(head.Head.Path)} of {name}/{head.Volume} is missing.", "Run the doctor.");
            if (host.Machines.Values.FirstOrDefault(m => m.Disks.Values.Any(d => d.Path == head.Head.Path)) is { } user)
                throw new WeaveException(Fault.Conflict, $"The layer {Ids.Quote(head.Head.Path)} is in use by {Ids.Quote(user.Ref.HypervisorName)}.");
            machine.Disks[head.Target] = new(head.Head.Path, head.Head.Format, head.Head.VirtualSize);
        }
        if (copy.States.FirstOrDefault(s => s.Kind == StateKind.Nvram) is { } nvram)
        {
            machine.Nvram = nvram.Path;
            if (!File.Exists(nvram.Path))
            {
                DurableFile.CreateDirectory(Path.GetDirectoryName(nvram.Path)!, FolderMode);
                File.WriteAllText(nvram.Path, "fresh");
            }
        }
        if (copy.Memory is { } memory) LoadMemory(machine, memory);
        else machine.Boot();
        host.Machines[copy.Machine.Uuid] = machine;
        made.Add(copy.Machine.Uuid);
        return new(name, machine.RunState, copy.Memory is null ? "boot" : "shared", null, TimeSpan.FromMilliseconds(1), TimeSpan.FromMilliseconds(1), TimeSpan.FromMilliseconds(1));
    }

    private static List<StateFile> SaveStates(SimulatedMachine? machine, CaptureMachine member) => [.. member.States
        .Select(s => (State: s, From: s.Own ?? machine?.Nvram)).Where(s => File.Exists(s.From)).Select(s => new StateFile(s.State.Kind, s.State.Path, CopyState(s.From!, s.State.Path)))];

    private static bool Maps(SimulatedMachine machine, MemoryImage? image) => image is not null && machine.Maps == image.FlatPath && File.Exists(image.FlatPath);

    /// <summary>On the base that the machine maps, or on that of the newest image where the machine was not booted since; else a base of its own.</summary>
    private static MemoryImage SaveMemory(SimulatedMachine machine, CaptureMachine member)
    {
        var shared = Maps(machine, member.Base) ? member.Base
            : member.Newest is { } newest && newest.RamBytes == machine.MemoryBytes && File.Exists(newest.FlatPath) && ReadRam(newest.FlatPath).Nonce == machine.Nonce ? newest : null;
        DurableFile.CreateDirectory(Path.GetDirectoryName(member.FlatPath)!, FolderMode);
        if (shared is null)
            DurableFile.Write(member.FlatPath, file =>
            {
                WriteRam(file, machine);
                file.SetLength(machine.MemoryBytes);
            });
        DurableFile.Write(member.DeviceStatePath, file => WriteRam(file, machine));
        return new()
        {
            FlatPath = shared?.FlatPath ?? member.FlatPath, DeviceStatePath = member.DeviceStatePath, RamBytes = machine.MemoryBytes, MainBlock = "pc.ram", SharesBase = shared is not null,
            StoredBytes = (shared is null ? FileFacts.Read(member.FlatPath).AllocatedBytes : 0) + FileFacts.Read(member.DeviceStatePath).AllocatedBytes,
        };
    }

    /// <summary>The present of the RAM is in the device state, as the pages that differ are; the base must be there all the same.</summary>
    private static void LoadMemory(SimulatedMachine machine, MemoryImage memory)
    {
        if (FileFacts.Read(memory.FlatPath).Length is var length && length != memory.RamBytes)
            throw new WeaveException(Fault.DataLoss, $"The memory image {Ids.Quote(memory.FlatPath)} has {length} bytes, not {memory.RamBytes}.", "Use another snapshot.");
        ReadRam(memory.FlatPath);
        var saved = ReadRam(memory.DeviceStatePath);
        (machine.Nonce, machine.Counter, machine.Maps) = (saved.Nonce, saved.Counter, memory.FlatPath);
    }

    private static void WriteRam(Stream file, SimulatedMachine machine)
    {
        JsonSerializer.Serialize(file, new SavedRam(machine.Nonce, machine.Counter), RamJson.Default.SavedRam);
        file.WriteByte(0);
    }

    private static SavedRam ReadRam(string path)
    {
        var (handle, facts) = FileFacts.OpenRegular(path);
        using (handle)
        {
            var head = new byte[Math.Min(4096, facts.Length)];
            var length = head.AsSpan(0, RandomAccess.Read(handle, head, 0)).IndexOf((byte)0);
            try
            {
                return JsonSerializer.Deserialize(head.AsSpan(0, Math.Max(0, length)), RamJson.Default.SavedRam)!;
            }
            catch (JsonException error)
            {
                throw new WeaveException(Fault.DataLoss, $"The memory image {Ids.Quote(path)} is damaged.", "Use another snapshot.", error);
            }
        }
    }

    private async Task Reach(string point, CancellationToken stop)
    {
        stop.ThrowIfCancellationRequested();
        if (host.At is { } at) await at(point, stop);
    }

    internal sealed record SavedRam(string Nonce, int Counter);

    [JsonSerializable(typeof(SavedRam))]
    internal sealed partial class RamJson : JsonSerializerContext;
}
