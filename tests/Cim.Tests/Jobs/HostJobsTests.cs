using Microsoft.Extensions.Time.Testing;
using WeaveHypervisor.Conformance;
using WeaveHypervisor.HyperV.Cim.Wrappers;

namespace WeaveHypervisor.HyperV.Cim.Tests.Jobs;

public sealed class HostJobsTests
{
    private static readonly TimeSpan Minute = TimeSpan.FromMinutes(1);
    private readonly FakeTimeProvider _clock = new(DateTimeOffset.UnixEpoch);
    private readonly ScriptedClient _host = new();

    private async Task<JobOutcome> RunAsync(TimeSpan? deadline = null, bool retryBusy = true, bool readMessages = false, CancellationToken stop = default)
    {
        var run = new HostJobs(_host, _clock).RunAsync(ScriptedClient.Service, ScriptedClient.Call, deadline ?? Minute, stop, retryBusy, readMessages);
        await Eventually.EndsAsync(run, () => _clock.Advance(TimeSpan.FromMilliseconds(100)));
        return await run;
    }

    private async Task<HostException> FailAsync(TimeSpan? deadline = null, bool retryBusy = true) => await Assert.ThrowsAsync<HostException>(() => RunAsync(deadline, retryBusy));

    private int Count(string method) => _host.Calls.Count(c => c.Method == method);

    [Fact]
    public async Task What_is_done_at_once_has_no_job()
    {
        _host.Answers(0);
        var outcome = await RunAsync();
        Assert.Null(outcome.Job);
        Assert.Empty(outcome.Messages);
    }

    [Fact]
    public async Task A_job_is_waited_for_through_all_of_its_states()
    {
        foreach (var state in new ushort[] { 2, 3, 4, 5, 6, 4, 7 }) _host.Job(state);
        _host.Answers(4096);
        Assert.Equal((ushort)7, (await RunAsync()).Job!.Find(ConcreteJob.JobState));
        Assert.Equal(0, Count("GetErrorEx"));
    }

    [Fact]
    public async Task Looks_become_rarer_up_to_one_a_second()
    {
        _host.Answers(4096);
        for (var i = 0; i < 6; i++) _host.Job(4);
        _host.Job(7);
        await RunAsync();
        // 0.1 + 0.2 + 0.4 + 0.8 + 1 + 1 + 1 s, and at most one tick of the test's clock beside each.
        Assert.InRange((_clock.GetUtcNow() - DateTimeOffset.UnixEpoch).TotalSeconds, 4.5, 5.4);
    }

    [Fact]
    public async Task Warnings_are_a_success_that_is_read()
    {
        _host.Errors = ["<INSTANCE CLASSNAME=\"Msvm_Error\"><PROPERTY NAME=\"MessageID\" TYPE=\"string\"><VALUE>33012</VALUE></PROPERTY><PROPERTY NAME=\"Message\" TYPE=\"string\"><VALUE>Switch not found</VALUE></PROPERTY></INSTANCE>"];
        _host.Answers(4096).Job(32768);
        Assert.Equal([new HostMessage("33012", "Switch not found", "")], (await RunAsync()).Messages);
    }

    [Fact]
    public async Task Findings_of_a_success_are_read_where_they_are_asked_for()
    {
        _host.Errors = ["<INSTANCE CLASSNAME=\"Msvm_Error\"><PROPERTY NAME=\"Message\" TYPE=\"string\"><VALUE>found</VALUE></PROPERTY></INSTANCE>"];
        _host.Answers(4096).Job(7);
        Assert.Equal("found", Assert.Single((await RunAsync(readMessages: true)).Messages).Text);
    }

    [Theory]
    [InlineData(8)]
    [InlineData(9)]
    [InlineData(10)]
    [InlineData(11)]
    public async Task A_job_that_ends_badly_fails_with_its_text(ushort state)
    {
        _host.Answers(4096).Job(4).Job(state, 32768, "The file exists. (0x80070050)");
        var error = await FailAsync();
        Assert.Equal((HostErrorKind.AlreadyExists, "32768"), (error.Kind, error.Code));
        Assert.Contains("CreateSnapshot of Msvm_VirtualSystemSnapshotService vssnapsvc: The file exists", error.Message);
    }

    [Theory]
    [InlineData(7)]
    [InlineData(32768)]
    public async Task An_error_code_is_a_failure_also_in_a_job_that_says_it_is_done(ushort state)
    {
        _host.Answers(4096).Job(state, 32774, "in use");
        Assert.Equal(HostErrorKind.InUse, (await FailAsync()).Kind);
    }

    [Fact]
    public async Task Messages_that_cannot_be_read_do_not_hide_the_failure()
    {
        _host.Errors = ["torn <"];
        _host.Answers(4096).Job(10, 32773, null);
        var error = await FailAsync();
        Assert.Equal(HostErrorKind.InvalidRequest, error.Kind);
        Assert.Empty(error.Messages);
    }

    [Fact]
    public async Task A_job_that_is_gone_leaves_the_outcome_unknown()
    {
        _host.Answers(4096).Job(4).Fails(CimStatus.NotFound);
        var error = await FailAsync();
        Assert.Equal(HostErrorKind.OutcomeUnknown, error.Kind);
        Assert.Contains("seen in state 4, 40 % done", error.Message);
    }

    [Fact]
    public async Task A_service_that_restarts_under_a_job_is_waited_for()
    {
        _host.Answers(4096).Job(4).Fails(CimStatus.ServerShuttingDown).Fails(CimStatus.ServerShuttingDown).Job(7);
        Assert.NotNull((await RunAsync()).Job);
    }

    [Fact]
    public async Task A_service_that_goes_away_within_the_call_leaves_the_outcome_unknown()
    {
        _host.Answers(() => throw new CimException(CimStatus.ServerShuttingDown, "gone"));
        Assert.Equal(HostErrorKind.OutcomeUnknown, (await FailAsync()).Kind);
        Assert.Equal(1, Count("CreateSnapshot"));
    }

    [Fact]
    public async Task A_service_that_did_not_get_the_call_is_unavailable()
    {
        _host.Answers(() => throw new CimException(CimStatus.ServerShuttingDown, "no RPC", 0x800706BA));
        Assert.Equal(HostErrorKind.Unavailable, (await FailAsync()).Kind);
    }

    [Fact]
    public async Task A_started_job_without_a_name_leaves_the_outcome_unknown()
    {
        _host.Answers(() => new CimAnswer(4096, new Dictionary<string, CimValue>()));
        Assert.Equal(HostErrorKind.OutcomeUnknown, (await FailAsync()).Kind);
    }

    [Fact]
    public async Task A_job_that_hangs_is_given_up_at_the_deadline()
    {
        _host.Answers(4096).Job(4);
        var error = await FailAsync(TimeSpan.FromSeconds(5));
        Assert.Equal(HostErrorKind.TimedOut, error.Kind);
        Assert.InRange((_clock.GetUtcNow() - DateTimeOffset.UnixEpoch).TotalSeconds, 3, 6);
        Assert.Equal(0, Count("RequestStateChange"));
    }

    [Fact]
    public async Task A_late_job_that_can_be_cancelled_is_asked_to_end_and_then_killed()
    {
        _host.Answers(4096).Job(4, cancellable: true);
        Assert.Equal(HostErrorKind.TimedOut, (await FailAsync(TimeSpan.FromSeconds(5))).Kind);
        Assert.Equal([4, 5], _host.Calls.Where(c => c.Method == "RequestStateChange").Select(c => (int)c.Arguments["RequestedState"].As<ushort>()));
    }

    [Fact]
    public async Task A_cancelled_wait_ends_its_job_and_is_no_error()
    {
        using var stop = new CancellationTokenSource();
        _host.Answers(4096).Job(4, cancellable: true).Look(() =>
        {
            stop.Cancel();
            return _host.Looks[0]();
        }).Job(4, cancellable: true).Job(8);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => RunAsync(stop: stop.Token));
        Assert.Equal([4], _host.Calls.Where(c => c.Method == "RequestStateChange").Select(c => (int)c.Arguments["RequestedState"].As<ushort>()));
    }

    [Theory]
    [InlineData(32774)]
    [InlineData(32775)]
    public async Task A_call_that_something_else_is_in_the_way_of_is_made_again(uint busy)
    {
        _host.Answers(busy).Answers(busy).Answers(0);
        await RunAsync();
        Assert.Equal(3, Count("CreateSnapshot"));
    }

    [Fact]
    public async Task Making_a_call_again_has_an_end()
    {
        _host.Answers(32774);
        Assert.Equal(HostErrorKind.InUse, (await FailAsync()).Kind);
        Assert.InRange((_clock.GetUtcNow() - DateTimeOffset.UnixEpoch).TotalSeconds, 20, 31);
    }

    [Fact]
    public async Task Changes_of_the_run_state_are_not_made_again()
    {
        _host.Answers(32775);
        Assert.Equal(HostErrorKind.InvalidState, (await FailAsync(retryBusy: false)).Kind);
        Assert.Equal(1, Count("CreateSnapshot"));
    }

    [Fact]
    public async Task A_refusal_is_not_made_again()
    {
        _host.Answers(32773);
        Assert.Equal(HostErrorKind.InvalidRequest, (await FailAsync()).Kind);
        Assert.Equal(1, Count("CreateSnapshot"));
    }

    [Fact]
    public async Task What_a_job_has_made_is_found_by_its_association() =>
        Assert.Equal(VirtualSystemSettingData.ClassName, Assert.Single(await new HostJobs(_host, _clock).ResultsAsync(ScriptedClient.JobPath, VirtualSystemSettingData.ClassName, TestContext.Current.CancellationToken)).ClassName);

    [Fact]
    public async Task A_state_that_comes_after_its_job_is_waited_for()
    {
        _host.Job(4).Fails(CimStatus.ServerShuttingDown).Job(7);
        var wait = new HostJobs(_host, _clock).WaitForAsync(ScriptedClient.JobPath, o => o.Find(ConcreteJob.JobState) == 7, "a state", Minute, TestContext.Current.CancellationToken);
        await Eventually.EndsAsync(wait, () => _clock.Advance(TimeSpan.FromMilliseconds(100)));
        Assert.Equal((ushort)7, (await wait).Find(ConcreteJob.JobState));
    }

    [Fact]
    public async Task A_state_that_does_not_come_is_given_up()
    {
        _host.Job(4);
        var wait = new HostJobs(_host, _clock).WaitForAsync(ScriptedClient.JobPath, _ => false, "the machine runs", TimeSpan.FromSeconds(3), TestContext.Current.CancellationToken);
        await Eventually.EndsAsync(wait, () => _clock.Advance(TimeSpan.FromMilliseconds(100)));
        Assert.Equal("the machine runs did not come true in 3 s", (await Assert.ThrowsAsync<HostException>(() => wait)).Message);
    }

    [Fact]
    public async Task A_job_that_ends_badly_says_what_its_messages_say()
    {
        _host.Errors = ["<INSTANCE CLASSNAME=\"Msvm_Error\"><PROPERTY NAME=\"Message\" TYPE=\"string\"><VALUE>There is not enough space (0x80070070).</VALUE></PROPERTY></INSTANCE>"];
        _host.Answers(4096).Job(10, 32768);
        var error = await FailAsync();
        Assert.Equal((HostErrorKind.NoSpace, "There is not enough space (0x80070070)."), (error.Kind, Assert.Single(error.Messages).Text));
        Assert.Contains("not enough space", error.Message);
    }
}
