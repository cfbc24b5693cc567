using System.Net;
using WeaveHypervisor.Model;
using WeaveHypervisor.Operations;
using WeaveHypervisor.Weaving.Rules;

namespace WeaveHypervisor.Weaving;

/// <content>Security groups and access policies.</content>
internal sealed partial class Weaver
{
    public async Task<Operation> SetRulesAsync(EnvironmentId environment, WeaveId weave, EnvironmentRules rules, Caller caller, CancellationToken stop)
    {
        if (await RepeatedAsync(caller, stop) is { } known) return known;
        var managed = await Store.GetEnvironmentAsync(environment, stop);
        var found = await UsableAsync(managed, Resolve(weave, managed)!.Value, stop);
        rules.Check([.. found.Blueprint.Machines.Select(m => m.Name)]);
        // Of another host only its own service knows the driver; the operation looks there.
        if (bench.IsHere(managed)) RulesGuard.CheckSetting(bench, environment, found.Id, rules);
        var plan = new RulesPlan { Environment = environment, Weave = found.Id, Rules = rules };
        return await SubmitAsync(Kinds.Rules, environment, Subject(environment, found.Id), plan, WeavingJson.Default.RulesPlan, caller, stop);
    }

    public async Task<KnownRules> GetRulesAsync(RulesQuery query, CancellationToken stop)
    {
        var environment = await Store.GetEnvironmentAsync(query.Environment, stop);
        if (new object?[] { query.Weave, query.Snapshot, query.At }.Count(q => q is not null) > 1) throw Invalid("More than one of a weave, a snapshot and a time were given.", "Give one of them, or none for `main`.");
        if (query.At is { } at) return Of(await AsOfAsync(environment, null, at, await Store.ListWeavesAsync(environment.Id, stop), stop));
        if (query.Snapshot is { } named)
            return await Store.FindSnapshotAsync(named, stop) is { } snapshot && snapshot.Environment == environment.Id ? Of(snapshot)
                : throw new WeaveException(Fault.NotFound, $"Environment '{environment.Id}' has no snapshot '{named}'.", $"List its snapshots with `weave timeline {environment.Id}`.");
        var weave = await Store.GetWeaveAsync(environment.Id, Resolve(query.Weave, environment) ?? Weave.Main, stop);
        return new(weave.Id, null, null, weave.Blueprint);

        static KnownRules Of(Snapshot snapshot) => new(null, snapshot.Id, snapshot.At, snapshot.Blueprint);
    }

    public async Task<Verdict> AskRulesAsync(RulesQuery query, RulesQuestion question, CancellationToken stop)
    {
        if (question.Protocol == RuleProtocol.Any) throw Invalid("A connection is of one protocol.", "Use tcp, udp or icmp.");
        if (question.Protocol != RuleProtocol.Icmp) CheckPort(question.Port, "target");
        var blueprint = (await GetRulesAsync(query, stop)).Blueprint;
        var (from, to) = (EndOf(question.From, blueprint), EndOf(question.To, blueprint));
        if (from.Machine is null && to.Machine is null) throw Invalid($"Neither {Ids.Quote(question.From)} nor {Ids.Quote(question.To)} is a machine of '{query.Environment}': rules say nothing of that.", $"Name one of: {string.Join(", ", blueprint.Machines.Select(m => m.Name))}.");
        return new Reachability(blueprint).Ask(from, to, question.Protocol, question.Port);
    }

    /// <summary>A machine by its name, or by an address of its own; `outside`; or an address that is no machine's.</summary>
    private static RuleEnd EndOf(string text, EnvironmentBlueprint blueprint)
    {
        if (text == RulePeer.Outside.ToString()) return RuleEnd.Outside;
        if (blueprint.Machines.FirstOrDefault(m => m.Name.Text == text) is { } named) return RuleEnd.Of(named.Name);
        if (!RulePrefix.TryParse(text, out _) || text.Contains('/'))
            throw new WeaveException(Fault.NotFound, $"{Ids.Quote(text)} is no machine of the environment, and no IPv4 address.", $"Use `outside`, an address, or one of: {string.Join(", ", blueprint.Machines.Select(m => m.Name))}.");
        var holders = blueprint.Machines.Where(m => m.Nics.Any(n => n.Addresses.Contains(text))).Select(m => m.Name).ToList();
        if (holders.Count > 1) throw Invalid($"{text} is the address of {string.Join(" and ", holders)}, on different networks.", "Name the machine that is meant.");
        return holders.Count == 1 ? RuleEnd.Of(holders[0]) : RuleEnd.Of(IPAddress.Parse(text));
    }
}
