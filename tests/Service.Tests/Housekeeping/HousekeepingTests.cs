using Microsoft.Extensions.Time.Testing;
using WeaveHypervisor.Client;
using WeaveHypervisor.Client.V1;
using WeaveHypervisor.Conformance;
using WeaveHypervisor.Model;
using WeaveHypervisor.Service.Hosting;
using WeaveHypervisor.Service.Housekeeping;

namespace WeaveHypervisor.Service.Tests.Housekeeping;

/// <summary>What the service does by itself as time goes by.</summary>
public sealed class HousekeepingTests : IAsyncLifetime
{
    private readonly FakeTimeProvider _clock = new(DateTimeOffset.Parse("2030-01-01T00:00:00Z", System.Globalization.CultureInfo.InvariantCulture));
    private TestService _service = null!;
    private WeaveClient Client => _service.Client();

    public async ValueTask InitializeAsync() => _service = await TestService.StartAsync(_clock);
    public ValueTask DisposeAsync() => _service.DisposeAsync();

    /// <summary>Lets the service's clock run, a step at each look, until the condition holds.</summary>
    private Task PassesAsync(TimeSpan step, string what, Func<Task<bool>> condition) => Eventually.HoldsAsync(what, async () =>
    {
        if (await condition()) return true;
        _clock.Advance(step);
        return false;
    }, TestService.Patience, default);

    /// <summary>Waits for the end of an operation while the clock goes slowly: a look may have the environment for a moment, and work asks again by the clock.</summary>
    private async Task<OperationView> EndAsync(OperationView operation)
    {
        var end = _service.EndAsync(operation);
        await Eventually.EndsAsync(end, () => _clock.Advance(TimeSpan.FromMilliseconds(5)));
        return await end;
    }

    private async Task<IEnumerable<string>> WeavesAsync() => (await Client.ListWeavesAsync("lab", default)).Select(w => w.Id).Order(StringComparer.Ordinal);
    private async Task<IReadOnlyList<OperationView>> DeletionsAsync() => [.. (await Client.ListOperationsAsync("lab", false, 200, default)).Where(o => o.Kind == "weave.delete")];

    [Fact]
    public async Task A_weave_is_gone_when_its_time_to_live_is_over_and_all_else_stays()
    {
        await _service.AdoptAsync();
        await EndAsync(await Client.CreateWeaveAsync("lab", new() { WeaveId = "short", Ttl = "1h30m" }, default));
        await EndAsync(await Client.CreateWeaveAsync("lab", new() { WeaveId = "long" }, default));
        var made = await Client.GetWeaveAsync("lab", "short", default);
        Assert.Equal(made.CreatedAt.AddMinutes(90), made.ExpiresAt);
        var early = TimeSpan.Zero;
        await PassesAsync(TimeSpan.FromMinutes(1), "the weave is gone", async () =>
        {
            var there = (await WeavesAsync()).Contains("short");
            if (there) early = _clock.GetUtcNow() - made.CreatedAt;
            return !there;
        });
        Assert.InRange(early, TimeSpan.FromMinutes(89), TimeSpan.MaxValue);
        Assert.Equal(["long", "main"], await WeavesAsync());
        var deletion = await EndAsync(Assert.Single(await DeletionsAsync()));
        Assert.Equal(("lab/short", ExpiredWeaves.Requester), (deletion.Subject, deletion.RequestedBy));
        Assert.Contains($"\"who\":\"{ExpiredWeaves.Requester}\",\"what\":\"weave.delete\",\"subject\":\"lab/short\"", await _service.Http(_service.AdminToken).GetStringAsync("/api/v1/audit"));
    }

    [Fact]
    public async Task The_active_weave_is_kept_beyond_its_time_and_goes_when_another_is_active()
    {
        await _service.AdoptAsync();
        await EndAsync(await Client.CreateWeaveAsync("lab", new() { WeaveId = "short", Ttl = "1m" }, default));
        await EndAsync(await Client.CreateWeaveAsync("lab", new() { WeaveId = "mark", Ttl = "2m" }, default));
        await EndAsync(await Client.ActivateAsync("lab", "short", new(), default));
        // When the mark is gone, the looks for expired weaves have passed the other by.
        await PassesAsync(TimeSpan.FromSeconds(30), "the mark is gone", async () => !(await WeavesAsync()).Contains("mark"));
        Assert.Equal(["main", "short"], await WeavesAsync());
        Assert.Equal(["lab/mark"], (await DeletionsAsync()).Select(o => o.Subject));
        await EndAsync(await Client.ActivateAsync("lab", "main", new(), default));
        await PassesAsync(TimeSpan.FromSeconds(30), "the weave is gone", async () => !(await WeavesAsync()).Contains("short"));
    }

    [Fact]
    public async Task A_weave_that_expired_while_the_service_was_stopped_goes_after_the_start()
    {
        await _service.AdoptAsync();
        await EndAsync(await Client.CreateWeaveAsync("lab", new() { WeaveId = "short", Ttl = "1m" }, default));
        await _service.StopAsync();
        _clock.Advance(TimeSpan.FromDays(1));
        await _service.StartAgainAsync();
        await PassesAsync(TimeSpan.FromSeconds(30), "the weave is gone", async () => !(await WeavesAsync()).Contains("short"));
        Assert.Single(await DeletionsAsync());
    }

    [Fact]
    public async Task What_a_foreign_hand_did_is_shown_without_asking_and_nothing_is_repaired()
    {
        await _service.AdoptAsync();
        await EndAsync(await Client.CreateWeaveAsync("lab", new() { WeaveId = "copy" }, default));
        var machine = (await Client.GetWeaveAsync("lab", "copy", default)).Machines[0];
        _service.Host.KillMachine(Guid.Parse(machine.Uuid));
        Assert.Empty((await Client.GetWeaveAsync("lab", "copy", default)).Drift);
        await PassesAsync(TimeSpan.FromMinutes(1), "drift is shown", async () => (await Client.GetWeaveAsync("lab", "copy", default)).Drift.Count > 0);
        var copy = await Client.GetWeaveAsync("lab", "copy", default);
        Assert.Contains(machine.Name, Assert.Single(copy.Drift).Text);
        Assert.Equal("off", copy.Machines.Single(m => m.Name == machine.Name).RunState);
        Assert.Null(_service.Host.Ask(Guid.Parse(machine.Uuid)));
        // A look holds the environment for moments only: work that comes after it is done.
        await EndAsync(await Client.SnapshotAsync("lab", new() { Weave = "main" }, default));
    }

    [Fact]
    public async Task A_look_that_fails_is_followed_by_the_next()
    {
        await _service.AdoptAsync();
        await EndAsync(await Client.CreateWeaveAsync("lab", new() { WeaveId = "copy" }, default));
        var calls = _service.Faults.Calls("ListOwnedAsync");
        _service.Faults.Fail("ListOwnedAsync", calls + 1, new WeaveException(Fault.Internal, "The hypervisor says nonsense."));
        _service.Host.KillMachine(Guid.Parse((await Client.GetWeaveAsync("lab", "copy", default)).Machines[0].Uuid));
        await PassesAsync(TimeSpan.FromMinutes(1), "drift is shown", async () => (await Client.GetWeaveAsync("lab", "copy", default)).Drift.Count > 0);
        Assert.True(_service.Faults.Calls("ListOwnedAsync") >= calls + 2);
    }

    [Theory]
    [InlineData("ExpiryEvery", "00:00:00")]
    [InlineData("ExpiryRetryAfter", "8.00:00:00")]
    [InlineData("DriftEvery", "00:00:09")]
    [InlineData("WakeUpsEvery", "-00:00:01")]
    public void A_setting_out_of_range_is_refused_with_its_name_and_its_range(string name, string value)
    {
        var refusal = Assert.Throws<WeaveException>(() => Composition.ReadOptions(["--Weave:Driver=simulator", $"--Weave:Housekeeping:{name}={value}"]));
        Assert.Equal(Fault.InvalidRequest, refusal.Fault);
        Assert.Contains($"Weave:Housekeeping:{name}", refusal.Message);
        Assert.StartsWith("Use ", refusal.NextStep);
    }

    [Fact]
    public void Settings_are_taken_from_the_command_line() =>
        Assert.Equal(TimeSpan.FromMinutes(10), Composition.ReadOptions(["--Weave:Driver=simulator", "--Weave:Housekeeping:DriftEvery=00:10:00"]).Housekeeping.DriftEvery);
}
