using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;
using WeaveHypervisor.Operations;
using WeaveHypervisor.Weaving.Branching;
using WeaveHypervisor.Weaving.Retention;
using WeaveHypervisor.Weaving.Traffic;

namespace WeaveHypervisor.Weaving;

/// <summary>
/// Compares what the store says with what the host has. Reports always; changes the host only when asked to repair. What the store knows of a weave's
/// run state is brought up to date in any case (for environments with no unfinished work), so that reads tell the truth.
/// </summary>
internal sealed class Reconciler(Bench bench, IJournal journal, EndpointPublisher publisher)
{
    public Task<ReconciliationReport> RunAsync(Reconciliation request, CancellationToken stop) => new ReconcilerRun(bench, journal, publisher, request, stop).RunAsync();
}

/// <summary>One comparison.</summary>
internal sealed class ReconcilerRun(Bench bench, IJournal journal, EndpointPublisher publisher, Reconciliation request, CancellationToken stop)
{
    private static readonly TimeSpan LeaseTime = TimeSpan.FromMinutes(1);
    /// <summary>Weaves that are looked at, and written, together. An environment of thousands would otherwise wait for the disk as often.</summary>
    private const int Together = 50;
    /// <summary>
    /// Written before a fence is made whole, because it may get other outer addresses by that: without them in the store it must not pass for whole. Whoever finds this makes it whole once more,
    /// which tells the addresses that it has.
    /// </summary>
    private const string Unfinished = "its fence was being made whole, and the end of that is not known";
    private readonly List<Finding> _findings = [];
    private readonly List<string> _repaired = [], _repairable = [];
    private readonly List<EnvironmentId> _busy = [];
    private OwnedThings _owned = null!;

    private string Owner => bench.Place.Name + "/reconciler";

    private bool Repairs => request.Mode != RepairMode.Look;

    public async Task<ReconciliationReport> RunAsync()
    {
        if (request is { Environment: { } named, Weave: { } one }) await bench.Store.GetWeaveAsync(named, one, stop);
        if (request.Environment is { } only && await bench.Store.GetEnvironmentAsync(only, stop) is var found && !bench.IsHere(found))
            throw new WeaveException(Fault.Conflict, $"'{only}' lives on the host '{found.Host}', not on '{bench.Host}'.", $"Ask a service of '{found.Host}'.");
        await using var alone = await bench.LockAsync("reconciliation", stop);
        // The host is listed before the store is read: what an operation makes in between is then never taken for a left-over.
        try
        {
            _owned = await bench.Driver.ListOwnedAsync(stop);
            // Not a matter of repair: programs hang in a guest that stays frozen.
            if (request.Environment is null) _findings.AddRange(await bench.Driver.ThawAsync(stop));
        }
        catch (WeaveException e) when (e.Fault == Fault.Unavailable)
        {
            return new([new(FindingLevel.Error, "hypervisor", e.Message, e.NextStep)], [], [], []);
        }
        var environments = (await bench.Store.ListEnvironmentsAsync(stop)).Where(bench.IsHere).ToList();
        var unfinished = (await journal.ListAsync(null, unfinishedOnly: true, 1000, null, stop)).Where(o => o.Host is null || bench.Host is null || o.Host == bench.Host).ToList();
        if (request.Environment is null) await LeftOversAsync(environments, unfinished);
        foreach (var environment in environments.Where(e => request.Environment is null || e.Id == request.Environment)) await EnvironmentAsync(environment, unfinished);
        await EndpointsAsync();
        if (_findings.All(f => f.Level is FindingLevel.Ok or FindingLevel.Note))
            _findings.Insert(0, new(FindingLevel.Ok, "reconciliation", request.Environment is { } e ? $"The host has of {(request.Weave is { } w ? $"{e}/{w}" : e)} what the store says."
                : $"{environments.Count} environment{(environments.Count == 1 ? "" : "s")}; the host has what the store says, and nothing else.", null));
        return new(_findings, _repaired, _repairable, _busy);
    }

    private async Task LeftOversAsync(IReadOnlyList<ManagedEnvironment> environments, IReadOnlyList<Operation> unfinished)
    {
        if (_owned.Things.Count == 0) return;
        var known = new HashSet<(OwnedKind, string)>();
        foreach (var environment in environments)
        {
            foreach (var layer in await bench.Store.ListLayersAsync(environment.Id, stop)) known.Add((OwnedKind.File, layer.Path));
            foreach (var file in (await bench.Store.ListSnapshotsAsync(environment.Id, null, null, stop)).SelectMany(s => s.MemoryFiles().Concat(s.StateFiles()))) known.Add((OwnedKind.File, file));
            await foreach (var part in bench.Store.WeavePartsAsync(environment.Id, Together, stop))
                foreach (var weave in part)
                {
                    if (!weave.IsMain) known.Add((OwnedKind.Fence, weave.Tag.Text));
                    foreach (var file in weave.StateFiles()) known.Add((OwnedKind.File, file));
                    foreach (var machine in weave.Machines) known.Add((OwnedKind.Machine, machine.Uuid.ToString()));
                }
        }
        var left = _owned.Things.Where(t => !known.Contains((t.Kind, t.Key))).ToList();
        if (left.Count == 0) return;
        if (unfinished.Count > 0)
        {
            // Running operations own things that only their plans name.
            _findings.Add(new(FindingLevel.Note, "left-overs", $"{left.Count} things on the host are not in the store yet; {unfinished.Count} operation{(unfinished.Count == 1 ? " is" : "s are")} still at work.", "Look again when they have ended: `weave op list`."));
            return;
        }
        // A file that is missed may stand under another name beside its place: nothing that could be it is removed.
        var missed = left.Any(t => t.Kind == OwnedKind.File) ? await bench.Driver.FindMissingAsync([.. known.Where(k => k.Item1 == OwnedKind.File).Select(k => k.Item2)], stop) : [];
        foreach (var thing in left.Where(t => t.Kind == OwnedKind.File && missed.Count > 0))
            _findings.Add(new(FindingLevel.Warning, "left-over", $"{thing.Description} belongs to nothing in the store ({thing.Bytes} bytes), but {missed.Count} file{(missed.Count == 1 ? " of ours is" : "s of ours are")} missing, and it may be one of them under another name; so it is not removed.", "Give the missing files their names again, or delete what needs them; then look again."));
        foreach (var thing in left.Where(t => t.Kind != OwnedKind.File || missed.Count == 0).OrderBy(t => t.Kind))
            await MendAsync("left-over", $"{thing.Description} belongs to nothing in the store ({thing.Bytes} bytes).", "removed", "remove", thing.Description, () => bench.Driver.RemoveOwnedAsync(thing, stop), "weave repair");
    }

    private async Task EnvironmentAsync(ManagedEnvironment environment, IReadOnlyList<Operation> unfinished)
    {
        var lease = unfinished.Any(o => o.Environment == environment.Id) ? null : await journal.TryAcquireAsync(environment.Id, Owner, LeaseTime, stop);
        if (lease is null)
        {
            _busy.Add(environment.Id);
            if (request.Environment is not null)
                _findings.Add(new(Repairs ? FindingLevel.Warning : FindingLevel.Note, environment.Id.Text, "operations are at work here, so it was not looked at.", $"Look again when they have ended: `weave op list --env {environment.Id} --unfinished`."));
            return;
        }
        try
        {
            var layers = await bench.Store.LayersByIdAsync(environment.Id, stop);
            var snapshots = await bench.Store.ListSnapshotsAsync(environment.Id, null, null, stop);
            var images = snapshots.SelectMany(s => s.MemoryFiles()).ToHashSet();
            var missing = (await bench.Driver.FindMissingAsync([.. layers.Values.Select(l => l.Path), .. images, .. snapshots.SelectMany(s => s.StateFiles())], stop)).ToHashSet();
            if (request.Weave is null)
            {
                await LostAsync(missing);
                if (environment.State != EnvironmentState.Managed)
                    _findings.Add(new(FindingLevel.Error, environment.Id.Text, $"it is {environment.State.ToString().ToLowerInvariant()}, and no operation is at work on that: the last one failed.", $"Look at it with `weave op list --env {environment.Id}`, and release it again with `weave env release {environment.Id}`."));
                foreach (var snapshot in snapshots.Where(s => s.State == SnapshotState.Deleting))
                    _findings.Add(new(FindingLevel.Error, environment.Id.Text, $"snapshot {snapshot.Id} is half deleted, and no operation is at work on it.", $"Delete it again with `weave snapshot delete {snapshot.Id}`."));
            }
            var prolonged = bench.Now;
            var lost = new List<string>();
            await foreach (var part in PartsAsync(environment.Id))
            {
                // A copy's own state file that was not captured is made by the hypervisor, at its first start.
                var states = part.SelectMany(w => w.Machines).SelectMany(m => m.States).Where(s => s.Bytes > 0).Select(s => s.Path).ToList();
                if (request.Weave is null && states.Count > 0) lost.AddRange(await bench.Driver.FindMissingAsync(states, stop));
                var looked = new List<Look>(part.Count);
                foreach (var weave in part) looked.Add(await LookAsync(weave, layers, missing));
                if (Repairs) looked = await AnnounceAsync(looked, lease);
                for (var i = 0; i < looked.Count; i++) looked[i] = await FenceAsync(looked[i]);
                await StoreAsync(looked.Select(l => l.Stored), looked.Select(l => l.After with { Drift = Dated(l.Before, l.Found) }), lease);
                if (bench.Now - prolonged < LeaseTime / 3) continue;
                prolonged = bench.Now;
                // Lost (this process stood still): what the rest was read from may be old.
                if (await journal.RenewAsync(lease, LeaseTime, stop) is not { } longer)
                {
                    _busy.Add(environment.Id);
                    return;
                }
                lease = longer;
            }
            await LostAsync(lost);

            async Task LostAsync(IReadOnlyCollection<string> paths)
            {
                if (paths.Count == 0) return;
                var weaves = await bench.Store.ListWeavesAsync(environment.Id, stop);
                foreach (var path in paths) _findings.Add(Lost(environment.Id, path, images.Contains(path), snapshots, weaves, layers));
            }
        }
        finally
        {
            await journal.ReleaseAsync(lease, CancellationToken.None);
        }
    }

    /// <summary>The weaves to look at; the environment's lease is held, so none but this changes them.</summary>
    private IAsyncEnumerable<IReadOnlyList<Weave>> PartsAsync(EnvironmentId environment)
    {
        return request.Weave is { } one ? OneAsync(one) : bench.Store.WeavePartsAsync(environment, Together, stop);

        async IAsyncEnumerable<IReadOnlyList<Weave>> OneAsync(WeaveId id)
        {
            if (await bench.Store.FindWeaveAsync(environment, id, stop) is { } weave) yield return [weave];
        }
    }

    /// <summary>A file that is gone cannot be made again: who needs it is said, and that only the file itself helps.</summary>
    private static Finding Lost(EnvironmentId environment, string path, bool image, IReadOnlyList<Snapshot> snapshots, IReadOnlyList<Weave> weaves, IReadOnlyDictionary<LayerId, Layer> layers)
    {
        bool On(LayerId head) => HistoryFiles.ChainOf(layers, head).Any(l => l.Path == path);
        var held = weaves.Where(w => w.StateFiles().Contains(path) || w.Machines.Any(m => m.Heads.Any(h => On(h.Layer)))).Select(w => $"weave {w.Id}")
            .Concat(snapshots.Where(s => s.MemoryFiles().Concat(s.StateFiles()).Contains(path) || s.Machines.Any(m => m.Frozen.Any(f => On(f.Layer)))).Select(s => $"snapshot {s.Id}")).ToList();
        var needed = held.Count == 0 ? "nothing needs it any more" : $"needed by {string.Join(", ", held.Take(8))}{(held.Count > 8 ? $" and {held.Count - 8} more" : "")}";
        return new(FindingLevel.Error, environment.Text, $"its {(image ? "memory image" : layers.Values.Any(l => l.Path == path) ? "layer" : "firmware or TPM state")} {Ids.QuotePath(path)} is gone ({needed}), and nothing else holds what was in it.",
            "Put it back where it was, from a backup; " + (image ? "or boot from the disks of that time with `weave create --boot`, or delete the snapshot." : "or delete what needs it. A machine that still runs on it has it open: do not stop that machine before its data is safe."));
    }

    /// <summary>What was found of one weave.</summary>
    /// <param name="Broken">What is missing of its fence; null where nothing is.</param>
    private sealed record Look(Weave Before, Weave After, List<Drift> Found, string? Broken = null)
    {
        /// <summary>What the store has of it now.</summary>
        public Weave Stored { get; init; } = Before;
    }

    private async Task<Look> LookAsync(Weave weave, IReadOnlyDictionary<LayerId, Layer> layers, HashSet<string> missing)
    {
        var name = $"{weave.Environment}/{weave.Id}";
        var found = new List<Drift>();
        void Add(DriftKind kind, string text) => found.Add(new(kind, text, bench.Now));
        if (weave.State is WeaveState.Creating or WeaveState.Deleting)
        {
            Add(DriftKind.Unfinished, $"it is half {(weave.State == WeaveState.Creating ? "made" : "deleted")}, and no operation is at work on it");
            _findings.Add(new(FindingLevel.Error, name, found[0].Text + ": the last one could neither finish nor undo.", $"Look at that one with `weave op list --env {weave.Environment}`, and delete the weave with `weave delete {name}`."));
            return new(weave, weave, found);
        }
        var machines = new List<WeaveMachine>();
        var stops = new List<Drift>();
        foreach (var machine in weave.Machines)
        {
            var facts = await bench.Driver.InspectAsync(machine.ToRef(), stop);
            var state = facts?.RunState ?? RunState.Off;
            if (facts is null && weave.IsMain) Add(DriftKind.Gone, $"machine {machine.HypervisorName} is gone from the hypervisor");
            else if (facts is not null)
                foreach (var head in machine.Heads)
                {
                    var expected = layers.Get(head.Layer).Path;
                    if (facts.VolumePaths.TryGetValue(weave.Blueprint.Machine(machine.Name).Target(head.Volume), out var path) && path != expected)
                        Add(DriftKind.Disk, $"{machine.Name}/{head.Volume} is on {path}, not on {expected}");
                }
            if (facts?.Trouble is { } trouble) Add(DriftKind.Space, PoolLook.Describe(machine.Name, trouble));
            foreach (var head in machine.Heads)
                foreach (var layer in HistoryFiles.ChainOf(layers, head.Layer).Where(l => missing.Contains(l.Path))) Add(DriftKind.File, $"{machine.Name}/{head.Volume} needs {layer.Path}, which is gone");
            if (state == RunState.Off && !(facts is null && weave.IsMain))
            {
                var stopped = new Drift(DriftKind.Stopped, $"machine {machine.Name} was stopped by something else", bench.Now);
                // Known until it is repaired, or the machine is started: the next look must not take it for what was wanted.
                if (machine.RunState != RunState.Off || weave.Drift.Any(stopped.IsSame)) stops.Add(stopped);
            }
            machines.Add(machine with { RunState = state, MemoryFrom = state == RunState.Off && machine.RunState != RunState.Off ? null : machine.MemoryFrom });
        }
        foreach (var drift in found) _findings.Add(new(FindingLevel.Warning, name, drift.Text + ".", NextStepOf(drift.Kind, name)));
        foreach (var drift in stops)
            if (request.Mode == RepairMode.Repair) _repaired.Add($"recorded for {name} that {drift.Text}");
            else
            {
                // People stop their own machines; copies are ours to stop.
                _findings.Add(new(weave.IsMain ? FindingLevel.Note : FindingLevel.Warning, name, drift.Text + ".", $"Start it again with `weave start {name}`, or take note of it with `weave repair {name}`."));
                if (request.Mode == RepairMode.Look) _repairable.Add($"record for {name} that {drift.Text}");
                found.Add(drift);
            }
        var changed = weave with { Machines = machines, State = weave.State == WeaveState.Failed ? weave.State : Adoption.MainState.Of([.. machines.Select(m => m.RunState)]) };
        // A copy that is stopped needs no fence: its start makes it whole, whatever is missing of it. So a host that was started anew makes none for thousands of weaves that nobody may start again.
        if (weave.IsMain || machines.All(m => m.RunState == RunState.Off)) return new(weave, changed, found);
        var broken = await bench.Driver.InspectFenceAsync(Fences.SpecOf(changed), stop);
        return new(weave, changed, found, broken.Count > 0 ? string.Join("; ", broken) : weave.Drift.Any(d => d.Text == Unfinished) ? Unfinished : null);
    }

    /// <summary>Writes of fences that are not whole that they are being made so.</summary>
    private async Task<List<Look>> AnnounceAsync(List<Look> looked, Lease lease)
    {
        var announced = looked.ConvertAll(l => l.Broken is null ? l : l with { Stored = l.Before with { Drift = Dated(l.Before, [.. l.Before.Drift.Where(d => d.Text != Unfinished), new(DriftKind.Fence, Unfinished, bench.Now)]) } });
        await StoreAsync(looked.Select(l => l.Stored), announced.Select(l => l.Stored), lease);
        return announced;
    }

    /// <summary>Makes a fence whole that is not; it may have other outer addresses than before.</summary>
    private async Task<Look> FenceAsync(Look look)
    {
        if (look.Broken is not { } broken) return look;
        var text = broken == Unfinished ? broken : $"its fence is not whole: {broken}";
        var name = $"{look.Before.Environment}/{look.Before.Id}";
        var addresses = look.After.Addresses;
        if (!await MendAsync(name, text + ".", "made whole", "make whole", $"the fence of {name}: {broken}", async () => addresses = (await bench.Driver.MakeFenceAsync(Fences.SpecOf(look.After), stop)).Addresses, $"weave repair {name}"))
            look.Found.Add(new(DriftKind.Fence, text, bench.Now));
        return look with { After = look.After with { Addresses = addresses } };
    }

    /// <summary>Writes those that are not what the store has.</summary>
    private async Task StoreAsync(IEnumerable<Weave> stored, IEnumerable<Weave> wanted, Lease lease)
    {
        var changed = stored.Zip(wanted).Where(w => !IsSame(w.First, w.Second)).Select(w => w.Second).ToList();
        if (changed.Count > 0) await bench.Store.CommitAsync(new StoreChange { PutWeaves = changed }, lease, stop);
    }

    /// <summary>Nothing that a look can change differs.</summary>
    private static bool IsSame(Weave one, Weave other) => one.State == other.State && one.Drift.SequenceEqual(other.Drift) && one.Addresses.SequenceEqual(other.Addresses)
        && one.Machines.Select(m => (m.RunState, m.MemoryFrom)).SequenceEqual(other.Machines.Select(m => (m.RunState, m.MemoryFrom)));

    /// <summary>What was found before keeps the time at which it was found first.</summary>
    private static IReadOnlyList<Drift> Dated(Weave before, IEnumerable<Drift> found) => [.. found.Select(d => before.Drift.FirstOrDefault(d.IsSame) ?? d)];

    private static string NextStepOf(DriftKind kind, string weave) => kind switch
    {
        DriftKind.Gone => $"Only its own definition may take its disks back: define it again on the hypervisor under its name and UUID (`weave show {weave} --json` has both), on the disk files that are listed there.",
        DriftKind.Disk => "Which file has the newest data is for whoever changed it to say; nothing was switched back. Give the machine its layer again, or release the environment.",
        DriftKind.Space => $"Free space in the pool, or look at the kernel log for the disk below; then let it go on with `weave resume {weave}`: the write is tried again and nothing is lost.",
        DriftKind.File => "Put the file back where it was, from a backup.",
        _ => $"See `weave show {weave}`.",
    };

    private async Task EndpointsAsync()
    {
        var should = await publisher.EndpointsAsync(stop);
        if (should.ToHashSet().SetEquals(_owned.Endpoints)) return;
        await MendAsync("routes", $"the host publishes {_owned.Endpoints.Count} endpoint{(_owned.Endpoints.Count == 1 ? "" : "s")}, the store has {should.Count}, and they are not the same.",
            "published again", "publish again", $"{should.Count} route{(should.Count == 1 ? "" : "s")}", () => publisher.PublishAsync(stop), "weave repair");
    }

    /// <summary>
    /// Repairs, or tells that it could be. True: it is whole now. What cannot be repaired (a port that another program has taken) is reported, and keeps nothing else from being repaired.
    /// </summary>
    private async Task<bool> MendAsync(string subject, string problem, string done, string toDo, string what, Func<Task> repair, string command)
    {
        if (!Repairs)
        {
            _findings.Add(new(FindingLevel.Warning, subject, problem, $"Repair it with `{command}`."));
            _repairable.Add($"{toDo} {what}");
            return false;
        }
        try
        {
            await repair();
            _repaired.Add($"{done} {what}");
            return true;
        }
        catch (WeaveException e)
        {
            _findings.Add(new(FindingLevel.Error, subject, $"{problem} This could not be repaired: {e.Message}", e.NextStep));
            return false;
        }
    }
}
