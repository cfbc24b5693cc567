using System.Text.Json;
using WeaveHypervisor.Client.V1;

namespace WeaveHypervisor.Cli.Tests;

/// <summary>Rules as files, and what is said of them.</summary>
public sealed class RulesCommandTests
{
    private static HttpResponseMessage Answer<T>(T body) => new(System.Net.HttpStatusCode.OK) { Content = new StringContent(JsonSerializer.Serialize(body, (System.Text.Json.Serialization.Metadata.JsonTypeInfo<T>)V1Json.Default.GetTypeInfo(typeof(T))!), null, "application/json") };

    [Fact]
    public async Task What_show_writes_as_JSON_is_exactly_what_set_takes()
    {
        var shown = new CliRun();
        Assert.Equal(0, await shown.RunLineAsync("rules show shop --json"));
        var set = new CliRun { Input = shown.Out };
        Assert.Equal(0, await set.RunLineAsync("rules set shop --file -"));
        var sent = Assert.Single(set.Service.Requests)["PUT environments/shop/rules ".Length..];
        Assert.Equal(JsonSerializer.Serialize(new RulesBody { Groups = Samples.Rules.Groups, Access = Samples.Rules.Access }, V1Json.Default.RulesBody), sent);
    }

    [Fact]
    public async Task Rules_are_read_from_a_file_that_may_have_comments()
    {
        var file = Path.GetTempFileName();
        try
        {
            await File.WriteAllTextAsync(file, "// of the shop\n{\"groups\": [],}\n");
            var run = new CliRun();
            Assert.Equal(0, await run.RunAsync("rules", "set", "shop", "--file", file));
            Assert.Equal(["""PUT environments/shop/rules {"groups":[]}"""], run.Service.Requests);
        }
        finally
        {
            File.Delete(file);
        }
    }

    [Theory]
    [InlineData("")]
    [InlineData("null")]
    [InlineData("[]")]
    [InlineData("{}")]
    [InlineData("""{"group":[]}""")]
    [InlineData("""{"groups":[],"groups":[]}""")]
    [InlineData("""{"groups":[{"name":"g","machines":[]}]}""")]
    [InlineData("""{"groups":[],"of":{"weave":"main"}}""")]
    [InlineData("""{"groups":[],"access":{"source":[]}}""")]
    [InlineData("""{"groups":null}""")]
    public async Task What_holds_no_rules_is_refused_before_any_request_with_an_example(string text)
    {
        var run = new CliRun { Input = text };
        Assert.Equal(ExitCodes.Usage, await run.RunLineAsync("rules set shop --file -"));
        Assert.Contains("'-' holds no rules", run.Error);
        Assert.Contains("weave rules show ENV --json", run.Error);
        Assert.Empty(run.Service.Requests);
    }

    [Fact]
    public async Task A_file_that_goes_on_and_on_is_refused()
    {
        var run = new CliRun { Input = new(' ', 3 << 20) };
        Assert.Equal(ExitCodes.Usage, await run.RunLineAsync("rules set shop --file -"));
        Assert.Contains("longer than", run.Error);
    }

    [Theory]
    [InlineData(true, ExitCodes.Done, "allowed: why")]
    [InlineData(false, ExitCodes.NotAllowed, "not allowed: why")]
    public async Task A_check_ends_with_a_code_of_its_own_where_it_is_not_allowed(bool allowed, int code, string says)
    {
        foreach (var json in new[] { false, true })
        {
            var run = new CliRun();
            run.Service.Instead = _ => Answer(new RuleVerdictView(allowed, null, null, "why"));
            Assert.Equal(code, await run.RunLineAsync("rules check shop --from web --to db tcp/5432 --weave audit" + (json ? " --json" : "")));
            if (json) Assert.Equal(allowed, JsonDocument.Parse(run.Out).RootElement.GetProperty("allowed").GetBoolean());
            else Assert.Equal(says + "\n", run.Out);
            Assert.Equal("", run.Error);
        }
        Assert.DoesNotContain(ExitCodes.NotAllowed, ExitCodes.Table.Values);
    }

    [Fact]
    public async Task Of_main_it_is_said_what_is_enforced_and_of_others_it_is_not()
    {
        var run = new CliRun();
        await run.RunLineAsync("rules show shop");
        Assert.Contains("only the access policy of published ports is enforced", run.Error);
        run = new CliRun();
        await run.RunLineAsync("rules set shop --file -");
        Assert.Contains("only the access policy of published ports is enforced", run.Error);
        // What is not allowed there is not kept out for that.
        run = new CliRun();
        run.Service.Instead = _ => Answer(new RuleVerdictView(false, null, null, "why"));
        await run.RunLineAsync("rules check shop --from web --to db tcp/5432");
        Assert.Contains("only the access policy of published ports is enforced", run.Error);
        run = new CliRun();
        run.Service.Instead = _ => Answer(Samples.Rules with { Of = new("audit", null, null) });
        await run.RunLineAsync("rules show shop --weave audit");
        Assert.Equal("", run.Error);
    }

    [Theory]
    [InlineData("""{"groups":1,"rules":1,"sources":null,"changed":true}""", "shop/main: 1 security group with 1 rule; published ports for everyone (1.2 s)")]
    [InlineData("""{"groups":0,"rules":0,"sources":[],"changed":true}""", "shop/main: no security group; published ports for nobody (1.2 s)")]
    [InlineData("""{"groups":0,"rules":0,"changed":false}""", "shop/main: nothing changed: no security group; published ports for everyone (1.2 s)")]
    public async Task What_was_set_is_told_in_a_line(string result, string says)
    {
        var run = new CliRun();
        run.Service.Becomes = o => [FakeService.End(o with { Result = Samples.Element(result) }, "succeeded")];
        Assert.Equal(0, await run.RunLineAsync("rules clear shop"));
        Assert.Equal(says + "\n", run.Out);
    }

    [Fact]
    public async Task Rules_of_a_moment_tell_its_time_and_many_sources_are_cut()
    {
        var run = new CliRun();
        run.Service.Instead = _ => Answer(Samples.Rules with { Of = new(null, "snap-1", CliRun.Noon), Access = new() { Sources = [.. Enumerable.Range(1, 10).Select(i => $"10.{i}.0.0/16")] } });
        Assert.Equal(0, await run.RunLineAsync("rules show shop --snapshot snap-1"));
        Assert.Contains("rules of\tshop/snap-1\nof the time\t2030-01-01 14:00:00.000\n", run.Out);
        Assert.Contains("10.8.0.0/16 and 2 more", run.Out);
    }
}
