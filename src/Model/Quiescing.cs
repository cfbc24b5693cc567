namespace WeaveHypervisor.Model;

/// <summary>What became of the wish to freeze a machine's file systems for a snapshot.</summary>
public enum QuiesceOutcome
{
    /// <summary>All file systems that the guest agent tells of were frozen at the instant.</summary>
    Frozen,
    /// <summary>Some were, others not: what was frozen is told, the whole counts as not frozen.</summary>
    Partial,
    /// <summary>Not asked for: its memory is of the same instant, and a copy of a frozen guest would wake up frozen.</summary>
    MemoryCaptured,
    /// <summary>The machine was off or paused; nobody could be asked.</summary>
    NotRunning,
    /// <summary>The machine has no channel for a guest agent.</summary>
    NoChannel,
    /// <summary>It has a channel, and no agent listens.</summary>
    NotConnected,
    /// <summary>The agent answered with an error, or with nonsense.</summary>
    Refused,
    /// <summary>The agent did not answer in time.</summary>
    TimedOut,
}

/// <summary>How far a machine was quiesced for a snapshot.</summary>
/// <param name="FileSystems">How many the agent said that it froze.</param>
/// <param name="Frozen">From the request to freeze to the agent's word that all is thawed; zero where nothing was frozen.</param>
/// <param name="Reason">Why it is not <see cref="QuiesceOutcome.Frozen"/>, for people.</param>
/// <param name="NotThawed">What to do where the agent did not say in time that all is thawed; null: it did. The service asks on until it does.</param>
public sealed record Quiescing(QuiesceOutcome Outcome, int FileSystems = 0, TimeSpan Frozen = default, string? Reason = null, string? NotThawed = null);
