using System.CommandLine;
using WeaveHypervisor.Cli.Rendering;
using WeaveHypervisor.Client.V1;

namespace WeaveHypervisor.Cli.Commands;

/// <summary>policy set, show and clear; compact.</summary>
internal static class PolicyCommands
{
    public static void AddTo(RootCommand root, Verb verb)
    {
        root.Subcommands.Add(verb.Make("policy", "Have points of an environment taken and removed by themselves.",
            ["weave policy set shop --every 5m --keep-last 12 --hourly 24 --daily 7", "weave policy show shop", "weave policy clear shop"], Set(verb), Show(verb), Clear(verb)));
        root.Subcommands.Add(Compact(verb));
    }

    private static Command Compact(Verb verb)
    {
        var name = Verb.Environment();
        var dryRun = new Option<bool>("--dry-run") { Description = "Show how long the chains are and what would be done; do nothing." };
        var command = verb.Make("compact", "Shorten the chains of an environment's disks: merge layers that nobody needs the content of, and pull into a live layer what makes its chain too long. No content changes, and machines run on. Done by itself, too.",
            ["weave compact shop --dry-run", "weave compact shop"], name, dryRun);
        verb.Begins(command, (parsed, client, stop) => client.CompactAsync(parsed.GetRequiredValue(name), stop), (operation, output) =>
        {
            var result = operation.Result!.Value;
            output.Line($"{operation.Subject}: {result.GetProperty("layersMerged").GetInt32()} layers merged, {result.GetProperty("pulls").GetInt32()} heads pulled; the longest chain has {result.GetProperty("longestAfter").GetInt32()} layers, of {result.GetProperty("longestBefore").GetInt32()} ({Verb.Took(operation)})");
            foreach (var used in result.GetProperty("inUse").EnumerateArray()) output.Note($"  not now: {used.GetString()}");
        });
        var begin = (System.CommandLine.Invocation.AsynchronousCommandLineAction)command.Action!;
        verb.Does(command, async (parsed, client, output, stop) =>
        {
            if (!parsed.GetValue(dryRun)) return await begin.InvokeAsync(parsed, stop);
            var preview = await client.PreviewCompactionAsync(parsed.GetRequiredValue(name), stop);
            if (output.IsJson) output.Json(preview, V1Json.Default.CompactionView);
            else
            {
                output.Table(["WEAVE", "VOLUME", "LAYERS"], preview.Chains.Select(c => new[] { c.Weave, c.Volume, $"{c.Layers}" }), "no chains");
                foreach (var fold in preview.Folds) output.Note($"would {fold}");
                foreach (var used in preview.InUse) output.Note($"not now: {used}");
                output.Note($"a chain of {preview.Limit} layers is shortened by itself");
            }
            return ExitCodes.Done;
        });
        return command;
    }

    private static Command Set(Verb verb)
    {
        var name = Verb.Environment();
        var policy = new PolicyOptions(needed: true);
        var command = verb.Make("set", "Take a point of the active weave in each slot of time, and remove automatic points that no rule keeps. Points of your own, labelled ones and those that weaves were made from stay.",
            ["weave policy set shop --every 5m --keep-last 12 --hourly 24 --daily 7", "weave policy set shop --every 30s --keep-last 20 --disk-only --quiesce", "weave policy set shop --every 15m --keep-last 96 --verify-every 16"], [name, .. policy.Symbols]);
        verb.Begins(command, (parsed, client, stop) => client.SetPolicyAsync(parsed.GetRequiredValue(name), policy.Read(parsed)!, stop), (operation, output) => output.Line($"{operation.Subject}: policy set; see `weave policy show {operation.Subject}`"));
        return command;
    }

    private static Command Show(Verb verb)
    {
        var name = Verb.Environment();
        var command = verb.Make("show", "Show the policy of an environment, when its next point is due, and how the last one went.", ["weave policy show shop"], name);
        verb.Does(command, async (parsed, client, output, stop) =>
        {
            var environment = await client.GetEnvironmentAsync(parsed.GetRequiredValue(name), stop);
            if (environment.SnapshotPolicy is not { } policy)
            {
                if (output.IsJson) output.Line("null");
                else output.Note($"{environment.Name} has no policy; set one with `weave policy set {environment.Name} --every 5m --keep-last 12`.");
            }
            else if (output.IsJson) output.Json(policy, V1Json.Default.PolicyView);
            else output.Facts([.. Facts(policy, verb)]);
            return ExitCodes.Done;
        });
        return command;
    }

    /// <summary>Lines of a policy, also for `env show`.</summary>
    public static IEnumerable<(string, string?)> Facts(PolicyView policy, Verb verb) =>
    [
        ("policy", $"every {policy.Every}, {(policy.Memory ? "with memory" : "disks only")}{(policy.Quiesce ? ", quiesced" : "")}; keeps the last {policy.KeepLast}{(policy.Hourly > 0 ? $", {policy.Hourly} hourly" : "")}{(policy.Daily > 0 ? $", {policy.Daily} daily" : "")}{(policy.VerifyEvery > 0 ? $"; verifies one of {policy.VerifyEvery}" : "")}"),
        ("next point", Times.Show(policy.NextAt, verb.Host.Zone)),
        ("last point", policy.LastAt is { } at ? $"{policy.LastState} {Times.Show(at, verb.Host.Zone)} ({policy.LastOperation})" : "none yet"),
        ("last refusal", policy.LastError),
    ];

    private static Command Clear(Verb verb)
    {
        var name = Verb.Environment();
        var command = verb.Make("clear", "Take and remove no more points by themselves. Those that there are stay.", ["weave policy clear shop"], name);
        verb.Begins(command, (parsed, client, stop) => client.ClearPolicyAsync(parsed.GetRequiredValue(name), stop), (operation, output) => output.Line($"{operation.Subject}: no policy any more"));
        return command;
    }
}
