using WeaveHypervisor.Model;

namespace WeaveHypervisor.Operations;

/// <summary>How patient a runner is.</summary>
public sealed record RunnerOptions
{
    /// <summary>The hypervisor host whose operations it runs; null: of all, there is only one.</summary>
    public HostId? Host { get; init; }
    /// <summary>How long a lease lasts when its holder dies without giving it back.</summary>
    public TimeSpan LeaseDuration { get; init; } = TimeSpan.FromSeconds(30);
    /// <summary>How often the lease is prolonged while it is used; well below <see cref="LeaseDuration"/>.</summary>
    public TimeSpan RenewEvery { get; init; } = TimeSpan.FromSeconds(8);
    /// <summary>How often a runner asks again for a lease that another holds: a look at the environment gives it back after moments.</summary>
    public TimeSpan LeasePoll { get; init; } = TimeSpan.FromSeconds(1);
    /// <summary>How long a run goes on with what was woken meanwhile in its environment, before the next has to be woken again: other environments wait for the same workers.</summary>
    public TimeSpan LongestRun { get; init; } = TimeSpan.FromSeconds(10);
    /// <summary>How often the journal is read for a request to cancel that came through another process.</summary>
    public TimeSpan CancelPoll { get; init; } = TimeSpan.FromSeconds(1);
    /// <summary>How often a step that failed with a transient fault is tried again before the operation is undone.</summary>
    public int TransientRetries { get; init; } = 3;
    /// <summary>How often a step past the point of no return is tried in one run before the operation is given up.</summary>
    public int ForwardAttempts { get; init; } = 10;
    /// <summary>How often the undoing of one step is tried in one run before the operation is given up.</summary>
    public int UndoAttempts { get; init; } = 6;
    /// <summary>
    /// How long a step past the point of no return, or an undo, is tried again beyond that where the fault passes by itself (a hypervisor that does not answer): giving up would leave things half done.
    /// </summary>
    public TimeSpan TransientPatience { get; init; } = TimeSpan.FromHours(1);
    /// <summary>The wait before the second attempt; doubled for each further one.</summary>
    public TimeSpan FirstBackoff { get; init; } = TimeSpan.FromMilliseconds(500);
    public TimeSpan LongestBackoff { get; init; } = TimeSpan.FromSeconds(30);
    /// <summary>An operation that was taken up again more often than this (its step ends the process each time) is undone where it can be.</summary>
    public int MostResumptions { get; init; } = 20;

    internal TimeSpan Backoff(int attempt) => FirstBackoff * Math.Pow(2, Math.Min(attempt - 1, 20)) is var wait && wait < LongestBackoff ? wait : LongestBackoff;
}
