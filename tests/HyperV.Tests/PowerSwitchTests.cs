using Microsoft.Extensions.Time.Testing;
using WeaveHypervisor.Conformance;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.HyperV.Cim.Wrappers;
using WeaveHypervisor.HyperV.Simulator;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.HyperV.Tests;

public sealed class PowerSwitchTests : IDisposable
{
    private readonly string _root = Directory.CreateTempSubdirectory("wvhv").FullName;
    private readonly FakeTimeProvider _clock = new(new DateTimeOffset(2026, 11, 1, 0, 0, 0, TimeSpan.Zero));
    private readonly SimulatedHost _host;
    private readonly Guid _id;

    public PowerSwitchTests()
    {
        _host = new(_root, _clock);
        _id = _host.AddMachine("web", [1 << 24]);
    }

    public void Dispose() => Directory.Delete(_root, recursive: true);

    private static CancellationToken Stop => TestContext.Current.CancellationToken;
    private MachineRef Machine => new(Ids.Parse<MachineName>("web"), "web", _id);

    private async Task ChangeAsync(PowerChange change, double patience = 60, MachineRef? machine = null)
    {
        var run = new DriverParts(new(new(), _host.Client, _host.Files, _clock, Microsoft.Extensions.Logging.Abstractions.NullLoggerFactory.Instance)).Power.ChangeAsync([machine ?? Machine], change, TimeSpan.FromSeconds(patience), Stop);
        await Eventually.EndsAsync(run, () => _clock.Advance(TimeSpan.FromMilliseconds(250)));
        await run;
    }

    private async Task SaveAsync()
    {
        await _host.Client.InvokeAsync(_host.SystemOf(_id), ComputerSystem.RequestStateChange(6), Stop);
        _clock.Advance(TimeSpan.FromSeconds(5));
        Assert.Equal(6, _host.StateOf(_id));
    }

    [Fact]
    public async Task Each_change_leads_to_its_state_and_twice_is_once()
    {
        foreach (var (change, state) in new[] { (PowerChange.Start, 2), (PowerChange.Pause, 9), (PowerChange.Resume, 2), (PowerChange.ShutDown, 3), (PowerChange.Start, 2), (PowerChange.Pause, 9), (PowerChange.ShutDown, 3), (PowerChange.Start, 2), (PowerChange.PowerOff, 3) })
        {
            await ChangeAsync(change);
            Assert.Equal(state, _host.StateOf(_id));
            var calls = _host.Faults.Calls.GetValueOrDefault("RequestStateChange");
            await ChangeAsync(change);
            Assert.Equal((state, calls), (_host.StateOf(_id), _host.Faults.Calls["RequestStateChange"]));
        }
    }

    [Fact]
    public async Task A_saved_machine_keeps_its_memory_until_it_is_started()
    {
        await ChangeAsync(PowerChange.Start);
        var boot = _host.Guest(_id)!.Boot;
        await SaveAsync();
        await ChangeAsync(PowerChange.PowerOff);
        await ChangeAsync(PowerChange.ShutDown);
        Assert.Equal(6, _host.StateOf(_id));
        await ChangeAsync(PowerChange.Start);
        Assert.Equal(boot, _host.Guest(_id)!.Boot);
    }

    [Theory]
    [InlineData(CallFault.LostAfter)]
    [InlineData(CallFault.JobVanishes)]
    public async Task A_change_whose_outcome_is_not_told_is_looked_for_and_not_repeated(CallFault fault)
    {
        _host.Faults.Add("RequestStateChange", 1, fault);
        await ChangeAsync(PowerChange.Start);
        Assert.Equal(2, _host.StateOf(_id));
        Assert.Equal(1, _host.Faults.Calls["RequestStateChange"]);
    }

    [Theory]
    [InlineData(CallFault.LostBefore, Fault.Unavailable)]
    [InlineData(CallFault.RestartAfter, Fault.Unavailable)]
    [InlineData(CallFault.JobHangs, Fault.Unavailable)]
    public async Task A_change_that_did_not_happen_is_an_error_and_can_be_made_again(CallFault fault, Fault told)
    {
        _host.Faults.Add("RequestStateChange", 1, fault);
        Assert.Equal(told, (await Assert.ThrowsAsync<WeaveException>(() => ChangeAsync(PowerChange.Start))).Fault);
        _host.RestartService(TimeSpan.Zero);
        await ChangeAsync(PowerChange.Start);
        Assert.Equal(2, _host.StateOf(_id));
    }

    [Fact]
    public async Task A_guest_that_does_not_shut_down_is_told_as_busy_and_runs_on()
    {
        await ChangeAsync(PowerChange.Start);
        _host.SetGuest(_id, answersShutdown: false);
        Assert.Equal(Fault.Busy, (await Assert.ThrowsAsync<WeaveException>(() => ChangeAsync(PowerChange.ShutDown, 20))).Fault);
        Assert.Equal(2, _host.StateOf(_id));
    }

    [Fact]
    public async Task A_machine_that_is_gone_is_off_and_cannot_be_started()
    {
        var gone = new MachineRef(Ids.Parse<MachineName>("gone"), "gone", Guid.NewGuid());
        await ChangeAsync(PowerChange.PowerOff, machine: gone);
        Assert.Equal(Fault.NotFound, (await Assert.ThrowsAsync<WeaveException>(() => ChangeAsync(PowerChange.Start, machine: gone))).Fault);
    }
}
