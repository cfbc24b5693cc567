using System.CommandLine;
using WeaveHypervisor.Cli.Rendering;
using WeaveHypervisor.Client;
using WeaveHypervisor.Client.V1;

namespace WeaveHypervisor.Cli.Commands;

/// <summary>op list, show, watch, cancel.</summary>
internal static class OperationCommands
{
    public static void AddTo(RootCommand root, Verb verb) =>
        root.Subcommands.Add(verb.Make("op", "Look at operations: what is being done, what was done.", ["weave op list", "weave op watch op-0199…"], List(verb), Show(verb), Watch(verb), Cancel(verb)));

    private static Argument<string> Id() => new("ID") { Description = "Id of the operation." };

    private static Command List(Verb verb)
    {
        var environment = new Option<string?>("--env") { Description = "Only those of this environment." };
        var unfinished = new Option<bool>("--unfinished") { Description = "Only those that have not ended." };
        var limit = new Option<int>("--limit") { Description = "At most this many, newest first (1 to 200).", DefaultValueFactory = _ => 20 };
        var command = verb.Make("list", "List operations, newest first.", ["weave op list", "weave op list --env shop --unfinished"], environment, unfinished, limit);
        verb.Does(command, async (parsed, client, output, stop) =>
        {
            var all = await client.ListOperationsAsync(parsed.GetValue(environment), parsed.GetValue(unfinished), parsed.GetValue(limit), stop);
            if (output.IsJson) output.JsonList(all, V1Json.Default.OperationView);
            else output.Table(["STARTED", "KIND", "SUBJECT", "STATE", "TOOK", "BY", "ID"],
                all.Select(o => new[] { Times.Show(o.CreatedAt, verb.Host.Zone), o.Kind, o.Subject, o.State, Verb.Took(o), o.RequestedBy, o.Id }), "no operation yet");
            return ExitCodes.Done;
        });
        return command;
    }

    private static Command Show(Verb verb)
    {
        var id = Id();
        var command = verb.Make("show", "Show an operation, step by step.", ["weave op show op-0199…"], id);
        verb.Does(command, async (parsed, client, output, stop) =>
        {
            var o = await client.GetOperationAsync(parsed.GetRequiredValue(id), stop);
            if (output.IsJson) output.Json(o, V1Json.Default.OperationView);
            else
            {
                output.Facts([("id", o.Id), ("kind", o.Kind), ("subject", o.Subject), ("state", o.State), ("requested by", o.RequestedBy), ("requested", Times.Show(o.CreatedAt, verb.Host.Zone)), ("took", Verb.Took(o)),
                    ("taken up again", o.Resumptions > 0 ? $"{o.Resumptions} times" : null), ("error", o.Error?.Detail), ("next", o.Error?.NextStep), ("held by", o.Error is { Holders.Count: > 0 } e ? string.Join(", ", e.Holders) : null)]);
                output.Table(["STEP", "STATE", "TOOK", "NOTE"], o.Steps.Select(s => new[] { s.Name, s.State, s is { StartedAt: { } a, EndedAt: { } b } ? Times.Show((b - a).TotalMilliseconds) : "", s.Note ?? "" }));
            }
            return ExitCodes.Done;
        });
        return command;
    }

    private static Command Watch(Verb verb)
    {
        var id = Id();
        var command = verb.Make("watch", "Wait for the end of an operation; its exit code is the operation's.", ["weave op watch op-0199…"], id);
        verb.Does(command, async (parsed, client, output, stop) =>
        {
            try
            {
                var ended = await new OperationWatcher(output, client).WaitAsync(await client.GetOperationAsync(parsed.GetRequiredValue(id), stop), stop);
                if (output.IsJson) output.Json(ended, V1Json.Default.OperationView);
                else output.Line($"{ended.Kind} {ended.Subject}: {ended.State} ({Verb.Took(ended)})");
                return ExitCodes.Done;
            }
            catch (OperationCanceledException) when (stop.IsCancellationRequested)
            {
                return ExitCodes.Interrupted;
            }
        });
        return command;
    }

    private static Command Cancel(Verb verb)
    {
        var id = Id();
        var command = verb.Make("cancel", "Ask an operation to stop; what it did is undone.", ["weave op cancel op-0199…"], id);
        verb.Does(command, async (parsed, client, output, stop) =>
        {
            var o = await client.CancelOperationAsync(parsed.GetRequiredValue(id), stop);
            if (output.IsJson) output.Json(o, V1Json.Default.OperationView);
            else output.Line(o.IsEnded() ? $"{o.Id} has ended already: {o.State}" : $"{o.Id}: asked to stop; watch it with `weave op watch {o.Id}`");
            return ExitCodes.Done;
        });
        return command;
    }
}
