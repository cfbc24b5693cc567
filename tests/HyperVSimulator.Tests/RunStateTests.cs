using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Cim.Wrappers;

namespace WeaveHypervisor.HyperV.Simulator.Tests;

/// <summary>Run states and jobs.</summary>
public sealed class RunStateTests : IDisposable
{
    private readonly Bench _bench = new();

    public void Dispose() => _bench.Dispose();

    private async Task<Guid> InAsync(ushort state)
    {
        var id = await _bench.MachineAsync(running: state != 3);
        if (state is 6 or 9) await _bench.PowerAsync(id, state);
        Assert.Equal(state, _bench.Host.StateOf(id));
        return id;
    }

    [Theory]
    [InlineData(2, 2)]
    [InlineData(2, 7)]
    [InlineData(3, 3)]
    [InlineData(3, 4)]
    [InlineData(3, 6)]
    [InlineData(3, 9)]
    [InlineData(3, 10)]
    [InlineData(6, 6)]
    [InlineData(6, 9)]
    [InlineData(9, 9)]
    [InlineData(9, 4)]
    public async Task A_wrong_request_is_refused_at_once(ushort state, ushort wanted)
    {
        var id = await InAsync(state);
        Assert.Equal(wanted == 7 ? 32773u : 32775u, await _bench.AnswerAsync(_bench.System(id), ComputerSystem.RequestStateChange(wanted)));
        Assert.Equal(state, _bench.Host.StateOf(id));
    }

    [Theory]
    [InlineData(2, 3, 3)]
    [InlineData(2, 4, 3)]
    [InlineData(2, 6, 6)]
    [InlineData(2, 9, 9)]
    [InlineData(2, 11, 2)]
    [InlineData(3, 2, 2)]
    [InlineData(6, 2, 2)]
    [InlineData(6, 3, 3)]
    [InlineData(9, 2, 2)]
    [InlineData(9, 3, 3)]
    [InlineData(9, 6, 6)]
    public async Task A_right_request_leads_to_its_state(ushort state, ushort wanted, ushort then)
    {
        var id = await InAsync(state);
        await _bench.PowerAsync(id, wanted);
        Assert.Equal(then, _bench.Host.StateOf(id));
    }

    [Fact]
    public async Task A_host_may_not_save_what_is_paused()
    {
        using var bench = new Bench(new() { Behaviour = new() { SavesPaused = false } });
        var id = await bench.MachineAsync();
        await bench.PowerAsync(id, 9);
        Assert.Equal(32775u, await bench.AnswerAsync(bench.System(id), ComputerSystem.RequestStateChange(6)));
    }

    [Fact]
    public async Task On_the_way_a_machine_is_in_a_state_of_its_own_and_refuses_all_else()
    {
        var id = await InAsync(2);
        Assert.Equal(4096u, await _bench.AnswerAsync(_bench.System(id), ComputerSystem.RequestStateChange(6)));
        Assert.Equal(32773, _bench.Host.StateOf(id));
        var answers = new List<uint>();
        for (var i = 0; i < 20; i++) answers.Add(await _bench.AnswerAsync(await _bench.Sns, VirtualSystemSnapshotService.CreateSnapshot(affectedSystem: _bench.System(id), snapshotType: 2)));
        Assert.Equal([32774u, 32775u], answers.Distinct().Order());
        _bench.Wait(2);
        Assert.Equal(6, _bench.Host.StateOf(id));
    }

    [Fact]
    public async Task A_job_goes_through_its_states_shows_its_effect_at_the_end_and_is_gone_after_five_minutes()
    {
        var id = await InAsync(2);
        var job = (await _bench.Client.InvokeAsync(_bench.System(id), ComputerSystem.RequestStateChange(9), Bench.Stop)).Get(ComputerSystemJob)!;
        Assert.All(job.Keys, k => Assert.Equal("InstanceID", k.Key));
        async Task<ushort> StateAsync() => (await _bench.Client.GetAsync(job, Bench.Stop)).Find(ConcreteJob.JobState)!.Value;
        Assert.Equal(3, await StateAsync());
        _bench.Wait(1);
        Assert.Equal(4, await StateAsync());
        Assert.NotNull(_bench.Host.Guest(id));
        Assert.Equal(32776, _bench.Host.StateOf(id));
        _bench.Wait(1);
        Assert.Equal((7, 9), (await StateAsync(), (int)_bench.Host.StateOf(id)));
        Assert.Equal(_bench.System(id), Assert.Single(await _bench.Jobs.ResultsAsync(job, ComputerSystem.ClassName, Bench.Stop)).Reference);
        _bench.Wait(299);
        Assert.Equal(7, await StateAsync());
        _bench.Wait(1);
        Assert.Equal(CimStatus.NotFound, (await Assert.ThrowsAsync<CimException>(StateAsync)).Status);
    }

    private static readonly CimProperty<CimPath> ComputerSystemJob = new("Job");

    [Fact]
    public async Task A_save_can_be_cancelled_and_leaves_the_machine_running()
    {
        var id = await InAsync(2);
        var job = (await _bench.Client.InvokeAsync(_bench.System(id), ComputerSystem.RequestStateChange(6), Bench.Stop)).Get(ComputerSystemJob)!;
        Assert.Equal(4098u, await _bench.AnswerAsync(job, ConcreteJob.RequestStateChange(7)));
        Assert.Equal(0u, await _bench.AnswerAsync(job, ConcreteJob.RequestStateChange(4)));
        Assert.Equal((ushort)8, (await _bench.Client.GetAsync(job, Bench.Stop)).Find(ConcreteJob.JobState));
        _bench.Wait(5);
        Assert.Equal(2, _bench.Host.StateOf(id));
    }

    [Fact]
    public async Task Short_calls_are_done_now_at_once_now_by_a_job()
    {
        var settings = await _bench.SettingsAsync(await InAsync(3));
        var answers = new HashSet<uint>();
        for (var i = 0; i < 20; i++)
        {
            answers.Add(await _bench.AnswerAsync(await _bench.Vms, VirtualSystemManagementService.ModifySystemSettings(settings.With(VirtualSystemSettingData.ElementName, "n" + i))));
            _bench.Wait(3);
        }
        Assert.Equal([0u, 4096u], answers.Order());
    }

    [Fact]
    public async Task A_failed_job_has_code_text_and_messages()
    {
        var id = await InAsync(3);
        await _bench.Host.Files.DeleteAsync(await _bench.LeafAsync(id), Bench.Stop);
        var error = await _bench.FailsAsync(_bench.System(id), ComputerSystem.RequestStateChange(2));
        Assert.Equal((HostErrorKind.NotFound, 0x80070002u), (error.Kind, error.WindowsError!.Value));
        Assert.Contains("12000", Assert.Single(error.Messages).Id);
        Assert.Equal(3, _bench.Host.StateOf(id));
    }

    [Fact]
    public async Task A_guest_that_does_not_listen_is_not_shut_down()
    {
        var id = await InAsync(2);
        _bench.Host.SetGuest(id, answersShutdown: false);
        Assert.Equal(32781u, await _bench.AnswerAsync(_bench.System(id), ComputerSystem.RequestStateChange(4)));
        var component = Assert.Single(await _bench.Client.QueryAsync(Bench.V2, Wql.From(ShutdownComponent.ClassName).ToString(), Bench.Stop)).Reference;
        Assert.Equal(32781u, await _bench.AnswerAsync(component, ShutdownComponent.InitiateShutdown(force: true, reason: "test")));
        _bench.Host.SetGuest(id);
        await _bench.RunAsync(component, ShutdownComponent.InitiateShutdown(force: true, reason: "test"));
        Assert.Equal(3, _bench.Host.StateOf(id));
    }

    [Fact]
    public async Task A_machine_that_runs_is_not_destroyed_and_its_disks_outlive_it()
    {
        var id = await InAsync(2);
        var disk = await _bench.LeafAsync(id);
        Assert.Equal(32775u, await _bench.AnswerAsync(await _bench.Vms, VirtualSystemManagementService.DestroySystem(affectedSystem: _bench.System(id))));
        await _bench.PowerAsync(id, 6);
        await _bench.RunAsync(await _bench.Vms, VirtualSystemManagementService.DestroySystem(affectedSystem: _bench.System(id)));
        Assert.Equal(CimStatus.NotFound, (await Assert.ThrowsAsync<CimException>(() => _bench.Client.GetAsync(_bench.System(id), Bench.Stop))).Status);
        Assert.NotNull(await _bench.Host.Files.FindAsync(disk, Bench.Stop));
        Assert.Empty(await _bench.Host.Files.ListAsync(HostPath.Join(_bench.Host.DataRoot, "Virtual Machines"), true, Bench.Stop));
    }

    [Fact]
    public async Task A_reboot_of_the_host_saves_machines_or_turns_them_off_as_they_are_set_to()
    {
        var (saves, stops) = (await _bench.MachineAsync("saves"), await _bench.MachineAsync("stops"));
        await _bench.ModifyAsync(await _bench.SettingsAsync(stops), s => s.With(VirtualSystemSettingData.AutomaticShutdownAction, (ushort)2));
        _bench.Host.Reboot(TimeSpan.FromMinutes(1));
        Assert.Equal(CimStatus.ServerShuttingDown, (await Assert.ThrowsAsync<CimException>(() => _bench.Client.GetAsync(_bench.System(saves), Bench.Stop))).Status);
        _bench.Wait(60);
        Assert.Equal((6, 3), ((int)_bench.Host.StateOf(saves), (int)_bench.Host.StateOf(stops)));
    }
}
