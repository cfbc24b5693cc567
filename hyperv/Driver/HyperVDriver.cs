using Microsoft.Extensions.Logging;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.HyperV;

/// <summary>The driver of a Hyper-V host. A thin face: each member is one call of the part that does it, with the host's paths.</summary>
public sealed class HyperVDriver : IHypervisorDriver
{
    private readonly DriverContext _context;
    private readonly DriverParts _parts;
    private readonly HostBoundary _paths;

    /// <summary>Checks the settings (InvalidRequest) and touches nothing else. The client and the files are the caller's to dispose of.</summary>
    public HyperVDriver(HyperVOptions options, ICimClient client, IHostFiles files, TimeProvider clock, ILoggerFactory loggers)
    {
        options.Validate();
        _context = new(options, client, files, clock, loggers);
        _parts = new(_context);
        _paths = new(files);
    }

    /// <summary>Each copy has memory of its own: Hyper-V shares none between machines. Whether memory can be captured on this host is told by each capture.</summary>
    public DriverCapabilities Capabilities { get; } = new("hyperv", MemoryCapture: true, MemorySharing: false, MemorySharingReason: "Hyper-V gives every machine memory of its own.", HotPlug: true, Fences: true, DiskFormat.Vhdx)
    {
        RulesReason = Fences.UnenforcedRules.Reason,
    };

    public Task<HostFacts> InspectHostAsync(CancellationToken stop) => _parts.Host.InspectAsync(stop);
    public async Task<Examination> ExamineAsync(IReadOnlyList<MachineRequest> machines, CancellationToken stop) => _paths.ToLocal(await _parts.Examiner.ExamineAsync(machines, stop));
    public async Task<MachineFacts?> InspectAsync(MachineRef machine, CancellationToken stop) => _paths.ToLocal(await _parts.Machines.InspectAsync(machine, stop));
    public Task<AgentFacts> AskAgentAsync(MachineRef machine, TimeSpan patience, CancellationToken stop) => _parts.Signs.AskAsync(machine, stop);
    public Task<VolumeMounts> FindMountsAsync(MachineRef machine, string target, TimeSpan patience, CancellationToken stop) => _parts.Signs.FindMountsAsync(machine, stop);

    /// <summary>Guests freeze for a production checkpoint alone, and Windows thaws them by itself: there is nothing to be thawed.</summary>
    public Task<IReadOnlyList<Finding>> ThawAsync(CancellationToken stop) => Task.FromResult<IReadOnlyList<Finding>>([]);

    public string PlaceLayer(EnvironmentId environment, FenceTag weave, LayerId layer) => _paths.ToLocal(_context.Paths.PlaceLayer(environment, weave, layer));
    public string NameCopy(EnvironmentId environment, WeaveId weave, MachineName machine) => _context.Paths.NameCopy(environment, weave, machine);

    public (string Flat, string DeviceState) PlaceMemory(EnvironmentId environment, SnapshotId snapshot, MachineName machine)
    {
        var (flat, device) = _context.Paths.PlaceMemory(environment, snapshot, machine);
        return (_paths.ToLocal(flat), _paths.ToLocal(device));
    }

    public string PlaceState(EnvironmentId environment, SnapshotId snapshot, MachineName machine, StateKind kind) => _paths.ToLocal(_context.Paths.PlaceState(environment, snapshot, machine, kind));
    public string PlaceState(EnvironmentId environment, FenceTag weave, MachineRef copy, StateKind kind) => _paths.ToLocal(_context.Paths.PlaceState(environment, weave, copy, kind));

    public async Task<StorageFacts> InspectStorageAsync(CancellationToken stop) => await _parts.Host.StorageAsync(stop) is var facts ? facts with { Path = _paths.ToLocal(facts.Path) } : facts;

    public async Task<IReadOnlyList<string>> FindMissingAsync(IReadOnlyList<string> paths, CancellationToken stop)
    {
        var there = await _parts.Layers.AreThereAsync(_paths.ToHost(paths), stop);
        return [.. paths.Where((_, i) => !there[i])];
    }

    public async Task<IReadOnlyDictionary<string, long>> MeasureFilesAsync(IReadOnlyList<string> paths, CancellationToken stop)
    {
        var distinct = paths.Distinct(StringComparer.Ordinal).ToList();
        var bytes = await _parts.Layers.MeasureAsync(_paths.ToHost(distinct), stop);
        return distinct.Zip(bytes).Where(p => p.Second is not null).ToDictionary(p => p.First, p => p.Second!.Value, StringComparer.Ordinal);
    }

    public Task CreateOverlayAsync(LayerRef layer, LayerRef parent, CancellationToken stop) => _parts.Layers.CreateOverlayAsync(_paths.ToHost(layer), _paths.ToHost(parent), stop);
    public Task WriteLayerAsync(LayerRef layer, LayerRef parent, LayerContent content, IProgress<Progress>? progress, CancellationToken stop) => _parts.Layers.WriteLayerAsync(_paths.ToHost(layer), _paths.ToHost(parent), content, progress, stop);
    public Task CreateStateAsync(StateFile captured, string path, CancellationToken stop) => _parts.Firmware.CreateAsync(_paths.ToHost(captured), _paths.ToHost(path), stop);
    public Task DeleteFilesAsync(IReadOnlyList<string> paths, CancellationToken stop) => _parts.Layers.DeleteAsync(_paths.ToHost(paths), stop);
    public async Task<CaptureResult> CaptureAsync(CaptureRequest request, IProgress<Progress>? progress, CancellationToken stop) => _paths.ToLocal(await _parts.Capture.RunAsync(_paths.ToHost(request), progress, stop));
    public Task<IReadOnlyList<HeadReport>> AbandonCaptureAsync(CaptureRequest request, CancellationToken stop) => _parts.Cleanup.AbandonAsync(_paths.ToHost(request), stop);
    public Task<FenceFacts> MakeFenceAsync(FenceSpec fence, CancellationToken stop) => _parts.Fences.MakeAsync(fence, stop);
    public Task<IReadOnlyList<string>> InspectFenceAsync(FenceSpec fence, CancellationToken stop) => _parts.Fences.InspectAsync(fence, stop);
    public Task RetireFenceAsync(FenceTag tag, CancellationToken stop) => _parts.Fences.RetireAsync(tag, stop);
    public Task<IReadOnlyList<StartedMachine>> InstantiateAsync(InstantiateRequest request, IProgress<Progress>? progress, CancellationToken stop) => _parts.Starter.RunAsync(_paths.ToHost(request), progress, stop);
    public Task ChangePowerAsync(IReadOnlyList<MachineRef> machines, PowerChange change, TimeSpan patience, CancellationToken stop) => _parts.Power.ChangeAsync(machines, change, patience, stop);
    public Task RetireAsync(MachineRef machine, CancellationToken stop) => _parts.Owned.RetireAsync(machine.Uuid, stop);
    public Task ReturnVolumesAsync(MachineRef machine, IReadOnlyList<ReturnedVolume> volumes, IProgress<Progress>? progress, CancellationToken stop) => _parts.Returning.ReturnAsync(machine, _paths.ToHost(volumes), progress, stop);
    public async Task<FoldResult> FoldAsync(FoldRequest request, IProgress<Progress>? progress, CancellationToken stop) => _paths.ToLocal(await _parts.Folding.FoldAsync(_paths.ToHost(request), progress, stop));
    public async Task<FoldResult> EndFoldAsync(FoldRequest request, CancellationToken stop) => _paths.ToLocal(await _parts.Folding.EndAsync(_paths.ToHost(request), stop));
    public Task PublishAsync(IReadOnlyList<PublishedEndpoint> endpoints, CancellationToken stop) => _parts.Endpoints.PublishAsync(endpoints, stop);

    public async Task<OwnedThings> ListOwnedAsync(CancellationToken stop)
    {
        var things = (await _parts.Owned.ListAsync(stop)).Select(_paths.ToLocal).ToList();
        foreach (var tag in await _parts.Fences.ListAsync(stop)) things.Add(new(OwnedKind.Fence, tag.Text, $"fence {tag}", 0));
        return new(things, await _parts.Endpoints.ListAsync(stop));
    }

    public Task RemoveOwnedAsync(OwnedThing thing, CancellationToken stop) => thing.Kind == OwnedKind.Fence ? _parts.Fences.RetireAsync(FenceTag.Parse(thing.Key), stop) : _parts.Owned.RemoveAsync(_paths.ToHost(thing), stop);
    public Task AttachVolumeAsync(MachineRef machine, AttachedVolume volume, CancellationToken stop) => _parts.Volumes.AttachAsync(machine, _paths.ToHost(volume), stop);
    public Task DetachVolumeAsync(MachineRef machine, string target, TimeSpan patience, CancellationToken stop) => _parts.Volumes.DetachAsync(machine, target, patience, stop);

    public ValueTask DisposeAsync()
    {
        _parts.Dispose();
        return ValueTask.CompletedTask;
    }
}
