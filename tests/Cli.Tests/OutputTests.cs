using System.Text.Json;

namespace WeaveHypervisor.Cli.Tests;

/// <summary>What is written where: tables for people, tabs for pipes, JSON for programs, and everything that is no data to standard error.</summary>
public sealed class OutputTests
{
    /// <summary>Name of the golden files and the line.</summary>
    public static TheoryData<string, string> Shown => new()
    {
        { "env-list", "env list" }, { "env-show", "env show shop" }, { "env-agents", "env agents shop" }, { "env-adopt", "env adopt shop --domain shop-web" }, { "env-release", "env release shop" },
        { "snapshot", "snapshot shop" }, { "snapshot-list", "snapshot list shop" }, { "snapshot-show", "snapshot show snap-1" }, { "snapshot-delete", "snapshot delete snap-1" }, { "snapshot-verify", "snapshot verify snap-1" }, { "keep", "keep shop/audit --ttl 4h" },
        { "create", "create shop --id audit" }, { "list", "list shop" }, { "show", "show shop/audit" }, { "activate", "activate shop/audit" }, { "diff", "diff shop main audit" }, { "diff-ranges", "diff shop main audit db/data --ranges" }, { "sync", "sync shop main audit db/data" }, { "sync-list", "sync --list shop" }, { "delete", "delete shop/audit" }, { "pause", "pause shop/audit" },
        { "route", "route shop/audit 80 --machine web" }, { "route-list", "route list shop" }, { "route-delete", "route delete shop route-1" }, { "rules-show", "rules show shop" }, { "rules-set", "rules set shop --file -" }, { "rules-check", "rules check shop --from web --to db tcp/5432" }, { "export", "export snap-1 --vagrant /srv/labs/shop" }, { "import", "import /srv/labs/shop" },
        { "op-list", "op list" }, { "op-show", "op show op-3" }, { "op-watch", "op watch op-1" }, { "op-cancel", "op cancel op-1" },
        { "doctor", "doctor" }, { "doctor-repair", "doctor --repair" }, { "repair", "repair shop/audit" }, { "token-list", "token list" }, { "token-create", "token create ci" }, { "token-revoke", "token revoke ci" }, { "version", "version" },
    };

    [Theory, MemberData(nameof(Shown))]
    public async Task On_a_terminal_people_read_it(string name, string line)
    {
        var run = new CliRun { OutIsTerminal = true, Environment = new() { ["WEAVE_URL"] = "http://service.test", ["NO_COLOR"] = "1" } };
        Assert.Equal(0, await run.RunLineAsync(line));
        Golden.Check("terminal/" + name, run.Out);
    }

    [Theory, MemberData(nameof(Shown))]
    public async Task In_a_pipe_it_is_lines_of_tabs_without_any_control_character(string name, string line)
    {
        var run = new CliRun();
        Assert.Equal(0, await run.RunLineAsync(line));
        Assert.DoesNotContain(run.Out, c => char.IsControl(c) && c is not ('\n' or '\t'));
        Golden.Check("pipe/" + name, run.Out);
    }

    [Theory, MemberData(nameof(Shown))]
    public async Task As_JSON_it_is_one_document_with_stable_names(string name, string line)
    {
        var run = new CliRun { OutIsTerminal = true, ErrorIsTerminal = true };
        Assert.Equal(0, await run.RunLineAsync(line + " --json"));
        Assert.Equal("", run.Error);
        // A revoked token has nothing to tell.
        if (name == "token-revoke")
        {
            Assert.Equal("", run.Out);
            return;
        }
        using var document = JsonDocument.Parse(run.Out);
        Assert.Equal(line.EndsWith(" list", StringComparison.Ordinal) || line.StartsWith("env agents", StringComparison.Ordinal) || line.Contains("list ", StringComparison.Ordinal) || line.StartsWith("list", StringComparison.Ordinal) ? JsonValueKind.Array : JsonValueKind.Object, document.RootElement.ValueKind);
        Golden.Check("json/" + name, run.Out);
    }

    [Theory]
    [InlineData("tree-unicode", "timeline shop", false)]
    [InlineData("tree-ascii", "timeline shop --ascii", false)]
    [InlineData("tree-colour", "list shop --tree", true)]
    public async Task The_tree_shows_each_weave_under_the_snapshot_that_it_was_made_from(string name, string line, bool colour)
    {
        var environment = new Dictionary<string, string> { ["WEAVE_URL"] = "http://service.test" };
        if (!colour) environment["NO_COLOR"] = "1";
        var run = new CliRun { OutIsTerminal = true, Environment = environment };
        Assert.Equal(0, await run.RunLineAsync(line));
        Assert.Equal(["GET environments/shop/timeline"], run.Service.Requests);
        Assert.Equal(colour, run.Out.Contains("\e[32m", StringComparison.Ordinal));
        if (name == "tree-ascii") Assert.All(run.Out, c => Assert.True(c < 128));
        Golden.Check(name, run.Out);
    }

    [Fact]
    public async Task Colours_are_for_terminals_and_only_where_nobody_forbids_them()
    {
        async Task<string> OutAsync(bool terminal, string? forbids)
        {
            var run = new CliRun { OutIsTerminal = terminal, Environment = new() { ["WEAVE_URL"] = "http://service.test" } };
            if (forbids is not null) run.Environment["NO_COLOR"] = forbids;
            await run.RunAsync("list", "shop");
            return run.Out;
        }
        Assert.Contains("\e[32m", await OutAsync(true, null));
        Assert.Contains("\e[32m", await OutAsync(true, ""));
        Assert.DoesNotContain("\e[3", await OutAsync(true, "1"));
        Assert.DoesNotContain("\e", await OutAsync(false, null));
    }

    [Fact]
    public async Task What_others_wrote_cannot_steer_the_terminal()
    {
        var run = new CliRun { OutIsTerminal = true };
        var evil = Samples.Shop with { Name = "shop\e]0;title\a\tx", Host = "[red]no markup[/]" };
        run.Service.Instead = r => r != "GET environments/shop" ? null : new(System.Net.HttpStatusCode.OK) { Content = new StringContent(JsonSerializer.Serialize(evil, Client.V1.V1Json.Default.EnvironmentView), null, "application/json") };
        Assert.Equal(0, await run.RunAsync("env", "show", "shop"));
        Assert.DoesNotContain("\e]", run.Out);
        Assert.DoesNotContain("\a", run.Out);
        Assert.Contains("[red]no markup[/]", run.Out);
    }

    [Theory]
    [InlineData("env list", "no environment yet")]
    [InlineData("op list", "no operation yet")]
    public async Task Where_there_is_nothing_it_says_what_to_do_and_no_data(string line, string says)
    {
        var run = new CliRun { OutIsTerminal = true };
        run.Service.Instead = _ => new(System.Net.HttpStatusCode.OK) { Content = new StringContent("""{"items":[]}""", null, "application/json") };
        Assert.Equal(0, await run.RunLineAsync(line));
        Assert.Equal("", run.Out);
        Assert.Contains(says, run.Error);
    }
}
