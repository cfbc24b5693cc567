using System.Text.Json;
using Microsoft.Extensions.Time.Testing;
using WeaveHypervisor.Client.V1;
using WeaveHypervisor.Conformance;
using static WeaveHypervisor.Client.Tests.ScriptedServer;

namespace WeaveHypervisor.Client.Tests;

/// <summary>Following an operation to its end, whatever becomes of the connection.</summary>
public sealed class WatchTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);
    private static readonly WeaveClientOptions Quick = new() { FirstRetryDelay = TimeSpan.FromMilliseconds(1), WatchPause = TimeSpan.FromMilliseconds(1), WatchPatience = 5 };

    private static string Text(OperationView operation) => JsonSerializer.Serialize(operation, V1Json.Default.OperationView);
    private static string Event(OperationView operation) => $"id: 1\nevent: operation\ndata: {Text(operation)}\n\n";
    private static bool IsStream(Seen request) => request.Path.EndsWith("/events", StringComparison.Ordinal);

    private static async Task<List<OperationView>> WatchAsync(WeaveClient client)
    {
        using var limit = new CancellationTokenSource(Patience);
        var heard = new List<OperationView>();
        await foreach (var view in client.WatchAsync("op-1", limit.Token)) heard.Add(view);
        return heard;
    }

    [Fact]
    public async Task Each_event_is_told_with_its_progress_and_the_end_is_the_last()
    {
        using var server = new ScriptedServer(async (_, _, connection) =>
        {
            await connection.SendAsync(EventsHead + Chunk(Event(Samples.Operation("queued"))) + Chunk(": still here\n\n") + Chunk("event: somethingNew\ndata: {}\n\n"));
            await connection.SendAsync(Chunk(Event(Samples.Operation("running", new("capture", "writing memory", 30, 120)))));
            await connection.SendAsync(Chunk(Event(Samples.Operation("succeeded"))) + LastChunk);
        });
        using var client = new WeaveClient(server.Address, "secret", options: Quick);
        var heard = await WatchAsync(client);
        Assert.Equal(["queued", "running", "succeeded"], heard.Select(o => o.State));
        Assert.Equal(new("capture", "writing memory", 30, 120), heard[1].Progress);
        var request = Assert.Single(server.Requests);
        Assert.Equal(("GET", "/api/v1/operations/op-1/events", "text/event-stream", "Bearer secret"), (request.Method, request.Path, request.Headers["Accept"], request.Headers["Authorization"]));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(7)]
    [InlineData(64)]
    public async Task Events_that_come_in_pieces_are_put_together(int size)
    {
        using var server = new ScriptedServer(async (_, _, connection) =>
        {
            await connection.SendAsync(EventsHead);
            // Also within a character: the subject has one of three bytes.
            var bytes = System.Text.Encoding.UTF8.GetBytes(Event(Samples.Operation("running") with { Subject = "lab/…" }) + Event(Samples.Operation("succeeded")).ReplaceLineEndings("\r\n"));
            foreach (var piece in bytes.Chunk(size)) await connection.SendAsync(Chunk(piece));
            await connection.SendAsync(LastChunk);
        });
        using var client = new WeaveClient(server.Address, null, options: Quick);
        var heard = await WatchAsync(client);
        Assert.Equal(["lab/…", "lab/main"], heard.Select(o => o.Subject));
        Assert.True(heard[^1].IsEnded());
    }

    [Fact]
    public async Task A_stream_that_breaks_is_taken_up_again()
    {
        var streams = 0;
        using var server = new ScriptedServer(async (_, request, connection) =>
        {
            if (!IsStream(request)) await connection.SendAsync(Answer(200, Text(Samples.Operation("running"))));
            else if (Interlocked.Increment(ref streams) <= 2)
            {
                var text = Chunk(Event(Samples.Operation("running")));
                await connection.SendAsync(EventsHead + text + text[..^30]);
                connection.Cut();
            }
            else await connection.SendAsync(EventsHead + Chunk(Event(Samples.Operation("succeeded"))) + LastChunk);
        });
        using var client = new WeaveClient(server.Address, null, options: Quick);
        Assert.Equal("succeeded", (await WatchAsync(client))[^1].State);
        Assert.Equal(3, streams);
    }

    [Fact]
    public async Task An_end_that_came_while_the_stream_was_broken_is_told()
    {
        using var server = new ScriptedServer((_, request, connection) =>
        {
            if (!IsStream(request)) return connection.SendAsync(Answer(200, Text(Samples.Operation("undone"))));
            connection.Cut();
            return Task.CompletedTask;
        });
        using var client = new WeaveClient(server.Address, null, options: Quick);
        Assert.Equal("undone", Assert.Single(await WatchAsync(client)).State);
    }

    [Fact]
    public async Task A_service_that_is_not_ready_yet_is_asked_again()
    {
        var starting = JsonSerializer.Serialize(new Problem { Status = 503, Fault = "unavailable", Detail = "Starting." }, V1Json.Default.Problem);
        using var server = new ScriptedServer((n, request, connection) => n < 5 ? connection.SendAsync(Answer(503, starting, "application/problem+json"))
            : connection.SendAsync(IsStream(request) ? EventsHead + Chunk(Event(Samples.Operation("succeeded"))) + LastChunk : Answer(200, Text(Samples.Operation("running")))));
        using var client = new WeaveClient(server.Address, null, options: Quick);
        Assert.Equal("succeeded", (await WatchAsync(client))[^1].State);
    }

    [Fact]
    public async Task A_service_that_never_comes_back_is_given_up()
    {
        var server = new ScriptedServer((_, _, connection) => connection.SendAsync(EventsHead + Chunk(Event(Samples.Operation("running")))));
        using var client = new WeaveClient(server.Address, null, options: Quick);
        var heard = new List<OperationView>();
        var error = await Assert.ThrowsAsync<ApiException>(async () =>
        {
            await foreach (var view in client.WatchAsync("op-1", default))
            {
                heard.Add(view);
                server.Dispose();
            }
        }).WaitAsync(Patience);
        Assert.Equal("unavailable", error.Fault);
        Assert.Equal("running", Assert.Single(heard).State);
    }

    [Fact]
    public async Task A_stream_that_falls_silent_is_taken_for_dead_although_it_is_not_closed()
    {
        var clock = new FakeTimeProvider();
        using var server = new ScriptedServer(async (n, request, connection) =>
        {
            if (!IsStream(request)) await connection.SendAsync(Answer(200, Text(Samples.Operation("succeeded"))));
            else
            {
                await connection.SendAsync(EventsHead + Chunk(Event(Samples.Operation("running"))));
                await connection.HangAsync();
            }
        });
        using var client = new WeaveClient(server.Address, null, clock: clock);
        var told = new List<string>();
        async Task RunAsync()
        {
            await foreach (var view in client.WatchAsync("op-1", default)) told.Add(view.State);
        }
        var run = RunAsync();
        await Eventually.HoldsAsync("the first event", () => Task.FromResult(told.Count == 1), Patience, default);
        var began = clock.GetUtcNow();
        await Eventually.EndsAsync(run, () => clock.Advance(TimeSpan.FromMilliseconds(250))).WaitAsync(Patience);
        await run;
        Assert.Equal(["running", "succeeded"], told);
        Assert.True(clock.GetUtcNow() - began >= TimeSpan.FromSeconds(60));
    }

    [Fact]
    public async Task An_operation_that_is_not_there_is_not_waited_for()
    {
        var problem = JsonSerializer.Serialize(new Problem { Status = 404, Fault = "notFound", Detail = "There is no operation." }, V1Json.Default.Problem);
        using var server = new ScriptedServer((_, _, connection) => connection.SendAsync(Answer(404, problem, "application/problem+json")));
        using var client = new WeaveClient(server.Address, null, options: Quick);
        Assert.Equal("notFound", (await Assert.ThrowsAsync<ApiException>(() => WatchAsync(client))).Fault);
        Assert.Single(server.Requests);
    }

    [Fact]
    public async Task An_event_that_cannot_be_read_is_an_error_and_not_waited_over()
    {
        using var server = new ScriptedServer((_, _, connection) => connection.SendAsync(EventsHead + Chunk("event: operation\ndata: {\"id\":1}\n\n") + LastChunk));
        using var client = new WeaveClient(server.Address, null, options: Quick);
        var error = await Assert.ThrowsAsync<ApiException>(() => WatchAsync(client));
        Assert.Equal("internal", error.Fault);
        Assert.Contains("same version", error.Problem.NextStep);
    }
}
