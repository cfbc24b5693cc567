using System.Text.Json;
using WeaveHypervisor.Client.V1;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;
using WeaveHypervisor.Operations;
using WeaveHypervisor.Weaving;
using WeaveHypervisor.Weaving.Access;
using WeaveHypervisor.Weaving.Retention;
using RouteView = WeaveHypervisor.Client.V1.RouteView;

namespace WeaveHypervisor.Service.Api.Mapping;

/// <summary>From what is stored to what is sent.</summary>
internal static class Map
{
    public static string Word<T>(T value) where T : struct, Enum => JsonNamingPolicy.CamelCase.ConvertName(value.ToString());

    public static EnvironmentView View(ManagedEnvironment e, Weave? main, int weaves, int snapshots)
    {
        var blueprint = main?.Blueprint;
        return new()
        {
            Name = e.Id.Text, Host = e.Host.Text, State = Word(e.State), AdoptedAt = e.AdoptedAt, ActiveWeave = e.ActiveWeave.Text, PreviousActiveWeave = e.PreviousActive?.Text,
            Machines = [.. blueprint?.Machines.Select(m => m.Name.Text) ?? []],
            Networks = [.. blueprint?.Networks.Select(n => new NetworkView(n.Name.Text, n.Gateway, n.PrefixLength, n.Dhcp)) ?? []],
            Volumes = [.. e.AdoptedVolumes.Select(v => new VolumeView($"{v.Machine}/{v.Volume}", v.Path, Word(v.Format)))],
            Weaves = weaves, Snapshots = snapshots,
        };
    }

    public static KeptSyncView View(WeaveId weave, KeptHead k, long? bytes = null) => new(k.Sync.Text, weave.Text, $"{k.Machine}/{k.Volume}", k.Source?.Text, k.At, k.Layer.Text, bytes);

    public static SpaceView View(SpaceForecast f) => new(f.Path, f.FreeBytes, f.FloorBytes, f.LikelyBytes, f.WorstBytes, f.PointsLeft, f.Points);

    public static WeaveView View(Weave w, WeaveId? active, IReadOnlyDictionary<SnapshotId, DateTimeOffset> origins) => new()
    {
        Environment = w.Environment.Text, Id = w.Id.Text, State = Word(w.State), Active = w.Id == active, CreatedAt = w.CreatedAt, Origin = w.Origin?.Text,
        OriginAt = w.Origin is { } origin && origins.TryGetValue(origin, out var at) ? at : null, Source = w.Source?.Text, Uplink = Word(w.Uplink), ExpiresAt = w.ExpiresAt, Verifies = w.Verifies?.Text, Drift = [.. w.Drift.Select(d => new DriftView(Word(d.Kind), d.Text, d.FoundAt))],
        Kept = [.. w.Kept.Select(k => View(w.Id, k))],
        Rules = w.Blueprint.Rules is { IsNone: false } rules ? new(rules.Groups.Count, rules.RuleCount, rules.Access?.Sources.Select(s => s.ToString()).ToList()) : null,
        Machines = [.. w.Machines.Select(m => new MachineView
        {
            Name = m.Name.Text, Domain = m.HypervisorName, Uuid = m.Uuid.ToString(), RunState = Word(m.RunState), StartedBy = m.StartedBy,
            Addresses = [.. w.Addresses.Where(a => a.Machine == m.Name).Select(a => new AddressView(a.Mac, a.Inner, a.Outer))],
            Volumes = [.. m.Heads.Select(h => new HeadView($"{m.Name}/{h.Volume}", h.Layer.Text))],
        })],
    };

    /// <param name="layers">All of the environment, where the snapshot's files are to be told; null: they are left out.</param>
    public static SnapshotView View(Snapshot s, IReadOnlyList<Layer>? layers = null) => new()
    {
        Id = s.Id.Text, Environment = s.Environment.Text, Weave = s.Weave.Text, Parent = s.Parent?.Text, At = s.At, Label = s.Label, MadeBy = s.MadeBy, State = Word(s.State), Consistency = Word(s.Consistency),
        SkewMs = s.Skew.TotalMilliseconds, LongestPauseMs = s.Machines.Select(m => m.Pause.TotalMilliseconds).DefaultIfEmpty().Max(), MemoryBytes = s.Machines.Sum(m => m.Memory?.StoredBytes ?? 0),
        ForWeave = s.ForWeave, Verification = s.Verification is { } v ? View(v) : null, Files = layers is null ? null : [.. FilesOf(s, layers.ToDictionary(l => l.Id))],
        Machines = [.. s.Machines.Select(m => new SnapshotMachineView
        {
            Name = m.Name.Text, RunState = Word(m.RunState), Method = m.Method, Reason = m.Reason, PauseMs = m.Pause.TotalMilliseconds, MemoryBytes = m.Memory?.StoredBytes ?? 0,
            Quiescing = m.Quiescing is { } q ? new(Word(q.Outcome), q.FileSystems, q.Frozen.TotalMilliseconds, q.Reason, q.NotThawed) : null,
        })],
    };

    private static VerificationView View(Verification v) => new(v.At, v.Passed, Word(v.Level), v.Probe, v.Reason, v.FirstReply?.TotalMilliseconds, [.. v.Machines.Select(m => new VerifiedMachineView(m.Name.Text, Word(m.RunState), m.Method, m.Reason))]);

    private static IEnumerable<SnapshotFileView> FilesOf(Snapshot s, Dictionary<LayerId, Layer> layers)
    {
        foreach (var machine in s.Machines)
        {
            foreach (var head in machine.Frozen)
                if (layers.TryGetValue(head.Layer, out var layer))
                {
                    var below = 0;
                    for (var next = layer.Parent; next is { } id && layers.TryGetValue(id, out var parent) && below < layers.Count; next = parent.Parent) below++;
                    yield return new(machine.Name.Text, layer.Adopted ? "adopted" : "layer", layer.Path, head.Volume.Text, layer.FrozenBytes, below);
                }
            if (machine.Memory is not { } memory) continue;
            yield return new(machine.Name.Text, "memory", memory.FlatPath);
            yield return new(machine.Name.Text, "deviceState", memory.DeviceStatePath);
        }
    }

    public static TimelineView View(Timeline t)
    {
        var instants = t.Snapshots.ToDictionary(s => s.Id, s => s.At);
        return new()
        {
            Environment = View(t.Environment, t.Weaves.FirstOrDefault(w => w.IsMain), t.Weaves.Count(w => w.Verifies is null), t.Snapshots.Count), Weaves = [.. t.Weaves.Select(w => View(w, t.Environment.ActiveWeave, instants))],
            Snapshots = [.. t.Snapshots.Select(s => View(s))], Activations = [.. t.Activations.Select(a => new ActivationView(a.Weave.Text, a.From))],
        };
    }

    public static RouteView View(WeaveHypervisor.Weaving.RouteView v) => new()
    {
        Id = v.Route.Id.Text, Environment = v.Route.Environment.Text, Weave = v.Weave.Text, FollowsActive = v.FollowsActive, Machine = v.Route.Machine.Text, Protocol = Word(v.Route.Protocol),
        Listen = $"{v.Route.ListenAddress}:{v.Route.ListenPort}", Connect = $"{(v.Route.ListenAddress == "0.0.0.0" ? "127.0.0.1" : v.Route.ListenAddress)}:{v.Route.ListenPort}",
        TargetPort = v.Route.TargetPort, Target = v.Target, CreatedAt = v.Route.CreatedAt,
    };

    public static OperationView View(Operation o, OperationProgress? p) => new()
    {
        Id = o.Id.Text, Kind = o.Kind, Environment = o.Environment.Text, Subject = o.Subject, RequestedBy = o.RequestedBy, State = Word(o.State), CreatedAt = o.CreatedAt, StartedAt = o.StartedAt,
        EndedAt = o.EndedAt, CancelRequested = o.CancelRequested, Resumptions = o.Resumptions, Steps = [.. o.Steps.Select(s => new StepView(s.Name, Word(s.State), s.StartedAt, s.EndedAt, s.Note))],
        Progress = p is null || o.IsEnded ? null : new(p.Step, p.Activity, p.Done, p.Total),
        Error = o.Error is { } e ? new(Word(e.Fault), e.Message, e.NextStep, e.Holders) : null, Result = Json(o.Result),
    };

    public static PolicyView? View(PolicyStanding? p) => p is null ? null : new()
    {
        Every = Requests.Text(p.Policy.Every), KeepLast = p.Policy.KeepLast, Hourly = p.Policy.Hourly, Daily = p.Policy.Daily, VerifyEvery = p.Policy.VerifyEvery, Memory = p.Policy.Memory, Quiesce = p.Policy.Quiesce, NextAt = p.NextAt,
        LastOperation = p.Last?.Id.Text, LastState = p.Last is { } last ? Word(last.State) : null, LastAt = p.Last?.CreatedAt, LastError = p.Last?.Error?.Message,
    };

    public static RulesView View(KnownRules k) => new()
    {
        Of = new(k.Weave?.Text, k.Snapshot?.Text, k.At), Access = k.Blueprint.Rules.Access is { } access ? new() { Sources = [.. access.Sources.Select(s => s.ToString())] } : null,
        Groups = [.. k.Blueprint.Rules.Groups.Select(g => new GroupBody { Name = g.Name.Text, Description = g.Description, Machines = [.. g.Machines.Select(m => m.Text)], Rules = [.. g.Rules.Select(r => r.ToString())] })],
    };

    public static RuleVerdictView View(Verdict v) => new(v.Allowed, v.Group?.Text, v.Rule?.ToString(), v.Reason);

    public static CompactionView View(CompactionPreview c) => new()
    {
        Chains = [.. c.Chains.Select(l => new ChainView(l.Weave.Text, $"{l.Machine}/{l.Volume}", l.Layers))], Folds = c.Folds, InUse = c.InUse, Limit = c.Limit,
    };

    public static FindingView View(Finding f) => new(Word(f.Level), f.Subject, f.Text, f.NextStep);
    public static AgentView View(MachineAgent a) => new(a.Machine.Text, Word(a.Agent.State), a.Agent.Reason, a.Agent.NextStep);
    public static DoctorView View(HostFacts h, IReadOnlyList<Finding>? more = null) => new(h.Hypervisor, h.Version, h.Details, [.. h.Findings.Concat(more ?? []).Select(View)], []);
    public static DoctorView View(ReconciliationReport r, string driver) => new(driver, "", new Dictionary<string, string>(), [.. r.Findings.Select(View)], r.Repaired) { Repairable = r.Repairable, Busy = [.. r.Busy.Select(e => e.Text)] };
    public static TokenView View(AccessToken t, string? secret = null) =>
        new(t.Name, t.Name, Word(t.Role), t.Environments?.Select(e => e.Text).ToList(), t.CreatedAt, t.ExpiresAt, t.RevokedAt is not null, secret);
    public static AuditView View(AuditEntry a) => new(a.At, a.Who, a.What, a.Subject, a.Result);

    private static JsonElement? Json(string? text)
    {
        if (text is null) return null;
        using var document = JsonDocument.Parse(text);
        return document.RootElement.Clone();
    }
}
