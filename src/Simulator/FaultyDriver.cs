using System.Runtime.CompilerServices;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Simulator;

/// <summary>
/// Which calls of a <see cref="FaultyDriver"/> go wrong, and how. Verbs are the names of <see cref="IHypervisorDriver"/>'s methods; the Nth call is counted from 1 per verb. Thread-safe.
/// </summary>
public sealed class FaultPlan(TimeProvider? clock = null)
{
    private readonly Lock _gate = new();
    private readonly Dictionary<string, int> _calls = [];
    private readonly List<(string Verb, int Nth, bool After, Func<CancellationToken, Task> Act)> _rules = [];
    private readonly TimeProvider _clock = clock ?? TimeProvider.System;

    /// <summary>The Nth call of the verb fails with <paramref name="error"/>, before it did anything or after it did all.</summary>
    public FaultPlan Fail(string verb, int nth, WeaveException error, bool after = false) => Add(verb, nth, after, _ => Task.FromException(error));

    /// <summary>The Nth call of the verb waits, by the plan's clock, before it begins.</summary>
    public FaultPlan Delay(string verb, int nth, TimeSpan time) => Add(verb, nth, false, stop => Task.Delay(time, _clock, stop));

    /// <summary>The Nth call of the verb never answers until it is cancelled.</summary>
    public FaultPlan Hang(string verb, int nth, bool after = false) => Add(verb, nth, after, stop => Task.Delay(Timeout.InfiniteTimeSpan, _clock, stop));

    /// <summary>Calls so far.</summary>
    public int Calls(string verb)
    {
        lock (_gate) return _calls.GetValueOrDefault(verb);
    }

    /// <summary>Every verb that has been called.</summary>
    public IReadOnlyDictionary<string, int> AllCalls
    {
        get
        {
            lock (_gate) return new Dictionary<string, int>(_calls);
        }
    }

    private FaultPlan Add(string verb, int nth, bool after, Func<CancellationToken, Task> act)
    {
        lock (_gate) _rules.Add((verb, nth, after, act));
        return this;
    }

    internal async Task<T> RunAsync<T>(string verb, Func<Task<T>> call, CancellationToken stop)
    {
        List<(string Verb, int Nth, bool After, Func<CancellationToken, Task> Act)> rules;
        lock (_gate)
        {
            var nth = _calls[verb] = _calls.GetValueOrDefault(verb) + 1;
            rules = _rules.FindAll(r => r.Verb == verb && r.Nth == nth);
        }
        foreach (var rule in rules.Where(r => !r.After)) await rule.Act(stop);
        var answer = await call();
        foreach (var rule in rules.Where(r => r.After)) await rule.Act(stop);
        return answer;
    }
}

/// <summary>A driver some of whose calls go wrong as <paramref name="plan"/> says; all else is passed on.</summary>
public sealed class FaultyDriver(IHypervisorDriver inner, FaultPlan plan) : IHypervisorDriver, IMachineExports, IMachineImports
{
    public DriverCapabilities Capabilities => inner.Capabilities;
    /// <summary>What the driver below can; calls of optional abilities go wrong as all others do.</summary>
    public T? Facet<T>() where T : class => inner.Facet<T>() is null ? null : this as T;
    public Task<HostFacts> InspectHostAsync(CancellationToken stop) => Run(() => inner.InspectHostAsync(stop), stop);
    public Task<Examination> ExamineAsync(IReadOnlyList<MachineRequest> machines, CancellationToken stop) => Run(() => inner.ExamineAsync(machines, stop), stop);
    public Task<MachineFacts?> InspectAsync(MachineRef machine, CancellationToken stop) => Run(() => inner.InspectAsync(machine, stop), stop);
    public Task<AgentFacts> AskAgentAsync(MachineRef machine, TimeSpan patience, CancellationToken stop) => Run(() => inner.AskAgentAsync(machine, patience, stop), stop);
    public Task<VolumeMounts> FindMountsAsync(MachineRef machine, string target, TimeSpan patience, CancellationToken stop) => Run(() => inner.FindMountsAsync(machine, target, patience, stop), stop);
    public Task<IReadOnlyList<Finding>> ThawAsync(CancellationToken stop) => Run(() => inner.ThawAsync(stop), stop);
    public string PlaceLayer(EnvironmentId environment, FenceTag weave, LayerId layer) => inner.PlaceLayer(environment, weave, layer);
    public (string Flat, string DeviceState) PlaceMemory(EnvironmentId environment, SnapshotId snapshot, MachineName machine) => inner.PlaceMemory(environment, snapshot, machine);
    public string PlaceState(EnvironmentId environment, SnapshotId snapshot, MachineName machine, StateKind kind) => inner.PlaceState(environment, snapshot, machine, kind);
    public string PlaceState(EnvironmentId environment, FenceTag weave, MachineRef copy, StateKind kind) => inner.PlaceState(environment, weave, copy, kind);
    public Task<IReadOnlyList<string>> FindMissingAsync(IReadOnlyList<string> paths, CancellationToken stop) => Run(() => inner.FindMissingAsync(paths, stop), stop);
    public Task<StorageFacts> InspectStorageAsync(CancellationToken stop) => Run(() => inner.InspectStorageAsync(stop), stop);
    public Task<IReadOnlyDictionary<string, long>> MeasureFilesAsync(IReadOnlyList<string> paths, CancellationToken stop) => Run(() => inner.MeasureFilesAsync(paths, stop), stop);
    public Task CreateOverlayAsync(LayerRef layer, LayerRef parent, CancellationToken stop) => Run(() => inner.CreateOverlayAsync(layer, parent, stop), stop);
    public Task WriteLayerAsync(LayerRef layer, LayerRef parent, LayerContent content, IProgress<Progress>? progress, CancellationToken stop) => Run(() => inner.WriteLayerAsync(layer, parent, content, progress, stop), stop);
    public Task CreateStateAsync(StateFile captured, string path, CancellationToken stop) => Run(() => inner.CreateStateAsync(captured, path, stop), stop);
    public Task DeleteFilesAsync(IReadOnlyList<string> paths, CancellationToken stop) => Run(() => inner.DeleteFilesAsync(paths, stop), stop);
    public Task<CaptureResult> CaptureAsync(CaptureRequest request, IProgress<Progress>? progress, CancellationToken stop) => Run(() => inner.CaptureAsync(request, progress, stop), stop);
    public Task<IReadOnlyList<HeadReport>> AbandonCaptureAsync(CaptureRequest request, CancellationToken stop) => Run(() => inner.AbandonCaptureAsync(request, stop), stop);
    public Task<FenceFacts> MakeFenceAsync(FenceSpec fence, CancellationToken stop) => Run(() => inner.MakeFenceAsync(fence, stop), stop);
    public Task<IReadOnlyList<string>> InspectFenceAsync(FenceSpec fence, CancellationToken stop) => Run(() => inner.InspectFenceAsync(fence, stop), stop);
    public Task RetireFenceAsync(FenceTag tag, CancellationToken stop) => Run(() => inner.RetireFenceAsync(tag, stop), stop);
    public Task<IReadOnlyList<StartedMachine>> InstantiateAsync(InstantiateRequest request, IProgress<Progress>? progress, CancellationToken stop) => Run(() => inner.InstantiateAsync(request, progress, stop), stop);
    public Task ChangePowerAsync(IReadOnlyList<MachineRef> machines, PowerChange change, TimeSpan patience, CancellationToken stop) => Run(() => inner.ChangePowerAsync(machines, change, patience, stop), stop);
    public Task RetireAsync(MachineRef machine, CancellationToken stop) => Run(() => inner.RetireAsync(machine, stop), stop);
    public Task ReturnVolumesAsync(MachineRef machine, IReadOnlyList<ReturnedVolume> volumes, IProgress<Progress>? progress, CancellationToken stop) => Run(() => inner.ReturnVolumesAsync(machine, volumes, progress, stop), stop);
    public Task<FoldResult> FoldAsync(FoldRequest request, IProgress<Progress>? progress, CancellationToken stop) => Run(() => inner.FoldAsync(request, progress, stop), stop);
    public Task<FoldResult> EndFoldAsync(FoldRequest request, CancellationToken stop) => Run(() => inner.EndFoldAsync(request, stop), stop);
    public Task PublishAsync(IReadOnlyList<PublishedEndpoint> endpoints, CancellationToken stop) => Run(() => inner.PublishAsync(endpoints, stop), stop);
    public Task<OwnedThings> ListOwnedAsync(CancellationToken stop) => Run(() => inner.ListOwnedAsync(stop), stop);
    public Task RemoveOwnedAsync(OwnedThing thing, CancellationToken stop) => Run(() => inner.RemoveOwnedAsync(thing, stop), stop);
    public Task AttachVolumeAsync(MachineRef machine, AttachedVolume volume, CancellationToken stop) => Run(() => inner.AttachVolumeAsync(machine, volume, stop), stop);
    public Task DetachVolumeAsync(MachineRef machine, string target, TimeSpan patience, CancellationToken stop) => Run(() => inner.DetachVolumeAsync(machine, target, patience, stop), stop);

    private IMachineExports Exports => inner.Facet<IMachineExports>()!;
    public MachineShape Describe(MachineBlueprint machine) => Exports.Describe(machine);
    public Task<StorageFacts> InspectFolderAsync(string folder, CancellationToken stop) => Run(() => Exports.InspectFolderAsync(folder, stop), stop);
    public Task<long> MeasureImageAsync(LayerRef layer, DiskFormat format, CancellationToken stop) => Run(() => Exports.MeasureImageAsync(layer, format, stop), stop);
    public Task WriteImageAsync(LayerRef layer, DiskFormat format, string path, IProgress<Progress>? progress, CancellationToken stop) => Run(() => Exports.WriteImageAsync(layer, format, path, progress, stop), stop);

    private IMachineImports Imports => inner.Facet<IMachineImports>()!;
    public string PlaceImport(EnvironmentId environment, MachineRef machine, VolumeName volume) => Imports.PlaceImport(environment, machine, volume);
    public Task PrepareImportAsync(string path, CancellationToken stop) => Run(() => Imports.PrepareImportAsync(path, stop), stop);
    public Task AcceptImportAsync(string path, long virtualSize, CancellationToken stop) => Run(() => Imports.AcceptImportAsync(path, virtualSize, stop), stop);
    public Task<IReadOnlyList<NetworkName>> CheckImportAsync(ImportRequest request, CancellationToken stop) => Run(() => Imports.CheckImportAsync(request, stop), stop);
    public Task DefineAsync(ImportRequest request, IReadOnlyCollection<NetworkName> made, CancellationToken stop) => Run(() => Imports.DefineAsync(request, made, stop), stop);
    public Task UndefineAsync(ImportRequest request, IReadOnlyCollection<NetworkName> made, CancellationToken stop) => Run(() => Imports.UndefineAsync(request, made, stop), stop);

    public ValueTask DisposeAsync() => inner.DisposeAsync();

    private Task<T> Run<T>(Func<Task<T>> call, CancellationToken stop, [CallerMemberName] string verb = "") => plan.RunAsync(verb, call, stop);

    private Task Run(Func<Task> call, CancellationToken stop, [CallerMemberName] string verb = "") => plan.RunAsync(verb, async () =>
    {
        await call();
        return true;
    }, stop);
}
