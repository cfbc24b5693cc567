using System.CommandLine;
using WeaveHypervisor.Cli.Rendering;
using WeaveHypervisor.Client.V1;

namespace WeaveHypervisor.Cli.Commands;

/// <summary>route, with list and delete.</summary>
internal static class RouteCommands
{
    public static void AddTo(RootCommand root, Verb verb)
    {
        var weave = new Argument<string>("ENV/WEAVE") { Description = "The weave; ENV/active follows whichever is active; ENV alone with --at." };
        var port = new Argument<int>("PORT") { Description = "Port of the machine." };
        var machine = new Option<string?>("--machine") { Description = "The machine; needed where there are several." };
        var udp = new Option<bool>("--udp") { Description = "UDP instead of TCP." };
        var listen = new Option<string?>("--listen") { Description = "Address and port of this host: 127.0.0.1:18080, 0.0.0.0:8080, or only an address. Without: 127.0.0.1 and a free port." };
        var at = new Option<string?>("--at") { Description = "In place of a weave: the newest one that was made of what the environment was at that time (RFC 3339, a local date and time, a time of today, or back from now, such as -10m)." };
        var command = verb.Make("route", "Publish a port of a weave on this host. It lives on when the service stops.",
            ["weave route shop/audit 80 --machine web", "weave route shop/active 443 --machine web --listen 0.0.0.0:443", "weave route shop 80 --machine web --at -1h", "weave route list shop"], weave, port, machine, udp, listen, at, List(verb), Delete(verb));
        verb.Begins(command, (parsed, client, stop) =>
        {
            var body = new RouteBody { Machine = parsed.GetValue(machine), TargetPort = parsed.GetValue(port), Protocol = parsed.GetValue(udp) ? "udp" : null, Listen = parsed.GetValue(listen) };
            var name = parsed.GetRequiredValue(weave);
            if (parsed.GetValue(at) is { } time)
                return name.Contains('/') ? throw new UsageException("A weave and --at were both given.", $"Write {name.Split('/')[0]} alone, or leave --at out.")
                    : client.PublishRouteAsync(name, body with { Timestamp = Times.Parse(time, verb.Host.Clock.GetUtcNow(), verb.Host.Zone) }, stop);
            var (environment, id) = Verb.Pair(name);
            return client.PublishRouteAsync(environment, id, body, stop);
        }, (operation, output) => output.Line(operation.Result!.Value.GetProperty("connect").GetString()!));
        root.Subcommands.Add(command);
    }

    private static Command List(Verb verb)
    {
        var environment = Verb.Environment();
        var command = verb.Make("list", "List the published ports of an environment.", ["weave route list shop"], environment);
        verb.Does(command, async (parsed, client, output, stop) =>
        {
            var all = await client.ListRoutesAsync(parsed.GetRequiredValue(environment), null, stop);
            if (output.IsJson) output.JsonList(all, V1Json.Default.RouteView);
            else output.Table(["LISTEN", "PROTOCOL", "LEADS TO", "MACHINE", "PORT", "FOLLOWS ACTIVE", "ID"],
                all.Select(r => new[] { r.Listen, r.Protocol, r.Weave, r.Machine, $"{r.TargetPort}", r.FollowsActive ? "yes" : "", r.Id }), "no route yet; publish one with `weave route ENV/WEAVE PORT`");
            return ExitCodes.Done;
        });
        return command;
    }

    private static Command Delete(Verb verb)
    {
        var environment = Verb.Environment();
        var id = new Argument<string>("ID") { Description = "Id of the route, from `weave route list`." };
        var command = verb.Make("delete", "Withdraw a published port.", ["weave route delete shop route-0199…"], environment, id);
        verb.Begins(command, (parsed, client, stop) => client.WithdrawRouteAsync(parsed.GetRequiredValue(environment), parsed.GetRequiredValue(id), stop),
            (operation, output) => output.Line($"{operation.Subject}: withdrawn"));
        return command;
    }
}
