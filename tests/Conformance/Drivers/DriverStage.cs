using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Conformance.Drivers;

/// <summary>An adopted environment as a caller of the driver keeps it: which layers are live, what was captured. Stands in for the store.</summary>
public sealed class DriverStage(DriverBench bench, CancellationToken stop) : IAsyncDisposable
{
    private readonly Dictionary<(MachineName, VolumeName), LayerRef> _heads = [];
    private readonly Dictionary<(MachineName, VolumeName), List<LayerRef>> _above = [];
    /// <summary>Where layers are that a fold has moved.</summary>
    private readonly Dictionary<LayerId, LayerRef> _moved = [];
    private readonly List<FenceTag> _fences = [];
    private readonly List<MachineRef> _copies = [];

    public IHypervisorDriver Driver { get; private set; } = bench.NewDriver();
    public EnvironmentId Environment { get; } = EnvironmentId.Parse("t" + Guid.NewGuid().ToString("N")[..8]);
    public FenceTag MainTag { get; } = FenceTag.New();
    public Examination Examined { get; private set; } = null!;
    public IReadOnlyList<ExaminedMachine> Machines => Examined.Machines;
    public MachineRef this[int i] => Machines[i].Machine;
    public string AddressOf(int i) => Examined.Blueprint.Machine(this[i].Name).Nics[0].Addresses[0];
    public LayerRef Head(int i) => _heads[(this[i].Name, Machines[i].Volumes[0].Volume)];

    public async Task AdoptAsync(int count) => await AdoptAsync(await bench.GiveMachinesAsync(count, stop));

    public async Task AdoptAsync(IReadOnlyList<MachineRequest> machines)
    {
        Examined = await Driver.ExamineAsync(machines, stop);
        Xunit.Assert.Empty(Examined.Refusals);
        foreach (var machine in Machines)
            foreach (var volume in machine.Volumes)
            {
                _heads[(machine.Machine.Name, volume.Volume)] = new(LayerId.New(TimeProvider.System), volume.Path, volume.Format, volume.VirtualSize);
                _above[(machine.Machine.Name, volume.Volume)] = [];
            }
    }

    /// <summary>A driver as another process would have it.</summary>
    public async Task RestartAsync()
    {
        await Driver.DisposeAsync();
        Driver = bench.NewDriver();
    }

    /// <param name="newest">An earlier capture of the same machines, whose images are the newest of their line.</param>
    public CaptureRequest PlanCapture(bool memory, CaptureResult? newest = null)
    {
        var snapshot = SnapshotId.New(TimeProvider.System);
        return new()
        {
            Environment = Environment, Snapshot = snapshot, Memory = memory,
            Machines = [.. Machines.Select(m =>
            {
                var (flat, state) = Driver.PlaceMemory(Environment, snapshot, m.Machine.Name);
                return new CaptureMachine(m.Machine, true, [.. m.Volumes.Select(v =>
                {
                    var head = _heads[(m.Machine.Name, v.Volume)];
                    var id = LayerId.New(TimeProvider.System);
                    var target = Examined.Blueprint.Machine(m.Machine.Name).Volumes.Single(b => b.Name == v.Volume).Target;
                    return new CaptureVolume(v.Volume, target, head, new(id, Driver.PlaceLayer(Environment, MainTag, id), Driver.Capabilities.LayerFormat, head.VirtualSize));
                })], flat, state, null, newest?.Machines.Single(c => c.Name == m.Machine.Name).Memory)
                {
                    States = [.. Examined.Blueprint.Machine(m.Machine.Name).States.Select(k => new CaptureState(k, Driver.PlaceState(Environment, snapshot, m.Machine.Name, k), null))],
                };
            })],
        };
    }

    /// <summary>A capture of running copies, with memory: each may map the image that it was started from.</summary>
    public CaptureRequest PlanCapture(InstantiateRequest copies)
    {
        var snapshot = SnapshotId.New(TimeProvider.System);
        return new()
        {
            Environment = Environment, Snapshot = snapshot, Memory = true,
            Machines = [.. copies.Machines.Select(m =>
            {
                var (flat, state) = Driver.PlaceMemory(Environment, snapshot, m.Machine.Name);
                return new CaptureMachine(m.Machine, true, [.. m.Heads.Select(h =>
                {
                    var id = LayerId.New(TimeProvider.System);
                    return new CaptureVolume(h.Volume, h.Target, h.Head, new(id, Driver.PlaceLayer(Environment, copies.Tag, id), Driver.Capabilities.LayerFormat, h.Head.VirtualSize));
                })], flat, state, m.Memory, m.Memory);
            })],
        };
    }

    /// <summary>Notes that the new heads of a capture took over, or those of them that a report names.</summary>
    public void Switched(CaptureRequest request, IReadOnlyList<HeadReport>? reports = null)
    {
        foreach (var machine in request.Machines)
            foreach (var volume in machine.Volumes)
            {
                if (reports is not null && reports.Single(r => r.Machine == machine.Machine.Name && r.Volume == volume.Volume).LiveLayer != volume.NewHead.Id) continue;
                _heads[(machine.Machine.Name, volume.Volume)] = volume.NewHead;
                _above[(machine.Machine.Name, volume.Volume)].Add(volume.NewHead);
            }
    }

    public async Task<(CaptureRequest Request, CaptureResult Result)> CaptureAsync(bool memory, CaptureResult? newest = null, bool quiesce = false)
    {
        var request = PlanCapture(memory, newest) with { Quiesce = quiesce };
        var result = await Driver.CaptureAsync(request, null, stop);
        Switched(request);
        return (request, result);
    }

    /// <summary>A fence of all machines that is to be made; the stage takes it away again.</summary>
    public FenceSpec NewFence()
    {
        var tag = FenceTag.New();
        _fences.Add(tag);
        return new() { Tag = tag, Environment = Environment, Weave = WeaveId.Parse("w" + tag.Text), Networks = Examined.Blueprint.Networks, Machines = [.. Examined.Blueprint.Machines.Select(m => new FenceMachine(m.Name, m.Nics))] };
    }

    /// <summary>Fence, overlays on the frozen layers and a plan of copies of all machines.</summary>
    public async Task<(FenceSpec Fence, FenceFacts Facts, InstantiateRequest Request)> PrepareCopyAsync(CaptureRequest capture, CaptureResult result, bool memory = true, RunState state = RunState.Running)
    {
        var fence = NewFence();
        var (tag, weave) = (fence.Tag, fence.Weave);
        var facts = await Driver.MakeFenceAsync(fence, stop);
        var copies = new List<CopyMachine>();
        foreach (var machine in capture.Machines)
        {
            var heads = new List<CopyVolume>();
            foreach (var volume in machine.Volumes)
            {
                var id = LayerId.New(TimeProvider.System);
                var layer = new LayerRef(id, Driver.PlaceLayer(Environment, tag, id), Driver.Capabilities.LayerFormat, volume.Head.VirtualSize);
                await Driver.CreateOverlayAsync(layer, Now(volume.Head), stop);
                heads.Add(new(volume.Volume, volume.Target, layer));
            }
            var copy = new MachineRef(machine.Machine.Name, await CopyNameAsync(tag, machine.Machine.Name), Guid.NewGuid());
            _copies.Add(copy);
            var states = new List<StateFile>();
            foreach (var captured in result.Machines.Single(m => m.Name == copy.Name).States)
            {
                states.Add(captured with { Path = Driver.PlaceState(Environment, tag, copy, captured.Kind) });
                await Driver.CreateStateAsync(captured, states[^1].Path, stop);
            }
            copies.Add(new(copy, Examined.Blueprint.Machine(copy.Name), heads, memory ? result.Machines.Single(m => m.Name == copy.Name).Memory : null, state) { States = states });
        }
        return (fence, facts, new() { Environment = Environment, Weave = weave, Tag = tag, Networks = [.. Examined.Blueprint.Networks.Select(n => n.Name)], Machines = copies });
    }

    /// <summary>A layer at the path where it is now.</summary>
    public LayerRef Now(LayerRef layer) => _moved.GetValueOrDefault(layer.Id, layer);

    /// <summary>Folds, and does with the chain and the files what a caller does then: layers that were merged are gone, and so are files that nothing needs.</summary>
    public async Task FoldAsync(FoldRequest request)
    {
        var result = await Driver.FoldAsync(request, null, stop);
        Xunit.Assert.True(result.Done);
        Folded(request, result);
        await Driver.DeleteFilesAsync(Unneeded(request, result), stop);
    }

    public static IReadOnlyList<string> Unneeded(FoldRequest request, FoldResult result) =>
        request.IsHead ? [] : [.. request.Between.Append(request.Layer).Select(l => l.Path).Where(p => p != result.Layer.Path)];

    public void Folded(FoldRequest request, FoldResult result)
    {
        _moved[request.Layer.Id] = result.Layer;
        foreach (var chain in _above.Values.Where(c => c.Any(l => l.Id == request.Layer.Id)))
        {
            chain.RemoveAll(l => request.Between.Any(b => b.Id == l.Id));
            chain[chain.FindIndex(l => l.Id == request.Layer.Id)] = result.Layer;
        }
    }

    private Task<string> CopyNameAsync(FenceTag tag, MachineName machine) => Task.FromResult($"{bench.CopyPrefix}.{Environment}.w{tag}.{machine}");

    public async Task ReturnAllAsync()
    {
        foreach (var machine in Machines)
            await Driver.ReturnVolumesAsync(machine.Machine,
            [
                .. machine.Volumes.Select(v => new ReturnedVolume(v.Volume, Examined.Blueprint.Machine(machine.Machine.Name).Volumes.Single(b => b.Name == v.Volume).Target,
                    new(LayerId.New(TimeProvider.System), v.Path, v.Format, v.VirtualSize), [.. _above[(machine.Machine.Name, v.Volume)]])),
            ], null, stop);
    }

    public async ValueTask DisposeAsync()
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromMinutes(2));
        try
        {
            await Driver.PublishAsync([], limit.Token);
            foreach (var copy in _copies) await Driver.RetireAsync(copy, limit.Token);
            foreach (var fence in _fences) await Driver.RetireFenceAsync(fence, limit.Token);
        }
        finally
        {
            await Driver.DisposeAsync();
        }
    }
}
