using WeaveHypervisor.Drivers;
using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Simulator;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.HyperV.Tests;

/// <summary>Each call of the host goes wrong once, in every way: what was begun ends whole, or can be cleared away, and nothing is left.</summary>
public sealed class FaultTests
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    /// <summary>Looks are many and alike: every eleventh of them is tried.</summary>
    private const int EverySoManyLooks = 11;

    public static TheoryData<Hosts.Kind, CallFault> Captures() => new()
    {
        { Hosts.Kind.All, CallFault.RefusedBefore }, { Hosts.Kind.All, CallFault.LostBefore }, { Hosts.Kind.All, CallFault.LostAfter }, { Hosts.Kind.All, CallFault.RestartAfter }, { Hosts.Kind.All, CallFault.JobFails },
        { Hosts.Kind.All, CallFault.JobVanishes }, { Hosts.Kind.All, CallFault.JobHangs }, { Hosts.Kind.OnlySaved, CallFault.LostAfter }, { Hosts.Kind.OnlySaved, CallFault.JobFails }, { Hosts.Kind.OnlyFlat, CallFault.RestartAfter },
    };

    public static TheoryData<CallFault, bool> Copies() => new()
    {
        { CallFault.RefusedBefore, true }, { CallFault.LostBefore, true }, { CallFault.LostAfter, true }, { CallFault.RestartAfter, true }, { CallFault.JobFails, true }, { CallFault.JobVanishes, true }, { CallFault.JobHangs, true },
        { CallFault.LostAfter, false }, { CallFault.JobFails, false },
    };

    private static List<(string Call, int Nth)> Places(CoreBench bench, CallFault fault)
    {
        var places = new List<(string, int)>();
        foreach (var (call, count) in bench.Host.Faults.Calls.OrderBy(c => c.Key, StringComparer.Ordinal))
        {
            var looks = SimulatedFaults.IsLook(call);
            // Looks have no effect, and no job.
            if (looks && fault is not (CallFault.LostBefore or CallFault.RefusedBefore or CallFault.RestartAfter) || call.StartsWith("Files.", StringComparison.Ordinal) && fault is CallFault.LostAfter or CallFault.JobVanishes or CallFault.JobHangs) continue;
            for (var nth = 1; nth <= count; nth += looks ? EverySoManyLooks : 1) places.Add((call, nth));
        }
        return places;
    }

    [Theory, MemberData(nameof(Captures))]
    public async Task A_capture_in_which_a_call_goes_wrong_is_whole_or_cleared_away(Hosts.Kind kind, CallFault fault)
    {
        using var bench = Hosts.Core(kind);
        await bench.AdoptAsync(1);
        var boot = bench.Host.Guest(bench[0])!.Boot;
        bench.Host.Faults.Forget();
        await bench.CaptureAsync(memory: true);
        var failed = 0;
        foreach (var (call, nth) in Places(bench, fault))
        {
            bench.Host.Faults.Forget();
            bench.Host.Faults.Add(call, nth, fault);
            var request = bench.Plan(memory: true);
            var where = $"{fault} in {call} {nth}";
            try
            {
                await bench.Parts.Capture.RunAsync(request, null, Stop);
                bench.Switched(request);
                bench.Host.Faults.Forget();
            }
            catch (WeaveException)
            {
                failed++;
                if (fault == CallFault.JobHangs) bench.Host.RestartService(TimeSpan.FromSeconds(1));
                bench.Host.Faults.Forget();
                bench.Clock.Advance(TimeSpan.FromSeconds(10));
                var first = await bench.Parts.Cleanup.AbandonAsync(request, Stop);
                Assert.Equal(first, await bench.Parts.Cleanup.AbandonAsync(request, Stop));
                foreach (var report in first)
                {
                    var volume = request.Machines[0].Volumes.Single(v => v.Volume == report.Volume);
                    if (report.LiveLayer == volume.NewHead.Id) bench.Heads[(report.Machine, report.Volume)] = volume.NewHead;
                    else Assert.Null(await bench.Host.Files.FindAsync(volume.NewHead.Path, Stop));
                }
                Assert.True(await bench.Host.Files.FindAsync(request.Machines[0].FlatPath, Stop) is null && await bench.Host.Files.FindAsync(request.Machines[0].DeviceStatePath, Stop) is null, where);
            }
            var facts = (await bench.Parts.Machines.InspectAsync(request.Machines[0].Machine, Stop))!;
            Assert.True(facts.RunState == RunState.Running, $"{where}: {facts.RunState}");
            foreach (var ((_, volume), head) in bench.Heads) Assert.Equal(head.Path, facts.VolumePaths[volume.Text], HostPath.Comparer);
            var guest = bench.Host.Guest(bench[0])!;
            Assert.True(guest.Boot == boot && !guest.IsCorrupt, $"{where}: the guest is not what it was");
            Assert.True((await bench.Host.Files.ListAsync(bench.Context.Paths.Work, true, Stop)).Count == 0, $"{where}: something is left");
            Assert.Equal((ushort)3, (await bench.Context.Machines.FindAsync(bench[0], Stop))!.Settings.Find(Cim.Wrappers.VirtualSystemSettingData.UserSnapshotType));
        }
        Assert.True(failed > 0);
        // After all of it: a point, and a copy that goes on.
        bench.Host.Faults.Forget();
        Assert.True(bench.Host.WriteAsGuest(bench[0], 1, 8192, "still"u8));
        var (good, result) = await bench.CaptureAsync(memory: true);
        var copy = await bench.PlanCopyAsync(good, result);
        await bench.Parts.Starter.RunAsync(copy, null, Stop);
        var id = await bench.IdOfAsync(copy.Machines[0].Machine);
        Assert.Equal("still"u8, bench.Host.ReadDisk(id, 1, 8192, 5));
        Assert.False(bench.Host.Guest(id)!.IsCorrupt);
    }

    [Theory, MemberData(nameof(Copies))]
    public async Task Copies_in_whose_making_a_call_goes_wrong_run_at_the_second_attempt_and_leave_nothing(CallFault fault, bool memory)
    {
        using var bench = Hosts.Core(Hosts.Kind.All);
        await bench.AdoptAsync(1);
        var boot = bench.Host.Guest(bench[0])!.Boot;
        var (request, result) = await bench.CaptureAsync(memory: true);
        Task<InstantiateRequest> PlanAsync() => bench.PlanCopyAsync(request, result, memory);
        var trial = await PlanAsync();
        bench.Host.Faults.Forget();
        await bench.Parts.Starter.RunAsync(trial, null, Stop);
        var places = Places(bench, fault);
        await bench.Parts.Owned.RetireAsync(trial.Machines[0].Machine.Uuid, Stop);
        foreach (var (call, nth) in places)
        {
            var copies = await PlanAsync();
            var where = $"{fault} in {call} {nth}, {(memory ? "resumed" : "booted")}";
            bench.Host.Faults.Forget();
            bench.Host.Faults.Add(call, nth, fault);
            try
            {
                await bench.Parts.Starter.RunAsync(copies, null, Stop);
            }
            catch (WeaveException)
            {
                if (fault == CallFault.JobHangs) bench.Host.RestartService(TimeSpan.FromSeconds(1));
                bench.Host.Faults.Forget();
                bench.Clock.Advance(TimeSpan.FromSeconds(10));
                await bench.Parts.Starter.RunAsync(copies, null, Stop);
            }
            bench.Host.Faults.Forget();
            var id = await bench.IdOfAsync(copies.Machines[0].Machine);
            var guest = bench.Host.Guest(id);
            Assert.True(guest is { IsCorrupt: false } && guest.Boot == boot == memory, $"{where}: the guest is not what it should be");
            await bench.Parts.Owned.RetireAsync(copies.Machines[0].Machine.Uuid, Stop);
            Assert.True(bench.Host.MachineNames().Count == 1, $"{where}: a machine is left");
            Assert.True((await bench.Context.Machines.ListPlannedAsync(Stop)).Count == 0, $"{where}: a planned machine is left");
            Assert.True((await bench.Host.Files.ListAsync(bench.Context.Paths.Copies, true, Stop)).Count == 0, $"{where}: a folder is left");
            Assert.True((await bench.Host.Files.ListAsync(bench.Context.Paths.Work, true, Stop)).Count == 0, $"{where}: work is left");
        }
        Assert.Equal(boot, bench.Host.Guest(bench[0])!.Boot);
    }

    [Theory]
    [InlineData(CallFault.LostBefore)]
    [InlineData(CallFault.LostAfter)]
    [InlineData(CallFault.RestartAfter)]
    [InlineData(CallFault.JobFails)]
    [InlineData(CallFault.JobVanishes)]
    public async Task A_copy_whose_removal_goes_wrong_is_gone_after_the_next(CallFault fault)
    {
        using var bench = Hosts.Core(Hosts.Kind.All);
        await bench.AdoptAsync(1);
        var (request, result) = await bench.CaptureAsync(memory: true);
        var trial = await bench.PlanCopyAsync(request, result);
        await bench.Parts.Starter.RunAsync(trial, null, Stop);
        bench.Host.Faults.Forget();
        await bench.Parts.Owned.RetireAsync(trial.Machines[0].Machine.Uuid, Stop);
        foreach (var (call, nth) in Places(bench, fault))
        {
            var copies = await bench.PlanCopyAsync(request, result);
            await bench.Parts.Starter.RunAsync(copies, null, Stop);
            bench.Host.WriteFirmware(await bench.IdOfAsync(copies.Machines[0].Machine), "written by the copy"u8);
            bench.Host.Faults.Forget();
            bench.Host.Faults.Add(call, nth, fault);
            try
            {
                await bench.Parts.Owned.RetireAsync(copies.Machines[0].Machine.Uuid, Stop);
            }
            catch (WeaveException)
            {
                bench.Host.Faults.Forget();
                bench.Clock.Advance(TimeSpan.FromSeconds(10));
                await bench.Parts.Owned.RetireAsync(copies.Machines[0].Machine.Uuid, Stop);
            }
            bench.Host.Faults.Forget();
            Assert.True(bench.Host.MachineNames().Count == 1, $"{fault} in {call} {nth}: the copy is still there");
            var kept = await bench.Host.Files.ReadAsync(copies.Machines[0].States[0].Path, Stop);
            Assert.Equal("written by the copy"u8, kept!);
            Assert.Empty(await bench.Host.Files.ListAsync(bench.Context.Paths.Copies, true, Stop));
            Assert.NotNull(await bench.Host.Files.FindAsync(copies.Machines[0].Heads[0].Head.Path, Stop));
        }
    }

    [Theory]
    [InlineData("DestroySystem", CallFault.RestartAfter)]
    [InlineData("Files.Delete", CallFault.LostBefore)]
    public async Task A_copy_whose_powering_off_goes_wrong_leaves_nothing_after_the_next(string call, CallFault fault)
    {
        using var bench = Hosts.Core(Hosts.Kind.All);
        await bench.AdoptAsync(1);
        var (request, result) = await bench.CaptureAsync(memory: true);
        for (var nth = 1; nth <= 3; nth++)
        {
            var copies = await bench.PlanCopyAsync(request, result);
            await bench.Parts.Starter.RunAsync(copies, null, Stop);
            Task PowerOffAsync() => bench.Parts.Power.ChangeAsync([copies.Machines[0].Machine], PowerChange.PowerOff, TimeSpan.FromMinutes(1), Stop);
            bench.Host.Faults.Forget();
            bench.Host.Faults.Add(call, nth, fault);
            try
            {
                await PowerOffAsync();
            }
            catch (WeaveException)
            {
            }
            bench.Host.Faults.Forget();
            bench.Clock.Advance(TimeSpan.FromSeconds(10));
            await PowerOffAsync();
            Assert.DoesNotContain(await bench.Parts.Owned.ListAsync(Stop), t => t.Kind == OwnedKind.Machine);
            Assert.Empty(await bench.Host.Files.ListAsync(bench.Context.Paths.Copies, true, Stop));
        }
    }

    [Fact]
    public async Task A_checkpoint_of_a_capture_that_was_cleared_away_bears_a_name_that_says_what_stands_on_it()
    {
        using var bench = Hosts.Core(Hosts.Kind.All);
        await bench.AdoptAsync(1);
        bench.Host.Faults.Forget();
        await bench.CaptureAsync(memory: false);
        // The last of them is that which names the checkpoint, or comes after it.
        var changes = bench.Host.Faults.Calls["ModifySystemSettings"];
        for (var nth = 1; nth <= changes; nth++)
        {
            var request = bench.Plan(memory: false);
            await Stand.OnceAsync(bench.Host, "ModifySystemSettings", nth, CallFault.LostBefore, () => bench.Parts.Capture.RunAsync(request, null, Stop));
            bench.Clock.Advance(TimeSpan.FromSeconds(10));
            await bench.Parts.Cleanup.AbandonAsync(request, Stop);
            foreach (var report in await bench.Parts.Cleanup.AbandonAsync(request, Stop))
                if (request.Machines[0].Volumes.Single(v => v.Volume == report.Volume).NewHead is { } head && head.Id == report.LiveLayer) bench.Heads[(report.Machine, report.Volume)] = head;
            var machine = (await bench.Context.Machines.FindAsync(bench[0], Stop))!;
            Assert.All(await bench.Context.Machines.CheckpointsAsync(machine, Stop), c => Assert.True(bench.Context.Paths.IsOurCheckpoint(c.Get(Cim.Wrappers.VirtualSystemSettingData.ElementName))));
        }
    }
}
