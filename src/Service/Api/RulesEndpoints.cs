using Microsoft.OpenApi;
using WeaveHypervisor.Client.V1;
using WeaveHypervisor.Model;
using WeaveHypervisor.Service.Api.Mapping;
using WeaveHypervisor.Weaving;
using static WeaveHypervisor.Service.Api.Requests;

namespace WeaveHypervisor.Service.Api;

/// <summary>Security groups and access policies: of a weave, of a moment, and what they say of one connection.</summary>
internal static class RulesEndpoints
{
    private static readonly Takes[] Whose = [Takes.Word("weave", "Of this weave; `active` is the one that is active now. Of main where neither this nor snapshot nor at is given."), Takes.Word("snapshot", "Of this snapshot."), Takes.Time("at", "As of this time: of the newest snapshot at or before it.")];

    public static void MapRules(this IEndpointRouteBuilder api, Needs reads, Needs changes)
    {
        const string path = "/environments/{env}/rules";
        api.MapGet(path, async (HttpContext http, IWeaver weaver) => Json(Map.View(await weaver.GetRulesAsync(Query(http), http.RequestAborted))))
            .WithMetadata([reads, .. Whose]).Produces<RulesView>().Named("getRules", "The security groups and the access policy of a weave, or of a moment of the history.");
        api.MapPut(path, async (HttpContext http, IWeaver weaver) =>
        {
            var (env, rules) = (http.Env(), Rules(await http.BodyAsync<RulesBody>()));
            var weave = http.Query("weave") is { } named ? WeaveId.Parse(named) : Weave.Main;
            return await http.OperateAsync("rules.set", $"{env}/{weave}", (c, stop) => weaver.SetRulesAsync(env, weave, rules, c, stop));
        }).Operates<RulesBody>(changes, takes: Takes.Word("weave", "Of this weave; `active` is the one that is active now, main where it is left out."))
            .Named("setRules", "Give a weave other security groups and another access policy, in place of all that it has. Of main they are recorded, and go into its snapshots and the weaves made of them; what is enforced of it is its access policy.");
        api.MapGet(path + "/check", async (HttpContext http, IWeaver weaver) =>
        {
            var protocol = Choice(Needed("protocol"), RuleProtocol.Any, "protocol");
            var question = new RulesQuestion(Needed("from"), Needed("to"), protocol, http.Number("port", 0, 1, 65535));
            if (protocol == RuleProtocol.Icmp && question.Port != 0) throw Wrong("ICMP has no ports.", "Leave port out.");
            return Json(Map.View(await weaver.AskRulesAsync(Query(http), question, http.RequestAborted)));

            string Needed(string name) => http.Query(name) ?? throw Wrong($"{name} is missing.", "Give from, to and protocol, and for tcp and udp the port.");
        }).WithMetadata([reads, .. Whose, Takes.Word("from", "Who makes the connection: a machine, `outside`, or an IPv4 address."), Takes.Word("to", "To whom: a machine, `outside`, or an IPv4 address."),
            Takes.Word("protocol", "tcp, udp or icmp."), Takes.Number("port", "1 to 65535, for tcp and udp.")]).Produces<RuleVerdictView>().Named("checkRules", "What the security groups say of one connection; nothing is sent. Who may use published ports is the access policy's matter.");
    }

    private static RulesQuery Query(HttpContext http) => new(http.Env(), http.Query("weave") is { } weave ? WeaveId.Parse(weave) : null, http.Query("snapshot") is { } id ? Ids.Parse<SnapshotId>(id) : null, http.Time("at"));

    private static EnvironmentRules Rules(RulesBody body) => new()
    {
        Groups = [.. body.Groups.Select(g => new SecurityGroup
        {
            Name = GroupName.Parse(g.Name), Description = g.Description, Machines = [.. g.Machines.Select(MachineName.Parse)], Rules = [.. g.Rules.Select(SecurityRule.Parse)],
        })],
        Access = body.Access is { } access ? new() { Sources = [.. access.Sources.Select(RulePrefix.Parse)] } : null,
    };
}
