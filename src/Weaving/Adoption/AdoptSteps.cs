using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;
using WeaveHypervisor.Operations;
using WeaveHypervisor.Weaving.Capture;

namespace WeaveHypervisor.Weaving.Adoption;

internal sealed class AdoptPlan
{
    public required EnvironmentId Environment { get; set; }
    public required List<MachineRequest> Machines { get; set; }
    public required FenceTag Tag { get; set; }
    public required string Host { get; set; }
    public SnapshotPolicy? Policy { get; set; }
    /// <summary>Tells our own record from another's of the same name when the step runs again.</summary>
    public DateTimeOffset? AdoptedAt { get; set; }
    public EnvironmentBlueprint? Blueprint { get; set; }
    public List<AdoptedMachine> Found { get; set; } = [];
}

/// <summary>A machine as it was found, with the ids that its disks get.</summary>
internal sealed record AdoptedMachine(MachineRef Machine, RunState RunState, IReadOnlyList<AdoptedDisk> Disks);

internal sealed record AdoptedDisk(VolumeName Volume, LayerId Layer, string Path, DiskFormat Format, long VirtualSize);

internal sealed record AdoptResult(EnvironmentId Environment, IReadOnlyList<string> Machines, IReadOnlyList<string> Networks, IReadOnlyList<string> Volumes);

/// <summary>Reads the machines and refuses, with all reasons, what cannot be managed. Touches nothing.</summary>
internal sealed class Examine(Bench bench) : IStep<AdoptPlan>
{
    public string Name => "examine";

    public async Task DoAsync(StepContext<AdoptPlan> context, CancellationToken stop)
    {
        var plan = context.Plan;
        context.Progress.Report(new("reading the machines"));
        if (await bench.Store.FindEnvironmentAsync(plan.Environment, stop) is not null)
            throw new WeaveException(Fault.AlreadyExists, $"There is an environment '{plan.Environment}' already.", "Choose another name, or release that one first.");
        var examination = await bench.Driver.ExamineAsync(plan.Machines, stop);
        var refusals = examination.Refusals.ToList();
        refusals.AddRange(await Belongings.TakenAsync(bench, examination.Machines.Select(m => (m.Machine, (IReadOnlyList<(VolumeName, string)>)[.. m.Volumes.Select(v => (v.Volume, v.Path))])), stop));
        if (refusals.Count > 0) throw Refusals.ToFault($"'{plan.Environment}' cannot be adopted", refusals);
        plan.Blueprint = examination.Blueprint;
        plan.AdoptedAt = bench.Now;
        plan.Found = [.. examination.Machines.Select(m => new AdoptedMachine(m.Machine, m.RunState,
            [.. m.Volumes.Select(v => new AdoptedDisk(v.Volume, LayerId.New(bench.Clock), v.Path, v.Format, v.VirtualSize))]))];
        context.Note = $"{plan.Found.Count} machines, {plan.Found.Sum(m => m.Disks.Count)} volumes, {plan.Blueprint.Networks.Count} networks";
    }

    public Task UndoAsync(StepContext<AdoptPlan> context, CancellationToken stop) => Task.CompletedTask;
}

/// <summary>A machine, or a disk file, belongs to one environment only.</summary>
internal static class Belongings
{
    /// <summary>A refusal for each machine or disk that an environment of the store has already.</summary>
    public static async Task<IReadOnlyList<Refusal>> TakenAsync(Bench bench, IEnumerable<(MachineRef Machine, IReadOnlyList<(VolumeName Volume, string Path)> Disks)> wanted, CancellationToken stop)
    {
        var refusals = new List<Refusal>();
        var machines = wanted.ToList();
        foreach (var environment in (await bench.Store.ListEnvironmentsAsync(stop)).Where(bench.IsHere))
        {
            var weaves = await bench.Store.ListWeavesAsync(environment.Id, stop);
            var uuids = weaves.SelectMany(w => w.Machines).Select(m => m.Uuid).ToHashSet();
            var paths = environment.AdoptedVolumes.Select(v => v.Path).ToHashSet();
            foreach (var (machine, disks) in machines)
            {
                if (uuids.Contains(machine.Uuid))
                    refusals.Add(new(machine.HypervisorName, $"is managed already, by environment '{environment.Id}'", $"Release it first with `weave env release {environment.Id}`."));
                else foreach (var disk in disks.Where(d => paths.Contains(d.Path)))
                    refusals.Add(new($"{machine.HypervisorName}/{disk.Volume}", $"its file '{disk.Path}' belongs to environment '{environment.Id}'", "Give the machine a disk of its own."));
            }
        }
        return refusals;
    }
}

/// <summary>Writes the environment, its weave `main` and the adopted disks as layers: from here on it is managed.</summary>
internal sealed class RecordEnvironment(Bench bench) : IStep<AdoptPlan>
{
    public string Name => "record";

    public async Task DoAsync(StepContext<AdoptPlan> context, CancellationToken stop)
    {
        // One at a time: environments have leases of their own, so another may have taken a machine since it was examined.
        await using var one = await bench.LockAsync("adoption", stop);
        if (!await IsOursAsync(context.Plan, stop)) await RecordAsync(context, stop);
    }

    private async Task RecordAsync(StepContext<AdoptPlan> context, CancellationToken stop)
    {
        var plan = context.Plan;
        var taken = await Belongings.TakenAsync(bench, plan.Found.Select(m => (m.Machine, (IReadOnlyList<(VolumeName, string)>)[.. m.Disks.Select(d => (d.Volume, d.Path))])), stop);
        if (taken.Count > 0) throw Refusals.ToFault($"'{plan.Environment}' cannot be adopted", taken);
        var at = plan.AdoptedAt!.Value;
        var volumes = plan.Found.SelectMany(m => m.Disks.Select(d => (m.Machine, Disk: d))).ToList();
        await bench.Store.CommitAsync(new StoreChange
        {
            AddEnvironment = new ManagedEnvironment
            {
                Id = plan.Environment, Host = HostId.Parse(plan.Host), AdoptedAt = at, ActiveWeave = Weave.Main, State = EnvironmentState.Managed, Policy = plan.Policy,
                AdoptedVolumes = [.. volumes.Select(v => new AdoptedVolume(v.Machine.Name, v.Disk.Volume, v.Disk.Layer, v.Disk.Path, v.Disk.Format))],
            },
            AddWeaves = [new Weave
            {
                Environment = plan.Environment, Id = Weave.Main, Tag = plan.Tag, CreatedAt = at, Blueprint = plan.Blueprint!,
                State = MainState.Of([.. plan.Found.Select(m => m.RunState)]), Addresses = Addresses.OfMain(plan.Blueprint!),
                Machines = [.. plan.Found.Select(m => new WeaveMachine
                {
                    Name = m.Machine.Name, HypervisorName = m.Machine.HypervisorName, Uuid = m.Machine.Uuid, RunState = m.RunState,
                    Heads = [.. m.Disks.Select(d => new VolumeHead(d.Volume, d.Layer))],
                })],
            }],
            PutLayers = [.. volumes.Select(v => new Layer
            {
                Id = v.Disk.Layer, Environment = plan.Environment, Machine = v.Machine.Name, Volume = v.Disk.Volume, Path = v.Disk.Path, Format = v.Disk.Format,
                VirtualSize = v.Disk.VirtualSize, State = LayerState.Live, Adopted = true, CreatedAt = at,
            })],
            AddActivations = [new Activation(plan.Environment, Weave.Main, at)],
        }, context.Lease, stop);
    }

    public async Task UndoAsync(StepContext<AdoptPlan> context, CancellationToken stop)
    {
        if (await IsOursAsync(context.Plan, stop))
            await bench.Store.CommitAsync(new StoreChange { DeleteEnvironments = [context.Plan.Environment] }, context.Lease, stop);
    }

    private async Task<bool> IsOursAsync(AdoptPlan plan, CancellationToken stop) =>
        plan.AdoptedAt is { } at && await bench.Store.FindEnvironmentAsync(plan.Environment, stop) is { } there && there.AdoptedAt == at;
}

/// <summary>State of a weave told from its machines: running where any runs, paused where some are paused and none runs, else stopped.</summary>
internal static class MainState
{
    public static WeaveState Of(IReadOnlyCollection<RunState> machines) =>
        machines.Contains(RunState.Running) ? WeaveState.Running : machines.Contains(RunState.Paused) ? WeaveState.Paused : WeaveState.Stopped;
}
