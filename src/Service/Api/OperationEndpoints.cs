using System.Text.Json;
using WeaveHypervisor.Client.V1;
using WeaveHypervisor.Model;
using WeaveHypervisor.Operations;
using WeaveHypervisor.Service.Api.Mapping;
using WeaveHypervisor.Weaving;
using static WeaveHypervisor.Service.Api.Requests;

namespace WeaveHypervisor.Service.Api;

/// <summary>/operations: the list, one, its events and its cancellation.</summary>
internal static class OperationEndpoints
{
    private static readonly TimeSpan Heartbeat = TimeSpan.FromSeconds(15);

    public static void MapOperations(this IEndpointRouteBuilder api, Needs reads, Needs changes)
    {
        api.MapGet("/operations", async (HttpContext http, IJournal journal, ProgressBoard board) =>
        {
            var limit = http.Number("limit", 100, 1, 200);
            EnvironmentId? env = http.Query("environment") is { } e ? EnvironmentId.Parse(e) : null;
            OperationId? before = http.Query("pageToken") is { } t ? Ids.Parse<OperationId>(t) : null;
            var found = await journal.ListAsync(env, http.Flag("unfinished"), limit, before, http.RequestAborted);
            return Json(new Page<OperationView>([.. found.Where(o => http.Token().Covers(o.Environment)).Select(o => Map.View(o, board.Find(o.Id)))], found.Count < limit ? null : found[^1].Id.Text));
        }).WithMetadata([reads, Takes.Word("environment", "Only those of this environment."), Takes.Flag("unfinished", "Only those that have not ended."), .. Takes.Paging]).Produces<Page<OperationView>>().Named("listOperations", "Operations, newest first.");
        api.MapGet("/operations/{id}", async (HttpContext http, IJournal journal, ProgressBoard board) =>
        {
            var found = await FindAsync(http, journal);
            return Json(Map.View(found, board.Find(found.Id)));
        }).WithMetadata(reads).Produces<OperationView>().Named("getOperation", "One operation, step by step.");
        api.MapPost("/operations/{id}/cancel", async (HttpContext http, IJournal journal, IWeaver weaver, ProgressBoard board) =>
        {
            var found = await FindAsync(http, journal);
            var asked = await http.AuditedAsync("operation.cancel", found.Id.Text, () => weaver.CancelAsync(found.Id, http.RequestAborted), a => a ? "accepted" : "refused: it had ended");
            if (!asked) throw new WeaveException(Fault.Conflict, $"The operation '{found.Id}' has ended; it cannot be cancelled.", "Look at the operation.");
            return Json(Map.View(await FindAsync(http, journal), board.Find(found.Id)), 202);
        }).WithMetadata(changes).Produces<OperationView>(202).Named("cancelOperation", "Ask an operation to stop; what it did is undone.");
        api.MapGet("/operations/{id}/events", EventsAsync).WithMetadata(reads).Produces<string>(200, "text/event-stream").Named("watchOperation", "The operation as it changes, until it has ended: server-sent events named `operation`, each with the whole operation as JSON.");
    }

    /// <summary>Server-sent events named `operation`, each with the whole operation: whoever connects again needs no history, so Last-Event-ID is not read.</summary>
    private static async Task EventsAsync(HttpContext http, IJournal journal, OperationDesk desk, IHostApplicationLifetime life)
    {
        var found = await FindAsync(http, journal);
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(http.RequestAborted, life.ApplicationStopping);
        http.Response.ContentType = "text/event-stream";
        http.Response.Headers.CacheControl = "no-store";
        await using var events = desk.WatchAsync(found.Id, ended.Token).GetAsyncEnumerator(ended.Token);
        var next = events.MoveNextAsync().AsTask();
        try
        {
            while (true)
            {
                if (await Task.WhenAny(next, Task.Delay(Heartbeat, ended.Token)) != next)
                {
                    ended.Token.ThrowIfCancellationRequested();
                    await http.Response.WriteAsync(": still here\n\n", ended.Token);
                    await http.Response.Body.FlushAsync(ended.Token);
                    continue;
                }
                if (!await next) return;
                if (events.Current.Operation is { } now)
                {
                    var json = JsonSerializer.Serialize(Map.View(now, events.Current.Progress), V1Json.Default.OperationView);
                    await http.Response.WriteAsync($"id: {now.Revision}\nevent: operation\ndata: {json}\n\n", ended.Token);
                    await http.Response.Body.FlushAsync(ended.Token);
                }
                next = events.MoveNextAsync().AsTask();
            }
        }
        catch (OperationCanceledException) when (ended.IsCancellationRequested)
        {
            await ended.CancelAsync();
            try { await next; } catch (OperationCanceledException) { }
        }
    }

    private static async Task<Operation> FindAsync(HttpContext http, IJournal journal)
    {
        var id = Ids.Parse<OperationId>((string?)http.GetRouteValue("id"));
        return await journal.FindAsync(id, http.RequestAborted) is { } found && http.Token().Covers(found.Environment) ? found
            : throw new WeaveException(Fault.NotFound, $"There is no operation '{id}'.", "List the operations.");
    }
}
