using System.Net;
using System.Net.Sockets;
using System.Text.Json;
using Microsoft.Extensions.Time.Testing;
using WeaveHypervisor.Client.V1;
using WeaveHypervisor.Conformance;
using static WeaveHypervisor.Client.Tests.ScriptedServer;

namespace WeaveHypervisor.Client.Tests;

/// <summary>What the client does when answers are lost or do not come, over real connections.</summary>
public sealed class RetryTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);
    private static readonly WeaveClientOptions Quick = new() { FirstRetryDelay = TimeSpan.FromMilliseconds(1), WatchPause = TimeSpan.FromMilliseconds(1) };
    private static readonly string Queued = JsonSerializer.Serialize(Samples.Operation("queued"), V1Json.Default.OperationView);

    public static TheoryData<string> Losses => ["cut before the answer", "cut in the head", "cut in the body", "closed before the answer", "closed in the body"];

    private static Task LoseAsync(string how, Connection connection)
    {
        async Task SendAsync(string text, bool cut)
        {
            await connection.SendAsync(text);
            if (cut) connection.Cut();
        }
        switch (how)
        {
            case "cut before the answer": connection.Cut(); return Task.CompletedTask;
            case "cut in the head": return SendAsync("HTTP/1.1 202 Acc", true);
            case "cut in the body": return SendAsync(Answer(202, Queued)[..^20], true);
            case "closed before the answer": return Task.CompletedTask;
            case "closed in the body": return SendAsync(Answer(202, Queued)[..^20], false);
            default: throw new ArgumentOutOfRangeException(nameof(how));
        }
    }

    [Theory, MemberData(nameof(Losses))]
    public async Task A_request_whose_answer_was_lost_is_sent_again_under_the_same_key(string how)
    {
        using var server = new ScriptedServer((n, _, connection) => n < 2 ? LoseAsync(how, connection) : connection.SendAsync(Answer(202, Queued)));
        using var client = new WeaveClient(server.Address, "secret", options: Quick);
        var operation = await client.SnapshotAsync("lab", new() { Label = "one" }, default).WaitAsync(Patience);
        Assert.Equal("op-1", operation.Id);
        Assert.Equal(3, server.Requests.Count);
        Assert.Equal(32, Assert.Single(server.Requests.Select(r => r.Headers["Idempotency-Key"]).Distinct()).Length);
        Assert.Single(server.Requests.Select(r => (r.Method, r.Path, r.Body)).Distinct());
        Assert.Contains("one", server.Requests[0].Body);
    }

    [Fact]
    public async Task Two_requests_have_two_keys()
    {
        using var server = new ScriptedServer((_, _, connection) => connection.SendAsync(Answer(202, Queued)));
        using var client = new WeaveClient(server.Address, null, options: Quick);
        for (var i = 0; i < 2; i++) await client.DeleteSnapshotAsync("snap-1", default).WaitAsync(Patience);
        Assert.Equal(2, server.Requests.Select(r => r.Headers["Idempotency-Key"]).Distinct().Count());
    }

    [Fact]
    public async Task A_read_whose_answer_was_lost_is_sent_again_without_a_key()
    {
        using var server = new ScriptedServer((n, _, connection) => n == 0 ? LoseAsync("cut in the body", connection) : connection.SendAsync(Answer(200, Queued)));
        using var client = new WeaveClient(server.Address, null, options: Quick);
        Assert.Equal("queued", (await client.GetOperationAsync("op-1", default).WaitAsync(Patience)).State);
        Assert.All(server.Requests, r => Assert.False(r.Headers.ContainsKey("Idempotency-Key")));
    }

    [Fact]
    public async Task A_service_that_always_breaks_off_is_given_up_and_the_caller_is_told_to_look_first()
    {
        using var server = new ScriptedServer((_, _, connection) => LoseAsync("cut before the answer", connection));
        using var client = new WeaveClient(server.Address, null, options: Quick with { Retries = 3 });
        var error = await Assert.ThrowsAsync<ApiException>(() => client.SnapshotAsync("lab", new(), default).WaitAsync(Patience));
        Assert.Equal("unavailable", error.Fault);
        Assert.Contains("may have been carried out", error.Problem.NextStep);
        Assert.Equal(4, server.Requests.Count);
    }

    [Fact]
    public async Task The_waits_between_two_sendings_double()
    {
        var clock = new FakeTimeProvider();
        var times = new List<DateTimeOffset>();
        using var server = new ScriptedServer((_, _, connection) =>
        {
            times.Add(clock.GetUtcNow());
            return LoseAsync("cut before the answer", connection);
        });
        using var client = new WeaveClient(server.Address, null, options: new() { Retries = 3, FirstRetryDelay = TimeSpan.FromSeconds(1), RequestTimeout = TimeSpan.FromDays(1) }, clock: clock);
        var call = client.SnapshotAsync("lab", new(), default);
        await Eventually.EndsAsync(call, () => clock.Advance(TimeSpan.FromMilliseconds(5))).WaitAsync(Patience);
        await Assert.ThrowsAsync<ApiException>(() => call);
        Assert.Equal(4, times.Count);
        Assert.All(times.Zip(times.Skip(1)).Select((pair, i) => (Wait: pair.Second - pair.First, Least: TimeSpan.FromSeconds(1 << i))), w => Assert.True(w.Wait >= w.Least, $"{w.Wait} < {w.Least}"));
    }

    [Fact]
    public async Task A_secret_that_was_lost_is_not_asked_for_again()
    {
        using var server = new ScriptedServer((_, _, connection) => LoseAsync("cut in the body", connection));
        using var client = new WeaveClient(server.Address, null, options: Quick);
        Assert.Equal("unavailable", (await Assert.ThrowsAsync<ApiException>(() => client.CreateTokenAsync(new() { Name = "ci", Role = "viewer" }, default).WaitAsync(Patience))).Fault);
        Assert.Single(server.Requests);
    }

    [Fact]
    public async Task A_service_that_takes_no_connection_is_unavailable_at_once()
    {
        Uri address;
        using (var server = new ScriptedServer((_, _, _) => Task.CompletedTask)) address = server.Address;
        using var client = new WeaveClient(address, null, options: new() { FirstRetryDelay = TimeSpan.FromDays(1) });
        var error = await Assert.ThrowsAsync<ApiException>(() => client.SnapshotAsync("lab", new(), default).WaitAsync(Patience));
        Assert.Equal("unavailable", error.Fault);
        Assert.Contains(address.Authority, error.Message);
        Assert.Contains("weave serve", error.Problem.NextStep);
    }

    [Fact]
    public async Task A_refusal_is_final_and_never_repeated()
    {
        var problem = JsonSerializer.Serialize(new Problem { Status = 503, Fault = "busy", Detail = "At work.", RetryAfter = 2 }, V1Json.Default.Problem);
        using var server = new ScriptedServer((_, _, connection) => connection.SendAsync(Answer(503, problem, "application/problem+json")));
        using var client = new WeaveClient(server.Address, null, options: Quick);
        Assert.Equal(2, (await Assert.ThrowsAsync<ApiException>(() => client.SnapshotAsync("lab", new(), default).WaitAsync(Patience))).Problem.RetryAfter);
        Assert.Single(server.Requests);
    }

    [Theory]
    [InlineData(false, 100)]
    [InlineData(true, 600)]
    public async Task A_service_that_is_silent_is_unavailable_after_the_time_limit(bool asksHost, int seconds)
    {
        var clock = new FakeTimeProvider();
        using var server = new ScriptedServer((_, _, connection) => connection.HangAsync());
        using var client = new WeaveClient(server.Address, null, clock: clock);
        Task call = asksHost ? client.DoctorAsync(default) : client.VersionAsync(default);
        await Eventually.HoldsAsync("the request has come", () => Task.FromResult(server.Requests.Count == 1), Patience, default);
        clock.Advance(TimeSpan.FromSeconds(seconds - 1));
        Assert.False(call.IsCompleted);
        clock.Advance(TimeSpan.FromSeconds(1));
        var error = await Assert.ThrowsAsync<ApiException>(() => call.WaitAsync(Patience));
        Assert.Equal("unavailable", error.Fault);
        Assert.Contains($"no answer within {seconds} s", error.Message);
        Assert.Single(server.Requests);
    }

    [Fact]
    public async Task A_change_that_was_not_answered_in_time_may_have_been_carried_out()
    {
        var clock = new FakeTimeProvider();
        using var server = new ScriptedServer((_, _, connection) => connection.HangAsync());
        using var client = new WeaveClient(server.Address, null, clock: clock);
        var call = client.ReleaseAsync("lab", false, default);
        await Eventually.HoldsAsync("the request has come", () => Task.FromResult(server.Requests.Count == 1), Patience, default);
        clock.Advance(TimeSpan.FromSeconds(100));
        Assert.Contains("may have been carried out", (await Assert.ThrowsAsync<ApiException>(() => call.WaitAsync(Patience))).Problem.NextStep);
    }

    [Fact]
    public async Task Who_gives_up_waiting_gets_a_cancellation_and_no_fault()
    {
        using var server = new ScriptedServer((_, _, connection) => connection.HangAsync());
        using var client = new WeaveClient(server.Address, null);
        using var stop = new CancellationTokenSource();
        var call = client.VersionAsync(stop.Token);
        await Eventually.HoldsAsync("the request has come", () => Task.FromResult(server.Requests.Count == 1), Patience, default);
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => call.WaitAsync(Patience));
    }
}
