using WeaveHypervisor.Disks;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.HyperV.Cim.Wrappers;
using WeaveHypervisor.HyperV.Inspecting;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.HyperV.Tests;

/// <summary>Points of machines that are off, saved or paused, of disks alone, with and without the guest's help; and copies that boot.</summary>
public sealed class KindsOfPointsTests
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(1, Hosts.Kind.All)]
    [InlineData(2, Hosts.Kind.Bare)]
    public async Task A_copy_of_disks_alone_boots_with_the_devices_of_its_original(int generation, Hosts.Kind kind)
    {
        using var bench = Hosts.Core(kind);
        await bench.AdoptAsync(1, generation);
        Assert.True(bench.Host.WriteAsGuest(bench[0], 1, 0, "second"u8));
        var (request, result) = await bench.CaptureAsync(memory: false);
        Assert.Equal((Consistency.Crash, "disk", null), (result.Consistency, result.Machines[0].Method, result.Machines[0].Memory));
        var copies = await bench.PlanCopyAsync(request, result, memory: false);
        Assert.Equal("boot", Assert.Single(await bench.Parts.Starter.RunAsync(copies, null, Stop)).Method);
        var id = await bench.IdOfAsync(copies.Machines[0].Machine);
        Assert.NotEqual(bench.Host.Guest(bench[0])!.Boot, bench.Host.Guest(id)!.Boot);
        Assert.Equal("second"u8, bench.Host.ReadDisk(id, 1, 0, 6));
        var (own, original) = ((await bench.Context.Machines.FindAsync(id, Stop))!, (await bench.Context.Machines.FindAsync(bench[0], Stop))!);
        Assert.Equal(original.Settings.Get(VirtualSystemSettingData.BIOSGUID), own.Settings.Get(VirtualSystemSettingData.BIOSGUID));
        Assert.Equal(original.IsSecondGeneration, own.IsSecondGeneration);
        var (mine, theirs) = (await bench.Context.Machines.ReadAsync(own.Settings, Stop), await bench.Context.Machines.ReadAsync(original.Settings, Stop));
        Assert.Equal(theirs.Disks.Select(d => d.Target), mine.Disks.Select(d => d.Target));
        Assert.Equal(theirs.Nics.Select(n => (n.Mac, n.IsStatic)), mine.Nics.Select(n => (n.Mac, n.IsStatic)));
        Assert.Equal(64ul, mine.Find(MemorySettingData.ClassName)!.Find(MemorySettingData.VirtualQuantity));
    }

    [Fact]
    public async Task Without_the_guests_help_a_point_of_disks_is_a_standard_one_and_says_why()
    {
        using var bench = Hosts.Core(Hosts.Kind.Bare);
        await bench.AdoptAsync(1);
        bench.Host.SetGuest(bench[0], hasQuiescer: true);
        Assert.Equal((QuiesceOutcome.Frozen, Consistency.Filesystem), (await bench.CaptureAsync(false, quiesce: true)) is var (_, good) ? (good.Machines[0].Quiescing!.Outcome, good.Consistency) : default);
        bench.Host.SetGuest(bench[0], hasQuiescer: false);
        var (_, result) = await bench.CaptureAsync(false, quiesce: true);
        Assert.Equal((QuiesceOutcome.Refused, Consistency.Crash), (result.Machines[0].Quiescing!.Outcome, result.Consistency));
        Assert.False(string.IsNullOrEmpty(result.Machines[0].Quiescing!.Reason));
        bench.Host.SetGuest(bench[0], hasQuiescer: false, hasHeartbeat: false);
        Assert.Equal(QuiesceOutcome.NoChannel, (await bench.CaptureAsync(false, quiesce: true)).Result.Machines[0].Quiescing!.Outcome);
    }

    [Fact]
    public async Task A_saved_machine_of_a_users_is_off_and_stays_saved()
    {
        using var bench = Hosts.Core(Hosts.Kind.All);
        await bench.AdoptAsync(1);
        var system = (await bench.Context.Machines.FindAsync(bench[0], Stop))!.System;
        await bench.Context.Jobs.RunAsync(system, ComputerSystem.RequestStateChange(6), TimeSpan.FromMinutes(1), Stop);
        var (_, result) = await bench.CaptureAsync(memory: true);
        Assert.Equal((RunState.Off, "off", null, 6), (result.Machines[0].RunState, result.Machines[0].Method, result.Machines[0].Memory, bench.Host.StateOf(bench[0])));
        Assert.Contains("saved", result.Machines[0].Reason, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(Hosts.Kind.All)]
    [InlineData(Hosts.Kind.UntestedWithOutage)]
    public async Task A_paused_machine_is_captured_without_running_for_a_moment(Hosts.Kind kind)
    {
        using var bench = Hosts.Core(kind);
        await bench.AdoptAsync(1);
        MachineRef machine = bench.Examined.Machines[0].Machine;
        await bench.Parts.Power.ChangeAsync([machine], PowerChange.Pause, TimeSpan.FromMinutes(1), Stop);
        var count = bench.Host.Guest(bench[0])!.Count;
        var (request, result) = await bench.CaptureAsync(memory: true);
        Assert.Equal((RunState.Paused, "suspended", Consistency.Machine), (result.Machines[0].RunState, result.Machines[0].Method, result.Consistency));
        Assert.Equal((9, count), (bench.Host.StateOf(bench[0]), bench.Host.Guest(bench[0])!.Count));
        var copies = await bench.PlanCopyAsync(request, result);
        await bench.Parts.Starter.RunAsync(copies with { LeavePaused = true }, null, Stop);
        // Not one instruction has run: it is saved, and resumes with what it had.
        var id = await bench.IdOfAsync(copies.Machines[0].Machine);
        Assert.Equal((6, RunState.Paused), (bench.Host.StateOf(id), (await bench.Parts.Machines.InspectAsync(copies.Machines[0].Machine, Stop))!.RunState));
        await bench.Parts.Power.ChangeAsync([copies.Machines[0].Machine], PowerChange.Resume, TimeSpan.FromMinutes(1), Stop);
        Assert.Equal(bench.Host.Guest(bench[0])!.Boot, bench.Host.Guest(id)!.Boot);
    }

    [Fact]
    public async Task A_paused_machine_is_refused_where_the_host_makes_no_checkpoint_of_it()
    {
        using var bench = Hosts.Core(Hosts.Kind.Bare);
        await bench.AdoptAsync(1);
        await bench.Parts.Power.ChangeAsync([bench.Examined.Machines[0].Machine], PowerChange.Pause, TimeSpan.FromMinutes(1), Stop);
        var error = await Assert.ThrowsAsync<WeaveException>(() => bench.CaptureAsync(memory: true));
        Assert.Equal((Fault.Conflict, 9), (error.Fault, bench.Host.StateOf(bench[0])));
    }

    [Fact]
    public async Task Layers_of_a_machine_are_read_by_the_names_that_were_chosen_for_them()
    {
        using var bench = Hosts.Core(Hosts.Kind.All);
        await bench.AdoptAsync(1);
        var known = new Dictionary<string, DiskFormat>();
        var volume = bench.Examined.Machines[0].Volumes[0].Volume;
        for (var point = 0; point < 3; point++)
        {
            known[bench.Host.Files.Local(bench.Heads[(MachineName.Parse("web"), volume)].Path)] = DiskFormat.Vhdx;
            Assert.True(bench.Host.WriteAsGuest(bench[0], 0, 512 * point, [(byte)(point + 1)]));
            await bench.CaptureAsync(memory: false);
        }
        var top = bench.Host.Files.Local(bench.Heads[(MachineName.Parse("web"), volume)].Path);
        await using var chain = await DiskChain.OpenAsync(top, DiskFormat.Vhdx, new CatalogueLocator(known), Stop);
        Assert.Equal([.. known.Keys.Reverse()], chain.Layers.Skip(1).Select(l => l.Path));
        var bytes = new byte[1536];
        await chain.ReadAsync(0, bytes, Stop);
        Assert.Equal((1, 2, 3), (bytes[0], bytes[512], bytes[1024]));
        // A file that nobody declared stays closed, whatever it is called.
        known.Remove(known.Keys.First());
        Assert.Equal(Fault.Unsupported, (await Assert.ThrowsAsync<WeaveException>(async () => await DiskChain.OpenAsync(top, DiskFormat.Vhdx, new CatalogueLocator(known), Stop))).Fault);
    }

    [Fact]
    public async Task Where_no_way_is_proven_a_point_has_no_memory_and_says_so()
    {
        using var bench = new CoreBench(record: new() { TestedAt = DateTimeOffset.UnixEpoch, ChecksPaused = true });
        await bench.AdoptAsync(1);
        var (_, result) = await bench.CaptureAsync(memory: true);
        Assert.Equal((Consistency.Crash, "disk", null), (result.Consistency, result.Machines[0].Method, result.Machines[0].Memory));
        Assert.Contains("No way", result.Machines[0].Reason, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Without_space_for_the_disks_that_the_way_needs_a_capture_fails_and_the_machine_runs_on()
    {
        using var bench = Hosts.Core(Hosts.Kind.OnlyFlat);
        await bench.AdoptAsync(1);
        var request = bench.Plan(memory: true);
        bench.Host.SetCapacity(bench.Host.Options.Capacity - await bench.Host.Files.FreeBytesAsync(@"C:\x", Stop) + (40 << 20));
        Assert.Equal(Fault.Exhausted, (await Assert.ThrowsAsync<WeaveException>(() => bench.Parts.Capture.RunAsync(request, null, Stop))).Fault);
        bench.Host.SetCapacity(64L << 30);
        Assert.All(await bench.Parts.Cleanup.AbandonAsync(request, Stop), r => Assert.Contains(request.Machines[0].Volumes, v => v.NewHead.Id == r.LiveLayer));
        Assert.Equal((2, false), (bench.Host.StateOf(bench[0]), bench.Host.Guest(bench[0])!.IsCorrupt));
    }

    [Fact]
    public async Task A_host_that_gives_no_memory_although_its_record_says_so_leaves_points_of_disks_alone()
    {
        using var bench = new CoreBench(new() { Behaviour = new() { ExportsMemoryOfCheckpoints = false } }, new() { TestedAt = DateTimeOffset.UnixEpoch, Resumes = [CaptureRoute.Live] });
        await bench.AdoptAsync(1);
        var (request, result) = await bench.CaptureAsync(memory: true);
        Assert.Equal((Consistency.Crash, "disk", null, "The host gave no memory of it."), (result.Consistency, result.Machines[0].Method, result.Machines[0].Memory, result.Machines[0].Reason));
        Assert.Null(await bench.Host.Files.FindAsync(request.Machines[0].DeviceStatePath, Stop));
    }
}
