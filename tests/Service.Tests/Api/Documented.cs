using System.Text.Json.Nodes;

namespace WeaveHypervisor.Service.Tests.Api;

/// <summary>Requires of every answer of the interface that the OpenAPI document has its status and, where it is JSON, its members: each present one known, each required one present.</summary>
internal sealed class Documented(HttpMessageHandler inner, Func<JsonNode> document) : DelegatingHandler(inner)
{
    protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken stop)
    {
        var answer = await base.SendAsync(request, stop);
        var path = request.RequestUri!.AbsolutePath;
        if (!path.StartsWith("/api/v1/", StringComparison.Ordinal) || Operation(document(), request.Method, path) is not { } operation) return answer;
        var what = $"{request.Method} {path} answers {(int)answer.StatusCode}";
        // Without an accepted token nothing is told, whatever the address.
        var response = operation["responses"]![$"{(int)answer.StatusCode}"];
        Assert.True(response is not null, $"{what}, which is not documented.");
        var type = answer.Content.Headers.ContentType?.MediaType;
        if (type is null) return answer;
        var media = response["content"]?[type];
        Assert.True(media is not null, $"{what} as {type}, which is not documented.");
        if (!type.EndsWith("json", StringComparison.Ordinal)) return answer;
        await answer.Content.LoadIntoBufferAsync(stop);
        Check(media["schema"]!, JsonNode.Parse(await answer.Content.ReadAsStringAsync(stop)), what);
        return answer;
    }

    /// <summary>What the document says of that request; null where it has no such address or verb. Literal parts are closer than parameters.</summary>
    private static JsonNode? Operation(JsonNode document, HttpMethod method, string path)
    {
        var parts = path.Split('/');
        return document["paths"]!.AsObject().Select(p => (Parts: p.Key.Split('/'), p.Value))
            .Where(p => p.Parts.Length == parts.Length && p.Parts.Zip(parts).All(z => z.First.StartsWith('{') || z.First == z.Second))
            .OrderBy(p => p.Parts.Count(x => x.StartsWith('{'))).FirstOrDefault().Value?[method.Method.ToLowerInvariant()];
    }

    private void Check(JsonNode schema, JsonNode? value, string where)
    {
        if (schema["$ref"]?.GetValue<string>() is { } reference)
        {
            Check(document()["components"]!["schemas"]![reference.Split('/')[^1]]!, value, where);
            return;
        }
        if (schema["oneOf"] is JsonArray either)
        {
            if (value is not null) Check(either.Single(s => s!["type"]?.ToString() != "null")!, value, where);
            return;
        }
        if (schema["type"] is not { } type) return;
        var types = type is JsonArray several ? several.Select(t => t!.GetValue<string>()).ToList() : [type.GetValue<string>()];
        var kind = value?.GetValueKind() switch
        {
            null => "null", System.Text.Json.JsonValueKind.Object => "object", System.Text.Json.JsonValueKind.Array => "array", System.Text.Json.JsonValueKind.String => "string", System.Text.Json.JsonValueKind.Number => "number", _ => "boolean",
        };
        Assert.True(types.Contains(kind) || (kind == "number" && types.Contains("integer")), $"{where}: a {kind}, not {string.Join(" or ", types)}.");
        if (value is JsonArray items && schema["items"] is { } item)
            for (var i = 0; i < items.Count; i++) Check(item, items[i], $"{where}[{i}]");
        if (value is not JsonObject members || schema["properties"] is not JsonObject properties) return;
        foreach (var name in schema["required"]?.AsArray().Select(n => n!.GetValue<string>()) ?? [])
            Assert.True(members.ContainsKey(name), $"{where}: {name} is missing.");
        foreach (var (name, member) in members)
        {
            Assert.True(properties.ContainsKey(name), $"{where}: {name} is not documented.");
            Check(properties[name]!, member, $"{where}.{name}");
        }
    }
}
