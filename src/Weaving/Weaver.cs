using System.Net;
using System.Net.Sockets;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;
using WeaveHypervisor.Operations;
using WeaveHypervisor.Weaving.Adoption;
using WeaveHypervisor.Weaving.Branching;
using WeaveHypervisor.Weaving.Capture;
using WeaveHypervisor.Weaving.Retention;
using WeaveHypervisor.Weaving.Rules;
using WeaveHypervisor.Weaving.Timelines;
using WeaveHypervisor.Weaving.Traffic;

namespace WeaveHypervisor.Weaving;

/// <summary>Checks requests against the store and turns them into operations. What the hypervisor must say is asked by the operations' steps.</summary>
internal sealed partial class Weaver(Bench bench, OperationDesk desk, IJournal journal, Reconciler reconciler) : IWeaver
{
    private static readonly TimeSpan LongestProbe = TimeSpan.FromMinutes(10);
    private IWeaveStore Store => bench.Store;

    public async Task<Operation> AdoptAsync(AdoptRequest request, Caller caller, CancellationToken stop)
    {
        if (await RepeatedAsync(caller, stop) is { } known) return known;
        if (request.Machines.Count == 0) throw Invalid($"'{request.Environment}' needs at least one machine.", "Name machines with --domain.");
        if (request.Machines.Count > 64) throw Invalid($"'{request.Environment}' has {request.Machines.Count} machines; at most 64 are managed together.", "Adopt them as several environments.");
        Unique(request.Machines.Select(m => m.Name.Text), "machine name");
        Unique(request.Machines.Select(m => m.HypervisorName), "machine of the hypervisor");
        foreach (var machine in request.Machines)
            if (string.IsNullOrWhiteSpace(machine.HypervisorName) || machine.HypervisorName.Length > 255 || machine.HypervisorName.Any(char.IsControl))
                throw Invalid($"{Ids.Quote(machine.HypervisorName)} is no name of a machine.", "Use a name that `virsh list --all` shows.");
        if (request.Policy is { } policy) Policies.PolicyRules.Check(policy);
        if (await Store.FindEnvironmentAsync(request.Environment, stop) is not null)
            throw new WeaveException(Fault.AlreadyExists, $"There is an environment '{request.Environment}' already.", "Choose another name, or release that one first.");
        var plan = new AdoptPlan { Environment = request.Environment, Machines = [.. request.Machines], Tag = FenceTag.New(), Host = bench.Options.Host, Policy = request.Policy };
        return await SubmitAsync(Kinds.Adopt, request.Environment, request.Environment.Text, plan, WeavingJson.Default.AdoptPlan, caller, stop);
    }

    public async Task<Operation> ReleaseAsync(EnvironmentId environment, bool force, Caller caller, CancellationToken stop)
    {
        if (await RepeatedAsync(caller, stop) is { } known) return known;
        DeletionRules.CheckRelease(await Store.GetEnvironmentAsync(environment, stop), await Store.ListWeavesAsync(environment, stop), force);
        var plan = new ReleasePlan { Environment = environment, Force = force };
        return await SubmitAsync(Kinds.Release, environment, environment.Text, plan, WeavingJson.Default.ReleasePlan, caller, stop);
    }

    public async Task<Operation> SnapshotAsync(SnapshotRequest request, Caller caller, CancellationToken stop)
    {
        if (await RepeatedAsync(caller, stop) is { } known) return known;
        var environment = await Store.GetEnvironmentAsync(request.Environment, stop);
        CheckLabel(request.Label);
        var weave = Resolve(request.Weave, environment) ?? environment.ActiveWeave;
        await UsableAsync(environment, weave, stop);
        var plan = new SnapshotPlan { Capture = NewCapture(request.Environment, weave, request.Label, request.Memory, request.Quiesce, caller) };
        return await SubmitAsync(Kinds.Snapshot, request.Environment, $"{request.Environment}/{weave}", plan, WeavingJson.Default.SnapshotPlan, caller, stop);
    }

    public async Task<Operation> DeleteSnapshotAsync(SnapshotId snapshot, Caller caller, CancellationToken stop)
    {
        if (await RepeatedAsync(caller, stop) is { } known) return known;
        var found = await Store.GetSnapshotAsync(snapshot, stop);
        DeletionRules.CheckSnapshot(found, await Store.ListWeavesAsync(found.Environment, stop));
        var plan = new SnapshotDeletePlan { Environment = found.Environment, Snapshot = snapshot };
        return await SubmitAsync(Kinds.DeleteSnapshot, found.Environment, $"{found.Environment}/{snapshot}", plan, WeavingJson.Default.SnapshotDeletePlan, caller, stop);
    }

    public async Task<Operation> CreateWeaveAsync(CreateWeaveRequest request, Caller caller, CancellationToken stop)
    {
        if (await RepeatedAsync(caller, stop) is { } known) return known;
        var environment = await Store.GetEnvironmentAsync(request.Environment, stop);
        if (environment.State != EnvironmentState.Managed)
            throw new WeaveException(Fault.Conflict, $"Environment '{environment.Id}' is being released.", "Adopt it again after that.");
        if (request is { At: not null, Snapshot: not null }) throw Invalid("A time and a snapshot were both given.", "Give one of them, or none to weave from now.");
        CheckLife(request.TimeToLive);
        var weaves = await Store.ListWeavesAsync(environment.Id, stop);
        if (request.Weave is { } wanted)
        {
            if (Weave.IsReserved(wanted)) throw Invalid($"'{wanted}' is a reserved name.", "Choose another id for the weave.");
            if (weaves.Any(w => w.Id == wanted)) throw new WeaveException(Fault.AlreadyExists, $"'{environment.Id}' has a weave '{wanted}' already.", "Choose another id, or delete that weave first.");
        }
        var now = bench.Now;
        var source = Resolve(request.Source, environment);
        Snapshot? origin = null;
        if (request.Snapshot is { } named)
        {
            origin = await Store.GetSnapshotAsync(named, stop);
            if (origin.Environment != environment.Id) throw new WeaveException(Fault.NotFound, $"Snapshot '{named}' belongs to environment '{origin.Environment}', not to '{environment.Id}'.", $"List snapshots with `weave timeline {environment.Id}`.");
        }
        else if (request.At is { } at) origin = await AsOfAsync(environment, source, at, weaves, stop);
        if (origin is { State: not SnapshotState.Ready }) throw new WeaveException(Fault.Conflict, $"Snapshot '{origin.Id}' is not ready.", $"Choose another with `weave timeline {environment.Id}`.");
        if (origin is null) await UsableAsync(environment, source ?? environment.ActiveWeave, stop);
        var capture = origin is null ? NewCapture(environment.Id, source ?? environment.ActiveWeave, null, request.Start != StartMode.Boot, false, caller) : null;
        if (capture is not null) capture.ForWeave = true;
        // Of another host only its own service knows the driver; the operation looks there.
        if (bench.IsHere(environment))
        {
            EnvironmentRules RulesOfWeave(WeaveId id) => weaves.First(w => w.Id == id).Blueprint.Rules;
            var main = RulesOfWeave(Weave.Main);
            RulesGuard.CheckCreation(bench, environment.Id, request.Rules == RulesOf.Now ? main : origin?.Blueprint.Rules ?? RulesOfWeave(source ?? environment.ActiveWeave), main);
        }
        async Task<Operation> Submit(WeaveId id)
        {
            var plan = new CreatePlan
            {
                Environment = environment.Id, Weave = id, Tag = NewTag(weaves), Snapshot = origin?.Id ?? capture!.Snapshot, Capture = capture, Start = request.Start, Uplink = request.Uplink, RulesOf = request.Rules,
                CreatedAt = now, ExpiresAt = request.TimeToLive is { } ttl ? now + ttl : null,
            };
            return await SubmitAsync(Kinds.Create, environment.Id, Subject(environment.Id, id), plan, WeavingJson.Default.CreatePlan, caller, stop);
        }
        if (request.Weave is { } given) return await Submit(given);
        // One at a time from the choice to the journal: an id that waits there for its weave is taken.
        await using var one = await bench.Locks.TakeAsync("ids of weaves", stop);
        return await Submit(await GenerateAsync(environment.Id, now, stop));
    }

    public async Task<Operation> DeleteWeaveAsync(EnvironmentId environment, WeaveId weave, bool withSnapshots, Caller caller, CancellationToken stop)
    {
        if (await RepeatedAsync(caller, stop) is { } known) return known;
        var managed = await Store.GetEnvironmentAsync(environment, stop);
        var id = Resolve(weave, managed)!.Value;
        var found = await Store.GetWeaveAsync(environment, id, stop);
        if (found.Verifies is { } verified && (await journal.ListAsync(environment, unfinishedOnly: true, int.MaxValue, null, stop)).Any(o => o.Kind == Kinds.Verify && o.Subject == $"{environment}/{verified}")) CheckNotTemporary(found);
        DeletionRules.CheckWeave(found, managed, await Store.ListSnapshotsAsync(environment, null, null, stop), await Store.ListWeavesAsync(environment, stop), withSnapshots);
        var plan = new DeletePlan { Environment = environment, Weave = id, WithSnapshots = withSnapshots };
        return await SubmitAsync(Kinds.Delete, environment, $"{environment}/{id}", plan, WeavingJson.Default.DeletePlan, caller, stop);
    }

    public async Task<Operation> ActivateAsync(ActivateRequest request, Caller caller, CancellationToken stop)
    {
        if (await RepeatedAsync(caller, stop) is { } known) return known;
        var environment = await Store.GetEnvironmentAsync(request.Environment, stop);
        var weave = await UsableAsync(environment, Resolve(request.Weave, environment)!.Value, stop);
        if (request.Probe is { } probe) CheckProbe(probe, weave.Blueprint);
        var plan = new ActivatePlan { Environment = environment.Id, Weave = weave.Id, Probe = request.Probe };
        return await SubmitAsync(Kinds.Activate, environment.Id, $"{environment.Id}/{weave.Id}", plan, WeavingJson.Default.ActivatePlan, caller, stop);
    }

    public async Task<Operation> ChangePowerAsync(EnvironmentId environment, WeaveId weave, WeavePower change, Caller caller, CancellationToken stop)
    {
        if (await RepeatedAsync(caller, stop) is { } known) return known;
        var managed = await Store.GetEnvironmentAsync(environment, stop);
        var found = await Store.GetWeaveAsync(environment, Resolve(weave, managed)!.Value, stop);
        CheckNotTemporary(found);
        if (change == WeavePower.Pause && found.State == WeaveState.Stopped) throw new WeaveException(Fault.Conflict, $"'{environment}/{found.Id}' is stopped; it cannot be paused.", $"Start it with `weave start {environment}/{found.Id}`.");
        if (change == WeavePower.Resume && found.State == WeaveState.Stopped) throw new WeaveException(Fault.Conflict, $"'{environment}/{found.Id}' is stopped, not paused.", $"Start it with `weave start {environment}/{found.Id}`.");
        var plan = new PowerPlan { Environment = environment, Weave = found.Id, Change = change };
        return await SubmitAsync(Kinds.Power, environment, $"{environment}/{found.Id}", plan, WeavingJson.Default.PowerPlan, caller, stop);
    }

    /// <summary>What an environment was at a time: the newest snapshot at or before it, on the line of <paramref name="source"/> or else of the weave that was active then.</summary>
    private async Task<Snapshot> AsOfAsync(ManagedEnvironment environment, WeaveId? source, DateTimeOffset at, IReadOnlyList<Weave> weaves, CancellationToken stop)
    {
        var line = source ?? AsOf.ActiveAt(await Store.ListActivationsAsync(environment.Id, stop), at);
        // What was active then may be gone by now; its line lives on in the weave that is active today.
        if (source is null && weaves.All(w => w.Id != line)) line = environment.ActiveWeave;
        var weave = await Store.GetWeaveAsync(environment.Id, line, stop);
        CheckNotTemporary(weave);
        return AsOf.Find(environment.Id, line, AsOf.LineOf(weave, await Store.ListSnapshotsAsync(environment.Id, null, null, stop)), at, bench.Now);
    }

    /// <summary>The newest weave that was made of what the environment was at a time.</summary>
    private async Task<Weave> ShowingAsync(ManagedEnvironment environment, DateTimeOffset at, CancellationToken stop)
    {
        var weaves = await Store.ListWeavesAsync(environment.Id, stop);
        var origin = await AsOfAsync(environment, null, at, weaves, stop);
        return weaves.LastOrDefault(w => w.Origin == origin.Id && w.Verifies is null && w.State is WeaveState.Running or WeaveState.Paused or WeaveState.Stopped)
            ?? throw new WeaveException(Fault.NotFound, $"No weave shows '{environment.Id}' as it was at {at.Rfc()}: none was made of snapshot '{origin.Id}', of {origin.At.Rfc()}.", $"Make one with `weave create {environment.Id} --snapshot {origin.Id}`, and repeat.");
    }

    public async Task<Operation> PublishRouteAsync(RouteRequest request, Caller caller, CancellationToken stop)
    {
        if (await RepeatedAsync(caller, stop) is { } known) return known;
        var environment = await Store.GetEnvironmentAsync(request.Environment, stop);
        if (request is { Weave: not null, At: not null }) throw Invalid("A weave and a time were both given.", "Give one of them.");
        if (request.At is { } at) request = request with { Weave = (await ShowingAsync(environment, at, stop)).Id };
        var weave = await UsableAsync(environment, request.Weave is { } named && named.Text != Weave.ActiveAlias ? named : environment.ActiveWeave, stop);
        var machine = request.Machine ?? (weave.Blueprint.Machines.Count == 1 ? weave.Blueprint.Machines[0].Name
            : throw Invalid($"'{environment.Id}' has {weave.Blueprint.Machines.Count} machines: which one is meant?", $"Name one with --machine: {string.Join(", ", weave.Blueprint.Machines.Select(m => m.Name))}."));
        weave.Blueprint.Machine(machine);
        CheckPort(request.TargetPort, "target");
        if (request.ListenPort is { } port) CheckPort(port, "listen");
        var all = await Store.ListRoutesAsync(null, stop);
        var route = new Route
        {
            Id = RouteId.New(bench.Clock), Environment = environment.Id, Weave = request.Weave is { } w && w.Text != Weave.ActiveAlias ? w : null, Machine = machine,
            Protocol = request.Protocol, ListenAddress = ListenAddress(request.ListenAddress), ListenPort = request.ListenPort ?? 0, TargetPort = request.TargetPort, CreatedAt = bench.Now,
        };
        if (request.ListenPort is null) route = route with { ListenPort = Ports.Free(bench.Options, all, route, bench.Options.FirstPort) };
        else Ports.CheckFree(all, route);
        var plan = new RoutePlan { Route = route, ChosenPort = request.ListenPort is null };
        return await SubmitAsync(Kinds.Publish, environment.Id, $"{environment.Id}/{route.Weave?.Text ?? Weave.ActiveAlias}:{machine}:{request.TargetPort}", plan, WeavingJson.Default.RoutePlan, caller, stop);
    }

    public async Task<Operation> WithdrawRouteAsync(EnvironmentId environment, RouteId route, Caller caller, CancellationToken stop)
    {
        if (await RepeatedAsync(caller, stop) is { } known) return known;
        await Store.GetEnvironmentAsync(environment, stop);
        var found = (await Store.ListRoutesAsync(environment, stop)).FirstOrDefault(r => r.Id == route)
            ?? throw new WeaveException(Fault.NotFound, $"Environment '{environment}' has no route '{route}'.", $"List routes with `weave route list {environment}`.");
        return await SubmitAsync(Kinds.Withdraw, environment, $"{environment}/{route}", new RoutePlan { Route = found }, WeavingJson.Default.RoutePlan, caller, stop);
    }

    public Task<bool> CancelAsync(OperationId operation, CancellationToken stop) => desk.CancelAsync(operation, stop);

    public async Task<Timeline> TimelineAsync(EnvironmentId environment, DateTimeOffset? from, DateTimeOffset? to, CancellationToken stop)
    {
        var found = await Store.GetEnvironmentAsync(environment, stop);
        if (from is { } a && to is { } b && a > b) throw Invalid($"The time range begins at {a.Rfc()}, after its end at {b.Rfc()}.", "Swap the two.");
        return new(found, await Store.ListWeavesAsync(environment, stop), await Store.ListSnapshotsAsync(environment, from, to, stop), await Store.ListActivationsAsync(environment, stop));
    }

    public async Task<IReadOnlyList<RouteView>> RoutesAsync(EnvironmentId environment, WeaveId? weave, CancellationToken stop)
    {
        var managed = await Store.GetEnvironmentAsync(environment, stop);
        var weaves = (await Store.ListWeavesAsync(environment, stop)).ToDictionary(w => w.Id);
        var wanted = Resolve(weave, managed);
        if (wanted is { } id && !weaves.ContainsKey(id)) await Store.GetWeaveAsync(environment, id, stop);
        return [.. (await Store.ListRoutesAsync(environment, stop)).Select(route =>
        {
            var leads = route.Weave ?? managed.ActiveWeave;
            var target = weaves.TryGetValue(leads, out var w) ? EndpointPublisher.TargetOf(w, route.Machine) : null;
            return new RouteView(route, leads, route.Weave is null, target is null ? null : $"{target}:{route.TargetPort}");
        }).Where(v => wanted is null || v.Weave == wanted)];
    }

    /// <summary>How long agents are waited for that a person asks about.</summary>
    private static readonly TimeSpan AgentPatience = TimeSpan.FromSeconds(5);

    public async Task<IReadOnlyList<MachineAgent>> AskAgentsAsync(EnvironmentId environment, WeaveId? weave, CancellationToken stop)
    {
        var managed = await Store.GetEnvironmentAsync(environment, stop);
        var found = await Store.GetWeaveAsync(environment, Resolve(weave, managed) ?? managed.ActiveWeave, stop);
        return await Task.WhenAll(found.Machines.Select(async m => new MachineAgent(m.Name, await bench.Driver.AskAgentAsync(m.ToRef(), AgentPatience, stop))));
    }

    public async Task<IReadOnlyList<Finding>> ExamineAgentsAsync(IReadOnlyCollection<EnvironmentId>? only, CancellationToken stop)
    {
        var findings = new List<Finding>();
        var left = await bench.Driver.ThawAsync(stop);
        if (only is null) findings.AddRange(left);
        foreach (var environment in (await Store.ListEnvironmentsAsync(stop)).Where(e => only is null || only.Contains(e.Id)))
            foreach (var (machine, agent) in await AskAgentsAsync(environment.Id, Weave.Main, stop))
                if (agent.State == AgentCondition.Answers) findings.Add(new(FindingLevel.Ok, $"{environment.Id}/{machine}", "Its guest agent answers.", null));
                else if (agent.NextStep is { } next) findings.Add(new(FindingLevel.Note, $"{environment.Id}/{machine}", $"Snapshots cannot freeze its file systems: {agent.Reason}.", next));
        return findings;
    }

    public Task<ReconciliationReport> ReconcileAsync(Reconciliation request, CancellationToken stop) => reconciler.RunAsync(request, stop);

    public Task<ExpiryReport> DeleteExpiredAsync(TimeSpan retryAfter, Caller caller, CancellationToken stop) => new Expiry(bench, desk, journal).RunAsync(retryAfter, caller.Name, stop);

    private async Task<Operation> SubmitAsync<TPlan>(string kind, EnvironmentId environment, string subject, TPlan plan, JsonTypeInfo<TPlan> type, Caller caller, CancellationToken stop)
    {
        // Work goes to the host on which the environment lives, whichever service was asked; an adoption to this one.
        var host = bench.Host is null ? null : (await Store.FindEnvironmentAsync(environment, stop))?.Host ?? bench.Host;
        return await desk.SubmitAsync(kind, environment, subject, JsonSerializer.Serialize(plan, type), caller.Name, caller.IdempotencyKey, caller.RequestHash, host, stop);
    }

    /// <summary>The operation of an earlier request with the same key: a repeated request must not be refused because its first sending has succeeded.</summary>
    private async Task<Operation?> RepeatedAsync(Caller caller, CancellationToken stop) =>
        caller.IdempotencyKey is { } key && caller.RequestHash is { } hash ? await journal.FindRepeatedAsync(key, hash, stop) : null;

    /// <summary>A weave of this environment that is not coming or going.</summary>
    private async Task<Weave> UsableAsync(ManagedEnvironment environment, WeaveId id, CancellationToken stop)
    {
        if (environment.State != EnvironmentState.Managed) throw new WeaveException(Fault.Conflict, $"Environment '{environment.Id}' is being released.", "Wait until that has ended.");
        var weave = await Store.GetWeaveAsync(environment.Id, id, stop);
        CheckNotTemporary(weave);
        return weave.State is not (WeaveState.Deleting or WeaveState.Failed) ? weave
            : throw new WeaveException(Fault.Conflict, $"'{environment.Id}/{id}' is {weave.State.ToString().ToLowerInvariant()}.", $"Look at it with `weave show {environment.Id}/{id}`.");
    }

    private CapturePlan NewCapture(EnvironmentId environment, WeaveId weave, string? label, bool memory, bool quiesce, Caller caller) =>
        new() { Environment = environment, Weave = weave, Snapshot = SnapshotId.New(bench.Clock), Label = label, Memory = memory, Quiesce = quiesce, MadeBy = caller.Name };

    private static WeaveId? Resolve(WeaveId? weave, ManagedEnvironment environment) => weave?.Text == Weave.ActiveAlias ? environment.ActiveWeave : weave;

    private static string Subject(EnvironmentId environment, WeaveId weave) => $"{environment}/{weave}";

    /// <summary>Generated ids tell the time of their making: `w-1123-201530`, then `w-1123-201530-2`. Taken are those of weaves, and of weaves that are being made or wait to be.</summary>
    private async Task<WeaveId> GenerateAsync(EnvironmentId environment, DateTimeOffset now, CancellationToken stop)
    {
        var waiting = (await journal.ListAsync(environment, unfinishedOnly: true, int.MaxValue, null, stop)).Where(o => o.Kind == Kinds.Create).Select(o => o.Subject).ToHashSet();
        var taken = (await Store.ListWeavesAsync(environment, stop)).Select(w => w.Id).ToHashSet();
        var stem = now.ToString("'w-'MMdd-HHmmss", System.Globalization.CultureInfo.InvariantCulture);
        for (var n = 1; ; n++)
        {
            var id = WeaveId.Parse(n == 1 ? stem : $"{stem}-{n}");
            if (!taken.Contains(id) && !waiting.Contains(Subject(environment, id))) return id;
        }
    }

    /// <summary>A tag that no weave of the environment has.</summary>
    internal static FenceTag NewTag(IReadOnlyList<Weave> weaves)
    {
        while (true)
        {
            var tag = FenceTag.New();
            if (weaves.All(w => w.Tag != tag)) return tag;
        }
    }

    private static string ListenAddress(string? text)
    {
        if (text is null) return "127.0.0.1";
        // Only the one form that the host's rules use: decimal, octal and short forms of the same number are refused.
        if (!IPAddress.TryParse(text, out var address) || address.AddressFamily != AddressFamily.InterNetwork || address.ToString() != text
            || address.GetAddressBytes()[0] is >= 224 || text.StartsWith("169.254.", StringComparison.Ordinal))
            throw Invalid($"{Ids.Quote(text)} is no IPv4 address of this host.", "Use 127.0.0.1, 0.0.0.0, or one of the host's own addresses.");
        return text;
    }

    private static void CheckPort(int port, string which)
    {
        if (port is < 1 or > 65535) throw Invalid($"{port} is no {which} port.", "Use 1 to 65535.");
    }

    private static void CheckLabel(string? label)
    {
        if (label is not null && (label.Length is 0 or > 200 || label.Any(c => char.IsControl(c) || char.GetUnicodeCategory(c) == System.Globalization.UnicodeCategory.Format)))
            throw Invalid($"{Ids.Quote(label)} is no label.", "Use 1 to 200 printable characters.");
    }

    private static void Unique(IEnumerable<string> names, string what)
    {
        if (names.GroupBy(n => n).FirstOrDefault(g => g.Count() > 1) is { } twice) throw Invalid($"{Ids.Quote(twice.Key)} is named twice as {what}.", "Name each once.");
    }

    private static WeaveException Invalid(string message, string next) => new(Fault.InvalidRequest, message, next);
}
