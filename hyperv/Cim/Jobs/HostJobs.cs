using System.Globalization;
using WeaveHypervisor.HyperV.Cim.Wrappers;

namespace WeaveHypervisor.HyperV.Cim;

/// <summary>
/// The one place where methods are called and their jobs are waited for. A method answers 0 (done), 4096 (a job goes on) or a code; a job ends in 7 (done), 32768 (done, with warnings), or badly (8 to 11),
/// and an ErrorCode is a failure even in 7. Finished jobs are kept by the host for five minutes only: one that is gone leaves the outcome unknown. Errors are <see cref="HostException"/>s.
/// </summary>
public sealed class HostJobs(ICimClient client, TimeProvider clock, JobOptions? options = null)
{
    private const uint JobStarted = 4096;
    private readonly JobOptions _options = options ?? new();

    /// <summary>
    /// Calls a method and waits for its job.
    /// </summary>
    /// <param name="deadline">For the whole. A job that is late is asked to end, then killed, where it can be; the error is <see cref="HostErrorKind.TimedOut"/>.</param>
    /// <param name="retryBusy">
    /// Makes the call again for a while where it is refused with 32774 or 32775, which settings methods answer while another operation is at work. Off for changes of the run state,
    /// where 32775 may mean that it is so already.
    /// </param>
    /// <param name="readMessages">Reads the messages of a job also where it succeeded without warnings: a validation reports its findings so.</param>
    public async Task<JobOutcome> RunAsync(CimPath target, CimCall call, TimeSpan deadline, CancellationToken stop, bool retryBusy = true, bool readMessages = false)
    {
        var what = $"{call.Method} of {Describe(target)}";
        var begun = clock.GetTimestamp();
        var pause = _options.FirstPause;
        while (true)
        {
            var answer = await InvokeAsync(target, call, what, stop);
            if (answer.ReturnValue == 0) return new(answer, null, []);
            if (answer.ReturnValue == JobStarted)
            {
                var path = answer.Get(JobParameter) ?? throw new HostException(HostErrorKind.OutcomeUnknown, $"{what}: the host says that a job goes on and does not name it", "4096");
                return await WaitAsync(path, answer, what, begun, deadline, readMessages, stop);
            }
            var elapsed = clock.GetElapsedTime(begun);
            if (!retryBusy || answer.ReturnValue is not (32774 or 32775) || elapsed + pause > _options.BusyFor || elapsed + pause > deadline) throw HostErrors.OfReturn(answer.ReturnValue, what);
            await Task.Delay(pause, clock, stop);
            pause = Longer(pause);
        }
    }

    /// <summary>What a job has made or changed, of one class. A call that was done at once names it in its out parameters instead.</summary>
    public async Task<IReadOnlyList<CimObject>> ResultsAsync(CimPath job, string resultClass, CancellationToken stop)
    {
        try
        {
            return await client.AssociatorsAsync(job, CimAffectedJobElement.ClassName, resultClass, null, null, stop);
        }
        catch (CimException e)
        {
            throw HostErrors.Of(e, $"What the job {job[CimConcreteJob.InstanceID.Name]} has made");
        }
    }

    /// <summary>
    /// Looks at an object until it is as wanted, which may be some time after the job that led to it has ended. <see cref="HostErrorKind.TimedOut"/> at the deadline, with what was seen last.
    /// A service that does not answer for a while is waited for.
    /// </summary>
    public async Task<CimObject> WaitForAsync(CimPath path, Func<CimObject, bool> wanted, string what, TimeSpan deadline, CancellationToken stop)
    {
        var begun = clock.GetTimestamp();
        for (var pause = _options.FirstPause; ; pause = Longer(pause))
        {
            var seen = await TryGetAsync(path, what, stop);
            if (seen is not null && wanted(seen)) return seen;
            if (clock.GetElapsedTime(begun) + pause > deadline) throw new HostException(HostErrorKind.TimedOut, $"{what} did not come true in {deadline.TotalSeconds:0} s");
            await Task.Delay(pause, clock, stop);
        }
    }

    private async Task<CimAnswer> InvokeAsync(CimPath target, CimCall call, string what, CancellationToken stop)
    {
        try
        {
            return await client.InvokeAsync(target, call, stop);
        }
        catch (CimException e) when (e.Status == CimStatus.ServerShuttingDown && e.WindowsError != 0x800706BA)
        {
            throw new HostException(HostErrorKind.OutcomeUnknown, $"{what}: the management service went away before it answered", e.Status.ToString(), e.WindowsError, inner: e);
        }
        catch (CimException e)
        {
            throw HostErrors.Of(e, what);
        }
    }

    private async Task<JobOutcome> WaitAsync(CimPath path, CimAnswer answer, string what, long begun, TimeSpan deadline, bool readMessages, CancellationToken stop)
    {
        CimObject? seen = null;
        var late = false;
        try
        {
            for (var pause = _options.FirstPause; ; pause = Longer(pause))
            {
                await Task.Delay(pause, clock, stop);
                var job = await TryGetAsync(path, what, stop, vanished: () => Vanished(what, seen));
                seen = job ?? seen;
                var state = job is null ? (ushort)0 : State(job);
                var code = job is null ? 0u : ErrorCode(job);
                if (state is 7 or 32768 && code == 0)
                    return new(answer, job, state == 32768 || readMessages ? await ReadMessagesAsync(path, stop) : []);
                if (state is 7 or 32768 or 8 or 9 or 10 or 11)
                    throw HostErrors.OfJob(code, Text(job!, CimConcreteJob.ErrorDescription) ?? Text(job!, ConcreteJob.ErrorSummaryDescription), await ReadMessagesAsync(path, stop), what);
                if (clock.GetElapsedTime(begun) + pause <= deadline) continue;
                late = true;
                throw new HostException(HostErrorKind.TimedOut, $"{what} did not end in {deadline.TotalSeconds:0} s (job state {state})");
            }
        }
        finally
        {
            if (late || stop.IsCancellationRequested) await EndAsync(path);
        }
    }

    /// <summary>An object, or null where the service does not answer just now.</summary>
    private async Task<CimObject?> TryGetAsync(CimPath path, string what, CancellationToken stop, Func<HostException>? vanished = null)
    {
        try
        {
            return await client.GetAsync(path, stop);
        }
        catch (CimException e) when (e.Status == CimStatus.NotFound && vanished is not null)
        {
            throw vanished();
        }
        catch (CimException e) when (HostErrors.Of(e, what).Kind is HostErrorKind.Unavailable or HostErrorKind.OutcomeUnknown)
        {
            return null;
        }
        catch (CimException e)
        {
            throw HostErrors.Of(e, what);
        }
    }

    private static HostException Vanished(string what, CimObject? seen) =>
        new(HostErrorKind.OutcomeUnknown, $"{what}: its job is gone {(seen is null ? "before it was seen" : $"after it was seen in state {State(seen)}, {seen.Find(CimConcreteJob.PercentComplete)?.ToString(CultureInfo.InvariantCulture) ?? "?"} % done")}", "4096");

    /// <summary>The job's texts; none where they cannot be had: the failure itself is worth more than its explanation.</summary>
    private async Task<IReadOnlyList<HostMessage>> ReadMessagesAsync(CimPath job, CancellationToken stop)
    {
        try
        {
            var answer = await client.InvokeAsync(job, ConcreteJob.GetErrorEx(), stop);
            var texts = answer.ReturnValue == 0 ? answer.Get(ConcreteJob.GetErrorExAnswer.Errors) ?? [] : [];
            return [.. texts.Select(EmbeddedInstance.Read).Select(e => new HostMessage(Text(e, Error.MessageID) ?? "", Text(e, Error.Message) ?? "", Text(e, Error.ErrorSource) ?? ""))];
        }
        catch (Exception e) when (e is CimException or FormatException)
        {
            return [];
        }
    }

    /// <summary>Asks a job to end, where it can be cancelled, and kills it where it does not in time. What fails at this is passed over: it is done for an error that is already told.</summary>
    private async Task EndAsync(CimPath job)
    {
        try
        {
            if ((await client.GetAsync(job, CancellationToken.None)).Find(ConcreteJob.Cancellable) is not true) return;
            await client.InvokeAsync(job, CimConcreteJob.RequestStateChange(4), CancellationToken.None);
            var begun = clock.GetTimestamp();
            while (clock.GetElapsedTime(begun) < _options.CancelGrace)
            {
                await Task.Delay(_options.LongestPause, clock, CancellationToken.None);
                if (State(await client.GetAsync(job, CancellationToken.None)) is not (2 or 3 or 4 or 5 or 6)) return;
            }
            await client.InvokeAsync(job, CimConcreteJob.RequestStateChange(5), CancellationToken.None);
        }
        catch (CimException)
        {
        }
    }

    private TimeSpan Longer(TimeSpan pause) => pause * 2 < _options.LongestPause ? pause * 2 : _options.LongestPause;

    // Job classes share these members: what is read by the names of the base class holds for Msvm_ConcreteJob, Msvm_StorageJob and Msvm_CopyFileToGuestJob alike.
    private static readonly CimProperty<CimPath> JobParameter = new("Job");
    private static ushort State(CimObject job) => job.Find(CimConcreteJob.JobState) ?? 0;
    private static uint ErrorCode(CimObject job) => job.Find(CimConcreteJob.ErrorCode) ?? 0;
    private static string? Text(CimObject o, CimProperty<string> property) => o.Get(property) is { Length: > 0 } text ? text : null;

    private static string Describe(CimPath path) => path[ComputerSystem.Name.Name] is { } name ? $"{path.ClassName} {name}" : path[CimConcreteJob.InstanceID.Name] is { } id ? $"{path.ClassName} {id}" : path.ClassName;
}
