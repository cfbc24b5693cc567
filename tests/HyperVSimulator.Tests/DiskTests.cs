using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Cim.Wrappers;

namespace WeaveHypervisor.HyperV.Simulator.Tests;

/// <summary>Virtual disks, who has them open, and who may.</summary>
public sealed class DiskTests : IDisposable
{
    private readonly Bench _bench = new();

    public void Dispose() => _bench.Dispose();

    private string At(string name) => HostPath.Join(_bench.Host.DiskFolder, name);

    private static CimObject Disk(ushort type, string path, ulong size = 0, string? parent = null) => new CimObject(VirtualHardDiskSettingData.ClassName)
        .With(VirtualHardDiskSettingData.Type, type).With(VirtualHardDiskSettingData.Format, (ushort)3).With(VirtualHardDiskSettingData.Path, path).With(VirtualHardDiskSettingData.MaxInternalSize, size).With(VirtualHardDiskSettingData.ParentPath, parent);

    private async Task<string> NewAsync(string name = "a.vhdx", ulong size = 8 << 20)
    {
        await _bench.RunAsync(await _bench.Ims, ImageManagementService.CreateVirtualHardDisk(Disk(3, At(name), size)));
        return At(name);
    }

    private async Task<string> ChildAsync(string parent, string name)
    {
        await _bench.CreateChildAsync(At(name), parent);
        return At(name);
    }

    private async Task<uint?> FailsAsync(CimCall call) => (await _bench.FailsAsync(await _bench.Ims, call)).WindowsError;
    private async Task RunAsync(CimCall call) => await _bench.RunAsync(await _bench.Ims, call);
    private async Task<CimObject> InspectAsync(string path) => EmbeddedInstance.Read((await _bench.RunAsync(await _bench.Ims, ImageManagementService.GetVirtualHardDiskSettingData(path: path))).Answer.Get(ImageManagementService.GetVirtualHardDiskSettingDataAnswer.SettingData)!);

    [Fact]
    public async Task A_disk_and_its_child_tell_what_they_are()
    {
        var disk = await NewAsync();
        var child = await InspectAsync(await ChildAsync(disk, "b.vhdx"));
        Assert.Equal(((ushort)4, disk, 8ul << 20), (child.Find(VirtualHardDiskSettingData.Type)!.Value, child.Get(VirtualHardDiskSettingData.ParentPath), child.Find(VirtualHardDiskSettingData.MaxInternalSize)!.Value));
        var parent = await InspectAsync(disk);
        Assert.Equal((ushort)3, parent.Find(VirtualHardDiskSettingData.Type));
        Assert.Null(parent.Get(VirtualHardDiskSettingData.ParentPath));
        Assert.NotEqual(parent.Get(VirtualHardDiskSettingData.VirtualDiskId), child.Get(VirtualHardDiskSettingData.VirtualDiskId));
    }

    [Fact]
    public async Task What_is_missing_in_the_settings_is_refused()
    {
        var good = Disk(3, At("a.vhdx"), 8 << 20);
        foreach (var bad in new[] { good.With(VirtualHardDiskSettingData.Path, null), good.With("Type", null), good.With("Format", null), good.With(VirtualHardDiskSettingData.Path, "a.vhdx"), Disk(4, At("a.vhdx")), Disk(3, At("a.vhdx"), 0, At("b.vhdx")) })
            Assert.Equal(32773u, await _bench.AnswerAsync(await _bench.Ims, ImageManagementService.CreateVirtualHardDisk(bad)));
        Assert.Equal(0xC03A0012u, await FailsAsync(ImageManagementService.CreateVirtualHardDisk(Disk(3, At("a.vhdx"), 1000))));
    }

    [Fact]
    public async Task A_file_that_is_there_a_parent_that_is_not_and_a_parent_that_is_written_to_are_refused()
    {
        var disk = await NewAsync();
        Assert.Equal(0x80070050u, await FailsAsync(ImageManagementService.CreateVirtualHardDisk(Disk(3, disk, 8 << 20))));
        Assert.Equal(0x80070002u, await FailsAsync(ImageManagementService.CreateVirtualHardDisk(Disk(4, At("b.vhdx"), 0, At("none.vhdx")))));
        Assert.Equal(0x80070020u, await FailsAsync(ImageManagementService.CreateVirtualHardDisk(Disk(4, At("b.vhdx"), 0, await _bench.LeafAsync(await _bench.MachineAsync())))));
        Assert.Equal(0xC03A0014u, await FailsAsync(ImageManagementService.ValidateVirtualHardDisk(path: HostPath.Join(_bench.Host.DataRoot, "Virtual Machines", (await _bench.Host.Files.ListAsync(HostPath.Join(_bench.Host.DataRoot, "Virtual Machines"), false, Bench.Stop))[0].Path.Split('\\')[^1]))));
    }

    [Fact]
    public async Task A_host_may_refuse_an_avhdx_as_parent()
    {
        using var bench = new Bench(new() { Behaviour = new() { TakesAvhdxAsParent = false } });
        var id = await bench.MachineAsync();
        await bench.CheckAsync(id);
        var second = await bench.CheckAsync(id);
        var error = await Assert.ThrowsAsync<HostException>(async () => await bench.CreateChildAsync(HostPath.Join(bench.Host.DiskFolder, "x.vhdx"), await bench.LeafAsync(second)));
        Assert.Equal(0x80070057u, error.WindowsError);
    }

    [Fact]
    public async Task A_write_into_a_parent_poisons_its_children()
    {
        var disk = await NewAsync();
        var (a, b) = (await ChildAsync(disk, "b.vhdx"), await ChildAsync(disk, "c.vhdx"));
        await RunAsync(ImageManagementService.ValidateVirtualHardDisk(path: a));
        _bench.Host.WriteIntoFile(disk, 0, "x"u8);
        foreach (var child in new[] { a, b }) Assert.Equal(0xC03A000Eu, await FailsAsync(ImageManagementService.ValidateVirtualHardDisk(path: child)));
        Assert.Equal(0xC03A000Eu, await FailsAsync(ImageManagementService.SetParentVirtualHardDisk(childPath: a, parentPath: disk, ignoreIDMismatch: false)));
        await RunAsync(ImageManagementService.SetParentVirtualHardDisk(childPath: a, parentPath: disk, ignoreIDMismatch: true));
        await RunAsync(ImageManagementService.ValidateVirtualHardDisk(path: a));
    }

    [Fact]
    public async Task A_parent_that_is_gone_is_missed()
    {
        var disk = await NewAsync();
        var child = await ChildAsync(disk, "b.vhdx");
        await _bench.Host.Files.DeleteAsync(disk, Bench.Stop);
        Assert.Equal(0xC03A000Du, await FailsAsync(ImageManagementService.ValidateVirtualHardDisk(path: child)));
    }

    [Fact]
    public async Task A_disk_does_not_become_its_own_ancestor()
    {
        var b = await ChildAsync(await NewAsync(), "b.vhdx");
        var c = await ChildAsync(b, "c.vhdx");
        Assert.Equal(0xC03A0018u, await FailsAsync(ImageManagementService.SetParentVirtualHardDisk(childPath: b, parentPath: c, ignoreIDMismatch: true)));
    }

    [Fact]
    public async Task Merging_writes_into_the_ancestor_and_removes_what_was_above_it()
    {
        var disk = await NewAsync();
        var (b, c, other) = (await ChildAsync(disk, "b.vhdx"), At("c.vhdx"), await ChildAsync(disk, "d.vhdx"));
        _bench.Host.WriteIntoFile(b, 0, "below"u8);
        await ChildAsync(b, "c.vhdx");
        _bench.Host.WriteIntoFile(c, 512, "above"u8);
        await RunAsync(ImageManagementService.MergeVirtualHardDisk(sourcePath: c, destinationPath: disk));
        Assert.Null(await _bench.Host.Files.FindAsync(b, Bench.Stop));
        Assert.Null(await _bench.Host.Files.FindAsync(c, Bench.Stop));
        Assert.Equal(0xC03A000Eu, await FailsAsync(ImageManagementService.ValidateVirtualHardDisk(path: other)));
        await RunAsync(ImageManagementService.ConvertVirtualHardDisk(sourcePath: disk, virtualDiskSettingData: Disk(3, At("flat.vhdx"))));
        await RunAsync(ImageManagementService.ValidateVirtualHardDisk(path: At("flat.vhdx")));
        Assert.Equal(0x80070057u, await FailsAsync(ImageManagementService.MergeVirtualHardDisk(sourcePath: At("flat.vhdx"), destinationPath: disk)));
    }

    [Fact]
    public async Task A_disk_grows_and_its_id_can_be_set()
    {
        var disk = await NewAsync();
        await RunAsync(ImageManagementService.ResizeVirtualHardDisk(path: disk, maxInternalSize: 16 << 20));
        var id = Guid.NewGuid().ToString().ToUpperInvariant();
        await RunAsync(ImageManagementService.SetVirtualHardDiskSettingData(Disk(3, disk).With(VirtualHardDiskSettingData.VirtualDiskId, id)));
        var now = await InspectAsync(disk);
        Assert.Equal((16ul << 20, id), (now.Find(VirtualHardDiskSettingData.MaxInternalSize)!.Value, now.Get(VirtualHardDiskSettingData.VirtualDiskId)));
        Assert.Equal(0xC03A0012u, await FailsAsync(ImageManagementService.ResizeVirtualHardDisk(path: disk, maxInternalSize: 100)));
    }

    [Fact]
    public async Task What_a_machine_runs_on_cannot_be_changed_deleted_or_merged()
    {
        var id = await _bench.MachineAsync();
        var point = await _bench.CheckAsync(id);
        var (leaf, frozen) = (await _bench.LeafAsync(id), await _bench.LeafAsync(point));
        foreach (var path in new[] { leaf, frozen })
        {
            Assert.Equal(0x80070020u, await FailsAsync(ImageManagementService.ResizeVirtualHardDisk(path: path, maxInternalSize: 1 << 30)));
            Assert.Equal(HostErrorKind.InUse, (await Assert.ThrowsAsync<HostException>(() => _bench.Host.Files.DeleteAsync(path, Bench.Stop))).Kind);
        }
        Assert.Equal(0x80070020u, await FailsAsync(ImageManagementService.MergeVirtualHardDisk(sourcePath: leaf, destinationPath: frozen)));
        Assert.Equal(frozen, (await InspectAsync(leaf)).Get(VirtualHardDiskSettingData.ParentPath));
        await InspectAsync(frozen);
        await ChildAsync(frozen, "child.vhdx");
    }

    [Fact]
    public async Task Two_machines_do_not_run_on_one_leaf_and_none_on_a_parent_of_anothers()
    {
        var (a, b) = (await _bench.MachineAsync(), await _bench.MachineAsync(running: false));
        var frozen = await _bench.LeafAsync(await _bench.CheckAsync(a));
        var disk = Assert.Single(await _bench.ResourcesAsync(await _bench.SettingsAsync(b), StorageAllocationSettingData.ClassName));
        foreach (var taken in new[] { await _bench.LeafAsync(a), frozen })
        {
            await _bench.ModifyAsync(disk, d => d.With(StorageAllocationSettingData.HostResource, [taken]));
            Assert.Equal(HostErrorKind.InUse, (await _bench.FailsAsync(_bench.System(b), ComputerSystem.RequestStateChange(2))).Kind);
        }
    }

    [Fact]
    public async Task A_file_that_was_put_in_place_by_hand_is_not_the_machines_to_open()
    {
        var id = await _bench.MachineAsync(running: false);
        var leaf = await _bench.LeafAsync(id);
        await _bench.Host.Files.CopyAsync(leaf, leaf + ".copy", Bench.Stop);
        await _bench.Host.Files.DeleteAsync(leaf, Bench.Stop);
        await _bench.Host.Files.CopyAsync(leaf + ".copy", leaf, Bench.Stop);
        Assert.Equal(HostErrorKind.AccessDenied, (await _bench.FailsAsync(_bench.System(id), ComputerSystem.RequestStateChange(2))).Kind);
        await _bench.Host.Files.GrantAsync(leaf, id, Bench.Stop);
        await _bench.PowerAsync(id, 2);
    }

    [Fact]
    public async Task A_host_may_leave_the_rights_to_parents_to_others()
    {
        using var bench = new Bench(new() { Behaviour = new() { GrantsParents = false } });
        var (source, other) = (await bench.MachineAsync(), await bench.MachineAsync(running: false));
        var frozen = await bench.LeafAsync(await bench.CheckAsync(source));
        var child = HostPath.Join(bench.Host.DiskFolder, "child.vhdx");
        await bench.CreateChildAsync(child, frozen);
        await bench.ModifyAsync(Assert.Single(await bench.ResourcesAsync(await bench.SettingsAsync(other), StorageAllocationSettingData.ClassName)), d => d.With(StorageAllocationSettingData.HostResource, [child]));
        Assert.Equal(HostErrorKind.AccessDenied, (await bench.FailsAsync(bench.System(other), ComputerSystem.RequestStateChange(2))).Kind);
        await bench.Host.Files.GrantAsync(frozen, other, Bench.Stop);
        await bench.PowerAsync(other, 2);
    }

    [Fact]
    public async Task A_layer_that_is_marked_read_only_is_not_written_to()
    {
        var id = await _bench.MachineAsync(running: false);
        await _bench.Host.Files.SetReadOnlyAsync(await _bench.LeafAsync(id), true, Bench.Stop);
        Assert.Equal(HostErrorKind.AccessDenied, (await _bench.FailsAsync(_bench.System(id), ComputerSystem.RequestStateChange(2))).Kind);
        Assert.Equal(0x80070005u, await FailsAsync(ImageManagementService.ResizeVirtualHardDisk(path: await _bench.LeafAsync(id), maxInternalSize: 1 << 30)));
    }

    [Fact]
    public async Task A_second_name_is_the_same_file()
    {
        var disk = await NewAsync();
        await _bench.Host.Files.LinkAsync(disk, At("library.vhdx"), Bench.Stop);
        var child = await ChildAsync(At("library.vhdx"), "b.vhdx");
        await _bench.Host.Files.DeleteAsync(disk, Bench.Stop);
        await RunAsync(ImageManagementService.ValidateVirtualHardDisk(path: child));
    }

    [Fact]
    public async Task A_file_takes_the_place_of_one_name_with_the_rights_of_what_was_there()
    {
        var (disk, other) = (await NewAsync(), At("other.vhdx"));
        await RunAsync(ImageManagementService.CreateVirtualHardDisk(Disk(3, other, 8 << 20)));
        await _bench.Host.Files.LinkAsync(disk, At("library.vhdx"), Bench.Stop);
        await _bench.Host.Files.SetReadOnlyAsync(disk, true, Bench.Stop);
        await _bench.Host.Files.ReplaceAsync(other, disk, Bench.Stop);
        Assert.Equal([disk], await _bench.Host.Files.NamesAsync(disk, Bench.Stop));
        Assert.Equal([At("library.vhdx")], await _bench.Host.Files.NamesAsync(At("library.vhdx"), Bench.Stop));
        Assert.True((await _bench.Host.Files.FindAsync(disk, Bench.Stop))!.IsReadOnly);
        Assert.Equal(HostErrorKind.NotFound, (await Assert.ThrowsAsync<HostException>(() => _bench.Host.Files.ReplaceAsync(other, disk, Bench.Stop))).Kind);
        var running = await _bench.LeafAsync(await _bench.MachineAsync());
        Assert.Equal(HostErrorKind.InUse, (await Assert.ThrowsAsync<HostException>(() => _bench.Host.Files.ReplaceAsync(disk, running, Bench.Stop))).Kind);
        Assert.Equal(HostErrorKind.InUse, (await Assert.ThrowsAsync<HostException>(() => _bench.Host.Files.ReplaceAsync(running, disk, Bench.Stop))).Kind);
    }

    [Fact]
    public async Task A_full_volume_fails_jobs_and_pauses_machines_that_write()
    {
        var id = await _bench.MachineAsync();
        _bench.Host.SetCapacity(0);
        Assert.Equal(0x80070070u, await FailsAsync(ImageManagementService.CreateVirtualHardDisk(Disk(3, At("big.vhdx"), 8 << 20))));
        Assert.False(_bench.Host.WriteAsGuest(id, 0, 0, new byte[4 << 20]));
        Assert.Equal(32789, _bench.Host.StateOf(id));
        Assert.Equal(0, await _bench.Host.Files.FreeBytesAsync(At("x"), Bench.Stop));
    }

    [Fact]
    public async Task Changes_since_a_reference_point_are_told_in_parts()
    {
        var id = await _bench.MachineAsync();
        var ordinary = await _bench.CheckAsync(id);
        var recovery = await _bench.CheckAsync(id, 32768);
        Assert.Equal(32775u, await _bench.AnswerAsync(await _bench.Sns, VirtualSystemSnapshotService.ConvertToReferencePoint(affectedSnapshot: ordinary.Reference)));
        await _bench.RunAsync(await _bench.Sns, VirtualSystemSnapshotService.ConvertToReferencePoint(affectedSnapshot: recovery.Reference));
        var point = Assert.Single(await _bench.Client.AssociatorsAsync(_bench.System(id), ReferencePointOfVirtualSystem.ClassName, VirtualSystemReferencePoint.ClassName, null, null, Bench.Stop));
        var tracking = Assert.Single(point.List(VirtualSystemReferencePoint.ResilientChangeTrackingIdentifiers));
        _bench.Host.WriteAsGuest(id, 0, 4096, new byte[512]);
        _bench.Host.WriteAsGuest(id, 0, 5 << 20, new byte[1024]);
        _bench.Wait(10);
        var found = new List<(ulong, ulong)>();
        for (ulong at = 0; at < Bench.Size;)
        {
            var answer = (await _bench.RunAsync(await _bench.Ims, ImageManagementService.GetVirtualDiskChanges(path: await _bench.LeafAsync(id), limitId: tracking, targetSnapshotId: "", byteOffset: at, byteLength: Bench.Size - at))).Answer;
            found.AddRange(answer.Get(ImageManagementService.GetVirtualDiskChangesAnswer.ChangedByteOffsets)!.Zip(answer.Get(ImageManagementService.GetVirtualDiskChangesAnswer.ChangedByteLengths)!));
            var processed = answer.Find(ImageManagementService.GetVirtualDiskChangesAnswer.ProcessedByteLength)!.Value;
            Assert.InRange(processed, 1ul, Bench.Size - 1ul);
            at += processed;
        }
        Assert.Equal([(4096ul, 512ul), (5ul << 20, 1024ul)], found.Order());
        Assert.Equal(0xC03A0029u, await FailsAsync(ImageManagementService.GetVirtualDiskChanges(path: await _bench.LeafAsync(id), limitId: "rctX:unknown", byteOffset: 0, byteLength: 4096)));
        Assert.Equal(32773u, await _bench.AnswerAsync(await _bench.Ims, ImageManagementService.GetVirtualDiskChanges(path: await _bench.LeafAsync(id), limitId: tracking, byteOffset: 0, byteLength: Bench.Size + 1)));
    }
}
