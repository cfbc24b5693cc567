namespace WeaveHypervisor.Client.V1;

/// <summary>Body of `PUT /environments/{env}/rules`: all rules, in place of those that there are.</summary>
public sealed record RulesBody
{
    /// <summary>Empty: no machine is limited.</summary>
    public required IReadOnlyList<GroupBody> Groups { get; init; }
    /// <summary>Who may use the published ports; null: whoever reaches the host.</summary>
    public AccessBody? Access { get; init; }
}

/// <summary>A security group: machines with the same rules.</summary>
public sealed record GroupBody
{
    public required string Name { get; init; }
    /// <summary>At most 200 printable characters.</summary>
    public string? Description { get; init; }
    public required IReadOnlyList<string> Machines { get; init; }
    /// <summary>What is allowed, such as "in tcp/80,443 from outside", "in tcp/5432 from web", "out udp/53 to 10.0.0.0/8", "in icmp from any".</summary>
    public required IReadOnlyList<string> Rules { get; init; }
}

/// <summary>An access policy.</summary>
public sealed record AccessBody
{
    /// <summary>IPv4 prefixes such as "10.0.0.0/8"; empty: nobody.</summary>
    public required IReadOnlyList<string> Sources { get; init; }
}

/// <summary>The rules of a weave, or of a moment.</summary>
public sealed record RulesView
{
    public required RulesOwnerView Of { get; init; }
    public required IReadOnlyList<GroupBody> Groups { get; init; }
    public AccessBody? Access { get; init; }
}

/// <param name="Weave">Null: they are those of a snapshot.</param>
/// <param name="At">The snapshot's instant.</param>
public sealed record RulesOwnerView(string? Weave, string? Snapshot, DateTimeOffset? At);

/// <summary>What rules say of one connection.</summary>
/// <param name="Group">Whose rule allows it; null where none was needed, and where it is not allowed.</param>
public sealed record RuleVerdictView(bool Allowed, string? Group, string? Rule, string Reason);

/// <summary>How many rules a weave has, and who may use its published ports.</summary>
/// <param name="Sources">Null: everyone.</param>
public sealed record RulesSummaryView(int Groups, int Rules, IReadOnlyList<string>? Sources);

/// <summary>Whose rules are meant: at most one of these, or main's.</summary>
public sealed record RulesSelector(string? Weave = null, string? Snapshot = null, DateTimeOffset? At = null);
