using WeaveHypervisor.Model;

namespace WeaveHypervisor.Weaving.Retention;

/// <summary>What may be deleted, and what holds the rest. The same rules at submission and again when the operation runs.</summary>
internal static class DeletionRules
{
    public static void CheckSnapshot(Snapshot snapshot, IReadOnlyList<Weave> weaves)
    {
        CheckNotVerified(weaves, w => w == snapshot.Id, $"Snapshot '{snapshot.Id}'");
        var holders = weaves.Where(w => w.Origin == snapshot.Id).Select(w => $"{w.Environment}/{w.Id}").ToList();
        if (holders.Count > 0) throw new WeaveException(Fault.Conflict, $"Snapshot '{snapshot.Id}' is needed by {Names(holders)}, made from it.",
            $"Delete {Names(holders)} first.", holders: holders);
    }

    public static void CheckWeave(Weave weave, ManagedEnvironment environment, IReadOnlyList<Snapshot> snapshots, IReadOnlyList<Weave> weaves, bool withSnapshots)
    {
        var name = $"{weave.Environment}/{weave.Id}";
        if (weave.IsMain) throw new WeaveException(Fault.Conflict, $"'{name}' is the adopted original; it is never deleted.",
            $"Give the machines back with `weave env release {environment.Id}`.");
        if (environment.ActiveWeave == weave.Id) throw new WeaveException(Fault.Conflict, $"'{name}' is the active weave of '{environment.Id}'.",
            $"Activate another first, for example `weave activate {environment.Id}/{environment.PreviousActive?.Text ?? "main"}`.", holders: [$"active weave of {environment.Id}"]);
        var own = snapshots.Where(s => s.Weave == weave.Id).ToList();
        CheckNotVerified(weaves, w => own.Any(s => s.Id == w), $"A snapshot of '{name}'");
        var made = weaves.Where(w => w.Id != weave.Id && w.Origin is { } origin && own.Any(s => s.Id == origin)).Select(w => $"{w.Environment}/{w.Id}").ToList();
        if (made.Count > 0) throw new WeaveException(Fault.Conflict, $"'{name}' has snapshots from which {Names(made)} {(made.Count == 1 ? "was" : "were")} made.",
            $"Delete {Names(made)} first.", holders: made);
        if (own.Count > 0 && !withSnapshots) throw new WeaveException(Fault.Conflict, $"'{name}' has {own.Count} snapshot{(own.Count == 1 ? "" : "s")} of its own, which would be lost.",
            "Delete them too with `--with-snapshots`, or one by one with `weave snapshot delete`.", holders: [.. own.Select(s => s.Id.Text)]);
    }

    public static void CheckRelease(ManagedEnvironment environment, IReadOnlyList<Weave> weaves, bool force)
    {
        var others = weaves.Where(w => !w.IsMain && w.Verifies is null).Select(w => $"{w.Environment}/{w.Id}").ToList();
        if (others.Count > 0 && !force) throw new WeaveException(Fault.Conflict, $"Environment '{environment.Id}' still has {Names(others)}; releasing it would end {(others.Count == 1 ? "it" : "them")}.",
            "Delete the weaves first, or repeat with `--force` to end them together with the history.", holders: others);
    }

    private static void CheckNotVerified(IReadOnlyList<Weave> weaves, Func<SnapshotId, bool> meant, string what)
    {
        if (weaves.FirstOrDefault(w => w.Verifies is { } snapshot && meant(snapshot)) is { } weave)
            throw new WeaveException(Fault.Conflict, $"{what} is being verified.", $"Wait until that has ended, or cancel it: `weave op list --env {weave.Environment} --unfinished`.", holders: [$"verification of {weave.Verifies}"]);
    }

    private static string Names(IReadOnlyList<string> names) => names.Count switch
    {
        1 => $"'{names[0]}'",
        <= 5 => string.Join(", ", names.Select(n => $"'{n}'")),
        _ => string.Join(", ", names.Take(5).Select(n => $"'{n}'")) + $" and {names.Count - 5} more",
    };
}
