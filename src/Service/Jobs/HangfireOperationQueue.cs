using Hangfire;
using WeaveHypervisor.Model;
using WeaveHypervisor.Operations;

namespace WeaveHypervisor.Service.Jobs;

/// <summary>Wakes a runner by a Hangfire job that carries the operation's id and nothing else: the journal has the rest.</summary>
internal sealed class HangfireOperationQueue(IBackgroundJobClient jobs) : IOperationQueue
{
    public void Enqueue(OperationId id)
    {
        var text = id.Text;
        jobs.Enqueue<OperationJob>(job => job.RunAsync(text, CancellationToken.None));
    }
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
