using System.Net;
using Microsoft.AspNetCore.Http;
using WeaveHypervisor.Client;
using WeaveHypervisor.Model;
using WeaveHypervisor.Service.Api;

namespace WeaveHypervisor.Service.Tests.Api;

/// <summary>What a refusal says, and which requests are refused.</summary>
public sealed class ProblemTests : IAsyncLifetime
{
    private TestService _service = null!;

    public async ValueTask InitializeAsync() => _service = await TestService.StartAsync();
    public ValueTask DisposeAsync() => _service.DisposeAsync();

    public static TheoryData<Fault, int, int?> Faults => new()
    {
        { Fault.InvalidRequest, 400, null }, { Fault.NotFound, 404, null }, { Fault.AlreadyExists, 409, null }, { Fault.Conflict, 409, null }, { Fault.Busy, 503, 2 }, { Fault.Unsupported, 422, null },
        { Fault.Exhausted, 507, null }, { Fault.Unavailable, 503, 10 }, { Fault.DataLoss, 500, null }, { Fault.Internal, 500, null },
    };

    [Fact]
    public void Every_fault_has_a_status() => Assert.All(Enum.GetValues<Fault>(), f => Assert.Contains(Faults, row => row.Data.Item1 == f));

    /// <summary>Through a request that asks the hypervisor itself, which answers with the fault.</summary>
    [Theory, MemberData(nameof(Faults))]
    public async Task A_fault_is_told_with_its_status_its_next_step_its_holders_and_when_to_come_again(Fault fault, int status, int? retryAfter)
    {
        var error = new WeaveException(fault, "It cannot be had.", "Do the other thing.", holders: ["lab/past"]);
        _service.Faults.Fail("InspectHostAsync", _service.Faults.Calls("InspectHostAsync") + 1, error);
        var answer = await _service.Http(_service.AdminToken).GetAsync("/api/v1/doctor");
        var problem = await answer.ProblemAsync(status);
        Assert.Equal(char.ToLowerInvariant(fault.ToString()[0]) + fault.ToString()[1..], problem.Fault);
        Assert.Equal("It cannot be had.", problem.Detail);
        Assert.Equal("Do the other thing.", problem.NextStep);
        Assert.Equal(["lab/past"], problem.Holders);
        Assert.Equal(retryAfter, problem.RetryAfter);
        Assert.Equal(retryAfter, (int?)answer.Headers.RetryAfter?.Delta?.TotalSeconds);
    }

    [Fact]
    public async Task An_error_that_nobody_classified_tells_nothing_of_our_insides()
    {
        var context = new DefaultHttpContext { Response = { Body = new MemoryStream() } };
        await new Problems(_ => throw new InvalidOperationException("secret path /var/lib/weave"), Microsoft.Extensions.Logging.Abstractions.NullLogger<Problems>.Instance).InvokeAsync(context);
        context.Response.Body.Position = 0;
        var text = await new StreamReader(context.Response.Body).ReadToEndAsync();
        Assert.Equal(500, context.Response.StatusCode);
        Assert.DoesNotContain("secret", text);
        Assert.DoesNotContain("InvalidOperation", text);
        Assert.Contains("internal", text);
    }

    [Theory]
    [InlineData("environments", """{"name":"lab","machines":[{"domain":"web"}],"colour":"red"}""", "colour")]
    [InlineData("environments", """{"name":"lab","machines":[{"domain":"web","memory":1}]}""", "memory")]
    [InlineData("environments", """{"name":"lab"}""", "machines")]
    [InlineData("environments", """{"name":"lab","machines":null}""", "machines")]
    [InlineData("environments", """{"name":"lab","machines":[]}""", "at least one machine")]
    [InlineData("environments", """{"name":"lab","machines":[{"domain":"web"},{"domain":"web"}]}""", "twice")]
    [InlineData("environments", """{"name":"Lab","machines":[{"domain":"web"}]}""", "'Lab' is not a valid environment name")]
    [InlineData("environments", """{"name":"../etc","machines":[{"domain":"web"}]}""", "not a valid environment name")]
    [InlineData("environments", """{"name":"lab","machines":[{"domain":"a\u0000b","name":"web"}]}""", "no name of a machine")]
    [InlineData("environments", """{"name":""", "not what this request takes")]
    [InlineData("environments", "null", "null is no body")]
    [InlineData("environments", "[]", "not what this request takes")]
    [InlineData("environments", "", "not what this request takes")]
    [InlineData("environments/lab/weaves", """{"weaveId":1}""", "$.weaveId")]
    [InlineData("environments/lab/weaves", """{"weaveId":"past","weaveId":"future"}""", "weaveId")]
    [InlineData("environments/lab/weaves", """{"weaveId":"Not A Name"}""", "not a valid weave id")]
    [InlineData("environments/lab/weaves", """{"start":"sideways"}""", "start cannot be 'sideways'")]
    [InlineData("environments/lab/weaves", """{"uplink":"wan"}""", "uplink")]
    [InlineData("environments/lab/weaves", """{"ttl":"soon"}""", "time to live")]
    [InlineData("environments/lab/weaves", """{"ttl":"99999d"}""", "time to live")]
    [InlineData("environments/lab/weaves", """{"timestamp":"yesterday"}""", "timestamp")]
    [InlineData("environments/lab/weaves", """{"snapshotId":"x"}""", "snapshot id")]
    [InlineData("environments/lab/weaves/main/routes", """{"targetPort":0,"machine":"web"}""", "0 is no target port")]
    [InlineData("environments/lab/weaves/main/routes", """{"targetPort":80}""", "which one is meant")]
    [InlineData("environments/lab/weaves/main/routes", """{"targetPort":80,"machine":"web","listen":"017700000001:8080"}""", "listen")]
    [InlineData("environments/lab/weaves/main/routes", """{"targetPort":80,"machine":"web","listen":"169.254.169.254:80"}""", "169.254.169.254")]
    [InlineData("environments/lab/weaves/main/routes", """{"targetPort":80,"machine":"web","protocol":"sctp"}""", "protocol")]
    [InlineData("environments/lab/weaves/main/activate", """{"probe":{"machine":"web","port":80,"timeoutSeconds":0}}""", "timeoutSeconds")]
    [InlineData("environments/lab/snapshots?wait=-1", "{}", "wait cannot be '-1'")]
    [InlineData("environments/lab/snapshots?wait=301", "{}", "wait cannot be '301'")]
    [InlineData("environments/lab/routes", """{"machine":"web","targetPort":80}""", "No timestamp was given")]
    [InlineData("environments/lab/weaves/main/routes", """{"machine":"web","targetPort":80,"timestamp":"2026-01-01T00:00:00Z"}""", "A weave and a timestamp were both given")]
    [InlineData("environments/lab/routes", """{"machine":"web","targetPort":80,"timestamp":"9026-01-01T00:00:00Z"}""", "is in the future")]
    [InlineData("tokens", """{"name":"x","role":"owner"}""", "role cannot be 'owner'")]
    [InlineData("tokens", """{"name":"no good name","role":"viewer"}""", "token name")]
    public async Task A_request_that_is_wrong_is_refused_with_what_is_wrong_and_leaves_no_trace(string path, string body, string says)
    {
        if (path.StartsWith("environments/", StringComparison.Ordinal)) await _service.AdoptAsync();
        var before = await _service.Client().ListOperationsAsync(null, false, 100, default);
        var problem = await (await _service.Http(_service.AdminToken).PostJsonAsync("/api/v1/" + path, body)).ProblemAsync(400);
        Assert.Contains(says, problem.Detail);
        Assert.Equal("invalidRequest", problem.Fault);
        Assert.False(string.IsNullOrEmpty(problem.NextStep));
        Assert.Equal(before.Count, (await _service.Client().ListOperationsAsync(null, false, 100, default)).Count);
    }

    [Theory]
    [InlineData("environments?limit=0")]
    [InlineData("environments?limit=201")]
    [InlineData("environments?limit=ten")]
    [InlineData("environments?pageToken=elsewhere")]
    [InlineData("environments?pageToken=-1")]
    [InlineData("operations?pageToken=elsewhere")]
    [InlineData("operations?unfinished=perhaps")]
    [InlineData("operations?environment=..")]
    [InlineData("audit?pageToken=x")]
    [InlineData("environments/Lab")]
    [InlineData("environments/%2e%2e%2fetc")]
    [InlineData("snapshots/1")]
    [InlineData("operations/1")]
    public async Task A_read_with_a_wrong_name_or_parameter_is_refused(string path)
    {
        var problem = await (await _service.Http(_service.AdminToken).GetAsync("/api/v1/" + path)).ProblemAsync(400);
        Assert.False(string.IsNullOrEmpty(problem.NextStep));
    }

    [Theory]
    [InlineData("100")]
    [InlineData("x.main")]
    [InlineData("-1.main")]
    [InlineData("3155378976000000000.main")]
    [InlineData("9223372036854775808.main")]
    [InlineData("100.Main!")]
    [InlineData("100.")]
    [InlineData(".main")]
    public async Task A_page_of_weaves_after_something_that_is_no_place_is_refused(string token)
    {
        await _service.AdoptAsync();
        var problem = await (await _service.Http(_service.AdminToken).GetAsync("/api/v1/environments/lab/weaves?pageToken=" + Uri.EscapeDataString(token))).ProblemAsync(400);
        Assert.Equal("This pageToken is none of ours.", problem.Detail);
        Assert.False(string.IsNullOrEmpty(problem.NextStep));
    }

    [Fact]
    public async Task What_is_not_there_is_not_found()
    {
        var http = _service.Http(_service.AdminToken);
        foreach (var path in new[] { "environments/none", "environments/none/weaves", "environments/none/timeline", "environments/none/routes", "nothing" })
            Assert.Equal("notFound", (await (await http.GetAsync("/api/v1/" + path)).ProblemAsync(404)).Fault);
        await _service.AdoptAsync();
        await (await http.GetAsync("/api/v1/environments/lab/weaves/none")).ProblemAsync(404);
        await (await http.DeleteAsync("/api/v1/environments/lab/weaves/none")).ProblemAsync(404);
        var put = await http.PutAsync("/api/v1/environments/lab", new StringContent("{}", null, "application/json"));
        await put.ProblemAsync(405);
        Assert.Equal(["DELETE", "GET"], put.Content.Headers.Allow.Order());
    }

    [Fact]
    public async Task A_body_that_is_not_JSON_or_too_large_is_refused_by_its_own_status()
    {
        var http = _service.Http(_service.AdminToken);
        var problem = await (await http.PostAsync("/api/v1/environments", new StringContent("name=lab", null, "text/plain"))).ProblemAsync(415);
        Assert.Contains("Content-Type", problem.NextStep);
        var large = await (await http.PostJsonAsync("/api/v1/environments", new string(' ', (1 << 20) + 1))).ProblemAsync(413);
        Assert.Contains("1 MiB", large.NextStep);
    }

    [Fact]
    public async Task What_holds_a_thing_is_named_when_its_deletion_is_refused()
    {
        await _service.AdoptAsync();
        var client = _service.Client();
        await _service.EndAsync(await client.CreateWeaveAsync("lab", new() { WeaveId = "past" }, default));
        var snapshot = (await client.ListSnapshotsAsync("lab", default)).Single();
        var refusal = await Assert.ThrowsAsync<ApiException>(() => client.DeleteSnapshotAsync(snapshot.Id, default));
        Assert.Equal("conflict", refusal.Fault);
        Assert.Equal(409, refusal.Problem.Status);
        Assert.Equal(["lab/past"], refusal.Problem.Holders);
        var release = await Assert.ThrowsAsync<ApiException>(() => client.ReleaseAsync("lab", false, default));
        Assert.Equal(["lab/past"], release.Problem.Holders);
        Assert.NotNull(release.Problem.NextStep);
    }

    [Fact]
    public async Task Every_change_is_in_the_audit_log_refused_or_accepted()
    {
        await _service.AdoptAsync();
        await Assert.ThrowsAsync<ApiException>(() => _service.Client().DeleteWeaveAsync("lab", "main", false, default));
        var text = await _service.Http(_service.AdminToken).GetStringAsync("/api/v1/audit");
        Assert.Contains("environment.adopt", text);
        Assert.Contains("\"weave.delete\",\"subject\":\"lab/main\",\"result\":\"refused: ", text);
        Assert.DoesNotContain(_service.AdminToken, text);
    }
}
