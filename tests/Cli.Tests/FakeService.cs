using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using WeaveHypervisor.Client.V1;

namespace WeaveHypervisor.Cli.Tests;

/// <summary>Answers as the service would, from one fixed environment `shop`, and keeps what it was asked. Operations end with their first event unless told otherwise.</summary>
internal sealed class FakeService : HttpMessageHandler
{
    public static readonly DateTimeOffset Noon = CliRun.Noon;
    private static readonly V1Json Json = V1Json.Default;

    /// <summary>"POST environments/shop/weaves {…}", in order, without what only the first look at an operation asks.</summary>
    public List<string> Requests { get; } = [];
    public List<string?> Tokens { get; } = [];
    /// <summary>Answers in place of the usual; null: the usual.</summary>
    public Func<string, HttpResponseMessage?> Instead { get; set; } = _ => null;
    /// <summary>What an operation has become, in order of its events; the last is its end.</summary>
    public Func<OperationView, IReadOnlyList<OperationView>> Becomes { get; set; } = o => [End(o, "succeeded")];
    /// <summary>Called with each event before it is sent.</summary>
    public Action<OperationView> OnEvent { get; set; } = _ => { };
    private OperationView? _begun;

    public static OperationView Begun(string kind, string subject, JsonElement? result = null) => new()
    {
        Id = "op-1", Kind = kind, Environment = subject.Split('/')[0], Subject = subject, RequestedBy = "admin", State = "queued", CreatedAt = Noon, StartedAt = Noon, Result = result,
        Steps = [new("prepare", "pending", null, null, null), new("capture", "pending", null, null, null)],
    };

    public static OperationView End(OperationView o, string state, OperationErrorView? error = null) => o with
    {
        State = state, EndedAt = Noon.AddMilliseconds(1234), Error = error, Progress = null,
        Steps = [new("prepare", "done", Noon, Noon.AddMilliseconds(4), null), new("capture", state == "succeeded" ? "done" : "undone", Noon, Noon.AddMilliseconds(1230), state == "succeeded" ? "2 machines [all]" : null)],
    };

    public static HttpResponseMessage Version(string driver) => Answer(200, new VersionView("WeaveHypervisor", "0.1.0", driver), Json.VersionView);

    public static HttpResponseMessage Problem(int status, Problem problem) => Answer(status, problem, Json.Problem, "application/problem+json");

    protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken stop)
    {
        var path = request.RequestUri!.PathAndQuery["/api/v1/".Length..];
        var body = request.Content is null ? "" : " " + await request.Content.ReadAsStringAsync(stop);
        Tokens.Add(request.Headers.Authorization?.Parameter);
        if (path == "operations/op-1/events") return Events(stop);
        Requests.Add($"{request.Method} {path}{body}");
        if (Instead(Requests[^1]) is { } other) return other;
        if (request.Method == HttpMethod.Get) return Read(path.Split('?')[0]);
        return path.Split('?')[0] switch
        {
            "reconcile" => Answer(200, request.RequestUri.Query.Contains("repair=true", StringComparison.Ordinal) ? Samples.Repaired : Samples.Looked, Json.DoctorView),
            "tokens" => Answer(201, Samples.Token with { Secret = "weave_0123" }, Json.TokenView),
            "operations/op-1/cancel" => Answer(202, Begun("snapshot", "shop/main") with { State = "running", CancelRequested = true }, Json.OperationView),
            var p when p.StartsWith("tokens/", StringComparison.Ordinal) => new(HttpStatusCode.NoContent),
            var p => Answer(202, _begun = Operation(request.Method, p), Json.OperationView),
        };
    }

    private static HttpResponseMessage Read(string path) => path switch
    {
        "version" => Version("libvirt"),
        "environments" => Answer(200, new Page<EnvironmentView>([Samples.Shop]), Json.PageEnvironmentView),
        "environments/shop" => Answer(200, Samples.Shop with { Space = new("/pool", 9L << 30, 2L << 30, 100L << 20, 1L << 30, 62, 5) }, Json.EnvironmentView),
        "environments/shop/compaction" => Answer(200, Samples.Compaction, Json.CompactionView),
        "environments/shop/agents" => Answer(200, new Page<AgentView>([new("web", "noChannel", "the machine has no channel for a guest agent", "Give it one."), new("db", "answers", null, null)]), Json.PageAgentView),
        "environments/shop/timeline" => Answer(200, Samples.Timeline, Json.TimelineView),
        "environments/shop/snapshots" => Answer(200, new Page<SnapshotView>([.. Samples.Timeline.Snapshots]), Json.PageSnapshotView),
        "snapshots/snap-1" => Answer(200, Samples.Timeline.Snapshots[0] with { Files = Samples.Files }, Json.SnapshotView),
        "environments/shop/weaves" => Answer(200, new Page<WeaveView>([.. Samples.Timeline.Weaves]), Json.PageWeaveView),
        "environments/shop/weaves/audit" => Answer(200, Samples.Timeline.Weaves[1], Json.WeaveView),
        "environments/shop/volume-diffs" => Answer(200, Samples.Differences, Json.VolumeDiffsView),
        "environments/shop/volume-syncs" => Answer(200, new Page<KeptSyncView>([new("op-1", "audit", "db/data", "main", Noon, "layer-1", 5 << 20)]), Json.PageKeptSyncView),
        "environments/shop/rules" => Answer(200, Samples.Rules, Json.RulesView),
        "environments/shop/rules/check" => Answer(200, new RuleVerdictView(true, "data", "in tcp/5432 from front", "rule 'in tcp/5432 from front' of group 'data'"), Json.RuleVerdictView),
        "environments/shop/routes" => Answer(200, new Page<RouteView>([Samples.Route]), Json.PageRouteView),
        "operations" => Answer(200, new Page<OperationView>([End(Begun("snapshot", "shop/main"), "succeeded"), Begun("weave.create", "shop/audit") with { Id = "op-2", State = "running" }]), Json.PageOperationView),
        "operations/op-1" => Answer(200, End(Begun("snapshot", "shop/main"), "succeeded"), Json.OperationView),
        "operations/op-3" => Answer(200, End(Begun("snapshot", "shop/main") with { Id = "op-3", Resumptions = 2 }, "undone", new("exhausted", "No space is left.", "Delete something.", ["shop/audit"])), Json.OperationView),
        "doctor" => Answer(200, Samples.Doctor, Json.DoctorView),
        "tokens" => Answer(200, new Page<TokenView>([Samples.Token, Samples.Token with { Id = "old", Name = "old", Environments = null, ExpiresAt = null, Revoked = true }]), Json.PageTokenView),
        _ => Problem(404, new() { Status = 404, Fault = "notFound", Detail = $"There is no '{path}'.", NextStep = "List the environments." }),
    };

    private static OperationView Operation(HttpMethod method, string path)
    {
        var parts = path.Split('/');
        return (method.Method, parts) switch
        {
            ("POST", ["environments"]) => Begun("env.adopt", "shop"),
            ("DELETE", ["environments", var env]) => Begun("env.release", env),
            ("POST", [_, var env, "snapshots"]) => Begun("snapshot", $"{env}/main", Samples.SnapshotResult),
            ("POST", ["imports"]) => Begun("env.import", "shop", Samples.Element("""{"at":"2030-01-01T11:00:00.000Z","machines":["web","db"],"domains":["shop-web","shop-db"],"madeNetworks":["lan"],"notCarried":["web: its memory at that instant: it boots"]}""")),
            ("POST", ["snapshots", var id, "export"]) => Begun("env.export", $"shop/{id}", Samples.Element("""{"at":"2030-01-01T11:00:00.000Z","folder":"/srv/labs/shop","bytes":52428800,"machines":["web","db"],"notCarried":["web: its memory at that instant: it boots"]}""")),
            ("POST", [_, var env, "weaves", var weave, "export"]) => Begun("env.export", $"{env}/{weave}", Samples.Element("""{"at":"2030-01-01T12:00:00.000Z","folder":"/srv/labs/shop","bytes":52428800,"machines":["web","db"],"notCarried":[]}""")),
            ("DELETE", ["snapshots", var id]) => Begun("snapshot.delete", $"shop/{id}"),
            ("POST", ["snapshots", var id, "verify"]) => Begun("snapshot.verify", $"shop/{id}", Samples.VerifyResult),
            ("PATCH", [_, var env, "weaves", var weave]) => Begun("weave.keep", $"{env}/{weave}", Samples.Element("""{"expiresAt":"2030-01-01T16:00:00.000Z"}""")),
            ("POST", [_, var env, "weaves"]) => Begun("weave.create", $"{env}/audit", Samples.CreateResult),
            ("DELETE", [_, var env, "weaves", var weave]) => Begun("weave.delete", $"{env}/{weave}"),
            ("POST", [_, var env, "weaves", var weave, "activate"]) => Begun("weave.activate", $"{env}/{weave}", Samples.Element("""{"previous":"main"}""")),
            ("POST", [_, var env, "weaves", _, "routes"]) => Begun("route.publish", $"{env}/audit:web:80", Samples.Element("""{"connect":"127.0.0.1:20000"}""")),
            ("POST", [_, var env, "routes"]) => Begun("route.publish", $"{env}/audit:web:80", Samples.Element("""{"connect":"127.0.0.1:20000"}""")),
            ("DELETE", [_, var env, "routes", var id]) => Begun("route.withdraw", $"{env}/{id}"),
            ("POST", [_, var env, "weaves", var weave, _]) => Begun("weave.power", $"{env}/{weave}", Samples.Element("""{"state":"paused"}""")),
            ("PUT", [_, var env, "rules"]) => Begun("weave.rules", $"{env}/main", Samples.Element("""{"environment":"shop","weave":"main","groups":2,"rules":3,"sources":["10.0.0.0/8","192.0.2.7/32"],"changed":true}""")),
            ("PUT", [_, var env, "policy"]) => Begun("env.policy", env),
            ("DELETE", [_, var env, "policy"]) => Begun("env.policy", env),
            ("POST", [_, var env, "volume-syncs", .. _]) => Begun("volume.sync", $"{env}/audit", Samples.SyncResult),
            ("DELETE", [_, var env, "volume-syncs", _]) => Begun("volume.sync.forget", $"{env}/audit", Samples.Element("""{"sync":"op-1","layersRemoved":2}""")),
            ("POST", [_, var env, "compact"]) => Begun("env.compact", env, Samples.Element("""{"layersMerged":9,"pulls":1,"longestBefore":16,"longestAfter":4,"inUse":["2 layers of web/vda: weave.shop.audit.web, shop-web have them open"]}""")),
            _ => throw new InvalidOperationException($"{method} {path}"),
        };
    }

    /// <summary>The events of the operation that was begun last, each read when the reader asks for more.</summary>
    private HttpResponseMessage Events(CancellationToken stop)
    {
        var becomes = Becomes(_begun ?? Begun("snapshot", "shop/main"));
        var stream = new EventStream(becomes, OnEvent, stop);
        return new(HttpStatusCode.OK) { Content = new StreamContent(stream) { Headers = { ContentType = new MediaTypeHeaderValue("text/event-stream") } } };
    }

    private static HttpResponseMessage Answer<T>(int status, T body, JsonTypeInfo<T> type, string media = "application/json") =>
        new((HttpStatusCode)status) { Content = new ByteArrayContent(JsonSerializer.SerializeToUtf8Bytes(body, type)) { Headers = { ContentType = new MediaTypeHeaderValue(media) } } };

    /// <summary>One event for each read; after the last one nothing more comes where it is no end.</summary>
    private sealed class EventStream(IReadOnlyList<OperationView> events, Action<OperationView> onEvent, CancellationToken stop) : Stream
    {
        private int _next;
        private byte[] _left = [];
        public override bool CanRead => true;
        public override bool CanSeek => false;
        public override bool CanWrite => false;
        public override long Length => throw new NotSupportedException();
        public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

        public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
        {
            if (_left.Length == 0)
            {
                if (_next == events.Count)
                {
                    if (events is [.., { EndedAt: not null }]) return 0;
                    var never = new TaskCompletionSource();
                    using var both = CancellationTokenSource.CreateLinkedTokenSource(stop, cancellationToken);
                    await using var _ = both.Token.Register(() => never.TrySetCanceled(both.Token));
                    await never.Task;
                }
                onEvent(events[_next]);
                cancellationToken.ThrowIfCancellationRequested();
                _left = Encoding.UTF8.GetBytes($"event: operation\ndata: {JsonSerializer.Serialize(events[_next++], Json.OperationView)}\n\n");
            }
            var count = Math.Min(buffer.Length, _left.Length);
            _left.AsMemory(0, count).CopyTo(buffer);
            _left = _left[count..];
            return count;
        }

        public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();
        public override void Flush() { }
        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();
        public override void SetLength(long value) => throw new NotSupportedException();
        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
    }
}
