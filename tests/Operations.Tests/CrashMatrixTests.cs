using WeaveHypervisor.Conformance;
using System.Text.Json.Serialization;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using WeaveHypervisor.Conformance.Stores;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Operations.Tests;

public sealed class TestPlan { public List<string> Learned { get; set; } = []; }

[JsonSerializable(typeof(TestPlan))]
internal sealed partial class TestJson : JsonSerializerContext;

/// <summary>The world that steps change; it outlives runners, as a host outlives a service.</summary>
internal sealed class World
{
    public HashSet<string> Effects { get; } = [];
    public Func<string, Exception?> Fail { get; set; } = _ => null;
    public Func<string, CancellationToken, Task> During { get; set; } = (_, _) => Task.CompletedTask;
    public Dictionary<string, int> Calls { get; } = [];
    /// <summary>Boundaries (journal writes before and after, effects before and after) that are left until the process dies; it does nothing more then.</summary>
    public int DiesAfter { get; set; } = int.MaxValue;
    public bool Dead { get; private set; }

    public void Boundary()
    {
        if (Dead || DiesAfter-- <= 0)
        {
            Dead = true;
            throw new ProcessDied();
        }
    }

    public void Restart(int diesAfter = int.MaxValue) => (Dead, DiesAfter) = (false, diesAfter);
}

internal sealed class ProcessDied : Exception;

internal sealed class MortalJournal(IJournal inner, World world) : IJournal
{
    private async Task<T> Both<T>(Func<Task<T>> work)
    {
        world.Boundary();
        var answer = await work();
        world.Boundary();
        return answer;
    }

    public Task<Operation> SubmitAsync(Submission submission, CancellationToken stop) => inner.SubmitAsync(submission, stop);
    public Task<Operation?> FindAsync(OperationId id, CancellationToken stop) => inner.FindAsync(id, stop);
    public Task<IReadOnlyList<Operation>> ListAsync(EnvironmentId? e, bool u, int l, OperationId? b, CancellationToken stop) => inner.ListAsync(e, u, l, b, stop);
    public Task<Operation?> NextAsync(EnvironmentId environment, CancellationToken stop) => inner.NextAsync(environment, stop);
    public Task<Operation> SaveAsync(Operation operation, Lease lease, CancellationToken stop) => Both(() => inner.SaveAsync(operation, lease, stop));
    public Task<Taken?> SaveFirstAsync(Operation operation, string owner, TimeSpan duration, CancellationToken stop) => Both(() => inner.SaveFirstAsync(operation, owner, duration, stop));
    public Task<Ended> SaveLastAsync(Operation operation, Lease lease, bool release, CancellationToken stop) => Both(() => inner.SaveLastAsync(operation, lease, release, stop));
    public Task<bool> RequestCancelAsync(OperationId id, CancellationToken stop) => inner.RequestCancelAsync(id, stop);
    public Task<Lease?> TryAcquireAsync(EnvironmentId e, string owner, TimeSpan d, CancellationToken stop) => Both(() => inner.TryAcquireAsync(e, owner, d, stop));
    public Task<Lease?> FindLeaseAsync(EnvironmentId e, CancellationToken stop) => inner.FindLeaseAsync(e, stop);
    public Task<Lease?> RenewAsync(Lease lease, TimeSpan duration, CancellationToken stop) => Both(() => inner.RenewAsync(lease, duration, stop));
    public Task ReleaseAsync(Lease lease, CancellationToken stop) => Both(async () => { await inner.ReleaseAsync(lease, stop); return 0; });
}

internal sealed class TestStep(string name, World world, AfterCrash afterCrash = AfterCrash.Repeat) : IStep<TestPlan>
{
    public string Name => name;
    public AfterCrash AfterCrash => afterCrash;

    public async Task DoAsync(StepContext<TestPlan> context, CancellationToken stop)
    {
        world.Calls[name] = world.Calls.GetValueOrDefault(name) + 1;
        world.Boundary();
        await world.During(name, stop);
        world.Effects.Add(name);
        if (!context.Plan.Learned.Contains(name)) context.Plan.Learned.Add(name);
        world.Boundary();
        if (world.Fail("do " + name) is { } e) throw e;
    }

    public Task UndoAsync(StepContext<TestPlan> context, CancellationToken stop)
    {
        world.Boundary();
        world.Effects.Remove(name);
        world.Boundary();
        return world.Fail("undo " + name) is { } e ? Task.FromException(e) : Task.CompletedTask;
    }
}

public sealed class CrashMatrixTests
{
    private static readonly EnvironmentId Lab = EnvironmentId.Parse("lab");
    private readonly FakeTimeProvider _clock = new(new DateTimeOffset(2030, 1, 1, 0, 0, 0, TimeSpan.Zero));
    private readonly World _world = new();
    private readonly ProgressBoard _board = new();
    private readonly InMemoryJournal _journal;
    private StepCatalogue _catalogue = new([]);

    public CrashMatrixTests() => _journal = new(_clock);

    private sealed class NoQueue : IOperationQueue { public void Enqueue(OperationId id, HostId? host) { } }

    private OperationDesk Desk => new(_journal, _catalogue, new NoQueue(), _board, _clock);

    private void Steps(int count, int? pointOfNoReturn = null, int? undoAfterCrash = null)
    {
        var list = StepList.For("test", 1, TestJson.Default.TestPlan);
        for (var i = 0; i < count; i++)
        {
            if (i == pointOfNoReturn) list.PointOfNoReturn();
            list.Then(new TestStep("s" + i, _world, i == undoAfterCrash ? AfterCrash.Undo : AfterCrash.Repeat));
        }
        _catalogue = new([list.Result(p => string.Join(",", p.Learned)).Build()]);
    }

    private Task<Operation> Submit() => Desk.SubmitAsync("test", Lab, "lab", """{"Learned":[]}""", "me");

    /// <summary>Runs as one process would; false where it died. Drives the clock while the runner waits.</summary>
    private async Task<bool> Live(CancellationToken stop = default)
    {
        var run = Task.Run(() => new OperationRunner(new MortalJournal(_journal, _world), _catalogue, _clock, _board, "node", new(), NullLogger<OperationRunner>.Instance).RunEnvironmentAsync(Lab, stop), CancellationToken.None);
        await Eventually.EndsAsync(run, () => _clock.Advance(TimeSpan.FromSeconds(1)));
        try
        {
            await run;
            return true;
        }
        catch (Exception) when (_world.Dead)
        {
            return false;
        }
    }

    public static TheoryData<int, int, int, string> Cases()
    {
        var data = new TheoryData<int, int, int, string>();
        foreach (var n in new[] { 1, 2, 4 })
        {
            data.Add(n, n, -1, "");
            data.Add(n, n, n - 1, "");
            data.Add(n, n, -1, "s" + (n - 1));
            data.Add(n, n / 2, -1, "");
        }
        return data;
    }

    /// <summary>Dies at the first boundary, the second, and so on, each time with a fresh world, until a run gets through without dying.</summary>
    [Theory, MemberData(nameof(Cases))]
    public async Task An_operation_is_whole_or_absent_wherever_the_process_dies(int steps, int pointOfNoReturn, int undoAfterCrash, string fails)
    {
        for (var boundary = 0; ; boundary++)
        {
            var one = new CrashMatrixTests();
            one.Steps(steps, pointOfNoReturn, undoAfterCrash < 0 ? null : undoAfterCrash);
            if (fails != "") one._world.Fail = at => at == "do " + fails ? new WeaveException(Fault.Conflict, "It may not be.") : null;
            var id = (await one.Submit()).Id;
            one._world.Restart(boundary);
            var survived = await one.Live();
            one._world.Restart(boundary / 2);
            if (!survived && !await one.Live()) { one._world.Restart(); Assert.True(await one.Live()); }
            var end = (await one._journal.FindAsync(id, default))!;
            if (end.State == OperationState.Succeeded)
            {
                Assert.Equal(steps, one._world.Effects.Count);
                Assert.Equal(string.Join(",", Enumerable.Range(0, steps).Select(i => "s" + i)), end.Result);
            }
            else
            {
                Assert.Equal(OperationState.Undone, end.State);
                Assert.NotNull(end.Error);
                Assert.Empty(one._world.Effects);
            }
            if (fails != "") Assert.Equal(OperationState.Undone, end.State);
            else if (undoAfterCrash < 0) Assert.Equal(OperationState.Succeeded, end.State);
            if (survived) { Assert.True(boundary > 4 * steps); return; }
        }
    }

    [Fact]
    public async Task A_transient_fault_is_tried_again_before_anything_is_undone()
    {
        Steps(2);
        var left = 2;
        _world.Fail = at => at == "do s1" && left-- > 0 ? new WeaveException(Fault.Unavailable, "Away.") : null;
        var id = (await Submit()).Id;
        await Live();
        Assert.Equal(OperationState.Succeeded, (await _journal.FindAsync(id, default))!.State);
        Assert.Equal(3, _world.Calls["s1"]);
    }

    [Fact]
    public async Task Past_the_point_of_no_return_a_failure_is_tried_again_and_at_last_given_up_with_a_next_step()
    {
        Steps(2, 1);
        _world.Fail = at => at == "do s1" ? new WeaveException(Fault.Conflict, "It may not be.") : null;
        var id = (await Submit()).Id;
        await Live();
        var end = (await _journal.FindAsync(id, default))!;
        Assert.Equal(OperationState.Failed, end.State);
        Assert.Equal(new RunnerOptions().ForwardAttempts, _world.Calls["s1"]);
        Assert.NotNull(end.Error!.NextStep);
        Assert.Contains("s0", _world.Effects);
    }

    [Fact]
    public async Task What_passes_by_itself_is_waited_for_long_on_the_only_way_forward_and_on_the_way_back()
    {
        foreach (var (noReturn, at) in new[] { (1, "do s1"), (3, "undo s0") })
        {
            Steps(3, noReturn);
            var left = 40;
            _world.Fail = point => point == at && left-- > 0 ? new WeaveException(Fault.Unavailable, "Away.") : point == "do s2" && noReturn == 3 ? new WeaveException(Fault.Conflict, "It may not be.") : null;
            var id = (await Submit()).Id;
            await Live();
            Assert.Equal(noReturn == 1 ? OperationState.Succeeded : OperationState.Undone, (await _journal.FindAsync(id, default))!.State);
            Assert.True(left < 0);
        }
    }

    [Fact]
    public async Task A_request_to_cancel_stops_the_step_and_takes_all_back()
    {
        Steps(3);
        var reached = new TaskCompletionSource();
        _world.During = async (name, stop) => { if (name == "s1") { reached.SetResult(); await new TaskCompletionSource().Task.WaitAsync(stop); } };
        var id = (await Submit()).Id;
        var life = Live();
        await reached.Task;
        Assert.True(await Desk.CancelAsync(id, default));
        Assert.True(await life);
        Assert.Equal(OperationState.Undone, (await _journal.FindAsync(id, default))!.State);
        Assert.Empty(_world.Effects);
    }

    [Fact]
    public async Task A_service_that_stops_leaves_the_operation_to_be_resumed()
    {
        Steps(2);
        using var stop = new CancellationTokenSource();
        _world.During = async (name, token) => { if (name == "s1") { await stop.CancelAsync(); token.ThrowIfCancellationRequested(); } };
        var id = (await Submit()).Id;
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => Live(stop.Token));
        Assert.Equal(StepState.Doing, (await _journal.FindAsync(id, default))!.Steps[1].State);
        _world.During = (_, _) => Task.CompletedTask;
        await Live();
        var end = (await _journal.FindAsync(id, default))!;
        Assert.Equal(OperationState.Succeeded, end.State);
        Assert.Equal(1, end.Resumptions);
    }

    [Fact]
    public async Task Undoing_that_fails_for_ever_ends_as_failed_and_the_next_operation_runs()
    {
        Steps(2);
        _world.Fail = at => at is "do s1" or "undo s1" ? new WeaveException(Fault.Conflict, "It may not be.") : null;
        var first = (await Submit()).Id;
        await Live();
        Assert.Equal(OperationState.Failed, (await _journal.FindAsync(first, default))!.State);
        _world.Fail = _ => null;
        var second = (await Submit()).Id;
        await Live();
        Assert.Equal(OperationState.Succeeded, (await _journal.FindAsync(second, default))!.State);
    }

    [Fact]
    public async Task A_watcher_hears_the_end_last()
    {
        Steps(3);
        var id = (await Submit()).Id;
        var heard = new List<OperationEvent>();
        var watch = Task.Run(async () => { await foreach (var e in _board.WatchAsync(id)) heard.Add(e); });
        await Live();
        await watch.WaitAsync(TimeSpan.FromSeconds(20));
        Assert.Equal(OperationState.Succeeded, heard[^1].Operation!.State);
        Assert.Null(_board.Find(id));
    }
}

public sealed class InMemoryJournalTests : JournalContract
{
    private readonly FakeTimeProvider _clock = new();
    public InMemoryJournalTests() => Journal = new InMemoryJournal(_clock);
    protected override IJournal Journal { get; }
    protected override TimeProvider Clock => _clock;
    protected override void Pass(TimeSpan time) => _clock.Advance(time);
}
