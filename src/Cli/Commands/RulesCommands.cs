using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;
using WeaveHypervisor.Cli.Rendering;
using WeaveHypervisor.Client;
using WeaveHypervisor.Client.V1;

namespace WeaveHypervisor.Cli.Commands;

/// <summary>rules show, set, clear and check.</summary>
internal static class RulesCommands
{
    /// <summary>More than the service takes.</summary>
    private const int MostCharacters = 2 << 20;
    private const string Example = """{"groups": [{"name": "front", "machines": ["web"], "rules": ["in tcp/80,443 from outside"]}], "access": {"sources": ["10.0.0.0/8"]}}""";
    /// <summary>Refuses members that it does not know: a misspelt one would be lost on the way to the service, which could not tell.</summary>
    private static readonly V1Json Strict = new(new JsonSerializerOptions(V1Json.Default.Options)
    {
        TypeInfoResolver = null, UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow, RespectNullableAnnotations = true, AllowDuplicateProperties = false, ReadCommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true,
    });

    public static void AddTo(RootCommand root, Verb verb) => root.Subcommands.Add(verb.Make("rules", "Who may talk to whom in an environment: security groups, and an access policy of its published ports. They are kept with every snapshot, and every weave has its own.",
        ["weave rules show shop --json", "weave rules set shop --file rules.json", "weave rules check shop --from web --to db tcp/5432", "weave create shop --at -1h --rules now"], Show(verb), Set(verb), Clear(verb), Check(verb)));

    /// <summary>Whose rules are meant, as options.</summary>
    private sealed class Whose(Verb verb)
    {
        private readonly Option<string?> _weave = new("--weave") { Description = "Of this weave; `active` is the active one. Without this, --snapshot and --at: of main." };
        private readonly Option<string?> _snapshot = new("--snapshot") { Description = "Of this snapshot." };
        private readonly Option<string?> _at = new("--at") { Description = "As of this time: of the newest snapshot at or before it. RFC 3339, a local date and time, a time of today, or back from now, such as -10m." };

        public Symbol[] Symbols => [_weave, _snapshot, _at];

        public RulesSelector Read(ParseResult parsed)
        {
            var of = new RulesSelector(parsed.GetValue(_weave), parsed.GetValue(_snapshot), parsed.GetValue(_at) is { } time ? Times.Parse(time, verb.Host.Clock.GetUtcNow(), verb.Host.Zone) : null);
            return new object?[] { of.Weave, of.Snapshot, of.At }.Count(o => o is not null) <= 1 ? of : throw new UsageException("More than one of --weave, --snapshot and --at were given.", "Give one of them, or none for main.");
        }
    }

    private static Command Show(Verb verb)
    {
        var environment = Verb.Environment();
        var whose = new Whose(verb);
        var command = verb.Make("show", "Show the rules of a weave, or of a moment of the history. With --json they are written as `weave rules set` reads them.",
            ["weave rules show shop", "weave rules show shop --weave audit", "weave rules show shop --at -1h", "weave rules show shop --snapshot snap-0199… --json"], [environment, .. whose.Symbols]);
        verb.Does(command, async (parsed, client, output, stop) =>
        {
            var name = parsed.GetRequiredValue(environment);
            var rules = await client.GetRulesAsync(name, whose.Read(parsed), stop);
            if (output.IsJson)
            {
                output.Json(new RulesBody { Groups = rules.Groups, Access = rules.Access }, V1Json.Default.RulesBody);
                return ExitCodes.Done;
            }
            output.Facts([("rules of", $"{name}/{rules.Of.Weave ?? rules.Of.Snapshot}"), ("of the time", rules.Of.At is { } at ? Times.Show(at, verb.Host.Zone) : null), ("published ports", "for " + For(rules.Access?.Sources))]);
            output.Table(["GROUP", "MACHINES", "RULE", "DESCRIPTION"], rules.Groups.SelectMany(g => g.Rules.DefaultIfEmpty("").Select(r => new[] { g.Name, string.Join(", ", g.Machines), r, g.Description ?? "" })), "no security group: no machine is limited");
            if (rules.Of.Weave == "main") output.Note(OfMain);
            return ExitCodes.Done;
        });
        return command;
    }

    private static Command Set(Verb verb)
    {
        var environment = Verb.Environment();
        var weave = new Option<string?>("--weave") { Description = "Of this weave; `active` is the active one. Without: of main." };
        var file = new Option<string>("--file") { Description = "The rules, as `weave rules show --json` writes them; - is standard input.", Required = true };
        var command = verb.Make("set", "Give a weave other rules, in place of all that it has. Those of main are recorded, and go into its snapshots and the weaves made of them; what is enforced of main itself is its access policy.",
            ["weave rules set shop --file rules.json", "weave rules set shop --weave audit --file -"], environment, weave, file);
        verb.Begins(command, async (parsed, client, stop) => await client.SetRulesAsync(parsed.GetRequiredValue(environment), parsed.GetValue(weave), await ReadAsync(parsed.GetRequiredValue(file), verb.Host, stop), stop), Show);
        return command;
    }

    private static Command Clear(Verb verb)
    {
        var environment = Verb.Environment();
        var weave = new Option<string?>("--weave") { Description = "Of this weave; `active` is the active one. Without: of main." };
        var command = verb.Make("clear", "Take all rules of a weave away: no machine is limited, and whoever reaches the host may use its published ports.", ["weave rules clear shop", "weave rules clear shop --weave audit"], environment, weave);
        verb.Begins(command, (parsed, client, stop) => client.SetRulesAsync(parsed.GetRequiredValue(environment), parsed.GetValue(weave), new RulesBody { Groups = [] }, stop), Show);
        return command;
    }

    private static Command Check(Verb verb)
    {
        var environment = Verb.Environment();
        var from = new Option<string>("--from") { Description = "Who makes the connection: a machine, `outside`, or an IPv4 address.", Required = true };
        var to = new Option<string>("--to") { Description = "To whom: a machine, `outside`, or an IPv4 address.", Required = true };
        var what = new Argument<string>("WHAT") { Description = "tcp/PORT, udp/PORT or icmp." };
        var whose = new Whose(verb);
        var command = verb.Make("check", $"Tell what the security groups say of one connection; nothing is sent. Who may use the published ports is another question, which `weave rules show` answers. Ends with 0 where it is allowed, and with {ExitCodes.NotAllowed} where it is not.",
            ["weave rules check shop --from web --to db tcp/5432", "weave rules check shop --from outside --to web tcp/443 --weave audit", "weave rules check shop --from db --to 10.1.2.3 udp/53 --at -1h", "weave rules check shop --from web --to db icmp"], [environment, what, from, to, .. whose.Symbols]);
        verb.Does(command, async (parsed, client, output, stop) =>
        {
            var (protocol, port) = What(parsed.GetRequiredValue(what));
            var of = whose.Read(parsed);
            var verdict = await client.CheckRulesAsync(parsed.GetRequiredValue(environment), parsed.GetRequiredValue(from), parsed.GetRequiredValue(to), protocol, port, of, stop);
            if (output.IsJson) output.Json(verdict, V1Json.Default.RuleVerdictView);
            else output.Line($"{(verdict.Allowed ? "allowed" : "not allowed")}: {verdict.Reason}");
            if (!verdict.Allowed && !output.IsJson && of is { Weave: null or "main", Snapshot: null, At: null }) output.Note(OfMain);
            return verdict.Allowed ? ExitCodes.Done : ExitCodes.NotAllowed;
        });
        return command;
    }

    private static (string Protocol, int? Port) What(string text)
    {
        if (text == "icmp") return (text, null);
        if (text.Split('/') is ["tcp" or "udp", var digits] && ushort.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out var port) && port > 0) return (text[..3], port);
        throw new UsageException($"'{text}' is no connection.", "Use tcp/PORT, udp/PORT or icmp, for example tcp/5432.");
    }

    private const string OfMain = "weave: note: the rules of main are recorded, and go into its snapshots and the weaves made of them; of the originals themselves only the access policy of published ports is enforced.";

    private static void Show(OperationView operation, Output output)
    {
        var result = operation.Result!.Value;
        var (groups, rules) = (result.GetProperty("groups").GetInt32(), result.GetProperty("rules").GetInt32());
        var sources = result.TryGetProperty("sources", out var listed) && listed.ValueKind == JsonValueKind.Array ? listed.EnumerateArray().Select(s => s.GetString()!).ToList() : null;
        var changed = result.GetProperty("changed").GetBoolean();
        output.Line($"{operation.Subject}: {(changed ? "" : "nothing changed: ")}{Limits(groups, rules)}; published ports for {For(sources)} ({Verb.Took(operation)})");
        if (operation.Subject.EndsWith("/main", StringComparison.Ordinal) && groups > 0) output.Note(OfMain);
    }

    /// <summary>In a line, also for `show`.</summary>
    public static string Summary(RulesSummaryView rules) => $"{Limits(rules.Groups, rules.Rules)}; published ports for {For(rules.Sources)}";

    private static string Limits(int groups, int rules) => groups == 0 ? "no security group" : $"{groups} security group{(groups == 1 ? "" : "s")} with {rules} rule{(rules == 1 ? "" : "s")}";

    private static string For(IReadOnlyList<string>? sources) => sources is null ? "everyone" : sources.Count == 0 ? "nobody" : string.Join(", ", sources.Take(8)) + (sources.Count > 8 ? $" and {sources.Count - 8} more" : "");

    private static async Task<RulesBody> ReadAsync(string file, CliHost host, CancellationToken stop)
    {
        string text;
        try
        {
            using var opened = file == "-" ? null : new StreamReader(file);
            text = await HeadAsync(opened ?? host.In, stop);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException)
        {
            throw new UsageException($"'{file}' cannot be read: {e.Message}", "Name a file of rules, or - for standard input.");
        }
        try
        {
            return JsonSerializer.Deserialize(text, (JsonTypeInfo<RulesBody>)Strict.GetTypeInfo(typeof(RulesBody))!) ?? throw new JsonException("null is no rules.");
        }
        catch (JsonException e)
        {
            throw new UsageException($"'{file}' holds no rules: {e.Message}", $"Write them as `weave rules show ENV --json` does, for example {Example}");
        }
    }

    /// <summary>All of it, but of an endless file no more than makes it too long.</summary>
    private static async Task<string> HeadAsync(TextReader reader, CancellationToken stop)
    {
        var buffer = new char[MostCharacters + 1];
        var count = await reader.ReadBlockAsync(buffer, stop);
        return count <= MostCharacters ? new string(buffer, 0, count) : throw new IOException($"it is longer than {MostCharacters} characters");
    }
}
