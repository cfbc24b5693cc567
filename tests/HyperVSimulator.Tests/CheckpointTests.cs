using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Cim.Wrappers;

namespace WeaveHypervisor.HyperV.Simulator.Tests;

public sealed class CheckpointTests : IDisposable
{
    private readonly Bench _bench = new();

    public void Dispose() => _bench.Dispose();

    private async Task<string> DiskOfAsync(CimObject checkpoint) => await _bench.LeafAsync(checkpoint);

    [Fact]
    public async Task Each_disk_gets_a_new_layer_that_is_named_after_its_first()
    {
        var id = await _bench.MachineAsync(disks: 2);
        var before = await _bench.LeafAsync(id);
        var first = await _bench.CheckAsync(id);
        var second = await _bench.CheckAsync(id);
        var now = await _bench.LeafAsync(id);
        Assert.Equal(before, await DiskOfAsync(first));
        Assert.Matches($@"^{HostPath.Stem(before)}_[0-9A-F-]{{36}}\.avhdx$", HostPath.Name(now));
        Assert.Matches($@"^{HostPath.Stem(before)}_[0-9A-F-]{{36}}\.avhdx$", HostPath.Name(await DiskOfAsync(second)));
        Assert.Equal(first.Reference, CimPath.Parse(second.Get(VirtualSystemSettingData.Parent)!));
        Assert.Equal(second.Reference, Assert.Single(await _bench.Client.AssociatorsAsync(_bench.System(id), MostCurrentSnapshotInBranch.ClassName, null, null, null, Bench.Stop)).Reference);
        Assert.Equal(2, (await _bench.Client.AssociatorsAsync(_bench.System(id), SnapshotOfVirtualSystem.ClassName, VirtualSystemSettingData.ClassName, null, null, Bench.Stop)).Count);
    }

    [Theory]
    [InlineData(5, 2, true, true, true)]
    [InlineData(5, 2, true, false, true)]
    [InlineData(3, 2, true, true, false)]
    [InlineData(3, 2, true, false, true)]
    [InlineData(4, 2, true, true, false)]
    [InlineData(5, 3, true, true, false)]
    [InlineData(5, 32768, true, true, false)]
    [InlineData(5, 2, false, true, false)]
    public async Task Memory_is_in_it_where_the_machines_setting_and_its_guest_make_it_so(ushort setting, ushort type, bool running, bool quiescer, bool memory)
    {
        var id = await _bench.MachineAsync(running: running, checkpoints: setting);
        _bench.Host.SetGuest(id, hasQuiescer: quiescer);
        var point = await _bench.CheckAsync(id, type);
        Assert.Equal(memory, point.Find(VirtualSystemSettingData.IsSaved));
        Assert.Equal(type == 32768 ? "Microsoft:Hyper-V:Snapshot:Recovery" : "Microsoft:Hyper-V:Snapshot:Realized", point.Get(VirtualSystemSettingData.VirtualSystemType));
        var file = HostPath.Join(_bench.Host.DataRoot, "Snapshots", point.Get(VirtualSystemSettingData.InstanceID)!["Microsoft:".Length..]);
        Assert.NotNull(await _bench.Host.Files.FindAsync(file + ".vmcx", Bench.Stop));
        Assert.Equal(memory, await _bench.Host.Files.FindAsync(file + ".VMRS", Bench.Stop) is not null);
    }

    [Fact]
    public async Task A_production_checkpoint_of_a_guest_that_cannot_be_quiesced_fails()
    {
        var id = await _bench.MachineAsync(checkpoints: 4);
        _bench.Host.SetGuest(id, hasQuiescer: false);
        var before = await _bench.LeafAsync(id);
        await _bench.FailsAsync(await _bench.Sns, VirtualSystemSnapshotService.CreateSnapshot(affectedSystem: _bench.System(id), snapshotType: 2));
        Assert.Equal(before, await _bench.LeafAsync(id));
    }

    [Fact]
    public async Task A_machine_may_be_set_to_have_none_and_devices_of_the_host_forbid_them()
    {
        var (none, gpu) = (await _bench.MachineAsync(checkpoints: 2), await _bench.MachineAsync());
        _bench.Host.AddDevice(gpu, GpuPartitionSettingData.ClassName);
        foreach (var id in new[] { none, gpu }) Assert.Equal(32770u, await _bench.AnswerAsync(await _bench.Sns, VirtualSystemSnapshotService.CreateSnapshot(affectedSystem: _bench.System(id), snapshotType: 2)));
        Assert.Equal(32773u, await _bench.AnswerAsync(await _bench.Sns, VirtualSystemSnapshotService.CreateSnapshot(affectedSystem: _bench.System(gpu), snapshotType: 9)));
        Assert.Equal(32773u, await _bench.AnswerAsync(await _bench.Sns, VirtualSystemSnapshotService.CreateSnapshot(snapshotType: 2)));
    }

    [Fact]
    public async Task Applying_brings_disk_and_memory_of_its_moment_back()
    {
        var id = await _bench.MachineAsync();
        _bench.Host.WriteAsGuest(id, 0, 0, "then"u8);
        _bench.Wait(30);
        var point = await _bench.CheckAsync(id);
        var boot = _bench.Host.Guest(id)!.Boot;
        _bench.Host.WriteAsGuest(id, 0, 0, "now!"u8);
        Assert.Equal(32775u, await _bench.AnswerAsync(await _bench.Sns, VirtualSystemSnapshotService.ApplySnapshot(snapshot: point.Reference)));
        await _bench.PowerAsync(id, 3);
        await _bench.RunAsync(await _bench.Sns, VirtualSystemSnapshotService.ApplySnapshot(snapshot: point.Reference));
        Assert.Equal(6, _bench.Host.StateOf(id));
        await _bench.PowerAsync(id, 2);
        Assert.Equal("then"u8.ToArray(), _bench.Host.ReadDisk(id, 0, 0, 4));
        Assert.Equal((boot, false), (_bench.Host.Guest(id)!.Boot, _bench.Host.Guest(id)!.IsCorrupt));
    }

    [Fact]
    public async Task A_destroyed_checkpoints_layer_is_merged_later_and_the_frozen_file_is_rewritten()
    {
        var id = await _bench.MachineAsync();
        var point = await _bench.CheckAsync(id);
        var (frozen, layer) = (await DiskOfAsync(point), await _bench.LeafAsync(id));
        _bench.Host.WriteAsGuest(id, 0, 512, "kept"u8);
        await _bench.RunAsync(await _bench.Sns, VirtualSystemSnapshotService.DestroySnapshot(affectedSnapshot: point.Reference));
        Assert.Equal(layer, await _bench.LeafAsync(id));
        Assert.Equal(new ushort[] { 2, 32772 }, (await _bench.Client.GetAsync(_bench.System(id), Bench.Stop)).List(ComputerSystem.OperationalStatus));
        _bench.Wait(5);
        Assert.Equal(frozen, await _bench.LeafAsync(id));
        Assert.Equal("kept"u8.ToArray(), _bench.Host.ReadDisk(id, 0, 512, 4));
        Assert.Null(await _bench.Host.Files.FindAsync(layer, Bench.Stop));
        Assert.Equal(2, _bench.Host.StateOf(id));
    }

    [Fact]
    public async Task A_merge_breaks_the_children_that_others_have_of_the_frozen_file()
    {
        var id = await _bench.MachineAsync();
        var point = await _bench.CheckAsync(id);
        var child = HostPath.Join(_bench.Host.DiskFolder, "child.vhdx");
        await _bench.CreateChildAsync(child, await DiskOfAsync(point));
        await _bench.RunAsync(await _bench.Ims, ImageManagementService.ValidateVirtualHardDisk(path: child));
        _bench.Host.WriteAsGuest(id, 0, 512, "x"u8);
        await _bench.RunAsync(await _bench.Sns, VirtualSystemSnapshotService.DestroySnapshot(affectedSnapshot: point.Reference));
        _bench.Wait(5);
        var error = await _bench.FailsAsync(await _bench.Ims, ImageManagementService.ValidateVirtualHardDisk(path: child));
        Assert.Equal((HostErrorKind.Damaged, 0xC03A000Eu), (error.Kind, error.WindowsError!.Value));
    }

    [Fact]
    public async Task An_export_without_disks_suspends_merges_until_they_are_switched_on_again()
    {
        var id = await _bench.MachineAsync();
        var point = await _bench.CheckAsync(id);
        var layer = await _bench.LeafAsync(id);
        await _bench.ExportAsync(id, @"D:\e", 3, point);
        await _bench.RunAsync(await _bench.Sns, VirtualSystemSnapshotService.DestroySnapshot(affectedSnapshot: point.Reference));
        _bench.Wait(60);
        Assert.Equal(layer, await _bench.LeafAsync(id));
        var settings = Assert.Single(await _bench.Client.AssociatorsAsync(_bench.System(id), ElementSettingData.ClassName, DiskMergeSettingData.ClassName, null, null, Bench.Stop));
        Assert.Equal(0u, settings.Find(DiskMergeSettingData.EnabledState));
        await _bench.RunAsync(await _bench.Vms, VirtualSystemManagementService.ModifyDiskMergeSettings(settings.With(DiskMergeSettingData.EnabledState, 1u)));
        _bench.Wait(5);
        Assert.NotEqual(layer, await _bench.LeafAsync(id));
    }

    [Fact]
    public async Task Between_branches_a_layer_stays_until_one_is_left()
    {
        var id = await _bench.MachineAsync(running: false);
        var root = await _bench.CheckAsync(id);
        var left = await _bench.CheckAsync(id);
        await _bench.RunAsync(await _bench.Sns, VirtualSystemSnapshotService.ApplySnapshot(snapshot: root.Reference));
        var frozen = await DiskOfAsync(root);
        await _bench.RunAsync(await _bench.Sns, VirtualSystemSnapshotService.DestroySnapshot(affectedSnapshot: root.Reference));
        _bench.Wait(10);
        Assert.NotEqual(frozen, await _bench.LeafAsync(id));
        await _bench.RunAsync(await _bench.Sns, VirtualSystemSnapshotService.DestroySnapshotTree(snapshotSettingData: left.Reference));
        _bench.Wait(10);
        Assert.Equal(frozen, await _bench.LeafAsync(id));
    }

    [Fact]
    public async Task The_name_of_a_checkpoint_can_be_changed_and_nothing_else_of_it()
    {
        var point = await _bench.CheckAsync(await _bench.MachineAsync());
        await _bench.ModifyAsync(point, p => p.With(VirtualSystemSettingData.ElementName, "before the upgrade"));
        Assert.Equal("before the upgrade", (await _bench.Client.GetAsync(point.Reference, Bench.Stop)).Get(VirtualSystemSettingData.ElementName));
        Assert.Equal(32775u, await _bench.AnswerAsync(await _bench.Vms, VirtualSystemManagementService.ModifySystemSettings(point.With(VirtualSystemSettingData.UserSnapshotType, (ushort)3))));
    }
}
