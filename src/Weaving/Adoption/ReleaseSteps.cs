using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;
using WeaveHypervisor.Operations;
using WeaveHypervisor.Weaving.Capture;
using WeaveHypervisor.Weaving.Retention;
using WeaveHypervisor.Weaving.Traffic;

namespace WeaveHypervisor.Weaving.Adoption;

internal sealed class ReleasePlan
{
    public required EnvironmentId Environment { get; set; }
    public bool Force { get; set; }
}

internal sealed record ReleaseResult(EnvironmentId Environment);

/// <summary>Checks the rules again and that the machines can be given back, before the way back is closed.</summary>
internal sealed class CheckRelease(Bench bench) : IStep<ReleasePlan>
{
    public string Name => "check";

    public async Task DoAsync(StepContext<ReleasePlan> context, CancellationToken stop)
    {
        var plan = context.Plan;
        var environment = await bench.Store.GetEnvironmentAsync(plan.Environment, stop);
        var weaves = await bench.Store.ListWeavesAsync(plan.Environment, stop);
        DeletionRules.CheckRelease(environment, weaves, plan.Force);
        var main = weaves.First(w => w.IsMain);
        var layers = await bench.Store.LayersByIdAsync(plan.Environment, stop);
        foreach (var machine in main.Machines)
        {
            var facts = await bench.Driver.InspectAsync(machine.ToRef(), stop) ?? throw Gone(machine);
            foreach (var head in machine.Heads)
            {
                var known = Chains.From(head.Layer, layers).Select(l => l.Path).ToHashSet();
                var target = main.Blueprint.Machine(machine.Name).Target(head.Volume);
                if (facts.VolumePaths.TryGetValue(target, out var path) && !known.Contains(path))
                    throw new WeaveException(Fault.Conflict, $"Volume '{machine.Name}/{head.Volume}' is on '{path}', which is no layer of '{plan.Environment}': something else has changed it.",
                        "Put the disk back to the file that `weave show` names, then release again.");
            }
        }
        await bench.Store.CommitAsync(new StoreChange { PutEnvironments = [environment with { State = EnvironmentState.Releasing }] }, context.Lease, stop);
    }

    /// <summary>Its data is in our layers and can be merged into its own files only while the hypervisor knows it.</summary>
    internal static WeaveException Gone(WeaveMachine machine) => new(Fault.Conflict, $"The machine '{machine.HypervisorName}' ({machine.Uuid}) is gone from the hypervisor; its disks cannot be given back to it.",
        "Define it again with the same name, UUID and disks, then release again.");

    public async Task UndoAsync(StepContext<ReleasePlan> context, CancellationToken stop)
    {
        if (await bench.Store.FindEnvironmentAsync(context.Plan.Environment, stop) is { State: EnvironmentState.Releasing } environment)
            await bench.Store.CommitAsync(new StoreChange { PutEnvironments = [environment with { State = EnvironmentState.Managed }] }, context.Lease, stop);
    }
}

/// <summary>Ends routes, all weaves but `main`, and all snapshots with their memory.</summary>
internal sealed class EndHistory(Bench bench, EndpointPublisher publisher) : IStep<ReleasePlan>
{
    public string Name => "end-history";

    public async Task DoAsync(StepContext<ReleasePlan> context, CancellationToken stop)
    {
        var id = context.Plan.Environment;
        if (await bench.Store.FindEnvironmentAsync(id, stop) is not { } environment) return;
        var routes = await bench.Store.ListRoutesAsync(id, stop);
        await bench.Store.CommitAsync(new StoreChange
        {
            DeleteRoutes = [.. routes.Select(r => r.Id)],
            PutEnvironments = [environment with { ActiveWeave = Weave.Main, PreviousActive = null }],
        }, context.Lease, stop);
        // Also where there is none: an attempt before this one may have ended between the two.
        await publisher.PublishAsync(stop);
        foreach (var weave in (await bench.Store.ListWeavesAsync(id, stop)).Where(w => !w.IsMain))
        {
            context.Progress.Report(new($"ending {id}/{weave.Id}"));
            foreach (var machine in weave.Machines) await bench.Driver.RetireAsync(machine.ToRef(), stop);
            await bench.Driver.RetireFenceAsync(weave.Tag, stop);
            await bench.Driver.DeleteFilesAsync([.. weave.StateFiles()], stop);
            await bench.Store.CommitAsync(new StoreChange { DeleteWeaves = [(id, weave.Id)] }, context.Lease, stop);
        }
        var snapshots = await bench.Store.ListSnapshotsAsync(id, null, null, stop);
        context.Progress.Report(new($"deleting {snapshots.Count} snapshots"));
        await bench.Driver.DeleteFilesAsync([.. snapshots.SelectMany(s => s.MemoryFiles().Concat(s.StateFiles())).Distinct(StringComparer.Ordinal)], stop);
        await bench.Store.CommitAsync(new StoreChange { DeleteSnapshots = [.. snapshots.Select(s => s.Id)] }, context.Lease, stop);
        await new GarbageCollector(bench).CollectAsync(id, context.Lease, stop);
    }

    public Task UndoAsync(StepContext<ReleasePlan> context, CancellationToken stop) => Task.CompletedTask;
}

/// <summary>Merges all layers into the adopted files; the machines use those again.</summary>
internal sealed class ReturnVolumes(Bench bench) : IStep<ReleasePlan>
{
    public string Name => "return-volumes";

    public async Task DoAsync(StepContext<ReleasePlan> context, CancellationToken stop)
    {
        var id = context.Plan.Environment;
        if (await bench.Store.FindWeaveAsync(id, Weave.Main, stop) is not { } main) return;
        var layers = await bench.Store.LayersByIdAsync(id, stop);
        foreach (var machine in main.Machines)
        {
            if (await bench.Driver.InspectAsync(machine.ToRef(), stop) is null) throw CheckRelease.Gone(machine);
            context.Progress.Report(new($"merging the disks of {machine.Name}"));
            var volumes = machine.Heads.Select(head =>
            {
                var chain = Chains.From(head.Layer, layers).Reverse().ToList();
                return new ReturnedVolume(head.Volume, main.Blueprint.Machine(machine.Name).Target(head.Volume), chain[0].ToRef(), [.. chain.Skip(1).Select(l => l.ToRef())]);
            });
            await bench.Driver.ReturnVolumesAsync(machine.ToRef(), [.. volumes], new Relay<ReleasePlan>(context), stop);
        }
    }

    public Task UndoAsync(StepContext<ReleasePlan> context, CancellationToken stop) => Task.CompletedTask;
}

/// <summary>Removes the layers' files, then the environment from the store.</summary>
internal sealed class ForgetEnvironment(Bench bench) : IStep<ReleasePlan>
{
    public string Name => "forget";

    public async Task DoAsync(StepContext<ReleasePlan> context, CancellationToken stop)
    {
        var id = context.Plan.Environment;
        var layers = await bench.Store.ListLayersAsync(id, stop);
        await bench.Driver.DeleteFilesAsync([.. layers.Where(l => !l.Adopted).Select(l => l.Path)], stop);
        await bench.Store.CommitAsync(new StoreChange { DeleteEnvironments = [id] }, context.Lease, stop);
    }

    public Task UndoAsync(StepContext<ReleasePlan> context, CancellationToken stop) => Task.CompletedTask;
}
