using System.Net;
using WeaveHypervisor.Client;
using WeaveHypervisor.Client.V1;
using WeaveHypervisor.Weaving.Access;

namespace WeaveHypervisor.Service.Tests.Api;

/// <summary>Security groups and access policies over the interface, on a simulated host that enforces them.</summary>
public sealed class RulesTests : IAsyncLifetime
{
    private TestService _service = null!;

    public async ValueTask InitializeAsync()
    {
        _service = await TestService.StartAsync();
        await _service.AdoptAsync();
    }

    public ValueTask DisposeAsync() => _service.DisposeAsync();

    private static RulesBody Front => new()
    {
        Groups = [new() { Name = "front", Description = "what users see", Machines = ["web"], Rules = ["in tcp/443,80 from outside", "in any from front"] }, new() { Name = "data", Machines = ["db"], Rules = ["in tcp/5432 from front"] }],
        Access = new() { Sources = ["192.0.2.7", "10.0.0.0/8"] },
    };

    private Task<HttpResponseMessage> PutAsync(string query, string json, string? token = null) => _service.Http(token ?? _service.AdminToken).PutAsync("/api/v1/environments/lab/rules" + query, new StringContent(json, null, "application/json"));

    [Fact]
    public async Task Rules_are_set_read_versioned_and_enforced()
    {
        var client = _service.Client();
        var none = await client.GetRulesAsync("lab", null, default);
        Assert.Equal(("main", 0, null), (none.Of.Weave, none.Groups.Count, none.Access));
        Assert.Null((await client.GetWeaveAsync("lab", "main", default)).Rules);
        var set = await _service.EndAsync(await client.SetRulesAsync("lab", null, Front, default));
        Assert.Equal(("weave.rules", 2, 3), (set.Kind, set.Result!.Value.GetProperty("groups").GetInt32(), set.Result.Value.GetProperty("rules").GetInt32()));
        Assert.Equal(["192.0.2.7/32", "10.0.0.0/8"], set.Result.Value.GetProperty("sources").EnumerateArray().Select(s => s.GetString()));
        var known = await client.GetRulesAsync("lab", null, default);
        Assert.Equal(["in tcp/80,443 from outside", "in any from front"], known.Groups[0].Rules);
        Assert.Equal(("what users see", null), (known.Groups[0].Description, known.Groups[1].Description));
        var summary = (await client.GetWeaveAsync("lab", "main", default)).Rules!;
        Assert.Equal((2, 3, 2), (summary.Groups, summary.Rules, summary.Sources!.Count));
        await _service.EndAsync(await client.PublishRouteAsync("lab", "active", new() { Machine = "web", TargetPort = 80, Listen = ":18080" }, default));
        Assert.NotNull(_service.Host.AskPort(18080, client: "10.1.2.3"));
        Assert.Null(_service.Host.AskPort(18080, client: "192.0.2.8"));

        await _service.EndAsync(await client.SnapshotAsync("lab", new(), default));
        var point = (await client.ListSnapshotsAsync("lab", default)).Single();
        await _service.EndAsync(await client.SetRulesAsync("lab", "main", new() { Groups = [] }, default));
        var then = await client.GetRulesAsync("lab", new(Snapshot: point.Id), default);
        Assert.Equal((null, point.Id, point.At, 2), (then.Of.Weave, then.Of.Snapshot, then.Of.At, then.Groups.Count));
        Assert.Equal(point.Id, (await client.GetRulesAsync("lab", new(At: point.At), default)).Of.Snapshot);
        await _service.EndAsync(await client.CreateWeaveAsync("lab", new() { WeaveId = "then", SnapshotId = point.Id }, default));
        await _service.EndAsync(await client.CreateWeaveAsync("lab", new() { WeaveId = "now", SnapshotId = point.Id, Rules = "now" }, default));
        Assert.Equal(2, (await client.GetRulesAsync("lab", new("then"), default)).Groups.Count);
        Assert.Empty((await client.GetRulesAsync("lab", new("now"), default)).Groups);
        async Task<string> OuterAsync(string weave) => (await client.GetWeaveAsync("lab", weave, default)).Machines.Single(m => m.Name == "db").Addresses.Single().Outer;
        Assert.Null(_service.Host.Reach(await OuterAsync("then"), 22));
        Assert.NotNull(_service.Host.Reach(await OuterAsync("now"), 22));
    }

    [Fact]
    public async Task What_was_read_can_be_set_again()
    {
        var client = _service.Client();
        await _service.EndAsync(await client.SetRulesAsync("lab", null, Front, default));
        var known = await client.GetRulesAsync("lab", null, default);
        var again = await _service.EndAsync(await client.SetRulesAsync("lab", "active", new() { Groups = known.Groups, Access = known.Access }, default));
        Assert.False(again.Result!.Value.GetProperty("changed").GetBoolean());
    }

    [Theory]
    [InlineData("web", "db", "tcp", 5432, true, "data", "in tcp/5432 from front")]
    [InlineData("web", "db", "tcp", 22, false, null, null)]
    [InlineData("outside", "web", "tcp", 443, true, "front", "in tcp/80,443 from outside")]
    [InlineData("203.0.113.9", "10.20.30.10", "tcp", 443, true, "front", "in tcp/80,443 from outside")]
    [InlineData("db", "web", "icmp", null, false, null, null)]
    [InlineData("web", "outside", "udp", 53, true, null, null)]
    public async Task A_connection_is_asked_about(string from, string to, string protocol, int? port, bool allowed, string? group, string? rule)
    {
        await _service.EndAsync(await _service.Client().SetRulesAsync("lab", null, Front, default));
        var verdict = await _service.Client().CheckRulesAsync("lab", from, to, protocol, port, null, default);
        Assert.Equal((allowed, group, rule, false), (verdict.Allowed, verdict.Group, verdict.Rule, string.IsNullOrEmpty(verdict.Reason)));
    }

    [Theory]
    [InlineData("from=web&to=db&protocol=tcp", 400)]
    [InlineData("from=web&to=db&protocol=tcp&port=0", 400)]
    [InlineData("from=web&to=db&protocol=icmp&port=8", 400)]
    [InlineData("from=web&to=db&protocol=any&port=8", 400)]
    [InlineData("from=web&to=db&protocol=sctp&port=8", 400)]
    [InlineData("from=web&protocol=tcp&port=80", 400)]
    [InlineData("from=outside&to=203.0.113.9&protocol=tcp&port=80", 400)]
    [InlineData("from=mail&to=db&protocol=tcp&port=80", 404)]
    [InlineData("from=web&to=db&protocol=tcp&port=80&weave=none", 404)]
    [InlineData("from=web&to=db&protocol=tcp&port=80&weave=main&at=2030-01-01T00:00:00Z", 400)]
    public async Task A_question_that_is_none_is_refused_with_what_to_do(string query, int status) =>
        Assert.False(string.IsNullOrEmpty((await (await _service.Http(_service.AdminToken).GetAsync("/api/v1/environments/lab/rules/check?" + query)).ProblemAsync(status)).NextStep));

    [Theory]
    [InlineData("{}", "groups")]
    [InlineData("""{"groups":[],"acces":{"sources":[]}}""", "acces")]
    [InlineData("""{"groups":[],"groups":[]}""", "groups")]
    [InlineData("""{"groups":null}""", "groups")]
    [InlineData("""{"groups":[{"name":"any","machines":[],"rules":[]}]}""", "'any'")]
    [InlineData("""{"groups":[{"name":"g","machines":["web"],"rules":["in tcp/0 from any"]}]}""", "'in tcp/0 from any'")]
    [InlineData("""{"groups":[{"name":"g","machines":["web"],"rules":[null]}]}""", "no rule")]
    [InlineData("""{"groups":[{"name":"g","machines":["mail"],"rules":[]}]}""", "'mail'")]
    [InlineData("""{"groups":[{"name":"g","description":"a\u001b[31m","machines":[],"rules":[]}]}""", "printable")]
    [InlineData("""{"groups":[],"access":{"sources":["10.0.0.1/8"]}}""", "'10.0.0.1/8'")]
    [InlineData("""{"groups":[],"access":{}}""", "sources")]
    public async Task A_body_that_cannot_be_rules_is_refused_and_changes_nothing(string body, string says)
    {
        await _service.EndAsync(await _service.Client().SetRulesAsync("lab", null, Front, default));
        Assert.Contains(says, (await (await PutAsync("", body)).ProblemAsync(400)).Detail);
        Assert.Equal(2, (await _service.Client().GetRulesAsync("lab", null, default)).Groups.Count);
    }

    [Fact]
    public async Task An_operator_sets_rules_a_repeated_request_is_the_same_operation_and_the_audit_log_knows_who_did()
    {
        var operators = await _service.TokenAsync("hands", AccessRole.Operator);
        async Task<HttpResponseMessage> SendAsync(string body)
        {
            using var request = new HttpRequestMessage(HttpMethod.Put, "/api/v1/environments/lab/rules?weave=main&wait=60") { Content = new StringContent(body, null, "application/json") };
            request.Headers.Add("Idempotency-Key", "once");
            return await _service.Http(operators).SendAsync(request);
        }
        var (first, second) = (await SendAsync("""{"groups":[]}"""), await SendAsync("""{"groups":[]}"""));
        Assert.Equal((HttpStatusCode.OK, first.Headers.Location), (second.StatusCode, second.Headers.Location));
        await (await SendAsync("""{"groups":[],"access":{"sources":[]}}""")).ProblemAsync(400);
        var viewer = await _service.TokenAsync("eyes", AccessRole.Viewer);
        Assert.Empty((await _service.Client(viewer).GetRulesAsync("lab", null, default)).Groups);
        await (await PutAsync("", """{"groups":[]}""", viewer)).ProblemAsync(403);
        var audit = await _service.Http(_service.AdminToken).GetStringAsync("/api/v1/audit");
        Assert.Contains("\"what\":\"rules.set\",\"subject\":\"lab/main\"", audit);
        Assert.Contains("\"who\":\"hands\"", audit);
        foreach (var (weave, fault) in new[] { ("none", "notFound"), ("A", "invalidRequest") }) Assert.Equal(fault, (await Assert.ThrowsAsync<ApiException>(() => _service.Client().SetRulesAsync("lab", weave, Front, default))).Fault);
    }
}
