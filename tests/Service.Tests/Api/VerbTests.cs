using WeaveHypervisor.Client;
using WeaveHypervisor.Client.V1;

namespace WeaveHypervisor.Service.Tests.Api;

/// <summary>The product's verbs through the typed client, on a simulated host.</summary>
public sealed class VerbTests : IAsyncLifetime
{
    private TestService _service = null!;

    public async ValueTask InitializeAsync() => _service = await TestService.StartAsync();
    public ValueTask DisposeAsync() => _service.DisposeAsync();

    [Fact]
    public async Task A_weave_of_a_snapshot_runs_beside_the_present_becomes_active_and_goes_again()
    {
        var client = _service.Client();
        await _service.AdoptAsync();
        var main = await client.GetWeaveAsync("lab", "main", default);
        Assert.Equal(["db", "web"], main.Machines.Select(m => m.Name).Order());
        var original = Guid.Parse(main.Machines.Single(m => m.Name == "web").Uuid);
        _service.Host.Order(original, "before");

        var taken = await _service.EndAsync(await client.SnapshotAsync("lab", new() { Label = "good" }, default));
        // The words of results are those of all else.
        Assert.Equal("machine", taken.Result!.Value.GetProperty("consistency").GetString());
        Assert.Equal(["running", "running"], taken.Result.Value.GetProperty("machines").EnumerateArray().Select(m => m.GetProperty("runState").GetString()));
        var snapshot = (await client.ListSnapshotsAsync("lab", default)).Single();
        Assert.Equal(("good", "machine", "ready", "main"), (snapshot.Label, snapshot.Consistency, snapshot.State, snapshot.Weave));
        _service.Host.Order(original, "after");

        await _service.EndAsync(await client.CreateWeaveAsync("lab", new() { WeaveId = "past", SnapshotId = snapshot.Id }, default));
        var past = await client.GetWeaveAsync("lab", "past", default);
        Assert.Equal(("running", false, snapshot.Id, snapshot.At), (past.State, past.Active, past.Origin, past.OriginAt));
        var web = past.Machines.Single(m => m.Name == "web");
        Assert.NotEqual(original.ToString(), web.Uuid);
        Assert.Equal(["before"], _service.Host.Ask(web.Addresses.Single().Outer)!.Orders);
        Assert.Equal(["before", "after"], _service.Host.Ask(original)!.Orders);
        Assert.Equal(main.Machines.Single(m => m.Name == "web").Addresses.Select(a => (a.Inner, a.Mac)), web.Addresses.Select(a => (a.Inner, a.Mac)));

        await _service.EndAsync(await client.PublishRouteAsync("lab", "active", new() { Machine = "web", TargetPort = 80, Listen = ":18080" }, default));
        await _service.EndAsync(await client.PublishRouteAsync("lab", "past", new() { Machine = "web", TargetPort = 80 }, default));
        var routes = await client.ListRoutesAsync("lab", null, default);
        var follows = routes.Single(r => r.FollowsActive);
        Assert.Equal(("main", "127.0.0.1:18080"), (follows.Weave, follows.Connect));
        Assert.Equal(original, _service.Host.AskPort(18080)!.Uuid);
        Assert.Equal(routes.Single(r => !r.FollowsActive).Id, (await client.ListRoutesAsync("lab", "past", default)).Single().Id);

        await _service.EndAsync(await client.ActivateAsync("lab", "past", new(), default));
        Assert.Equal("past", (await client.GetEnvironmentAsync("lab", default)).ActiveWeave);
        Assert.Equal(Guid.Parse(web.Uuid), _service.Host.AskPort(18080)!.Uuid);
        Assert.Equal("conflict", (await Assert.ThrowsAsync<ApiException>(() => client.DeleteWeaveAsync("lab", "past", false, default))).Fault);

        await _service.EndAsync(await client.ActivateAsync("lab", "main", new(), default));
        await _service.EndAsync(await client.WithdrawRouteAsync("lab", follows.Id, default));
        await _service.EndAsync(await client.DeleteWeaveAsync("lab", "past", false, default));
        Assert.Equal(["main"], (await client.ListWeavesAsync("lab", default)).Select(w => w.Id));
        Assert.Null(_service.Host.Ask(web.Addresses.Single().Outer));
        Assert.Empty(await client.ListRoutesAsync("lab", null, default));

        await _service.EndAsync(await client.DeleteSnapshotAsync(snapshot.Id, default));
        await _service.EndAsync(await client.ReleaseAsync("lab", false, default));
        Assert.Empty(await client.ListEnvironmentsAsync(default));
        Assert.Equal(["before", "after"], _service.Host.Ask(original)!.Orders);
    }

    [Fact]
    public async Task A_weave_is_made_as_of_a_time()
    {
        var client = _service.Client();
        await _service.AdoptAsync();
        await _service.EndAsync(await client.SnapshotAsync("lab", new() { Label = "one" }, default));
        var one = (await client.ListSnapshotsAsync("lab", default)).Single();
        await _service.EndAsync(await client.SnapshotAsync("lab", new() { Label = "two" }, default));
        await _service.EndAsync(await client.CreateWeaveAsync("lab", new() { WeaveId = "then", Timestamp = one.At, Start = "none" }, default));
        Assert.Equal(one.Id, (await client.GetWeaveAsync("lab", "then", default)).Origin);
        Assert.Equal("stopped", (await client.GetWeaveAsync("lab", "then", default)).State);
        var early = await Assert.ThrowsAsync<ApiException>(() => client.CreateWeaveAsync("lab", new() { Timestamp = one.At.AddDays(-1) }, default));
        Assert.NotNull(early.Problem.NextStep);
        var timeline = await client.TimelineAsync("lab", null, null, default);
        Assert.Equal(["one", "two"], timeline.Snapshots.Select(s => s.Label));
        Assert.Equal("main", timeline.Activations.Single().Weave);
        Assert.Equal("one", (await client.TimelineAsync("lab", null, one.At, default)).Snapshots.Single().Label);
    }

    [Fact]
    public async Task A_snapshot_is_verified_and_says_all_that_is_known_of_it()
    {
        var client = _service.Client();
        await _service.AdoptAsync();
        await _service.EndAsync(await client.SnapshotAsync("lab", new(), default));
        var id = (await client.ListSnapshotsAsync("lab", default)).Single().Id;
        Assert.Null((await client.GetSnapshotAsync(id, default)).Verification);
        _service.Host.GiveAgent(Model.MachineName.Parse("db"), Simulator.SimulatedAgent.Works);
        _service.Host.GiveAgent(Model.MachineName.Parse("web"), Simulator.SimulatedAgent.Works);
        var ended = await _service.EndAsync(await client.VerifySnapshotAsync(id, new() { Agent = new() { Machine = "db" }, TimeoutSeconds = 5 }, default));
        Assert.True(ended.Result!.Value.GetProperty("passed").GetBoolean());
        // A simulated machine is asked in the simulator, never on a network.
        ended = await _service.EndAsync(await client.VerifySnapshotAsync(id, new() { Probe = new() { Machine = "web", Port = 80, HttpPath = "/" }, TimeoutSeconds = 5 }, default));
        Assert.True(ended.Result!.Value.GetProperty("passed").GetBoolean());
        Assert.IsType<WeaveHypervisor.Service.Hosting.SimulatedProber>(_service.Services.GetService(typeof(Weaving.Traffic.IProber)));
        _service.Host.GiveAgent(Model.MachineName.Parse("db"), Simulator.SimulatedAgent.Hangs);
        ended = await _service.EndAsync(await client.VerifySnapshotAsync(id, new() { Agent = new(), TimeoutSeconds = 0.3 }, default));
        Assert.False(ended.Result!.Value.GetProperty("passed").GetBoolean());
        var snapshot = await client.GetSnapshotAsync(id, default);
        Assert.Equal((false, "agent", "guest agents of all machines that run"), (snapshot.Verification!.Passed, snapshot.Verification.Level, snapshot.Verification.Probe));
        Assert.NotNull(snapshot.Verification.Reason);
        Assert.Equal(["shared", "shared"], snapshot.Verification.Machines.Select(m => m.Method));
        Assert.Equal(["adopted", "deviceState", "memory"], snapshot.Files!.Select(f => f.Kind).Distinct().Order());
        Assert.All(snapshot.Files!, f => Assert.True(File.Exists(f.Path)));
        Assert.Equal(["main"], (await client.ListWeavesAsync("lab", default)).Select(w => w.Id));
        Assert.Equal(snapshot.Verification.At, (await client.TimelineAsync("lab", null, null, default)).Snapshots.Single().Verification!.At);
        foreach (var wrong in (VerifyBody[])[new() { TimeoutSeconds = 0 }, new() { TimeoutSeconds = 601 }, new() { Probe = new() { Machine = "web", Port = 0 } }, new() { Probe = new() { Machine = "web", Port = 80 }, Agent = new() }])
            Assert.Equal("invalidRequest", (await Assert.ThrowsAsync<ApiException>(() => client.VerifySnapshotAsync(id, wrong, default))).Fault);
    }

    [Fact]
    public async Task A_weave_is_kept_longer_or_for_ever()
    {
        var client = _service.Client();
        await _service.AdoptAsync();
        await _service.EndAsync(await client.CreateWeaveAsync("lab", new() { WeaveId = "copy", Ttl = "1h" }, default));
        var first = (await client.GetWeaveAsync("lab", "copy", default)).ExpiresAt;
        await _service.EndAsync(await client.KeepWeaveAsync("lab", "copy", new() { Ttl = "4h" }, default));
        Assert.InRange((await client.GetWeaveAsync("lab", "copy", default)).ExpiresAt!.Value - first!.Value, TimeSpan.FromHours(3), TimeSpan.FromHours(3.1));
        await _service.EndAsync(await client.KeepWeaveAsync("lab", "copy", new() { Ttl = "never" }, default));
        Assert.Null((await client.GetWeaveAsync("lab", "copy", default)).ExpiresAt);
        Assert.Equal("invalidRequest", (await Assert.ThrowsAsync<ApiException>(() => client.KeepWeaveAsync("lab", "copy", new() { Ttl = "soon" }, default))).Fault);
        Assert.Equal("conflict", (await Assert.ThrowsAsync<ApiException>(() => client.KeepWeaveAsync("lab", "main", new() { Ttl = "4h" }, default))).Fault);
    }

    [Fact]
    public async Task A_weave_is_stopped_started_paused_and_resumed()
    {
        var client = _service.Client();
        await _service.AdoptAsync();
        await _service.EndAsync(await client.CreateWeaveAsync("lab", new() { WeaveId = "copy" }, default));
        foreach (var (change, state) in new[] { ("pause", "paused"), ("resume", "running"), ("stop", "stopped"), ("start", "running") })
        {
            await _service.EndAsync(await client.ChangePowerAsync("lab", "copy", change, change == "stop", default));
            Assert.Equal(state, (await client.GetWeaveAsync("lab", "copy", default)).State);
        }
        Assert.All((await client.GetWeaveAsync("lab", "main", default)).Machines, m => Assert.Equal("running", m.RunState));
    }

    [Fact]
    public async Task What_a_foreign_hand_did_is_told_and_repaired_on_request()
    {
        var client = _service.Client();
        await _service.AdoptAsync();
        await _service.EndAsync(await client.CreateWeaveAsync("lab", new() { WeaveId = "copy" }, default));
        var machine = (await client.GetWeaveAsync("lab", "copy", default)).Machines[0];
        _service.Host.KillMachine(Guid.Parse(machine.Uuid));
        Assert.Contains((await client.ReconcileAsync(false, default)).Findings, f => f.Text.Contains(machine.Name, StringComparison.Ordinal));
        Assert.NotEmpty((await client.GetWeaveAsync("lab", "copy", default)).Drift);
        Assert.Contains((await client.DoctorAsync(default)).Findings, f => f.Level == "ok");
    }
}
