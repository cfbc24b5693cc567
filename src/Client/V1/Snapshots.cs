namespace WeaveHypervisor.Client.V1;

/// <summary>Body of `POST …/snapshots`.</summary>
public sealed record SnapshotBody
{
    /// <summary>Null: the active one.</summary>
    public string? Weave { get; init; }
    public string? Label { get; init; }
    /// <summary>Default true.</summary>
    public bool? Memory { get; init; }
    /// <summary>Have guest agents freeze file systems, in machines whose memory is not captured. What was reached is in the result; a guest that cannot be frozen does not fail the snapshot.</summary>
    public bool? Quiesce { get; init; }
}

/// <summary>Body of `POST …/verify`; may be empty: guest agents that are connected are asked, and where there is none, the machines need only run for some seconds.</summary>
public sealed record VerifyBody
{
    /// <summary>A port that must answer; not together with agent.</summary>
    public ProbeBody? Probe { get; init; }
    /// <summary>Guest agents that must answer.</summary>
    public AgentBody? Agent { get; init; }
    /// <summary>Seconds that an answer may take; 60 where it is left out.</summary>
    public double? TimeoutSeconds { get; init; }
}

public sealed record AgentBody
{
    /// <summary>Null: of every machine that runs.</summary>
    public string? Machine { get; init; }
}

/// <summary>The last trial whether a snapshot can be revived.</summary>
/// <param name="Level">What answered: service (a port), agent (guest agents), or running (nothing was asked; the machines ran on), best first.</param>
/// <param name="Probe">What was asked, for people.</param>
/// <param name="Reason">Why it failed; null where it passed.</param>
/// <param name="FirstReplyMs">From the beginning of the start to the first reply; null where none was measured.</param>
public sealed record VerificationView(DateTimeOffset At, bool Passed, string Level, string Probe, string? Reason, double? FirstReplyMs, IReadOnlyList<VerifiedMachineView> Machines);

/// <param name="Method">How its memory came back: shared, whole, boot, kept or off.</param>
public sealed record VerifiedMachineView(string Name, string RunState, string Method, string? Reason);

/// <param name="Kind">layer, adopted (the user's own file), memory or deviceState.</param>
/// <param name="Bytes">Bytes on disk that were written since the snapshot before; null where they were not measured.</param>
/// <param name="Below">Of a layer: how many files it stands on.</param>
public sealed record SnapshotFileView(string Machine, string Kind, string Path, string? Volume = null, long? Bytes = null, int? Below = null);

public sealed record SnapshotView
{
    public required string Id { get; init; }
    public required string Environment { get; init; }
    public required string Weave { get; init; }
    public string? Parent { get; init; }
    public required DateTimeOffset At { get; init; }
    public string? Label { get; init; }
    /// <summary>Who asked for it: the name of a token, or (policy); null where that is not known.</summary>
    public string? MadeBy { get; init; }
    /// <summary>capturing, ready or deleting.</summary>
    public required string State { get; init; }
    /// <summary>machine, filesystem or crash.</summary>
    public required string Consistency { get; init; }
    public required double SkewMs { get; init; }
    public required double LongestPauseMs { get; init; }
    public required long MemoryBytes { get; init; }
    /// <summary>It was taken only to make a weave from now, and goes with the last weave that was made from it.</summary>
    public bool ForWeave { get; init; }
    /// <summary>Null where it was never verified.</summary>
    public VerificationView? Verification { get; init; }
    public required IReadOnlyList<SnapshotMachineView> Machines { get; init; }
    /// <summary>The files of this snapshot; null in lists.</summary>
    public IReadOnlyList<SnapshotFileView>? Files { get; init; }
}

public sealed record SnapshotMachineView
{
    public required string Name { get; init; }
    public required string RunState { get; init; }
    public required string Method { get; init; }
    public string? Reason { get; init; }
    public required double PauseMs { get; init; }
    public required long MemoryBytes { get; init; }
    /// <summary>Null where the snapshot was taken without `quiesce`.</summary>
    public QuiescingView? Quiescing { get; init; }
}

/// <param name="Outcome">frozen, partial, memoryCaptured, notRunning, noChannel, notConnected, refused or timedOut.</param>
/// <param name="FileSystems">How many were frozen.</param>
/// <param name="Reason">Why it is not frozen.</param>
/// <param name="NotThawed">What to do where the agent did not say in time that all is thawed.</param>
public sealed record QuiescingView(string Outcome, int FileSystems, double FrozenMs, string? Reason, string? NotThawed);
