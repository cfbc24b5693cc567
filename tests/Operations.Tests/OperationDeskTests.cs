using Microsoft.Extensions.Time.Testing;
using WeaveHypervisor.Conformance.Stores;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Operations.Tests;

/// <summary>Waiting, watching and waking, on a clock that stands still: whoever waits is told, and never finds out by asking again.</summary>
public sealed class OperationDeskTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);
    private readonly FakeTimeProvider _clock = new(new DateTimeOffset(2030, 1, 1, 0, 0, 0, TimeSpan.Zero));
    private readonly ProgressBoard _board = new();
    private readonly Queue _queue = new();
    private readonly ReadJournal _journal;
    private readonly OperationDesk _desk;

    public OperationDeskTests()
    {
        _journal = new(new InMemoryJournal(_clock));
        _desk = new(_journal, new([StepList.For("test", 1, TestJson.Default.TestPlan).Build()]), _queue, _board, _clock);
    }

    private Task<Operation> SubmitAsync(string environment = "lab") => _desk.SubmitAsync("test", EnvironmentId.Parse(environment), environment, "{}", "me");

    /// <summary>A runner writes the end of an operation and tells it.</summary>
    private async Task EndAsync(Operation operation)
    {
        var lease = await _journal.TryAcquireAsync(operation.Environment, "runner", TimeSpan.FromMinutes(1), default);
        _board.Report(await _journal.SaveAsync(operation with { State = OperationState.Succeeded, Revision = operation.Revision + 1 }, lease!, default));
    }

    [Fact]
    public async Task A_watcher_hears_the_end_that_comes_right_after_it_has_read_the_journal()
    {
        var operation = await SubmitAsync();
        _journal.AfterRead = EndAsync;
        var heard = new List<OperationState>();
        async Task WatchAsync()
        {
            await foreach (var e in _desk.WatchAsync(operation.Id)) heard.Add(e.Operation!.State);
        }
        await WatchAsync().WaitAsync(Patience);
        Assert.Equal([OperationState.Queued, OperationState.Succeeded], heard);
    }

    [Fact]
    public async Task Who_waits_is_told_of_the_end_that_comes_right_after_it_has_read_the_journal()
    {
        var operation = await SubmitAsync();
        _journal.AfterRead = EndAsync;
        Assert.Equal(OperationState.Succeeded, (await _desk.WaitAsync(operation.Id, TimeSpan.FromHours(1), default).WaitAsync(Patience)).State);
    }

    [Fact]
    public async Task Taking_up_again_wakes_the_oldest_operation_of_each_environment_and_none_that_is_woken_already()
    {
        var lab = await SubmitAsync();
        await SubmitAsync();
        var shop = await SubmitAsync("shop");
        await EndAsync(await SubmitAsync("idle"));
        for (var i = 0; i < 250; i++) await SubmitAsync("shop");
        _queue.Woken.Clear();
        Assert.Equal(2, await _desk.ResumeAllAsync(default));
        Assert.Equal(new[] { lab.Id.Text, shop.Id.Text }.Order(), _queue.Woken.Select(id => id.Text).Order());
        _queue.Woken.Clear();
        Assert.Equal(1, await _desk.ResumeAllAsync(default, o => Task.FromResult(o.Id == lab.Id)));
        Assert.Equal([shop.Id], _queue.Woken);
    }

    private sealed class Queue : IOperationQueue
    {
        public List<OperationId> Woken { get; } = [];
        public void Enqueue(OperationId id, HostId? host) => Woken.Add(id);
    }

    /// <summary>Lets something happen once, right after an operation was read and before the reader goes on.</summary>
    private sealed class ReadJournal(IJournal inner) : IJournal
    {
        public Func<Operation, Task>? AfterRead { get; set; }

        public async Task<Operation?> FindAsync(OperationId id, CancellationToken stop)
        {
            var found = await inner.FindAsync(id, stop);
            var act = AfterRead;
            AfterRead = null;
            if (act is not null) await act(found!);
            return found;
        }

        public Task<Operation> SubmitAsync(Submission submission, CancellationToken stop) => inner.SubmitAsync(submission, stop);
        public Task<IReadOnlyList<Operation>> ListAsync(EnvironmentId? e, bool u, int l, OperationId? b, CancellationToken stop) => inner.ListAsync(e, u, l, b, stop);
        public Task<Operation?> NextAsync(EnvironmentId environment, CancellationToken stop) => inner.NextAsync(environment, stop);
        public Task<Operation> SaveAsync(Operation operation, Lease lease, CancellationToken stop) => inner.SaveAsync(operation, lease, stop);
        public Task<Taken?> SaveFirstAsync(Operation operation, string owner, TimeSpan duration, CancellationToken stop) => inner.SaveFirstAsync(operation, owner, duration, stop);
        public Task<Ended> SaveLastAsync(Operation operation, Lease lease, bool release, CancellationToken stop) => inner.SaveLastAsync(operation, lease, release, stop);
        public Task<bool> RequestCancelAsync(OperationId id, CancellationToken stop) => inner.RequestCancelAsync(id, stop);
        public Task<Lease?> TryAcquireAsync(EnvironmentId e, string owner, TimeSpan d, CancellationToken stop) => inner.TryAcquireAsync(e, owner, d, stop);
        public Task<Lease?> FindLeaseAsync(EnvironmentId e, CancellationToken stop) => inner.FindLeaseAsync(e, stop);
        public Task<Lease?> RenewAsync(Lease lease, TimeSpan duration, CancellationToken stop) => inner.RenewAsync(lease, duration, stop);
        public Task ReleaseAsync(Lease lease, CancellationToken stop) => inner.ReleaseAsync(lease, stop);
    }
}
