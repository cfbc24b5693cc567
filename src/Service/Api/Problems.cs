using System.Globalization;
using System.Text.Json;
using WeaveHypervisor.Client.V1;
using WeaveHypervisor.Model;
using WeaveHypervisor.Service.Api.Mapping;

namespace WeaveHypervisor.Service.Api;

/// <summary>Turns every failure of a request into problem details; what nobody classified is logged and tells nothing of our insides.</summary>
internal sealed partial class Problems(RequestDelegate next, ILogger<Problems> log)
{
    public async Task InvokeAsync(HttpContext http)
    {
        try
        {
            await next(http);
            if (!http.Response.HasStarted && http.Response.StatusCode is 404 or 405 && http.Response.ContentType is null)
                await WriteAsync(http, http.Response.StatusCode, Fault.NotFound, $"There is no {http.Request.Method} of this address.", "All addresses begin with /api/v1.");
        }
        catch (OperationCanceledException) when (http.RequestAborted.IsCancellationRequested)
        {
        }
        catch (Exception e) when (!http.Response.HasStarted)
        {
            await (e switch
            {
                WeaveException w => WriteAsync(http, FaultTable.Status(w.Fault), w.Fault, w.Message, w.NextStep, w.Holders),
                BadHttpRequestException b => WriteAsync(http, b.StatusCode, Fault.InvalidRequest, b.Message, b.StatusCode == 413 ? "Send at most 1 MiB." : null),
                JsonException j => WriteAsync(http, 400, Fault.InvalidRequest, $"The body is not what this request takes: {j.Message}", "Compare it with the members of this request."),
                _ => UnknownAsync(http, e),
            });
        }
    }

    private Task UnknownAsync(HttpContext http, Exception e)
    {
        Unclassified(log, e, http.Request.Method, http.Request.Path);
        return WriteAsync(http, 500, Fault.Internal, "The request failed for a reason that is in the service's log.", "Look at the log of the service.");
    }

    public static Task WriteAsync(HttpContext http, int status, Fault fault, string detail, string? nextStep = null, IReadOnlyList<string>? holders = null)
    {
        var retry = FaultTable.RetryAfter(fault);
        http.Response.StatusCode = status;
        http.Response.ContentType = "application/problem+json";
        if (retry is { } seconds) http.Response.Headers.RetryAfter = seconds.ToString(CultureInfo.InvariantCulture);
        var problem = new Problem
        {
            Type = $"urn:weavehypervisor:fault:{Map.Word(fault)}", Title = Title(status), Status = status, Detail = detail, Fault = Map.Word(fault), NextStep = nextStep,
            Holders = holders is { Count: > 0 } ? holders : null, RetryAfter = retry,
        };
        return http.Response.WriteAsync(JsonSerializer.Serialize(problem, V1Json.Default.Problem), http.RequestAborted);
    }

    private static string Title(int status) => Microsoft.AspNetCore.WebUtilities.ReasonPhrases.GetReasonPhrase(status) is { Length: > 0 } t ? t : "Error";

    [LoggerMessage(LogLevel.Error, "{Method} {Path} failed.")]
    private static partial void Unclassified(ILogger log, Exception e, string method, string path);
}
