using System.CommandLine;

namespace WeaveHypervisor.Cli.Tests;

/// <summary>Which request each command line makes, and which lines are refused before any.</summary>
public sealed class CommandTests
{
    public static TheoryData<string, string> Lines => new()
    {
        { "env adopt shop --domain shop-web --domain prod-db-01", """POST environments {"name":"shop","machines":[{"name":"web","domain":"shop-web"},{"domain":"prod-db-01"}]}""" },
        { "env adopt shop --domain shop-web --every 5m --keep-last 12 --verify-every 12 --disk-only",
            """POST environments {"name":"shop","machines":[{"name":"web","domain":"shop-web"}],"snapshotPolicy":{"every":"5m","keepLast":12,"verifyEvery":12,"memory":false,"quiesce":false}}""" },
        { "env adopt shop --domain web=prod-web-01 db=prod-db-01", """POST environments {"name":"shop","machines":[{"name":"web","domain":"prod-web-01"},{"name":"db","domain":"prod-db-01"}]}""" },
        { "env list", "GET environments?limit=200" },
        { "env show shop", "GET environments/shop" },
        { "env agents shop", "GET environments/shop/agents?limit=200" },
        { "env release shop", "DELETE environments/shop?force=false" },
        { "env release shop --force", "DELETE environments/shop?force=true" },
        { "timeline shop", "GET environments/shop/timeline" },
        { "timeline shop --from -1h --to 13:30", "GET environments/shop/timeline?from=2030-01-01T11%3A00%3A00.000Z&to=2030-01-01T11%3A30%3A00.000Z" },
        { "snapshot shop", """POST environments/shop/snapshots {"memory":true,"quiesce":false}""" },
        { "snapshot shop/test --label before-upgrade --disk-only --quiesce", """POST environments/shop/snapshots {"weave":"test","label":"before-upgrade","memory":false,"quiesce":true}""" },
        { "snapshot list shop", "GET environments/shop/snapshots?limit=200" },
        { "snapshot show snap-1", "GET snapshots/snap-1" },
        { "snapshot delete snap-1", "DELETE snapshots/snap-1" },
        { "snapshot verify snap-1", """POST snapshots/snap-1/verify {"timeoutSeconds":60}""" },
        { "snapshot verify snap-1 --probe http://web:8080/health --timeout 5", """POST snapshots/snap-1/verify {"probe":{"machine":"web","port":8080,"httpPath":"/health"},"timeoutSeconds":5}""" },
        { "snapshot verify snap-1 --agent", """POST snapshots/snap-1/verify {"agent":{},"timeoutSeconds":60}""" },
        { "snapshot verify snap-1 --agent db", """POST snapshots/snap-1/verify {"agent":{"machine":"db"},"timeoutSeconds":60}""" },
        { "keep shop/audit", """PATCH environments/shop/weaves/audit {"ttl":"never"}""" },
        { "keep shop/audit --ttl 4h", """PATCH environments/shop/weaves/audit {"ttl":"4h"}""" },
        { "policy set shop --every 5m --keep-last 12", """PUT environments/shop/policy {"every":"5m","keepLast":12,"memory":true,"quiesce":false}""" },
        { "policy set shop --every 1h30m --keep-last 12 --hourly 24 --daily 7 --disk-only --quiesce",
            """PUT environments/shop/policy {"every":"1h30m","keepLast":12,"hourly":24,"daily":7,"memory":false,"quiesce":true}""" },
        { "policy set shop --every 15m --keep-last 96 --verify-every 16", """PUT environments/shop/policy {"every":"15m","keepLast":96,"verifyEvery":16,"memory":true,"quiesce":false}""" },
        { "policy show shop", "GET environments/shop" },
        { "policy clear shop", "DELETE environments/shop/policy" },
        { "compact shop", "POST environments/shop/compact" },
        { "compact shop --dry-run", "GET environments/shop/compaction" },
        { "create shop", "POST environments/shop/weaves {}" },
        { "create shop --at -10m", """POST environments/shop/weaves {"timestamp":"2030-01-01T11:50:00.000Z"}""" },
        { "create shop --at '5 minutes ago'", """POST environments/shop/weaves {"timestamp":"2030-01-01T11:55:00.000Z"}""" },
        { "create shop --at 10:32", """POST environments/shop/weaves {"timestamp":"2030-01-01T08:32:00.000Z"}""" },
        { "create shop --at '2029-12-31 20:15' --id audit --ttl 4h --uplink nat", """POST environments/shop/weaves {"weaveId":"audit","timestamp":"2029-12-31T18:15:00.000Z","uplink":"nat","ttl":"4h"}""" },
        { "create shop --snapshot snap-1 --boot", """POST environments/shop/weaves {"snapshotId":"snap-1","start":"boot"}""" },
        { "create shop --from test --no-start", """POST environments/shop/weaves {"sourceWeave":"test","start":"none"}""" },
        { "export shop --vagrant /srv/labs/shop", """POST environments/shop/weaves/active/export {"folder":"/srv/labs/shop","provider":"libvirt"}""" },
        { "export shop/audit --vagrant /srv/labs/../shop --provider libvirt", """POST environments/shop/weaves/audit/export {"folder":"/srv/shop","provider":"libvirt"}""" },
        { "export snap-1 --vagrant /srv/labs/shop", """POST snapshots/snap-1/export {"folder":"/srv/labs/shop","provider":"libvirt"}""" },
        { "import /srv/labs/shop", """POST imports {"folder":"/srv/labs/shop"}""" },
        { "import /srv/labs/../shop --name again", """POST imports {"folder":"/srv/shop","name":"again"}""" },
        { "list shop", "GET environments/shop/weaves?limit=200" },
        { "show shop/audit", "GET environments/shop/weaves/audit" },
        { "activate shop/audit", "POST environments/shop/weaves/audit/activate {}" },
        { "activate shop/audit --probe http://web:8080/health?full=1 --probe-timeout 5", """POST environments/shop/weaves/audit/activate {"probe":{"machine":"web","port":8080,"httpPath":"/health?full=1","timeoutSeconds":5}}""" },
        { "activate shop/audit --probe tcp://db:5432", """POST environments/shop/weaves/audit/activate {"probe":{"machine":"db","port":5432,"timeoutSeconds":30}}""" },
        { "delete shop/audit", "DELETE environments/shop/weaves/audit?withSnapshots=false" },
        { "delete shop/audit --with-snapshots", "DELETE environments/shop/weaves/audit?withSnapshots=true" },
        { "diff shop main audit", "GET environments/shop/volume-diffs?left=main&right=audit&limit=1000" },
        { "diff shop snap-1 active db/data --ranges", "GET environments/shop/volume-diffs?left=snap-1&right=active&limit=10000&volume=db%2Fdata" },
        { "sync shop main audit db/data", """POST environments/shop/volume-syncs {"sourceWeave":"main","destinationWeave":"audit","volume":"db/data","dryRun":false,"stop":false,"quiesce":false}""" },
        { "sync shop main audit db/data --strategy merge --on-conflict source --dry-run --stop --quiesce",
            """POST environments/shop/volume-syncs {"sourceWeave":"main","destinationWeave":"audit","volume":"db/data","strategy":"merge","onConflict":"source","dryRun":true,"stop":true,"quiesce":true}""" },
        { "sync --list shop", "GET environments/shop/volume-syncs?limit=200" },
        { "start shop/audit", "POST environments/shop/weaves/audit/start" },
        { "stop shop/audit", "POST environments/shop/weaves/audit/stop" },
        { "stop shop/audit --power-off", "POST environments/shop/weaves/audit/stop?powerOff=true" },
        { "pause shop/active", "POST environments/shop/weaves/active/pause" },
        { "resume shop/active", "POST environments/shop/weaves/active/resume" },
        { "route shop/active 80 --machine web", """POST environments/shop/weaves/active/routes {"machine":"web","targetPort":80}""" },
        { "route shop/audit 53 --udp --listen 0.0.0.0:5353", """POST environments/shop/weaves/audit/routes {"targetPort":53,"protocol":"udp","listen":"0.0.0.0:5353"}""" },
        { "route shop 80 --at 2026-11-23T12:00:00Z", """POST environments/shop/routes {"targetPort":80,"timestamp":"2026-11-23T12:00:00.000Z"}""" },
        { "create shop --at -10m --rules now", """POST environments/shop/weaves {"timestamp":"2030-01-01T11:50:00.000Z","rules":"now"}""" },
        { "rules show shop", "GET environments/shop/rules" },
        { "rules show shop --weave audit", "GET environments/shop/rules?weave=audit" },
        { "rules show shop --snapshot snap-1", "GET environments/shop/rules?snapshot=snap-1" },
        { "rules show shop --at -10m", "GET environments/shop/rules?at=2030-01-01T11%3A50%3A00.000Z" },
        { "rules set shop --file -", """PUT environments/shop/rules {"groups":[{"name":"front","machines":["web"],"rules":["in tcp/80 from outside"]}],"access":{"sources":["10.0.0.0/8"]}}""" },
        { "rules set shop --weave audit --file -", """PUT environments/shop/rules?weave=audit {"groups":[{"name":"front","machines":["web"],"rules":["in tcp/80 from outside"]}],"access":{"sources":["10.0.0.0/8"]}}""" },
        { "rules clear shop", """PUT environments/shop/rules {"groups":[]}""" },
        { "rules clear shop --weave audit", """PUT environments/shop/rules?weave=audit {"groups":[]}""" },
        { "rules check shop --from web --to db tcp/5432", "GET environments/shop/rules/check?from=web&to=db&protocol=tcp&port=5432" },
        { "rules check shop --from outside --to web icmp --weave audit", "GET environments/shop/rules/check?from=outside&to=web&protocol=icmp&weave=audit" },
        { "route list shop", "GET environments/shop/routes?limit=200" },
        { "route delete shop route-1", "DELETE environments/shop/routes/route-1" },
        { "op list", "GET operations?limit=20&unfinished=false" },
        { "op list --env shop --unfinished --limit 5", "GET operations?limit=5&unfinished=true&environment=shop" },
        { "op show op-1", "GET operations/op-1" },
        { "op watch op-1", "GET operations/op-1" },
        { "op cancel op-1", "POST operations/op-1/cancel" },
        { "doctor", "GET doctor" },
        { "doctor --repair", "POST reconcile?repair=true" },
        { "repair", "POST reconcile?repair=true" },
        { "repair shop", "POST reconcile?repair=true&environment=shop" },
        { "repair shop/active", "POST reconcile?repair=true&environment=shop&weave=active" },
        { "token list", "GET tokens?limit=200" },
        { "token create ci", """POST tokens {"name":"ci","role":"viewer"}""" },
        { "token create ci --role operator --env shop --env lab --ttl 30d", """POST tokens {"name":"ci","role":"operator","environments":["shop","lab"],"ttl":"30d"}""" },
        { "token revoke ci", "DELETE tokens/ci" },
        { "version", "GET version" },
    };

    [Theory, MemberData(nameof(Lines))]
    public async Task A_line_makes_one_request_and_succeeds(string line, string request)
    {
        var run = new CliRun();
        Assert.Equal((0, ""), (await run.RunLineAsync(line + " --json"), run.Error));
        Assert.Equal([request], run.Service.Requests);
        Assert.All(run.Service.Tokens, t => Assert.Equal("secret", t));
    }

    /// <summary>Of the operation is known which environment it was in.</summary>
    [Theory]
    [InlineData("sync --undo op-1 --stop", """POST environments/shop/volume-syncs/op-1/undo {"stop":true}""")]
    [InlineData("sync --forget op-1", "DELETE environments/shop/volume-syncs/op-1")]
    public async Task A_sync_is_taken_back_and_forgotten_by_its_id(string line, string request)
    {
        var run = new CliRun();
        Assert.Equal((0, ""), (await run.RunLineAsync(line + " --json"), run.Error));
        Assert.Equal(["GET operations/op-1", request], run.Service.Requests);
    }

    [Theory]
    [InlineData("sync shop main audit")]
    [InlineData("sync")]
    [InlineData("sync shop main audit db/data --undo op-1")]
    [InlineData("sync --undo op-1 --forget op-1")]
    [InlineData("sync shop main audit db/data --strategy other")]
    public async Task A_sync_that_is_not_clear_makes_no_request(string line)
    {
        var run = new CliRun();
        Assert.Equal(ExitCodes.Usage, await run.RunLineAsync(line));
        Assert.Empty(run.Service.Requests);
    }

    [Fact]
    public void Every_command_is_tried_above()
    {
        var tried = Lines.Select(row => row.Data.Item1).ToList();
        var missing = Commands(CommandLine.Build(new CliRun().Host).Root).Where(c => c.Action is not null).Select(c => CommandLine.Path(c).TrimEnd())
            // These become the service's program; DiskCommandTests try them.
            .Where(path => path != "serve" && !path.StartsWith("disk ", StringComparison.Ordinal) && !tried.Any(line => line == path || line.StartsWith(path + " ", StringComparison.Ordinal)));
        Assert.Empty(missing);
    }

    internal static IEnumerable<Command> Commands(Command command) => command.Subcommands.SelectMany(s => Commands(s).Prepend(s));

    [Theory]
    [InlineData("", "Required command")]
    [InlineData("wave shop", "wave")]
    [InlineData("env", "Required command")]
    [InlineData("env adopt shop", "--domain")]
    [InlineData("env adopt shop --domain web --vagrant lab", "--domain and --vagrant")]
    [InlineData("create", "Required argument missing")]
    [InlineData("create shop other", "other")]
    [InlineData("create shop --att -10m", "--att")]
    [InlineData("create shop --uplink wan", "wan")]
    [InlineData("create shop --at -10m --snapshot snap-1", "--at and --snapshot")]
    [InlineData("create shop --boot --no-start", "--boot and --no-start")]
    [InlineData("create shop --at yesterday-ish", "'yesterday-ish' is no time")]
    [InlineData("create shop --ttl soon", "'soon' is no duration")]
    [InlineData("keep shop/audit --ttl soon", "'soon' is no duration")]
    [InlineData("snapshot verify snap-1 --probe web:80", "'web:80' is no probe")]
    [InlineData("snapshot verify snap-1 --probe tcp://web:80 --agent db", "--probe and --agent")]
    [InlineData("show audit", "'audit' does not name a weave")]
    [InlineData("show shop/", "'shop/' does not name a weave")]
    [InlineData("show shop/audit/more", "does not name a weave")]
    [InlineData("activate shop/audit --probe web:80", "'web:80' is no probe")]
    [InlineData("activate shop/audit --probe tcp://web", "'tcp://web' is no probe")]
    [InlineData("route shop/audit http", "http")]
    [InlineData("route shop/audit 80 --at -1h", "A weave and --at were both given")]
    [InlineData("route shop 80", "'shop' does not name a weave")]
    [InlineData("route shop 80 --at sometime", "sometime")]
    [InlineData("token create ci --role owner", "owner")]
    [InlineData("create shop --rules today", "today")]
    [InlineData("rules show shop --weave audit --at -1h", "More than one of")]
    [InlineData("rules show shop --at sometime", "sometime")]
    [InlineData("rules set shop", "--file")]
    [InlineData("rules set shop --file /nowhere/rules.json", "'/nowhere/rules.json' cannot be read")]
    [InlineData("rules check shop --from web --to db", "Required argument missing")]
    [InlineData("rules check shop --from web tcp/80", "--to")]
    [InlineData("rules check shop --from web --to db 5432", "'5432' is no connection")]
    [InlineData("rules check shop --from web --to db tcp", "'tcp' is no connection")]
    [InlineData("rules check shop --from web --to db udp/0", "'udp/0' is no connection")]
    [InlineData("rules check shop --from web --to db tcp/65536", "'tcp/65536' is no connection")]
    [InlineData("rules check shop --from web --to db icmp/8", "'icmp/8' is no connection")]
    [InlineData("policy set shop --every 5m", "--keep-last")]
    [InlineData("env adopt shop --domain shop-web --every 5m", "--keep-last")]
    [InlineData("env adopt shop --domain shop-web --disk-only", "--every")]
    [InlineData("op list --limit many", "many")]
    public async Task A_line_that_is_wrong_is_refused_before_any_request_with_what_to_do(string line, string says)
    {
        foreach (var json in new[] { false, true })
        {
            var run = new CliRun();
            Assert.Equal(ExitCodes.Usage, await run.RunLineAsync(json ? line + " --json" : line));
            Assert.Contains(says, run.Error);
            Assert.Contains("next: ", run.Error);
            Assert.Empty(run.Service.Requests);
            Assert.Equal(json, run.Out.Contains("\"fault\": \"invalidRequest\"", StringComparison.Ordinal));
        }
    }

    [Fact]
    public async Task Every_command_has_help_with_examples_that_can_be_run()
    {
        var (root, verb) = CommandLine.Build(new CliRun().Host);
        foreach (var command in Commands(root))
        {
            var path = CommandLine.Path(command).TrimEnd();
            var run = new CliRun();
            Assert.Equal(0, await run.RunLineAsync(path + " --help"));
            Assert.False(string.IsNullOrWhiteSpace(command.Description), path);
            Assert.All(command.Arguments.Cast<Symbol>().Concat(command.Options), s => Assert.False(string.IsNullOrWhiteSpace(s.Description), $"{path} {s.Name}"));
            Assert.NotEmpty(verb.ExamplesOf(command));
            Assert.Contains("Examples:", run.Out);
            Assert.Empty(run.Service.Requests);
            foreach (var example in verb.ExamplesOf(command))
            {
                Assert.Contains(example, run.Out);
                var words = CliRun.Split(example.Split(" | ")[0]);
                Assert.Equal("weave", words[0]);
                Assert.Empty(root.Parse(words[1..]).Errors);
            }
        }
    }

    [Fact]
    public async Task The_help_of_the_whole_names_commands_examples_exit_codes_and_variables()
    {
        var run = new CliRun();
        Assert.Equal(0, await run.RunAsync("--help"));
        Golden.Check("help", run.Out);
    }

    [Theory]
    [InlineData("shop", "shop-web", "web", "shop-web")]
    [InlineData("shop", "web", null, "web")]
    [InlineData("shop", "shop-", null, "shop-")]
    [InlineData("shop", "shopping-web", null, "shopping-web")]
    [InlineData("shop", "w=shop-web", "w", "shop-web")]
    public void A_machine_gets_the_short_name_that_its_domain_suggests(string environment, string text, string? name, string domain)
    {
        var machine = Cli.Commands.EnvironmentCommands.Machine(environment, text);
        Assert.Equal((name, domain), (machine.Name, machine.Domain));
    }

}
