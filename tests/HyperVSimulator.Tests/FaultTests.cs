using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Cim.Wrappers;

namespace WeaveHypervisor.HyperV.Simulator.Tests;

/// <summary>Calls that go wrong on demand.</summary>
public sealed class FaultTests : IDisposable
{
    private readonly Bench _bench = new();

    public void Dispose() => _bench.Dispose();

    private async Task<(HostException Error, bool Done)> PauseAsync(CallFault fault, int nth = 1)
    {
        var id = await _bench.MachineAsync();
        _bench.Host.Faults.Forget();
        _bench.Host.Faults.Add("RequestStateChange", nth, fault);
        var error = await _bench.FailsAsync(_bench.System(id), ComputerSystem.RequestStateChange(9), seconds: 20);
        _bench.Wait(10);
        return (error, _bench.Host.StateOf(id) == 9);
    }

    [Theory]
    [InlineData(CallFault.RefusedBefore, HostErrorKind.Failed, false)]
    [InlineData(CallFault.LostBefore, HostErrorKind.Unavailable, false)]
    [InlineData(CallFault.LostAfter, HostErrorKind.OutcomeUnknown, true)]
    [InlineData(CallFault.RestartAfter, HostErrorKind.OutcomeUnknown, false)]
    [InlineData(CallFault.JobFails, HostErrorKind.InvalidRequest, false)]
    [InlineData(CallFault.JobHangs, HostErrorKind.TimedOut, false)]
    [InlineData(CallFault.JobVanishes, HostErrorKind.OutcomeUnknown, true)]
    public async Task Each_way_is_told_as_what_it_is(CallFault fault, HostErrorKind kind, bool done) => Assert.Equal((kind, done), await PauseAsync(fault) is var (error, was) ? (error.Kind, was) : default);

    [Fact]
    public async Task A_machine_whose_job_came_to_nothing_is_as_before_and_free()
    {
        var id = await _bench.MachineAsync();
        foreach (var fault in new[] { CallFault.JobFails, CallFault.RestartAfter })
        {
            _bench.Host.Faults.Forget();
            _bench.Host.Faults.Add("RequestStateChange", 1, fault);
            await _bench.FailsAsync(_bench.System(id), ComputerSystem.RequestStateChange(6));
            _bench.Wait(10);
            Assert.Equal(2, _bench.Host.StateOf(id));
        }
        await _bench.PowerAsync(id, 6);
    }

    [Fact]
    public async Task A_call_that_hangs_ends_with_its_cancellation()
    {
        _bench.Host.Faults.Add("Query", 1, CallFault.Hangs);
        using var stop = new CancellationTokenSource();
        var call = _bench.Client.QueryAsync(Bench.V2, "SELECT * FROM Msvm_ComputerSystem", stop.Token);
        Assert.False(call.IsCompleted);
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => call);
    }

    [Fact]
    public async Task While_the_service_restarts_nothing_answers_and_afterwards_jobs_are_gone_and_machines_run()
    {
        var id = await _bench.MachineAsync();
        _bench.Host.RestartService(TimeSpan.FromSeconds(30));
        Assert.Equal(0x800706BAu, (await Assert.ThrowsAsync<CimException>(() => _bench.Client.GetAsync(_bench.System(id), Bench.Stop))).WindowsError);
        _bench.Wait(30);
        Assert.Empty(await _bench.Client.QueryAsync(Bench.V2, "SELECT * FROM Msvm_ConcreteJob", Bench.Stop));
        Assert.True(_bench.Host.Guest(id)!.Count >= 30);
    }

    [Fact]
    public async Task Calls_are_counted_by_name_and_only_the_nth_fails()
    {
        var id = await _bench.MachineAsync();
        _bench.Host.Faults.Forget();
        _bench.Host.Faults.Add("Get", 3, CallFault.RefusedBefore);
        for (var i = 1; i <= 4; i++)
        {
            if (i == 3) await Assert.ThrowsAsync<CimException>(() => _bench.Client.GetAsync(_bench.System(id), Bench.Stop));
            else await _bench.Client.GetAsync(_bench.System(id), Bench.Stop);
        }
        Assert.Equal(4, _bench.Host.Faults.Calls["Get"]);
    }

    [Theory]
    [InlineData(CallFault.RefusedBefore, false)]
    [InlineData(CallFault.LostAfter, true)]
    public async Task Files_fail_before_or_after_their_effect(CallFault fault, bool done)
    {
        _bench.Host.Faults.Add("Files.Write", 1, fault);
        await Assert.ThrowsAsync<HostException>(() => _bench.Host.Files.WriteAsync(@"D:\a\b.json", new byte[3], Bench.Stop));
        Assert.Equal(done, await _bench.Host.Files.ReadAsync(@"D:\a\b.json", Bench.Stop) is not null);
    }

    [Fact]
    public async Task Files_are_listed_copied_and_deleted_with_windows_errors()
    {
        var files = _bench.Host.Files;
        await files.WriteAsync(@"D:\Lib\One.json", "1"u8.ToArray(), Bench.Stop);
        await files.CreateFolderAsync(@"D:\Lib\Sub", Bench.Stop);
        await files.CopyAsync(@"d:\lib\one.JSON", @"D:\Lib\Sub\Two.json", Bench.Stop);
        Assert.Equal([@"D:\Lib\One.json", @"D:\Lib\Sub"], (await files.ListAsync(@"D:\lib", false, Bench.Stop)).Select(f => f.Path));
        Assert.Equal(3, (await files.ListAsync(@"D:\Lib", true, Bench.Stop)).Count);
        async Task<HostErrorKind> KindAsync(Func<Task> call) => (await Assert.ThrowsAsync<HostException>(call)).Kind;
        Assert.Equal(HostErrorKind.AlreadyExists, await KindAsync(() => files.CopyAsync(@"D:\Lib\One.json", @"D:\Lib\Sub\Two.json", Bench.Stop)));
        Assert.Equal(HostErrorKind.NotFound, await KindAsync(() => files.CopyAsync(@"D:\none", @"D:\Lib\x", Bench.Stop)));
        Assert.Equal(HostErrorKind.NotFound, await KindAsync(() => files.CopyAsync(@"D:\Lib\One.json", @"D:\nowhere\x", Bench.Stop)));
        Assert.Equal(HostErrorKind.InvalidRequest, await KindAsync(() => files.CopyAsync(@"D:\Lib\One.json", @"D:\Lib\..\x", Bench.Stop)));
        await files.DeleteAsync(@"D:\LIB", Bench.Stop);
        await files.DeleteAsync(@"D:\LIB", Bench.Stop);
        Assert.Empty(await files.ListAsync(@"D:\Lib", true, Bench.Stop));
    }
}
