using System.Net;
using WeaveHypervisor.Client.V1;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;
using WeaveHypervisor.Operations;
using WeaveHypervisor.Service.Api.Mapping;
using WeaveHypervisor.Service.Hosting;
using WeaveHypervisor.Weaving;
using WeaveHypervisor.Weaving.Access;
using static WeaveHypervisor.Service.Api.Requests;

namespace WeaveHypervisor.Service.Api;

/// <summary>/api/v1. Reads come from the store alone; only /doctor and /reconcile ask the hypervisor.</summary>
internal static class Endpoints
{
    private static readonly Needs Reads = new(AccessRole.Viewer), Changes = new(AccessRole.Operator), Administers = new(AccessRole.Admin), Owns = new(AccessRole.Admin, true);
    private static readonly Takes From = Takes.Time("from", "Only snapshots at or after this time."), To = Takes.Time("to", "Only snapshots at or before this time.");

    public static void MapApi(this IEndpointRouteBuilder app, string driverName)
    {
        app.MapOpenApi(Description.Path).WithMetadata(Reads);
        var api = app.MapGroup("/api/v1").AddEndpointFilter(Description.OnlyWhatIsTaken);
        api.MapGet("/version", () => Json(new VersionView("WeaveHypervisor", typeof(Endpoints).Assembly.GetName().Version!.ToString(3), driverName))).WithMetadata(Reads).Produces<VersionView>().Named("getVersion", "The version of the service and its driver.");

        api.MapGet("/environments", async (HttpContext http, IWeaveStore store, IWeaver weaver) =>
        {
            var found = http.Paged([.. (await store.ListEnvironmentsAsync(http.RequestAborted)).Where(e => http.Token().Covers(e.Id)).OrderBy(e => e.Id.Text, StringComparer.Ordinal)]);
            var views = new List<EnvironmentView>();
            foreach (var e in found.Items) views.Add(await ViewAsync(store, weaver, e, http.RequestAborted));
            return Json(new Page<EnvironmentView>(views, found.NextPageToken));
        }).WithMetadata([Reads, .. Takes.Paging]).Produces<Page<EnvironmentView>>().Named("listEnvironments", "The environments that the token covers, by name.");
        api.MapGet("/environments/{env}", async (HttpContext http, IWeaveStore store, IWeaver weaver) =>
        {
            var found = await FindAsync(store, http);
            return Json(await ViewAsync(store, weaver, found, http.RequestAborted) with { Space = await SpaceAsync(weaver, found.Id, http.RequestAborted) });
        }).WithMetadata(Reads).Produces<EnvironmentView>().Named("getEnvironment", "One environment, with the space that its history has left.");
        api.MapPost("/environments", async (HttpContext http, IWeaver weaver) =>
        {
            var body = await http.BodyAsync<AdoptBody>();
            var name = EnvironmentId.Parse(body.Name);
            if (!http.Token().Covers(name)) throw Wrong($"The token '{http.Token().Name}' does not cover '{name}'.", "Use a token that covers it.");
            var request = new AdoptRequest(name, [.. body.Machines.Select(m => new MachineRequest(MachineName.Parse(m.Name ?? m.Domain), m.Domain))], Policy(body.SnapshotPolicy));
            return await http.OperateAsync("environment.adopt", name.Text, (c, stop) => weaver.AdoptAsync(request, c, stop));
        }).Operates<AdoptBody>(Administers).Named("adoptEnvironment", "Put machines under management as one environment. Their disks and definitions are not touched.");
        api.MapPost("/imports", async (HttpContext http, IWeaver weaver) =>
        {
            var body = await http.BodyAsync<ImportBody>();
            var name = body.Name is null ? (EnvironmentId?)null : EnvironmentId.Parse(body.Name);
            return await http.OperateAsync("environment.import", $"{name?.Text ?? "(its name)"} from {Ids.QuotePath(body.Folder)}", (c, stop) => weaver.ImportAsync(body.Folder, name, c, stop));
        }).Operates<ImportBody>(Owns).Named("importEnvironment", "Make machines of an exported folder on the service's host, and adopt them. They are off, and the user's: they stay when the environment is released.");
        api.MapDelete("/environments/{env}", (HttpContext http, IWeaver weaver) =>
        {
            var (env, force) = (http.Env(), http.Flag("force"));
            return http.OperateAsync("environment.release", env.Text, (c, stop) => weaver.ReleaseAsync(env, force, c, stop));
        }).Operates(Administers, Takes.Flag("force", "End all weaves and their history with it.")).Named("releaseEnvironment", "Give the machines back as they were adopted.");

        api.MapPut("/environments/{env}/policy", async (HttpContext http, IWeaver weaver) =>
        {
            var (env, policy) = (http.Env(), Policy(await http.BodyAsync<PolicyBody>()));
            return await http.OperateAsync("policy.set", env.Text, (c, stop) => weaver.SetPolicyAsync(env, policy, c, stop));
        }).Operates<PolicyBody>(Changes).Named("setPolicy", "Have points of the active weave taken by themselves, and removed when they are not kept any more; in place of the policy that there was.");
        api.MapDelete("/environments/{env}/policy", (HttpContext http, IWeaver weaver) =>
        {
            var env = http.Env();
            return http.OperateAsync("policy.clear", env.Text, (c, stop) => weaver.SetPolicyAsync(env, null, c, stop));
        }).Operates(Changes).Named("clearPolicy", "Take and remove no more points by themselves. Those that there are stay.");

        api.MapPost("/environments/{env}/compact", (HttpContext http, IWeaver weaver) =>
        {
            var env = http.Env();
            return http.OperateAsync("environment.compact", env.Text, (c, stop) => weaver.CompactAsync(env, c, stop));
        }).Operates(Changes).Named("compactEnvironment", "Shorten the chains of an environment's disks. No content changes, and machines run on.");
        api.MapGet("/environments/{env}/compaction", async (HttpContext http, IWeaver weaver) => Json(Map.View(await weaver.PreviewCompactionAsync(http.Env(), http.RequestAborted)))).WithMetadata(Reads)
            .Produces<CompactionView>().Named("getCompaction", "How long the chains of an environment's disks are, and what a compaction would do now.");

        api.MapGet("/environments/{env}/agents", async (HttpContext http, IWeaver weaver) =>
        {
            var weave = http.Request.Query["weave"].ToString() is { Length: > 0 } name ? WeaveId.Parse(name) : (WeaveId?)null;
            var found = http.Paged(await weaver.AskAgentsAsync(http.Env(), weave, http.RequestAborted));
            return Json(new Page<AgentView>([.. found.Items.Select(Map.View)], found.NextPageToken));
        }).WithMetadata([Reads, new AsksHypervisor(), Takes.Word("weave", "Of this weave; of the active one where it is left out."), .. Takes.Paging]).Produces<Page<AgentView>>().Named("askAgents", "Which machines have a guest agent that answers now.");
        api.MapGet("/environments/{env}/timeline", async (HttpContext http, IWeaver weaver) =>
            Json(Map.View(await weaver.TimelineAsync(http.Env(), http.Time("from"), http.Time("to"), http.RequestAborted)))).WithMetadata(Reads, From, To).Produces<TimelineView>().Named("getTimeline", "Snapshots and weaves of an environment as one tree, and which weave was active since when.");
        api.MapGet("/environments/{env}/snapshots", async (HttpContext http, IWeaveStore store) =>
        {
            var env = await FindAsync(store, http);
            var found = http.Paged(await store.ListSnapshotsAsync(env.Id, http.Time("from"), http.Time("to"), http.RequestAborted));
            return Json(new Page<SnapshotView>([.. found.Items.Select(s => Map.View(s))], found.NextPageToken));
        }).WithMetadata([Reads, From, To, .. Takes.Paging]).Produces<Page<SnapshotView>>().Named("listSnapshots", "The snapshots of an environment in order of time.");
        api.MapPost("/environments/{env}/snapshots", async (HttpContext http, IWeaver weaver) =>
        {
            var body = await http.BodyAsync(() => new SnapshotBody());
            var env = http.Env();
            var request = new SnapshotRequest(env, Named(body.Weave), body.Label, body.Memory ?? true, body.Quiesce ?? false);
            return await http.OperateAsync("snapshot.create", $"{env}/{body.Weave ?? Weave.ActiveAlias}", (c, stop) => weaver.SnapshotAsync(request, c, stop));
        }).Operates<SnapshotBody>(Changes, mayBeEmpty: true).Named("takeSnapshot", "Take one consistent instant of all machines of a weave; they run on.");
        api.MapGet("/snapshots/{id}", async (HttpContext http, IWeaveStore store) =>
        {
            var snapshot = await SnapshotAsync(store, http);
            return Json(Map.View(snapshot, await store.ListLayersAsync(snapshot.Environment, http.RequestAborted)));
        }).WithMetadata(Reads).Produces<SnapshotView>().Named("getSnapshot", "One snapshot, machine by machine, with its files and its last verification.");
        api.MapPost("/snapshots/{id}/verify", async (HttpContext http, IWeaveStore store, IWeaver weaver) =>
        {
            var body = await http.BodyAsync(() => new VerifyBody());
            var snapshot = await SnapshotAsync(store, http);
            if (body.TimeoutSeconds is <= 0 or > 600 || body.Probe?.TimeoutSeconds is <= 0 or > 600) throw Wrong("timeoutSeconds is out of range.", "Use more than 0 and at most 600.");
            var limit = TimeSpan.FromSeconds(body.TimeoutSeconds ?? body.Probe?.TimeoutSeconds ?? 60);
            var request = new VerifyRequest(snapshot.Id, body.Probe is { } probe ? new(MachineName.Parse(probe.Machine), probe.Port, probe.HttpPath, limit) : null, body.Agent is not null,
                body.Agent?.Machine is { } machine ? MachineName.Parse(machine) : null, limit);
            return await http.OperateAsync("snapshot.verify", $"{snapshot.Environment}/{snapshot.Id}", (c, stop) => weaver.VerifySnapshotAsync(request, c, stop));
        }).Operates<VerifyBody>(Changes, mayBeEmpty: true).Named("verifySnapshot", "Try whether a snapshot can be revived: it is started in isolation, asked, and removed. A snapshot that fails is a result of a successful operation.");
        api.MapPost("/snapshots/{id}/export", async (HttpContext http, IWeaveStore store, IWeaver weaver) =>
        {
            var body = await http.BodyAsync<ExportBody>();
            var snapshot = await SnapshotAsync(store, http);
            return await ExportAsync(http, weaver, $"{snapshot.Environment}/{snapshot.Id}", new() { Environment = snapshot.Environment, Snapshot = snapshot.Id, Folder = body.Folder, Provider = body.Provider ?? "libvirt" });
        }).Operates<ExportBody>(Owns).Named("exportSnapshot", "Write what the disks of a snapshot hold into a new folder of the service's host, as a Vagrant lab.");
        api.MapDelete("/snapshots/{id}", async (HttpContext http, IWeaveStore store, IWeaver weaver) =>
        {
            var snapshot = await SnapshotAsync(store, http);
            return await http.OperateAsync("snapshot.delete", $"{snapshot.Environment}/{snapshot.Id}", (c, stop) => weaver.DeleteSnapshotAsync(snapshot.Id, c, stop));
        }).Operates(Changes).Named("deleteSnapshot", "Delete a snapshot and its memory. Refused while weaves that were made from it exist.");
        api.MapGet("/environments/{env}/weaves", async (HttpContext http, IWeaveStore store) =>
        {
            var env = await FindAsync(store, http);
            var found = await http.PagedAsync((after, limit) => store.PageWeavesAsync(env.Id, after, limit, http.RequestAborted));
            var origins = await store.FindInstantsAsync([.. found.Items.Where(w => w.Origin is not null).Select(w => w.Origin!.Value)], http.RequestAborted);
            return Json(new Page<WeaveView>([.. found.Items.Select(w => Map.View(w, env.ActiveWeave, origins))], found.NextPageToken));
        }).WithMetadata([Reads, .. Takes.Paging]).Produces<Page<WeaveView>>().Named("listWeaves", "The weaves of an environment, oldest first.");
        api.MapPost("/environments/{env}/weaves", async (HttpContext http, IWeaver weaver) =>
        {
            var body = await http.BodyAsync(() => new CreateWeaveBody());
            var env = http.Env();
            var request = new CreateWeaveRequest
            {
                Environment = env, Weave = body.WeaveId is null ? null : WeaveId.Parse(body.WeaveId), At = body.Timestamp, Snapshot = body.SnapshotId is null ? null : Ids.Parse<SnapshotId>(body.SnapshotId),
                Source = Named(body.SourceWeave), Start = Choice(body.Start, StartMode.Resume, "start"), Uplink = Choice(body.Uplink, UplinkMode.None, "uplink"), TimeToLive = Span(body.Ttl), Rules = Choice(body.Rules, RulesOf.Then, "rules"),
            };
            return await http.OperateAsync("weave.create", $"{env}/{body.WeaveId ?? "(new)"}", (c, stop) => weaver.CreateWeaveAsync(request, c, stop));
        }).Operates<CreateWeaveBody>(Changes, mayBeEmpty: true).Named("createWeave", "Make a weave: a copy of the whole environment from a time of its history, from a snapshot, or from now.");
        const string one = "/environments/{env}/weaves/{weave}";
        api.MapGet(one, async (HttpContext http, IWeaveStore store) =>
        {
            var env = await FindAsync(store, http);
            var weave = await store.FindWeaveAsync(env.Id, await WeaveAsync(store, http), http.RequestAborted) ?? throw new WeaveException(Fault.NotFound, $"There is no weave '{env.Id}/{http.GetRouteValue("weave")}'.", "List the weaves of the environment.");
            return Json(Map.View(weave, env.ActiveWeave, await store.FindInstantsAsync(weave.Origin is { } origin ? [origin] : [], http.RequestAborted)));
        }).WithMetadata(Reads).Produces<WeaveView>().Named("getWeave", "One weave: its machines, addresses and disks.");
        api.MapDelete(one, async (HttpContext http, IWeaveStore store, IWeaver weaver) =>
        {
            var (env, weave, all) = (http.Env(), await WeaveAsync(store, http), http.Flag("withSnapshots"));
            return await http.OperateAsync("weave.delete", $"{env}/{weave}", (c, stop) => weaver.DeleteWeaveAsync(env, weave, all, c, stop));
        }).Operates(Changes, Takes.Flag("withSnapshots", "Delete the snapshots that were taken of it, too.")).Named("deleteWeave", "Delete a weave: its machines, networks, routes and layers. Refused for main, the active weave and what others need.");
        api.MapPatch(one, async (HttpContext http, IWeaveStore store, IWeaver weaver) =>
        {
            var ttl = (await http.BodyAsync<KeepBody>()).Ttl;
            var (env, weave) = (http.Env(), await WeaveAsync(store, http));
            var life = ttl == "never" ? null : Span(ttl);
            return await http.OperateAsync("weave.keep", $"{env}/{weave}", (c, stop) => weaver.KeepWeaveAsync(env, weave, life, c, stop));
        }).Operates<KeepBody>(Changes).Named("keepWeave", "Give a weave another time to live from now on, or none.");
        api.MapPost(one + "/activate", async (HttpContext http, IWeaveStore store, IWeaver weaver) =>
        {
            var probe = (await http.BodyAsync(() => new ActivateBody())).Probe;
            var (env, weave) = (http.Env(), await WeaveAsync(store, http));
            if (probe is { TimeoutSeconds: <= 0 or > 600 }) throw Wrong("timeoutSeconds is out of range.", "Use more than 0 and at most 600.");
            var request = new ActivateRequest(env, weave, probe is null ? null : new(MachineName.Parse(probe.Machine), probe.Port, probe.HttpPath, TimeSpan.FromSeconds(probe.TimeoutSeconds ?? 10)));
            return await http.OperateAsync("weave.activate", $"{env}/{weave}", (c, stop) => weaver.ActivateAsync(request, c, stop));
        }).Operates<ActivateBody>(Changes, mayBeEmpty: true).Named("activateWeave", "Make a weave the active one: routes that follow the active weave lead to it, in one change.");
        api.MapPost(one + "/export", async (HttpContext http, IWeaveStore store, IWeaver weaver) =>
        {
            var body = await http.BodyAsync<ExportBody>();
            var (env, weave) = (http.Env(), await WeaveAsync(store, http));
            return await ExportAsync(http, weaver, $"{env}/{weave}", new() { Environment = env, Weave = weave, Folder = body.Folder, Provider = body.Provider ?? "libvirt" });
        }).Operates<ExportBody>(Owns).Named("exportWeave", "Write what the disks of a weave hold now into a new folder of the service's host, as a Vagrant lab. Its machines run on; the moment that is taken for it goes again.");
        foreach (var (verb, change) in new[] { ("start", WeavePower.Start), ("stop", WeavePower.Stop), ("pause", WeavePower.Pause), ("resume", WeavePower.Resume) })
            api.MapPost($"{one}/{verb}", async (HttpContext http, IWeaveStore store, IWeaver weaver) =>
            {
                var (env, weave) = (http.Env(), await WeaveAsync(store, http));
                var power = change == WeavePower.Stop && http.Flag("powerOff") ? WeavePower.PowerOff : change;
                return await http.OperateAsync("weave." + verb, $"{env}/{weave}", (c, stop) => weaver.ChangePowerAsync(env, weave, power, c, stop));
            }).Operates(Changes, change == WeavePower.Stop ? [Takes.Flag("powerOff", "Do not ask the guests; pull the plug.")] : []).Named(verb + "Weave", $"{char.ToUpperInvariant(verb[0])}{verb[1..]} the machines of a weave.");

        foreach (var (path, ofWeave) in new[] { ("/environments/{env}/routes", false), (one + "/routes", true) })
            api.MapGet(path, async (HttpContext http, IWeaveStore store, IWeaver weaver) =>
            {
                WeaveId? weave = ofWeave ? await WeaveAsync(store, http) : null;
                var found = http.Paged(await weaver.RoutesAsync(http.Env(), weave, http.RequestAborted));
                return Json(new Page<Client.V1.RouteView>([.. found.Items.Select(Map.View)], found.NextPageToken));
            }).WithMetadata([Reads, .. Takes.Paging]).Produces<Page<Client.V1.RouteView>>().Named(ofWeave ? "listWeaveRoutes" : "listRoutes", (ofWeave ? "The published ports that lead to a weave." : "The published ports of an environment."));
        api.MapPost(one + "/routes", async (HttpContext http, IWeaver weaver) =>
        {
            var body = await http.BodyAsync<RouteBody>();
            if (body.Timestamp is not null) throw Wrong("A weave and a timestamp were both given.", "Leave timestamp out, or post to /environments/{env}/routes.");
            return await PublishAsync(http, weaver, body, Named((string?)http.GetRouteValue("weave")), $"{http.GetRouteValue("weave")}");
        }).Operates<RouteBody>(Changes).Named("publishRoute", "Publish a port of a weave on this host; published for `active` it follows the active weave. The result says where to connect.");
        api.MapPost("/environments/{env}/routes", async (HttpContext http, IWeaver weaver) =>
        {
            var body = await http.BodyAsync<RouteBody>();
            if (body.Timestamp is not { } at) throw Wrong("No timestamp was given.", "Give one, or post to /environments/{env}/weaves/{weave}/routes.");
            return await PublishAsync(http, weaver, body, null, at.ToString("u", System.Globalization.CultureInfo.InvariantCulture));
        }).Operates<RouteBody>(Changes).Named("publishRouteAt", "Publish a port of the newest weave that was made of what the environment was at a time. The route stays with that weave.");
        foreach (var path in new[] { "/environments/{env}/routes/{id}", one + "/routes/{id}" })
            api.MapDelete(path, (HttpContext http, IWeaver weaver) =>
            {
                var (env, route) = (http.Env(), Ids.Parse<RouteId>((string?)http.GetRouteValue("id")));
                return http.OperateAsync("route.withdraw", $"{env}/{route}", (c, stop) => weaver.WithdrawRouteAsync(env, route, c, stop));
            }).Operates(Changes).Named(path.StartsWith(one, StringComparison.Ordinal) ? "withdrawWeaveRoute" : "withdrawRoute", "Withdraw a published port.");

        api.MapGet("/doctor", async (HttpContext http, IHypervisorDriver driver, IWeaver weaver, State.WeaveDatabase database) =>
        {
            var host = await Storage.AddToAsync(await driver.InspectHostAsync(http.RequestAborted), database, http.RequestAborted);
            // Where the hypervisor is down, that is said once.
            var agents = host.Findings.Any(f => f.Level == FindingLevel.Error) ? [] : await weaver.ExamineAgentsAsync(http.Token().Environments, http.RequestAborted);
            return Json(Map.View(host, [.. await PoolAsync(weaver, http.RequestAborted), .. agents]));
        }).WithMetadata(Reads, new AsksHypervisor()).Produces<DoctorView>().Named("getDoctor", "Check the host, and how long the pool will last.");
        api.MapPost("/reconcile", async (HttpContext http, IWeaver weaver, IWeaveStore store) =>
        {
            var repair = http.Flag("repair");
            var environment = http.Query("environment") is { } env ? EnvironmentId.Parse(env) : (EnvironmentId?)null;
            if (http.Query("weave") is not null && environment is null) throw Requests.Wrong("A weave is named without its environment.", "Name both: environment=ENV&weave=WEAVE.");
            // An environment that is not there is refused by the comparison itself.
            var weave = http.Query("weave") is not { } named ? null : Named(named) ?? (await store.FindEnvironmentAsync(environment!.Value, http.RequestAborted))?.ActiveWeave;
            var request = new Reconciliation(repair ? RepairMode.Repair : RepairMode.Look, environment, weave);
            var subject = (repair ? "repair" : "look") + (weave is { } w ? $" {environment}/{w}" : environment is { } e ? $" {e}" : "");
            return Json(Map.View(await http.AuditedAsync("host.reconcile", subject, () => weaver.ReconcileAsync(request, http.RequestAborted), r => $"succeeded: {r.Repaired.Count} repaired"), driverName));
        }).WithMetadata(Owns, Takes.Flag("repair", "Also remove what is left over, publish routes again, make broken fences whole, and take note of machines that were stopped."),
            Takes.Word("environment", "Only this one, and nothing that belongs to none."), Takes.Word("weave", "Only this one of the environment; `active` is the active one.")).Produces<DoctorView>().Named("reconcile", "Compare the host with what the service knows.");

        api.MapGet("/tokens", async (HttpContext http, ITokenStore tokens) =>
        {
            var found = http.Paged(await tokens.ListAsync(http.RequestAborted));
            return Json(new Page<TokenView>([.. found.Items.Select(t => Map.View(t))], found.NextPageToken));
        }).WithMetadata([Owns, .. Takes.Paging]).Produces<Page<TokenView>>().Named("listTokens", "All tokens; secrets are not known any more.");
        api.MapPost("/tokens", async (HttpContext http, ITokenStore tokens, TimeProvider clock) =>
        {
            var body = await http.BodyAsync<TokenBody>();
            var (secret, now) = (TokenSecret.New(), clock.GetUtcNow());
            var token = new AccessToken
            {
                Name = body.Name, Role = Choice(body.Role, AccessRole.Viewer, "role"), CreatedAt = now, ExpiresAt = now + Span(body.Ttl),
                Environments = body.Environments?.Select(e => EnvironmentId.Parse(e)).ToList(),
            };
            await http.AuditedAsync("token.create", Ids.Quote(body.Name), async () => { await tokens.AddAsync(token, TokenSecret.Hash(secret), http.RequestAborted); return true; }, _ => "succeeded");
            return Json(Map.View(token, secret), 201);
        }).WithMetadata(Owns).Accepts<TokenBody>("application/json").Produces<TokenView>(201).Named("createToken", "Make a token. Its secret is told in this answer and never again.");
        api.MapDelete("/tokens/{id}", async (HttpContext http, string id, ITokenStore tokens, TimeProvider clock) =>
        {
            await http.AuditedAsync("token.revoke", Ids.Quote(id), async () => await tokens.RevokeAsync(id, clock.GetUtcNow(), http.RequestAborted) ? true
                : throw new WeaveException(Fault.NotFound, $"There is no token {Ids.Quote(id)}.", "List the tokens."), _ => "succeeded");
            return Results.NoContent();
        }).WithMetadata(Owns).Produces(204).Named("revokeToken", "Revoke a token at once.");
        api.MapGet("/audit", async (HttpContext http, IAuditLog audit) =>
        {
            var limit = http.Number("limit", 100, 1, 200);
            long? before = http.Query("pageToken") is not { } t ? null : long.TryParse(t, out var n) ? n : throw Wrong("This pageToken is none of ours.", "Use nextPageToken of the page before.");
            var found = await audit.ListAsync(limit, before, http.RequestAborted);
            return Json(new Page<AuditView>([.. found.Select(Map.View)], found.Count < limit ? null : found[^1].Number.ToString(System.Globalization.CultureInfo.InvariantCulture)));
        }).WithMetadata([Owns, .. Takes.Paging]).Produces<Page<AuditView>>().Named("listAudit", "The audit log, newest first.");
        api.MapVolumes(Reads, Changes);
        api.MapRules(Reads, Changes);
        api.MapOperations(Reads, Changes);
    }

    private static Task<IResult> PublishAsync(HttpContext http, IWeaver weaver, RouteBody body, WeaveId? weave, string which)
    {
        var env = http.Env();
        var (address, port) = Listen(body.Listen);
        var request = new RouteRequest(env, weave, body.Machine is null ? null : MachineName.Parse(body.Machine), body.TargetPort, Choice(body.Protocol, RouteProtocol.Tcp, "protocol"), address, port) { At = body.Timestamp };
        return http.OperateAsync("route.publish", $"{env}/{which}", (c, stop) => weaver.PublishRouteAsync(request, c, stop));
    }

    private static Task<IResult> ExportAsync(HttpContext http, IWeaver weaver, string what, ExportRequest request) =>
        http.OperateAsync("environment.export", $"{what} to {Ids.QuotePath(request.Folder)}", (c, stop) => weaver.ExportAsync(request, c, stop));

    public static RouteHandlerBuilder Operates(this RouteHandlerBuilder route, Needs needs, params Takes[] takes) =>
        route.WithMetadata([needs, new BeginsOperation(), .. takes, Takes.Wait]).Produces<OperationView>(202).Produces<OperationView>();
    public static RouteHandlerBuilder Operates<T>(this RouteHandlerBuilder route, Needs needs, bool mayBeEmpty = false, params Takes[] takes) where T : notnull => route.Operates(needs, takes).Accepts<T>(mayBeEmpty, "application/json");
    public static void Named(this RouteHandlerBuilder route, string name, string summary) => route.WithName(name).WithSummary(summary);

    private static async Task<EnvironmentView> ViewAsync(IWeaveStore store, IWeaver weaver, ManagedEnvironment e, CancellationToken stop)
    {
        var (weaves, snapshots) = await store.CountAsync(e.Id, stop);
        return Map.View(e, await store.FindWeaveAsync(e.Id, Weave.Main, stop), weaves, snapshots) with { SnapshotPolicy = Map.View(await weaver.PolicyStandingAsync(e, stop)) };
    }

    private static SnapshotPolicy? Policy(PolicyBody? body) => body is null ? null : new()
    {
        Every = Span(body.Every, "length of time")!.Value, KeepLast = body.KeepLast, Hourly = body.Hourly ?? 0, Daily = body.Daily ?? 0, VerifyEvery = body.VerifyEvery ?? 0, Memory = body.Memory ?? true, Quiesce = body.Quiesce ?? false,
    };

    /// <summary>A hypervisor that does not answer is a finding of the host's already.</summary>
    private static async Task<IReadOnlyList<Finding>> PoolAsync(IWeaver weaver, CancellationToken stop)
    {
        try
        {
            return await weaver.LookAtPoolAsync(stop);
        }
        catch (WeaveException e) when (e.IsTransient)
        {
            return [];
        }
    }

    /// <summary>A pool that cannot be looked at, or does not answer (a network file system), keeps nobody from reading the rest.</summary>
    private static async Task<SpaceView?> SpaceAsync(IWeaver weaver, EnvironmentId environment, CancellationToken stop)
    {
        try
        {
            return Map.View(await Task.Run(() => weaver.ForecastAsync(environment, null, true, stop), stop).WaitAsync(TimeSpan.FromSeconds(2), stop));
        }
        catch (Exception e) when (e is WeaveException or TimeoutException or IOException)
        {
            return null;
        }
    }

    private static async Task<ManagedEnvironment> FindAsync(IWeaveStore store, HttpContext http) => await store.FindEnvironmentAsync(http.Env(), http.RequestAborted)
        ?? throw new WeaveException(Fault.NotFound, $"There is no environment '{http.Env()}'.", "List the environments.");

    private static async Task<Snapshot> SnapshotAsync(IWeaveStore store, HttpContext http)
    {
        var id = Ids.Parse<SnapshotId>((string?)http.GetRouteValue("id"));
        return await store.FindSnapshotAsync(id, http.RequestAborted) is { } found && http.Token().Covers(found.Environment) ? found
            : throw new WeaveException(Fault.NotFound, $"There is no snapshot '{id}'.", "Look at the timeline of the environment.");
    }

    /// <summary>The weave of the address, with `active` replaced by the one that is active now.</summary>
    private static async Task<WeaveId> WeaveAsync(IWeaveStore store, HttpContext http) =>
        Named((string?)http.GetRouteValue("weave")) ?? (await FindAsync(store, http)).ActiveWeave;

    private static WeaveId? Named(string? weave) => weave is null or Weave.ActiveAlias ? null : WeaveId.Parse(weave);

    private static (string? Address, int? Port) Listen(string? text)
    {
        if (text is null) return (null, null);
        var colon = text.LastIndexOf(':');
        var (address, port) = colon < 0 ? (text, null) : (text[..colon], text[(colon + 1)..]);
        if ((address.Length > 0 && !(IPAddress.TryParse(address, out var ip) && ip.ToString() == address)) || (port is not null && !(ushort.TryParse(port, out var p) && p > 0)))
            throw Wrong($"listen cannot be {Ids.Quote(text)}.", "Use ADDRESS:PORT, ADDRESS or :PORT with an IPv4 address of this host.");
        return (address.Length > 0 ? address : null, port is null ? null : int.Parse(port, System.Globalization.CultureInfo.InvariantCulture));
    }
}
