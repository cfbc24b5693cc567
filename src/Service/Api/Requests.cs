using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;
using System.Text.RegularExpressions;
using WeaveHypervisor.Client.V1;
using WeaveHypervisor.Model;
using WeaveHypervisor.Operations;
using WeaveHypervisor.Service.Api.Mapping;
using WeaveHypervisor.Weaving;
using WeaveHypervisor.Weaving.Access;

namespace WeaveHypervisor.Service.Api;

/// <summary>What all requests share: reading bodies and parameters, the caller, the audit log, paging, and the answer of an operation.</summary>
internal static partial class Requests
{
    /// <summary>V1 JSON that refuses members it does not know, and members given twice: a misspelt option must not be taken for its default.</summary>
    private static readonly V1Json Strict = new(new JsonSerializerOptions(V1Json.Default.Options) { TypeInfoResolver = null, UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow, RespectNullableAnnotations = true, AllowDuplicateProperties = false });

    public static async Task<T> BodyAsync<T>(this HttpContext http, Func<T>? whenEmpty = null) where T : class
    {
        var bytes = await http.BytesAsync();
        if (bytes.Length == 0 && whenEmpty is not null) return whenEmpty();
        return (T?)JsonSerializer.Deserialize(bytes, (JsonTypeInfo<T>)Strict.GetTypeInfo(typeof(T))!) ?? throw new JsonException("null is no body.");
    }

    private static async Task<byte[]> BytesAsync(this HttpContext http)
    {
        if (http.Items["body"] is byte[] had) return had;
        using var copy = new MemoryStream();
        await http.Request.Body.CopyToAsync(copy, http.RequestAborted);
        var bytes = copy.ToArray();
        http.Items["body"] = bytes;
        return bytes;
    }

    public static WeaveException Wrong(string message, string next) => new(Fault.InvalidRequest, message, next);
    public static EnvironmentId Env(this HttpContext http) => EnvironmentId.Parse((string?)http.GetRouteValue("env"));
    public static string? Query(this HttpContext http, string name) => http.Request.Query[name] is [{ Length: > 0 } only] ? only : null;

    public static bool Flag(this HttpContext http, string name) => http.Query(name) switch
    {
        null or "false" => false, "true" => true, var other => throw Wrong($"{name} cannot be {Ids.Quote(other)}.", "Use true or false."),
    };

    public static int Number(this HttpContext http, string name, int fallback, int least, int most) => http.Query(name) is not { } text ? fallback
        : int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var n) && n >= least && n <= most ? n
        : throw Wrong($"{name} cannot be {Ids.Quote(text)}.", $"Use a whole number from {least} to {most}.");

    public static DateTimeOffset? Time(this HttpContext http, string name) => http.Query(name) is not { } text ? null
        : DateTimeOffset.TryParse(text, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out var t) ? t : throw Wrong($"{name} is no time: {Ids.Quote(text)}.", "Use RFC 3339, such as 2026-01-31T12:00:00Z.");

    public static T Choice<T>(string? text, T fallback, string name) where T : struct, Enum => text is null ? fallback
        : Enum.GetValues<T>().Where(v => Map.Word(v) == text).Cast<T?>().FirstOrDefault() ?? throw Wrong($"{name} cannot be {Ids.Quote(text)}.", $"Use one of: {string.Join(", ", Enum.GetValues<T>().Select(Map.Word))}.");

    /// <summary>"90s", "30m", "4h", "7d", or several in that order from days down: "1h30m"; more than nothing, up to ten years.</summary>
    public static TimeSpan? Span(string? text, string what = "time to live")
    {
        if (text is null) return null;
        var match = Duration().Match(text);
        long Part(string unit) => match.Groups[unit] is { Success: true } g ? long.Parse(g.ValueSpan, NumberStyles.None, CultureInfo.InvariantCulture) : 0;
        var seconds = match.Success ? (Part("d") * 86400) + (Part("h") * 3600) + (Part("m") * 60) + Part("s") : 0;
        return seconds is > 0 and <= 315_360_000 ? TimeSpan.FromSeconds(seconds) : throw Wrong($"{Ids.Quote(text)} is no {what}.", "Use numbers with d, h, m and s, such as 4h or 1h30m, up to 3650d.");
    }

    /// <summary>As <see cref="Span"/> reads it.</summary>
    public static string Text(TimeSpan span) => string.Concat(new[] { (span.Days, "d"), (span.Hours, "h"), (span.Minutes, "m"), (span.Seconds, "s") }.Where(p => p.Item1 > 0).Select(p => string.Create(CultureInfo.InvariantCulture, $"{p.Item1}{p.Item2}")));

    [GeneratedRegex(@"\A((?<d>[0-9]{1,9})d)?((?<h>[0-9]{1,9})h)?((?<m>[0-9]{1,9})m)?((?<s>[0-9]{1,9})s)?\z", RegexOptions.CultureInvariant)]
    private static partial Regex Duration();

    /// <summary>A page of a list that is in memory. The token is the position, opaque to callers.</summary>
    public static Page<T> Paged<T>(this HttpContext http, IReadOnlyList<T> all)
    {
        var (from, limit) = Window(http);
        return new([.. all.Skip(from).Take(limit)], from + limit < all.Count ? (from + limit).ToString(CultureInfo.InvariantCulture) : null);
    }

    /// <summary>A page that the store cuts: <paramref name="read"/> is asked for one more than is shown. The token is the place of the page's last weave.</summary>
    public static async Task<Page<Weave>> PagedAsync(this HttpContext http, Func<WeavePlace?, int, Task<IReadOnlyList<Weave>>> read)
    {
        var limit = Limit(http);
        var found = await read(http.Query("pageToken") is { } token ? Place(token) : null, limit + 1);
        return new([.. found.Take(limit)], found.Count > limit ? string.Create(CultureInfo.InvariantCulture, $"{found[limit - 1].CreatedAt.UtcTicks}.{found[limit - 1].Id}") : null);
    }

    private static WeavePlace Place(string token) => token.Split('.', 2) is [var at, var id]
        && long.TryParse(at, NumberStyles.None, CultureInfo.InvariantCulture, out var ticks) && ticks <= DateTimeOffset.MaxValue.UtcTicks && WeaveId.TryCreate(id, out var weave) ? new(new(ticks, TimeSpan.Zero), weave) : throw NoToken();

    private static (int From, int Limit) Window(HttpContext http) =>
        (http.Query("pageToken") is not { } token ? 0 : int.TryParse(token, NumberStyles.None, CultureInfo.InvariantCulture, out var n) ? n : throw NoToken(), Limit(http));

    private static int Limit(HttpContext http) => http.Number("limit", 100, 1, 200);

    private static WeaveException NoToken() => Wrong("This pageToken is none of ours.", "Use nextPageToken of the page before.");

    public static IResult Json<T>(T body, int status = 200) => Results.Json(body, (JsonTypeInfo<T>)V1Json.Default.GetTypeInfo(typeof(T))!, statusCode: status);

    /// <summary>Who asks. Idempotency keys belong to their token: nobody meets another's request through a guessed key.</summary>
    private static async Task<Caller> CallerAsync(this HttpContext http)
    {
        var name = http.Token().Name;
        if (http.Request.Headers["Idempotency-Key"] is not [{ } key]) return new(name);
        if (key.Length is 0 or > 200 || key.Any(c => c is < '!' or > '~')) throw Wrong("This Idempotency-Key cannot be used.", "Use 1 to 200 visible ASCII characters.");
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData(Encoding.UTF8.GetBytes($"{http.Request.Method}\n{http.Request.Path}{http.Request.QueryString}\n"));
        hash.AppendData(await http.BytesAsync());
        return new(name, $"{name}:{key}", Convert.ToHexStringLower(hash.GetHashAndReset()));
    }

    /// <summary>Carries out a change and writes it to the audit log, refused or accepted.</summary>
    public static async Task<T> AuditedAsync<T>(this HttpContext http, string what, string subject, Func<Task<T>> act, Func<T, string> result)
    {
        var audit = http.RequestServices.GetRequiredService<IAuditLog>();
        var clock = http.RequestServices.GetRequiredService<TimeProvider>();
        // An entry is written also when the caller has gone meanwhile: the change is made, or refused, all the same.
        Task WriteAsync(string text) => audit.AppendAsync(new(0, clock.GetUtcNow(), http.Token().Name, what, subject, text), CancellationToken.None);
        T made;
        try
        {
            made = await act();
        }
        catch (WeaveException e)
        {
            await WriteAsync($"refused: {e.Message}");
            throw;
        }
        await WriteAsync(result(made));
        return made;
    }

    /// <summary>Starts an operation; 202 with its address, or 200 with ?wait=SECONDS (0–300) when it ended in that time.</summary>
    public static async Task<IResult> OperateAsync(this HttpContext http, string what, string subject, Func<Caller, CancellationToken, Task<Operation>> act)
    {
        var wait = http.Number("wait", 0, 0, 300);
        var caller = await http.CallerAsync();
        var operation = await http.AuditedAsync(what, subject, () => act(caller, http.RequestAborted), o => $"accepted: {o.Id}");
        if (wait > 0) operation = await http.RequestServices.GetRequiredService<OperationDesk>().WaitAsync(operation.Id, TimeSpan.FromSeconds(wait), http.RequestAborted);
        http.Response.Headers.Location = $"/api/v1/operations/{operation.Id}";
        return Json(Map.View(operation, http.RequestServices.GetRequiredService<ProgressBoard>().Find(operation.Id)), wait > 0 && operation.IsEnded ? 200 : 202);
    }
}
