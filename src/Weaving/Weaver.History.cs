using WeaveHypervisor.Model;
using WeaveHypervisor.Operations;
using WeaveHypervisor.Weaving.Compaction;
using WeaveHypervisor.Weaving.Policies;

namespace WeaveHypervisor.Weaving;

/// <content>History that keeps itself: policies, compaction.</content>
internal sealed partial class Weaver
{
    /// <summary>How far back in an environment's journal the last automatic point is looked for.</summary>
    private const int Remembered = 200;

    public async Task<Operation> SetPolicyAsync(EnvironmentId environment, SnapshotPolicy? policy, Caller caller, CancellationToken stop)
    {
        if (await RepeatedAsync(caller, stop) is { } known) return known;
        var managed = await Store.GetEnvironmentAsync(environment, stop);
        if (managed.State != EnvironmentState.Managed) throw new WeaveException(Fault.Conflict, $"Environment '{environment}' is being released.", "Adopt it again after that.");
        if (policy is not null) PolicyRules.Check(policy);
        return await SubmitAsync(Kinds.Policy, environment, environment.Text, new PolicyPlan { Environment = environment, Policy = policy }, WeavingJson.Default.PolicyPlan, caller, stop);
    }

    public async Task<Operation> CompactAsync(EnvironmentId environment, Caller caller, CancellationToken stop)
    {
        if (await RepeatedAsync(caller, stop) is { } known) return known;
        var managed = await Store.GetEnvironmentAsync(environment, stop);
        if (managed.State != EnvironmentState.Managed) throw new WeaveException(Fault.Conflict, $"Environment '{environment}' is being released, which merges all layers.", "Wait until that has ended.");
        return await SubmitAsync(Kinds.Compact, environment, environment.Text, new CompactPlan { Environment = environment }, WeavingJson.Default.CompactPlan, caller, stop);
    }

    public async Task<CompactionPreview> PreviewCompactionAsync(EnvironmentId environment, CancellationToken stop)
    {
        await Store.GetEnvironmentAsync(environment, stop);
        var (weaves, snapshots, layers) = await Store.ReadHistoryAsync(environment, stop);
        var plan = Folding.Plan(layers, weaves, snapshots, m => m.RunState != RunState.Off, bench.Options.CompactAt, bench.Options.CompactBytesPerSecond);
        return new([.. Folding.HeadsOf(weaves, layers).Select(h => new ChainLength(h.Weave.Id, h.Machine.Name, h.Volume, h.Layers.Count))], [.. plan.Folds.Select(f => f.What)], plan.InUse, bench.Options.CompactAt);
    }

    public Task<PolicyReport> RunPoliciesAsync(CancellationToken stop) => new PolicyLook(bench, desk, journal).RunAsync(stop);

    public async Task<PolicyStanding?> PolicyStandingAsync(ManagedEnvironment environment, CancellationToken stop) => environment.Policy is not { } policy ? null
        : new(policy, PolicyRules.SlotOf(policy, bench.Now) + policy.Every,
            (await journal.ListAsync(environment.Id, false, Remembered, null, stop)).FirstOrDefault(o => o.Kind == Kinds.Snapshot && o.RequestedBy == SnapshotPolicy.Maker));
}
