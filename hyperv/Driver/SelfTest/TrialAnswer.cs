namespace WeaveHypervisor.HyperV.SelfTest;

/// <summary>How a question to a host was answered.</summary>
public enum TrialOutcome
{
    /// <summary>The host does it.</summary>
    Ok,
    /// <summary>The host does not do it: it said so twice, each time from a fresh beginning.</summary>
    Not,
    /// <summary>It was not asked, because something that it needs is missing.</summary>
    Skipped,
}

/// <summary>One question of the self-test and its answer.</summary>
/// <param name="Trial">The step that asked: "routes".</param>
/// <param name="Question">What was to be found out, as a statement: "a paused machine can be saved".</param>
/// <param name="Seen">What the host did or said, perhaps in its own language.</param>
public sealed record TrialAnswer(string Trial, string Question, TrialOutcome Outcome, string Seen);

/// <summary>What a trial saw, and whether that is what was asked for.</summary>
internal readonly record struct Seen(bool Yes, string What)
{
    public static Seen Of(string what) => new(true, what);
    public static Seen Not(string what) => new(false, what);
    public static Seen If(bool yes, string what, string otherwise) => yes ? Of(what) : Not(otherwise);
}
