using WeaveHypervisor.Drivers;
using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Cim.Wrappers;
using WeaveHypervisor.HyperV.Simulator;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.HyperV.Tests;

/// <summary>Layers that are taken out of chains, and volumes that are given back.</summary>
public sealed class FoldTests
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private static async Task<Fault> FaultOf(Func<Task> act) => (await Assert.ThrowsAsync<WeaveException>(act)).Fault;

    [Theory]
    [InlineData(HostProfile.Server2019, true)]
    [InlineData(HostProfile.Server23H2, true)]
    [InlineData(HostProfile.Server23H2, false)]
    public async Task A_layer_of_one_volume_is_merged_by_the_host_whether_its_machine_runs_or_not(HostProfile profile, bool running)
    {
        using var bench = new CoreBench(new() { Profile = profile });
        var history = await FoldHistory.MakeAsync(bench);
        var boot = bench.Host.Guest(bench[0])!.Boot;
        if (!running) await history.PowerAsync(PowerChange.PowerOff);
        var request = history.Merge(running);
        Assert.False((await bench.Parts.Folding.EndAsync(request, Stop)).Done);
        var merged = await bench.Parts.Folding.FoldAsync(request, null, Stop);
        Assert.Equal(new FoldResult(true, request.Layer with { Path = history.Layers[1].Path }), merged);
        Assert.Equal(merged, await bench.Parts.Folding.FoldAsync(request, null, Stop));
        await FoldHistory.DeleteUnneededAsync(bench, request, merged);
        Assert.Equal(merged, await bench.Parts.Folding.EndAsync(request, Stop));
        Assert.Equal("abcde", history.Read());
        Assert.Equal("abc", await history.ReadLayerAsync(merged.Layer));
        Assert.Equal("abcd", await history.ReadLayerAsync(history.Layers[3]));
        Assert.Equal("a", await history.ReadLayerAsync(history.Layers[0]));
        if (running) Assert.Equal((boot, false), (bench.Host.Guest(bench[0])!.Boot, bench.Host.Guest(bench[0])!.IsCorrupt));
        // The machine goes on to be captured, and gets its own disk back.
        if (running) history.Write(5);
        var (capture, _) = await bench.CaptureAsync(memory: false);
        await bench.Parts.Returning.ReturnAsync(history.Machine, [history.Returned(merged.Layer, history.Layers[3], history.Layers[4], capture.Machines[0].Volumes[0].NewHead)], null, Stop);
        Assert.Equal(history.Layers[0].Path, await history.FileAsync());
        Assert.Equal(running ? "abcdef" : "abcde", history.Read() + (running ? (char)bench.Host.ReadDisk(bench[0], 0, 5 * 4096, 1)[0] : ""));
    }

    [Fact]
    public async Task Several_layers_are_merged_at_once()
    {
        using var bench = new CoreBench();
        var history = await FoldHistory.MakeAsync(bench);
        var request = history.Merge() with { Layer = history.Layers[3], Between = [history.Layers[1], history.Layers[2]], Above = history.Layers[4] };
        var merged = await bench.Parts.Folding.FoldAsync(request, null, Stop);
        Assert.Equal((true, history.Layers[1].Path), (merged.Done, merged.Layer.Path));
        await FoldHistory.DeleteUnneededAsync(bench, request, merged);
        Assert.Equal(("abcde", "abcd"), (history.Read(), await history.ReadLayerAsync(merged.Layer)));
    }

    [Fact]
    public async Task What_stands_on_a_merged_layer_reads_what_it_read_and_nobody_elses_chain_is_written_under_him()
    {
        using var bench = new CoreBench();
        var history = await FoldHistory.MakeAsync(bench);
        var head = await history.StandOnAsync(history.Layers[2]);
        var other = bench.Host.AddMachine("other", [CoreBench.DiskBytes]);
        var machine = (await bench.Context.Machines.FindAsync(other, Stop))!;
        var reference = new MachineRef(MachineName.Parse("other"), "other", other);
        await bench.Parts.Volumes.AttachAsync(reference, new(VolumeName.Parse("data"), "scsi0-1", head), Stop);
        await bench.Parts.Power.ChangeAsync([reference], PowerChange.Start, TimeSpan.FromMinutes(1), Stop);

        var request = history.Merge() with { Others = [head] };
        Assert.Equal(Fault.Conflict, await FaultOf(() => bench.Parts.Folding.FoldAsync(request, null, Stop)));
        Assert.False((await bench.Parts.Folding.EndAsync(request, Stop)).Done);
        Assert.Equal(Fault.Conflict, await FaultOf(() => bench.Parts.Returning.ReturnAsync(history.Machine, [history.Returned([.. history.Layers[1..]])], null, Stop)));
        await bench.Parts.Power.ChangeAsync([reference], PowerChange.PowerOff, TimeSpan.FromMinutes(1), Stop);
        await bench.Parts.Volumes.DetachAsync(reference, "scsi0-1", TimeSpan.FromSeconds(5), Stop);

        var merged = await bench.Parts.Folding.FoldAsync(request, null, Stop);
        await FoldHistory.DeleteUnneededAsync(bench, request, merged);
        await bench.Parts.Volumes.AttachAsync(reference, new(VolumeName.Parse("data"), "scsi0-1", head), Stop);
        await bench.Parts.Power.ChangeAsync([reference], PowerChange.Start, TimeSpan.FromMinutes(1), Stop);
        Assert.Equal("c"u8, bench.Host.ReadDisk(machine.Id, 1, 2 * 4096, 1));
    }

    [Theory]
    [InlineData(2, false, false)]
    [InlineData(2, true, true)]
    [InlineData(1, true, true)]
    [InlineData(1, false, false)]
    public async Task What_the_host_cannot_merge_is_written_anew_while_nobody_has_it_open(int disks, bool outage, bool running)
    {
        using var bench = new CoreBench(outage: outage);
        var history = await FoldHistory.MakeAsync(bench, disks: disks);
        var boot = bench.Host.Guest(bench[0])!.Boot;
        var file = await history.FileAsync();
        FoldRequest[] requests = disks == 2 ? [history.Merge(running), history.Pull() with { Between = [history.Layers[2], history.Layers[3]] }] : [history.Pull()];
        if (!running)
        {
            foreach (var refused in requests.Select(r => r with { Machine = history.Machine, Target = history.Target, Above = r.IsHead ? null : history.Layers[3] }))
            {
                Assert.Equal(Fault.Conflict, await FaultOf(() => bench.Parts.Folding.FoldAsync(refused, null, Stop)));
                Assert.False((await bench.Parts.Folding.EndAsync(refused, Stop)).Done);
                if (disks == 2) break;
            }
            await history.PowerAsync(PowerChange.PowerOff);
        }
        foreach (var request in requests)
        {
            for (var twice = 0; twice < 2; twice++) Assert.Equal(new(true, request.Layer), await bench.Parts.Folding.FoldAsync(request, null, Stop));
            if (!request.IsHead) await FoldHistory.DeleteUnneededAsync(bench, request, new(true, request.Layer));
            Assert.Equal("abcde", history.Read());
        }
        Assert.Equal("abc", await history.ReadLayerAsync(history.Layers[2]));
        Assert.Equal("abcd", await history.ReadLayerAsync(history.Layers[3]));
        Assert.Equal(file, await history.FileAsync());
        Assert.Contains(history.Layers[4].Path, await bench.Host.Files.NamesAsync(file, Stop));
        Assert.Empty(await bench.Host.Files.ListAsync(bench.Context.Paths.Work, true, Stop));
        Assert.DoesNotContain(await bench.Host.Files.ListAsync(HostPath.Folder(file), false, Stop), f => f.Path.EndsWith(".part", StringComparison.Ordinal) || f.Path.EndsWith(".new", StringComparison.Ordinal));
        if (running) Assert.Equal((boot, false), (bench.Host.Guest(bench[0])!.Boot, bench.Host.Guest(bench[0])!.IsCorrupt));
        else await history.PowerAsync(PowerChange.Start);
        history.Write(4);
        Assert.Equal("abcde", history.Read());
    }

    [Fact]
    public async Task Requests_that_are_none_are_refused()
    {
        using var bench = new CoreBench();
        var history = await FoldHistory.MakeAsync(bench, points: 2);
        Assert.Equal(Fault.InvalidRequest, await FaultOf(() => bench.Parts.Folding.FoldAsync(new() { Layer = history.Layers[1], Between = [history.Layers[0]], Parent = history.Layers[0] }, null, Stop)));
        Assert.Equal(Fault.InvalidRequest, await FaultOf(() => bench.Parts.Folding.FoldAsync(new() { Layer = history.Layers[2], Between = [], Parent = history.Layers[0] }, null, Stop)));
        Assert.Equal(Fault.InvalidRequest, await FaultOf(() => bench.Parts.Folding.FoldAsync(new() { Layer = history.Layers[2], Between = [history.Layers[1]], Parent = history.Layers[0], Target = history.Target }, null, Stop)));
        Assert.Equal(Fault.Unsupported, await FaultOf(() => bench.Parts.Folding.FoldAsync(new() { Layer = history.Layers[2] with { Format = DiskFormat.Qcow2 }, Between = [history.Layers[1]], Parent = history.Layers[0] }, null, Stop)));
    }

    [Theory]
    [InlineData("DestroySnapshot", 1, CallFault.RefusedBefore)]
    [InlineData("DestroySnapshot", 1, CallFault.LostAfter)]
    [InlineData("DestroySnapshot", 1, CallFault.JobFails)]
    [InlineData("DestroySnapshot", 1, CallFault.JobVanishes)]
    [InlineData("DestroySnapshot", 1, CallFault.RestartAfter)]
    [InlineData("ModifyDiskMergeSettings", 1, CallFault.RefusedBefore)]
    [InlineData("ModifyDiskMergeSettings", 2, CallFault.RefusedBefore)]
    public async Task A_merge_that_died_anywhere_stands_as_before_or_as_wanted(string call, int nth, CallFault fault)
    {
        using var bench = new CoreBench();
        var history = await FoldHistory.MakeAsync(bench);
        var request = history.Merge();
        await Stand.OnceAsync(bench.Host, call, nth, fault, () => bench.Parts.Folding.FoldAsync(request, null, Stop));
        bench.Clock.Advance(TimeSpan.FromMinutes(1));
        var standing = await bench.Parts.Folding.EndAsync(request, Stop);
        Assert.Equal("abc", await history.ReadLayerAsync(standing.Layer));
        Assert.Equal("abcde", history.Read());
        var merged = await bench.Parts.Folding.FoldAsync(request, null, Stop);
        Assert.Equal((true, "abc", "abcde"), (merged.Done, await history.ReadLayerAsync(merged.Layer), history.Read()));
    }

    [Theory]
    [InlineData("RequestStateChange", 1, CallFault.LostAfter)]
    [InlineData("RequestStateChange", 1, CallFault.RefusedBefore)]
    [InlineData("RequestStateChange", 1, CallFault.JobFails)]
    [InlineData("RequestStateChange", 2, CallFault.JobVanishes)]
    [InlineData("RequestStateChange", 2, CallFault.JobFails)]
    [InlineData("Files.Write", 1, CallFault.RefusedBefore)]
    [InlineData("Files.Link", 1, CallFault.RefusedBefore)]
    [InlineData("Files.Replace", 1, CallFault.RefusedBefore)]
    [InlineData("Files.Replace", 1, CallFault.LostAfter)]
    [InlineData("Files.Replace", 2, CallFault.RefusedBefore)]
    [InlineData("Files.Link", 2, CallFault.RefusedBefore)]
    [InlineData("Files.Delete", 2, CallFault.RefusedBefore)]
    [InlineData("Files.Delete", 6, CallFault.RefusedBefore)]
    public async Task A_pull_that_died_anywhere_leaves_a_machine_that_runs_on_one_of_the_two(string call, int nth, CallFault fault)
    {
        using var bench = new CoreBench(outage: true);
        var history = await FoldHistory.MakeAsync(bench);
        var (boot, request) = (bench.Host.Guest(bench[0])!.Boot, history.Pull());
        await Stand.OnceAsync(bench.Host, call, nth, fault, () => bench.Parts.Folding.FoldAsync(request, null, Stop));
        await bench.Parts.Folding.EndAsync(request, Stop);
        Assert.Equal((boot, false), (bench.Host.Guest(bench[0])!.Boot, bench.Host.Guest(bench[0])!.IsCorrupt));
        Assert.Equal("abcde", history.Read());
        Assert.Contains(history.Layers[4].Path, await bench.Host.Files.NamesAsync(await history.FileAsync(), Stop));
        Assert.True((await bench.Parts.Folding.FoldAsync(request, null, Stop)).Done);
        Assert.Equal("abcde", history.Read());
        Assert.Empty(await bench.Host.Files.ListAsync(bench.Context.Paths.Work, true, Stop));
    }

    [Theory]
    [InlineData(true, 1)]
    [InlineData(false, 1)]
    [InlineData(true, 2)]
    public async Task Volumes_given_back_are_the_users_own_files_with_all_that_was_written(bool running, int disks)
    {
        using var bench = new CoreBench();
        var history = await FoldHistory.MakeAsync(bench, points: 3, disks: disks);
        if (disks == 2) Assert.True(bench.Host.WriteAsGuest(bench[0], 1, 0, "second"u8));
        var boot = bench.Host.Guest(bench[0])!.Boot;
        if (!running) await history.PowerAsync(PowerChange.PowerOff);
        var volumes = new List<ReturnedVolume> { history.Returned([.. history.Layers[1..]]) };
        if (disks == 2)
        {
            Assert.Equal(Fault.Conflict, await FaultOf(() => bench.Parts.Returning.ReturnAsync(history.Machine, volumes, null, Stop)));
            var second = bench.Examined.Machines[0].Volumes[1];
            var live = (await bench.Context.Machines.ReadAsync((await bench.Context.Machines.FindAsync(history.Machine, Stop))!.Settings, Stop)).Disks[1];
            var chain = new List<LayerRef>();
            foreach (var file in (await bench.Parts.Disks.ChainAsync(live.File, Stop)).Reverse().Skip(1)) chain.Add(new(LayerId.New(bench.Clock), await bench.Parts.Disks.NameAsync(file, Stop), DiskFormat.Vhdx, second.VirtualSize));
            volumes.Add(new(second.Volume, live.Target, new(LayerId.New(bench.Clock), second.Path, second.Format, second.VirtualSize), chain));
        }
        for (var twice = 0; twice < 2; twice++) await bench.Parts.Returning.ReturnAsync(history.Machine, volumes, null, Stop);
        Assert.Equal((history.Layers[0].Path, "abcd"), (await history.FileAsync(), history.Read()));
        if (disks == 2) Assert.Equal("second"u8, bench.Host.ReadDisk(bench[0], 1, 0, 6));
        if (running) Assert.Equal((boot, false), (bench.Host.Guest(bench[0])!.Boot, bench.Host.Guest(bench[0])!.IsCorrupt));
        var machine = (await bench.Context.Machines.FindAsync(history.Machine, Stop))!;
        Assert.Empty(await bench.Context.Machines.CheckpointsAsync(machine, Stop));
        await bench.Parts.Layers.DeleteAsync([.. volumes.SelectMany(v => v.Chain).Select(l => l.Path)], Stop);
        if (!running) await history.PowerAsync(PowerChange.Start);
        Assert.Equal("abcd", history.Read());
    }

    [Fact]
    public async Task A_disk_that_the_host_does_not_merge_is_merged_while_its_machine_is_off()
    {
        using var bench = new CoreBench();
        var history = await FoldHistory.MakeAsync(bench, points: 1);
        await history.PowerAsync(PowerChange.PowerOff);
        // The machine was rolled back: it stands on a layer that no checkpoint of its own froze.
        var id = LayerId.New(bench.Clock);
        var (middle, head) = (history.Layers[1], new LayerRef(id, bench.Context.Paths.PlaceLayer(bench.Environment, bench.Main, id), DiskFormat.Vhdx, history.Layers[1].VirtualSize));
        await bench.Parts.Layers.CreateOverlayAsync(head, middle, Stop);
        await bench.Parts.Volumes.DetachAsync(history.Machine, history.Target, TimeSpan.FromSeconds(5), Stop);
        await bench.Parts.Volumes.AttachAsync(history.Machine, new(history.Returned().Volume, history.Target, head), Stop);
        await history.PowerAsync(PowerChange.Start);
        Assert.True(bench.Host.WriteAsGuest(bench[0], 0, 4096, "X"u8));
        var volume = history.Returned(middle, head);
        Assert.Equal(Fault.Conflict, await FaultOf(() => bench.Parts.Returning.ReturnAsync(history.Machine, [volume], null, Stop)));
        Assert.Equal("aX", history.Read());
        await history.PowerAsync(PowerChange.PowerOff);
        bench.Host.Faults.Forget();
        bench.Host.Faults.Add("ModifyResourceSettings", 1, CallFault.RefusedBefore);
        await Assert.ThrowsAsync<WeaveException>(() => bench.Parts.Returning.ReturnAsync(history.Machine, [volume], null, Stop));
        for (var twice = 0; twice < 2; twice++) await bench.Parts.Returning.ReturnAsync(history.Machine, [volume], null, Stop);
        Assert.Equal((history.Layers[0].Path, "aX"), (await history.FileAsync(), history.Read()));
        // What is not ours any more merges by itself, as it did before.
        Assert.Equal(1u, Assert.Single(await bench.Context.Client.AssociatorsAsync(bench.Host.SystemOf(bench[0]), ElementSettingData.ClassName, DiskMergeSettingData.ClassName, null, null, Stop)).Find(DiskMergeSettingData.EnabledState));
        Assert.Empty(await bench.Host.Files.ListAsync(bench.Context.Paths.Work, true, Stop));
    }

    [Theory]
    [InlineData("DestroySnapshot", 1, CallFault.LostAfter)]
    [InlineData("DestroySnapshot", 2, CallFault.RefusedBefore)]
    [InlineData("DestroySnapshot", 3, CallFault.RestartAfter)]
    [InlineData("ModifyDiskMergeSettings", 1, CallFault.RefusedBefore)]
    public async Task A_return_that_died_anywhere_is_ended_by_the_next_one(string call, int nth, CallFault fault)
    {
        using var bench = new CoreBench();
        var history = await FoldHistory.MakeAsync(bench);
        await Stand.OnceAsync(bench.Host, call, nth, fault, () => bench.Parts.Returning.ReturnAsync(history.Machine, [history.Returned([.. history.Layers[1..]])], null, Stop));
        bench.Clock.Advance(TimeSpan.FromMinutes(1));
        await bench.Parts.Returning.ReturnAsync(history.Machine, [history.Returned([.. history.Layers[1..]])], null, Stop);
        Assert.Equal((history.Layers[0].Path, "abcde"), (await history.FileAsync(), history.Read()));
    }

    [Fact]
    public async Task A_disk_on_a_file_that_is_no_layer_of_ours_is_not_given_back()
    {
        using var bench = new CoreBench();
        var history = await FoldHistory.MakeAsync(bench, points: 2);
        Assert.Equal(Fault.Conflict, await FaultOf(() => bench.Parts.Returning.ReturnAsync(history.Machine, [history.Returned(history.Layers[1])], null, Stop)));
        Assert.Equal(Fault.Conflict, await FaultOf(() => bench.Parts.Returning.ReturnAsync(history.Machine, [history.Returned([.. history.Layers[1..]]) with { Target = "scsi0-9" }], null, Stop)));
        Assert.Equal(Fault.NotFound, await FaultOf(() => bench.Parts.Returning.ReturnAsync(history.Machine with { Uuid = Guid.NewGuid() }, [], null, Stop)));
        Assert.Equal("abc", history.Read());
    }

    [Fact]
    public async Task A_fold_between_layers_that_do_not_stand_so_is_refused_and_changes_nothing()
    {
        using var bench = new CoreBench();
        var history = await FoldHistory.MakeAsync(bench);
        await history.PowerAsync(PowerChange.PowerOff);
        foreach (var between in (LayerRef[][])[[history.Layers[2], history.Layers[1], history.Layers[3]], [history.Layers[3]], [history.Layers[1], history.Layers[2]]])
        {
            Assert.Equal(Fault.DataLoss, await FaultOf(() => bench.Parts.Folding.FoldAsync(history.Pull() with { Between = between }, null, Stop)));
            Assert.Equal("abcde", history.Read());
        }
        Assert.Empty(await bench.Host.Files.ListAsync(bench.Context.Paths.Work, true, Stop));
    }

    /// <summary>A layer with one byte of its own on the present of a machine, attached in its place.</summary>
    private static async Task<LayerRef> AttachWrittenAsync(CoreBench bench, FoldHistory history)
    {
        var (head, id) = (history.Layers[^1], LayerId.New(bench.Clock));
        var written = new LayerRef(id, bench.Context.Paths.PlaceLayer(bench.Environment, bench.Main, id), DiskFormat.Vhdx, head.VirtualSize);
        await bench.Parts.Volumes.DetachAsync(history.Machine, history.Target, TimeSpan.FromSeconds(5), Stop);
        await bench.Parts.Layers.WriteLayerAsync(written, head, new(new[] { new DiskRange(0, 4096) }.ToAsyncEnumerable(), (_, into, _) =>
        {
            into.Span.Fill((byte)'z');
            return ValueTask.CompletedTask;
        }, (_, _, _) => ValueTask.CompletedTask, 4096), null, Stop);
        await bench.Parts.Volumes.AttachAsync(history.Machine, new(bench.Examined.Machines[0].Volumes[0].Volume, history.Target, written), Stop);
        return written;
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_layer_that_only_one_attached_anew_stands_on_is_not_taken_for_merged(bool running)
    {
        using var bench = new CoreBench();
        var history = await FoldHistory.MakeAsync(bench, points: 3);
        var written = await AttachWrittenAsync(bench, history);
        if (!running) await history.PowerAsync(PowerChange.PowerOff);
        var request = new FoldRequest
        {
            Machine = running ? history.Machine : null, Target = running ? history.Target : null, Defined = history.Machine, DefinedTarget = history.Target,
            Layer = history.Layers[3], Between = [history.Layers[1], history.Layers[2]], Parent = history.Layers[0], Above = running ? written : null, Others = running ? [] : [written],
        };
        Assert.False((await bench.Parts.Folding.EndAsync(request, Stop)).Done);
        if (running) Assert.Equal(Fault.Conflict, await FaultOf(() => bench.Parts.Folding.FoldAsync(request, null, Stop)));
        else
        {
            var folded = await bench.Parts.Folding.FoldAsync(request, null, Stop);
            Assert.Equal((true, history.Layers[3].Path), (folded.Done, folded.Layer.Path));
            await FoldHistory.DeleteUnneededAsync(bench, request, folded);
        }
        Assert.Equal("zbcd", history.Read());
    }

    [Fact]
    public async Task A_layer_that_was_written_on_one_of_the_hosts_own_leaves_no_file_when_the_volume_is_given_back()
    {
        using var bench = new CoreBench();
        var history = await FoldHistory.MakeAsync(bench, points: 1);
        var adopted = await bench.Host.Files.ListAsync(bench.Host.DiskFolder, true, Stop);
        var (head, written) = (history.Layers[^1], await AttachWrittenAsync(bench, history));
        Assert.Equal('z', (char)bench.Host.ReadDisk(bench[0], 0, 0, 1)[0]);
        await history.PowerAsync(PowerChange.PowerOff);
        await bench.Parts.Returning.ReturnAsync(history.Machine, [history.Returned(head, written)], null, Stop);
        await bench.Parts.Layers.DeleteAsync([head.Path, written.Path], Stop);
        Assert.Equal(("zb", history.Layers[0].Path), (history.Read(), await history.FileAsync()));
        Assert.Equal(adopted.Count - 1, (await bench.Host.Files.ListAsync(bench.Host.DiskFolder, true, Stop)).Count);
        Assert.DoesNotContain(await bench.Host.Files.ListAsync(bench.Context.Paths.Environments, true, Stop), f => HostPath.Ending(f.Path) == ".vhdx");
    }

    [Fact]
    public async Task Checkpoints_that_somebody_else_has_removed_are_merged_when_the_disks_are_given_back()
    {
        using var bench = new CoreBench();
        var history = await FoldHistory.MakeAsync(bench, points: 2);
        foreach (var checkpoint in await bench.Context.Machines.CheckpointsAsync((await bench.Context.Machines.FindAsync(bench[0], Stop))!, Stop))
            await bench.Context.Jobs.RunAsync(await bench.Context.Services.SnapshotsAsync(Stop), VirtualSystemSnapshotService.DestroySnapshot(checkpoint.Reference), TimeSpan.FromMinutes(1), Stop);
        bench.Clock.Advance(TimeSpan.FromMinutes(10));
        Assert.NotEqual(history.Layers[0].Path, await history.FileAsync());
        await bench.Parts.Returning.ReturnAsync(history.Machine, [history.Returned([.. history.Layers[1..]])], null, Stop);
        Assert.Equal((history.Layers[0].Path, "abc", 2), (await history.FileAsync(), history.Read(), bench.Host.StateOf(bench[0])));
    }
}
