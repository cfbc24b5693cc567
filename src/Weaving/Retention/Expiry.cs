using System.Text.Json;
using WeaveHypervisor.Model;
using WeaveHypervisor.Operations;
using WeaveHypervisor.Weaving.Branching;

namespace WeaveHypervisor.Weaving.Retention;

/// <summary>
/// Ends weaves whose time to live is over, by ordinary operations. It takes nothing with it that somebody may still want: an expired weave that is active, or has
/// snapshots of its own, is kept until that has changed.
/// </summary>
internal sealed class Expiry(Bench bench, OperationDesk desk, IJournal journal)
{
    /// <summary>How far back in an environment's journal a failed deletion is looked for.</summary>
    private const int Remembered = 200;
    /// <summary>Weaves that are looked at together.</summary>
    private const int Together = 200;

    public async Task<ExpiryReport> RunAsync(TimeSpan retryAfter, string requestedBy, CancellationToken stop)
    {
        var (begun, kept) = (new List<Operation>(), new List<KeptWeave>());
        // One at a time, so that two services of a host do not both begin.
        await using var one = await bench.LockAsync("expiry", stop);
        foreach (var environment in (await bench.Store.ListEnvironmentsAsync(stop)).Where(bench.IsHere))
        {
            if (environment.State != EnvironmentState.Managed) continue;
            var due = new List<Weave>();
            await foreach (var part in bench.Store.WeavePartsAsync(environment.Id, Together, stop)) due.AddRange(part.Where(w => w.ExpiresAt <= bench.Now && (w.State != WeaveState.Creating || w.Verifies is not null)));
            if (due.Count == 0) continue;
            var weaves = await bench.Store.ListWeavesAsync(environment.Id, stop);
            var snapshots = await bench.Store.ListSnapshotsAsync(environment.Id, null, null, stop);
            var unfinished = (await journal.ListAsync(environment.Id, true, int.MaxValue, null, stop)).Select(o => o.Subject).ToHashSet(StringComparer.Ordinal);
            var recent = await journal.ListAsync(environment.Id, false, Remembered, null, stop);
            foreach (var weave in due)
            {
                var subject = $"{environment.Id}/{weave.Id}";
                // Whatever is at work on it may change what is known of it: the next look decides.
                if (unfinished.Contains(subject) || (weave.Verifies is { } verified && unfinished.Contains($"{environment.Id}/{verified}"))) continue;
                if (recent.FirstOrDefault(o => o.Kind == Kinds.Delete && o.Subject == subject) is { State: not OperationState.Succeeded, EndedAt: { } ended } last && bench.Now - ended < retryAfter && ended >= weave.CreatedAt)
                {
                    kept.Add(new(environment.Id, weave.Id, weave.ExpiresAt!.Value, $"Its deletion {last.Id} failed: {last.Error?.Message}"));
                    continue;
                }
                try
                {
                    DeletionRules.CheckWeave(weave, environment, snapshots, weaves, withSnapshots: false);
                    var plan = new DeletePlan { Environment = environment.Id, Weave = weave.Id, ExpiredAt = weave.ExpiresAt };
                    begun.Add(await desk.SubmitAsync(Kinds.Delete, environment.Id, subject, JsonSerializer.Serialize(plan, WeavingJson.Default.DeletePlan), requestedBy, host: bench.Host, stop: stop));
                }
                catch (WeaveException e) when (e.Fault == Fault.Conflict)
                {
                    kept.Add(new(environment.Id, weave.Id, weave.ExpiresAt!.Value, e.Message));
                }
            }
        }
        return new(begun, kept);
    }
}
