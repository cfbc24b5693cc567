using WeaveHypervisor.Drivers;
using WeaveHypervisor.Weaving;

namespace WeaveHypervisor.Service.Housekeeping;

/// <summary>Compares the host with the store and repairs nothing; drift is then shown with its weave. A finding is told in the log once, and again when it comes back.</summary>
internal sealed partial class DriftLook(IWeaver weaver, TimeProvider clock, HousekeepingOptions options, ILogger<DriftLook> log) : PeriodicLook(clock, options.DriftEvery, log)
{
    private HashSet<Finding> _told = [];

    protected override async Task LookAsync(CancellationToken stop)
    {
        // The driver may work synchronously for a while.
        var report = await Task.Run(() => weaver.ReconcileAsync(new(RepairMode.Look), stop), stop);
        var found = report.Findings.Where(f => f.Level is FindingLevel.Warning or FindingLevel.Error).ToHashSet();
        foreach (var finding in found.Where(f => !_told.Contains(f))) Found(Log, finding.Subject, finding.Text, finding.NextStep ?? "");
        if (_told.Count > 0 && found.Count == 0) Over(Log);
        _told = found;
    }

    [LoggerMessage(LogLevel.Warning, "{Subject}: {Found} {NextStep}")]
    private static partial void Found(ILogger log, string subject, string found, string nextStep);
    [LoggerMessage(LogLevel.Information, "The host has again what the store says.")]
    private static partial void Over(ILogger log);
}
