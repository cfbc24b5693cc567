using System.Text.Json;
using WeaveHypervisor.Client.V1;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Cli.Tests;

/// <summary>What scripts branch on.</summary>
public sealed class ExitCodeTests
{
    public static TheoryData<string, int, int> Refusals => new()
    {
        { "invalidRequest", 400, 2 }, { "notFound", 404, 3 }, { "alreadyExists", 409, 4 }, { "conflict", 409, 4 }, { "busy", 503, 5 }, { "unsupported", 422, 4 }, { "exhausted", 507, 4 }, { "unavailable", 503, 5 },
        { "dataLoss", 500, 1 }, { "internal", 500, 1 },
    };

    [Theory, MemberData(nameof(Refusals))]
    public async Task A_refusal_ends_with_the_code_of_its_fault_and_all_that_it_said(string fault, int status, int code)
    {
        var problem = new Problem { Status = status, Fault = fault, Detail = "It cannot be had.", NextStep = "Do the other thing.", Holders = ["shop/audit", "shop/test"] };
        foreach (var json in new[] { false, true })
        {
            var run = new CliRun();
            run.Service.Instead = _ => FakeService.Problem(status, problem);
            Assert.Equal(code, await run.RunLineAsync(json ? "delete shop/audit --json" : "delete shop/audit"));
            Assert.Equal("weave: It cannot be had.\n  held by: shop/audit, shop/test\n  next: Do the other thing.\n", run.Error);
            if (json) Assert.Equal(fault, JsonDocument.Parse(run.Out).RootElement.GetProperty("fault").GetString());
            else Assert.Equal("", run.Out);
        }
    }

    [Fact]
    public void Every_fault_of_the_product_has_a_code() =>
        Assert.Equal(Enum.GetNames<Fault>().Select(JsonNamingPolicy.CamelCase.ConvertName).Order(), ExitCodes.Table.Keys.Order());

    [Fact]
    public void A_fault_of_a_later_service_is_a_failure() => Assert.Equal(ExitCodes.Failed, ExitCodes.Of("somethingNew"));

    [Fact]
    public async Task A_service_that_does_not_answer_is_unavailable_and_how_to_start_it_is_told()
    {
        var run = new CliRun();
        run.Service.Instead = _ => throw new HttpRequestException(HttpRequestError.ConnectionError, "Connection refused");
        Assert.Equal(ExitCodes.Unavailable, await run.RunAsync("env", "list"));
        Assert.Contains("http://service.test", run.Error);
        Assert.Contains("weave serve", run.Error);
    }

    [Fact]
    public async Task A_snapshot_that_fails_its_verification_ends_with_1_and_what_to_do_though_its_operation_has_succeeded()
    {
        foreach (var json in new[] { false, true })
        {
            var run = new CliRun();
            run.Service.Becomes = o => [FakeService.End(o with { Result = Samples.Element("""{"snapshot":"snap-1","environment":"shop","passed":false,"level":"running","probe":"running for 10 s","reason":"machine web has ended"}""") }, "succeeded")];
            Assert.Equal(ExitCodes.Failed, await run.RunLineAsync(json ? "snapshot verify snap-1 --json" : "snapshot verify snap-1"));
            Assert.Contains("next: look into it with `weave create shop --snapshot snap-1`", run.Error);
            if (json) Assert.False(JsonDocument.Parse(run.Out).RootElement.GetProperty("result").GetProperty("passed").GetBoolean());
            else Assert.StartsWith("shop/snap-1: verification failed: running for 10 s (nothing in the guests was asked): machine web has ended", run.Out);
        }
    }

    [Fact]
    public async Task A_host_with_an_error_fails_the_check()
    {
        var run = new CliRun();
        run.Service.Instead = _ => new(System.Net.HttpStatusCode.OK)
        {
            Content = new StringContent(JsonSerializer.Serialize(Samples.Doctor with { Findings = [new("error", "kvm", "It is not there.", "Switch it on.")] }, V1Json.Default.DoctorView), null, "application/json"),
        };
        Assert.Equal(ExitCodes.Failed, await run.RunAsync("doctor"));
        Assert.Contains("It is not there.", run.Out);
    }

    [Fact]
    public async Task A_repair_after_which_something_remains_fails_and_says_what_and_a_dry_run_says_what_would_be_done()
    {
        var run = new CliRun();
        Assert.Equal(ExitCodes.Failed, await run.RunAsync("repair", "--dry-run"));
        Assert.Equal(["POST reconcile?repair=false"], run.Service.Requests);
        foreach (var text in new[] { "would: publish again 2 routes", "its layer '/pool/a.qcow2' is gone.", "Put it back.", "at work: lab" }) Assert.Contains(text, run.Out);
        Assert.DoesNotContain("Hardware virtualization", run.Out);
        Assert.Equal(ExitCodes.Usage, await run.RunAsync("repair", "a/b/c"));
    }

    [Fact]
    public async Task An_address_that_is_none_is_a_usage_error()
    {
        var run = new CliRun { Environment = new() { ["WEAVE_URL"] = "ftp://service" } };
        Assert.Equal(ExitCodes.Usage, await run.RunAsync("env", "list"));
        Assert.Contains("WEAVE_URL", run.Error);
    }

    [Fact]
    public async Task The_token_comes_from_its_variable_then_its_file_and_a_file_that_is_not_there_is_told()
    {
        var folder = Directory.CreateTempSubdirectory("weave-cli-test");
        try
        {
            var file = Path.Combine(folder.FullName, "token");
            await File.WriteAllTextAsync(file, "from-file\n");
            var run = new CliRun { Environment = new() { ["WEAVE_URL"] = "http://service.test", ["WEAVE_TOKEN_FILE"] = file } };
            Assert.Equal(0, await run.RunAsync("env", "list"));
            Assert.Equal(["from-file"], run.Service.Tokens);
            run = new CliRun { Environment = new() { ["WEAVE_URL"] = "http://service.test", ["WEAVE_TOKEN"] = " from-variable ", ["WEAVE_TOKEN_FILE"] = file } };
            Assert.Equal(0, await run.RunAsync("env", "list"));
            Assert.Equal(["from-variable"], run.Service.Tokens);
            run = new CliRun { Environment = new() { ["WEAVE_URL"] = "http://service.test", ["WEAVE_TOKEN_FILE"] = file + ".none" } };
            Assert.Equal(ExitCodes.Usage, await run.RunAsync("env", "list"));
            Assert.Contains("cannot be read", run.Error);
        }
        finally
        {
            folder.Delete(true);
        }
    }

    [Fact]
    public async Task Without_a_service_the_check_and_serve_need_its_program_and_say_how_to_name_it()
    {
        var run = new CliRun { Environment = new() { ["WEAVE_URL"] = "http://service.test", ["WEAVE_SERVICE_BIN"] = "/nowhere/service" } };
        run.Service.Instead = _ => throw new HttpRequestException(HttpRequestError.ConnectionError, "Connection refused");
        Assert.Equal(ExitCodes.Usage, await run.RunAsync("doctor"));
        Assert.Contains("/nowhere/service", run.Error);
        run = new CliRun { Environment = new() { ["WEAVE_SERVICE_BIN"] = "/nowhere/service" } };
        Assert.Equal(ExitCodes.Unavailable, await run.RunAsync("serve"));
        Assert.Contains("/nowhere/service", run.Error);
    }
}
