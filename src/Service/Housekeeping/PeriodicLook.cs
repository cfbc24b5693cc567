namespace WeaveHypervisor.Service.Housekeeping;

/// <summary>Looks at something again and again, the first time after one period. A look that takes longer than the period is followed by the next at once; one that fails is told in the log and ends nothing.</summary>
internal abstract partial class PeriodicLook(TimeProvider clock, TimeSpan every, ILogger log) : BackgroundService
{
    protected ILogger Log => log;

    protected abstract Task LookAsync(CancellationToken stop);

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(every, clock);
        try
        {
            while (await timer.WaitForNextTickAsync(stoppingToken)) await LookOnceAsync(stoppingToken);
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
            // The host takes an end by cancellation for a failure where it never came to run.
        }
    }

    private async Task LookOnceAsync(CancellationToken stop)
    {
        try
        {
            await LookAsync(stop);
        }
        catch (Exception e) when (!stop.IsCancellationRequested)
        {
            LookFailed(log, e, GetType().Name, every);
        }
    }

    [LoggerMessage(LogLevel.Warning, "{Look} failed; the next is in {Every}.")]
    private static partial void LookFailed(ILogger log, Exception e, string look, TimeSpan every);
}
