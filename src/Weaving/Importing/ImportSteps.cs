using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;
using WeaveHypervisor.Operations;
using WeaveHypervisor.Weaving.Adoption;
using WeaveHypervisor.Weaving.Exporting;
using WeaveHypervisor.Weaving.Retention;

namespace WeaveHypervisor.Weaving.Importing;

internal sealed class ImportPlan
{
    public required EnvironmentId Environment { get; set; }
    public required string Folder { get; set; }
    /// <summary>The manifest, as it was when the checksums were compared.</summary>
    public ExportManifest? Manifest { get; set; }
    /// <summary>What is made: every UUID and path, chosen before.</summary>
    public ImportRequest? Request { get; set; }
    /// <summary>Networks that are made, not found.</summary>
    public List<NetworkName> Made { get; set; } = [];
    /// <summary>The adoption that follows, by the steps of any.</summary>
    public required AdoptPlan Adoption { get; set; }
}

/// <param name="Domains">The machines' names on the hypervisor.</param>
/// <param name="MadeNetworks">Networks that were made; the others were there.</param>
internal sealed record ImportResult(EnvironmentId Environment, DateTimeOffset At, IReadOnlyList<string> Machines, IReadOnlyList<string> Domains, IReadOnlyList<NetworkName> MadeNetworks, IReadOnlyList<string> NotCarried)
{
    public static ImportResult Of(ImportPlan plan) => new(plan.Environment, plan.Manifest!.At, [.. plan.Manifest.Machines.Select(m => m.Name.Text)], [.. plan.Request!.Machines.Select(m => m.Machine.HypervisorName)], plan.Made, plan.Manifest.NotCarried);
}

/// <summary>Reads the manifest, compares all checksums, looks for space and for what stands in the way, and chooses every id. Makes nothing.</summary>
internal sealed class ReadExport(Bench bench) : IStep<ImportPlan>
{
    public string Name => "read";

    public async Task DoAsync(StepContext<ImportPlan> context, CancellationToken stop)
    {
        var plan = context.Plan;
        var imports = Imports(bench);
        await RequireFreeAsync(bench.Store, plan.Environment, stop);
        var manifest = await ManifestReader.ReadAsync(plan.Folder, stop);
        await SpaceGuard.CheckAsync(bench, manifest.Machines.SelectMany(m => m.Volumes).Sum(v => v.Bytes), $"The import of '{plan.Environment}'", stop);
        var request = RequestOf(imports, plan.Environment, manifest);
        plan.Made = [.. await imports.CheckImportAsync(request, stop)];
        var total = manifest.Machines.Sum(m => m.Box.Bytes);
        long done = 0;
        foreach (var machine in manifest.Machines)
        {
            var (bytes, sha256) = await BoxFile.HashAsync(Path.Combine(plan.Folder, machine.Box.Path), new BytesTold(context.Progress, $"reading the box of {machine.Name}", done, total), stop);
            if ((bytes, sha256) != (machine.Box.Bytes, machine.Box.Sha256))
                throw new WeaveException(Fault.DataLoss, $"The box of {machine.Name} in {Ids.QuotePath(plan.Folder)} is not the one that was exported: its checksum is {sha256}, not {machine.Box.Sha256}.", "Copy the folder again, or export anew.");
            done += bytes;
        }
        (plan.Manifest, plan.Request) = (manifest, request);
        plan.Adoption.Machines = [.. request.Machines.Select(m => new MachineRequest(m.Machine.Name, m.Machine.HypervisorName))];
        context.Note = $"{manifest.Environment}/{manifest.Weave} of {manifest.At.Rfc()}: {manifest.Machines.Count} machines, checksums as exported";
    }

    private static ImportRequest RequestOf(IMachineImports imports, EnvironmentId environment, ExportManifest manifest) => new()
    {
        Environment = environment, Networks = manifest.Networks,
        Machines = [.. manifest.Machines.Select(m => (Told: m, Ref: new MachineRef(m.Name, $"{environment}-{m.Name}", Guid.NewGuid()))).Select(n => new ImportMachine(n.Ref, n.Told.MemoryBytes, n.Told.VirtualCpus,
            new() { Firmware = n.Told.Firmware, Chipset = n.Told.Chipset, Disks = [.. n.Told.Volumes.Select(v => new DiskShape(v.Name, v.Bus))], Nics = n.Told.Nics },
            [.. n.Told.Volumes.Select(v => imports.PlaceImport(environment, n.Ref, v.Name))]))],
    };

    internal static async Task RequireFreeAsync(IWeaveStore store, EnvironmentId environment, CancellationToken stop)
    {
        if (await store.FindEnvironmentAsync(environment, stop) is not null)
            throw new WeaveException(Fault.AlreadyExists, $"There is an environment '{environment}' already.", "Choose another name with `--name`, or release that one first.");
    }

    internal static IMachineImports Imports(Bench bench) => bench.Driver.Facet<IMachineImports>()
        ?? throw new WeaveException(Fault.Unsupported, "The hypervisor's driver cannot import machines.", "Use a host of another hypervisor.");

    public Task UndoAsync(StepContext<ImportPlan> context, CancellationToken stop) => Task.CompletedTask;
}

/// <summary>Unpacks each image to its place, with its checksum compared on the way.</summary>
internal sealed class UnpackBoxes(Bench bench) : IStep<ImportPlan>
{
    public string Name => "unpack";

    public async Task DoAsync(StepContext<ImportPlan> context, CancellationToken stop)
    {
        var plan = context.Plan;
        var imports = ReadExport.Imports(bench);
        foreach (var machine in plan.Manifest!.Machines)
        {
            var paths = plan.Request!.Machines.First(m => m.Machine.Name == machine.Name).Disks;
            await imports.PrepareImportAsync(paths[0], stop);
            var wanted = machine.Volumes.Zip(paths).ToDictionary(v => v.First.Image, v => (v.Second, v.First.Bytes, v.First.Sha256));
            await BoxFile.ReadAsync(Path.Combine(plan.Folder, machine.Box.Path), wanted, new BytesTold(context.Progress, $"unpacking the disks of {machine.Name}", 0, machine.Volumes.Sum(v => v.Bytes)), stop);
            foreach (var (volume, path) in machine.Volumes.Zip(paths)) await imports.AcceptImportAsync(path, volume.VirtualSize, stop);
        }
    }

    public Task UndoAsync(StepContext<ImportPlan> context, CancellationToken stop) =>
        context.Plan.Request is { } request ? ReadExport.Imports(bench).UndefineAsync(request, [], stop) : Task.CompletedTask;
}

/// <summary>Defines the networks and machines; they are the user's.</summary>
internal sealed class DefineMachines(Bench bench) : IStep<ImportPlan>
{
    public string Name => "define";

    public async Task DoAsync(StepContext<ImportPlan> context, CancellationToken stop)
    {
        await ReadExport.Imports(bench).DefineAsync(context.Plan.Request!, context.Plan.Made, stop);
        context.Note = string.Join(", ", context.Plan.Request!.Machines.Select(m => m.Machine.HypervisorName));
    }

    public Task UndoAsync(StepContext<ImportPlan> context, CancellationToken stop) =>
        context.Plan.Request is { } request ? ReadExport.Imports(bench).UndefineAsync(request, context.Plan.Made, stop) : Task.CompletedTask;
}

/// <summary>A step by which any environment is adopted.</summary>
internal sealed class AdoptImported(IStep<AdoptPlan> step) : IStep<ImportPlan>
{
    public string Name => step.Name;

    public async Task DoAsync(StepContext<ImportPlan> context, CancellationToken stop)
    {
        var within = context.Within(context.Plan.Adoption);
        await step.DoAsync(within, stop);
        context.Note = within.Note;
    }

    public Task UndoAsync(StepContext<ImportPlan> context, CancellationToken stop) => step.UndoAsync(context.Within(context.Plan.Adoption), stop);
}
