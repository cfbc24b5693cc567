using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.HyperV.Tests.Sequences;

/// <summary>Moments of lines, and lines that are made from them.</summary>
internal sealed partial class ModelHost
{
    private ModelLayer Place(FenceTag tag, ModelLayer on)
    {
        var id = LayerId.New(_bench.Clock);
        return new(new(id, _driver.PlaceLayer(_environment, tag, id), _driver.Capabilities.LayerFormat, on.Ref.VirtualSize), on);
    }

    private async Task<string> CaptureAsync(Step step, Line line, bool memory)
    {
        var (snapshot, heads) = (SnapshotId.New(_bench.Clock), new Dictionary<LayerId, (ModelVolume Volume, ModelLayer Layer)>());
        var request = new CaptureRequest
        {
            Environment = _environment, Snapshot = snapshot, Memory = memory, Quiesce = step.B % 5 == 0,
            Machines = [.. line.Machines.Select(m =>
            {
                var (flat, state) = _driver.PlaceMemory(_environment, snapshot, m.Ref.Name);
                return new CaptureMachine(m.Ref, m.Id is not null, [.. m.Volumes.Select(v =>
                {
                    var head = Place(line.Tag, v.Head);
                    heads[head.Ref.Id] = (v, head);
                    return new CaptureVolume(v.Name, v.Target, v.Head.Ref, head.Ref);
                })], flat, state)
                {
                    States = [.. _examined.Blueprint.Machine(m.Ref.Name).States.Select(k => new CaptureState(k, _driver.PlaceState(_environment, snapshot, m.Ref.Name, k), m.States.SingleOrDefault(s => s.Kind == k)?.Path))],
                };
            })],
        };
        void Switch(LayerId live)
        {
            if (!heads.TryGetValue(live, out var head)) return;
            _layers.Add(head.Layer);
            head.Volume.Head = head.Layer;
        }
        var refused = stage.Kind == Hosts.Kind.Bare && line.Machines.Any(m => m.State == RunState.Paused && Host.StateOf(m.Id!.Value) == 9);
        CaptureResult? result = null;
        var fault = (Fault?)null;
        var least = line.Machines.ToDictionary(m => m.Ref, m => m.Count);
        try
        {
            if (!await TryAsync(step, async () => result = await _driver.CaptureAsync(request, null, Stop))) result = null;
        }
        catch (WeaveException e) when (refused)
        {
            fault = e.Fault;
        }
        if (result is null || step.B % 9 == 0)
        {
            if (step.Trouble == Trouble.None && result is null) Assert.True(refused && fault == Fault.Conflict);
            var reports = await _driver.AbandonCaptureAsync(request, Stop);
            Assert.Equal(reports, await _driver.AbandonCaptureAsync(request, Stop));
            Assert.Equal(heads.Count, reports.Count);
            foreach (var report in reports) Switch(report.LiveLayer);
            Assert.All(request.Machines, m => Assert.False(File.Exists(m.FlatPath) || File.Exists(m.DeviceStatePath)));
            await DeleteAsync(heads.Values.Select(h => h.Layer).Where(l => !_layers.Contains(l)));
            return refused && fault is not null ? "refused" : "abandoned";
        }
        Assert.False(refused);
        var machines = new List<MomentMachine>();
        foreach (var machine in line.Machines)
        {
            var captured = result.Machines.Single(m => m.Name == machine.Ref.Name);
            Assert.Equal((machine.State, memory && machine.State != RunState.Off), (captured.RunState, captured.Memory is not null));
            machines.Add(new(captured.Name, machine.State, [.. machine.Volumes.Select(v => new ModelVolume(v.Name, v.Target, v.Head, v.Content.Copy()))], captured.Memory, captured.States, machine.Firmware, machine.Boot,
                least[machine.Ref], machine.Id is { } id && Host.Guest(id) is { } guest ? guest.Count : long.MaxValue));
        }
        foreach (var head in heads.Keys) Switch(head);
        _moments.Add(new(_count++, snapshot, request, machines));
        return "done";
    }

    private async Task<string> CopyAsync(Step step, Moment moment, bool memory, bool paused)
    {
        var name = $"w{_count++}";
        var (tag, weave) = (FenceTag.New(), WeaveId.Parse(name));
        var (machines, copies) = (new List<ModelMachine>(), new List<CopyMachine>());
        foreach (var then in moment.Machines)
        {
            var own = new MachineRef(then.Name, _driver.NameCopy(_environment, weave, then.Name), Guid.NewGuid());
            StateFile[] states = [.. then.States.Select(s => s with { Path = _driver.PlaceState(_environment, tag, own, s.Kind) })];
            var machine = new ModelMachine(own) { Volumes = [.. then.Volumes.Select(v => new ModelVolume(v.Name, v.Target, Place(tag, v.Head), v.Content.Copy()))], States = states, Firmware = then.States.Count > 0 ? then.Firmware : "" };
            machines.Add(machine);
            copies.Add(Copy(machine, memory ? then.Memory : null, then.State == RunState.Off ? RunState.Off : RunState.Running));
        }
        var fence = new FenceSpec { Tag = tag, Environment = _environment, Weave = weave, Networks = _examined.Blueprint.Networks, Machines = [.. _examined.Blueprint.Machines.Select(m => new FenceMachine(m.Name, m.Nics))] };
        var line = new Line(name, tag, machines) { Fence = fence };
        var request = new InstantiateRequest { Environment = _environment, Weave = weave, Tag = tag, Networks = [.. fence.Networks.Select(n => n.Name)], Machines = copies, LeavePaused = paused };
        IReadOnlyList<StartedMachine> started = [];
        var begun = _bench.Clock.GetUtcNow();
        async Task MakeAsync()
        {
            line.Facts = await _driver.MakeFenceAsync(fence, Stop);
            foreach (var head in machines.SelectMany(m => m.Volumes).Select(v => v.Head)) await _driver.CreateOverlayAsync(head.Ref, head.Parent!.Ref, Stop);
            foreach (var (then, machine) in moment.Machines.Zip(machines))
                foreach (var (captured, own) in then.States.Zip(machine.States)) await _driver.CreateStateAsync(captured, own.Path, Stop);
            started = await _driver.InstantiateAsync(request, null, Stop);
        }
        if (!await TryAsync(step, MakeAsync))
        {
            if (step.B % 2 == 0)
            {
                await EndLineAsync(line);
                await DeleteAsync(machines.SelectMany(m => m.Volumes).Select(v => v.Head));
                return "undone";
            }
            await MakeAsync();
        }
        _layers.AddRange(machines.SelectMany(m => m.Volumes).Select(v => v.Head));
        _lines.Add(line);
        foreach (var (then, machine) in moment.Machines.Zip(machines))
        {
            var method = started.Single(s => s.Name == then.Name).Method;
            if (then.State == RunState.Off)
            {
                Assert.Equal("off", method);
                continue;
            }
            var resumes = memory && then.Memory is not null;
            if (step.Trouble == Trouble.None) Assert.Equal(resumes ? "whole" : "boot", method);
            await AppearedAsync(machine, paused ? RunState.Paused : RunState.Running);
            if (!resumes) continue;
            (machine.Boot, machine.Count) = (then.Boot, then.Least);
            if (Host.Guest(machine.Id!.Value) is { } guest && then.Most < long.MaxValue) Assert.InRange(guest.Count, then.Least, then.Most + (long)(_bench.Clock.GetUtcNow() - begun).TotalSeconds + 2);
        }
        return "done";
    }

    private CopyMachine Copy(ModelMachine machine, MemoryImage? memory, RunState state) =>
        new(machine.Ref, _examined.Blueprint.Machine(machine.Ref.Name), [.. machine.Volumes.Select(v => new CopyVolume(v.Name, v.Target, v.Head.Ref))], memory, state) { States = machine.States };

    private async Task AppearedAsync(ModelMachine copy, RunState state)
    {
        copy.State = state;
        copy.Id = (await _bench.Context.Machines.FindAsync(copy.Ref, Stop))!.Id;
    }

    /// <summary>Copies that are off are booted; the others are kept.</summary>
    private async Task<string> StartAsync(Step step, Line line)
    {
        var off = line.Machines.Where(m => m.State == RunState.Off).ToList();
        var request = new InstantiateRequest
        {
            Environment = _environment, Weave = line.Fence!.Weave, Tag = line.Tag, Networks = [.. line.Fence.Networks.Select(n => n.Name)], LeavePaused = step.B % 5 == 0,
            Machines = [.. line.Machines.Select(m => Copy(m, null, RunState.Running))],
        };
        // A copy that is saved so that it is paused would be resumed by this.
        if (off.Count == 0 || line.Machines.Any(m => m.State == RunState.Paused)) return "of nobody";
        var outcome = await TwiceAsync(step, () => _driver.InstantiateAsync(request, null, Stop));
        foreach (var machine in off) await AppearedAsync(machine, request.LeavePaused ? RunState.Paused : RunState.Running);
        return outcome;
    }

    private async Task<string> PowerAsync(Step step, Line line, ModelMachine machine)
    {
        PowerChange[] changes = (machine.State, line.IsMain) switch
        {
            (RunState.Running, _) => [PowerChange.Pause, PowerChange.PowerOff, PowerChange.ShutDown],
            (RunState.Paused, _) => [PowerChange.Resume, PowerChange.Resume, PowerChange.PowerOff, PowerChange.ShutDown],
            (_, true) => [PowerChange.Start, PowerChange.Start, PowerChange.PowerOff],
            _ => [],
        };
        if (changes.Length == 0) return "of nobody";
        var change = changes[step.B / 10 % changes.Length];
        var outcome = await TwiceAsync(step, () => _driver.ChangePowerAsync([machine.Ref], change, Patience, Stop));
        if (change is PowerChange.PowerOff or PowerChange.ShutDown)
        {
            // What a user has saved stays so.
            if (!machine.IsSaved) machine.TurnOff();
            if (!line.IsMain) machine.Id = null;
        }
        else (machine.State, machine.IsSaved) = (change == PowerChange.Pause ? RunState.Paused : RunState.Running, false);
        return $"{change} {outcome}";
    }

    /// <summary>A line of copies is deleted, with what nobody needs any more.</summary>
    private async Task<string> RetireAsync(Step step, Line line)
    {
        foreach (var port in _ports.Where(p => p.Value.Line == line).ToList()) _ports.Remove(port.Key);
        var outcome = await TwiceAsync(step, async () =>
        {
            await SetPortsAsync();
            await EndLineAsync(line);
        });
        _lines.Remove(line);
        await CollectAsync();
        return outcome;
    }

    private async Task EndLineAsync(Line line)
    {
        foreach (var machine in line.Machines) await _driver.RetireAsync(machine.Ref, Stop);
        await _driver.RetireFenceAsync(line.Tag, Stop);
        await _driver.DeleteFilesAsync([.. line.Machines.SelectMany(m => m.States).Select(s => s.Path)], Stop);
    }

    private async Task<string> ForgetAsync(Step step, Moment moment)
    {
        var outcome = await TwiceAsync(step, () => _driver.DeleteFilesAsync([.. moment.Request.Machines.SelectMany(m => m.States.Select(s => s.Path).Append(m.FlatPath).Append(m.DeviceStatePath))], Stop));
        _moments.Remove(moment);
        await CollectAsync();
        return outcome;
    }

    private HashSet<ModelLayer> Pinned() => [.. Everybody.SelectMany(e => e.Machine.Volumes).Concat(_moments.SelectMany(m => m.Machines).SelectMany(m => m.Volumes)).Select(v => v.Head)];

    /// <summary>Layers that nobody needs go.</summary>
    private async Task CollectAsync()
    {
        while (true)
        {
            var pinned = Pinned();
            var gone = _layers.Where(l => !l.IsAdopted && !pinned.Contains(l) && !_layers.Exists(c => c.Parent == l)).ToList();
            if (gone.Count == 0) return;
            await DeleteAsync(gone);
        }
    }

    private async Task DeleteAsync(IEnumerable<ModelLayer> layers)
    {
        foreach (var layer in layers.ToList())
        {
            await _driver.DeleteFilesAsync([layer.Ref.Path], Stop);
            _layers.Remove(layer);
        }
    }
}
