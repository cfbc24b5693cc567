using WeaveHypervisor.Model;
using WeaveHypervisor.Weaving.Branching;

namespace WeaveHypervisor.Weaving.Verifying;

internal sealed class VerifyPlan
{
    /// <summary>How long an answer is waited for where nobody said.</summary>
    public static readonly TimeSpan Patience = TimeSpan.FromMinutes(1);
    /// <summary>How long a temporary weave is left to an operation that gave up before it is deleted like any other whose time is over.</summary>
    private static readonly TimeSpan Grace = TimeSpan.FromHours(1);

    /// <param name="weaves">All weaves of the environment.</param>
    public static VerifyPlan Of(VerifyRequest request, Snapshot snapshot, IReadOnlyList<Weave> weaves, DateTimeOffset now)
    {
        var tag = Weaver.NewTag(weaves);
        return new()
        {
            Environment = snapshot.Environment, Snapshot = snapshot.Id, Probe = request.Probe, Agents = request.Agents, AgentOf = request.AgentOf, Timeout = request.Timeout,
            Revival = new()
            {
                Environment = snapshot.Environment, Weave = Weave.TemporaryId(tag), Tag = tag, Snapshot = snapshot.Id, Uplink = UplinkMode.None, CreatedAt = now, ExpiresAt = now + request.Timeout + Grace, Verifies = true,
                // Booted where nothing ran at the instant: something must run to be looked at.
                Start = snapshot.Machines.Any(m => m.RunState != RunState.Off) ? StartMode.Resume : StartMode.Boot,
            },
        };
    }

    public required EnvironmentId Environment { get; set; }
    public required SnapshotId Snapshot { get; set; }
    /// <summary>What must answer; null: guest agents, or nothing but that the machines run.</summary>
    public ProbeSpec? Probe { get; set; }
    /// <summary>Guest agents must answer: of <see cref="AgentOf"/>, or of every machine that runs.</summary>
    public bool Agents { get; set; }
    public MachineName? AgentOf { get; set; }
    public required TimeSpan Timeout { get; set; }
    /// <summary>The temporary weave: made by the steps that make any weave, removed by their undo.</summary>
    public required CreatePlan Revival { get; set; }
    /// <summary>When the last start of the machines began.</summary>
    public DateTimeOffset? BeganAt { get; set; }
    /// <summary>How often the hypervisor, which answers otherwise, could not start them.</summary>
    public int Refusals { get; set; }
    /// <summary>Set as soon as the outcome is known; what would come before it is left out then.</summary>
    public Verdict? Verdict { get; set; }
}

/// <param name="At">When it was known.</param>
internal sealed record Verdict(DateTimeOffset At, bool Passed, VerificationLevel Level, string Probe, string? Reason, TimeSpan? FirstReply);

/// <summary>Result of a verification: a snapshot that failed it is a result, too.</summary>
internal sealed record VerifyResult(EnvironmentId Environment, SnapshotId Snapshot, bool Passed, VerificationLevel Level, string Probe, string? Reason, double? FirstReplyMs, IReadOnlyList<VerifiedMachine> Machines)
{
    public static VerifyResult Of(VerifyPlan plan)
    {
        var verification = VerificationOf(plan);
        return new(plan.Environment, plan.Snapshot, verification.Passed, verification.Level, verification.Probe, verification.Reason, verification.FirstReply?.TotalMilliseconds, verification.Machines);
    }

    public static Verification VerificationOf(VerifyPlan plan) => new()
    {
        At = plan.Verdict!.At, Passed = plan.Verdict.Passed, Level = plan.Verdict.Level, Probe = plan.Verdict.Probe, Reason = plan.Verdict.Reason, FirstReply = plan.Verdict.FirstReply,
        Machines = [.. plan.Revival.Result?.Machines.Select(m => new VerifiedMachine(m.Name, m.RunState, m.Method, m.Reason)) ?? []],
    };
}
