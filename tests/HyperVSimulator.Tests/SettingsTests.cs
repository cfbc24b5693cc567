using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Cim.Wrappers;

namespace WeaveHypervisor.HyperV.Simulator.Tests;

/// <summary>Settings in texts: what is taken, and what is refused with 32773.</summary>
public sealed class SettingsTests : IDisposable
{
    private readonly Bench _bench = new();

    public void Dispose() => _bench.Dispose();

    private async Task<uint> ModifyTextAsync(string text) => await _bench.AnswerAsync(await _bench.Vms, CimCall.Of("ModifySystemSettings", ("SystemSettings", text)));

    private async Task<string> NewAsync() => (await _bench.SettingsAsync(await _bench.MachineAsync(running: false))).Get(VirtualSystemSettingData.InstanceID)!;

    [Theory]
    [InlineData("<INSTANCE CLASSNAME=\"Msvm_VirtualSystemSettingData\"><PROPERTY NAME=\"InstanceID\" TYPE=\"string\"><VALUE>{0}</VALUE></PROPERTY><PROPERTY NAME=\"ElementName\" TYPE=\"string\"><VALUE>new</VALUE></PROPERTY></INSTANCE>")]
    [InlineData("\uFEFF<INSTANCE CLASSNAME=\"Msvm_VirtualSystemSettingData\"><PROPERTY NAME=\"InstanceID\" TYPE=\"string\" MODIFIED=\"TRUE\"><VALUE>{0}</VALUE></PROPERTY><PROPERTY NAME=\"ElementName\" TYPE=\"string\" MODIFIED=\"TRUE\"><VALUE>new</VALUE></PROPERTY><PROPERTY NAME=\"Caption\" TYPE=\"string\"/></INSTANCE>\0")]
    [InlineData("<CIM CIMVERSION=\"2.0\" DTDVERSION=\"2.0\"><DECLARATION><DECLGROUP><VALUE.OBJECT><INSTANCE CLASSNAME=\"Msvm_VirtualSystemSettingData\"><QUALIFIER NAME=\"dynamic\" TYPE=\"boolean\"><VALUE>TRUE</VALUE></QUALIFIER><PROPERTY NAME=\"__CLASS\" TYPE=\"string\"><VALUE>x</VALUE></PROPERTY><PROPERTY NAME=\"instanceid\" CLASSORIGIN=\"CIM_ManagedElement\" TYPE=\"string\"><VALUE>{0}</VALUE></PROPERTY><PROPERTY NAME=\"ElementName\" TYPE=\"string\"><VALUE>new</VALUE></PROPERTY></INSTANCE></VALUE.OBJECT></DECLGROUP></DECLARATION></CIM>")]
    public async Task All_three_dialects_change_what_they_name_and_nothing_else(string text)
    {
        var id = await NewAsync();
        Assert.Contains(await ModifyTextAsync(text.Replace("{0}", id, StringComparison.Ordinal)), new[] { 0u, 4096u });
        _bench.Wait(5);
        var settings = Assert.Single(await _bench.Client.QueryAsync(Bench.V2, Wql.From(VirtualSystemSettingData.ClassName).Where(VirtualSystemSettingData.InstanceID, id).ToString(), Bench.Stop));
        Assert.Equal(("new", (ushort)5), (settings.Get(VirtualSystemSettingData.ElementName), settings.Find(VirtualSystemSettingData.UserSnapshotType)!.Value));
    }

    [Theory]
    [InlineData("no xml")]
    [InlineData("<INSTANCE CLASSNAME=\"Msvm_VirtualSystemSettingData\"><PROPERTY NAME=\"InstanceID\" TYPE=\"string\"><VALUE>{0}</VALUE>")]
    [InlineData("<INSTANCE CLASSNAME=\"Msvm_MemorySettingData\"><PROPERTY NAME=\"InstanceID\" TYPE=\"string\"><VALUE>{0}</VALUE></PROPERTY></INSTANCE>")]
    [InlineData("<INSTANCE CLASSNAME=\"Msvm_Unknown\"><PROPERTY NAME=\"InstanceID\" TYPE=\"string\"><VALUE>{0}</VALUE></PROPERTY></INSTANCE>")]
    [InlineData("<INSTANCE CLASSNAME=\"Msvm_VirtualSystemSettingData\"><PROPERTY NAME=\"ElementName\" TYPE=\"string\"><VALUE>x</VALUE></PROPERTY></INSTANCE>")]
    [InlineData("<INSTANCE CLASSNAME=\"Msvm_VirtualSystemSettingData\"><PROPERTY NAME=\"InstanceID\" TYPE=\"string\"><VALUE>Microsoft:00000000-0000-0000-0000-000000000000</VALUE></PROPERTY></INSTANCE>")]
    [InlineData("<INSTANCE CLASSNAME=\"Msvm_VirtualSystemSettingData\"><PROPERTY NAME=\"InstanceID\" TYPE=\"string\"><VALUE>{0}</VALUE></PROPERTY><PROPERTY NAME=\"Nonsense\" TYPE=\"string\"><VALUE>x</VALUE></PROPERTY></INSTANCE>")]
    [InlineData("<INSTANCE CLASSNAME=\"Msvm_VirtualSystemSettingData\"><PROPERTY NAME=\"InstanceID\" TYPE=\"string\"><VALUE>{0}</VALUE></PROPERTY><PROPERTY NAME=\"UserSnapshotType\" TYPE=\"uint32\"><VALUE>5</VALUE></PROPERTY></INSTANCE>")]
    [InlineData("<INSTANCE CLASSNAME=\"Msvm_VirtualSystemSettingData\"><PROPERTY NAME=\"InstanceID\" TYPE=\"string\"><VALUE>{0}</VALUE></PROPERTY><PROPERTY NAME=\"Notes\" TYPE=\"string\"><VALUE>one</VALUE></PROPERTY></INSTANCE>")]
    public async Task What_does_not_fit_is_refused(string text) => Assert.Equal(32773u, await ModifyTextAsync(text.Replace("{0}", await NewAsync(), StringComparison.Ordinal)));

    [Fact]
    public async Task A_machine_is_made_of_texts_alone()
    {
        var made = await _bench.RunAsync(await _bench.Vms, VirtualSystemManagementService.DefineSystem(systemSettings: new CimObject(VirtualSystemSettingData.ClassName).With(VirtualSystemSettingData.ElementName, "made").With(VirtualSystemSettingData.VirtualSystemSubType, "Microsoft:Hyper-V:SubType:2")));
        var system = made.Answer.Get(VirtualSystemManagementService.DefineSystemAnswer.ResultingSystem) ?? Assert.Single(await _bench.Jobs.ResultsAsync(made.Job!.Reference, ComputerSystem.ClassName, Bench.Stop)).Reference;
        var settings = await _bench.SettingsAsync(system);
        async Task<CimObject> AddAsync(CimObject resource, string className)
        {
            var before = await _bench.ResourcesAsync(settings, className);
            await _bench.RunAsync(await _bench.Vms, VirtualSystemManagementService.AddResourceSettings(affectedConfiguration: settings.Reference, resourceSettings: [resource]));
            return Assert.Single(await _bench.ResourcesAsync(settings, className), r => before.All(b => !b.Reference.Equals(r.Reference)));
        }
        async Task<CimObject> TemplateAsync(string className, string subType) => Assert.Single((await _bench.Client.QueryAsync(Bench.V2, Wql.From(className).WhereEnds(ResourceAllocationSettingData.InstanceID, @"\Default").Where(ResourceAllocationSettingData.ResourceSubType, subType).ToString(), Bench.Stop)));

        await _bench.RunAsync(await _bench.Ims, ImageManagementService.CreateVirtualHardDisk(new CimObject(VirtualHardDiskSettingData.ClassName).With(VirtualHardDiskSettingData.Type, (ushort)3).With(VirtualHardDiskSettingData.Format, (ushort)3)
            .With(VirtualHardDiskSettingData.Path, HostPath.Join(_bench.Host.DiskFolder, "made.vhdx")).With(VirtualHardDiskSettingData.MaxInternalSize, 1ul << 24)));
        var controller = await AddAsync(await TemplateAsync(ResourceAllocationSettingData.ClassName, "Microsoft:Hyper-V:Synthetic SCSI Controller"), ResourceAllocationSettingData.ClassName);
        var drive = await AddAsync((await TemplateAsync(ResourceAllocationSettingData.ClassName, "Microsoft:Hyper-V:Synthetic Disk Drive")).With(ResourceAllocationSettingData.Parent, controller.Reference.ToString()), ResourceAllocationSettingData.ClassName);
        var image = await TemplateAsync(StorageAllocationSettingData.ClassName, "Microsoft:Hyper-V:Virtual Hard Disk");
        Assert.Equal(32773u, await _bench.AnswerAsync(await _bench.Vms, VirtualSystemManagementService.AddResourceSettings(affectedConfiguration: settings.Reference, resourceSettings: [image])));
        Assert.Equal(32773u, await _bench.AnswerAsync(await _bench.Vms, VirtualSystemManagementService.AddResourceSettings(affectedConfiguration: settings.Reference, resourceSettings: [image.With(StorageAllocationSettingData.Parent, drive.Reference.ToString())])));
        var disk = await AddAsync(image.With(StorageAllocationSettingData.Parent, drive.Reference.ToString()).With(StorageAllocationSettingData.HostResource, [HostPath.Join(_bench.Host.DiskFolder, "made.vhdx")]), StorageAllocationSettingData.ClassName);
        Assert.EndsWith(@"\0\L", disk.Get(StorageAllocationSettingData.InstanceID));
        Assert.Equal("0", drive.Get(ResourceAllocationSettingData.AddressOnParent));
        await _bench.RunAsync(system, ComputerSystem.RequestStateChange(2));
    }

    [Fact]
    public async Task Resources_of_a_running_machine_change_only_where_a_host_lets_them()
    {
        var id = await _bench.MachineAsync(generation: 1, switches: [_bench.Host.AddSwitch("lan")]);
        var settings = await _bench.SettingsAsync(id);
        var memory = Assert.Single(await _bench.ResourcesAsync(settings, MemorySettingData.ClassName));
        Assert.Equal(32775u, await _bench.AnswerAsync(await _bench.Vms, VirtualSystemManagementService.ModifyResourceSettings([memory.With(MemorySettingData.VirtualQuantity, 2048ul)])));
        var connection = Assert.Single(await _bench.ResourcesAsync(settings, EthernetPortAllocationSettingData.ClassName));
        await _bench.ModifyAsync(connection, c => c.With(EthernetPortAllocationSettingData.EnabledState, (ushort)3));
        await _bench.ModifyAsync(settings, s => s.With(VirtualSystemSettingData.Notes, ["tag"]));
        var nic = Assert.Single(await _bench.ResourcesAsync(settings, SyntheticEthernetPortSettingData.ClassName));
        Assert.Equal(32775u, await _bench.AnswerAsync(await _bench.Vms, VirtualSystemManagementService.AddResourceSettings(affectedConfiguration: settings.Reference, resourceSettings: [nic])));
        var drive = Assert.Single(await _bench.ResourcesAsync(settings, StorageAllocationSettingData.ClassName));
        Assert.Equal(32775u, await _bench.AnswerAsync(await _bench.Vms, VirtualSystemManagementService.RemoveResourceSettings([drive.Reference])));
    }

    [Fact]
    public async Task Rules_of_a_port_are_added_changed_listed_and_removed()
    {
        var id = await _bench.MachineAsync(switches: [_bench.Host.AddSwitch("lan")]);
        var connection = Assert.Single(await _bench.ResourcesAsync(await _bench.SettingsAsync(id), EthernetPortAllocationSettingData.ClassName)).Reference;
        var rule = new CimObject(EthernetSwitchPortExtendedAclSettingData.ClassName).With(EthernetSwitchPortExtendedAclSettingData.Direction, (byte)1).With(EthernetSwitchPortExtendedAclSettingData.Action, (byte)2)
            .With(EthernetSwitchPortExtendedAclSettingData.LocalPort, "443").With(EthernetSwitchPortExtendedAclSettingData.Weight, (ushort)10);
        async Task<IReadOnlyList<CimObject>> RulesAsync() => await _bench.Client.AssociatorsAsync(connection, EthernetPortSettingDataComponent.ClassName, EthernetSwitchPortExtendedAclSettingData.ClassName, null, null, Bench.Stop);
        Assert.Equal(32773u, await _bench.AnswerAsync(await _bench.Vms, VirtualSystemManagementService.AddFeatureSettings(affectedConfiguration: connection, featureSettings: [rule.With(EthernetSwitchPortExtendedAclSettingData.Direction, (byte)0)])));
        await _bench.RunAsync(await _bench.Vms, VirtualSystemManagementService.AddFeatureSettings(affectedConfiguration: connection, featureSettings: [rule, rule.With(EthernetSwitchPortExtendedAclSettingData.LocalPort, "80")]));
        var added = await RulesAsync();
        Assert.Equal(["443", "80"], added.Select(r => r.Get(EthernetSwitchPortExtendedAclSettingData.LocalPort)!).Order(StringComparer.Ordinal));
        await _bench.RunAsync(await _bench.Vms, VirtualSystemManagementService.ModifyFeatureSettings([new CimObject(rule.ClassName).With(VirtualSystemSettingData.InstanceID, added[0]["InstanceID"]!.As<string>()).With(EthernetSwitchPortExtendedAclSettingData.Action, (byte)1)]));
        Assert.Single(await RulesAsync(), r => r.Find(EthernetSwitchPortExtendedAclSettingData.Action) == 1);
        await _bench.RunAsync(await _bench.Vms, VirtualSystemManagementService.RemoveFeatureSettings([.. added.Select(a => a.Reference)]));
        Assert.Empty(await RulesAsync());
    }
}
