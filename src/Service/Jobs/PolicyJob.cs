using Hangfire;
using Hangfire.Common;
using Hangfire.States;
using Hangfire.Storage;
using WeaveHypervisor.Model;
using WeaveHypervisor.Service.Housekeeping;
using WeaveHypervisor.Weaving;
using WeaveHypervisor.Weaving.Access;

namespace WeaveHypervisor.Service.Jobs;

/// <summary>
/// The recurring job that looks at what the policies of all environments want done. Which points are due is told by the clock and the store, never by the job: one that comes late,
/// twice, or in another service takes nothing twice and leaves nothing out but what is said.
/// </summary>
public sealed partial class PolicyJob(IWeaver weaver, IAuditLog audit, TimeProvider clock, ILogger<PolicyJob> log)
{
    /// <summary>Name of the recurring job.</summary>
    public const string Name = "policies";
    /// <summary>A queue of its own, with a worker of its own: long operations, which hold all workers of theirs, must not hold it up.</summary>
    public const string Queue = "policies";
    private int _looking;
    private readonly HashSet<SkippedPoint> _told = [];

    [Queue(Queue), AutomaticRetry(Attempts = 0), SoonForgotten]
    public async Task RunAsync(CancellationToken stop)
    {
        if (Interlocked.Exchange(ref _looking, 1) == 1) return;
        try
        {
            var report = await weaver.RunPoliciesAsync(stop);
            foreach (var operation in report.Begun)
                await audit.AppendAsync(new(0, clock.GetUtcNow(), SnapshotPolicy.Maker, operation.Kind, operation.Subject, $"accepted: {operation.Id}"), CancellationToken.None);
            // Every look finds it again until its slot is over; it is said once.
            foreach (var point in report.Skipped.Where(p => _told.All(t => t.Environment != p.Environment || t.Slot != p.Slot)))
            {
                Skipped(log, point.Slot, point.Environment.Text, point.Reason);
                await audit.AppendAsync(new(0, clock.GetUtcNow(), SnapshotPolicy.Maker, "snapshot", point.Environment.Text, $"left out: {point.Reason}"), CancellationToken.None);
            }
            _told.Clear();
            _told.UnionWith(report.Skipped);
        }
        finally
        {
            Volatile.Write(ref _looking, 0);
        }
    }

    [LoggerMessage(LogLevel.Warning, "The point of {Environment} that was due at {Slot:u} is left out: {Reason}.")]
    private static partial void Skipped(ILogger log, DateTimeOffset slot, string environment, string reason);

    /// <summary>There may be one each second: they are kept for minutes, not for a day.</summary>
    [AttributeUsage(AttributeTargets.Method)]
    private sealed class SoonForgottenAttribute : JobFilterAttribute, IApplyStateFilter
    {
        public void OnStateApplied(ApplyStateContext context, IWriteOnlyTransaction transaction) => context.JobExpirationTimeout = TimeSpan.FromMinutes(5);
        public void OnStateUnapplied(ApplyStateContext context, IWriteOnlyTransaction transaction) { }
    }
}

/// <summary>
/// Keeps the recurring job as frequent as the policies need it and no more: at the beginning of every minute, or more often where a policy counts in parts of minutes.
/// </summary>
internal sealed class PolicySchedule(IWeaveStore store, IRecurringJobManager jobs, TimeProvider clock, HousekeepingOptions options, ILogger<PolicySchedule> log) : PeriodicLook(clock, options.ScheduleEvery, log)
{
    private string? _cron;

    protected override async Task LookAsync(CancellationToken stop)
    {
        var cron = CronOf((await store.ListEnvironmentsAsync(stop)).Select(e => e.Policy?.Every).OfType<TimeSpan>());
        if (cron == _cron) return;
        jobs.AddOrUpdate<PolicyJob>(PolicyJob.Name, PolicyJob.Queue, job => job.RunAsync(CancellationToken.None), cron, new() { TimeZone = TimeZoneInfo.Utc });
        _cron = cron;
    }

    /// <summary>Cron, with seconds where needed, that meets the beginning of every slot.</summary>
    internal static string CronOf(IEnumerable<TimeSpan> periods)
    {
        var common = periods.Select(p => (long)p.TotalSeconds).Aggregate(60L, Common);
        return common == 60 ? "* * * * *" : common == 1 ? "* * * * * *" : string.Create(System.Globalization.CultureInfo.InvariantCulture, $"*/{common} * * * * *");
        static long Common(long a, long b) => b == 0 ? a : Common(b, a % b);
    }
}
