using System.Runtime.CompilerServices;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using WeaveHypervisor.Weaving.Access;

namespace WeaveHypervisor.Service.Tests.Api;

/// <summary>
/// The OpenAPI document: what it says is what the service does. Its golden file is openapi.json beside this file; after a wanted change of the interface renew it with
/// WEAVE_GOLDEN=renew and look at the difference: version 1 only ever grows. That answers are as documented is required of every request of these tests (<see cref="Documented"/>).
/// </summary>
public sealed class OpenApiTests : IAsyncLifetime
{
    private static readonly JsonSerializerOptions Readable = new() { WriteIndented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };
    private TestService _service = null!;

    public async ValueTask InitializeAsync() => _service = await TestService.StartAsync();
    public ValueTask DisposeAsync() => _service.DisposeAsync();

    /// <summary>The golden file in the source tree.</summary>
    internal static string Golden { get; } = Beside();
    private static string Beside([CallerFilePath] string me = "") => Path.Combine(Path.GetDirectoryName(me)!, "openapi.json");

    private async Task<JsonObject> DocumentAsync() => JsonNode.Parse(await _service.Http(_service.AdminToken).GetStringAsync(Service.Api.Description.Path))!.AsObject();

    private static IEnumerable<(string Path, string Verb, JsonObject Operation)> Operations(JsonObject document) =>
        from path in document["paths"]!.AsObject() from verb in path.Value!.AsObject() select (path.Key, verb.Key.ToUpperInvariant(), verb.Value!.AsObject());

    [Fact]
    public async Task The_document_is_the_golden_file()
    {
        var now = (await DocumentAsync()).ToJsonString(Readable).ReplaceLineEndings("\n") + "\n";
        if (Environment.GetEnvironmentVariable("WEAVE_GOLDEN") == "renew") await File.WriteAllTextAsync(Golden, now);
        var golden = (await File.ReadAllTextAsync(Golden)).ReplaceLineEndings("\n");
        var line = now.Split('\n').Zip(golden.Split('\n')).TakeWhile(l => l.First == l.Second).Count();
        Assert.True(now == golden, $"The interface is not as {Golden} says, from line {line + 1} on: {now.Split('\n').ElementAtOrDefault(line)?.Trim()}\nIf that is wanted, renew it: WEAVE_GOLDEN=renew dotnet run -c Release --project tests/Service.Tests -- -class '*OpenApiTests'");
    }

    [Fact]
    public async Task Every_address_and_verb_of_the_service_is_in_the_document_and_no_other()
    {
        var real = _service.Services.GetRequiredService<EndpointDataSource>().Endpoints.OfType<RouteEndpoint>()
            .Where(e => e.RoutePattern.RawText!.StartsWith("/api/v1", StringComparison.Ordinal) && e.RoutePattern.RawText != Service.Api.Description.Path)
            .SelectMany(e => e.Metadata.GetMetadata<HttpMethodMetadata>()!.HttpMethods.Select(m => $"{m} {e.RoutePattern.RawText}")).Order().ToList();
        Assert.NotEmpty(real);
        Assert.Equal(real, Operations(await DocumentAsync()).Select(o => $"{o.Verb} {o.Path}").Order());
    }

    [Fact]
    public async Task Every_operation_says_what_it_does_and_every_answer_and_body_has_a_schema()
    {
        var document = await DocumentAsync();
        var ids = Operations(document).Select(o => o.Operation["operationId"]!.GetValue<string>()).ToList();
        Assert.Equal(ids.Distinct().Count(), ids.Count);
        foreach (var (path, verb, operation) in Operations(document))
        {
            Assert.EndsWith(".", operation["summary"]!.GetValue<string>());
            Assert.Contains("token of role", operation["description"]!.GetValue<string>());
            var named = path.Split('/').Where(p => p.StartsWith('{')).Select(p => p.Trim('{', '}'));
            var parameters = operation["parameters"]?.AsArray().Select(p => p!.AsObject()).ToList() ?? [];
            Assert.Equal(named, parameters.Where(p => p["in"]!.GetValue<string>() == "path").Select(p => p["name"]!.GetValue<string>()));
            Assert.All(parameters, p => Assert.False(string.IsNullOrEmpty(p["description"]?.GetValue<string>()), $"{verb} {path} {p["name"]}"));
            foreach (var (status, response) in operation["responses"]!.AsObject())
            {
                if (status == "204") continue;
                Assert.All(response!["content"]!.AsObject(), c => Assert.True(c.Value!["schema"]!.AsObject().Count > 0, $"{verb} {path} {status}"));
            }
            if (operation["requestBody"] is { } body) Assert.NotNull(body["content"]!["application/json"]!["schema"]!["$ref"]);
        }
        Assert.All(document["components"]!["schemas"]!.AsObject(), s => Assert.True(s.Value!.AsObject().ContainsKey("properties") || s.Value!.AsObject().Count == 0, s.Key));
    }

    [Fact]
    public async Task It_is_for_whoever_may_read()
    {
        await (await _service.Http(null).GetAsync(Service.Api.Description.Path)).ProblemAsync(401);
        var answer = await _service.Http(await _service.TokenAsync("eyes", AccessRole.Viewer, "lab")).GetAsync(Service.Api.Description.Path);
        Assert.True(answer.IsSuccessStatusCode);
        Assert.Equal("application/json", answer.Content.Headers.ContentType!.MediaType);
    }

    [Theory]
    [InlineData("GET", "environments?pagetoken=1", "'pagetoken'")]
    [InlineData("GET", "environments?limit=1&limit=2", "2 times")]
    [InlineData("GET", "version?verbose=true", "'verbose'")]
    [InlineData("DELETE", "environments/lab/weaves/past?withsnapshots=true", "'withsnapshots'")]
    [InlineData("POST", "environments/lab/weaves/main/start?powerOff=true", "'powerOff'")]
    [InlineData("POST", "reconcile?repair=true&dryRun=true", "'dryRun'")]
    public async Task A_parameter_that_is_not_documented_is_refused_rather_than_overlooked(string method, string path, string says)
    {
        await _service.AdoptAsync();
        var before = (await _service.Client().ListOperationsAsync(null, false, 100, default)).Count;
        using var request = new HttpRequestMessage(new(method), "/api/v1/" + path);
        var problem = await (await _service.Http(_service.AdminToken).SendAsync(request)).ProblemAsync(400);
        Assert.Contains(says, problem.Detail);
        Assert.False(string.IsNullOrEmpty(problem.NextStep));
        Assert.Equal(before, (await _service.Client().ListOperationsAsync(null, false, 100, default)).Count);
    }
}
