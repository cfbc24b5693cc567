using WeaveHypervisor.Model;

namespace WeaveHypervisor.Weaving.Rules;

/// <summary>Rules that nobody would enforce are refused: who reads them would take them for a wall.</summary>
internal static class RulesGuard
{
    /// <summary>Refuses (Unsupported) to give a weave rules where the driver enforces none. That it has none from now on is always possible.</summary>
    public static void CheckSetting(Bench bench, EnvironmentId environment, WeaveId weave, EnvironmentRules rules)
    {
        if (!rules.IsNone && bench.Driver.Capabilities.RulesReason is { } reason)
            throw new WeaveException(Fault.Unsupported, $"'{environment}/{weave}' cannot have rules on this host: {reason.TrimEnd('.')}.", "Guard its machines by firewalls of their own, and its published ports by the address that they listen on.");
    }

    /// <summary>Refuses (Unsupported) to make a weave whose rules the driver would have to enforce and does not.</summary>
    /// <param name="main">What `main` has today.</param>
    public static void CheckCreation(Bench bench, EnvironmentId environment, EnvironmentRules rules, EnvironmentRules main)
    {
        if (!rules.IsNone && bench.Driver.Capabilities.RulesReason is { } reason)
            throw new WeaveException(Fault.Unsupported, $"A weave of '{environment}' with {Describe(rules)} cannot be made on this host: {reason.TrimEnd('.')}.",
                (main.IsNone ? "Repeat" : $"Clear the rules of `main` with `weave rules clear {environment}`, and repeat") + " with `--rules now`: the weave then has no rules, and everyone in it reaches everyone.");
    }

    /// <summary>Why the groups of a weave let nobody from outside in to a port of a machine; null where they do. Those of the originals are not enforced.</summary>
    public static string? ShutsOut(Weave weave, MachineName machine, RouteProtocol protocol, int port) =>
        weave.IsMain || new Reachability(weave.Blueprint).AskFromOutside(machine, protocol, port) is not { Allowed: false } verdict ? null : verdict.Reason;

    /// <summary>For people: what rules there are, in half a sentence.</summary>
    public static string Describe(EnvironmentRules rules)
    {
        var (groups, count) = (rules.Groups.Count, rules.RuleCount);
        var limits = groups == 0 ? "no security group" : $"{groups} security group{(groups == 1 ? "" : "s")} of {count} rule{(count == 1 ? "" : "s")}";
        return $"{limits} and published ports for {(rules.Access is not { } access ? "everyone" : access.Sources.Count == 0 ? "nobody" : $"{access.Sources.Count} source{(access.Sources.Count == 1 ? "" : "s")}")}";
    }
}
