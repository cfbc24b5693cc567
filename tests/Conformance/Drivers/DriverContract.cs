using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;
using Xunit;

namespace WeaveHypervisor.Conformance.Drivers;

/// <summary>
/// What <see cref="IHypervisorDriver"/> promises, as tests that any driver must pass. Each test boots at most two machines. Derive, give a bench, and the suite is inherited.
/// </summary>
public abstract partial class DriverContract
{
    protected abstract DriverBench NewBench();

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private async Task WithAsync(int machines, Func<DriverBench, DriverStage, Task> test)
    {
        await using var bench = NewBench();
        await using var stage = new DriverStage(bench, Stop);
        await stage.AdoptAsync(machines);
        await test(bench, stage);
        // Whatever the test did: nothing of the user's is left paused.
        foreach (var machine in stage.Machines)
            Assert.NotEqual(RunState.Paused, (await stage.Driver.InspectAsync(machine.Machine, Stop))?.RunState);
    }

    private static async Task<Fault> FaultOf(Func<Task> act) => (await Assert.ThrowsAsync<WeaveException>(act)).Fault;

    [Fact]
    public Task Examination_tells_all_and_touches_nothing() => WithAsync(2, async (bench, stage) =>
    {
        var before = await bench.AskAsync(stage.AddressOf(0), true, Stop);
        var again = await stage.Driver.ExamineAsync([.. stage.Machines.Select(m => new MachineRequest(m.Machine.Name, m.Machine.HypervisorName))], Stop);
        Assert.Equal(stage.Machines.Select(m => (m.Machine, m.RunState)), again.Machines.Select(m => (m.Machine, m.RunState)));
        var byUuid = await stage.Driver.ExamineAsync([.. stage.Machines.Select(m => new MachineRequest(m.Machine.Name, m.Machine.Uuid.ToString()))], Stop);
        Assert.Equal(again.Machines.Select(m => m.Machine), byUuid.Machines.Select(m => m.Machine));
        Assert.NotEmpty((await stage.Driver.ExamineAsync([new(stage[0].Name, Guid.NewGuid().ToString())], Stop)).Refusals);
        Assert.All(again.Machines, m => Assert.All(m.Volumes, v => Assert.True(File.Exists(v.Path) && v.VirtualSize > 0)));
        var network = Assert.Single(again.Blueprint.Networks);
        Assert.All(again.Blueprint.Machines, m => Assert.Equal(network.Name, Assert.Single(m.Nics).Network));
        Assert.Equal(before!.Nonce, (await bench.AskAsync(stage.AddressOf(0), true, Stop))!.Nonce);
        Assert.Empty((await stage.Driver.ListOwnedAsync(Stop)).Things.Where(t => t.Kind != OwnedKind.File));
    });

    [Fact]
    public async Task Examination_reports_every_refusal_together()
    {
        await using var bench = NewBench();
        await using var driver = bench.NewDriver();
        var requests = new List<MachineRequest> { new(MachineName.Parse("ghost"), "no-such-machine-1"), new(MachineName.Parse("ghoul"), "no-such-machine-2") };
        if (await bench.GiveRefusedMachineAsync(Stop) is { } refused) requests.Add(refused);
        var examined = await driver.ExamineAsync(requests, Stop);
        Assert.True(examined.Refusals.Count >= requests.Count + (requests.Count > 2 ? 1 : 0));
        Assert.All(examined.Refusals, r => Assert.False(string.IsNullOrWhiteSpace(r.Subject) || string.IsNullOrWhiteSpace(r.Reason)));
    }

    [Fact]
    public Task A_machine_that_is_not_there_is_null_and_a_wrong_uuid_is_not_it() => WithAsync(1, async (_, stage) =>
    {
        Assert.NotNull(await stage.Driver.InspectAsync(stage[0], Stop));
        Assert.Null(await stage.Driver.InspectAsync(new(stage[0].Name, "no-such-machine", Guid.NewGuid()), Stop));
        Assert.Null(await stage.Driver.InspectAsync(stage[0] with { Uuid = Guid.NewGuid() }, Stop));
    });

    [Fact]
    public Task A_capture_freezes_heads_of_all_machines_while_they_run_on() => WithAsync(2, async (bench, stage) =>
    {
        var nonces = new[] { (await bench.AskAsync(stage.AddressOf(0), true, Stop))!.Nonce, (await bench.AskAsync(stage.AddressOf(1), true, Stop))!.Nonce };
        var (request, result) = await stage.CaptureAsync(memory: true);
        Assert.True(result.Skew >= TimeSpan.Zero && (DateTimeOffset.UtcNow - result.At).Duration() < TimeSpan.FromMinutes(10));
        foreach (var (machine, i) in request.Machines.Select((m, i) => (m, i)))
        {
            var facts = await stage.Driver.InspectAsync(machine.Machine, Stop);
            Assert.Equal(RunState.Running, facts!.RunState);
            var volume = machine.Volumes[0];
            Assert.Equal(volume.NewHead.Path, facts.VolumePaths[volume.Target]);
            var captured = result.Machines.Single(m => m.Name == machine.Machine.Name);
            Assert.Equal(RunState.Running, captured.RunState);
            Assert.True(captured.Pause > TimeSpan.Zero);
            if (stage.Driver.Capabilities.MemoryCapture) Assert.True(File.Exists(captured.Memory!.FlatPath) && File.Exists(captured.Memory.DeviceStatePath) && captured.Memory.RamBytes > 0);
            Assert.Equal(nonces[i], (await bench.AskAsync(stage.AddressOf(i), true, Stop))!.Nonce);
            if (!OperatingSystem.IsWindows()) Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(volume.NewHead.Path));
        }
        if (stage.Driver.Capabilities.MemoryCapture) Assert.Equal(Consistency.Machine, result.Consistency);
    });

    [Fact]
    public Task A_machine_that_is_off_is_captured_as_off() => WithAsync(1, async (bench, stage) =>
    {
        await bench.KillAsync(stage[0], Stop);
        var (request, result) = await stage.CaptureAsync(memory: true);
        var captured = Assert.Single(result.Machines);
        Assert.Equal((RunState.Off, "off", null), (captured.RunState, captured.Method, captured.Memory));
        Assert.Equal(request.Machines[0].Volumes[0].NewHead.Path, (await stage.Driver.InspectAsync(stage[0], Stop))!.VolumePaths[request.Machines[0].Volumes[0].Target]);
        await stage.ReturnAllAsync();
    });

    [Fact]
    public Task Abandoning_after_a_whole_capture_reports_the_new_heads_and_drops_memory() => WithAsync(1, async (_, stage) =>
    {
        var (request, _) = await stage.CaptureAsync(memory: true);
        await stage.RestartAsync();
        for (var twice = 0; twice < 2; twice++)
        {
            var report = Assert.Single(await stage.Driver.AbandonCaptureAsync(request, Stop));
            Assert.Equal(request.Machines[0].Volumes[0].NewHead.Id, report.LiveLayer);
            Assert.False(File.Exists(request.Machines[0].FlatPath) || File.Exists(request.Machines[0].DeviceStatePath));
            Assert.True(File.Exists(request.Machines[0].Volumes[0].NewHead.Path));
        }
    });

    [Fact]
    public Task Abandoning_a_capture_that_never_began_leaves_all_as_it_was() => WithAsync(1, async (bench, stage) =>
    {
        var request = stage.PlanCapture(memory: true);
        var report = Assert.Single(await stage.Driver.AbandonCaptureAsync(request, Stop));
        Assert.Equal(stage.Head(0).Id, report.LiveLayer);
        Assert.False(File.Exists(request.Machines[0].Volumes[0].NewHead.Path));
        Assert.NotNull(await bench.AskAsync(stage.AddressOf(0), true, Stop));
    });

    [Fact]
    public Task A_cancelled_capture_leaves_machines_running_and_can_be_cleared_away() => WithAsync(1, async (bench, stage) =>
    {
        var request = stage.PlanCapture(memory: true);
        using var cancelled = new CancellationTokenSource();
        cancelled.Cancel();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => stage.Driver.CaptureAsync(request, null, cancelled.Token));
        stage.Switched(request, await stage.Driver.AbandonCaptureAsync(request, Stop));
        Assert.Equal(RunState.Running, (await stage.Driver.InspectAsync(stage[0], Stop))!.RunState);
        await stage.CaptureAsync(memory: false);
        Assert.NotNull(await bench.AskAsync(stage.AddressOf(0), true, Stop));
    });

    [Fact]
    public Task An_overlay_is_made_once_and_only_inside_the_drivers_tree() => WithAsync(1, async (_, stage) =>
    {
        var (capture, _) = await stage.CaptureAsync(memory: false);
        var frozen = capture.Machines[0].Volumes[0].Head;
        var id = LayerId.New(TimeProvider.System);
        var layer = new LayerRef(id, stage.Driver.PlaceLayer(stage.Environment, FenceTag.New(), id), stage.Driver.Capabilities.LayerFormat, frozen.VirtualSize);
        await stage.Driver.CreateOverlayAsync(layer, frozen, Stop);
        await stage.Driver.CreateOverlayAsync(layer, frozen, Stop);
        Assert.True(File.Exists(layer.Path));
        Assert.Equal(Fault.InvalidRequest, await FaultOf(() => stage.Driver.CreateOverlayAsync(layer with { Path = Path.Combine(Path.GetTempPath(), "stray.qcow2") }, frozen, Stop)));
        await stage.Driver.DeleteFilesAsync([layer.Path], Stop);
        await stage.Driver.DeleteFilesAsync([layer.Path], Stop);
        Assert.False(File.Exists(layer.Path));
    });

    [Fact]
    public Task Files_that_are_gone_are_named() => WithAsync(1, async (_, stage) =>
    {
        var (capture, result) = await stage.CaptureAsync(memory: true);
        var (frozen, live) = (capture.Machines[0].Volumes[0].Head.Path, capture.Machines[0].Volumes[0].NewHead.Path);
        var image = result.Machines[0].Memory!;
        var never = stage.Driver.PlaceLayer(stage.Environment, FenceTag.New(), LayerId.New(TimeProvider.System));
        Assert.Equal([never], await stage.Driver.FindMissingAsync([frozen, never, live, image.FlatPath, image.DeviceStatePath], Stop));
        await stage.Driver.DeleteFilesAsync([image.FlatPath], Stop);
        Assert.Equal([image.FlatPath], await stage.Driver.FindMissingAsync([frozen, image.FlatPath, image.DeviceStatePath], Stop));
    });

    [Fact]
    public Task Files_are_measured_by_what_they_take_on_disk() => WithAsync(1, async (_, stage) =>
    {
        var (capture, result) = await stage.CaptureAsync(memory: true);
        var never = stage.Driver.PlaceLayer(stage.Environment, FenceTag.New(), LayerId.New(TimeProvider.System));
        string[] there = [capture.Machines[0].Volumes[0].NewHead.Path, result.Machines[0].Memory!.DeviceStatePath];
        var bytes = await stage.Driver.MeasureFilesAsync([never, .. there, there[0]], Stop);
        Assert.Equal(there.Order(), bytes.Keys.Order());
        Assert.All(bytes.Values, b => Assert.InRange(b, 1, 1 << 30));
    });

    [Fact]
    public Task Files_outside_of_the_drivers_tree_are_never_deleted() => WithAsync(1, async (_, stage) =>
    {
        var adopted = stage.Machines[0].Volumes[0].Path;
        var inside = Path.GetDirectoryName(stage.Driver.PlaceLayer(stage.Environment, FenceTag.New(), LayerId.New(TimeProvider.System)))!;
        foreach (var path in (string[])[adopted, "/etc/hostname", Path.Combine(inside, "..", "..", "..", "..", "..", "x"), "relative.qcow2", inside + "/../../../../escape"])
            Assert.Equal(Fault.InvalidRequest, await FaultOf(() => stage.Driver.DeleteFilesAsync([path], Stop)));
        Assert.Equal(Fault.InvalidRequest, await FaultOf(() => stage.Driver.RemoveOwnedAsync(new(OwnedKind.File, adopted, "", 0), Stop)));
        Assert.True(File.Exists(adopted));
    });

    [Fact]
    public Task A_copy_continues_the_captured_instant_beside_the_original() => WithAsync(2, async (bench, stage) =>
    {
        await bench.OrderAsync(stage.AddressOf(0), "before", Stop);
        var original = await bench.AskAsync(stage.AddressOf(0), true, Stop);
        var (capture, result) = await stage.CaptureAsync(memory: true);
        await bench.OrderAsync(stage.AddressOf(0), "after", Stop);
        var (fence, facts, request) = await stage.PrepareCopyAsync(capture, result);
        Assert.Equal(facts.Addresses, (await stage.Driver.MakeFenceAsync(fence, Stop)).Addresses);
        var started = await stage.Driver.InstantiateAsync(request, null, Stop);
        Assert.All(started, s => Assert.Equal(RunState.Running, s.RunState));
        await stage.RestartAsync();
        Assert.All(await stage.Driver.InstantiateAsync(request, null, Stop), s => Assert.Equal("kept", s.Method));

        var outer = facts.Addresses.Single(a => a.Machine == stage[0].Name).Outer;
        var copy = await bench.AskAsync(outer, true, Stop);
        Assert.Equal(original!.Nonce, copy!.Nonce);
        Assert.Equal(["before"], copy.Orders);
        await bench.OrderAsync(outer, "elsewhere", Stop);
        Assert.Equal(["before", "elsewhere"], (await bench.AskAsync(outer, true, Stop))!.Orders);
        Assert.Equal(["before", "after"], (await bench.AskAsync(stage.AddressOf(0), true, Stop))!.Orders);

        var owned = (await stage.Driver.ListOwnedAsync(Stop)).Things;
        Assert.All(request.Machines, m => Assert.Contains(owned, t => t.Kind == OwnedKind.Machine && Guid.Parse(t.Key) == m.Machine.Uuid));
        Assert.Contains(owned, t => t.Kind == OwnedKind.Fence && t.Key == fence.Tag.Text);
        Assert.All(request.Machines, m => Assert.Contains(owned, t => t.Kind == OwnedKind.File && t.Key == m.Heads[0].Head.Path));

        for (var twice = 0; twice < 2; twice++)
        {
            foreach (var machine in request.Machines) await stage.Driver.RetireAsync(machine.Machine, Stop);
            await stage.Driver.RetireFenceAsync(fence.Tag, Stop);
        }
        Assert.Null(await bench.AskAsync(outer, false, Stop));
        Assert.Null(await stage.Driver.InspectAsync(request.Machines[0].Machine, Stop));
        Assert.True(File.Exists(request.Machines[0].Heads[0].Head.Path));
    });

    [Fact]
    public Task A_fence_that_a_foreign_hand_broke_is_found_broken_and_made_whole_under_its_machines() => WithAsync(1, async (bench, stage) =>
    {
        var (capture, result) = await stage.CaptureAsync(memory: true);
        var (fence, facts, request) = await stage.PrepareCopyAsync(capture, result);
        await stage.Driver.InstantiateAsync(request, null, Stop);
        var outer = facts.Addresses[0].Outer;
        Assert.NotNull(await bench.AskAsync(outer, true, Stop));
        Assert.Empty(await stage.Driver.InspectFenceAsync(fence, Stop));
        foreach (var (what, damage) in bench.Damages(fence.Tag))
        {
            await damage(Stop);
            var missing = await stage.Driver.InspectFenceAsync(fence, Stop);
            Assert.True(missing.Count > 0 && missing.All(m => m.Length > 5 && !m.EndsWith('.')), what);
            Assert.Equal(facts.Addresses, (await stage.Driver.MakeFenceAsync(fence, Stop)).Addresses);
            missing = await stage.Driver.InspectFenceAsync(fence, Stop);
            Assert.True(missing.Count == 0, $"{what}: {string.Join("; ", missing)}");
            Assert.True(await bench.AskAsync(outer, true, Stop) is not null, $"{what}: the copy does not answer");
        }
        await stage.Driver.RetireAsync(request.Machines[0].Machine, Stop);
        await stage.Driver.RetireFenceAsync(fence.Tag, Stop);
        Assert.Single(await stage.Driver.InspectFenceAsync(fence, Stop));
    });

    [Fact]
    public Task A_further_capture_may_stand_on_the_base_of_the_one_before_and_is_whole_nevertheless() => WithAsync(1, async (bench, stage) =>
    {
        var (_, first) = await stage.CaptureAsync(memory: true);
        await bench.OrderAsync(stage.AddressOf(0), "between", Stop);
        var nonce = (await bench.AskAsync(stage.AddressOf(0), true, Stop))!.Nonce;
        var (request, second) = await stage.CaptureAsync(memory: true, first);
        var (made, image) = (first.Machines[0].Memory!, second.Machines[0].Memory!);
        Assert.Equal((false, made.RamBytes, made.MainBlock), (made.SharesBase, image.RamBytes, image.MainBlock));
        Assert.Equal(image.SharesBase ? made.FlatPath : request.Machines[0].FlatPath, image.FlatPath);
        if (stage.Driver.Capabilities.MemorySharing) Assert.True(image.SharesBase && image.StoredBytes < made.RamBytes / 4, $"{image.SharesBase}, {image.StoredBytes} bytes");
        // What only the first needs may go.
        await stage.Driver.DeleteFilesAsync([made.DeviceStatePath], Stop);
        var (_, facts, copies) = await stage.PrepareCopyAsync(request, second);
        Assert.Equal(stage.Driver.Capabilities.MemorySharing ? "shared" : "whole", Assert.Single(await stage.Driver.InstantiateAsync(copies, null, Stop)).Method);
        var copy = await bench.AskAsync(facts.Addresses[0].Outer, true, Stop);
        Assert.Equal(nonce, copy!.Nonce);
        Assert.Equal(["between"], copy.Orders);
        // Undone, it leaves the base alone, which is not its own.
        await stage.Driver.AbandonCaptureAsync(request, Stop);
        Assert.Equal((true, false), (File.Exists(made.FlatPath), File.Exists(image.DeviceStatePath)));
    });

    [Fact]
    public Task Copies_of_copies_go_on_where_each_of_them_was() => WithAsync(1, async (bench, stage) =>
    {
        var nonce = (await bench.AskAsync(stage.AddressOf(0), true, Stop))!.Nonce;
        var (capture, result) = await stage.CaptureAsync(memory: true);
        var first = result.Machines[0].Memory!;
        var orders = new List<string>();
        InstantiateRequest? before = null;
        for (var generation = 1; generation <= 3; generation++)
        {
            var (_, facts, copies) = await stage.PrepareCopyAsync(capture, result);
            await stage.Driver.InstantiateAsync(copies, null, Stop);
            if (before is not null) await stage.Driver.RetireAsync(before.Machines[0].Machine, Stop);
            before = copies;
            var copy = await bench.AskAsync(facts.Addresses[0].Outer, true, Stop);
            Assert.Equal(nonce, copy!.Nonce);
            Assert.Equal(orders, copy.Orders);
            orders.Add($"generation{generation}");
            await bench.OrderAsync(facts.Addresses[0].Outer, orders[^1], Stop);
            capture = stage.PlanCapture(copies);
            result = await stage.Driver.CaptureAsync(capture, null, Stop);
            var captured = Assert.Single(result.Machines);
            Assert.Equal((RunState.Running, Consistency.Machine), (captured.RunState, result.Consistency));
            Assert.Equal(nonce, (await bench.AskAsync(facts.Addresses[0].Outer, true, Stop))!.Nonce);
            if (!stage.Driver.Capabilities.MemorySharing) continue;
            Assert.Equal(("private", null, true, first.FlatPath), (captured.Method, captured.Reason, captured.Memory!.SharesBase, captured.Memory.FlatPath));
            Assert.True(captured.Memory.StoredBytes < first.RamBytes / 4, $"{captured.Memory.StoredBytes} bytes");
        }
    });

    [Fact]
    public Task Members_that_got_their_memory_in_different_ways_are_captured_at_one_instant() => WithAsync(2, async (bench, stage) =>
    {
        var nonces = new[] { (await bench.AskAsync(stage.AddressOf(0), true, Stop))!.Nonce, (await bench.AskAsync(stage.AddressOf(1), true, Stop))!.Nonce };
        var (capture, result) = await stage.CaptureAsync(memory: true);
        var (_, facts, copies) = await stage.PrepareCopyAsync(capture, result);
        // One has its memory, the other is booted, although the capture is told that both may map an image.
        await stage.Driver.InstantiateAsync(copies with { Machines = [copies.Machines[0], copies.Machines[1] with { Memory = null }] }, null, Stop);
        string Outer(int i) => facts.Addresses.Single(a => a.Machine == stage[i].Name).Outer;
        var booted = (await bench.AskAsync(Outer(1), true, Stop))!.Nonce;
        Assert.NotEqual(nonces[1], booted);
        // The user pauses one of them: it stays so.
        await stage.Driver.ChangePowerAsync([copies.Machines[0].Machine], PowerChange.Pause, TimeSpan.FromSeconds(30), Stop);
        capture = stage.PlanCapture(copies);
        result = await stage.Driver.CaptureAsync(capture, null, Stop);
        Assert.Equal((Consistency.Machine, RunState.Paused, RunState.Running), (result.Consistency, result.Machines[0].RunState, result.Machines[1].RunState));
        Assert.Equal(RunState.Paused, (await stage.Driver.InspectAsync(copies.Machines[0].Machine, Stop))!.RunState);
        if (stage.Driver.Capabilities.MemorySharing) Assert.Equal("private", result.Machines[0].Method);
        Assert.NotEqual("private", result.Machines[1].Method);
        foreach (var machine in copies.Machines) await stage.Driver.RetireAsync(machine.Machine, Stop);

        var (_, again, both) = await stage.PrepareCopyAsync(capture, result);
        await stage.Driver.InstantiateAsync(both, null, Stop);
        Assert.Equal((nonces[0], booted), ((await bench.AskAsync(again.Addresses.Single(a => a.Machine == stage[0].Name).Outer, true, Stop))!.Nonce,
            (await bench.AskAsync(again.Addresses.Single(a => a.Machine == stage[1].Name).Outer, true, Stop))!.Nonce));
    });

    [Fact]
    public Task A_copy_without_memory_boots_on_the_captured_disk() => WithAsync(1, async (bench, stage) =>
    {
        await bench.OrderAsync(stage.AddressOf(0), "before", Stop);
        var nonce = (await bench.AskAsync(stage.AddressOf(0), true, Stop))!.Nonce;
        var (capture, result) = await stage.CaptureAsync(memory: false);
        Assert.NotEqual(Consistency.Machine, result.Consistency);
        var (_, facts, request) = await stage.PrepareCopyAsync(capture, result, memory: false);
        Assert.Equal("boot", Assert.Single(await stage.Driver.InstantiateAsync(request, null, Stop)).Method);
        var copy = await bench.AskAsync(facts.Addresses[0].Outer, true, Stop);
        Assert.NotEqual(nonce, copy!.Nonce);
        Assert.Equal(["before"], copy.Orders);
    });

    [Fact]
    public async Task Firmware_variables_are_those_of_the_instant_and_every_copy_writes_its_own()
    {
        await using var bench = NewBench();
        await using var stage = new DriverStage(bench, Stop);
        await stage.AdoptAsync([await bench.GiveMachineWithStateAsync(Stop)]);
        Assert.Equal([StateKind.Nvram], Assert.Single(stage.Examined.Blueprint.Machines).States);
        await bench.MarkStateAsync(stage[0], "then", Stop);
        var (capture, result) = await stage.CaptureAsync(memory: true);
        var captured = Assert.Single(Assert.Single(result.Machines).States);
        Assert.Equal((capture.Machines[0].States[0].Path, new FileInfo(captured.Path).Length), (captured.Path, captured.Bytes));
        if (!OperatingSystem.IsWindows()) Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(captured.Path));
        await bench.MarkStateAsync(stage[0], "later", Stop);

        var (_, _, request) = await stage.PrepareCopyAsync(capture, result);
        var (copy, own) = (request.Machines[0].Machine, Assert.Single(request.Machines[0].States));
        Assert.Contains((await stage.Driver.ListOwnedAsync(Stop)).Things, t => t.Kind == OwnedKind.File && t.Key == own.Path);
        await stage.Driver.InstantiateAsync(request with { LeavePaused = true }, null, Stop);
        Assert.True(await bench.HasMarkAsync(copy, "then", Stop));
        Assert.False(await bench.HasMarkAsync(copy, "later", Stop));
        Assert.True(await bench.HasMarkAsync(stage[0], "later", Stop));

        // A copy's own file is kept by a second call: it may have been written to. It goes with its path, and not with the machine.
        var before = File.ReadAllBytes(captured.Path);
        await stage.Driver.RetireAsync(copy, Stop);
        File.WriteAllText(own.Path, "written by the copy");
        await stage.Driver.CreateStateAsync(captured, own.Path, Stop);
        Assert.Equal("written by the copy", File.ReadAllText(own.Path));
        Assert.Equal(before, File.ReadAllBytes(captured.Path));
        for (var twice = 0; twice < 2; twice++) await stage.Driver.DeleteFilesAsync([own.Path], Stop);
        Assert.False(File.Exists(own.Path));
        Assert.Equal(Fault.InvalidRequest, await FaultOf(() => stage.Driver.CreateStateAsync(captured, Path.Combine(Path.GetTempPath(), "stray.nvram"), Stop)));

        for (var twice = 0; twice < 2; twice++) await stage.Driver.AbandonCaptureAsync(capture, Stop);
        Assert.False(File.Exists(captured.Path));
        Assert.Equal(Fault.DataLoss, await FaultOf(() => stage.Driver.CreateStateAsync(captured, own.Path, Stop)));
        Assert.True(await bench.HasMarkAsync(stage[0], "later", Stop));
        await stage.ReturnAllAsync();
    }

    [Fact]
    public Task All_copies_start_or_none() => WithAsync(2, async (_, stage) =>
    {
        var (capture, result) = await stage.CaptureAsync(memory: true);
        var (_, _, request) = await stage.PrepareCopyAsync(capture, result);
        await stage.Driver.DeleteFilesAsync([request.Machines[1].Heads[0].Head.Path], Stop);
        await Assert.ThrowsAsync<WeaveException>(() => stage.Driver.InstantiateAsync(request, null, Stop));
        foreach (var machine in request.Machines) Assert.Null(await stage.Driver.InspectAsync(machine.Machine, Stop));
    });

    [Fact]
    public Task Copies_that_are_to_be_off_or_left_paused_are_so() => WithAsync(1, async (bench, stage) =>
    {
        var (capture, result) = await stage.CaptureAsync(memory: true);
        var (_, facts, request) = await stage.PrepareCopyAsync(capture, result);
        var off = request with { Machines = [request.Machines[0] with { RunState = RunState.Off }] };
        Assert.Equal("off", Assert.Single(await stage.Driver.InstantiateAsync(off, null, Stop)).Method);
        Assert.Null(await stage.Driver.InspectAsync(request.Machines[0].Machine, Stop));
        await stage.Driver.InstantiateAsync(request with { LeavePaused = true }, null, Stop);
        Assert.Equal(RunState.Paused, (await stage.Driver.InspectAsync(request.Machines[0].Machine, Stop))!.RunState);
        for (var twice = 0; twice < 2; twice++) await stage.Driver.ChangePowerAsync([request.Machines[0].Machine], PowerChange.Resume, TimeSpan.FromSeconds(30), Stop);
        Assert.NotNull(await bench.AskAsync(facts.Addresses[0].Outer, true, Stop));
        for (var twice = 0; twice < 2; twice++) await stage.Driver.ChangePowerAsync([request.Machines[0].Machine], PowerChange.PowerOff, TimeSpan.FromSeconds(30), Stop);
        Assert.Null(await stage.Driver.InspectAsync(request.Machines[0].Machine, Stop));
    });

    [Fact]
    public Task A_users_machine_is_never_retired() => WithAsync(1, async (bench, stage) =>
    {
        Assert.Equal(Fault.InvalidRequest, await FaultOf(() => stage.Driver.RetireAsync(stage[0], Stop)));
        Assert.Equal(Fault.InvalidRequest, await FaultOf(() => stage.Driver.RemoveOwnedAsync(new(OwnedKind.Machine, stage[0].Uuid.ToString(), "", 0), Stop)));
        Assert.NotNull(await bench.AskAsync(stage.AddressOf(0), true, Stop));
    });

    [Fact]
    public Task Publishing_sets_exactly_what_is_given() => WithAsync(2, async (bench, stage) =>
    {
        var (one, two) = bench.FreePorts;
        PublishedEndpoint To(int port, int machine) => new(RouteId.New(TimeProvider.System), RouteProtocol.Tcp, "0.0.0.0", port, stage.AddressOf(machine), bench.ServicePort);
        var nonces = new[] { (await bench.AskAsync(stage.AddressOf(0), true, Stop))!.Nonce, (await bench.AskAsync(stage.AddressOf(1), true, Stop))!.Nonce };
        await stage.Driver.PublishAsync([To(one, 0), To(two, 1)], Stop);
        Assert.Equal(nonces[0], (await bench.AskPortAsync(one, true, Stop))!.Nonce);
        Assert.Equal(nonces[1], (await bench.AskPortAsync(two, true, Stop))!.Nonce);
        await stage.RestartAsync();
        PublishedEndpoint[] now = [To(one, 1)];
        for (var twice = 0; twice < 2; twice++) await stage.Driver.PublishAsync(now, Stop);
        Assert.Equal(nonces[1], (await bench.AskPortAsync(one, true, Stop))!.Nonce);
        Assert.Null(await bench.AskPortAsync(two, false, Stop));
        var listed = Assert.Single((await stage.Driver.ListOwnedAsync(Stop)).Endpoints);
        Assert.Equal((one, stage.AddressOf(1), bench.ServicePort), (listed.ListenPort, listed.TargetAddress, listed.TargetPort));
        if (bench.TakePort() is { } taken)
        {
            Assert.Equal(Fault.Conflict, await FaultOf(() => stage.Driver.PublishAsync([To(two, 0), To(taken, 0)], Stop)));
            Assert.Null(await bench.AskPortAsync(two, false, Stop));
            Assert.NotNull(await bench.AskPortAsync(one, true, Stop));
        }
    });

    [Fact]
    public Task A_published_port_leads_nowhere_while_the_fence_behind_it_is_not_there_and_in_when_it_is_made() => WithAsync(1, async (bench, stage) =>
    {
        var (capture, result) = await stage.CaptureAsync(memory: true);
        var (fence, facts, request) = await stage.PrepareCopyAsync(capture, result);
        PublishedEndpoint To(FenceFacts made) => new(RouteId.Parse("route-00000001000000000000000000000000"), RouteProtocol.Tcp, "0.0.0.0", bench.FreePorts.Item1, made.Addresses[0].Outer, bench.ServicePort) { Fence = fence.Tag };
        await stage.Driver.RetireFenceAsync(fence.Tag, Stop);
        for (var twice = 0; twice < 2; twice++) await stage.Driver.PublishAsync([To(facts)], Stop);
        Assert.Equal(To(facts), Assert.Single((await stage.Driver.ListOwnedAsync(Stop)).Endpoints));
        Assert.Null(await bench.AskPortAsync(bench.FreePorts.Item1, false, Stop));
        var made = await stage.Driver.MakeFenceAsync(fence, Stop);
        // One that was retired may get others.
        if (!made.Addresses.SequenceEqual(facts.Addresses)) await stage.Driver.PublishAsync([To(made)], Stop);
        await stage.Driver.InstantiateAsync(request, null, Stop);
        Assert.NotNull(await bench.AskPortAsync(bench.FreePorts.Item1, true, Stop));
    });

    [Fact]
    public Task Returned_volumes_are_the_users_own_files_with_all_that_was_written() => WithAsync(1, async (bench, stage) =>
    {
        await bench.OrderAsync(stage.AddressOf(0), "one", Stop);
        await stage.CaptureAsync(memory: false);
        await bench.OrderAsync(stage.AddressOf(0), "two", Stop);
        await stage.CaptureAsync(memory: false);
        await bench.OrderAsync(stage.AddressOf(0), "three", Stop);
        for (var twice = 0; twice < 2; twice++) await stage.ReturnAllAsync();
        var facts = await stage.Driver.InspectAsync(stage[0], Stop);
        Assert.Equal((RunState.Running, stage.Machines[0].Volumes[0].Path), (facts!.RunState, facts.VolumePaths.Values.First()));
        Assert.Equal(["one", "two", "three"], (await bench.AskAsync(stage.AddressOf(0), true, Stop))!.Orders);
    });

    [Fact]
    public Task Volumes_of_a_machine_that_is_off_are_returned_with_all_that_was_written_too() => WithAsync(1, async (bench, stage) =>
    {
        await bench.OrderAsync(stage.AddressOf(0), "one", Stop);
        await stage.CaptureAsync(memory: false);
        await bench.OrderAsync(stage.AddressOf(0), "two", Stop);
        await stage.Driver.ChangePowerAsync([stage[0]], PowerChange.PowerOff, TimeSpan.FromSeconds(30), Stop);
        await stage.CaptureAsync(memory: false);
        for (var twice = 0; twice < 2; twice++) await stage.ReturnAllAsync();
        var facts = await stage.Driver.InspectAsync(stage[0], Stop);
        Assert.Equal((RunState.Off, stage.Machines[0].Volumes[0].Path), (facts!.RunState, facts.VolumePaths.Values.First()));
        await stage.Driver.ChangePowerAsync([stage[0]], PowerChange.Start, TimeSpan.FromSeconds(30), Stop);
        Assert.Equal(["one", "two"], (await bench.AskAsync(stage.AddressOf(0), true, Stop))!.Orders);
    });

    /// <summary>Four points with an order before each and one after the last; heads from the adopted file up to the live one.</summary>
    private static async Task<(CaptureRequest[] Points, CaptureResult[] Results, LayerRef[] Layers, string Target)> HistoryAsync(DriverBench bench, DriverStage stage)
    {
        var (points, results, layers) = (new List<CaptureRequest>(), new List<CaptureResult>(), new List<LayerRef> { stage.Head(0) });
        foreach (var order in (string[])["one", "two", "three", "four"])
        {
            await bench.OrderAsync(stage.AddressOf(0), order, Stop);
            var (request, result) = await stage.CaptureAsync(memory: false);
            points.Add(request);
            results.Add(result);
            layers.Add(stage.Head(0));
        }
        await bench.OrderAsync(stage.AddressOf(0), "five", Stop);
        return ([.. points], [.. results], [.. layers], points[0].Machines[0].Volumes[0].Target);
    }

    private static async Task HoldsAsync(DriverBench bench, DriverStage stage, CaptureRequest point, CaptureResult result, params string[] orders)
    {
        var (_, facts, copy) = await stage.PrepareCopyAsync(point, result, memory: false);
        await stage.Driver.InstantiateAsync(copy, null, Stop);
        Assert.Equal(orders, (await bench.AskAsync(facts.Addresses[0].Outer, true, Stop))!.Orders);
        await stage.Driver.RetireAsync(copy.Machines[0].Machine, Stop);
        await stage.Driver.RetireFenceAsync(copy.Tag, Stop);
    }

    [Fact]
    public Task Layers_are_folded_under_a_running_machine_which_notices_nothing() => WithAsync(1, async (bench, stage) =>
    {
        var (points, results, layers, target) = await HistoryAsync(bench, stage);
        var nonce = (await bench.AskAsync(stage.AddressOf(0), true, Stop))!.Nonce;
        // A copy that is off stands on the third point, too.
        var (_, facts, copy) = await stage.PrepareCopyAsync(points[2], results[2], memory: false);
        var merge = new FoldRequest { Defined = stage[0], DefinedTarget = target, Machine = stage[0], Target = target, Layer = layers[2], Between = [layers[1]], Parent = layers[0], Above = layers[3], Others = [copy.Machines[0].Heads[0].Head] };
        // Running, it has open what would be written.
        await stage.Driver.InstantiateAsync(copy, null, Stop);
        Assert.Equal(Fault.Conflict, await FaultOf(() => stage.Driver.FoldAsync(merge, null, Stop)));
        Assert.False((await stage.Driver.EndFoldAsync(merge, Stop)).Done);
        await stage.Driver.RetireAsync(copy.Machines[0].Machine, Stop);

        var merged = await stage.Driver.FoldAsync(merge, null, Stop);
        await stage.RestartAsync();
        Assert.Equal((true, merged), (merged.Done, await stage.Driver.FoldAsync(merge, null, Stop)));
        Assert.Equal(merged, await stage.Driver.EndFoldAsync(merge, Stop));
        stage.Folded(merge, merged);
        await stage.Driver.DeleteFilesAsync(DriverStage.Unneeded(merge, merged), Stop);
        Assert.Equal(merged, await stage.Driver.EndFoldAsync(merge, Stop));
        await stage.Driver.InstantiateAsync(copy, null, Stop);
        Assert.Equal(["one", "two", "three"], (await bench.AskAsync(facts.Addresses[0].Outer, true, Stop))!.Orders);
        await stage.Driver.RetireAsync(copy.Machines[0].Machine, Stop);

        var pull = new FoldRequest { Defined = stage[0], DefinedTarget = target, Machine = stage[0], Target = target, Layer = layers[4], IsHead = true, Between = [merged.Layer, layers[3]], Parent = layers[0] };
        if (!bench.PullsUnderRunningMachines)
        {
            Assert.Equal(Fault.Conflict, await FaultOf(() => stage.Driver.FoldAsync(pull, null, Stop)));
            Assert.False((await stage.Driver.EndFoldAsync(pull, Stop)).Done);
            Assert.Equal(["one", "two", "three", "four", "five"], (await bench.AskAsync(stage.AddressOf(0), true, Stop))!.Orders);
            await stage.ReturnAllAsync();
            return;
        }
        for (var twice = 0; twice < 2; twice++) await stage.FoldAsync(pull);
        var present = await bench.AskAsync(stage.AddressOf(0), true, Stop);
        Assert.Equal((nonce, "one,two,three,four,five"), (present!.Nonce, string.Join(",", present.Orders)));
        await HoldsAsync(bench, stage, points[3], results[3], "one", "two", "three", "four");
        await bench.OrderAsync(stage.AddressOf(0), "six", Stop);
        await stage.CaptureAsync(memory: false);
        // Its definition leads to its present, too.
        await stage.Driver.ChangePowerAsync([stage[0]], PowerChange.PowerOff, TimeSpan.FromSeconds(30), Stop);
        await stage.Driver.ChangePowerAsync([stage[0]], PowerChange.Start, TimeSpan.FromSeconds(30), Stop);
        Assert.Equal(["one", "two", "three", "four", "five", "six"], (await bench.AskAsync(stage.AddressOf(0), true, Stop))!.Orders);
        await stage.ReturnAllAsync();
        Assert.Equal(["one", "two", "three", "four", "five", "six"], (await bench.AskAsync(stage.AddressOf(0), true, Stop))!.Orders);
    });

    [Fact]
    public Task Layers_of_a_machine_that_is_off_are_folded_too() => WithAsync(1, async (bench, stage) =>
    {
        var (points, results, layers, target) = await HistoryAsync(bench, stage);
        await stage.Driver.ChangePowerAsync([stage[0]], PowerChange.PowerOff, TimeSpan.FromSeconds(30), Stop);
        var merge = new FoldRequest { Defined = stage[0], DefinedTarget = target, Layer = layers[2], Between = [layers[1]], Parent = layers[0] };
        Assert.False((await stage.Driver.EndFoldAsync(merge, Stop)).Done);
        await stage.FoldAsync(merge);
        Assert.True((await stage.Driver.EndFoldAsync(merge, Stop)).Done);
        var pull = new FoldRequest { Defined = stage[0], DefinedTarget = target, Machine = stage[0], Target = target, Layer = layers[4], IsHead = true, Between = [stage.Now(layers[2]), layers[3]], Parent = layers[0] };
        for (var twice = 0; twice < 2; twice++) await stage.FoldAsync(pull);
        await HoldsAsync(bench, stage, points[2], results[2], "one", "two", "three");
        await stage.Driver.ChangePowerAsync([stage[0]], PowerChange.Start, TimeSpan.FromSeconds(30), Stop);
        Assert.Equal(["one", "two", "three", "four", "five"], (await bench.AskAsync(stage.AddressOf(0), true, Stop))!.Orders);
        await stage.ReturnAllAsync();
        Assert.Equal(["one", "two", "three", "four", "five"], (await bench.AskAsync(stage.AddressOf(0), true, Stop))!.Orders);
    });

    [Fact]
    public Task A_fold_of_files_that_are_not_the_drivers_is_refused() => WithAsync(1, async (_, stage) =>
    {
        var (capture, _) = await stage.CaptureAsync(memory: false);
        var (adopted, head) = (capture.Machines[0].Volumes[0].Head, capture.Machines[0].Volumes[0].NewHead);
        Assert.Equal(Fault.InvalidRequest, await FaultOf(() => stage.Driver.FoldAsync(new() { Layer = head, Between = [adopted], Parent = adopted }, null, Stop)));
        Assert.Equal(Fault.InvalidRequest, await FaultOf(() => stage.Driver.FoldAsync(new() { Layer = head, Between = [], Parent = adopted }, null, Stop)));
    });

    [Fact]
    public Task Owned_things_can_be_removed_one_by_one() => WithAsync(1, async (_, stage) =>
    {
        var (capture, result) = await stage.CaptureAsync(memory: true);
        var (_, _, request) = await stage.PrepareCopyAsync(capture, result);
        await stage.Driver.InstantiateAsync(request, null, Stop);
        var keys = new HashSet<string> { request.Machines[0].Machine.Uuid.ToString(), request.Tag.Text, request.Machines[0].Heads[0].Head.Path };
        foreach (var thing in (await stage.Driver.ListOwnedAsync(Stop)).Things.Where(t => keys.Contains(t.Key)).OrderBy(t => t.Kind))
            for (var twice = 0; twice < 2; twice++) await stage.Driver.RemoveOwnedAsync(thing, Stop);
        Assert.DoesNotContain((await stage.Driver.ListOwnedAsync(Stop)).Things, t => keys.Contains(t.Key));
        await stage.ReturnAllAsync();
    });
}
