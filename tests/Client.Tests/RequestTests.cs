using System.Net;
using System.Runtime.CompilerServices;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using WeaveHypervisor.Client.V1;

namespace WeaveHypervisor.Client.Tests;

/// <summary>Which request each method makes, and what becomes of the answer.</summary>
public sealed class RequestTests
{
    private static readonly DateTimeOffset At = new(2030, 1, 1, 14, 0, 0, 123, TimeSpan.FromHours(2));

    /// <summary>Every method with the one request that it makes: verb, address, body.</summary>
    private static readonly (string Request, Func<WeaveClient, Task> Call)[] Calls =
    [
        ("GET version", c => c.VersionAsync(default)),
        ("GET environments?limit=200", c => c.ListEnvironmentsAsync(default)),
        ("GET environments/lab", c => c.GetEnvironmentAsync("lab", default)),
        ("""POST environments {"name":"lab","machines":[{"name":"web","domain":"lab-web"},{"domain":"db"}]}""", c => c.AdoptAsync(new() { Name = "lab", Machines = [new() { Name = "web", Domain = "lab-web" }, new() { Domain = "db" }] }, default)),
        ("DELETE environments/lab?force=true", c => c.ReleaseAsync("lab", true, default)),
        ("GET environments/lab/timeline", c => c.TimelineAsync("lab", null, null, default)),
        ("GET environments/lab/timeline?from=2030-01-01T12%3A00%3A00.123Z&to=2030-01-01T12%3A00%3A01.123Z", c => c.TimelineAsync("lab", At, At.AddSeconds(1), default)),
        ("GET environments/lab/snapshots?limit=200", c => c.ListSnapshotsAsync("lab", default)),
        ("""POST environments/lab/snapshots {"weave":"test","label":"before","memory":false,"quiesce":true}""", c => c.SnapshotAsync("lab", new() { Weave = "test", Label = "before", Memory = false, Quiesce = true }, default)),
        ("GET snapshots/snap-1", c => c.GetSnapshotAsync("snap-1", default)),
        ("DELETE snapshots/snap-1", c => c.DeleteSnapshotAsync("snap-1", default)),
        ("""POST snapshots/snap-1/verify {"probe":{"machine":"web","port":80,"httpPath":"/health"},"timeoutSeconds":5}""",
            c => c.VerifySnapshotAsync("snap-1", new() { Probe = new() { Machine = "web", Port = 80, HttpPath = "/health" }, TimeoutSeconds = 5 }, default)),
        ("""POST snapshots/snap-1/verify {"agent":{"machine":"db"}}""", c => c.VerifySnapshotAsync("snap-1", new() { Agent = new() { Machine = "db" } }, default)),
        ("""PATCH environments/lab/weaves/past {"ttl":"4h"}""", c => c.KeepWeaveAsync("lab", "past", new() { Ttl = "4h" }, default)),
        ("""PUT environments/lab/policy {"every":"5m","keepLast":12}""", c => c.SetPolicyAsync("lab", new() { Every = "5m", KeepLast = 12 }, default)),
        ("DELETE environments/lab/policy", c => c.ClearPolicyAsync("lab", default)),
        ("POST environments/lab/compact", c => c.CompactAsync("lab", default)),
        ("GET environments/lab/compaction", c => c.PreviewCompactionAsync("lab", default)),
        ("GET environments/lab/rules", c => c.GetRulesAsync("lab", null, default)),
        ("GET environments/lab/rules?weave=past", c => c.GetRulesAsync("lab", new("past"), default)),
        ("GET environments/lab/rules?snapshot=snap-1", c => c.GetRulesAsync("lab", new(Snapshot: "snap-1"), default)),
        ("GET environments/lab/rules?at=2030-01-01T12%3A00%3A00.123Z", c => c.GetRulesAsync("lab", new(At: At), default)),
        ("""PUT environments/lab/rules {"groups":[]}""", c => c.SetRulesAsync("lab", null, new() { Groups = [] }, default)),
        ("""PUT environments/lab/rules?weave=past {"groups":[{"name":"front","description":"what users see","machines":["web"],"rules":["in tcp/80 from outside"]}],"access":{"sources":["10.0.0.0/8"]}}""",
            c => c.SetRulesAsync("lab", "past", new() { Groups = [new() { Name = "front", Description = "what users see", Machines = ["web"], Rules = ["in tcp/80 from outside"] }], Access = new() { Sources = ["10.0.0.0/8"] } }, default)),
        ("GET environments/lab/rules/check?from=web&to=db&protocol=tcp&port=5432", c => c.CheckRulesAsync("lab", "web", "db", "tcp", 5432, null, default)),
        ("GET environments/lab/rules/check?from=outside&to=10.0.0.1&protocol=icmp&snapshot=snap-1", c => c.CheckRulesAsync("lab", "outside", "10.0.0.1", "icmp", null, new(Snapshot: "snap-1"), default)),
        ("GET environments/lab/volume-diffs?left=main&right=past&limit=10&volume=db%2Fdata&from=4096", c => c.DiffVolumesAsync("lab", "main", "past", "db/data", 10, 4096, default)),
        ("""POST environments/lab/volume-syncs {"sourceWeave":"past","destinationWeave":"main","volume":"db/data","strategy":"merge","onConflict":"source","dryRun":true,"stop":true,"quiesce":true}""",
            c => c.SyncVolumeAsync("lab", new() { SourceWeave = "past", DestinationWeave = "main", Volume = "db/data", Strategy = "merge", OnConflict = "source", DryRun = true, Stop = true, Quiesce = true }, default)),
        ("GET environments/lab/volume-syncs?limit=200", c => c.ListSyncsAsync("lab", default)),
        ("""POST environments/lab/volume-syncs/op-1/undo {"stop":true}""", c => c.UndoSyncAsync("lab", "op-1", new() { Stop = true }, default)),
        ("DELETE environments/lab/volume-syncs/op-1", c => c.ForgetSyncAsync("lab", "op-1", default)),
        ("""POST environments/lab/weaves/past/export {"folder":"/srv/labs/past","provider":"libvirt"}""", c => c.ExportAsync("lab", "past", new() { Folder = "/srv/labs/past", Provider = "libvirt" }, default)),
        ("""POST snapshots/snap-1/export {"folder":"/srv/labs/past"}""", c => c.ExportSnapshotAsync("snap-1", new() { Folder = "/srv/labs/past" }, default)),
        ("""POST imports {"folder":"/srv/labs/past","name":"again"}""", c => c.ImportAsync(new() { Folder = "/srv/labs/past", Name = "again" }, default)),
        ("GET environments/lab/weaves?limit=200", c => c.ListWeavesAsync("lab", default)),
        ("GET environments/lab/weaves/past", c => c.GetWeaveAsync("lab", "past", default)),
        ("""POST environments/lab/weaves {"weaveId":"past","timestamp":"2030-01-01T12:00:00.123Z","sourceWeave":"main","start":"boot","uplink":"nat","ttl":"4h","rules":"now"}""",
            c => c.CreateWeaveAsync("lab", new() { WeaveId = "past", Timestamp = At, SourceWeave = "main", Start = "boot", Uplink = "nat", Ttl = "4h", Rules = "now" }, default)),
        ("DELETE environments/lab/weaves/past?withSnapshots=false", c => c.DeleteWeaveAsync("lab", "past", false, default)),
        ("""POST environments/lab/weaves/past/activate {"probe":{"machine":"web","port":80,"httpPath":"/health","timeoutSeconds":5}}""",
            c => c.ActivateAsync("lab", "past", new() { Probe = new() { Machine = "web", Port = 80, HttpPath = "/health", TimeoutSeconds = 5 } }, default)),
        ("POST environments/lab/weaves/past/start", c => c.ChangePowerAsync("lab", "past", "start", false, default)),
        ("POST environments/lab/weaves/past/stop?powerOff=true", c => c.ChangePowerAsync("lab", "past", "stop", true, default)),
        ("POST environments/lab/weaves/past/pause", c => c.ChangePowerAsync("lab", "past", "pause", false, default)),
        ("POST environments/lab/weaves/past/resume", c => c.ChangePowerAsync("lab", "past", "resume", false, default)),
        ("""POST environments/lab/weaves/active/routes {"machine":"web","targetPort":80,"protocol":"udp","listen":":18080"}""", c => c.PublishRouteAsync("lab", "active", new() { Machine = "web", TargetPort = 80, Protocol = "udp", Listen = ":18080" }, default)),
        ("GET environments/lab/agents?limit=200", c => c.AgentsAsync("lab", default)),
        ("""POST environments/lab/routes {"targetPort":80,"timestamp":"2026-11-23T12:00:00.000Z"}""", c => c.PublishRouteAsync("lab", new() { TargetPort = 80, Timestamp = new DateTimeOffset(2026, 11, 23, 12, 0, 0, TimeSpan.Zero) }, default)),
        ("GET environments/lab/routes?limit=200", c => c.ListRoutesAsync("lab", null, default)),
        ("GET environments/lab/weaves/past/routes?limit=200", c => c.ListRoutesAsync("lab", "past", default)),
        ("DELETE environments/lab/routes/route-1", c => c.WithdrawRouteAsync("lab", "route-1", default)),
        ("GET operations?limit=20&unfinished=true&environment=lab", c => c.ListOperationsAsync("lab", true, 20, default)),
        ("GET operations/op-1", c => c.GetOperationAsync("op-1", default)),
        ("POST operations/op-1/cancel", c => c.CancelOperationAsync("op-1", default)),
        ("GET doctor", c => c.DoctorAsync(default)),
        ("POST reconcile?repair=false&environment=lab&weave=past", c => c.ReconcileAsync(false, default, "lab", "past")),
        ("POST reconcile?repair=true", c => c.ReconcileAsync(true, default)),
        ("GET tokens?limit=200", c => c.ListTokensAsync(default)),
        ("""POST tokens {"name":"ci","role":"operator","environments":["lab"],"ttl":"30d"}""", c => c.CreateTokenAsync(new() { Name = "ci", Role = "operator", Environments = ["lab"], Ttl = "30d" }, default)),
        ("DELETE tokens/ci", c => c.RevokeTokenAsync("ci", default)),
        ("GET operations/op-1/events", async c => { await foreach (var _ in c.WatchAsync("op-1", default)) { } }),
    ];

    public static TheoryData<string> Requests => [.. Calls.Select(c => c.Request)];

    [Theory, MemberData(nameof(Requests))]
    public async Task A_method_makes_its_request(string request)
    {
        var seen = new List<string>();
        var handler = new StubHandler(async message =>
        {
            var body = message.Content is null ? "" : " " + await message.Content.ReadAsStringAsync();
            if (body.Length > 0) Assert.Equal("application/json", message.Content!.Headers.ContentType!.ToString());
            Assert.Equal("Bearer secret", message.Headers.Authorization!.ToString());
            Assert.Equal(message.Method != HttpMethod.Get, message.Headers.Contains("Idempotency-Key"));
            seen.Add($"{message.Method} {message.RequestUri!.PathAndQuery["/api/v1/".Length..]}{body}");
            return StubHandler.Json(404, new Problem { Status = 404, Fault = "notFound", Detail = "Nothing is here." }, V1Json.Default.Problem);
        });
        using var client = new WeaveClient(new("http://service.test"), "secret", handler);
        Assert.Equal("notFound", (await Assert.ThrowsAsync<ApiException>(() => Calls.Single(c => c.Request == request).Call(client))).Fault);
        Assert.Equal(request, Assert.Single(seen));
    }

    /// <summary>The OpenAPI document of the service is a golden file of its tests.</summary>
    [Fact]
    public void Every_address_of_the_interface_has_a_method_and_every_method_an_address()
    {
        var document = JsonNode.Parse(File.ReadAllText(Path.Combine(Path.GetDirectoryName(Here())!, "../Service.Tests/Api/openapi.json")))!;
        // Written by hand alone: the audit log is for people with their own tools, and a weave's route is withdrawn by its own address.
        string[] without = ["GET /api/v1/audit", "DELETE /api/v1/environments/{env}/weaves/{weave}/routes/{id}"];
        var addresses = (from path in document["paths"]!.AsObject() from verb in path.Value!.AsObject() select $"{verb.Key.ToUpperInvariant()} {path.Key}").Except(without).Order().ToList();
        var made = Calls.Select(c => c.Request.Split(' ')).Select(r => (Verb: r[0], Parts: ("/api/v1/" + r[1].Split('?')[0]).Split('/')))
            .Select(r => addresses.Single(a => a.StartsWith(r.Verb + " ", StringComparison.Ordinal) && a.Split(' ')[1].Split('/') is var parts && parts.Length == r.Parts.Length && parts.Zip(r.Parts).All(z => z.First == z.Second || z.First.StartsWith('{'))));
        Assert.Equal(addresses, made.Distinct().Order());
    }

    private static string Here([CallerFilePath] string me = "") => me;

    [Fact]
    public async Task Names_cannot_leave_their_place_in_the_address()
    {
        string? path = null;
        using var client = new WeaveClient(new("http://service.test"), null, new StubHandler(message =>
        {
            path = message.RequestUri!.PathAndQuery;
            return Task.FromResult(StubHandler.Json(200, Samples.Operation("queued"), V1Json.Default.OperationView));
        }));
        await client.DeleteWeaveAsync("../tokens", "a?b#c/d", false, default);
        Assert.Equal("/api/v1/environments/..%2Ftokens/weaves/a%3Fb%23c%2Fd?withSnapshots=false", path);
    }

    [Fact]
    public async Task A_list_is_read_page_by_page_to_its_end()
    {
        var asked = new List<string>();
        using var client = new WeaveClient(new("http://service.test"), null, new StubHandler(message =>
        {
            asked.Add(message.RequestUri!.Query);
            TokenView Token(string name) => new(name, name, "viewer", null, Samples.Noon, null, false);
            var page = asked.Count switch { 1 => new Page<TokenView>([Token("a"), Token("b")], "2&x"), 2 => new([], "3"), _ => new([Token("c")]) };
            return Task.FromResult(StubHandler.Json(200, page, V1Json.Default.PageTokenView));
        }));
        Assert.Equal(["a", "b", "c"], (await client.ListTokensAsync(default)).Select(t => t.Name));
        Assert.Equal(["?limit=200", "?limit=200&pageToken=2%26x", "?limit=200&pageToken=3"], asked);
    }

    [Fact]
    public async Task Problem_details_become_an_exception_with_all_their_members()
    {
        var sent = new Problem
        {
            Type = "urn:weavehypervisor:fault:conflict", Title = "Conflict", Status = 409, Detail = "'lab/past' is held.", Fault = "conflict", NextStep = "Delete 'lab/child' first.", Holders = ["lab/child"], Operation = "op-1", RetryAfter = 3,
        };
        var error = await ErrorAsync(StubHandler.Json(409, sent, V1Json.Default.Problem, "application/problem+json"));
        Assert.Equal(("conflict", "'lab/past' is held."), (error.Fault, error.Message));
        Assert.Equal(JsonSerializer.Serialize(sent, V1Json.Default.Problem), JsonSerializer.Serialize(error.Problem, V1Json.Default.Problem));
    }

    [Theory]
    [InlineData(404, "notFound")]
    [InlineData(401, "conflict")]
    [InlineData(403, "conflict")]
    [InlineData(502, "unavailable")]
    [InlineData(503, "unavailable")]
    [InlineData(504, "unavailable")]
    [InlineData(500, "internal")]
    [InlineData(302, "internal")]
    public async Task A_refusal_that_is_not_ours_is_told_by_its_status(int status, string fault)
    {
        var error = await ErrorAsync(new((HttpStatusCode)status) { Content = new StringContent("<html>a proxy's page</html>", Encoding.UTF8, "text/html") });
        Assert.Equal((fault, status), (error.Fault, error.Problem.Status));
        Assert.Contains($"{status}", error.Message);
        Assert.DoesNotContain("html", error.Message);
        if (status is 401 or 403) Assert.Contains("WEAVE_TOKEN", error.Problem.NextStep);
    }

    [Theory]
    [InlineData("application/problem+json", "{")]
    [InlineData("application/json", "[]")]
    [InlineData("application/problem+json", "")]
    public async Task A_broken_problem_is_told_by_its_status(string type, string body) =>
        Assert.Equal("unavailable", (await ErrorAsync(new(HttpStatusCode.ServiceUnavailable) { Content = new StringContent(body, Encoding.UTF8, type) })).Fault);

    [Theory]
    [InlineData("")]
    [InlineData("null")]
    [InlineData("{}")]
    [InlineData("{\"id\":\"op-1\"}")]
    [InlineData("<html></html>")]
    public async Task An_answer_that_is_no_operation_is_an_error_with_a_next_step(string body)
    {
        var error = await ErrorAsync(new(HttpStatusCode.OK) { Content = new StringContent(body, Encoding.UTF8, "application/json") });
        Assert.Equal("internal", error.Fault);
        Assert.Contains("same version", error.Problem.NextStep);
    }

    [Fact]
    public async Task Members_that_a_newer_service_adds_are_passed_over()
    {
        using var client = new WeaveClient(new("http://service.test"), null, new StubHandler(_ => Task.FromResult(new HttpResponseMessage(HttpStatusCode.OK)
        {
            Content = new StringContent("""{"product":"WeaveHypervisor","version":"9.0.0","driver":"libvirt","colour":{"red":1}}""", Encoding.UTF8, "application/json"),
        })));
        Assert.Equal("9.0.0", (await client.VersionAsync(default)).Version);
    }

    [Fact]
    public void An_operation_that_failed_becomes_an_exception_with_its_reason()
    {
        var error = ApiException.Of(Samples.Operation("undone") with { Error = new("exhausted", "No space is left.", "Delete something.", ["lab/past"]) });
        Assert.Equal(("exhausted", "No space is left.", "Delete something.", "op-1"), (error.Fault, error.Message, error.Problem.NextStep, error.Problem.Operation));
        Assert.Equal(["lab/past"], error.Problem.Holders);
        Assert.Equal(("internal", "The operation was failed."), (ApiException.Of(Samples.Operation("failed")).Fault, ApiException.Of(Samples.Operation("failed")).Message));
    }

    [Theory]
    [InlineData("2030-01-01T14:00:00.1234567+02:00")]
    [InlineData("2030-01-01T12:00:00.123Z")]
    public void Times_are_written_in_UTC_with_milliseconds_and_read_in_any_form(string text)
    {
        var view = JsonSerializer.Deserialize($$"""{"weave":"main","from":"{{text}}"}""", (System.Text.Json.Serialization.Metadata.JsonTypeInfo<ActivationView>)V1Json.Default.GetTypeInfo(typeof(ActivationView))!)!;
        Assert.Equal(TimeSpan.Zero, view.From.Offset);
        Assert.Equal("""{"weave":"main","from":"2030-01-01T12:00:00.123Z"}""", JsonSerializer.Serialize(view, (System.Text.Json.Serialization.Metadata.JsonTypeInfo<ActivationView>)V1Json.Default.GetTypeInfo(typeof(ActivationView))!));
    }

    private static async Task<ApiException> ErrorAsync(HttpResponseMessage answer)
    {
        using var client = new WeaveClient(new("http://service.test"), null, new StubHandler(_ => Task.FromResult(answer)));
        return await Assert.ThrowsAsync<ApiException>(() => client.GetOperationAsync("op-1", default));
    }
}
