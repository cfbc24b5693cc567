using System.Collections.Concurrent;
using Hangfire;
using Hangfire.Common;
using Hangfire.States;
using WeaveHypervisor.Model;
using WeaveHypervisor.Operations;
using WeaveHypervisor.Weaving;

namespace WeaveHypervisor.Service.Jobs;

/// <summary>Wakes a runner by a Hangfire job that carries the operation's id and nothing else: the journal has the rest.</summary>
internal sealed partial class HangfireOperationQueue(IBackgroundJobClient jobs, JobsOnTheWay onTheWay, WeavingOptions options, ILogger<HangfireOperationQueue> log) : IOperationQueue
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
            onTheWay.Left(id);
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
/// The operations whose job this process has queued and not seen come: they need no second one. For operations of which another process got the job that is not true any more; it runs them, or they
/// are found by <see cref="LostWakeUps"/>, which forgets all of this where no job waits.
/// </summary>
public sealed class JobsOnTheWay
{
    private const int Most = 10_000;
    private readonly ConcurrentDictionary<OperationId, byte> _operations = new();

    public void Left(OperationId operation)
    {
        // Jobs that went to other processes are never seen to come. Whatever is forgotten costs a job that is not needed.
        if (_operations.Count >= Most) Forget();
        _operations[operation] = 0;
    }

    public void Came(OperationId operation) => _operations.TryRemove(operation, out _);
    public bool Has(OperationId operation) => _operations.ContainsKey(operation);
    public void Forget() => _operations.Clear();
}

/// <summary>
/// The one kind of job. Repeating and undoing is the runner's affair, so Hangfire never retries. When its operation has ended it wakes the next one of the environment, unless the job of that is
/// known to be on its way: two jobs per operation at most. A job that was lost is noticed by <see cref="LostWakeUps"/>.
/// </summary>
public sealed class OperationJob(OperationRunner runner, IOperationQueue queue, JobsOnTheWay onTheWay)
{
    [AutomaticRetry(Attempts = 0)]
    public async Task RunAsync(string operation, CancellationToken stop)
    {
        var id = Ids.Parse<OperationId>(operation);
        onTheWay.Came(id);
        if (await runner.RunAsync(id, stop) is { } next && !onTheWay.Has(next)) queue.Enqueue(next);
    }
}
