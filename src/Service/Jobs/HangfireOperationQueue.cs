using Hangfire;
using Hangfire.Common;
using Hangfire.States;
using WeaveHypervisor.Model;
using WeaveHypervisor.Operations;
using WeaveHypervisor.Weaving;

namespace WeaveHypervisor.Service.Jobs;

/// <summary>Wakes a runner by a Hangfire job that carries the operation's id and nothing else: the journal has the rest.</summary>
internal sealed partial class HangfireOperationQueue(IBackgroundJobClient jobs, WeavingOptions options, ILogger<HangfireOperationQueue> log) : IOperationQueue
{
    /// <summary>The queue of a host: its services listen to it, and to no other.</summary>
    public static string QueueOf(string host) => "host-" + host;

    public void Enqueue(OperationId id, HostId? host)
    {
        var text = id.Text;
        try
        {
            // The queue is the job's own, so that it comes back to it when it is woken again from the dashboard.
            var queue = QueueOf(host?.Text ?? options.Host);
            jobs.Create(Job.FromExpression<OperationJob>(job => job.RunAsync(text, CancellationToken.None), queue), new EnqueuedState(queue));
        }
        catch (BackgroundJobClientException e)
        {
            // The operation is in the journal, and whoever submitted it is told so; it waits for the next look.
            NotWoken(log, e, id);
        }
    }

    [LoggerMessage(LogLevel.Warning, "Operation {Id} could not be queued; it is woken by a later look at the journal.")]
    private static partial void NotWoken(ILogger log, Exception e, OperationId id);
}

/// <summary>
/// The one kind of job. Repeating and undoing is the runner's affair, so Hangfire never retries. When its operation has ended it wakes the next one of the
/// environment, whose own job may have found the environment at work: two jobs per operation at most. A job that
/// was lost is noticed by <see cref="LostWakeUps"/>.
/// </summary>
public sealed class OperationJob(OperationRunner runner, IOperationQueue queue)
{
    [AutomaticRetry(Attempts = 0)]
    public async Task RunAsync(string operation, CancellationToken stop)
    {
        if (await runner.RunAsync(Ids.Parse<OperationId>(operation), stop) is { } next) queue.Enqueue(next);
    }
}
