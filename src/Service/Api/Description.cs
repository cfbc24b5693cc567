using Microsoft.AspNetCore.OpenApi;
using Microsoft.OpenApi;
using WeaveHypervisor.Client.V1;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Service.Api;

/// <summary>A query parameter that an endpoint takes. What is not declared is refused.</summary>
/// <param name="Type">JSON type of its value: boolean, integer or string.</param>
/// <param name="Format">Format of a string, "date-time"; otherwise null.</param>
internal sealed record Takes(string Name, JsonSchemaType Type, string Text, string? Format = null)
{
    public static Takes Flag(string name, string text) => new(name, JsonSchemaType.Boolean, text);
    public static Takes Time(string name, string text) => new(name, JsonSchemaType.String, text, "date-time");
    public static Takes Word(string name, string text) => new(name, JsonSchemaType.String, text);
    public static Takes Number(string name, string text) => new(name, JsonSchemaType.Integer, text);

    /// <summary>The two of every list.</summary>
    public static readonly Takes[] Paging = [Number("limit", "At most this many, 1 to 200; 100 where it is left out."), Word("pageToken", "nextPageToken of the page before.")];
    public static readonly Takes Wait = Number("wait", "Seconds, 0 to 300, to wait for the end of the operation; 200 answers where it came in that time.");
}

/// <summary>Marks endpoints that begin an operation: they take `Idempotency-Key` and `wait`.</summary>
internal sealed record BeginsOperation;

/// <summary>Marks reads that ask the hypervisor itself, which may answer with any fault.</summary>
internal sealed record AsksHypervisor;

/// <summary>The OpenAPI document of the interface, made from the endpoints themselves and served to whoever may read.</summary>
internal static class Description
{
    public const string Path = "/api/v1/openapi.json";
    private const string Problem = "application/problem+json";

    public static IServiceCollection AddDescription(this IServiceCollection services)
    {
        services.ConfigureHttpJsonOptions(json => json.SerializerOptions.TypeInfoResolverChain.Insert(0, V1Json.Default));
        return services.AddOpenApi("v1", options =>
        {
            options.ShouldInclude = api => api.RelativePath?.StartsWith("api/v1/", StringComparison.Ordinal) == true;
            options.AddDocumentTransformer(DocumentAsync);
            options.AddOperationTransformer(OperationAsync);
            options.AddSchemaTransformer((schema, context, _) =>
            {
                // Written and read by a converter of ours, into which the exporter cannot look.
                if (context.JsonTypeInfo.Type == typeof(DateTimeOffset)) (schema.Type, schema.Format) = (JsonSchemaType.String, "date-time");
                if (context.JsonTypeInfo.Type == typeof(DateTimeOffset?)) (schema.Type, schema.Format) = (JsonSchemaType.String | JsonSchemaType.Null, "date-time");
                // Numbers in strings are understood, but nobody is told to write them.
                if (schema.Type is { } type && type.HasFlag(JsonSchemaType.String) && (type & (JsonSchemaType.Integer | JsonSchemaType.Number)) != 0) (schema.Type, schema.Pattern) = (type & ~JsonSchemaType.String, null);
                return Task.CompletedTask;
            });
        });
    }

    private static Task DocumentAsync(OpenApiDocument document, OpenApiDocumentTransformerContext context, CancellationToken stop)
    {
        document.Info = new()
        {
            Title = "WeaveHypervisor", Version = "v1",
            Description = "Environments of virtual machines, their history, and weaves: running copies from any moment of it. What touches a hypervisor answers 202 with the operation and its address; every error is problem details (RFC 9457) with a fault and a next step.",
        };
        // Where it is served says where it is.
        document.Servers = [];
        document.Tags = null;
        document.Components ??= new();
        document.Components.SecuritySchemes = new Dictionary<string, IOpenApiSecurityScheme>
        {
            ["token"] = new OpenApiSecurityScheme { Type = SecuritySchemeType.Http, Scheme = "bearer", Description = "A token; the first one is in admin.token of the service's state folder." },
        };
        // Members that are null are left out.
        foreach (var schema in document.Components.Schemas?.Values ?? [])
            foreach (var name in schema.Required?.ToList() ?? [])
                if (schema.Properties![name] is { } member && (member.Type?.HasFlag(JsonSchemaType.Null) == true || member.OneOf is { Count: > 0 })) schema.Required!.Remove(name);
        document.Security = [new() { [new OpenApiSecuritySchemeReference("token", document)] = [] }];
        return Task.CompletedTask;
    }

    private static async Task OperationAsync(OpenApiOperation operation, OpenApiOperationTransformerContext context, CancellationToken stop)
    {
        var metadata = context.Description.ActionDescriptor.EndpointMetadata;
        var begins = metadata.OfType<BeginsOperation>().Any();
        operation.Tags = null;
        var needs = metadata.OfType<Needs>().Single();
        operation.Description = $"Needs a token of role {needs.Role.ToString().ToLowerInvariant()} or above{(needs.AllEnvironments ? ", not limited to some environments" : "")}.";
        operation.Parameters = [.. Names(context.Description.RelativePath!).Select(name => (IOpenApiParameter)new OpenApiParameter
        {
            Name = name, In = ParameterLocation.Path, Required = true, Schema = new OpenApiSchema { Type = JsonSchemaType.String },
            Description = name switch { "env" => "Name of the environment.", "weave" => "Id of the weave; `active` is the one that is active now.", _ => "Id." },
        })];
        foreach (var takes in metadata.OfType<Takes>())
            operation.Parameters.Add(new OpenApiParameter { Name = takes.Name, In = ParameterLocation.Query, Description = takes.Text, Schema = new OpenApiSchema { Type = takes.Type, Format = takes.Format } });
        if (begins)
        {
            operation.Parameters.Add(new OpenApiParameter
            {
                Name = "Idempotency-Key", In = ParameterLocation.Header, Schema = new OpenApiSchema { Type = JsonSchemaType.String },
                Description = "1 to 200 visible ASCII characters. The same key and request answer the same operation, for 24 hours at least; the same key with another request is refused.",
            });
            ((OpenApiResponse)operation.Responses!["202"]).Headers = new Dictionary<string, IOpenApiHeader>
            {
                ["Location"] = new OpenApiHeader { Description = "Address of the operation.", Schema = new OpenApiSchema { Type = JsonSchemaType.String } },
            };
        }
        var problem = await context.GetOrCreateSchemaAsync(typeof(Problem), null, stop);
        context.Document!.AddComponent("Problem", problem);
        foreach (var status in Refusals(context.Description.HttpMethod!, operation.Parameters.Any(p => p.In == ParameterLocation.Path), operation.RequestBody is not null, metadata.OfType<AsksHypervisor>().Any()))
            operation.Responses!.TryAdd(status.ToString(System.Globalization.CultureInfo.InvariantCulture), new OpenApiResponse
            {
                Description = Microsoft.AspNetCore.WebUtilities.ReasonPhrases.GetReasonPhrase(status),
                Content = new Dictionary<string, OpenApiMediaType> { [Description.Problem] = new() { Schema = new OpenApiSchemaReference("Problem", context.Document) } },
            });
    }

    /// <summary>Every status of <see cref="FaultTable"/> may answer a change; a read changes nothing that could conflict or run out.</summary>
    private static IEnumerable<int> Refusals(string method, bool named, bool body, bool asks)
    {
        IEnumerable<int> always = [400, 401, 403, 500, 503];
        if (named) always = always.Append(404);
        if (method != "GET" || asks) always = always.Concat([404, 409, 422, 507]);
        if (method is "POST" or "PATCH" or "PUT") always = always.Append(413);
        if (body) always = always.Append(415);
        return always.Distinct().Order();
    }

    private static IEnumerable<string> Names(string path) => path.Split('/').Where(p => p.StartsWith('{')).Select(p => p.Trim('{', '}'));

    /// <summary>Refuses query parameters that the endpoint does not take, or that come twice: a misspelt option must not be taken for its default.</summary>
    public static async ValueTask<object?> OnlyWhatIsTaken(EndpointFilterInvocationContext context, EndpointFilterDelegate next)
    {
        var http = context.HttpContext;
        var taken = http.GetEndpoint()!.Metadata.GetOrderedMetadata<Takes>().Select(t => t.Name).ToList();
        foreach (var (name, values) in http.Request.Query)
        {
            if (!taken.Contains(name, StringComparer.Ordinal)) throw Requests.Wrong($"This request takes no parameter {Ids.Quote(name)}.", taken.Count == 0 ? "Leave it out." : $"It takes: {string.Join(", ", taken)}.");
            if (values.Count > 1) throw Requests.Wrong($"The parameter {name} is given {values.Count} times.", "Give it once.");
        }
        return await next(context);
    }
}
