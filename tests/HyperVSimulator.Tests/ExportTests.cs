using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Cim.Wrappers;

namespace WeaveHypervisor.HyperV.Simulator.Tests;

/// <summary>Export, import and planned machines.</summary>
public sealed class ExportTests : IDisposable
{
    private readonly Bench _bench = new();

    public void Dispose() => _bench.Dispose();

    private static string Definition(Guid id, string folder = @"D:\e") => HostPath.Join(folder, "Virtual Machines", id.ToString().ToUpperInvariant() + ".vmcx");

    private async Task<string[]> FilesAsync(string folder) => [.. (await _bench.Host.Files.ListAsync(folder, below: true, Bench.Stop)).Where(f => !f.IsFolder).Select(f => f.Path[(folder.Length + 1)..])];

    [Fact]
    public async Task A_machine_goes_with_its_checkpoints_where_that_is_asked_for()
    {
        var id = await _bench.MachineAsync();
        var point = await _bench.CheckAsync(id);
        await _bench.PowerAsync(id, 6);
        var (machine, snapshot) = (id.ToString().ToUpperInvariant(), point.Get(VirtualSystemSettingData.InstanceID)!["Microsoft:".Length..]);
        await _bench.ExportAsync(id, @"D:\all", 0);
        Assert.Equal([$@"Snapshots\{snapshot}.vmcx", $@"Snapshots\{snapshot}.vmgs", $@"Snapshots\{snapshot}.VMRS", $@"Virtual Machines\{machine}.vmcx", $@"Virtual Machines\{machine}.vmgs", $@"Virtual Machines\{machine}.VMRS"], await FilesAsync(@"D:\all"));
        await _bench.ExportAsync(id, @"D:\none", 1, runtime: false);
        Assert.Equal([$@"Virtual Machines\{machine}.vmcx", $@"Virtual Machines\{machine}.vmgs"], await FilesAsync(@"D:\none"));
    }

    [Fact]
    public async Task A_target_that_is_there_is_refused()
    {
        var id = await _bench.MachineAsync(running: false);
        await _bench.ExportAsync(id, @"D:\e", 1);
        Assert.Equal(0x80070050u, (await _bench.FailsAsync(await _bench.Vms, VirtualSystemManagementService.ExportSystemDefinition(computerSystem: _bench.System(id), exportDirectory: @"D:\e", exportSettingData: Bench.Export(1)))).WindowsError);
    }

    [Fact]
    public async Task A_running_machine_is_exported_by_one_of_its_checkpoints_only()
    {
        var id = await _bench.MachineAsync();
        Assert.Equal(32775u, await _bench.AnswerAsync(await _bench.Vms, VirtualSystemManagementService.ExportSystemDefinition(computerSystem: _bench.System(id), exportDirectory: @"D:\e", exportSettingData: Bench.Export(1))));
        Assert.Equal(32773u, await _bench.AnswerAsync(await _bench.Vms, VirtualSystemManagementService.ExportSystemDefinition(computerSystem: _bench.System(id), exportDirectory: @"D:\e", exportSettingData: Bench.Export(3))));
        await _bench.ExportAsync(id, @"D:\e", 3, await _bench.CheckAsync(id));
        Assert.Equal([$@"Virtual Machines\{id.ToString().ToUpperInvariant()}.vmcx", $@"Virtual Machines\{id.ToString().ToUpperInvariant()}.vmgs", $@"Virtual Machines\{id.ToString().ToUpperInvariant()}.VMRS"], await FilesAsync(@"D:\e"));
    }

    [Fact]
    public async Task One_checkpoint_flat_ignores_the_flags_and_does_not_depend_on_its_source()
    {
        var id = await _bench.MachineAsync();
        _bench.Host.WriteAsGuest(id, 0, 0, "flat"u8);
        await _bench.CheckAsync(id);
        var point = await _bench.CheckAsync(id);
        await _bench.ExportAsync(id, @"D:\e", 2, point, runtime: false, storage: false);
        var disk = Assert.Single(await FilesAsync(@"D:\e\Virtual Hard Disks"));
        Assert.EndsWith(".vhdx", disk);
        var weave = await _bench.WeaveAsync(Definition(id), @"D:\w");
        Assert.Equal(6, _bench.Host.StateOf(weave));
        await _bench.PowerAsync(id, 3);
        _bench.Host.WriteIntoFile(await _bench.LeafAsync(id), 0, "gone"u8);
        await _bench.PowerAsync(weave, 2);
        Assert.Equal("flat"u8.ToArray(), _bench.Host.ReadDisk(weave, 0, 0, 4));
        Assert.False(_bench.Host.Guest(weave)!.IsCorrupt);
    }

    [Fact]
    public async Task A_host_may_leave_the_memory_of_checkpoints_out()
    {
        using var bench = new Bench(new() { Behaviour = new() { ExportsMemoryOfCheckpoints = false } });
        var id = await bench.MachineAsync();
        await bench.ExportAsync(id, @"D:\e", 3, await bench.CheckAsync(id));
        Assert.Equal(3, bench.Host.StateOf(await bench.WeaveAsync(Definition(id), @"D:\w")));
    }

    [Fact]
    public async Task A_definition_that_the_host_uses_cannot_be_imported_nor_what_is_none()
    {
        var id = await _bench.MachineAsync(running: false);
        var vms = await _bench.Vms;
        Task<HostException> ImportAsync(string file) => _bench.FailsAsync(vms, VirtualSystemManagementService.ImportSystemDefinition(generateNewSystemIdentifier: true, systemDefinitionFile: file));
        Assert.Equal(0x80070020u, (await ImportAsync(Definition(id, _bench.Host.DataRoot))).WindowsError);
        Assert.Equal(0x80070002u, (await ImportAsync(@"D:\nowhere.vmcx")).WindowsError);
        Assert.Equal(0x80070057u, (await ImportAsync(await _bench.LeafAsync(id))).WindowsError);
    }

    [Fact]
    public async Task A_new_identifier_is_in_every_id_and_path()
    {
        var id = await _bench.MachineAsync(disks: 2, switches: [_bench.Host.AddSwitch("lan")]);
        await _bench.CheckAsync(id);
        await _bench.PowerAsync(id, 6);
        await _bench.ExportAsync(id, @"D:\e", 0);
        var planned = await _bench.ImportAsync(Definition(id), snapshots: @"D:\e\Snapshots");
        var name = planned.Get(PlannedComputerSystem.Name)!;
        Assert.NotEqual(id.ToString().ToUpperInvariant(), name);
        var settings = await _bench.SettingsAsync(planned.Reference);
        Assert.Equal("Microsoft:" + name, settings.Get(VirtualSystemSettingData.InstanceID));
        foreach (var resource in await _bench.ResourcesAsync(settings, "CIM_ResourceAllocationSettingData"))
        {
            Assert.StartsWith("Microsoft:" + name + @"\", resource.Get(ResourceAllocationSettingData.InstanceID));
            Assert.DoesNotContain(id.ToString(), resource.Get(ResourceAllocationSettingData.Parent) ?? "", StringComparison.OrdinalIgnoreCase);
        }
        var all = await _bench.Client.AssociatorsAsync(planned.Reference, ElementSettingData.ClassName, VirtualSystemSettingData.ClassName, null, null, Bench.Stop);
        Assert.Equal(["Microsoft:Hyper-V:Snapshot:Planned", "Microsoft:Hyper-V:System:Planned"], all.Select(s => s.Get(VirtualSystemSettingData.VirtualSystemType)!).Order(StringComparer.Ordinal));
        Assert.Equal(2, all.Select(s => s.Get(VirtualSystemSettingData.InstanceID)).Distinct().Count());
    }

    [Fact]
    public async Task Without_a_new_identifier_a_machine_that_is_there_is_in_the_way()
    {
        var id = await _bench.MachineAsync(running: false);
        await _bench.ExportAsync(id, @"D:\e", 1);
        Assert.Equal(HostErrorKind.AlreadyExists, (await _bench.FailsAsync(await _bench.Vms, VirtualSystemManagementService.ImportSystemDefinition(generateNewSystemIdentifier: false, systemDefinitionFile: Definition(id)))).Kind);
    }

    [Fact]
    public async Task A_validation_finds_missing_disks_and_switches_and_succeeds()
    {
        var place = _bench.Host.AddSwitch("lan");
        var id = await _bench.MachineAsync(running: false, switches: [place]);
        await _bench.ExportAsync(id, @"D:\e", 1);
        var planned = await _bench.ImportAsync(Definition(id));
        await _bench.RunAsync(await _bench.Sws, VirtualEthernetSwitchManagementService.DestroySystem(affectedSystem: place));
        await _bench.Host.Files.DeleteAsync(await _bench.LeafAsync(id), Bench.Stop);
        var outcome = await _bench.RunAsync(await _bench.Vms, VirtualSystemManagementService.ValidatePlannedSystem(planned.Reference), readMessages: true);
        Assert.Equal(["33012", "40010"], outcome.Messages.Select(m => m.Id).Order(StringComparer.Ordinal));
        Assert.Equal(0x80070002u, (await _bench.FailsAsync(await _bench.Vms, VirtualSystemManagementService.RealizePlannedSystem(planned.Reference))).WindowsError);
    }

    [Fact]
    public async Task Realizing_needs_the_folder_of_the_import_and_copies_it()
    {
        var id = await _bench.MachineAsync();
        await _bench.PowerAsync(id, 6);
        await _bench.ExportAsync(id, @"D:\e", 1);
        var planned = await _bench.ImportAsync(Definition(id));
        await _bench.Host.Files.DeleteAsync(@"D:\e", Bench.Stop);
        Assert.Equal(HostErrorKind.NotFound, (await _bench.FailsAsync(await _bench.Vms, VirtualSystemManagementService.RealizePlannedSystem(planned.Reference))).Kind);
        await _bench.RunAsync(await _bench.Vms, VirtualSystemManagementService.DestroySystem(affectedSystem: planned.Reference));
        await _bench.ExportAsync(id, @"D:\e", 1);
        var weave = await _bench.WeaveAsync(Definition(id), @"D:\w");
        Assert.Contains($@"Virtual Machines\{weave.ToString().ToUpperInvariant()}.VMRS", await FilesAsync(@"D:\w"));
    }

    [Fact]
    public async Task Planned_machines_survive_a_restart_of_the_service_and_their_disks_cannot_be_removed()
    {
        var id = await _bench.MachineAsync(running: false);
        await _bench.ExportAsync(id, @"D:\e", 1);
        var planned = await _bench.ImportAsync(Definition(id));
        _bench.Host.RestartService(TimeSpan.FromSeconds(5));
        _bench.Wait(5);
        var settings = await _bench.SettingsAsync(planned.Reference);
        var disk = Assert.Single(await _bench.ResourcesAsync(settings, StorageAllocationSettingData.ClassName));
        Assert.Equal(32775u, await _bench.AnswerAsync(await _bench.Vms, VirtualSystemManagementService.RemoveResourceSettings([disk.Reference])));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_host_keeps_the_bios_identity_or_makes_a_new_one(bool keeps)
    {
        using var bench = new Bench(new() { Behaviour = new() { KeepsBiosGuid = keeps } });
        var id = await bench.MachineAsync(running: false);
        await bench.ExportAsync(id, @"D:\e", 1);
        var planned = await bench.SettingsAsync((await bench.ImportAsync(Definition(id))).Reference);
        Assert.Equal(keeps, (await bench.SettingsAsync(id)).Get(VirtualSystemSettingData.BIOSGUID) == planned.Get(VirtualSystemSettingData.BIOSGUID));
    }

    [Fact]
    public async Task A_host_may_refuse_the_copied_files_of_a_checkpoint()
    {
        using var bench = new Bench(new() { Behaviour = new() { ImportsCopiedCheckpoints = false } });
        var point = await bench.CheckAsync(await bench.MachineAsync());
        var name = point.Get(VirtualSystemSettingData.InstanceID)!["Microsoft:".Length..] + ".vmcx";
        await bench.Host.Files.CreateFolderAsync(@"D:\c", Bench.Stop);
        await bench.Host.Files.CopyAsync(HostPath.Join(bench.Host.DataRoot, "Snapshots", name), HostPath.Join(@"D:\c", name), Bench.Stop);
        await bench.FailsAsync(await bench.Vms, VirtualSystemManagementService.ImportSystemDefinition(generateNewSystemIdentifier: true, systemDefinitionFile: HostPath.Join(@"D:\c", name)));
    }
}
