using System.Net;
using System.Text.RegularExpressions;
using Hangfire;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Time.Testing;
using WeaveHypervisor.Client;
using WeaveHypervisor.Conformance;
using WeaveHypervisor.Service.Dashboard;
using WeaveHypervisor.Weaving.Access;

namespace WeaveHypervisor.Service.Tests.Dashboard;

/// <summary>The dashboard: closed by default, read-only for all but admins, and telling what is at work in the product's words.</summary>
public sealed class DashboardTests : IAsyncLifetime
{
    private static readonly string[] Pages =
    [
        "/hangfire", "/hangfire/", "/HANGFIRE", "/hangfire/jobs/enqueued", "/hangfire/jobs/processing", "/hangfire/jobs/succeeded", "/hangfire/jobs/failed", "/hangfire/jobs/scheduled", "/hangfire/jobs/deleted",
        "/hangfire/jobs/details/1", "/hangfire/recurring", "/hangfire/servers", "/hangfire/retries", "/hangfire/operations", "/hangfire/operations/rows", "/hangfire/logout", "/hangfire/login/", "/hangfire/login/../jobs/enqueued",
        "/hangfire/stats", "/hangfire/js18250", "/hangfire/nothing",
    ];

    private static readonly string[] Commands =
    [
        "/hangfire/jobs/enqueued/delete", "/hangfire/jobs/enqueued/requeue", "/hangfire/jobs/processing/delete", "/hangfire/jobs/succeeded/requeue", "/hangfire/jobs/failed/delete", "/hangfire/jobs/failed/requeue",
        "/hangfire/jobs/scheduled/enqueue", "/hangfire/jobs/actions/requeue/1", "/hangfire/jobs/actions/delete/1", "/hangfire/recurring/trigger", "/hangfire/recurring/remove", "/hangfire/operations",
    ];

    private readonly FakeTimeProvider _clock = new(DateTimeOffset.Parse("2030-01-01T00:00:00Z", System.Globalization.CultureInfo.InvariantCulture));
    private TestService _service = null!;

    public async ValueTask InitializeAsync() => _service = await TestService.StartAsync(_clock);
    public ValueTask DisposeAsync() => _service.DisposeAsync();

    [Fact]
    public async Task Nobody_sees_a_page_without_a_login()
    {
        using var stranger = new Browser(_service.Address);
        foreach (var page in Pages)
        {
            var answer = await stranger.GetAsync(page);
            Assert.Equal((page, HttpStatusCode.Redirect), (page, answer.StatusCode));
            Assert.StartsWith("/hangfire/login?returnUrl=%2F", answer.Headers.Location!.OriginalString);
        }
        foreach (var command in Commands.Append("/hangfire/stats").Append("/hangfire/logout").Append("/HangFire/jobs/actions/delete/1")) await (await stranger.PostAsync(command, ("jobs[]", "1"))).ProblemAsync(401);
    }

    [Fact]
    public async Task A_token_in_a_header_a_forged_origin_or_a_made_up_cookie_opens_no_page()
    {
        var http = _service.Http(_service.AdminToken);
        http.DefaultRequestHeaders.Add("X-Forwarded-For", "127.0.0.1");
        http.DefaultRequestHeaders.Add("Cookie", $"weave-dashboard={_service.AdminToken}");
        Assert.Equal(HttpStatusCode.Redirect, (await http.GetAsync("/hangfire")).StatusCode);
        await (await http.PostAsync("/hangfire/jobs/actions/delete/1", null)).ProblemAsync(401);
    }

    [Theory]
    [InlineData("weave_0000000000000000000000000000000000000000000000000000000000000000")]
    [InlineData("")]
    [InlineData("<script>alert(1)</script>")]
    public async Task A_wrong_token_is_refused_and_not_repeated(string token)
    {
        using var browser = new Browser(_service.Address);
        var answer = await browser.LogInAsync(token);
        Assert.Equal(HttpStatusCode.Unauthorized, answer.StatusCode);
        var page = await answer.Content.ReadAsStringAsync();
        Assert.Contains("no valid token", page);
        if (token.Length > 0) Assert.DoesNotContain(token, page);
        Assert.DoesNotContain(browser.Cookies.GetAllCookies(), c => c.Name == "weave-dashboard");
    }

    [Fact]
    public async Task The_cookie_of_a_login_is_for_the_dashboard_alone_and_holds_nothing_of_the_token()
    {
        using var browser = new Browser(_service.Address);
        var answer = await browser.LogInAsync(_service.AdminToken, "/hangfire/jobs/succeeded?from=10");
        Assert.Equal("/hangfire/jobs/succeeded?from=10", answer.Headers.Location!.OriginalString);
        var set = answer.Headers.GetValues("Set-Cookie").Single(c => c.StartsWith("weave-dashboard=", StringComparison.Ordinal));
        foreach (var attribute in new[] { "path=/hangfire", "httponly", "samesite=strict" }) Assert.Contains(attribute, set, StringComparison.OrdinalIgnoreCase);
        Assert.DoesNotContain("expires", set, StringComparison.OrdinalIgnoreCase);
        Assert.DoesNotContain(_service.AdminToken[6..], set);
        Assert.DoesNotContain(TokenSecret.Hash(_service.AdminToken), set);
        // It opens the dashboard and nothing of the interface.
        await browser.PageAsync("/hangfire");
        var http = _service.Http(null);
        http.DefaultRequestHeaders.Add("Cookie", set.Split(';')[0]);
        await (await http.GetAsync("/api/v1/version")).ProblemAsync(401);
        Assert.Contains("dashboard.login", await _service.Http(_service.AdminToken).GetStringAsync("/api/v1/audit"));
    }

    [Theory]
    [InlineData("/hangfire/operations", "/hangfire/operations")]
    [InlineData("https://elsewhere.example/hangfire", "/hangfire")]
    [InlineData("//elsewhere.example/hangfire", "/hangfire")]
    [InlineData("/\\elsewhere.example", "/hangfire")]
    [InlineData("/hangfire/..//elsewhere.example\r\nX: y", "/hangfire")]
    [InlineData("/api/v1/tokens", "/hangfire")]
    [InlineData("/hangfireelse", "/hangfire")]
    [InlineData("/hangfire/logout", "/hangfire")]
    [InlineData("javascript:alert(1)", "/hangfire")]
    [InlineData(null, "/hangfire")]
    public void After_the_login_the_way_leads_into_the_dashboard_alone(string? wanted, string goes) => Assert.Equal(goes, LoginPages.ReturnUrl(wanted));

    [Fact]
    public async Task A_login_without_the_forms_own_secret_is_refused()
    {
        using var browser = new Browser(_service.Address);
        Assert.Equal(HttpStatusCode.Forbidden, (await browser.PostAsync("/hangfire/login", ("token", _service.AdminToken))).StatusCode);
        Assert.Equal(HttpStatusCode.Redirect, (await browser.GetAsync("/hangfire")).StatusCode);
    }

    [Fact]
    public async Task A_token_of_some_environments_does_not_open_the_dashboard_which_shows_all()
    {
        using var browser = new Browser(_service.Address);
        Assert.Equal(HttpStatusCode.Forbidden, (await browser.LogInAsync(await _service.TokenAsync("lab-only", AccessRole.Admin, "lab"))).StatusCode);
        Assert.Equal(HttpStatusCode.Redirect, (await browser.GetAsync("/hangfire")).StatusCode);
    }

    [Fact]
    public async Task A_login_ends_by_itself_by_logout_and_with_its_token()
    {
        using var browser = await Browser.LoggedInAsync(_service);
        await browser.PageAsync("/hangfire");
        _clock.Advance(LoginPages.Lifetime + TimeSpan.FromSeconds(1));
        Assert.Equal(HttpStatusCode.Redirect, (await browser.GetAsync("/hangfire")).StatusCode);

        await browser.LogInAsync(_service.AdminToken);
        var form = await browser.PageAsync("/hangfire/logout");
        Assert.Equal(HttpStatusCode.Forbidden, (await browser.PostAsync("/hangfire/logout")).StatusCode);
        await browser.PageAsync("/hangfire");
        Assert.Equal(HttpStatusCode.Redirect, (await browser.PostAsync("/hangfire/logout", Browser.Hidden(form))).StatusCode);
        Assert.Equal("/hangfire/login", (await browser.GetAsync("/hangfire")).Headers.Location!.OriginalString.Split('?')[0]);

        using var other = await Browser.LoggedInAsync(_service, await _service.TokenAsync("second", AccessRole.Admin));
        await other.PageAsync("/hangfire");
        await _service.Client().RevokeTokenAsync("second", default);
        Assert.Equal(HttpStatusCode.Redirect, (await other.GetAsync("/hangfire")).StatusCode);
    }

    [Theory]
    [InlineData(AccessRole.Viewer)]
    [InlineData(AccessRole.Operator)]
    public async Task Who_is_no_admin_sees_everything_and_changes_nothing(AccessRole role)
    {
        await _service.AdoptAsync();
        using var viewer = await Browser.LoggedInAsync(_service, await _service.TokenAsync("eyes", role));
        foreach (var page in Pages.Where(p => !p.Contains("login") && p is not ("/HANGFIRE" or "/hangfire/stats" or "/hangfire/nothing" or "/hangfire/js18250"))) Assert.Equal((page, HttpStatusCode.OK), (page, (await viewer.GetAsync(page)).StatusCode));
        await JobEndedAsync();
        var succeeded = await viewer.PageAsync("/hangfire/jobs/succeeded");
        Assert.Contains("env.adopt lab", succeeded);
        Assert.DoesNotContain("data-url=\"/hangfire/jobs/succeeded/requeue\"", succeeded);
        foreach (var command in Commands)
        {
            var problem = await (await viewer.CommandAsync(command, ("jobs[]", JobIds().First()))).ProblemAsync(403);
            Assert.Contains("may only look", problem.Detail);
        }
        Assert.Equal(HttpStatusCode.OK, (await viewer.CommandAsync("/hangfire/stats", ("metrics[]", "servers:count"))).StatusCode);
    }

    [Fact]
    public async Task An_admin_may_wake_a_job_again_but_only_from_the_dashboards_own_pages()
    {
        await _service.AdoptAsync();
        using var admin = await Browser.LoggedInAsync(_service);
        await JobEndedAsync();
        var job = JobIds().First();
        Assert.Equal(HttpStatusCode.Forbidden, (await admin.PostAsync("/hangfire/jobs/succeeded/requeue", ("jobs[]", job))).StatusCode);
        Assert.Contains("data-url=\"/hangfire/jobs/succeeded/requeue\"", await admin.PageAsync("/hangfire/jobs/succeeded"));
        Assert.Equal(HttpStatusCode.NoContent, (await admin.CommandAsync("/hangfire/jobs/succeeded/requeue", ("jobs[]", job))).StatusCode);
        await Eventually.HoldsAsync("the job has run again", () => Task.FromResult(Storage.GetMonitoringApi().SucceededListCount() == 1), TestService.Patience, default);
        // The operation had ended: waking it changes nothing.
        Assert.Single(await _service.Client().ListOperationsAsync(null, false, 10, default));
        Assert.Contains("dashboard.command", await _service.Http(_service.AdminToken).GetStringAsync("/api/v1/audit"));
    }

    [Fact]
    public async Task Work_is_shown_by_its_name_its_environment_and_how_far_it_is()
    {
        await _service.AdoptAsync("lab");
        _service.Faults.Hang("CaptureAsync", 1);
        var operation = await _service.Client().SnapshotAsync("lab", new(), default);
        using var admin = await Browser.LoggedInAsync(_service);
        await Eventually.HoldsAsync("the capture is shown", async () => (await admin.PageAsync("/hangfire/operations/rows")).Contains("capture", StringComparison.Ordinal), TestService.Patience, default);

        var row = Row(await admin.PageAsync("/hangfire/operations"), operation.Id);
        foreach (var part in new[] { "snapshot lab/main", "<td>lab</td>", "running", "1 of 3: capture", "admin" }) Assert.Contains(part, row);
        Assert.Contains("snapshot lab/main", await admin.PageAsync("/hangfire/jobs/processing"));
        var job = Storage.GetMonitoringApi().ProcessingJobs(0, 10).Single().Key;
        var details = await admin.PageAsync("/hangfire/jobs/details/" + job);
        Assert.Contains("snapshot lab/main", details);
        Assert.Contains("<td>capture</td><td>doing</td>", details);

        _service.Services.GetRequiredService<Operations.ProgressBoard>().Report(new Operations.OperationProgress(Model.OperationId.Parse(operation.Id), "capture", "writing <memory>", 30, 120));
        row = Row(await admin.PageAsync("/hangfire/operations/rows"), operation.Id);
        Assert.Contains("writing &lt;memory&gt;", row);
        Assert.Contains("25 %", row);

        await _service.Client().CancelOperationAsync(operation.Id, default);
        await Eventually.HoldsAsync("the end is shown", async () => Row(await admin.PageAsync("/hangfire/operations/rows"), operation.Id).Contains("undone", StringComparison.Ordinal), TestService.Patience, default);
    }

    [Fact]
    public async Task No_page_may_be_framed_or_kept()
    {
        using var admin = await Browser.LoggedInAsync(_service);
        foreach (var page in new[] { "/hangfire/login", "/hangfire", "/hangfire/operations" })
        {
            var answer = await admin.GetAsync(page);
            Assert.Contains("frame-ancestors 'none'", string.Join(";", answer.Headers.GetValues("Content-Security-Policy")));
            Assert.True(answer.Headers.CacheControl!.NoStore);
        }
    }

    /// <summary>A job ends shortly after its operation.</summary>
    private Task JobEndedAsync() => Eventually.HoldsAsync("a job has ended", () => Task.FromResult(JobIds().Any()), TestService.Patience, default);
    private JobStorage Storage => _service.Services.GetRequiredService<JobStorage>();
    private IEnumerable<string> JobIds() => Storage.GetMonitoringApi().SucceededJobs(0, 100).Select(j => j.Key);
    private static string Row(string page, string operation) => Regex.Match(page, $"<tr data-operation=\"{operation}\">.*?</tr>", RegexOptions.Singleline).Value;
}
