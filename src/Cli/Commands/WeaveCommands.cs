using System.CommandLine;
using System.Globalization;
using WeaveHypervisor.Cli.Rendering;
using WeaveHypervisor.Client.V1;

namespace WeaveHypervisor.Cli.Commands;

/// <summary>create, list, show, activate, delete, keep, start, stop, pause, resume.</summary>
internal static class WeaveCommands
{
    public static void AddTo(RootCommand root, Verb verb)
    {
        root.Subcommands.Add(Create(verb));
        root.Subcommands.Add(List(verb));
        root.Subcommands.Add(Show(verb));
        root.Subcommands.Add(Activate(verb));
        root.Subcommands.Add(Delete(verb));
        root.Subcommands.Add(Keep(verb));
        root.Subcommands.Add(Power(verb, "start", "Start the machines of a weave: resumed where its memory is still kept, booted otherwise."));
        root.Subcommands.Add(Power(verb, "stop", "Shut the machines of a weave down. A copy gives up its memory by that."));
        root.Subcommands.Add(Power(verb, "pause", "Pause the machines of a weave."));
        root.Subcommands.Add(Power(verb, "resume", "Let paused machines of a weave go on."));
    }

    private static Command Create(Verb verb)
    {
        var environment = Verb.Environment();
        var at = new Option<string?>("--at") { Description = "The time to go to: RFC 3339, a local date and time, a time of today, or back from now (-10m, '5 minutes ago'). The newest snapshot at or before it is taken. Without: from now." };
        var snapshot = new Option<string?>("--snapshot") { Description = "The snapshot to start from." };
        var from = new Option<string?>("--from") { Description = "The weave whose line, or whose now, is meant; without: the active one." };
        var id = new Option<string?>("--id") { Description = "Id of the new weave; without: one is made up." };
        var boot = new Option<bool>("--boot") { Description = "Boot from the disks instead of resuming memory." };
        var noStart = new Option<bool>("--no-start") { Description = "Start nothing yet." };
        var uplink = new Option<string?>("--uplink") { Description = "none (nothing leaves the weave) or nat." };
        uplink.AcceptOnlyFromAmong("none", "nat");
        var ttl = new Option<string?>("--ttl") { Description = "Delete it by itself after this time, for example 4h." };
        var rules = new Option<string?>("--rules") { Description = "With whose security groups and access policy it begins: then (those of its time; the default) or now (those that main has today)." };
        rules.AcceptOnlyFromAmong("then", "now");
        var command = verb.Make("create", "Make a weave: a running copy of the whole environment, from any time of its history or from now, beside the original.",
            ["weave create shop --at -10m", "weave create shop --at '5 minutes ago'", "weave create shop --at '2026-11-23 20:15' --id audit --ttl 4h", "weave create shop --snapshot snap-0199… --boot", "weave create shop --from test --uplink nat", "weave create shop --at -1h --rules now"],
            environment, at, snapshot, from, id, boot, noStart, uplink, ttl, rules);
        verb.Begins(command, (parsed, client, stop) =>
        {
            if (parsed.GetValue(at) is not null && parsed.GetValue(snapshot) is not null) throw new UsageException("--at and --snapshot were both given.", "Give one of them, or none to weave from now.");
            if (parsed.GetValue(boot) && parsed.GetValue(noStart)) throw new UsageException("--boot and --no-start were both given.", "Give one of them.");
            if (parsed.GetValue(ttl) is { } life && !Times.TryDuration(life, out _)) throw new UsageException($"'{life}' is no duration.", "Use a form such as 90s, 30m, 4h or 7d.");
            return client.CreateWeaveAsync(parsed.GetRequiredValue(environment), new CreateWeaveBody
            {
                WeaveId = parsed.GetValue(id), Timestamp = parsed.GetValue(at) is { } text ? Times.Parse(text, verb.Host.Clock.GetUtcNow(), verb.Host.Zone) : null, SnapshotId = parsed.GetValue(snapshot),
                SourceWeave = parsed.GetValue(from), Start = parsed.GetValue(boot) ? "boot" : parsed.GetValue(noStart) ? "none" : null, Uplink = parsed.GetValue(uplink), Ttl = parsed.GetValue(ttl), Rules = parsed.GetValue(rules),
            }, stop);
        }, (operation, output) =>
        {
            var result = operation.Result!.Value;
            output.Line($"{operation.Subject}: made from {Times.Show(result.GetProperty("at").GetDateTimeOffset(), verb.Host.Zone)} ({Verb.Took(operation)})");
            if (!output.Host.OutIsTerminal) return;
            var addresses = result.GetProperty("addresses").EnumerateArray().ToList();
            output.Table(["MACHINE", "IS", "BY", "START", "INSIDE", "FROM THIS HOST"], result.GetProperty("machines").EnumerateArray().Select(m =>
            {
                var name = m.GetProperty("name").GetString()!;
                var mine = addresses.Where(a => a.GetProperty("machine").GetString() == name).ToList();
                return new[]
                {
                    name, m.GetProperty("runState").GetString()!.ToLowerInvariant(), m.GetProperty("method").GetString()!,
                    Times.Show(m.GetProperty("createMs").GetDouble() + m.GetProperty("loadMs").GetDouble() + m.GetProperty("resumeMs").GetDouble()),
                    string.Join(", ", mine.Select(a => a.GetProperty("inner").GetString())), string.Join(", ", mine.Select(a => a.GetProperty("outer").GetString())),
                };
            }));
            output.Note($"next: weave route {operation.Subject} PORT --machine MACHINE");
        });
        return command;
    }

    private static Command List(Verb verb)
    {
        var environment = Verb.Environment();
        var tree = new Option<bool>("--tree") { Description = "Show weaves and snapshots as one tree." };
        var ascii = new Option<bool>("--ascii") { Description = "Draw with plain characters." };
        var command = verb.Make("list", "List the weaves of an environment.", ["weave list shop", "weave list shop --tree"], environment, tree, ascii);
        verb.Does(command, async (parsed, client, output, stop) =>
        {
            var name = parsed.GetRequiredValue(environment);
            if (parsed.GetValue(tree) && !output.IsJson)
            {
                TimelineTree.Write(output, await client.TimelineAsync(name, null, null, stop), parsed.GetValue(ascii));
                return ExitCodes.Done;
            }
            var all = await client.ListWeavesAsync(name, stop);
            if (output.IsJson) output.JsonList(all, V1Json.Default.WeaveView);
            else output.Table(["WEAVE", "STATE", "ACTIVE", "FROM", "CREATED", "EXPIRES"], all.Select(w => new[]
            {
                w.Id, StateOf(w), w.Active ? "yes" : "", w.OriginAt is { } at ? $"{w.Source} {Times.Show(at, verb.Host.Zone)}" : "", Times.Show(w.CreatedAt, verb.Host.Zone), w.ExpiresAt is { } end ? Until(end, verb) : "",
            }));
            return ExitCodes.Done;
        });
        return command;
    }

    private static Command Show(Verb verb)
    {
        var weave = Verb.Weave();
        var command = verb.Make("show", "Show a weave: its machines, addresses and disks.", ["weave show shop/main", "weave show shop/active"], weave);
        verb.Does(command, async (parsed, client, output, stop) =>
        {
            var (environment, id) = Verb.Pair(parsed.GetRequiredValue(weave));
            var w = await client.GetWeaveAsync(environment, id, stop);
            if (output.IsJson)
            {
                output.Json(w, V1Json.Default.WeaveView);
                return ExitCodes.Done;
            }
            output.Facts([("weave", $"{w.Environment}/{w.Id}"), ("state", StateOf(w)), ("active", w.Active ? "yes" : "no"), ("created", Times.Show(w.CreatedAt, verb.Host.Zone)), ("made from", w.Origin),
                ("of the time", w.OriginAt is { } at ? Times.Show(at, verb.Host.Zone) : null), ("line of", w.Source), ("uplink", w.Uplink), ("rules", w.Rules is { } rules ? RulesCommands.Summary(rules) : null), ("verifies", w.Verifies), ("expires", w.ExpiresAt is { } end ? Until(end, verb) : null),
                .. w.Kept.Select(k => ("synced", (string?)$"{k.Volume}{(k.Source is { } of ? $" from {of}" : "")} at {Times.Show(k.At, verb.Host.Zone)}; back with `weave sync --undo {k.Operation}`")),
                .. w.Drift.Select(d => ("drift", (string?)$"{d.Text} (noticed {Times.Show(d.FoundAt, verb.Host.Zone)})"))]);
            if (w.Drift.Count > 0) output.Note($"next: weave repair {w.Environment}/{w.Id} --dry-run");
            output.Table(["MACHINE", "IS", "STARTED BY", "INSIDE", "FROM THIS HOST", "ON THE HYPERVISOR"], w.Machines.Select(m => new[]
            {
                m.Name, m.RunState, m.StartedBy ?? "", string.Join(", ", m.Addresses.Select(a => a.Inner)), string.Join(", ", m.Addresses.Select(a => a.Outer)), m.Domain,
            }));
            return ExitCodes.Done;
        });
        return command;
    }

    private static string StateOf(WeaveView w) => w.Verifies is null ? w.State : $"{w.State}, verifying";

    private static string Until(DateTimeOffset end, Verb verb) => $"{Times.Show(end, verb.Host.Zone)} ({Times.Left(end - verb.Host.Clock.GetUtcNow())})";

    private static Command Keep(Verb verb)
    {
        var weave = Verb.Weave();
        var ttl = new Option<string?>("--ttl") { Description = "Delete it by itself after this time from now, for example 4h. Without: never." };
        var command = verb.Make("keep", "Give a weave another time to live, or let it live until it is deleted.", ["weave keep shop/audit", "weave keep shop/audit --ttl 4h"], weave, ttl);
        verb.Begins(command, (parsed, client, stop) =>
        {
            if (parsed.GetValue(ttl) is { } life && !Times.TryDuration(life, out _)) throw new UsageException($"'{life}' is no duration.", "Use a form such as 90s, 30m, 4h or 7d.");
            var (environment, id) = Verb.Pair(parsed.GetRequiredValue(weave));
            return client.KeepWeaveAsync(environment, id, new KeepBody { Ttl = parsed.GetValue(ttl) ?? "never" }, stop);
        }, (operation, output) => output.Line(operation.Result is { } r && r.TryGetProperty("expiresAt", out var at) && at.ValueKind == System.Text.Json.JsonValueKind.String
            ? $"{operation.Subject}: lives until {Until(at.GetDateTimeOffset(), verb)}" : $"{operation.Subject}: lives until it is deleted"));
        return command;
    }

    private static Command Activate(Verb verb)
    {
        var weave = Verb.Weave();
        var probe = new Option<string?>("--probe") { Description = "Must answer before anything is switched: tcp://MACHINE:PORT or http://MACHINE:PORT/PATH." };
        var timeout = new Option<double>("--probe-timeout") { Description = "Seconds that the probe may take.", DefaultValueFactory = _ => 30 };
        var command = verb.Make("activate", "Make a weave the active one: the routes that follow the active weave lead to it, in one atomic change.",
            ["weave activate shop/audit", "weave activate shop/audit --probe http://web:80/health", "weave activate shop/main"], weave, probe, timeout);
        verb.Begins(command, (parsed, client, stop) =>
        {
            var (environment, id) = Verb.Pair(parsed.GetRequiredValue(weave));
            return client.ActivateAsync(environment, id, new ActivateBody { Probe = parsed.GetValue(probe) is { } text ? Probe(text, parsed.GetValue(timeout)) : null }, stop);
        }, (operation, output) => output.Line($"{operation.Subject}: active ({Verb.Took(operation)}){(operation.Result is { } r && r.TryGetProperty("previous", out var p) && p.GetString() is { } previous ? $"; before: {previous}" : "")}"));
        return command;
    }

    internal static ProbeBody Probe(string text, double? seconds)
    {
        if (!Uri.TryCreate(text, UriKind.Absolute, out var uri) || uri.Scheme is not ("tcp" or "http") || uri.Host.Length == 0 || uri.Scheme == "tcp" && uri.Port < 1)
            throw new UsageException($"'{text}' is no probe.", "Use tcp://MACHINE:PORT or http://MACHINE:PORT/PATH, with the machine's name in the environment.");
        return new ProbeBody { Machine = uri.Host, Port = uri.Port, HttpPath = uri.Scheme == "http" ? uri.PathAndQuery : null, TimeoutSeconds = seconds };
    }

    private static Command Delete(Verb verb)
    {
        var weave = Verb.Weave();
        var with = new Option<bool>("--with-snapshots") { Description = "Delete the snapshots that were taken of it, too." };
        var command = verb.Make("delete", "Delete a weave: its machines, networks, routes and layers. Others are not touched.", ["weave delete shop/audit", "weave delete shop/test --with-snapshots"], weave, with);
        verb.Begins(command, (parsed, client, stop) =>
        {
            var (environment, id) = Verb.Pair(parsed.GetRequiredValue(weave));
            return client.DeleteWeaveAsync(environment, id, parsed.GetValue(with), stop);
        }, (operation, output) => output.Line($"{operation.Subject}: deleted ({Verb.Took(operation)})"));
        return command;
    }

    private static Command Power(Verb verb, string change, string description)
    {
        var weave = Verb.Weave();
        var off = new Option<bool>("--power-off") { Description = "Do not ask the guests; pull the plug." };
        var command = verb.Make(change, description, [$"weave {change} shop/audit"], change == "stop" ? [weave, off] : [weave]);
        verb.Begins(command, (parsed, client, stop) =>
        {
            var (environment, id) = Verb.Pair(parsed.GetRequiredValue(weave));
            return client.ChangePowerAsync(environment, id, change, change == "stop" && parsed.GetValue(off), stop);
        }, (operation, output) => output.Line(string.Create(CultureInfo.InvariantCulture, $"{operation.Subject}: {(operation.Result is { } r && r.TryGetProperty("state", out var s) ? s.GetString()?.ToLowerInvariant() : change)} ({Verb.Took(operation)})")));
        return command;
    }
}
