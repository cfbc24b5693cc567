using WeaveHypervisor.Model;
using WeaveHypervisor.Operations;
using WeaveHypervisor.Weaving.Capture;
using WeaveHypervisor.Weaving.Exporting;
using WeaveHypervisor.Weaving.Importing;

namespace WeaveHypervisor.Weaving;

/// <content>What leaves the pool, and what comes in.</content>
internal sealed partial class Weaver
{
    public async Task<Operation> ExportAsync(ExportRequest request, Caller caller, CancellationToken stop)
    {
        if (await RepeatedAsync(caller, stop) is { } known) return known;
        if (request is { Weave: not null, Snapshot: not null }) throw Invalid("A weave and a snapshot were both given.", "Give one of them.");
        var provider = request.Provider switch
        {
            "libvirt" => ExportProvider.Libvirt,
            "hyperv" => ExportProvider.Hyperv,
            var other => throw Invalid($"{Ids.Quote(other)} is no provider that can be exported for.", "Use libvirt or hyperv."),
        };
        var folder = ExportFolder.Parse(request.Folder);
        var environment = await Store.GetEnvironmentAsync(request.Environment, stop);
        if (environment.State != EnvironmentState.Managed) throw new WeaveException(Fault.Conflict, $"Environment '{environment.Id}' is being released.", "Adopt it again after that.");
        CheckExport.Exports(bench);
        CapturePlan? capture = null;
        SnapshotId id;
        if (request.Snapshot is { } named)
        {
            var snapshot = await Store.GetSnapshotAsync(named, stop);
            if (snapshot.Environment != environment.Id) throw new WeaveException(Fault.NotFound, $"Snapshot '{named}' belongs to environment '{snapshot.Environment}', not to '{environment.Id}'.", $"List snapshots with `weave timeline {environment.Id}`.");
            if (snapshot.State != SnapshotState.Ready) throw new WeaveException(Fault.Conflict, $"Snapshot '{named}' is not ready.", $"Choose another with `weave timeline {environment.Id}`.");
            id = named;
        }
        else
        {
            var weave = await UsableAsync(environment, Resolve(request.Weave, environment) ?? environment.ActiveWeave, stop);
            capture = NewCapture(environment.Id, weave.Id, null, memory: false, quiesce: false, caller);
            id = capture.Snapshot;
        }
        var plan = new ExportPlan { Environment = environment.Id, Snapshot = id, Capture = capture, Export = FenceTag.New().Text, Provider = provider, Folder = folder };
        return await SubmitAsync(Kinds.Export, environment.Id, capture is null ? $"{environment.Id}/{id}" : $"{environment.Id}/{capture.Weave}", plan, WeavingJson.Default.ExportPlan, caller, stop);
    }

    public async Task<Operation> ImportAsync(string folder, EnvironmentId? name, Caller caller, CancellationToken stop)
    {
        if (await RepeatedAsync(caller, stop) is { } known) return known;
        var path = ExportFolder.Parse(folder);
        ReadExport.Imports(bench);
        var environment = name ?? (await ManifestReader.ReadAsync(path, stop)).Environment;
        await ReadExport.RequireFreeAsync(Store, environment, stop);
        var plan = new ImportPlan
        {
            Environment = environment, Folder = path,
            Adoption = new() { Environment = environment, Machines = [], Tag = FenceTag.New(), Host = bench.Options.Host },
        };
        return await SubmitAsync(Kinds.Import, environment, environment.Text, plan, WeavingJson.Default.ImportPlan, caller, stop);
    }
}
