using WeaveHypervisor.Model;
using WeaveHypervisor.Operations;
using Xunit;

namespace WeaveHypervisor.Conformance.Stores;

/// <summary>What every journal promises.</summary>
public abstract class JournalContract
{
    protected static readonly EnvironmentId Lab = EnvironmentId.Parse("lab");
    protected static readonly TimeSpan Half = TimeSpan.FromSeconds(30);
    private static readonly CancellationToken Go = CancellationToken.None;

    protected abstract IJournal Journal { get; }
    protected abstract TimeProvider Clock { get; }
    protected abstract void Pass(TimeSpan time);

    protected Operation New(string environment = "lab") => new()
    {
        Id = OperationId.New(Clock), Kind = "weave.create", Version = 1, Environment = EnvironmentId.Parse(environment), Subject = "lab/past", RequestedBy = "admin",
        Host = HostId.Parse("alpha"), CreatedAt = Clock.GetUtcNow(), State = OperationState.Queued, Plan = """{"a":"ö\""}""", Steps = [new("one", StepState.Pending), new("two", StepState.Pending)],
    };

    private Task<Operation> Submit(Operation o, string? key = null, string? hash = null) => Journal.SubmitAsync(new(o, key, hash), Go);

    private static async Task Refused(Fault fault, Func<Task> act) => Assert.Equal(fault, (await Assert.ThrowsAsync<WeaveException>(act)).Fault);

    [Fact]
    public async Task What_was_submitted_is_found_whole()
    {
        var o = New();
        await Submit(o);
        var found = await Journal.FindAsync(o.Id, Go);
        Assert.Equivalent(o, found, strict: true);
        Assert.Null(await Journal.FindAsync(OperationId.New(Clock), Go));
    }

    [Fact]
    public async Task The_same_key_and_request_answer_the_first_operation_and_another_request_is_refused()
    {
        var first = await Submit(New(), "k", "h");
        Assert.Equal(first.Id, (await Submit(New(), "k", "h")).Id);
        await Refused(Fault.InvalidRequest, () => Submit(New(), "k", "other"));
        Assert.Single(await Journal.ListAsync(null, false, 10, null, Go));
        Pass(TimeSpan.FromHours(23));
        Assert.Equal(first.Id, (await Journal.FindRepeatedAsync("k", "h", Go))!.Id);
        Assert.Null(await Journal.FindRepeatedAsync("unknown", "h", Go));
        await Refused(Fault.InvalidRequest, () => Journal.FindRepeatedAsync("k", "other", Go));
        Assert.Equal(first.Id, (await Submit(New(), "k", "h")).Id);
    }

    [Fact]
    public async Task Two_submissions_of_one_key_at_once_make_one_operation()
    {
        var both = await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => Task.Run(() => Submit(New(), "k", "h"))));
        Assert.Single(both.Select(o => o.Id).Distinct());
    }

    [Fact]
    public async Task Lists_are_newest_first_and_paged_and_the_next_is_the_oldest_unfinished()
    {
        List<OperationId> ids = [];
        for (var i = 0; i < 5; i++) ids.Add((await Submit(New())).Id);
        await Submit(New("other"));
        var page = await Journal.ListAsync(Lab, false, 3, null, Go);
        Assert.Equal([ids[4], ids[3], ids[2]], page.Select(o => o.Id));
        Assert.Equal([ids[1], ids[0]], (await Journal.ListAsync(Lab, false, 3, page[^1].Id, Go)).Select(o => o.Id));
        var lease = await Journal.TryAcquireAsync(Lab, "a", Half, Go);
        var oldest = (await Journal.NextAsync(Lab, Go))!;
        Assert.Equal(ids[0], oldest.Id);
        await Journal.SaveAsync(oldest with { State = OperationState.Succeeded, Revision = 1 }, lease!, Go);
        Assert.Equal(ids[1], (await Journal.NextAsync(Lab, Go))!.Id);
        Assert.Equal(4, (await Journal.ListAsync(Lab, true, 10, null, Go)).Count);
    }

    [Fact]
    public async Task A_lease_has_one_holder_and_a_new_holder_gets_a_greater_number()
    {
        var a = await Journal.TryAcquireAsync(Lab, "a", Half, Go);
        Assert.Null(await Journal.TryAcquireAsync(Lab, "b", Half, Go));
        Assert.Equal(a!.Number, (await Journal.TryAcquireAsync(Lab, "a", Half, Go))!.Number);
        Assert.NotNull(await Journal.TryAcquireAsync(EnvironmentId.Parse("other"), "b", Half, Go));
        Pass(Half);
        var b = await Journal.TryAcquireAsync(Lab, "b", Half, Go);
        Assert.True(b!.Number > a.Number);
        Assert.Null(await Journal.RenewAsync(a, Half, Go));
        await Journal.ReleaseAsync(a, Go);
        Assert.Null(await Journal.TryAcquireAsync(Lab, "c", Half, Go));
        await Journal.ReleaseAsync(b, Go);
        Assert.True((await Journal.TryAcquireAsync(Lab, "c", Half, Go))!.Number > b.Number);
    }

    [Fact]
    public async Task A_lease_can_be_looked_at_until_it_is_given_back_also_when_its_time_is_over()
    {
        Assert.Null(await Journal.FindLeaseAsync(Lab, Go));
        var a = await Journal.TryAcquireAsync(Lab, "a", Half, Go);
        Assert.Equal(a, await Journal.FindLeaseAsync(Lab, Go));
        Pass(TimeSpan.FromSeconds(1));
        Assert.Equal(await Journal.RenewAsync(a!, Half, Go), await Journal.FindLeaseAsync(Lab, Go));
        Pass(Half * 2);
        Assert.Equal(a!.Number, (await Journal.FindLeaseAsync(Lab, Go))!.Number);
        await Journal.ReleaseAsync(a, Go);
        Assert.Null(await Journal.FindLeaseAsync(Lab, Go));
    }

    [Fact]
    public async Task A_renewed_lease_lasts()
    {
        var a = await Journal.TryAcquireAsync(Lab, "a", Half, Go);
        Pass(Half - TimeSpan.FromSeconds(1));
        Assert.NotNull(await Journal.RenewAsync(a!, Half, Go));
        Pass(Half - TimeSpan.FromSeconds(1));
        Assert.Null(await Journal.TryAcquireAsync(Lab, "b", Half, Go));
    }

    [Fact]
    public async Task A_write_under_an_old_lease_or_on_an_old_revision_is_refused()
    {
        var o = await Submit(New());
        var a = await Journal.TryAcquireAsync(Lab, "a", Half, Go);
        var one = await Journal.SaveAsync(o with { State = OperationState.Running, Revision = 1 }, a!, Go);
        await Refused(Fault.Conflict, () => Journal.SaveAsync(o with { Revision = 1 }, a!, Go));
        Pass(Half);
        var b = await Journal.TryAcquireAsync(Lab, "b", Half, Go);
        await Refused(Fault.Conflict, () => Journal.SaveAsync(one with { Revision = 2 }, a!, Go));
        Assert.Equal(1, (await Journal.FindAsync(o.Id, Go))!.Revision);
        await Journal.SaveAsync(one with { Revision = 2 }, b!, Go);
    }

    [Fact]
    public async Task The_first_write_takes_the_lease_and_writes_or_does_neither()
    {
        var o = await Submit(New());
        Task<Taken?> First(string owner, long revision) => Journal.SaveFirstAsync(o with { State = OperationState.Running, Revision = revision }, owner, Half, Go);
        await Refused(Fault.Conflict, () => First("a", 2));
        Assert.Null(await Journal.FindLeaseAsync(Lab, Go));
        var a = (await First("a", 1))!;
        Assert.Equal(a.Lease, await Journal.FindLeaseAsync(Lab, Go));
        Assert.Equivalent(a.Operation, await Journal.FindAsync(o.Id, Go), strict: true);
        Assert.Null(await First("b", 2));
        Assert.Equal(1, (await Journal.FindAsync(o.Id, Go))!.Revision);
        Assert.Equal(a.Lease.Number, (await First("a", 2))!.Lease.Number);
        Pass(Half);
        Assert.True(await Journal.RequestCancelAsync(o.Id, Go));
        var b = (await First("b", 3))!;
        Assert.True(b.Lease.Number > a.Lease.Number);
        Assert.True(b.Operation.CancelRequested);
        await Refused(Fault.Conflict, () => Journal.SaveAsync(b.Operation with { Revision = 4 }, a.Lease, Go));
        await Refused(Fault.Conflict, () => Journal.SaveFirstAsync(New(), "b", Half, Go));
    }

    [Theory, InlineData(true), InlineData(false)]
    public async Task The_last_write_gives_the_lease_back_where_asked_and_tells_what_comes_next(bool release)
    {
        var (one, two) = (await Submit(New()), await Submit(New()));
        var lease = (await Journal.SaveFirstAsync(one with { State = OperationState.Running, Revision = 1 }, "a", Half, Go))!.Lease;
        Operation Last(Operation o, long revision) => o with { State = OperationState.Succeeded, Revision = revision };
        await Refused(Fault.Conflict, () => Journal.SaveLastAsync(Last(one, 3), lease, release, Go));
        await Refused(Fault.Conflict, () => Journal.SaveLastAsync(Last(one, 2), lease with { Number = lease.Number + 1 }, release, Go));
        Assert.Equal(lease, await Journal.FindLeaseAsync(Lab, Go));
        var ended = await Journal.SaveLastAsync(Last(one, 2), lease, release, Go);
        Assert.Equal(two.Id, ended.Next!.Id);
        Assert.Equivalent(ended.Operation, await Journal.FindAsync(one.Id, Go), strict: true);
        Assert.Equal(release ? null : lease, await Journal.FindLeaseAsync(Lab, Go));
        var second = (await Journal.SaveFirstAsync(two with { State = OperationState.Running, Revision = 1 }, "a", Half, Go))!;
        Assert.Equal(release ? lease.Number + 1 : lease.Number, second.Lease.Number);
        Assert.Null((await Journal.SaveLastAsync(Last(second.Operation, 2), second.Lease, release, Go)).Next);
    }

    [Fact]
    public async Task A_request_to_cancel_survives_a_write_that_did_not_know_of_it()
    {
        var o = await Submit(New());
        var a = await Journal.TryAcquireAsync(Lab, "a", Half, Go);
        Assert.True(await Journal.RequestCancelAsync(o.Id, Go));
        var saved = await Journal.SaveAsync(o with { State = OperationState.Running, Revision = 1 }, a!, Go);
        Assert.True(saved.CancelRequested);
        Assert.True((await Journal.FindAsync(o.Id, Go))!.CancelRequested);
        await Journal.SaveAsync(saved with { State = OperationState.Undone, Revision = 2 }, a!, Go);
        Assert.False(await Journal.RequestCancelAsync(o.Id, Go));
    }
}
