using System.Runtime.CompilerServices;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Operations;

/// <summary>Where operations are handed in, waited for, watched and cancelled. It runs nothing itself: a queue wakes an <see cref="OperationRunner"/>.</summary>
public sealed class OperationDesk(IJournal journal, StepCatalogue catalogue, IOperationQueue queue, ProgressBoard board, TimeProvider clock)
{
    /// <summary>How often the journal is read for operations that another process runs.</summary>
    private static readonly TimeSpan Poll = TimeSpan.FromSeconds(1);

    /// <summary>
    /// Writes a new operation with all its steps pending, then wakes a runner. The operation is durable when the task ends. A key that was used with
    /// the same hash answers the earlier operation; with another hash <see cref="Fault.InvalidRequest"/>. An unknown kind: <see cref="Fault.Unsupported"/>.
    /// </summary>
    /// <param name="planJson">JSON of the plan type of that kind's step list.</param>
    /// <param name="host">The host that it works on, where several share the journal.</param>
    public async Task<Operation> SubmitAsync(string kind, EnvironmentId environment, string subject, string planJson, string requestedBy,
        string? idempotencyKey = null, string? requestHash = null, HostId? host = null, CancellationToken stop = default)
    {
        var list = catalogue.Get(kind);
        var operation = new Operation
        {
            Id = OperationId.New(clock),
            Kind = kind,
            Version = list.Version,
            Environment = environment,
            Subject = subject,
            Host = host,
            RequestedBy = requestedBy,
            CreatedAt = clock.GetUtcNow(),
            State = OperationState.Queued,
            Plan = planJson,
            Steps = [.. list.StepNames.Select(name => new StepRecord(name, StepState.Pending))],
        };
        var stored = await journal.SubmitAsync(new(operation, idempotencyKey, requestHash), stop).ConfigureAwait(false);
        board.Report(stored);
        // A repeated request needs no second wake-up.
        if (stored.Id == operation.Id) queue.Enqueue(stored.Id, host);
        return stored;
    }

    /// <summary>The operation when it has ended, or as it is after <paramref name="limit"/>. <see cref="Fault.NotFound"/> where there is none.</summary>
    public async Task<Operation> WaitAsync(OperationId id, TimeSpan limit, CancellationToken stop)
    {
        if (board.Known(id) is { IsEnded: true } known) return known;
        var began = clock.GetTimestamp();
        using var reports = board.Listen(id);
        for (var operation = await GetAsync(id, stop).ConfigureAwait(false); ; operation = await NewerAsync(operation, stop).ConfigureAwait(false))
        {
            var left = limit - clock.GetElapsedTime(began);
            if (operation.IsEnded || left <= TimeSpan.Zero) return operation;
            await reports.ChangedAsync(left < Poll ? left : Poll, clock, stop).ConfigureAwait(false);
        }
    }

    /// <summary>
    /// What is known now, then every change, coalesced to the newest, until the operation ended. Also follows operations that another process runs, then
    /// without progress. <see cref="Fault.NotFound"/> where there is none.
    /// </summary>
    public async IAsyncEnumerable<OperationEvent> WatchAsync(OperationId id, [EnumeratorCancellation] CancellationToken stop = default)
    {
        using var reports = board.Listen(id);
        Operation? told = null;
        OperationProgress? toldProgress = null;
        for (var operation = await GetAsync(id, stop).ConfigureAwait(false); ; operation = await NewerAsync(operation, stop).ConfigureAwait(false))
        {
            if (told is null || operation.Revision > told.Revision)
            {
                var kind = told?.State == operation.State ? OperationEventKind.Step : OperationEventKind.State;
                told = operation;
                yield return new(id, kind, operation, null);
                if (operation.IsEnded) yield break;
            }
            if (board.Find(id) is { } progress && !ReferenceEquals(progress, toldProgress))
            {
                toldProgress = progress;
                yield return new(id, OperationEventKind.Progress, told, progress);
            }
            await reports.ChangedAsync(Poll, clock, stop).ConfigureAwait(false);
        }
    }

    /// <summary>Asks for cancellation; the runner undoes what was done, unless the operation is past its point of no return. False: it had ended.</summary>
    public async Task<bool> CancelAsync(OperationId id, CancellationToken stop)
    {
        await GetAsync(id, stop).ConfigureAwait(false);
        if (!await journal.RequestCancelAsync(id, stop).ConfigureAwait(false)) return false;
        // Who runs it is told, or reads it in the journal; one that waits has its wake-up before it.
        board.SignalCancel(id);
        return true;
    }

    /// <summary>
    /// Wakes a runner for the oldest unfinished operation of each environment; its end wakes the one after it. At the start of a service for all, later for those
    /// whose wake-up was lost: what <paramref name="isWoken"/> says of that oldest operation keeps it from another. Answers how many were woken.
    /// </summary>
    public async Task<int> ResumeAllAsync(CancellationToken stop, Func<Operation, Task<bool>>? isWoken = null)
    {
        var woken = 0;
        foreach (var operation in await OldestUnfinishedAsync(stop).ConfigureAwait(false))
        {
            if (isWoken is not null && await isWoken(operation).ConfigureAwait(false)) continue;
            queue.Enqueue(operation.Id, operation.Host);
            woken++;
        }
        return woken;
    }

    /// <summary>The oldest unfinished operation of each environment, oldest first.</summary>
    public async Task<IReadOnlyList<Operation>> OldestUnfinishedAsync(CancellationToken stop)
    {
        const int page = 200;
        var oldest = new Dictionary<EnvironmentId, Operation>();
        OperationId? before = null;
        while (true)
        {
            // Newest first: what is read last of an environment is its oldest.
            var found = await journal.ListAsync(null, true, page, before, stop).ConfigureAwait(false);
            foreach (var operation in found) oldest[operation.Environment] = operation;
            if (found.Count < page) break;
            before = found[^1].Id;
        }
        return [.. oldest.Values.OrderBy(o => o.CreatedAt)];
    }

    /// <summary>What this process has written since, without a look at the journal; otherwise what that has.</summary>
    private async Task<Operation> NewerAsync(Operation operation, CancellationToken stop) =>
        board.Known(operation.Id) is { } known && known.Revision > operation.Revision ? known : await GetAsync(operation.Id, stop).ConfigureAwait(false);

    private async Task<Operation> GetAsync(OperationId id, CancellationToken stop) => await journal.FindAsync(id, stop).ConfigureAwait(false)
        ?? throw new WeaveException(Fault.NotFound, $"There is no operation '{id}'.", "List the operations.");
}
