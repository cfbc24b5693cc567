using Hangfire;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Time.Testing;
using WeaveHypervisor.Client;
using WeaveHypervisor.Client.V1;
using WeaveHypervisor.Conformance;
using WeaveHypervisor.Conformance.Stores;
using WeaveHypervisor.Model;
using WeaveHypervisor.Operations;
using WeaveHypervisor.Service.Dashboard;
using WeaveHypervisor.Service.Hosting;
using WeaveHypervisor.Service.Jobs;
using WeaveHypervisor.Simulator;
using WeaveHypervisor.Weaving;

namespace WeaveHypervisor.Service.Tests.Jobs;

/// <summary>Several services on one database of PostgreSQL: on one host they share its work, on several each does its own.</summary>
public sealed class SeveralServicesTests : IAsyncLifetime
{
    private readonly string _database = PostgresServer.Shared.NewDatabase();
    private readonly List<TestService> _services = [];

    public ValueTask InitializeAsync() => default;

    public async ValueTask DisposeAsync()
    {
        foreach (var service in _services.AsEnumerable().Reverse()) await service.DisposeAsync();
    }

    private async Task<TestService> StartAsync(TestService? beside = null, string host = "alpha", TimeProvider? clock = null)
    {
        var service = await TestService.StartAsync(clock, o =>
        {
            (o.Storage.Postgres, o.Weaving.Host) = (_database, host);
            o.Housekeeping.TakeOverEvery = TimeSpan.FromSeconds(1);
        }, beside);
        if (service.AdminToken.Length == 0) service.AdminToken = _services[0].AdminToken;
        _services.Add(service);
        return service;
    }

    private static IJournal Journal(TestService service) => service.Services.GetRequiredService<IJournal>();

    private static async Task<Operation> StoredAsync(TestService service, OperationView operation) => (await Journal(service).FindAsync(Ids.Parse<OperationId>(operation.Id), default))!;

    /// <summary>How many jobs each operation has had.</summary>
    private static Dictionary<string, int> Jobs(TestService service)
    {
        var jobs = service.Services.GetRequiredService<JobStorage>().GetMonitoringApi();
        return new[] { "alpha", "beta" }.SelectMany(h => jobs.EnqueuedJobs(HangfireOperationQueue.QueueOf(h), 0, 1000).Select(j => j.Value.Job)).Concat(jobs.SucceededJobs(0, 1000).Select(j => j.Value.Job))
            .Concat(jobs.ProcessingJobs(0, 1000).Select(j => j.Value.Job)).Concat(jobs.FailedJobs(0, 1000).Select(j => j.Value.Job)).Select(OperationNames.IdOf).OfType<string>().CountBy(id => id).ToDictionary();
    }

    [Fact]
    public async Task Two_services_share_the_work_of_one_host_and_do_nothing_twice()
    {
        var one = await StartAsync();
        var two = await StartAsync(beside: one);
        Assert.False(File.Exists(Path.Combine(two.StatePath, "admin.token")), "there is one first token for both");
        await one.AdoptAsync("lab", "web");
        await two.AdoptAsync("shop", "db");
        var submitted = await Task.WhenAll(Enumerable.Range(0, 16).Select(n => (n % 2 == 0 ? one : two).Client().SnapshotAsync(n % 4 < 2 ? "lab" : "shop", new() { Memory = false, Label = $"n{n}" }, default)));
        // Watched through the other one.
        for (var n = 0; n < submitted.Length; n++) await (n % 2 == 0 ? two : one).EndAsync(submitted[n]);
        foreach (var operation in submitted)
        {
            var stored = await StoredAsync(one, operation);
            Assert.Equal("alpha", stored.Host?.Text);
            Assert.All(stored.Steps, s => Assert.Equal((StepState.Done, 1), (s.State, s.Attempts)));
            Assert.Equal(0, stored.Resumptions);
        }
        foreach (var environment in new[] { "lab", "shop" })
            Assert.Equal(8, (await two.Services.GetRequiredService<IWeaveStore>().ListSnapshotsAsync(EnvironmentId.Parse(environment), null, null, default)).Count);
        Assert.All(Jobs(one), j => Assert.InRange(j.Value, 1, 2));

        // Generated ids are one for both, and so are ports that are chosen.
        var made = await Task.WhenAll(Enumerable.Range(0, 6).Select(n => (n % 2 == 0 ? one : two).Client().CreateWeaveAsync("lab", new() { Start = "none" }, default)));
        foreach (var operation in made) await one.EndAsync(operation);
        Assert.Equal(6, made.Select(o => o.Subject).Distinct().Count());
        var weaves = (await two.Client().ListWeavesAsync("lab", default)).Select(w => w.Id).ToList();
        Assert.Equal(7, weaves.Count);

        // What the host publishes is written as one set, by both.
        var routes = await Task.WhenAll(Enumerable.Range(0, 6).Select(n => (n % 2 == 0 ? one : two).Client().PublishRouteAsync(n % 3 == 0 ? "shop" : "lab", "main", new() { Machine = n % 3 == 0 ? "db" : "web", TargetPort = 80 + n }, default)));
        foreach (var operation in routes) await two.EndAsync(operation);
        var published = (await new SimulatedHypervisor(one.Host).ListOwnedAsync(default)).Endpoints;
        Assert.Equal(6, published.Count);
        Assert.Equal(6, published.Select(p => p.ListenPort).Distinct().Count());

        // One request that is sent to both, because the first answer was lost, is one operation.
        var ids = new List<string>();
        foreach (var service in new[] { one, two })
            ids.Add((await (await service.Http(service.AdminToken).PostJsonAsync("/api/v1/environments/lab/snapshots", """{"memory":false}""", key: "once")).OperationAsync()).Id);
        Assert.Single(ids.Distinct());
    }

    [Fact]
    public async Task What_a_service_leaves_in_the_middle_the_other_takes_over_and_the_first_writes_nothing_more()
    {
        // Its clock stands still, so it prolongs nothing: to all others it is as dead as after SIGKILL.
        var stalled = new FakeTimeProvider(DateTimeOffset.UtcNow);
        var clock = new FakeTimeProvider(stalled.GetUtcNow());
        var one = await StartAsync(clock: stalled);
        await one.AdoptAsync("lab");
        one.Faults.Hang("MakeFenceAsync", 1);
        var made = await one.Client().CreateWeaveAsync("lab", new() { WeaveId = "copy", Start = "boot" }, default);
        var behind = await one.Client().SnapshotAsync("lab", new() { Memory = false }, default);
        await Eventually.HoldsAsync("the fence hangs", () => Task.FromResult(one.Faults.Calls("MakeFenceAsync") == 1), TestService.Patience, default);

        var two = await StartAsync(beside: one, clock: clock);
        Assert.Equal("running", (await two.Client().GetOperationAsync(made.Id, default)).State);
        await Eventually.HoldsAsync("the other has ended both", async () =>
        {
            clock.Advance(TimeSpan.FromSeconds(1));
            return (await two.Client().GetOperationAsync(behind.Id, default)).IsEnded();
        }, TestService.Patience, default);
        Assert.True(clock.GetUtcNow() - stalled.GetUtcNow() >= TimeSpan.FromSeconds(30), "nothing is taken over before its lease has run out");
        var taken = await StoredAsync(two, made);
        Assert.Equal((OperationState.Succeeded, 1), (taken.State, taken.Resumptions));
        Assert.Equal([StepState.Done], taken.Steps.Select(s => s.State).Distinct());
        // The first comes to itself: its lease is gone, so it leaves all as it is.
        await Eventually.HoldsAsync("the first has let go", () =>
        {
            stalled.Advance(TimeSpan.FromSeconds(1));
            return Task.FromResult(!one.Services.GetRequiredService<OperationRunner>().Runs(EnvironmentId.Parse("lab")));
        }, TestService.Patience, default);
        Assert.Equal(taken.Revision, (await StoredAsync(two, made)).Revision);
        Assert.Equal(["copy", "main"], (await two.Client().ListWeavesAsync("lab", default)).Select(w => w.Id).Order());
        Assert.All(Jobs(two), j => Assert.InRange(j.Value, 1, 2));
    }

    [Fact]
    public async Task A_request_to_cancel_reaches_the_service_that_does_the_work()
    {
        var one = await StartAsync();
        await one.AdoptAsync();
        one.Faults.Hang("CaptureAsync", 1);
        var operation = await one.Client().SnapshotAsync("lab", new(), default);
        await Eventually.HoldsAsync("the capture hangs", () => Task.FromResult(one.Faults.Calls("CaptureAsync") == 1), TestService.Patience, default);
        var two = await StartAsync(beside: one);
        await two.Client().CancelOperationAsync(operation.Id, default);
        Assert.Equal("undone", (await two.LastAsync(operation)).State);
    }

    [Fact]
    public async Task Work_goes_to_the_host_on_which_its_environment_lives_and_waits_for_it()
    {
        var alpha = await StartAsync();
        var beta = await StartAsync(host: "beta");
        await alpha.AdoptAsync("lab", "web");
        // A machine of the same name and file on another host is another machine.
        await beta.AdoptAsync("shop", "web");
        await beta.EndAsync(await alpha.Client().SnapshotAsync("shop", new() { Memory = false }, default));
        Assert.Equal((0, 1), (alpha.Faults.Calls("CaptureAsync"), beta.Faults.Calls("CaptureAsync")));
        await beta.StopAsync();
        var waiting = await alpha.Client().SnapshotAsync("shop", new() { Memory = false }, default);
        for (var n = 0; n < 3; n++) await alpha.EndAsync(await alpha.Client().SnapshotAsync("lab", new() { Memory = false }, default));
        await alpha.Services.GetRequiredService<OperationRunner>().RunEnvironmentAsync(EnvironmentId.Parse("shop"), default);
        await alpha.Services.GetRequiredService<IWeaver>().ReconcileAsync(new(RepairMode.Repair), default);
        Assert.Equal("queued", (await alpha.Client().GetOperationAsync(waiting.Id, default)).State);
        await beta.StartAgainAsync();
        Assert.Equal("succeeded", (await alpha.LastAsync(waiting)).State);
        Assert.Equal(3, alpha.Faults.Calls("CaptureAsync"));
    }

    [Theory]
    [InlineData("Host=localhost;Database=weave;Password=se-cret", "local", "Weaving:Host")]
    [InlineData("Database=weave;Password=se-cret", "alpha", "Storage:Postgres")]
    [InlineData("postgres://u:se-cret@host/weave", "alpha", "Storage:Postgres")]
    public void A_wrong_setting_is_refused_by_its_name_and_without_the_password(string postgres, string host, string named)
    {
        var options = new WeaveOptions { Driver = "simulator", StatePath = "/state" };
        (options.Storage.Postgres, options.Weaving.Host) = (postgres, host);
        var refusal = Assert.Throws<WeaveException>(options.Validate);
        Assert.Equal(Fault.InvalidRequest, refusal.Fault);
        Assert.Contains(named, refusal.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("se-cret", refusal.Message + refusal.NextStep, StringComparison.Ordinal);
        Assert.False(string.IsNullOrEmpty(refusal.NextStep));
    }
}
