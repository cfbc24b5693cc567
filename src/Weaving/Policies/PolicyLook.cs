using System.Globalization;
using System.Text.Json;
using WeaveHypervisor.Model;
using WeaveHypervisor.Operations;
using WeaveHypervisor.Weaving.Capture;
using WeaveHypervisor.Weaving.Compaction;
using WeaveHypervisor.Weaving.Retention;
using WeaveHypervisor.Weaving.Verifying;

namespace WeaveHypervisor.Weaving.Policies;

/// <summary>
/// One look at what the policies of all environments want done now, and at how long their chains are; what is due is begun as ordinary operations. It holds nothing between two looks: what was done is read from the
/// journal, and an idempotency key per slot of time, or per point to be removed, keeps several services on one store, and a service that was started again, from doing it twice.
/// </summary>
internal sealed class PolicyLook(Bench bench, OperationDesk desk, IJournal journal)
{
    /// <summary>How far back in an environment's journal the last automatic point is looked for; the key of its slot tells beyond that.</summary>
    private const int Remembered = 100;
    /// <summary>Removals that may be under way in one environment: the next look begins the others.</summary>
    private const int MostRemovals = 50;

    public async Task<PolicyReport> RunAsync(CancellationToken stop)
    {
        var (begun, skipped) = (new List<Operation>(), new List<SkippedPoint>());
        foreach (var environment in await bench.Store.ListEnvironmentsAsync(stop))
            if (environment is { State: EnvironmentState.Managed })
                await EnvironmentAsync(environment, begun, skipped, stop);
        return new(begun, skipped);
    }

    private async Task EnvironmentAsync(ManagedEnvironment environment, List<Operation> begun, List<SkippedPoint> skipped, CancellationToken stop)
    {
        var unfinished = await journal.ListAsync(environment.Id, true, int.MaxValue, null, stop);
        var (weaves, snapshots, layers) = await bench.Store.ReadHistoryAsync(environment.Id, stop);
        // In this order, which is the one in which they run: a point finds its chains short.
        await CompactAsync(environment, snapshots, weaves, layers, unfinished, begun, stop);
        if (environment.Policy is not { } policy) return;
        await RemoveAsync(environment, policy, snapshots, weaves, unfinished, begun, stop);
        await TakeAsync(environment, policy, snapshots, weaves, unfinished, begun, skipped, stop);
        await VerifyAsync(environment, policy, snapshots, weaves, unfinished, begun, stop);
    }

    /// <summary>An ordinary verification, one at a time. The key of its group of slots keeps one that failed, or whose point was removed since, from being made again.</summary>
    private async Task VerifyAsync(ManagedEnvironment environment, SnapshotPolicy policy, IReadOnlyList<Snapshot> snapshots, IReadOnlyList<Weave> weaves, IReadOnlyList<Operation> unfinished, List<Operation> begun, CancellationToken stop)
    {
        if (PolicyRules.ToVerify(policy, snapshots) is not { } point || unfinished.Any(o => o.Kind == Kinds.Verify && o.RequestedBy == SnapshotPolicy.Maker)) return;
        var plan = VerifyPlan.Of(new(point.Id, null, false, null, VerifyPlan.Patience), point, weaves, bench.Now);
        await SubmitAsync(Kinds.Verify, environment, $"{environment.Id}/{point.Id}", JsonSerializer.Serialize(plan, WeavingJson.Default.VerifyPlan),
            string.Create(CultureInfo.InvariantCulture, $"verify {environment.AdoptedAt.UtcTicks} {policy.Every} {policy.VerifyEvery} {PolicyRules.GroupOf(policy, point.At)}"), begun, stop);
    }

    private async Task CompactAsync(ManagedEnvironment environment, IReadOnlyList<Snapshot> snapshots, IReadOnlyList<Weave> weaves, IReadOnlyDictionary<LayerId, Layer> layers,
        IReadOnlyList<Operation> unfinished, List<Operation> begun, CancellationToken stop)
    {
        if (unfinished.Any(o => o.Kind == Kinds.Compact)) return;
        var heads = Folding.HeadsOf(weaves, layers).Where(h => h.Layers.Count >= bench.Options.CompactAt).Select(h => $"{h.Layers[0].Id}/{h.Layers.Count}").ToList();
        if (heads.Count == 0 || Folding.Plan(layers, weaves, snapshots, m => m.RunState != RunState.Off, bench.Options.CompactAt, 0).Folds.Count == 0) return;
        // One that failed is not repeated before its chains have grown.
        await SubmitAsync(Kinds.Compact, environment, environment.Id.Text, JsonSerializer.Serialize(new CompactPlan { Environment = environment.Id }, WeavingJson.Default.CompactPlan), $"compact {string.Join(' ', heads)}", begun, stop);
    }

    private async Task RemoveAsync(ManagedEnvironment environment, SnapshotPolicy policy, IReadOnlyList<Snapshot> snapshots, IReadOnlyList<Weave> weaves, IReadOnlyList<Operation> unfinished, List<Operation> begun, CancellationToken stop)
    {
        var room = MostRemovals - unfinished.Count(o => o.Kind == Kinds.DeleteSnapshot);
        var busy = unfinished.Select(o => o.Subject).ToHashSet(StringComparer.Ordinal);
        foreach (var point in PolicyRules.Surplus(policy, snapshots, weaves).Where(s => !busy.Contains($"{environment.Id}/{s.Id}")).Take(Math.Max(0, room)))
        {
            var plan = new SnapshotDeletePlan { Environment = environment.Id, Snapshot = point.Id };
            // A removal that failed is tried again when the journal has forgotten its key, a day later.
            await SubmitAsync(Kinds.DeleteSnapshot, environment, $"{environment.Id}/{point.Id}", JsonSerializer.Serialize(plan, WeavingJson.Default.SnapshotDeletePlan), $"remove {point.Id}", begun, stop);
        }
    }

    private async Task TakeAsync(ManagedEnvironment environment, SnapshotPolicy policy, IReadOnlyList<Snapshot> snapshots, IReadOnlyList<Weave> weaves, IReadOnlyList<Operation> unfinished,
        List<Operation> begun, List<SkippedPoint> skipped, CancellationToken stop)
    {
        var slot = PolicyRules.SlotOf(policy, bench.Now);
        var weave = weaves.FirstOrDefault(w => w.Id == environment.ActiveWeave);
        if (weave?.State is not (WeaveState.Running or WeaveState.Paused or WeaveState.Stopped)) return;
        // Of machines that are all off the point before says the same already.
        if (weave.State == WeaveState.Stopped && snapshots.LastOrDefault(s => s.Weave == weave.Id) is { } before && before.Machines.All(m => m.RunState == RunState.Off)) return;
        if (snapshots.Any(s => s.IsAutomatic && s.At >= slot && s.At <= bench.Now)) return;
        var recent = await journal.ListAsync(environment.Id, false, Remembered, null, stop);
        if (recent.Any(o => IsPoint(o) && o.CreatedAt >= slot)) return;
        if (unfinished.FirstOrDefault(IsPoint) is { } waiting)
        {
            skipped.Add(new(environment.Id, slot, $"the point before it, {waiting.Id}, is {(waiting.State == OperationState.Queued ? "still waiting for its turn" : "still being taken")}"));
            return;
        }
        if (await NoRoomAsync(environment, policy, weave, stop) is { } reason)
        {
            skipped.Add(new(environment.Id, slot, reason));
            return;
        }
        var plan = new SnapshotPlan
        {
            Capture = new() { Environment = environment.Id, Weave = weave.Id, Snapshot = SnapshotId.New(bench.Clock), Memory = policy.Memory, Quiesce = policy.Quiesce, MadeBy = SnapshotPolicy.Maker },
        };
        await SubmitAsync(Kinds.Snapshot, environment, $"{environment.Id}/{weave.Id}", JsonSerializer.Serialize(plan, WeavingJson.Default.SnapshotPlan),
            string.Create(CultureInfo.InvariantCulture, $"point {environment.AdoptedAt.UtcTicks} {policy.Every} {slot.UtcTicks}"), begun, stop);
    }

    /// <summary>
    /// Why no point may be taken now, or why that cannot be told; null: there is room. The next look of the same slot asks again. Only an environment's own host knows its pool; for the others
    /// it is judged when the point is taken.
    /// </summary>
    private async Task<string?> NoRoomAsync(ManagedEnvironment environment, SnapshotPolicy policy, Weave weave, CancellationToken stop)
    {
        if (!bench.IsHere(environment)) return null;
        try
        {
            return (await new PoolLook(bench).ForecastAsync(weave, policy.Memory, stop)).Refusal;
        }
        catch (WeaveException e) when (e.IsTransient)
        {
            return $"the free space of the pool is not known: {e.Message.TrimEnd('.')}";
        }
    }

    private static bool IsPoint(Operation operation) => operation.Kind == Kinds.Snapshot && operation.RequestedBy == SnapshotPolicy.Maker;

    private async Task SubmitAsync(string kind, ManagedEnvironment environment, string subject, string plan, string once, List<Operation> begun, CancellationToken stop)
    {
        var now = bench.Clock.GetUtcNow();
        // Hashed: a key may be as long as it likes.
        var key = Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(System.Text.Encoding.UTF8.GetBytes($"{environment.Id} {once}")));
        var operation = await desk.SubmitAsync(kind, environment.Id, subject, plan, SnapshotPolicy.Maker, $"{SnapshotPolicy.Maker} {key}", key,
            // Any host's service may look; the work is its own host's.
            bench.Host is null ? null : environment.Host, stop);
        // An older one: another service, or this one before it was started again, has seen to it.
        if (operation.CreatedAt >= now) begun.Add(operation);
    }
}
