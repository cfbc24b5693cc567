using WeaveHypervisor.Model;

namespace WeaveHypervisor.Operations;

/// <summary>
/// Life cycle of an operation. Queued → Running → Succeeded; Running → Undoing → Undone (failed, or cancelled, and everything is as before);
/// Running past the point of no return and failing again and again → Failed; Undoing and failing again and again → Failed; Queued → Undone (cancelled before it began).
/// Succeeded, Undone and Failed are final.
/// </summary>
public enum OperationState { Queued, Running, Undoing, Succeeded, Undone, Failed }

/// <summary>State of one step. Pending → Doing → Done; Doing, Done → Undoing → Undone; Doing, Undoing → Failed.</summary>
public enum StepState { Pending, Doing, Done, Undoing, Undone, Failed }

/// <summary>One queued piece of work as the journal holds it.</summary>
public sealed record Operation
{
    public required OperationId Id { get; init; }
    /// <summary>Stored name of the step list, for example "weave.create".</summary>
    public required string Kind { get; init; }
    /// <summary>Version of the step list that wrote it.</summary>
    public required int Version { get; init; }
    public required EnvironmentId Environment { get; init; }
    /// <summary>What it works on, for people: "lab/past".</summary>
    public required string Subject { get; init; }
    /// <summary>The hypervisor host that it works on, where several share the state; null: there is only one.</summary>
    public HostId? Host { get; init; }
    public required string RequestedBy { get; init; }
    public required DateTimeOffset CreatedAt { get; init; }
    public DateTimeOffset? StartedAt { get; init; }
    public DateTimeOffset? EndedAt { get; init; }
    public required OperationState State { get; init; }
    /// <summary>The plan: JSON of the step list's plan type; steps add to it what they learn.</summary>
    public required string Plan { get; init; }
    public required IReadOnlyList<StepRecord> Steps { get; init; }
    public OperationError? Error { get; init; }
    /// <summary>JSON result for the caller; null until it succeeded.</summary>
    public string? Result { get; init; }
    public bool CancelRequested { get; init; }
    /// <summary>How often a runner found it unfinished and took it up again.</summary>
    public int Resumptions { get; init; }
    /// <summary>Grows by one with every write.</summary>
    public long Revision { get; init; }

    public bool IsEnded => State is OperationState.Succeeded or OperationState.Undone or OperationState.Failed;
}

public sealed record StepRecord(string Name, StepState State, DateTimeOffset? StartedAt = null, DateTimeOffset? EndedAt = null, string? Note = null, int Attempts = 0);

/// <summary>Why an operation ended without success.</summary>
public sealed record OperationError(Fault Fault, string Message, string? NextStep, IReadOnlyList<string> Holders);

/// <summary>What is being done now; kept in memory and sent to watchers, not in the journal.</summary>
public sealed record OperationProgress(OperationId Operation, string Step, string Activity, long Done, long Total);

/// <summary>The right to run operations of one environment: <see cref="Number"/> grows with each new holder, and every journal write presents it.</summary>
public sealed record Lease(EnvironmentId Environment, string Owner, long Number, DateTimeOffset ExpiresAt);

/// <summary>A request to start an operation exactly once.</summary>
public sealed record Submission(Operation Operation, string? IdempotencyKey, string? RequestHash);
