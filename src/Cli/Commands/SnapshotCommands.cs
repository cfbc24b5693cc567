using System.CommandLine;
using System.Text.Json;
using WeaveHypervisor.Cli.Rendering;
using WeaveHypervisor.Client.V1;

namespace WeaveHypervisor.Cli.Commands;

/// <summary>snapshot, with list, show and delete.</summary>
internal static class SnapshotCommands
{
    public static void AddTo(RootCommand root, Verb verb)
    {
        var environment = new Argument<string>("ENV") { Description = "Name of the environment; ENV/WEAVE for another weave than the active one." };
        var label = new Option<string?>("--label") { Description = "A name for people." };
        var diskOnly = new Option<bool>("--disk-only") { Description = "Without memory: as after a power cut." };
        var quiesce = new Option<bool>("--quiesce") { Description = "Ask guest agents to freeze file systems first; for machines whose memory is not captured, such as with --disk-only." };
        var command = verb.Make("snapshot", "Take one consistent instant of all machines of a weave; they run on.",
            ["weave snapshot shop --label before-upgrade", "weave snapshot shop/test --disk-only", "weave snapshot list shop"],
            environment, label, diskOnly, quiesce, List(verb), Show(verb), Delete(verb));
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
        });
        root.Subcommands.Add(command);
    }

    private static string Text(JsonElement element, string name) => element.TryGetProperty(name, out var value) ? value.GetString() ?? "" : "";

    private static Command List(Verb verb)
    {
        var environment = Verb.Environment();
        var command = verb.Make("list", "List the snapshots of an environment.", ["weave snapshot list shop"], environment);
        verb.Does(command, async (parsed, client, output, stop) =>
        {
            var all = await client.ListSnapshotsAsync(parsed.GetRequiredValue(environment), stop);
            if (output.IsJson) output.JsonList(all, V1Json.Default.SnapshotView);
            else output.Table(["AT", "WEAVE", "LABEL", "CONSISTENCY", "PAUSE", "MEMORY", "ID"],
                all.Select(s => new[] { Times.Show(s.At, verb.Host.Zone), s.Weave, s.Label ?? "", s.Consistency, Times.Show(s.LongestPauseMs), Times.Bytes(s.MemoryBytes), s.Id }),
                "no snapshot yet; take one with `weave snapshot ENV`");
            return ExitCodes.Done;
        });
        return command;
    }

    private static Command Show(Verb verb)
    {
        var id = new Argument<string>("ID") { Description = "Id of the snapshot, from `weave snapshot list`." };
        var command = verb.Make("show", "Show a snapshot, machine by machine.", ["weave snapshot show snap-0199…"], id);
        verb.Does(command, async (parsed, client, output, stop) =>
        {
            var s = await client.GetSnapshotAsync(parsed.GetRequiredValue(id), stop);
            if (output.IsJson) output.Json(s, V1Json.Default.SnapshotView);
            else
            {
                output.Facts([("id", s.Id), ("weave", $"{s.Environment}/{s.Weave}"), ("at", Times.Show(s.At, verb.Host.Zone)), ("label", s.Label), ("state", s.State), ("consistency", s.Consistency),
                    ("skew", Times.Show(s.SkewMs)), ("parent", s.Parent)]);
                output.Table(["MACHINE", "WAS", "METHOD", "PAUSE", "MEMORY", "REASON"], s.Machines.Select(m => new[] { m.Name, m.RunState, m.Method, Times.Show(m.PauseMs), Times.Bytes(m.MemoryBytes), m.Reason ?? "" }));
            }
            return ExitCodes.Done;
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
