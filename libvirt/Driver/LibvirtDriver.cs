using Microsoft.Extensions.Logging;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.Libvirt.Agents;
using WeaveHypervisor.Libvirt.Capturing;
using WeaveHypervisor.Libvirt.Examining;
using WeaveHypervisor.Libvirt.Exporting;
using WeaveHypervisor.Libvirt.Fences;
using WeaveHypervisor.Libvirt.Folding;
using WeaveHypervisor.Libvirt.Importing;
using WeaveHypervisor.Libvirt.Inspecting;
using WeaveHypervisor.Libvirt.Owned;
using WeaveHypervisor.Libvirt.Power;
using WeaveHypervisor.Libvirt.Returning;
using WeaveHypervisor.Libvirt.Starting;
using WeaveHypervisor.Libvirt.States;
using WeaveHypervisor.Libvirt.Traffic;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt;

/// <summary>The hypervisor driver of libvirt and QEMU on this host. A thin face: nearly each member is one call of the part that does it.</summary>
public sealed class LibvirtDriver : IHypervisorDriver, IMachineExports, IMachineImports
{
    private readonly DriverContext _context;
    private readonly Examiner _examiner;
    private readonly MachineInspector _machines;
    private readonly HostInspector _host;
    private readonly OwnedRegister _owned;
    private readonly Thawing _thawing;
    private readonly CaptureRun _capture;
    private readonly FenceKeeper _fences;
    private readonly CopyStarter _starter;
    private readonly VolumeReturner _returner;
    private readonly LayerFolder _folder;
    private readonly PowerSwitch _power;
    private readonly VolumePlugger _plugger;
    private readonly EndpointPublisher _endpoints;
    private readonly StateKeeper _states;
    private readonly ImageExporter _images;
    private readonly MachineImporter _imports;

    /// <summary>Checks the settings (InvalidRequest) and touches nothing else: libvirt is connected to by the first call that needs it.</summary>
    public LibvirtDriver(LibvirtDriverOptions options, TimeProvider clock, ILoggerFactory loggers)
    {
        options.Validate();
        _context = new(options, new HostConnection(options.Uri), new DriverPaths(options), clock, loggers);
        _states = new(_context);
        _examiner = new(_context);
        _machines = new(_context);
        _host = new(_context);
        _thawing = new(_context);
        _capture = new(_context, _states, _thawing);
        _fences = new(_context);
        _starter = new(_context, _states, _fences);
        _returner = new(_context);
        _folder = new(_context);
        _power = new(_context);
        _plugger = new(_context);
        _endpoints = new(_context);
        _images = new(_context);
        _imports = new(_context);
        _owned = new(_context, _fences, _endpoints, _states);
    }

    /// <summary>What this driver can do; whether a machine's copies share memory is decided machine by machine when they are started, and rules need what <see cref="InspectHostAsync"/> finds.</summary>
    public DriverCapabilities Capabilities { get; } = new("libvirt", MemoryCapture: true, MemorySharing: true, MemorySharingReason: null, HotPlug: true, Fences: true, DiskFormat.Qcow2) { RulesReason = null };

    public Task<HostFacts> InspectHostAsync(CancellationToken stop) => _host.InspectAsync(stop);
    public Task<Examination> ExamineAsync(IReadOnlyList<MachineRequest> machines, CancellationToken stop) => _examiner.ExamineAsync(machines, stop);
    public Task<MachineFacts?> InspectAsync(MachineRef machine, CancellationToken stop) => _machines.InspectAsync(machine, stop);
    public Task<AgentFacts> AskAgentAsync(MachineRef machine, TimeSpan patience, CancellationToken stop) => _context.Agent.AskAsync(machine, patience, _context.Clock, stop);
    public Task<IReadOnlyList<Finding>> ThawAsync(CancellationToken stop) => _thawing.ThawLeftAsync(stop);
    public string PlaceLayer(EnvironmentId environment, FenceTag weave, LayerId layer) => _context.Paths.PlaceLayer(environment, weave, layer);
    public string NameCopy(EnvironmentId environment, WeaveId weave, MachineName machine) => _context.Paths.NameCopy(environment, weave, machine);
    public (string Flat, string DeviceState) PlaceMemory(EnvironmentId environment, SnapshotId snapshot, MachineName machine) => _context.Paths.PlaceMemory(environment, snapshot, machine);
    public string PlaceState(EnvironmentId environment, SnapshotId snapshot, MachineName machine, StateKind kind) => _context.Paths.PlaceState(environment, snapshot, machine, kind);
    public string PlaceState(EnvironmentId environment, FenceTag weave, MachineRef copy, StateKind kind) => _context.Paths.PlaceState(environment, weave, copy, kind);
    public Task CreateStateAsync(StateFile captured, string path, CancellationToken stop) => _states.CreateAsync(captured, path, stop);
    public Task<StorageFacts> InspectStorageAsync(CancellationToken stop) => Task.FromResult(_host.Storage());
    public Task<IReadOnlyList<string>> FindMissingAsync(IReadOnlyList<string> paths, CancellationToken stop) => Task.Run<IReadOnlyList<string>>(() => [.. paths.Where(p => !Path.Exists(p))], stop);
    public Task<IReadOnlyDictionary<string, long>> MeasureFilesAsync(IReadOnlyList<string> paths, CancellationToken stop) => Task.Run(() => HostInspector.Measure(paths), stop);
    public Task<VolumeMounts> FindMountsAsync(MachineRef machine, string target, TimeSpan patience, CancellationToken stop) => MountReading.FindAsync(_context, machine, target, patience, stop);
    public Task CreateOverlayAsync(LayerRef layer, LayerRef parent, CancellationToken stop) => _owned.CreateOverlayAsync(layer, parent, stop);
    public Task WriteLayerAsync(LayerRef layer, LayerRef parent, LayerContent content, IProgress<Progress>? progress, CancellationToken stop) => _owned.WriteLayerAsync(layer, parent, content, progress, stop);
    public Task DeleteFilesAsync(IReadOnlyList<string> paths, CancellationToken stop) => _owned.DeleteFilesAsync(paths, stop);
    public Task<CaptureResult> CaptureAsync(CaptureRequest request, IProgress<Progress>? progress, CancellationToken stop) => _capture.RunAsync(request, progress, stop);
    public Task<IReadOnlyList<HeadReport>> AbandonCaptureAsync(CaptureRequest request, CancellationToken stop) => _capture.AbandonAsync(request, stop);
    public async Task<FenceFacts> MakeFenceAsync(FenceSpec fence, CancellationToken stop)
    {
        var facts = await _fences.MakeAsync(fence, stop);
        await _endpoints.ReachAsync(fence.Tag, stop);
        return facts;
    }
    public Task<IReadOnlyList<string>> InspectFenceAsync(FenceSpec fence, CancellationToken stop) => _fences.InspectAsync(fence, stop);
    public Task RetireFenceAsync(FenceTag tag, CancellationToken stop) => _fences.RetireAsync(tag, stop);
    public Task<IReadOnlyList<StartedMachine>> InstantiateAsync(InstantiateRequest request, IProgress<Progress>? progress, CancellationToken stop) => _starter.RunAsync(request, progress, stop);
    public Task ChangePowerAsync(IReadOnlyList<MachineRef> machines, PowerChange change, TimeSpan patience, CancellationToken stop) => _power.ChangeAsync(machines, change, patience, stop);
    public Task RetireAsync(MachineRef machine, CancellationToken stop) => _owned.RetireAsync(machine, stop);
    public Task ReturnVolumesAsync(MachineRef machine, IReadOnlyList<ReturnedVolume> volumes, IProgress<Progress>? progress, CancellationToken stop) => _returner.ReturnAsync(machine, volumes, progress, stop);
    public Task<FoldResult> FoldAsync(FoldRequest request, IProgress<Progress>? progress, CancellationToken stop) => _folder.FoldAsync(request, progress, stop);
    public Task<FoldResult> EndFoldAsync(FoldRequest request, CancellationToken stop) => _folder.EndAsync(request, stop);
    public Task PublishAsync(IReadOnlyList<PublishedEndpoint> endpoints, CancellationToken stop) => _endpoints.PublishAsync(endpoints, stop);
    public Task<OwnedThings> ListOwnedAsync(CancellationToken stop) => _owned.ListAsync(stop);
    public Task RemoveOwnedAsync(OwnedThing thing, CancellationToken stop) => _owned.RemoveAsync(thing, stop);
    public Task AttachVolumeAsync(MachineRef machine, AttachedVolume volume, CancellationToken stop) => _plugger.AttachAsync(machine, volume, stop);
    public Task DetachVolumeAsync(MachineRef machine, string target, TimeSpan patience, CancellationToken stop) => _plugger.DetachAsync(machine, target, patience, stop);

    public MachineShape Describe(MachineBlueprint machine) => MachineTeller.Describe(machine);
    public Task<StorageFacts> InspectFolderAsync(string folder, CancellationToken stop) => ImageExporter.InspectFolderAsync(folder, stop);
    public Task<long> MeasureImageAsync(LayerRef layer, DiskFormat format, CancellationToken stop) => ImageExporter.MeasureAsync(layer, format, stop);
    public Task WriteImageAsync(LayerRef layer, DiskFormat format, string path, IProgress<Progress>? progress, CancellationToken stop) => _images.WriteAsync(layer, format, path, progress, stop);

    public string PlaceImport(EnvironmentId environment, MachineRef machine, VolumeName volume) => _context.Paths.PlaceImport(environment, machine, volume);
    public Task PrepareImportAsync(string path, CancellationToken stop) => _imports.PrepareAsync(path, stop);
    public Task AcceptImportAsync(string path, long virtualSize, CancellationToken stop) => _imports.AcceptAsync(path, virtualSize, stop);
    public Task<IReadOnlyList<NetworkName>> CheckImportAsync(ImportRequest request, CancellationToken stop) => _imports.CheckAsync(request, stop);
    public Task DefineAsync(ImportRequest request, IReadOnlyCollection<NetworkName> made, CancellationToken stop) => _imports.DefineAsync(request, made, stop);
    public Task UndefineAsync(ImportRequest request, IReadOnlyCollection<NetworkName> made, CancellationToken stop) => _imports.UndefineAsync(request, made, stop);

    public async ValueTask DisposeAsync()
    {
        await _context.Agent.DisposeAsync();
        await _context.Host.DisposeAsync();
    }
}
