using System.Net;
using System.Text.Json;
using WeaveHypervisor.Client;
using WeaveHypervisor.Client.V1;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Service.Tests.Api;

/// <summary>How long work is started, repeated, waited for, watched and listed.</summary>
public sealed class OperationTests : IAsyncLifetime
{
    private TestService _service = null!;

    public async ValueTask InitializeAsync() => _service = await TestService.StartAsync();
    public ValueTask DisposeAsync() => _service.DisposeAsync();

    private HttpClient Admin => _service.Http(_service.AdminToken);

    [Fact]
    public async Task A_change_is_accepted_at_once_and_says_where_its_operation_is()
    {
        await _service.AdoptAsync();
        _service.Faults.Hang("CaptureAsync", 1);
        var answer = await Admin.PostJsonAsync("/api/v1/environments/lab/snapshots", "{}");
        Assert.Equal(HttpStatusCode.Accepted, answer.StatusCode);
        var operation = await answer.OperationAsync();
        Assert.Equal($"/api/v1/operations/{operation.Id}", answer.Headers.Location!.OriginalString);
        Assert.False(operation.IsEnded());
        Assert.Equal("admin", operation.RequestedBy);
        Assert.Equal(operation.Id, (await (await Admin.GetAsync(answer.Headers.Location)).OperationAsync()).Id);
        await _service.Client().CancelOperationAsync(operation.Id, default);
        Assert.Equal("undone", (await _service.LastAsync(operation)).State);
    }

    [Fact]
    public async Task With_wait_the_answer_is_the_ended_operation()
    {
        var answer = await Admin.PostJsonAsync("/api/v1/environments?wait=30", """{"name":"lab","machines":[{"domain":"web"}]}""");
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        var operation = await answer.OperationAsync();
        Assert.Equal("succeeded", operation.State);
        Assert.Equal("lab", operation.Result!.Value.GetProperty("environment").GetString());
        Assert.All(operation.Steps, s => Assert.Equal("done", s.State));
        Assert.NotNull(operation.EndedAt);
    }

    [Fact]
    public async Task With_wait_work_that_takes_longer_is_answered_as_it_is()
    {
        await _service.AdoptAsync();
        _service.Faults.Hang("CaptureAsync", 1);
        var answer = await Admin.PostJsonAsync("/api/v1/environments/lab/snapshots?wait=1", "{}");
        Assert.Equal(HttpStatusCode.Accepted, answer.StatusCode);
        var operation = await answer.OperationAsync();
        Assert.Equal("running", operation.State);
        await _service.Client().CancelOperationAsync(operation.Id, default);
        Assert.Equal("undone", (await _service.LastAsync(operation)).State);
    }

    [Fact]
    public async Task Work_that_fails_tells_why_and_what_to_do()
    {
        var answer = await Admin.PostJsonAsync("/api/v1/environments?wait=30", """{"name":"lab","machines":[{"domain":"nowhere"}]}""");
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        var operation = await answer.OperationAsync();
        Assert.Equal("undone", operation.State);
        Assert.Contains("nowhere", operation.Error!.Detail);
        Assert.Null(operation.Result);
        await (await Admin.GetAsync("/api/v1/environments/lab")).ProblemAsync(404);
    }

    [Fact]
    public async Task A_request_repeated_under_its_key_is_the_same_operation_and_has_one_effect()
    {
        await _service.AdoptAsync();
        var first = await (await Admin.PostJsonAsync("/api/v1/environments/lab/snapshots?wait=30", """{"label":"one"}""", "key-1")).OperationAsync();
        var again = await Admin.PostJsonAsync("/api/v1/environments/lab/snapshots?wait=30", """{"label":"one"}""", "key-1");
        Assert.Equal(first.Id, (await again.OperationAsync()).Id);
        Assert.Single(await _service.Client().ListSnapshotsAsync("lab", default));
        Assert.Equal(1, _service.Faults.Calls("CaptureAsync"));
    }

    [Theory]
    [InlineData("""{"name":"shop","machines":[{"domain":"db"}]}""", "environments")]
    [InlineData("""{"weaveId":"past"}""", "environments/lab/weaves")]
    [InlineData("""{"targetPort":80,"machine":"web","listen":":18080"}""", "environments/lab/weaves/main/routes")]
    public async Task A_repeated_request_is_not_refused_because_its_first_sending_succeeded(string body, string path)
    {
        await _service.AdoptAsync("lab", "web");
        var first = await (await Admin.PostJsonAsync($"/api/v1/{path}?wait=30", body, "k")).OperationAsync();
        Assert.Equal("succeeded", first.State);
        var again = await Admin.PostJsonAsync($"/api/v1/{path}?wait=30", body, "k");
        Assert.Equal(HttpStatusCode.OK, again.StatusCode);
        Assert.Equal(first.Id, (await again.OperationAsync()).Id);
        // Without the key, or under another, it is a request of its own.
        await (await Admin.PostJsonAsync($"/api/v1/{path}", body, "l")).ProblemAsync(409);
    }

    [Fact]
    public async Task A_key_that_was_used_for_another_request_is_refused()
    {
        await _service.AdoptAsync();
        await (await Admin.PostJsonAsync("/api/v1/environments/lab/snapshots?wait=30", """{"label":"one"}""", "k")).OperationAsync();
        var problem = await (await Admin.PostJsonAsync("/api/v1/environments/lab/snapshots?wait=30", """{"label":"two"}""", "k")).ProblemAsync(400);
        Assert.Contains("'admin:k'", problem.Detail);
        await (await Admin.PostJsonAsync("/api/v1/environments/lab/snapshots", "{}", new string('k', 201))).ProblemAsync(400);
    }

    [Fact]
    public async Task A_key_belongs_to_its_token()
    {
        await _service.AdoptAsync();
        var other = _service.Http(await _service.TokenAsync("other", Weaving.Access.AccessRole.Operator));
        var mine = await (await Admin.PostJsonAsync("/api/v1/environments/lab/snapshots?wait=30", "{}", "k")).OperationAsync();
        var theirs = await (await other.PostJsonAsync("/api/v1/environments/lab/snapshots?wait=30", "{}", "k")).OperationAsync();
        Assert.NotEqual(mine.Id, theirs.Id);
        Assert.Equal("other", theirs.RequestedBy);
    }

    [Fact]
    public async Task Events_tell_the_operation_from_now_to_its_end_and_then_stop()
    {
        await _service.AdoptAsync();
        _service.Faults.Hang("CaptureAsync", 1);
        var operation = await (await Admin.PostJsonAsync("/api/v1/environments/lab/snapshots", "{}")).OperationAsync();
        using var answer = await Admin.GetAsync($"/api/v1/operations/{operation.Id}/events", HttpCompletionOption.ResponseHeadersRead);
        Assert.Equal("text/event-stream", answer.Content.Headers.ContentType!.MediaType);
        Assert.True(answer.Headers.CacheControl!.NoStore);
        var heard = new List<OperationView>();
        long last = -1;
        var asked = false;
        await foreach (var item in System.Net.ServerSentEvents.SseParser.Create(await answer.Content.ReadAsStreamAsync()).EnumerateAsync())
        {
            Assert.Equal("operation", item.EventType);
            var view = JsonSerializer.Deserialize(item.Data, V1Json.Default.OperationView)!;
            Assert.Equal(operation.Id, view.Id);
            Assert.True(long.Parse(item.EventId!) >= last);
            last = long.Parse(item.EventId!);
            heard.Add(view);
            // The capture hangs until somebody who listens asks for its end.
            if (asked || !view.Steps.Any(s => s is { Name: "capture", State: "doing" })) continue;
            asked = true;
            await _service.Client().CancelOperationAsync(operation.Id, default);
        }
        Assert.False(heard[0].IsEnded());
        Assert.Equal("undone", heard[^1].State);
        Assert.Equal("conflict", heard[^1].Error!.Fault);
        Assert.All(heard.SkipLast(1), v => Assert.False(v.IsEnded()));
    }

    [Fact]
    public async Task Events_of_an_ended_operation_are_its_end_alone()
    {
        await _service.AdoptAsync();
        var ended = (await _service.Client().ListOperationsAsync(null, false, 1, default)).Single();
        var text = await Admin.GetStringAsync($"/api/v1/operations/{ended.Id}/events");
        Assert.Equal(1, text.Split("event: operation").Length - 1);
        Assert.Contains("\"succeeded\"", text);
    }

    [Fact]
    public async Task An_ended_operation_cannot_be_cancelled()
    {
        await _service.AdoptAsync();
        var ended = (await _service.Client().ListOperationsAsync(null, false, 1, default)).Single();
        Assert.Equal("conflict", (await Assert.ThrowsAsync<ApiException>(() => _service.Client().CancelOperationAsync(ended.Id, default))).Fault);
    }

    [Fact]
    public async Task A_transient_fault_of_the_hypervisor_is_tried_again()
    {
        await _service.AdoptAsync();
        _service.Faults.Fail("InspectStorageAsync", 1, new WeaveException(Fault.Unavailable, "Away for a moment."));
        var operation = await (await Admin.PostJsonAsync("/api/v1/environments/lab/snapshots?wait=30", "{}")).OperationAsync();
        Assert.Equal("succeeded", operation.State);
        Assert.True(_service.Faults.Calls("InspectStorageAsync") > 1);
    }

    [Fact]
    public async Task Pages_of_operations_follow_one_another_without_gap_or_repetition()
    {
        await _service.AdoptAsync();
        for (var i = 0; i < 4; i++) await _service.EndAsync(await _service.Client().SnapshotAsync("lab", new() { Memory = false }, default));
        Assert.Equal(await IdsAsync("operations", 100, "id"), await IdsAsync("operations", 2, "id"));
        Assert.Equal(5, (await IdsAsync("operations", 2, "id")).Count);
        Assert.Equal(5, (await IdsAsync("operations?environment=lab", 3, "id")).Count);
        Assert.Empty(await IdsAsync("operations?unfinished=true", 2, "id"));
    }

    [Fact]
    public async Task Pages_of_lists_follow_one_another_without_gap_or_repetition()
    {
        await _service.AdoptAsync();
        for (var i = 0; i < 3; i++) await _service.EndAsync(await _service.Client().CreateWeaveAsync("lab", new() { WeaveId = $"w{i}", Start = "none" }, default));
        foreach (var (path, count, id) in new[] { ("environments/lab/weaves", 4, "id"), ("environments/lab/snapshots", 3, "id"), ("environments", 1, "name"), ("audit", 4, "at") })
            foreach (var limit in new[] { 1, 2, 3, 200 })
            {
                var all = await IdsAsync(path, limit, id);
                Assert.Equal(count, all.Count);
                Assert.Equal(await IdsAsync(path, 200, id), all);
            }
        Assert.Equal(4, (await _service.Client().ListWeavesAsync("lab", default)).Count);
    }

    /// <summary>Follows a list page by page; no page is longer than asked for.</summary>
    private async Task<List<string>> IdsAsync(string path, int limit, string id)
    {
        var all = new List<string>();
        for (string? token = null; ;)
        {
            using var page = JsonDocument.Parse(await Admin.GetStringAsync($"/api/v1/{path}{(path.Contains('?') ? '&' : '?')}limit={limit}{(token is null ? "" : "&pageToken=" + token)}"));
            var items = page.RootElement.GetProperty("items").EnumerateArray().Select(i => i.GetProperty(id).GetString()!).ToList();
            Assert.True(items.Count <= limit);
            all.AddRange(items);
            if (!page.RootElement.TryGetProperty("nextPageToken", out var next)) return all;
            token = next.GetString();
        }
    }
}
