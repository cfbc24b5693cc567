using WeaveHypervisor.Weaving;
using WeaveHypervisor.Weaving.Access;

namespace WeaveHypervisor.Service.Housekeeping;

/// <summary>Begins the deletion of weaves whose time to live is over. What is kept all the same is told once, and again when the reason changes.</summary>
internal sealed partial class ExpiredWeaves(IWeaver weaver, IAuditLog audit, TimeProvider clock, HousekeepingOptions options, ILogger<ExpiredWeaves> log) : PeriodicLook(clock, options.ExpiryEvery, log)
{
    /// <summary>Who asks, in journal and audit log; no token can have this name.</summary>
    public const string Requester = "(expiry)";
    private readonly TimeProvider _clock = clock;
    private HashSet<KeptWeave> _told = [];

    protected override async Task LookAsync(CancellationToken stop)
    {
        var report = await weaver.DeleteExpiredAsync(options.ExpiryRetryAfter, new(Requester), stop);
        foreach (var operation in report.Begun)
        {
            Begun(Log, operation.Subject, operation.Id.Text);
            await audit.AppendAsync(new(0, _clock.GetUtcNow(), Requester, "weave.delete", operation.Subject, $"accepted: {operation.Id}"), CancellationToken.None);
        }
        foreach (var kept in report.Kept.Where(k => !_told.Contains(k))) Kept(Log, $"{kept.Environment}/{kept.Weave}", kept.ExpiredAt, kept.Reason);
        _told = [.. report.Kept];
    }

    [LoggerMessage(LogLevel.Information, "The time of {Weave} is over; {Operation} deletes it.")]
    private static partial void Begun(ILogger log, string weave, string operation);
    [LoggerMessage(LogLevel.Warning, "The time of {Weave} was over at {ExpiredAt:u}, but it is kept: {Reason}")]
    private static partial void Kept(ILogger log, string weave, DateTimeOffset expiredAt, string reason);
}
