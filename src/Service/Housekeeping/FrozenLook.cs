using WeaveHypervisor.Drivers;

namespace WeaveHypervisor.Service.Housekeeping;

/// <summary>Thaws guests whose agent froze them after a snapshot had given it up. What still cannot be vouched for is told in the log once.</summary>
internal sealed partial class FrozenLook(IHypervisorDriver driver, TimeProvider clock, HousekeepingOptions options, ILogger<FrozenLook> log) : PeriodicLook(clock, options.FrozenEvery, log)
{
    private HashSet<string> _told = [];

    protected override async Task LookAsync(CancellationToken stop)
    {
        var found = await Task.Run(() => driver.ThawAsync(stop), stop);
        foreach (var finding in found.Where(f => !_told.Contains(f.Subject))) Found(Log, finding.Subject, finding.Text, finding.NextStep ?? "");
        _told = [.. found.Select(f => f.Subject)];
    }

    [LoggerMessage(LogLevel.Error, "{Subject}: {Found} {NextStep}")]
    private static partial void Found(ILogger log, string subject, string found, string nextStep);
}
