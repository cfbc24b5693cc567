using Hangfire;
using Hangfire.Storage;
using Microsoft.Extensions.DependencyInjection;
using WeaveHypervisor.Client;
using WeaveHypervisor.Client.V1;
using WeaveHypervisor.Conformance;
using WeaveHypervisor.Model;
using WeaveHypervisor.Service.Jobs;

namespace WeaveHypervisor.Service.Tests.Jobs;

/// <summary>Policies by REST, run by Hangfire's recurring job.</summary>
public sealed class PolicyJobTests : IAsyncLifetime
{
    private TestService _service = null!;
    private WeaveClient Client => _service.Client();

    public async ValueTask InitializeAsync() => _service = await TestService.StartAsync();
    public ValueTask DisposeAsync() => _service.DisposeAsync();

    private async Task<IReadOnlyList<SnapshotView>> PointsAsync() => [.. (await Client.ListSnapshotsAsync("lab", default)).Where(s => s.MadeBy == SnapshotPolicy.Maker)];

    [Fact]
    public async Task Points_come_and_go_by_themselves_across_a_restart_until_the_policy_is_taken_away()
    {
        await _service.AdoptAsync();
        await _service.EndAsync(await Client.SetPolicyAsync("lab", new() { Every = "1s", KeepLast = 2, Memory = false }, default));
        var seen = new HashSet<string>();
        async Task SeesAsync(int points) => await Eventually.HoldsAsync($"{points} points were taken, and no more than some are kept", async () =>
        {
            foreach (var point in await PointsAsync()) seen.Add(point.Id);
            return seen.Count >= points && (await PointsAsync()).Count <= 4;
        }, TestService.Patience, default);
        await SeesAsync(3);
        await _service.StopAsync();
        await _service.StartAgainAsync();
        await SeesAsync(seen.Count + 2);
        var environment = await Client.GetEnvironmentAsync("lab", default);
        Assert.Equal(("1s", 2, false), (environment.SnapshotPolicy!.Every, environment.SnapshotPolicy.KeepLast, environment.SnapshotPolicy.Memory));
        Assert.NotNull(environment.SnapshotPolicy.LastOperation);

        await _service.EndAsync(await Client.ClearPolicyAsync("lab", default));
        Assert.Null((await Client.GetEnvironmentAsync("lab", default)).SnapshotPolicy);
        var audit = await _service.Http(_service.AdminToken).GetStringAsync("/api/v1/audit?limit=200");
        Assert.Contains($"\"who\":\"{SnapshotPolicy.Maker}\",\"what\":\"snapshot\"", audit, StringComparison.Ordinal);
        Assert.Contains("\"what\":\"policy.set\"", audit, StringComparison.Ordinal);
        Assert.Contains("\"what\":\"policy.clear\"", audit, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_recurring_job_is_as_frequent_as_the_policies_need_it()
    {
        await _service.AdoptAsync();
        await CronIsAsync("* * * * *");
        await _service.EndAsync(await Client.SetPolicyAsync("lab", new() { Every = "90s", KeepLast = 2, Memory = false }, default));
        await CronIsAsync("*/30 * * * * *");
        await _service.EndAsync(await Client.ClearPolicyAsync("lab", default));
        await CronIsAsync("* * * * *");
    }

    private Task CronIsAsync(string cron) => Eventually.HoldsAsync($"the recurring job is {cron}", () =>
    {
        using var storage = _service.Services.GetRequiredService<JobStorage>().GetConnection();
        return Task.FromResult(storage.GetRecurringJobs().SingleOrDefault(j => j.Id == PolicyJob.Name)?.Cron == cron);
    }, TestService.Patience, default);

    [Theory]
    [InlineData("* * * * *")]
    [InlineData("* * * * *", 60), InlineData("* * * * *", 300, 7200)]
    [InlineData("*/30 * * * * *", 90), InlineData("*/10 * * * * *", 20, 30), InlineData("* * * * * *", 7)]
    public void Every_slot_begins_at_a_look(string cron, params int[] seconds) => Assert.Equal(cron, PolicySchedule.CronOf(seconds.Select(s => TimeSpan.FromSeconds(s))));

    [Fact]
    public async Task A_policy_that_cannot_be_is_refused_and_a_viewer_sets_none()
    {
        await _service.AdoptAsync();
        foreach (var body in (PolicyBody[])[new() { Every = "soon", KeepLast = 1 }, new() { Every = "0s", KeepLast = 1 }, new() { Every = "5m", KeepLast = 0 }])
            Assert.Equal("invalidRequest", (await Assert.ThrowsAsync<ApiException>(() => Client.SetPolicyAsync("lab", body, default))).Fault);
    }

    [Fact]
    public async Task Chains_are_shortened_through_the_interface()
    {
        await _service.AdoptAsync();
        for (var i = 0; i < 3; i++) await _service.EndAsync(await Client.SnapshotAsync("lab", new() { Memory = i == 0 }, default));
        var snapshots = await Client.ListSnapshotsAsync("lab", default);
        await _service.EndAsync(await Client.DeleteSnapshotAsync(snapshots[1].Id, default));
        var preview = await Client.PreviewCompactionAsync("lab", default);
        Assert.Equal((4, 2, 16), (preview.Chains.Max(c => c.Layers), preview.Folds.Count, preview.Limit));
        var compacted = await _service.EndAsync(await Client.CompactAsync("lab", default));
        Assert.Equal(2, compacted.Result!.Value.GetProperty("layersMerged").GetInt32());
        Assert.Equal(3, (await Client.PreviewCompactionAsync("lab", default)).Chains.Max(c => c.Layers));
    }
}
