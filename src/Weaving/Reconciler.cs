using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;
using WeaveHypervisor.Operations;
using WeaveHypervisor.Weaving.Branching;
using WeaveHypervisor.Weaving.Traffic;

namespace WeaveHypervisor.Weaving;

/// <summary>
/// Compares what the store says with what the host has. Reports always; changes the host only when asked to repair. What the store knows of a weave's
/// run state is brought up to date in both cases (for environments with no unfinished work), so that reads tell the truth.
/// </summary>
internal sealed class Reconciler(Bench bench, IJournal journal, EndpointPublisher publisher)
{
    private const string Owner = "reconciler";
    private static readonly TimeSpan LeaseTime = TimeSpan.FromMinutes(2);

    public async Task<ReconciliationReport> RunAsync(bool repair, CancellationToken stop)
    {
        var findings = new List<Finding>();
        var repaired = new List<string>();
        OwnedThings owned;
        // The host is listed before the store is read: what an operation makes in between is then never taken for a left-over.
        try
        {
            owned = await bench.Driver.ListOwnedAsync(stop);
        }
        catch (WeaveException e) when (e.Fault == Fault.Unavailable)
        {
            return new([new(FindingLevel.Error, "hypervisor", e.Message, e.NextStep)], []);
        }
        var environments = await bench.Store.ListEnvironmentsAsync(stop);
        var unfinished = await journal.ListAsync(null, unfinishedOnly: true, 1000, null, stop);
        var known = new HashSet<(OwnedKind, string)>();
        foreach (var environment in environments)
        {
            foreach (var layer in await bench.Store.ListLayersAsync(environment.Id, stop)) known.Add((OwnedKind.File, layer.Path));
            foreach (var file in (await bench.Store.ListSnapshotsAsync(environment.Id, null, null, stop)).SelectMany(s => s.MemoryFiles())) known.Add((OwnedKind.File, file));
            foreach (var weave in await bench.Store.ListWeavesAsync(environment.Id, stop))
            {
                if (!weave.IsMain) known.Add((OwnedKind.Fence, weave.Tag.Text));
                foreach (var machine in weave.Machines) known.Add((OwnedKind.Machine, machine.Uuid.ToString()));
            }
        }
        await LeftOversAsync(owned, known, unfinished, repair, findings, repaired, stop);
        foreach (var environment in environments)
            if (unfinished.All(o => o.Environment != environment.Id)) await EnvironmentAsync(environment, owned, repair, findings, repaired, stop);
        await EndpointsAsync(owned, repair, findings, repaired, stop);
        if (findings.All(f => f.Level is FindingLevel.Ok or FindingLevel.Note))
            findings.Insert(0, new(FindingLevel.Ok, "reconciliation", $"{environments.Count} environment{(environments.Count == 1 ? "" : "s")}; the host has what the store says, and nothing else.", null));
        return new(findings, repaired);
    }

    private async Task LeftOversAsync(OwnedThings owned, HashSet<(OwnedKind, string)> known, IReadOnlyList<Operation> unfinished, bool repair, List<Finding> findings, List<string> repaired, CancellationToken stop)
    {
        var left = owned.Things.Where(t => !known.Contains((t.Kind, t.Key))).ToList();
        if (left.Count == 0) return;
        if (unfinished.Count > 0)
        {
            // Running operations own things that only their plans name.
            findings.Add(new(FindingLevel.Note, "left-overs", $"{left.Count} things on the host are not in the store yet; {unfinished.Count} operation{(unfinished.Count == 1 ? " is" : "s are")} still at work.", "Look again when they have ended: `weave op list`."));
            return;
        }
        foreach (var thing in left.OrderBy(t => t.Kind))
        {
            if (repair) await RepairAsync(thing.Description, $"removed {thing.Description}", () => bench.Driver.RemoveOwnedAsync(thing, stop), findings, repaired);
            else findings.Add(new(FindingLevel.Warning, "left-over", $"{thing.Description} belongs to nothing in the store ({thing.Bytes} bytes).", "Remove it with `weave doctor --repair`."));
        }
    }

    private async Task EnvironmentAsync(ManagedEnvironment environment, OwnedThings owned, bool repair, List<Finding> findings, List<string> repaired, CancellationToken stop)
    {
        if (await journal.TryAcquireAsync(environment.Id, Owner, LeaseTime, stop) is not { } lease) return;
        try
        {
            var layers = await bench.Store.LayersByIdAsync(environment.Id, stop);
            var images = (await bench.Store.ListSnapshotsAsync(environment.Id, null, null, stop)).SelectMany(s => s.MemoryFiles()).ToHashSet(StringComparer.Ordinal);
            var missing = (await bench.Driver.FindMissingAsync([.. layers.Values.Select(l => l.Path), .. images], stop)).ToHashSet();
            foreach (var path in missing)
                findings.Add(new(FindingLevel.Error, environment.Id.Text, $"its {(images.Contains(path) ? "memory image" : "layer")} {Ids.Quote(path)} is gone.", "Put it back where it was; snapshots and weaves that need it cannot be used without it."));
            foreach (var weave in await bench.Store.ListWeavesAsync(environment.Id, stop))
            {
                if (weave.State is WeaveState.Creating or WeaveState.Deleting) continue;
                await WeaveAsync(weave, layers, missing, lease, findings, stop);
                if (weave.IsMain || owned.Things.Any(t => t.Kind == OwnedKind.Fence && t.Key == weave.Tag.Text)) continue;
                var name = $"{weave.Environment}/{weave.Id}";
                if (repair) await RepairAsync(name, $"made the fence of {name} again", () => bench.Driver.MakeFenceAsync(Fences.SpecOf(weave), stop), findings, repaired);
                else findings.Add(new(FindingLevel.Warning, name, "its fence is gone from the host (a reboot, or a foreign hand).", $"Make it again with `weave doctor --repair`, or with `weave start {name}`."));
            }
        }
        finally
        {
            await journal.ReleaseAsync(lease, CancellationToken.None);
        }
    }

    private async Task WeaveAsync(Weave weave, IReadOnlyDictionary<LayerId, Layer> layers, HashSet<string> missing, Lease lease, List<Finding> findings, CancellationToken stop)
    {
        var name = $"{weave.Environment}/{weave.Id}";
        var drift = new List<string>();
        var machines = new List<WeaveMachine>();
        foreach (var machine in weave.Machines)
        {
            var facts = await bench.Driver.InspectAsync(machine.ToRef(), stop);
            var state = facts?.RunState ?? RunState.Off;
            if (facts is null && weave.IsMain) drift.Add($"machine {machine.HypervisorName} is gone from the hypervisor");
            else if (facts is not null)
                foreach (var head in machine.Heads)
                {
                    var expected = layers.Get(head.Layer).Path;
                    if (facts.VolumePaths.TryGetValue(weave.Blueprint.Machine(machine.Name).Target(head.Volume), out var path) && path != expected)
                        drift.Add($"{machine.Name}/{head.Volume} is on {path}, not on {expected}");
                }
            foreach (var head in machine.Heads)
                drift.AddRange(HistoryFiles.ChainOf(layers, head.Layer).Where(l => missing.Contains(l.Path)).Select(l => $"{machine.Name}/{head.Volume} needs {l.Path}, which is gone"));
            if (!weave.IsMain && machine.RunState != RunState.Off && facts is null) drift.Add($"machine {machine.Name} was stopped by something else");
            machines.Add(machine with { RunState = state, MemoryFrom = state == RunState.Off && machine.RunState != RunState.Off ? null : machine.MemoryFrom });
        }
        foreach (var line in drift) findings.Add(new(FindingLevel.Warning, name, line + ".", $"See `weave show {name}`."));
        var changed = weave with { Machines = machines, Drift = drift, State = weave.State == WeaveState.Failed ? weave.State : Adoption.MainState.Of([.. machines.Select(m => m.RunState)]) };
        if (changed.State != weave.State || !drift.SequenceEqual(weave.Drift) || !machines.Select(m => m.RunState).SequenceEqual(weave.Machines.Select(m => m.RunState)))
            await bench.Store.CommitAsync(new StoreChange { PutWeaves = [changed] }, lease, stop);
    }

    private async Task EndpointsAsync(OwnedThings owned, bool repair, List<Finding> findings, List<string> repaired, CancellationToken stop)
    {
        var should = await publisher.EndpointsAsync(stop);
        if (should.ToHashSet().SetEquals(owned.Endpoints)) return;
        if (repair) await RepairAsync("routes", $"published {should.Count} route{(should.Count == 1 ? "" : "s")} again", () => publisher.PublishAsync(stop), findings, repaired);
        else findings.Add(new(FindingLevel.Warning, "routes", $"the host publishes {owned.Endpoints.Count} endpoints, the store has {should.Count}, and they are not the same.", "Publish them again with `weave doctor --repair`."));
    }

    /// <summary>What cannot be repaired (a port that another program has taken) is reported, and keeps nothing else from being repaired.</summary>
    private static async Task RepairAsync(string subject, string done, Func<Task> repair, List<Finding> findings, List<string> repaired)
    {
        try
        {
            await repair();
            repaired.Add(done);
        }
        catch (WeaveException e)
        {
            findings.Add(new(FindingLevel.Error, subject, $"This could not be repaired: {e.Message}", e.NextStep));
        }
    }
}
