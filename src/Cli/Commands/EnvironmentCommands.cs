using System.CommandLine;
using WeaveHypervisor.Cli.Rendering;
using WeaveHypervisor.Cli.Vagrant;
using WeaveHypervisor.Client;
using WeaveHypervisor.Client.V1;

namespace WeaveHypervisor.Cli.Commands;

/// <summary>env adopt, list, show, agents, release; timeline.</summary>
internal static class EnvironmentCommands
{
    public static void AddTo(RootCommand root, Verb verb)
    {
        root.Subcommands.Add(verb.Make("env", "Put machines under management, look at them, give them back.", ["weave env adopt shop --domain shop-web --domain shop-db", "weave env list"],
            Adopt(verb), List(verb), Show(verb), Agents(verb), Release(verb)));
        root.Subcommands.Add(Timeline(verb));
    }

    private static Command Adopt(Verb verb)
    {
        var name = new Argument<string>("NAME") { Description = "Name of the new environment: lower-case letters, digits and hyphens." };
        var domains = new Option<string[]>("--domain") { Description = "A machine as libvirt or Hyper-V names it; SHORT=DOMAIN gives it a short name. Once for each.", AllowMultipleArgumentsPerToken = true };
        var vagrant = new Option<string?>("--vagrant") { Description = "A folder with a Vagrantfile whose machines were made by `vagrant up` (provider libvirt or hyperv, as the service's driver), in place of --domain: all of them, under their Vagrant names." };
        var policy = new PolicyOptions(needed: false);
        var command = verb.Make("adopt", "Put machines under management as one environment. Touches nothing; refuses, with all reasons, what cannot be managed. With --every and --keep-last points are taken by themselves, as `policy set` says.",
            ["weave env adopt shop --domain shop-web --domain shop-db", "weave env adopt shop --domain web=prod-web-01 --domain db=prod-db-01", "weave env adopt lab --vagrant ~/labs/shop", "weave env adopt shop --domain shop-web --every 5m --keep-last 12"],
            [name, domains, vagrant, .. policy.Symbols]);
        policy.Check(command);
        verb.Begins(command, async (parsed, client, stop) =>
        {
            var environment = parsed.GetRequiredValue(name);
            return await client.AdoptAsync(new AdoptBody { Name = environment, Machines = await MachinesAsync(verb, client, environment, parsed.GetValue(domains) ?? [], parsed.GetValue(vagrant), stop), SnapshotPolicy = policy.Read(parsed) }, stop);
        }, (operation, output) => output.Line($"{operation.Subject}: adopted ({Verb.Took(operation)}); next: weave snapshot {operation.Subject}"));
        return command;
    }

    private static async Task<IReadOnlyList<AdoptMachine>> MachinesAsync(Verb verb, WeaveClient client, string environment, IReadOnlyList<string> domains, string? vagrant, CancellationToken stop)
    {
        if (domains.Count == 0 == vagrant is null) throw new UsageException(vagrant is null ? "Which machines? Neither --domain nor --vagrant was given." : "--domain and --vagrant were both given.", "Give one of them.");
        if (vagrant is null) return [.. domains.Select(d => Machine(environment, d))];
        var folder = VagrantFolder.Read(vagrant, verb.Host.Environment);
        folder.RequireManagedBy((await client.VersionAsync(stop)).Driver);
        if (folder.NotCreated.Count > 0) verb.Host.Error.WriteLine($"weave: not created by Vagrant, and left out: {string.Join(", ", folder.NotCreated)}");
        return [.. folder.Machines.Select(m => new AdoptMachine { Name = m.Name, Domain = m.Id.ToString() })];
    }

    /// <summary>`lab-web` in the environment `lab` is called `web`, unless a name was given.</summary>
    internal static AdoptMachine Machine(string environment, string text) => text.Split('=', 2) is [{ Length: > 0 } name, { Length: > 0 } domain]
        ? new AdoptMachine { Name = name, Domain = domain }
        : new AdoptMachine { Name = text.StartsWith(environment + "-", StringComparison.Ordinal) && text.Length > environment.Length + 1 ? text[(environment.Length + 1)..] : null, Domain = text };

    private static Command List(Verb verb)
    {
        var command = verb.Make("list", "List environments.", ["weave env list", "weave env list --json | jq -r '.[].name'"]);
        verb.Does(command, async (_, client, output, stop) =>
        {
            var all = await client.ListEnvironmentsAsync(stop);
            if (output.IsJson) output.JsonList(all, V1Json.Default.EnvironmentView);
            else output.Table(["NAME", "STATE", "ACTIVE", "MACHINES", "WEAVES", "SNAPSHOTS", "ADOPTED"],
                all.Select(e => new[] { e.Name, e.State, e.ActiveWeave, $"{e.Machines.Count}", $"{e.Weaves}", $"{e.Snapshots}", Times.Show(e.AdoptedAt, verb.Host.Zone) }),
                "no environment yet; adopt one with `weave env adopt NAME --domain DOMAIN…`");
            return ExitCodes.Done;
        });
        return command;
    }

    private static Command Show(Verb verb)
    {
        var name = Verb.Environment();
        var command = verb.Make("show", "Show an environment.", ["weave env show shop"], name);
        verb.Does(command, async (parsed, client, output, stop) =>
        {
            var e = await client.GetEnvironmentAsync(parsed.GetRequiredValue(name), stop);
            if (output.IsJson) output.Json(e, V1Json.Default.EnvironmentView);
            else output.Facts([("name", e.Name), ("state", e.State), ("host", e.Host), ("adopted", Times.Show(e.AdoptedAt, verb.Host.Zone)), ("active weave", e.ActiveWeave), ("active before", e.PreviousActiveWeave),
                ("machines", string.Join(", ", e.Machines)), ("networks", string.Join(", ", e.Networks.Select(n => n.Gateway is null ? n.Name : $"{n.Name} ({n.Gateway}/{n.PrefixLength})"))),
                .. e.Volumes.Select(v => ("volume " + v.Name, (string?)$"{v.Path} ({v.Format})")), ("weaves", $"{e.Weaves}"), ("snapshots", $"{e.Snapshots}"), .. SpaceOf(e.Space), .. e.SnapshotPolicy is { } policy ? PolicyCommands.Facts(policy, verb) : [], .. await AgentsAsync(client, e.Name, stop)]);
            return ExitCodes.Done;
        });
        return command;
    }

    /// <summary>The rest is from the service's own state; these alone are asked now, and where that cannot be, it does not keep the rest from being shown.</summary>
    private static async Task<IReadOnlyList<(string, string?)>> AgentsAsync(WeaveClient client, string environment, CancellationToken stop)
    {
        try
        {
            return [.. (await client.AgentsAsync(environment, stop)).Select(a => ("agent of " + a.Machine, (string?)(a.State == "answers" ? a.State : $"{a.State}{(a.Reason is null ? "" : $" ({a.Reason})")}")))];
        }
        catch (ApiException e)
        {
            return [("agents", $"could not be asked: {e.Message}")];
        }
    }

    private static Command Agents(Verb verb)
    {
        var name = Verb.Environment();
        var command = verb.Make("agents", "Ask the guest agents of the active weave's machines whether they answer: who has one can be frozen by `weave snapshot --quiesce`.", ["weave env agents shop"], name);
        verb.Does(command, async (parsed, client, output, stop) =>
        {
            var all = await client.AgentsAsync(parsed.GetRequiredValue(name), stop);
            if (output.IsJson) output.JsonList(all, V1Json.Default.AgentView);
            else output.Table(["MACHINE", "AGENT", "REASON", "NEXT"], all.Select(a => new[] { a.Machine, a.State, a.Reason ?? "", a.NextStep ?? "" }));
            return ExitCodes.Done;
        });
        return command;
    }

    private static IEnumerable<(string, string?)> SpaceOf(SpaceView? space) => space is null ? [] :
    [
        ("pool", $"{space.Path}: {Times.Bytes(space.FreeBytes)} free, floor {Times.Bytes(space.FloorBytes)}"),
        ("a snapshot costs", $"{(space.MeasuredOn > 0 ? $"about {Times.Bytes(space.LikelyBytes)} (measured on {space.MeasuredOn})" : "not measured yet")}, at worst {Times.Bytes(space.WorstBytes)}"),
        ("room for", $"about {space.PointsLeft} more above the floor"),
    ];

    private static Command Release(Verb verb)
    {
        var name = Verb.Environment();
        var force = new Option<bool>("--force") { Description = "End all weaves and their history with it." };
        var command = verb.Make("release", "Give the machines back as they were adopted: plain disks at their own paths, with today's content. Snapshots are lost.",
            ["weave env release shop", "weave env release shop --force"], name, force);
        verb.Begins(command, (parsed, client, stop) => client.ReleaseAsync(parsed.GetRequiredValue(name), parsed.GetValue(force), stop),
            (operation, output) => output.Line($"{operation.Subject}: released ({Verb.Took(operation)})"));
        return command;
    }

    private static Command Timeline(Verb verb)
    {
        var name = Verb.Environment();
        var from = new Option<string?>("--from") { Description = "Only snapshots at or after this time." };
        var to = new Option<string?>("--to") { Description = "Only snapshots at or before this time." };
        var ascii = new Option<bool>("--ascii") { Description = "Draw with plain characters." };
        var command = verb.Make("timeline", "Show snapshots and weaves of an environment as one tree.", ["weave timeline shop", "weave timeline shop --from -1h", "weave timeline shop --json"], name, from, to, ascii);
        verb.Does(command, async (parsed, client, output, stop) =>
        {
            DateTimeOffset? Time(Option<string?> option) => parsed.GetValue(option) is { } text ? Times.Parse(text, verb.Host.Clock.GetUtcNow(), verb.Host.Zone) : null;
            var timeline = await client.TimelineAsync(parsed.GetRequiredValue(name), Time(from), Time(to), stop);
            if (output.IsJson) output.Json(timeline, V1Json.Default.TimelineView);
            else TimelineTree.Write(output, timeline, parsed.GetValue(ascii));
            return ExitCodes.Done;
        });
        return command;
    }
}
