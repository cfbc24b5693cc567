using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Weaving.Capture;

/// <summary>One capture inside a plan: what is asked, what was prepared, what came out.</summary>
internal sealed class CapturePlan
{
    public required EnvironmentId Environment { get; set; }
    /// <summary>Null until prepared where the active weave was asked for.</summary>
    public WeaveId? Weave { get; set; }
    public required SnapshotId Snapshot { get; set; }
    public string? Label { get; set; }
    public bool Memory { get; set; } = true;
    public bool Quiesce { get; set; }
    /// <summary>Nobody asked for the snapshot itself, but for a weave from now.</summary>
    public bool ForWeave { get; set; }
    /// <summary>Who asked for it.</summary>
    public string? MadeBy { get; set; }

    /// <summary>Written before the effect: every id and path of the capture.</summary>
    public CaptureRequest? Request { get; set; }
    /// <summary>The blueprint as it is now, read when the capture was prepared.</summary>
    public EnvironmentBlueprint? Blueprint { get; set; }
    public CaptureResult? Result { get; set; }
    public SnapshotResult? Recorded { get; set; }
}

/// <summary>Implemented by the plans that hold a capture; null: this operation captures nothing.</summary>
internal interface ICaptures
{
    CapturePlan? Capture { get; }
}

/// <summary>Result of a snapshot operation.</summary>
internal sealed record SnapshotResult(SnapshotId Snapshot, EnvironmentId Environment, WeaveId Weave, DateTimeOffset At, Consistency Consistency, double SkewMs,
    double LongestPauseMs, long StoredBytes, IReadOnlyList<SnapshotMachineResult> Machines);

internal sealed record SnapshotMachineResult(MachineName Name, RunState RunState, string Method, string? Reason, double PauseMs, long MemoryBytes, QuiescingResult? Quiescing = null);

internal sealed record QuiescingResult(QuiesceOutcome Outcome, int FileSystems, double FrozenMs, string? Reason, string? NotThawed);

internal sealed class SnapshotPlan : ICaptures
{
    public required CapturePlan Capture { get; set; }
    CapturePlan? ICaptures.Capture => Capture;
}
