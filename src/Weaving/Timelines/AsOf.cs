using WeaveHypervisor.Model;

namespace WeaveHypervisor.Weaving.Timelines;

/// <summary>The question "as of T": the newest snapshot at or before T on the line of a weave.</summary>
internal static class AsOf
{
    /// <summary>
    /// The line of a weave: its own snapshots and, through its origin, those that came before on the lines which it continues. Oldest first.
    /// A snapshot of a source weave that was taken after the origin is not on the line.
    /// </summary>
    public static IReadOnlyList<Snapshot> LineOf(Weave weave, IReadOnlyList<Snapshot> all)
    {
        var byId = all.ToDictionary(s => s.Id);
        var line = all.Where(s => s.Weave == weave.Id && s.State == SnapshotState.Ready).ToList();
        var seen = line.Select(s => s.Id).ToHashSet();
        for (var next = weave.Origin; next is { } id && byId.TryGetValue(id, out var snapshot) && seen.Add(id); next = snapshot.Parent)
            if (snapshot.State == SnapshotState.Ready) line.Add(snapshot);
        line.Sort((a, b) => a.At != b.At ? a.At.CompareTo(b.At) : string.CompareOrdinal(a.Id.Text, b.Id.Text));
        return line;
    }

    /// <summary>The weave that was active at <paramref name="at"/>; `main` before the first activation.</summary>
    public static WeaveId ActiveAt(IReadOnlyList<Activation> activations, DateTimeOffset at)
    {
        var active = Weave.Main;
        foreach (var activation in activations)
            if (activation.From <= at) active = activation.Weave;
        return active;
    }

    /// <summary>Newest snapshot of <paramref name="line"/> at or before <paramref name="at"/>, both limits at millisecond precision; refused (NotFound, InvalidRequest) with the times there are.</summary>
    public static Snapshot Find(EnvironmentId environment, WeaveId weave, IReadOnlyList<Snapshot> line, DateTimeOffset at, DateTimeOffset now)
    {
        at = at.ToMilliseconds();
        if (at > now.ToMilliseconds()) throw new WeaveException(Fault.InvalidRequest, $"{at.Rfc()} is in the future (now is {now.Rfc()}).",
            "Give a time that has passed, or none to weave from now.");
        if (line.Count == 0) throw new WeaveException(Fault.NotFound, $"The line of '{environment}/{weave}' has no snapshot yet.",
            $"Take one with `weave snapshot {environment}`, or weave from now by leaving out the time.");
        Snapshot? found = null;
        foreach (var snapshot in line)
            if (snapshot.At <= at) found = snapshot;
        return found ?? throw new WeaveException(Fault.NotFound, $"The history of '{environment}/{weave}' begins at {line[0].At.Rfc()}; there is no snapshot at or before {at.Rfc()}.",
            $"Use {line[0].At.Rfc()} or later; `weave timeline {environment}` shows what there is.");
    }
}
