using WeaveHypervisor.Drivers;
using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Cim.Wrappers;
using WeaveHypervisor.HyperV.Machines;
using WeaveHypervisor.HyperV.SelfTest;
using WeaveHypervisor.HyperV.Simulator;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.HyperV.Tests;

/// <summary>From machines to copies that go on, by every route and on hosts that lack what a driver would like to find.</summary>
public sealed class CaptureTests
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    public static TheoryData<Hosts.Kind, HostProfile, int> All()
    {
        var data = new TheoryData<Hosts.Kind, HostProfile, int>();
        foreach (var kind in Enum.GetValues<Hosts.Kind>())
        {
            data.Add(kind, HostProfile.Server23H2, 1);
            data.Add(kind, HostProfile.Server2019, 2);
        }
        return data;
    }

    [Theory, MemberData(nameof(All))]
    public async Task A_copy_goes_on_from_memory_beside_an_original_that_notices_nothing(Hosts.Kind kind, HostProfile profile, int seed)
    {
        using var bench = Hosts.Core(kind, profile, seed);
        await bench.AdoptAsync(2);
        Assert.True(bench.Host.WriteAsGuest(bench[0], 0, 4096, "before"u8));
        var original = bench.Host.Guest(bench[0])!;
        var (request, result) = await bench.CaptureAsync(memory: true);
        Assert.Equal(Consistency.Machine, result.Consistency);
        Assert.All(result.Machines, m => Assert.Equal((RunState.Running, null, "live"), (m.RunState, m.Reason, m.Method)));
        Assert.All(result.Machines, m => Assert.True(m.Pause > TimeSpan.Zero && m.Memory is { RamBytes: 64 << 20, StoredBytes: > 0 }));
        Assert.Equal(["10.0.0.10"], result.Machines[0].Nics.Single().Addresses);
        Assert.True(bench.Host.WriteAsGuest(bench[0], 0, 4096, "after!"u8));
        var copies = await bench.PlanCopyAsync(request, result);
        var started = await bench.Parts.Starter.RunAsync(copies, null, Stop);
        Assert.All(started, s => Assert.Equal((RunState.Running, "whole"), (s.RunState, s.Method)));
        Assert.All(await bench.Parts.Starter.RunAsync(copies, null, Stop), s => Assert.Equal("kept", s.Method));
        var id = await bench.IdOfAsync(copies.Machines[0].Machine);
        var copy = bench.Host.Guest(id)!;
        Assert.Equal((original.Boot, false), (copy.Boot, copy.IsCorrupt));
        Assert.Equal("before"u8, bench.Host.ReadDisk(id, 0, 4096, 6));
        Assert.Equal("after!"u8, bench.Host.ReadDisk(bench[0], 0, 4096, 6));
        Assert.Equal((original.Boot, false), (bench.Host.Guest(bench[0])!.Boot, bench.Host.Guest(bench[0])!.IsCorrupt));
        Assert.Equal(bench.Context.Paths.NameSwitch(copies.Tag, copies.Networks[0]), bench.Host.Adapters(id).Single().Switch);
        Assert.Equal(bench.Host.Adapters(bench[0]).Single().Mac, bench.Host.Adapters(id).Single().Mac);
        Assert.True(bench.Host.WriteAsGuest(id, 0, 4096, "elsewhere"u8));

        // What a user has chosen for his machines is as it was.
        var settings = (await bench.Context.Machines.FindAsync(bench[0], Stop))!.Settings;
        Assert.Equal((ushort)3, settings.Find(VirtualSystemSettingData.UserSnapshotType));
        Assert.Empty(await bench.Host.Files.ListAsync(bench.Context.Paths.Work, true, Stop));
        foreach (var volume in request.Machines.SelectMany(m => m.Volumes.Select(v => (m.Machine, v))))
            Assert.Equal(volume.v.NewHead.Path, (await bench.Parts.Machines.InspectAsync(volume.Machine, Stop))!.VolumePaths[volume.v.Target], HostPath.Comparer);

        // The next point of the original, and a copy of it.
        var (second, later) = await bench.CaptureAsync(memory: true);
        var again = await bench.PlanCopyAsync(second, later);
        await bench.Parts.Starter.RunAsync(again, null, Stop);
        var next = await bench.IdOfAsync(again.Machines[0].Machine);
        Assert.Equal("after!"u8, bench.Host.ReadDisk(next, 0, 4096, 6));
        foreach (var machine in copies.Machines.Concat(again.Machines))
            for (var twice = 0; twice < 2; twice++) await bench.Parts.Owned.RetireAsync(machine.Machine.Uuid, Stop);
        Assert.Equal(2, bench.Host.MachineNames().Count);
        Assert.DoesNotContain(await bench.Parts.Owned.ListAsync(Stop), t => t.Kind == OwnedKind.Machine);
        Assert.All(copies.Machines.SelectMany(m => m.Heads), h => Assert.NotNull(bench.Host.Files.FindAsync(h.Head.Path, Stop).Result));
    }

    [Fact]
    public async Task Machines_stand_still_together_before_the_first_of_them_is_frozen()
    {
        var asked = new List<string>();
        using var bench = Hosts.Core(Hosts.Kind.All, client: inner => new WatchedClient(inner, "", call =>
        {
            if (call.Method is "CreateSnapshot" or "RequestStateChange") lock (asked) asked.Add(call.Method == "CreateSnapshot" ? "freeze" : $"state {call.Arguments["RequestedState"]}");
            return Task.CompletedTask;
        }));
        await bench.AdoptAsync(2);
        asked.Clear();
        await bench.CaptureAsync(memory: true);
        Assert.Equal(["state 9", "state 9", "freeze", "freeze", "state 2", "state 2"], asked);
    }

    [Fact]
    public async Task An_adapter_that_is_on_no_network_of_the_environment_is_connected_to_nothing_in_a_copy()
    {
        using var bench = Hosts.Core(Hosts.Kind.All);
        await bench.AdoptAsync(1);
        // Plugged in by its user, after the machine was adopted.
        var machine = (await bench.Context.Machines.FindAsync(bench[0], Stop))!;
        await new VirtualHardware(bench.Context).PutNicAsync(machine, "00:15:5d:09:00:01", "second", bench.Host.AddSwitch("office"), Stop);
        var (request, result) = await bench.CaptureAsync(memory: true);
        var copies = await bench.PlanCopyAsync(request, result);
        await bench.Parts.Starter.RunAsync(copies, null, Stop);
        Assert.Equal(["LAN", "office"], bench.Host.Adapters(bench[0]).Select(a => a.Switch));
        Assert.Equal([bench.Context.Paths.NameSwitch(copies.Tag, copies.Networks[0]), null], bench.Host.Adapters(await bench.IdOfAsync(copies.Machines[0].Machine)).Select(a => a.Switch));
    }

    [Theory]
    [InlineData(true, "has booted")]
    [InlineData(false, "without its memory")]
    public async Task A_copy_that_does_not_resume_is_an_error_and_nothing_of_it_stays(bool boots, string told)
    {
        CoreBench? made = null;
        using var bench = made = Hosts.Core(Hosts.Kind.All, client: inner => boots ? new BootingClient(inner)
            : new WatchedClient(inner, "ImportSystemDefinition", call => made!.Host.Files.DeleteAsync(Path.ChangeExtension(call.Arguments["SystemDefinitionFile"].As<string>(), ".VMRS"), Stop)));
        await bench.AdoptAsync(1);
        var (request, result) = await bench.CaptureAsync(memory: true);
        var copies = await bench.PlanCopyAsync(request, result);
        bench.Host.Faults.Forget();
        var error = await Assert.ThrowsAsync<WeaveException>(() => bench.Parts.Starter.RunAsync(copies, null, Stop));
        Assert.Equal(Fault.Internal, error.Fault);
        Assert.Contains(told, error.Message, StringComparison.Ordinal);
        // It is turned off where it ran, and never started where it has no memory.
        Assert.Equal(boots ? 2 : 0, bench.Host.Faults.Calls.GetValueOrDefault("RequestStateChange"));
        Assert.Single(bench.Host.MachineNames());
        Assert.Empty(await bench.Context.Machines.ListPlannedAsync(Stop));
    }

    [Fact]
    public async Task A_copy_whose_network_its_fence_does_not_have_is_refused()
    {
        using var bench = Hosts.Core(Hosts.Kind.All);
        await bench.AdoptAsync(1);
        var (request, result) = await bench.CaptureAsync(memory: true);
        foreach (var memory in (bool[])[true, false])
        {
            var copies = await bench.PlanCopyAsync(request, result, memory) with { Tag = FenceTag.New() };
            await bench.AddFenceSwitchAsync(copies.Tag, NetworkName.Parse("another"));
            Assert.Equal(Fault.Conflict, (await Assert.ThrowsAsync<WeaveException>(() => bench.Parts.Starter.RunAsync(copies, null, Stop))).Fault);
            Assert.Single(bench.Host.MachineNames());
        }
    }

    [Fact]
    public async Task The_serial_port_of_a_copy_is_not_its_originals_pipe()
    {
        const string pipe = @"\\.\pipe\web-com1";
        using var bench = Hosts.Core(Hosts.Kind.All);
        await bench.AdoptAsync(1, generation: 1, running: false);
        bench.Host.WriteIntoFile(bench.Heads.Values.First().Path, 0, CountingSector.Bytes);
        var machine = (await bench.Context.Machines.FindAsync(bench[0], Stop))!;
        var port = (await bench.Context.Machines.ReadAsync(machine.Settings, Stop)).Find(SerialPortSettingData.ClassName)!;
        await new VirtualHardware(bench.Context).ModifyAsync(MachineEditor.Of(port).With(SerialPortSettingData.Connection, [pipe]), Stop);
        await bench.Parts.Power.ChangeAsync([bench.Examined.Machines[0].Machine], PowerChange.Start, TimeSpan.FromMinutes(1), Stop);
        var (request, result) = await bench.CaptureAsync(memory: true);
        var copies = await bench.PlanCopyAsync(request, result);
        await bench.Parts.Starter.RunAsync(copies, null, Stop);
        var id = await bench.IdOfAsync(copies.Machines[0].Machine);
        Assert.Equal((2, bench.Host.Guest(bench[0])!.Boot), (bench.Host.StateOf(id), bench.Host.Guest(id)!.Boot));
        Assert.NotNull(CountingSector.Last(await bench.Host.Files.ListenAsync(pipe, 2 * CountingSector.LineBytes, TimeSpan.FromSeconds(5), Stop)));
    }
}
