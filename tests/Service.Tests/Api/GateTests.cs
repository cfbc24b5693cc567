using System.Net;
using WeaveHypervisor.Client;
using WeaveHypervisor.Weaving.Access;

namespace WeaveHypervisor.Service.Tests.Api;

/// <summary>Who is let in, and to what.</summary>
public sealed class GateTests : IAsyncLifetime
{
    private TestService _service = null!;

    public async ValueTask InitializeAsync() => _service = await TestService.StartAsync();
    public ValueTask DisposeAsync() => _service.DisposeAsync();

    [Theory]
    [InlineData("/api/v1/version")]
    [InlineData("/api/v1/environments")]
    [InlineData("/api/v1/operations")]
    [InlineData("/api/v1/doctor")]
    [InlineData("/api/v1/nothing-here")]
    [InlineData("/")]
    public async Task Without_a_token_nothing_is_answered(string path)
    {
        var answer = await _service.Http(null).GetAsync(path);
        var problem = await answer.ProblemAsync(401);
        Assert.Equal("Bearer", answer.Headers.WwwAuthenticate.Single().Scheme);
        Assert.Contains("admin.token", problem.NextStep);
    }

    [Theory]
    [InlineData("Bearer weave_0000000000000000000000000000000000000000000000000000000000000000")]
    [InlineData("Bearer ")]
    [InlineData("Basic YWRtaW46YWRtaW4=")]
    [InlineData("nonsense")]
    public async Task A_token_that_is_none_of_ours_is_refused(string header)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, "/api/v1/version");
        request.Headers.TryAddWithoutValidation("Authorization", header);
        await (await _service.Http(null).SendAsync(request)).ProblemAsync(401);
    }

    [Fact]
    public async Task Health_and_readiness_are_told_to_everybody()
    {
        Assert.Equal("ok", await _service.Http(null).GetStringAsync("/healthz"));
        await Conformance.Eventually.HoldsAsync("ready", async () => (await _service.Http(null).GetAsync("/readyz")).IsSuccessStatusCode, TestService.Patience, default);
    }

    [Fact]
    public async Task A_viewer_reads_but_cannot_change_anything()
    {
        await _service.AdoptAsync();
        var token = await _service.TokenAsync("eyes", AccessRole.Viewer);
        var viewer = _service.Http(token);
        Assert.Equal("lab", (await _service.Client(token).GetEnvironmentAsync("lab", default)).Name);
        foreach (var (method, path) in new[]
        {
            (HttpMethod.Post, "environments"), (HttpMethod.Delete, "environments/lab"), (HttpMethod.Post, "environments/lab/snapshots"), (HttpMethod.Delete, "snapshots/snap-1"),
            (HttpMethod.Post, "environments/lab/weaves"), (HttpMethod.Delete, "environments/lab/weaves/main"), (HttpMethod.Post, "environments/lab/weaves/main/activate"),
            (HttpMethod.Post, "environments/lab/weaves/main/stop"), (HttpMethod.Post, "environments/lab/weaves/main/routes"), (HttpMethod.Delete, "environments/lab/routes/route-1"),
            (HttpMethod.Post, "operations/op-1/cancel"), (HttpMethod.Put, "environments/lab/rules"), (HttpMethod.Post, "reconcile"), (HttpMethod.Get, "tokens"), (HttpMethod.Post, "tokens"), (HttpMethod.Delete, "tokens/admin"), (HttpMethod.Get, "audit"),
        })
        {
            using var request = new HttpRequestMessage(method, "/api/v1/" + path);
            if (method == HttpMethod.Post || method == HttpMethod.Put) request.Content = new StringContent("{}", null, "application/json");
            var problem = await (await viewer.SendAsync(request)).ProblemAsync(403);
            Assert.Contains("eyes", problem.Detail);
        }
    }

    [Fact]
    public async Task An_operator_changes_environments_but_neither_adopts_nor_gives_out_tokens()
    {
        await _service.AdoptAsync();
        var token = await _service.TokenAsync("hands", AccessRole.Operator);
        await _service.EndAsync(await _service.Client(token).SnapshotAsync("lab", new(), default));
        await (await _service.Http(token).PostJsonAsync("/api/v1/environments", """{"name":"lab2","machines":[{"domain":"web"}]}""")).ProblemAsync(403);
        await (await _service.Http(token).DeleteAsync("/api/v1/environments/lab")).ProblemAsync(403);
        await (await _service.Http(token).PostJsonAsync("/api/v1/tokens", """{"name":"more","role":"admin"}""")).ProblemAsync(403);
    }

    [Fact]
    public async Task A_token_of_one_environment_does_not_see_another()
    {
        await _service.AdoptAsync("lab", "web");
        await _service.AdoptAsync("shop", "db");
        var snapshot = await _service.EndAsync(await _service.Client().SnapshotAsync("shop", new(), default));
        var snapshotId = (await _service.Client().ListSnapshotsAsync("shop", default)).Single().Id;
        var token = await _service.TokenAsync("lab-only", AccessRole.Admin, "lab");
        var (client, http) = (_service.Client(token), _service.Http(token));

        Assert.Equal(["lab"], (await client.ListEnvironmentsAsync(default)).Select(e => e.Name));
        Assert.All(await client.ListOperationsAsync(null, false, 100, default), o => Assert.Equal("lab", o.Environment));
        foreach (var path in new[] { "environments/shop", "environments/shop/weaves", "environments/shop/weaves/main", "environments/shop/timeline", "environments/shop/snapshots", "environments/shop/routes", "environments/shop/agents", "environments/shop/rules", "environments/shop/rules/check?from=web&to=db&protocol=tcp&port=80", $"snapshots/{snapshotId}", $"operations/{snapshot.Id}", $"operations/{snapshot.Id}/events" })
        {
            var hidden = await (await http.GetAsync("/api/v1/" + path)).ProblemAsync(404);
            var absent = await (await http.GetAsync("/api/v1/" + path.Replace("shop", "none").Replace(snapshotId, Other(snapshotId)).Replace(snapshot.Id, Other(snapshot.Id)))).ProblemAsync(404);
            // Nothing tells a hidden thing from one that is not there.
            Assert.Equal(absent.NextStep, hidden.NextStep);
            Assert.Equal(absent.Fault, hidden.Fault);
        }
        await (await http.PostJsonAsync("/api/v1/environments/shop/snapshots", "{}")).ProblemAsync(404);
        await (await http.PutAsync("/api/v1/environments/shop/rules", new StringContent("""{"groups":[]}""", null, "application/json"))).ProblemAsync(404);
        // Nor does a snapshot of it become visible by way of one's own environment.
        await (await http.GetAsync($"/api/v1/environments/lab/rules?snapshot={snapshotId}")).ProblemAsync(404);
        await (await http.DeleteAsync($"/api/v1/snapshots/{snapshotId}")).ProblemAsync(404);
        Assert.Single(await _service.Client().ListSnapshotsAsync("shop", default));
        await (await http.GetAsync("/api/v1/tokens")).ProblemAsync(403);
        await (await http.GetAsync("/api/v1/audit")).ProblemAsync(403);
        await (await http.PostJsonAsync("/api/v1/reconcile", "")).ProblemAsync(403);
    }

    [Fact]
    public async Task A_revoked_token_is_refused_from_then_on()
    {
        var token = await _service.TokenAsync("gone", AccessRole.Admin);
        await _service.Client(token).VersionAsync(default);
        await _service.Client().RevokeTokenAsync("gone", default);
        await (await _service.Http(token).GetAsync("/api/v1/version")).ProblemAsync(401);
        Assert.True((await _service.Client().ListTokensAsync(default)).Single(t => t.Name == "gone").Revoked);
    }

    [Fact]
    public async Task A_forged_address_of_origin_changes_nothing()
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, "/api/v1/version");
        request.Headers.Add("X-Forwarded-For", "127.0.0.1");
        request.Headers.Add("Forwarded", "for=127.0.0.1");
        await (await _service.Http(null).SendAsync(request)).ProblemAsync(401);
    }

    [Fact]
    public async Task The_first_token_is_readable_by_its_owner_alone_and_stays_the_same_after_a_restart()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "File modes are of Unix.");
        var first = _service.AdminToken;
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(Path.Combine(_service.StatePath, "admin.token")));
        Assert.DoesNotContain(first, System.Text.Encoding.Latin1.GetString(await DatabaseAsync()));
        await _service.StopAsync();
        await _service.StartAgainAsync();
        Assert.Equal(first, _service.AdminToken);
        Assert.Equal("WeaveHypervisor", (await _service.Client().VersionAsync(default)).Product);
    }

    private async Task<byte[]> DatabaseAsync()
    {
        using var copy = new MemoryStream();
        foreach (var path in Directory.EnumerateFiles(_service.StatePath, "weave.db*"))
        {
            await using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
            await file.CopyToAsync(copy);
        }
        Assert.NotEqual(0, copy.Length);
        return copy.ToArray();
    }

    /// <summary>A well-formed id of the same kind that names nothing.</summary>
    private static string Other(string id) => id[..^4] + (id.EndsWith("beef", StringComparison.Ordinal) ? "cafe" : "beef");
}
