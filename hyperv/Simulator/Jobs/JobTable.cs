using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Cim.Wrappers;

namespace WeaveHypervisor.HyperV.Simulator.Jobs;

/// <summary>What a job has done.</summary>
/// <param name="Affected">What it made or changed.</param>
/// <param name="Warnings">Findings; the job ends in 32768 where there are some and <paramref name="Quiet"/> is not set.</param>
internal sealed record JobEnd(IReadOnlyList<CimPath> Affected, IReadOnlyList<HostMessage>? Warnings = null, bool Quiet = false);

/// <summary>A job: what is to happen at its end, and what is to be undone where it never comes to that.</summary>
internal sealed class SimulatedJob
{
    public required Guid Id { get; init; }
    public required string ClassName { get; init; }
    public required string Caption { get; init; }
    public ushort? JobType { get; init; }
    public bool Cancellable { get; init; }
    public required DateTimeOffset Begun { get; init; }
    public required DateTimeOffset Ends { get; set; }
    public required Func<JobEnd> Effect { get; init; }
    public Action? Undo { get; init; }
    public CallFault? Fault { get; init; }

    public ushort State { get; set; } = 3;
    public ushort ErrorCode { get; set; }
    public string? ErrorDescription { get; set; }
    public IReadOnlyList<HostMessage> Messages { get; set; } = [];
    public IReadOnlyList<CimPath> Affected { get; set; } = [];
    public DateTimeOffset? Ended { get; set; }
    public bool IsOver => Ended is not null;
}

/// <summary>
/// Jobs of a host, on its clock: starting (3), running (4), then done (7), done with warnings (32768), terminated (8) or failed (10); gone five minutes later. Effects come at the end alone.
/// Nothing runs by itself: each call first brings the table up to the present.
/// </summary>
internal sealed class JobTable(TimeProvider clock, Func<Guid> newId)
{
    private static readonly TimeSpan Kept = TimeSpan.FromMinutes(5);
    private readonly List<SimulatedJob> _jobs = [];

    public IReadOnlyList<SimulatedJob> Jobs => _jobs;

    public SimulatedJob Begin(string className, string caption, TimeSpan time, Func<JobEnd> effect, Action? undo = null, ushort? jobType = null, bool cancellable = false, CallFault? fault = null)
    {
        var now = clock.GetUtcNow();
        var job = new SimulatedJob { Id = newId(), ClassName = className, Caption = caption, JobType = jobType, Cancellable = cancellable, Begun = now, Ends = now + time, Effect = effect, Undo = undo, Fault = fault };
        _jobs.Add(job);
        return job;
    }

    /// <summary>Ends what is due, in the order of its times, and forgets what has been over for long.</summary>
    public void Advance()
    {
        var now = clock.GetUtcNow();
        while (_jobs.Where(j => !j.IsOver && j.Ends <= now && j.Fault != CallFault.JobHangs).MinBy(j => j.Ends) is { } job) End(job, job.Ends);
        foreach (var job in _jobs.Where(j => !j.IsOver)) job.State = now - job.Begun < (job.Ends - job.Begun) / 4 ? (ushort)3 : (ushort)4;
        _jobs.RemoveAll(j => j.Ended is { } ended && (now - ended >= Kept || j.Fault == CallFault.JobVanishes));
    }

    private static void End(SimulatedJob job, DateTimeOffset at)
    {
        job.Ended = at;
        try
        {
            if (job.Fault == CallFault.JobFails) throw new JobFailure(JobFailure.InvalidArgument, $"'{job.Caption}' failed (injected)");
            var end = job.Effect();
            (job.Affected, job.Messages) = (end.Affected, end.Warnings ?? []);
            job.State = job.Messages.Count > 0 && !end.Quiet ? (ushort)32768 : (ushort)7;
        }
        catch (JobFailure e)
        {
            Fail(job, 10, e.Code, e.Message);
        }
        catch (Refusal e)
        {
            Fail(job, 10, e.Code, e.Message);
        }
    }

    private static void Fail(SimulatedJob job, ushort state, uint code, string text)
    {
        job.Undo?.Invoke();
        (job.State, job.ErrorCode, job.ErrorDescription) = (state, (ushort)code, text);
        job.Messages = [new("12000", text, job.Caption)];
    }

    /// <summary>Msvm_ConcreteJob.RequestStateChange: 4 ends it, 5 kills it.</summary>
    public uint RequestStateChange(SimulatedJob job, ushort? wanted)
    {
        if (wanted is not (4 or 5)) return 4098; // invalid state transition
        if (job.IsOver || !job.Cancellable) return 2;
        job.Ended = clock.GetUtcNow();
        Fail(job, wanted == 4 ? (ushort)8 : (ushort)9, Refusal.Failed, $"'{job.Caption}' was cancelled.");
        return 0;
    }

    /// <summary>The service is gone: unfinished jobs are undone, all are forgotten.</summary>
    public void Vanish()
    {
        foreach (var job in _jobs.Where(j => !j.IsOver).Reverse()) job.Undo?.Invoke();
        _jobs.Clear();
    }

    public CimObject Describe(SimulatedJob job)
    {
        var now = clock.GetUtcNow();
        var over = job.Ended ?? now;
        return new CimObject(job.ClassName)
            .With(ConcreteJob.InstanceID, job.Id.ToString().ToUpperInvariant()).With(ConcreteJob.ElementName, job.Caption).With(ConcreteJob.JobState, job.State).With(ConcreteJob.ErrorCode, job.ErrorCode)
            .With(ConcreteJob.ErrorDescription, job.ErrorDescription ?? "").With(ConcreteJob.JobStatus, job.IsOver ? "Job is over" : "Job is running").With(ConcreteJob.Cancellable, job.Cancellable)
            .With(ConcreteJob.PercentComplete, job.IsOver ? (ushort)100 : (ushort)Math.Clamp((now - job.Begun) / Max(job.Ends - job.Begun) * 100, 0, 99))
            .With(ConcreteJob.StartTime, CimTime.At(job.Begun)).With(ConcreteJob.ElapsedTime, CimTime.Lasting(over - job.Begun)).With(ConcreteJob.TimeBeforeRemoval, CimTime.Lasting(Kept))
            .With(ConcreteJob.JobType.Name, job.JobType is { } type ? CimValue.Of(type) : null);
    }

    private static TimeSpan Max(TimeSpan time) => time > TimeSpan.Zero ? time : TimeSpan.FromTicks(1);
}
