using WeaveHypervisor.Model;

namespace WeaveHypervisor.Weaving.Rules;

internal sealed class RulesPlan
{
    public required EnvironmentId Environment { get; set; }
    public required WeaveId Weave { get; set; }
    public required EnvironmentRules Rules { get; set; }
    /// <summary>What the weave had when this began.</summary>
    public EnvironmentRules? Before { get; set; }
}

/// <param name="Sources">Null: published ports are for everyone.</param>
/// <param name="Changed">False: it had exactly these rules.</param>
internal sealed record RulesResult(EnvironmentId Environment, WeaveId Weave, int Groups, int Rules, IReadOnlyList<RulePrefix>? Sources, bool Changed)
{
    public static RulesResult Of(RulesPlan plan) => new(plan.Environment, plan.Weave, plan.Rules.Groups.Count, plan.Rules.RuleCount, plan.Rules.Access?.Sources, plan.Rules != plan.Before);
}
