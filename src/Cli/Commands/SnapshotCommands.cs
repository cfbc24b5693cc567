using System.CommandLine;
using System.Text.Json;
using WeaveHypervisor.Cli.Rendering;
using WeaveHypervisor.Client.V1;

namespace WeaveHypervisor.Cli.Commands;

/// <summary>snapshot, with list, show, verify and delete.</summary>
internal static class SnapshotCommands
{
    public static void AddTo(RootCommand root, Verb verb)
    {
        var environment = new Argument<string>("ENV") { Description = "Name of the environment; ENV/WEAVE for another weave than the active one." };
        var label = new Option<string?>("--label") { Description = "A name for people." };
        var diskOnly = new Option<bool>("--disk-only") { Description = "Without memory: as after a power cut." };
        var quiesce = new Option<bool>("--quiesce") { Description = "Have guest agents freeze file systems for the instant, in machines whose memory is not captured: use it with --disk-only. What was reached is said for each machine; without an agent the snapshot is taken all the same." };
        var command = verb.Make("snapshot", "Take one consistent instant of all machines of a weave; they run on.",
            ["weave snapshot shop --label before-upgrade", "weave snapshot shop --disk-only --quiesce", "weave snapshot shop/test --disk-only", "weave snapshot list shop"],
            environment, label, diskOnly, quiesce, List(verb), Show(verb), Verify(verb), Delete(verb));
        verb.Begins(command, (parsed, client, stop) =>
        {
            var target = parsed.GetRequiredValue(environment).Split('/', 2);
            return client.SnapshotAsync(target[0], new SnapshotBody { Weave = target.Length > 1 ? target[1] : null, Label = parsed.GetValue(label), Memory = !parsed.GetValue(diskOnly), Quiesce = parsed.GetValue(quiesce) }, stop);
        }, (operation, output) =>
        {
            var result = operation.Result!.Value;
            output.Line($"{Text(result, "snapshot")} of {operation.Subject} at {Times.Show(result.GetProperty("at").GetDateTimeOffset(), verb.Host.Zone)}: {Text(result, "consistency").ToLowerInvariant()} consistency, pause {Times.Show(result.GetProperty("longestPauseMs").GetDouble())}, skew {Times.Show(result.GetProperty("skewMs").GetDouble())}, memory {Times.Bytes(result.GetProperty("storedBytes").GetInt64())} ({Verb.Took(operation)})");
            foreach (var machine in result.GetProperty("machines").EnumerateArray())
                if (machine.TryGetProperty("reason", out var reason) && reason.ValueKind == JsonValueKind.String) output.Note($"  {Text(machine, "name")}: {Text(machine, "method")}: {reason.GetString()}");
            Quiesced(result, output);
        });
        root.Subcommands.Add(command);
    }

    /// <summary>What was reached, machine by machine, and a warning where that is not what was asked for.</summary>
    private static void Quiesced(JsonElement result, Output output)
    {
        var machines = result.GetProperty("machines").EnumerateArray().Where(m => m.TryGetProperty("quiescing", out var q) && q.ValueKind == JsonValueKind.Object)
            .Select(m => (Name: Text(m, "name"), Quiescing: m.GetProperty("quiescing").Deserialize(V1Json.Default.QuiescingView)!)).ToList();
        foreach (var (name, quiescing) in machines) output.Line($"  {name}: {Words(quiescing)}");
        if (machines.Count > 0 && Text(result, "consistency").Equals("crash", StringComparison.OrdinalIgnoreCase))
            output.Note("weave: warning: not every running machine could be frozen; as a whole the snapshot is what a power cut leaves. `weave doctor` says what is missing.");
        foreach (var (name, quiescing) in machines)
            if (quiescing.NotThawed is { } next) output.Note($"weave: warning: {name} may still be frozen. {next}");
    }

    private static string Words(QuiescingView q) => q.Outcome switch
    {
        "frozen" => $"frozen for {Times.Show(q.FrozenMs)} ({q.FileSystems} file system{(q.FileSystems == 1 ? "" : "s")})",
        "partial" => $"partly frozen for {Times.Show(q.FrozenMs)}: {q.Reason}",
        _ => $"not frozen: {q.Reason ?? "the machine does not run"}",
    };

    private static string Text(JsonElement element, string name) => element.TryGetProperty(name, out var value) ? value.GetString() ?? "" : "";

    private static Command List(Verb verb)
    {
        var environment = Verb.Environment();
        var command = verb.Make("list", "List the snapshots of an environment.", ["weave snapshot list shop"], environment);
        verb.Does(command, async (parsed, client, output, stop) =>
        {
            var all = await client.ListSnapshotsAsync(parsed.GetRequiredValue(environment), stop);
            if (output.IsJson) output.JsonList(all, V1Json.Default.SnapshotView);
            else output.Table(["AT", "WEAVE", "LABEL", "CONSISTENCY", "PAUSE", "MEMORY", "VERIFIED", "ID"],
                all.Select(s => new[] { Times.Show(s.At, verb.Host.Zone), s.Weave, s.Label ?? "", s.Consistency, Times.Show(s.LongestPauseMs), Times.Bytes(s.MemoryBytes), s.Verification is not { } v ? "" : v.Passed ? v.Level : "failed", s.Id }),
                "no snapshot yet; take one with `weave snapshot ENV`");
            return ExitCodes.Done;
        });
        return command;
    }

    private static Command Show(Verb verb)
    {
        var id = new Argument<string>("ID") { Description = "Id of the snapshot, from `weave snapshot list`." };
        var command = verb.Make("show", "Show all that is known of a snapshot: machines, files, and whether it was verified.", ["weave snapshot show snap-0199…"], id);
        verb.Does(command, async (parsed, client, output, stop) =>
        {
            var s = await client.GetSnapshotAsync(parsed.GetRequiredValue(id), stop);
            if (output.IsJson) output.Json(s, V1Json.Default.SnapshotView);
            else
            {
                output.Facts([("id", s.Id), ("weave", $"{s.Environment}/{s.Weave}"), ("at", Times.Show(s.At, verb.Host.Zone)), ("label", s.Label), ("state", s.State), ("consistency", s.Consistency),
                    ("skew", Times.Show(s.SkewMs)), ("longest pause", Times.Show(s.LongestPauseMs)), ("memory", Times.Bytes(s.MemoryBytes)), ("parent", s.Parent), ("taken for", s.ForWeave ? "a weave from now; it goes with the last one that was made from it" : null),
                    .. VerificationOf(s, verb)]);
                output.Table(["MACHINE", "WAS", "METHOD", "PAUSE", "MEMORY", "REASON"], s.Machines.Select(m => new[] { m.Name, m.RunState, m.Method, Times.Show(m.PauseMs), Times.Bytes(m.MemoryBytes), m.Reason ?? "" }));
                output.Facts(s.Machines.Where(m => m.Quiescing is not null).Select(m => (m.Name, (string?)Words(m.Quiescing!))));
                if (s.Verification is { Machines.Count: > 0 } verified) output.Table(["MACHINE", "CAME BACK AS", "BY", "REASON"], verified.Machines.Select(m => new[] { m.Name, m.RunState, m.Method, m.Reason ?? "" }));
                if (s.Files is { Count: > 0 } files)
                    output.Table(["MACHINE", "FILE", "WRITTEN", "ON", "PATH"], files.Select(f => new[] { f.Machine, f.Volume is null ? f.Kind : $"{f.Kind} of {f.Volume}", f.Bytes is { } bytes ? Times.Bytes(bytes) : "", f.Below is { } below ? $"{below} files" : "", f.Path }));
            }
            return ExitCodes.Done;
        });
        return command;
    }

    private static IEnumerable<(string, string?)> VerificationOf(SnapshotView s, Verb verb)
    {
        if (s.Verification is not { } v) return [("verified", "never; try it with `weave snapshot verify " + s.Id + "`")];
        return [("verified", $"{(v.Passed ? "passed" : "failed")} at {Times.Show(v.At, verb.Host.Zone)}"), ("by", Meaning(v.Level, v.Probe)), ("why", v.Reason), ("first reply", v.FirstReplyMs is { } ms ? Times.Show(ms) : null)];
    }

    /// <summary>What an outcome says, and what it does not.</summary>
    private static string Meaning(string level, string probe) => level == "running" ? $"{probe} (nothing in the guests was asked)" : probe;

    private static Command Verify(Verb verb)
    {
        var id = new Argument<string>("ID") { Description = "Id of the snapshot, from `weave snapshot list`." };
        var probe = new Option<string?>("--probe") { Description = "What must answer: tcp://MACHINE:PORT or http://MACHINE:PORT/PATH." };
        var agent = new Option<string?>("--agent") { Description = "Guest agents must answer: of this machine, or of every one that runs.", Arity = ArgumentArity.ZeroOrOne };
        var timeout = new Option<double>("--timeout") { Description = "Seconds that an answer may take.", DefaultValueFactory = _ => 60 };
        var command = verb.Make("verify", "Try whether a snapshot can be revived: started in isolation, asked, and removed. Without --probe and --agent: agents that are connected are asked; where there is none, the machines need only run for some seconds. Ends with 1 where it fails.",
            ["weave snapshot verify snap-0199…", "weave snapshot verify snap-0199… --probe http://web:80/health", "weave snapshot verify snap-0199… --agent db --timeout 30"], id, probe, agent, timeout);
        verb.Begins(command, (parsed, client, stop) =>
        {
            var asksAgents = parsed.GetResult(agent) is not null;
            if (asksAgents && parsed.GetValue(probe) is not null) throw new UsageException("--probe and --agent were both given.", "Give one of them.");
            return client.VerifySnapshotAsync(parsed.GetRequiredValue(id), new VerifyBody
            {
                Probe = parsed.GetValue(probe) is { } text ? WeaveCommands.Probe(text, null) : null, Agent = asksAgents ? new() { Machine = parsed.GetValue(agent) } : null, TimeoutSeconds = parsed.GetValue(timeout),
            }, stop);
        }, (operation, output) =>
        {
            var result = operation.Result!.Value;
            var passed = result.GetProperty("passed").GetBoolean();
            if (!output.IsJson)
            {
                var first = result.TryGetProperty("firstReplyMs", out var ms) && ms.ValueKind == JsonValueKind.Number ? $", first reply after {Times.Show(ms.GetDouble())}" : "";
                output.Line($"{operation.Subject}: {(passed ? "verified" : "verification failed")}: {Meaning(Text(result, "level"), Text(result, "probe"))}{first}{(passed ? "" : $": {Text(result, "reason")}")} ({Verb.Took(operation)})");
            }
            if (!passed) output.Note($"  next: look into it with `weave create {operation.Environment} --snapshot {Text(result, "snapshot")}`, or verify another one; do not rely on this one.");
            return passed ? ExitCodes.Done : ExitCodes.Failed;
        });
        return command;
    }

    private static Command Delete(Verb verb)
    {
        var id = new Argument<string>("ID") { Description = "Id of the snapshot." };
        var command = verb.Make("delete", "Delete a snapshot and its memory. Refused while weaves that were made from it exist.", ["weave snapshot delete snap-0199…"], id);
        verb.Begins(command, (parsed, client, stop) => client.DeleteSnapshotAsync(parsed.GetRequiredValue(id), stop), (operation, output) => output.Line($"{operation.Subject}: deleted ({Verb.Took(operation)})"));
        return command;
    }
}
