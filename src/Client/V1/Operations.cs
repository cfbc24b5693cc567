using System.Text.Json;

namespace WeaveHypervisor.Client.V1;

public sealed record OperationView
{
    public required string Id { get; init; }
    public required string Kind { get; init; }
    public required string Environment { get; init; }
    public required string Subject { get; init; }
    public required string RequestedBy { get; init; }
    /// <summary>queued, running, undoing, succeeded, undone or failed; the last three are final.</summary>
    public required string State { get; init; }
    public required DateTimeOffset CreatedAt { get; init; }
    public DateTimeOffset? StartedAt { get; init; }
    public DateTimeOffset? EndedAt { get; init; }
    public required IReadOnlyList<StepView> Steps { get; init; }
    public ProgressView? Progress { get; init; }
    public OperationErrorView? Error { get; init; }
    /// <summary>What it made, in the form of its kind; null until it succeeded.</summary>
    public JsonElement? Result { get; init; }
    public bool CancelRequested { get; init; }
    public int Resumptions { get; init; }

    public bool IsEnded() => State is "succeeded" or "undone" or "failed";
}

public sealed record StepView(string Name, string State, DateTimeOffset? StartedAt, DateTimeOffset? EndedAt, string? Note);

public sealed record ProgressView(string Step, string Activity, long Done, long Total);

public sealed record OperationErrorView(string Fault, string Detail, string? NextStep, IReadOnlyList<string> Holders);

/// <summary>Problem details (RFC 9457) with our members.</summary>
public sealed record Problem
{
    public string? Type { get; init; }
    public string? Title { get; init; }
    public int? Status { get; init; }
    public string? Detail { get; init; }
    public string? Instance { get; init; }
    /// <summary>invalidRequest, notFound, alreadyExists, conflict, busy, unsupported, exhausted, unavailable, dataLoss or internal.</summary>
    public string? Fault { get; init; }
    public string? NextStep { get; init; }
    public IReadOnlyList<string>? Holders { get; init; }
    public string? Operation { get; init; }
    /// <summary>Seconds.</summary>
    public int? RetryAfter { get; init; }
}

public sealed record FindingView(string Level, string Subject, string Text, string? NextStep);

public sealed record DoctorView(string Hypervisor, string Version, IReadOnlyDictionary<string, string> Details, IReadOnlyList<FindingView> Findings, IReadOnlyList<string> Repaired)
{
    /// <summary>What a repair would do; empty after one.</summary>
    public IReadOnlyList<string> Repairable { get; init => field = value ?? []; } = [];
    /// <summary>Environments that were not compared, because operations are at work there.</summary>
    public IReadOnlyList<string> Busy { get; init => field = value ?? []; } = [];
}

public sealed record VersionView(string Product, string Version, string Driver);

public sealed record TokenBody
{
    public required string Name { get; init; }
    /// <summary>viewer, operator or admin.</summary>
    public required string Role { get; init; }
    /// <summary>Null: all environments.</summary>
    public IReadOnlyList<string>? Environments { get; init; }
    public string? Ttl { get; init; }
}

/// <param name="Secret">Told once, when it is made.</param>
public sealed record TokenView(string Id, string Name, string Role, IReadOnlyList<string>? Environments, DateTimeOffset CreatedAt, DateTimeOffset? ExpiresAt, bool Revoked, string? Secret = null);

public sealed record AuditView(DateTimeOffset At, string Who, string What, string Subject, string Result);

/// <summary>One page of a list; the last has no `nextPageToken`.</summary>
public sealed record Page<T>(IReadOnlyList<T> Items, string? NextPageToken = null);
