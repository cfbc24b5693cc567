using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Simulator.Tests;

/// <summary>Calls that fail half way, which only the simulator can arrange at will.</summary>
public sealed class HalfwayFaultTests : IDisposable
{
    private static readonly WeaveException NoSpace = new(Fault.Exhausted, "No space is left.");
    private static readonly EnvironmentId Lab = EnvironmentId.Parse("lab");
    private readonly SimulatedHost _host = new();
    private readonly FenceTag _main = FenceTag.New();
    public void Dispose() => _host.Dispose();
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private CaptureRequest Plan(IHypervisorDriver driver, params MachineRef[] machines)
    {
        var snapshot = SnapshotId.New(TimeProvider.System);
        return new()
        {
            Environment = Lab, Snapshot = snapshot, Memory = true,
            Machines = [.. machines.Select(m =>
            {
                var id = LayerId.New(TimeProvider.System);
                var head = new LayerRef(LayerId.New(TimeProvider.System), Path.Combine(_host.UserFolder, $"{m.Name}-vda.raw"), DiskFormat.Raw, 1 << 20);
                var (flat, state) = driver.PlaceMemory(Lab, snapshot, m.Name);
                return new CaptureMachine(m, true, [new(VolumeName.Parse("vda"), "vda", head, new(id, driver.PlaceLayer(Lab, _main, id), DiskFormat.Qcow2, 1 << 20))], flat, state);
            })],
        };
    }

    [Theory]
    [InlineData("capture:prepared", 0)]
    [InlineData("capture:paused:a", 0)]
    [InlineData("capture:paused:b", 0)]
    [InlineData("capture:switched:a", 1)]
    [InlineData("capture:saved:a", 1)]
    [InlineData("capture:switched:b", 2)]
    [InlineData("capture:done", 2)]
    public async Task A_capture_that_fails_anywhere_leaves_nothing_paused_and_tells_which_heads_live(string point, int switched)
    {
        var driver = new SimulatedHypervisor(_host);
        MachineRef[] machines = [_host.AddUserMachine("a", "10.0.0.2"), _host.AddUserMachine("b", "10.0.0.3")];
        var request = Plan(driver, machines);
        _host.At = (at, _) => at == point ? Task.FromException(NoSpace) : Task.CompletedTask;
        Assert.Same(NoSpace, await Assert.ThrowsAsync<WeaveException>(() => driver.CaptureAsync(request, null, Stop)));
        Assert.All(_host.RunStates.Values, state => Assert.Equal(RunState.Running, state));
        var reports = await driver.AbandonCaptureAsync(request, Stop);
        Assert.Equal(switched, reports.Count(r => request.Machines.Any(m => m.Volumes[0].NewHead.Id == r.LiveLayer)));
        Assert.Equal(switched, (await driver.ListOwnedAsync(Stop)).Things.Count);
    }

    [Fact]
    public async Task Copies_of_a_start_that_is_cancelled_late_are_gone()
    {
        var driver = new SimulatedHypervisor(_host);
        var machine = _host.AddUserMachine("a", "10.0.0.2");
        var tag = FenceTag.New();
        await driver.MakeFenceAsync(new() { Tag = tag, Environment = Lab, Weave = WeaveId.Parse("w"), Networks = [], Machines = [] }, Stop);
        using var cancel = new CancellationTokenSource();
        _host.At = (at, _) =>
        {
            if (at == "instantiate:done") cancel.Cancel();
            cancel.Token.ThrowIfCancellationRequested();
            return Task.CompletedTask;
        };
        var copy = new CopyMachine(machine with { HypervisorName = "copy", Uuid = Guid.NewGuid() }, (await driver.ExamineAsync([new(machine.Name, "a")], Stop)).Blueprint.Machines[0], [], null, RunState.Running);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => driver.InstantiateAsync(new() { Environment = Lab, Weave = WeaveId.Parse("w"), Tag = tag, Machines = [copy] }, null, cancel.Token));
        Assert.Equal(["a"], _host.RunStates.Keys);
    }

    [Fact]
    public async Task The_named_call_fails_before_or_after_its_effect_and_hangs_until_cancelled()
    {
        var plan = new FaultPlan().Fail(nameof(IHypervisorDriver.PublishAsync), 1, NoSpace).Fail(nameof(IHypervisorDriver.PublishAsync), 2, NoSpace, after: true).Hang(nameof(IHypervisorDriver.PublishAsync), 3);
        await using var driver = new FaultyDriver(new SimulatedHypervisor(_host), plan);
        PublishedEndpoint[] wanted = [new(RouteId.New(TimeProvider.System), RouteProtocol.Tcp, "0.0.0.0", 80, "10.0.0.2", 80)];
        await Assert.ThrowsAsync<WeaveException>(() => driver.PublishAsync(wanted, Stop));
        Assert.Empty((await driver.ListOwnedAsync(Stop)).Endpoints);
        await Assert.ThrowsAsync<WeaveException>(() => driver.PublishAsync(wanted, Stop));
        Assert.Single((await driver.ListOwnedAsync(Stop)).Endpoints);
        using var cancel = new CancellationTokenSource();
        var hanging = driver.PublishAsync([], cancel.Token);
        Assert.False(hanging.IsCompleted);
        cancel.Cancel();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => hanging);
        await driver.PublishAsync([], Stop);
        Assert.Equal(4, plan.Calls(nameof(IHypervisorDriver.PublishAsync)));
    }

    [Fact]
    public async Task A_host_outlives_its_drivers_and_a_power_cut_takes_copies_but_no_files()
    {
        var machine = _host.AddUserMachine("a", "10.0.0.2");
        var first = new SimulatedHypervisor(_host);
        var request = Plan(first, machine);
        await first.CaptureAsync(request, null, Stop);
        _host.Reboot();
        var second = new SimulatedHypervisor(_host);
        Assert.Equal(RunState.Off, (await second.InspectAsync(machine, Stop))!.RunState);
        Assert.Equal(3, (await second.ListOwnedAsync(Stop)).Things.Count);
        _host.IsUp = false;
        Assert.Equal(Fault.Unavailable, (await Assert.ThrowsAsync<WeaveException>(() => second.InspectAsync(machine, Stop))).Fault);
        Assert.Contains((await second.InspectHostAsync(Stop)).Findings, f => f.Level == FindingLevel.Error);
    }
}
