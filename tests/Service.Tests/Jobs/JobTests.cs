using Hangfire;
using Hangfire.Storage;
using Hangfire.Storage.Monitoring;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Time.Testing;
using WeaveHypervisor.Client;
using WeaveHypervisor.Client.V1;
using WeaveHypervisor.Conformance;
using WeaveHypervisor.Service.Dashboard;
using WeaveHypervisor.Service.Jobs;

namespace WeaveHypervisor.Service.Tests.Jobs;

/// <summary>Hangfire wakes the runner and does nothing else: few jobs, and none that is missed.</summary>
public sealed class JobTests : IAsyncLifetime
{
    private readonly FakeTimeProvider _clock = new(DateTimeOffset.Parse("2030-01-01T00:00:00Z", System.Globalization.CultureInfo.InvariantCulture));
    private TestService _service = null!;
    private WeaveClient Client => _service.Client();

    public async ValueTask InitializeAsync() => _service = await TestService.StartAsync(_clock);
    public ValueTask DisposeAsync() => _service.DisposeAsync();

    /// <summary>The operations of all jobs there ever were in this life of the service, one entry for each job.</summary>
    private List<string> Jobs()
    {
        var jobs = _service.Services.GetRequiredService<JobStorage>().GetMonitoringApi();
        return [.. jobs.SucceededJobs(0, 1000).Select(j => j.Value.Job).Concat(jobs.ProcessingJobs(0, 1000).Select(j => j.Value.Job)).Concat(jobs.FailedJobs(0, 1000).Select(j => j.Value.Job))
            .Concat(jobs.DeletedJobs(0, 1000).Select(j => j.Value.Job)).Concat(jobs.EnqueuedJobs(HangfireOperationQueue.QueueOf("local"), 0, 1000).Select(j => j.Value.Job)).Select(j => OperationNames.IdOf(j)!)];
    }

    private Task QuietAsync() => Eventually.HoldsAsync("no job is left", () =>
    {
        var jobs = _service.Services.GetRequiredService<JobStorage>().GetMonitoringApi();
        return Task.FromResult(jobs.ProcessingCount() == 0 && jobs.EnqueuedCount(HangfireOperationQueue.QueueOf("local")) == 0);
    }, TestService.Patience, default);

    private async Task<List<OperationView>> SubmitAsync(int count)
    {
        var submitted = new List<OperationView>();
        for (var i = 0; i < count; i++) submitted.Add(await Client.SnapshotAsync("lab", new() { Memory = false, Label = $"n{i}" }, default));
        return submitted;
    }

    [Fact]
    public async Task An_operation_has_two_jobs_at_most_however_many_wait_for_one_environment()
    {
        await _service.AdoptAsync();
        foreach (var operation in await SubmitAsync(12)) await _service.EndAsync(operation);
        await QuietAsync();
        var jobs = Jobs().CountBy(id => id).ToList();
        Assert.Equal(13, jobs.Count);
        Assert.All(jobs, j => Assert.InRange(j.Value, 1, 2));
    }

    [Fact]
    public async Task Operations_that_wait_over_a_restart_have_two_jobs_at_most_in_both_lives_together()
    {
        await _service.AdoptAsync();
        await QuietAsync();
        var before = Jobs();
        _service.Faults.Hang("CaptureAsync", 1);
        var operations = await SubmitAsync(6);
        await Eventually.HoldsAsync("the first is at work and the jobs of the others have come and gone", async () =>
            (await Client.GetOperationAsync(operations[0].Id, default)).Steps.Any(s => s is { Name: "capture", State: "doing" }) && Jobs().Count == before.Count + 6
            && _service.Services.GetRequiredService<JobStorage>().GetMonitoringApi().SucceededListCount() == before.Count + 5, TestService.Patience, default);
        before = Jobs();
        await _service.StopAsync();
        _service.Faults = new();
        await _service.StartAgainAsync();
        foreach (var operation in operations) Assert.NotNull((await _service.LastAsync(operation)).EndedAt);
        await QuietAsync();
        var after = Jobs();
        Assert.All(operations, o => Assert.Equal(2, before.Concat(after).Count(id => id == o.Id)));
        // Taken up in order of submission: the first, whose instant cannot be had again, was undone.
        var ended = new List<OperationView>();
        foreach (var operation in operations) ended.Add(await Client.GetOperationAsync(operation.Id, default));
        Assert.Equal(["undone", .. Enumerable.Repeat("succeeded", 5)], ended.Select(o => o.State));
        Assert.Equal(ended.Select(o => o.Id), ended.OrderBy(o => o.EndedAt).ThenBy(o => ended.IndexOf(o)).Select(o => o.Id));
    }

    [Fact]
    public async Task Work_of_several_environments_is_all_taken_up_after_a_restart()
    {
        await _service.AdoptAsync("lab", "web");
        await _service.AdoptAsync("shop", "db");
        _service.Faults.Hang("CaptureAsync", 1);
        _service.Faults.Hang("CaptureAsync", 2);
        List<OperationView> operations = [.. await SubmitAsync(2), await Client.SnapshotAsync("shop", new(), default), await Client.SnapshotAsync("shop", new() { Memory = false }, default)];
        await Eventually.HoldsAsync("both are at work", () => Task.FromResult(_service.Faults.Calls("CaptureAsync") == 2), TestService.Patience, default);
        await _service.StopAsync();
        _service.Faults = new();
        await _service.StartAgainAsync();
        foreach (var operation in operations) Assert.NotNull((await _service.LastAsync(operation)).EndedAt);
    }

    [Fact]
    public async Task An_operation_whose_job_was_deleted_is_woken_again()
    {
        await _service.AdoptAsync();
        await QuietAsync();
        var jobs = _service.Services.GetRequiredService<IBackgroundJobClient>();
        var storage = _service.Services.GetRequiredService<JobStorage>().GetMonitoringApi();
        _service.Faults.Hang("CaptureAsync", 1);
        var operation = (await SubmitAsync(1)).Single();
        await Eventually.HoldsAsync("the capture hangs", () => Task.FromResult(_service.Faults.Calls("CaptureAsync") == 1), TestService.Patience, default);
        // Hangfire cancels a job that is deleted; the runner leaves the operation as it is.
        Assert.True(jobs.Delete(storage.ProcessingJobs(0, 10).Single().Key));
        await Eventually.HoldsAsync("it is woken and ends", async () =>
        {
            _clock.Advance(TimeSpan.FromSeconds(10));
            return (await Client.GetOperationAsync(operation.Id, default)).IsEnded();
        }, TestService.Patience, default);
        Assert.Equal(2, Jobs().Count(id => id == operation.Id));
    }
}
