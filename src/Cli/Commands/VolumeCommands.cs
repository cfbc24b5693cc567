using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using WeaveHypervisor.Cli.Rendering;
using WeaveHypervisor.Client;
using WeaveHypervisor.Client.V1;

namespace WeaveHypervisor.Cli.Commands;

/// <summary>diff and sync.</summary>
internal static class VolumeCommands
{
    public static void AddTo(RootCommand root, Verb verb)
    {
        root.Subcommands.Add(Diff(verb));
        root.Subcommands.Add(Sync(verb));
    }

    private static Command Diff(Verb verb)
    {
        var environment = Verb.Environment();
        var left = new Argument<string>("LEFT") { Description = "A weave, `active`, or a snapshot's id." };
        var right = new Argument<string>("RIGHT") { Description = "What it is compared with." };
        var volume = new Argument<string?>("VOLUME") { Description = "Only this one, MACHINE/VOLUME; without: all.", Arity = ArgumentArity.ZeroOrOne };
        var now = new Option<bool>("--now") { Description = "Take a point (disks only) of each side whose machines run first, and compare those. Without, what a machine is writing is looked at as of its newest point." };
        var ranges = new Option<bool>("--ranges") { Description = "Show every range that differs." };
        var ascii = new Option<bool>("--ascii") { Description = "Draw with plain characters." };
        var command = verb.Make("diff", "Show what volumes differ by between two weaves or snapshots, and who changed it since their common layer. Reads files only: machines run on, and nothing is changed.",
            ["weave diff shop main past", "weave diff shop main past db/data --ranges", "weave diff shop snap-0199… active --now"], environment, left, right, volume, now, ranges, ascii);
        verb.Does(command, async (parsed, client, output, stop) =>
        {
            var env = parsed.GetRequiredValue(environment);
            string[] sides = [parsed.GetRequiredValue(left), parsed.GetRequiredValue(right)];
            if (parsed.GetValue(now))
                for (var i = 0; i < sides.Length; i++) sides[i] = i == 1 && parsed.GetRequiredValue(right) == parsed.GetRequiredValue(left) ? sides[0] : await PointAsync(client, output, env, sides[i], stop);
            var all = await AllAsync(client, env, sides[0], sides[1], parsed.GetValue(volume), parsed.GetValue(ranges), stop);
            if (output.IsJson)
            {
                output.Json(all, V1Json.Default.VolumeDiffsView);
                return ExitCodes.Done;
            }
            output.Table(["VOLUME", "SIZE", "DIFFERS", "LEFT", "RIGHT", "BOTH", "RANGES", "READ", "COMMON LAYER"], all.Volumes.Select(v => new[]
            {
                v.Volume, Times.Bytes(v.Difference.Capacity), Times.Bytes(v.Difference.LeftBytes + v.Difference.RightBytes + v.Difference.BothBytes), Times.Bytes(v.Difference.LeftBytes), Times.Bytes(v.Difference.RightBytes),
                Times.Bytes(v.Difference.BothBytes), v.Difference.Ranges.ToString(CultureInfo.InvariantCulture), Times.Bytes(v.Difference.BytesRead), v.Difference.CommonLayer ?? "none",
            }), "no volume that both sides have");
            if (output.Host.OutIsTerminal)
                foreach (var v in all.Volumes.Where(v => v.Difference.Ranges > 0)) output.Line($"{v.Volume,-12} {DiskPicture.Bar(v.Difference.Picture, parsed.GetValue(ascii))} {DiskPicture.Words(v.Difference)}");
            if (parsed.GetValue(ranges))
                output.Table(["VOLUME", "OFFSET", "LENGTH", "CHANGED BY"], all.Volumes.SelectMany(v => v.Ranges.Select(r => new[] { v.Volume, r.Offset.ToString(CultureInfo.InvariantCulture), r.Length.ToString(CultureInfo.InvariantCulture), r.By })), "no range");
            foreach (var v in all.Volumes) output.Note($"{v.Volume}: left {v.LeftInstant}, right {v.RightInstant}; compared: {v.Difference.Method}");
            foreach (var unseen in all.Volumes.SelectMany(v => v.Unseen)) output.Note($"weave: note: {unseen}; `--now` takes a point first.");
            return ExitCodes.Done;
        });
        return command;
    }

    /// <summary>All ranges where they are to be shown, page by page.</summary>
    private static async Task<VolumeDiffsView> AllAsync(WeaveClient client, string environment, string left, string right, string? volume, bool ranges, CancellationToken stop)
    {
        const int page = 10_000;
        var first = await client.DiffVolumesAsync(environment, left, right, volume, ranges ? page : 1000, 0, stop);
        if (!ranges) return first;
        var volumes = new List<VolumeDiffView>();
        foreach (var found in first.Volumes)
        {
            var (all, next) = (found.Ranges.ToList(), found.NextFrom);
            while (next is { } from)
            {
                var more = (await client.DiffVolumesAsync(environment, left, right, found.Volume, page, from, stop)).Volumes[0];
                all.AddRange(more.Ranges);
                next = more.NextFrom;
            }
            volumes.Add(found with { Ranges = all, NextFrom = null });
        }
        return first with { Volumes = volumes };
    }

    /// <summary>A point of a weave whose machines run, or what was named where there is none to take.</summary>
    private static async Task<string> PointAsync(WeaveClient client, Output output, string environment, string side, CancellationToken stop)
    {
        if (side.StartsWith("snap-", StringComparison.Ordinal)) return side;
        if ((await client.GetWeaveAsync(environment, side, stop)).Machines.All(m => m.RunState == "off")) return side;
        var operation = await client.SnapshotAsync(environment, new SnapshotBody { Weave = side, Memory = false }, stop);
        operation = await new OperationWatcher(output, client).WaitAsync(operation, stop);
        return operation.Result!.Value.GetProperty("snapshot").GetString()!;
    }

    private static Command Sync(Verb verb)
    {
        var environment = new Argument<string?>("ENV") { Description = "Name of the environment.", Arity = ArgumentArity.ZeroOrOne };
        var source = new Argument<string?>("SRC") { Description = "The weave whose content is brought; it runs on.", Arity = ArgumentArity.ZeroOrOne };
        var destination = new Argument<string?>("DST") { Description = "The weave whose volume changes.", Arity = ArgumentArity.ZeroOrOne };
        var volume = new Argument<string?>("VOLUME") { Description = "MACHINE/VOLUME, for example db/data.", Arity = ArgumentArity.ZeroOrOne };
        var strategy = new Option<string?>("--strategy") { Description = "mirror (the destination becomes what the source is; the default) or merge (it gets what the source has changed since their common layer)." };
        strategy.AcceptOnlyFromAmong("mirror", "merge");
        var onConflict = new Option<string?>("--on-conflict") { Description = "With merge, where both have changed the same bytes: fail (nothing is written; the default), source or destination." };
        onConflict.AcceptOnlyFromAmong("fail", "source", "destination");
        var dryRun = new Option<bool>("--dry-run") { Description = "Tell what would be done: ranges, bytes, conflicts, method. Do nothing." };
        var stopMachine = new Option<bool>("--stop") { Description = "Shut the destination's machine down and start it again, if it runs. Without, the volume is unplugged and plugged in again under it, which its first disk and one that is mounted refuse." };
        var quiesce = new Option<bool>("--quiesce") { Description = "Have the source's guest agent freeze its file systems for the instant." };
        var undo = new Option<string?>("--undo") { Description = "Put the volume back to what it was before that sync. What was written since is kept in its turn.", HelpName = "OP" };
        var forget = new Option<string?>("--forget") { Description = "Give up that a sync can be taken back, and the space of what was there before.", HelpName = "OP" };
        var list = new Option<string?>("--list") { Description = "List the syncs of an environment that can be taken back.", HelpName = "ENV" };
        var command = verb.Make("sync", "Bring what a volume holds in one weave into another: at one instant, while the source runs on. What was there before is kept until the sync is forgotten, the volume is synced again, or the weave is deleted.",
            ["weave sync shop main past db/data --dry-run", "weave sync shop main past db/data --stop", "weave sync shop past main db/data --strategy merge --on-conflict source", "weave sync --list shop", "weave sync --undo op-0199…", "weave sync --forget op-0199…"],
            environment, source, destination, volume, strategy, onConflict, dryRun, stopMachine, quiesce, undo, forget, list);
        verb.Begins(command, async (parsed, client, stop) =>
        {
            if (parsed.GetValue(undo) is { } taken) return await client.UndoSyncAsync(await EnvironmentOfAsync(client, taken, stop), taken, new UndoSyncBody { Stop = parsed.GetValue(stopMachine) }, stop);
            if (parsed.GetValue(forget) is { } forgotten) return await client.ForgetSyncAsync(await EnvironmentOfAsync(client, forgotten, stop), forgotten, stop);
            return await client.SyncVolumeAsync(parsed.GetValue(environment)!, new SyncBody
            {
                SourceWeave = parsed.GetValue(source)!, DestinationWeave = parsed.GetValue(destination)!, Volume = parsed.GetValue(volume)!, Strategy = parsed.GetValue(strategy), OnConflict = parsed.GetValue(onConflict),
                DryRun = parsed.GetValue(dryRun), Stop = parsed.GetValue(stopMachine), Quiesce = parsed.GetValue(quiesce),
            }, stop);
        }, (operation, output) => Show(operation, output));
        var begin = (System.CommandLine.Invocation.AsynchronousCommandLineAction)command.Action!;
        verb.Does(command, async (parsed, client, output, stop) =>
        {
            var named = new[] { environment, source, destination, volume }.Count(a => parsed.GetValue(a) is not null);
            var instead = new[] { undo, forget, list }.Count(o => parsed.GetValue(o) is not null);
            if (instead > 1 || instead == 1 && named > 0 || instead == 0 && named < 4)
                throw new UsageException(instead > 0 ? "--undo, --forget and --list stand alone." : "ENV, SRC, DST and VOLUME are needed.", "Write `weave sync ENV SRC DST MACHINE/VOLUME`, `weave sync --list ENV`, `weave sync --undo OP` or `weave sync --forget OP`.");
            if (parsed.GetValue(list) is not { } of) return await begin.InvokeAsync(parsed, stop);
            var all = await client.ListSyncsAsync(of, stop);
            if (output.IsJson) output.JsonList(all, V1Json.Default.KeptSyncView);
            else output.Table(["AT", "WEAVE", "VOLUME", "FROM", "KEEPS", "OPERATION"], all.Select(k => new[] { Times.Show(k.At, verb.Host.Zone), k.Weave, k.Volume, k.Source ?? "", k.Bytes is { } bytes ? Times.Bytes(bytes) : "", k.Operation }), "no sync that could be taken back");
            return ExitCodes.Done;
        });
        return command;
    }

    private static async Task<string> EnvironmentOfAsync(WeaveClient client, string operation, CancellationToken stop) => (await client.GetOperationAsync(operation, stop)).Environment;

    private static void Show(OperationView operation, Output output)
    {
        var result = operation.Result!.Value;
        if (operation.Kind == "volume.sync.forget")
        {
            output.Line($"{Text(result, "sync")}: forgotten, {result.GetProperty("layersRemoved").GetInt32()} layers removed ({Verb.Took(operation)})");
            return;
        }
        var (volume, method, dryRun) = (Text(result, "volume"), Text(result, "method"), result.GetProperty("dryRun").GetBoolean());
        var bytes = Times.Bytes(result.GetProperty("bytesCopied").GetInt64());
        var how = method switch
        {
            "overlay" => dryRun ? "a new layer on the source's; no data would be copied" : "a new layer on what it is to read as; no data was copied",
            "copy" => $"{bytes} {(dryRun ? "would be copied" : "copied")} into a new layer on its own",
            _ => "nothing to do: they are equal",
        };
        var from = Text(result, "sourceWeave") is { Length: > 0 } source ? $"{operation.Environment}/{source} " : "";
        output.Line($"{operation.Subject} {volume}: {(dryRun ? "would be" : "is")} {(Text(result, "strategy") == "merge" ? "merged with" : "as")} {from}{Text(result, "sourceInstant")}: {how} ({Verb.Took(operation)})");
        if (result.TryGetProperty("difference", out var found) && found.ValueKind == JsonValueKind.Object && found.Deserialize(V1Json.Default.DifferenceView) is { } difference)
        {
            if (output.Host.OutIsTerminal && difference.Ranges > 0) output.Line($"{volume,-12} {DiskPicture.Bar(difference.Picture, ascii: false)}");
            output.Line($"  differed by {DiskPicture.Words(difference)}: source {Times.Bytes(difference.LeftBytes)}, destination {Times.Bytes(difference.RightBytes)}, both {Times.Bytes(difference.BothBytes)}; read {Times.Bytes(difference.BytesRead)}");
        }
        if (result.GetProperty("conflicts") is var conflicts && conflicts.GetArrayLength() > 0)
            output.Table(["CONFLICT AT", "LENGTH"], conflicts.EnumerateArray().Select(c => new[] { c.GetProperty("offset").GetInt64().ToString(CultureInfo.InvariantCulture), c.GetProperty("length").GetInt64().ToString(CultureInfo.InvariantCulture) }));
        if (result.GetProperty("restarted").GetBoolean()) output.Note($"  {volume.Split('/')[0]} was shut down and started again");
        foreach (var note in result.GetProperty("notes").EnumerateArray()) output.Note($"weave: note: {note.GetString()}.");
        if (Text(result, "kept") is { Length: > 0 }) output.Note($"  back: weave sync --undo {operation.Id}");
    }

    private static string Text(JsonElement element, string name) => element.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String ? value.GetString()! : "";
}
