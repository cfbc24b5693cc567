using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Cim.Wrappers;

namespace WeaveHypervisor.HyperV.Simulator.Tests;

/// <summary>Queries, associations and references.</summary>
public sealed class QueryTests : IDisposable
{
    private readonly Bench _bench = new();

    public void Dispose() => _bench.Dispose();

    private async Task<IReadOnlyList<CimObject>> QueryAsync(string wql) => await _bench.Client.QueryAsync(Bench.V2, wql, Bench.Stop);

    [Fact]
    public async Task A_backslash_that_is_not_doubled_matches_nothing()
    {
        Assert.NotEmpty(await QueryAsync(@"SELECT * FROM Msvm_ProcessorSettingData WHERE InstanceID LIKE '%\\Default'"));
        Assert.Empty(await QueryAsync(@"SELECT * FROM Msvm_ProcessorSettingData WHERE InstanceID LIKE '%\Default'"));
    }

    [Fact]
    public async Task Quotes_and_patterns_in_names_are_only_text()
    {
        foreach (var name in new[] { "a' OR '1'='1", @"100%_[x]\", "b\"c" })
        {
            var id = _bench.Host.AddMachine("m", []);
            await _bench.ModifyAsync(await _bench.SettingsAsync(id), s => s.With(VirtualSystemSettingData.ElementName, name));
            Assert.Equal(name, Assert.Single(await QueryAsync(Wql.From(ComputerSystem.ClassName).Where(ComputerSystem.ElementName, name).ToString())).Get(ComputerSystem.ElementName));
            Assert.Equal(name, Assert.Single(await QueryAsync(Wql.From(ComputerSystem.ClassName).WhereStarts(ComputerSystem.ElementName, name[..3]).ToString())).Get(ComputerSystem.ElementName));
        }
    }

    [Theory]
    [InlineData("")]
    [InlineData("SELECT * FROM")]
    [InlineData("SELECT * FROM Msvm_ComputerSystem WHERE")]
    [InlineData("SELECT * FROM Msvm_ComputerSystem WHERE Name")]
    [InlineData("SELECT * FROM Msvm_ComputerSystem WHERE Name = 'x")]
    [InlineData("SELECT * FROM Msvm_ComputerSystem WHERE Name = 'x' OR")]
    [InlineData("SELECT * FROM Msvm_ComputerSystem WHERE (Name = 'x'")]
    [InlineData("SELECT * FROM Msvm_ComputerSystem; DROP")]
    [InlineData("DELETE FROM Msvm_ComputerSystem")]
    public async Task What_is_no_query_is_refused(string wql) => Assert.Equal(CimStatus.InvalidQuery, (await Assert.ThrowsAsync<CimException>(() => QueryAsync(wql))).Status);

    [Fact]
    public async Task Conditions_may_be_joined_and_bracketed()
    {
        await _bench.MachineAsync("a");
        await _bench.MachineAsync("b", running: false);
        Assert.Equal(["a"], (await QueryAsync("select ElementName from Msvm_ComputerSystem where (EnabledState = 2 or EnabledState >= 9) and Caption <> 'Hosting Computer System'")).Select(o => o.Get(ComputerSystem.ElementName)!));
        Assert.Equal(["b"], (await QueryAsync("SELECT * FROM Msvm_ComputerSystem WHERE EnabledState != 2 AND ElementName IS NOT NULL AND Caption LIKE 'Virtual[ _]Machine'")).Select(o => o.Get(ComputerSystem.ElementName)!));
    }

    [Fact]
    public async Task The_host_itself_is_among_the_systems_and_templates_are_among_the_settings()
    {
        await _bench.MachineAsync(running: false);
        Assert.Contains(await QueryAsync("SELECT * FROM Msvm_ComputerSystem"), o => o.Get(ComputerSystem.Name) == "HV1");
        Assert.Contains(await QueryAsync("SELECT * FROM Msvm_MemorySettingData"), o => o.Get(MemorySettingData.InstanceID)!.EndsWith(@"\Default", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Names_may_repeat()
    {
        await _bench.MachineAsync("twin", running: false);
        await _bench.MachineAsync("twin", running: false);
        Assert.Equal(2, (await QueryAsync("SELECT * FROM Msvm_ComputerSystem WHERE ElementName = 'TWIN'")).Count);
    }

    [Fact]
    public async Task A_template_is_found_from_its_pool_over_three_associations()
    {
        var pool = Assert.Single(await QueryAsync("SELECT * FROM Msvm_ResourcePool WHERE Primordial = TRUE AND ResourceSubType = 'Microsoft:Hyper-V:Synthetic Ethernet Port'"));
        var capabilities = Assert.Single(await _bench.Client.AssociatorsAsync(pool.Reference, ElementCapabilities.ClassName, AllocationCapabilities.ClassName, null, null, Bench.Stop));
        var templates = await _bench.Client.AssociatorsAsync(capabilities.Reference, SettingsDefineCapabilities.ClassName, null, "GroupComponent", "PartComponent", Bench.Stop);
        Assert.Equal(3, templates.Count);
        Assert.All(templates, t => Assert.Equal(SyntheticEthernetPortSettingData.ClassName, t.ClassName));
        Assert.Empty(await _bench.Client.AssociatorsAsync(capabilities.Reference, SettingsDefineCapabilities.ClassName, null, "PartComponent", null, Bench.Stop));
    }

    [Fact]
    public async Task Associations_honour_base_classes()
    {
        var id = await _bench.MachineAsync(running: false);
        var settings = await _bench.SettingsAsync(id);
        Assert.Equal(settings.Reference, Assert.Single(await _bench.Client.AssociatorsAsync(_bench.System(id), "CIM_SettingsDefineState", "CIM_VirtualSystemSettingData", null, null, Bench.Stop)).Reference);
        Assert.True((await _bench.ResourcesAsync(settings, "CIM_ResourceAllocationSettingData")).Count >= 5);
        Assert.Empty(await _bench.Client.AssociatorsAsync(_bench.System(id), SnapshotOfVirtualSystem.ClassName, null, null, null, Bench.Stop));
    }

    [Fact]
    public async Task An_association_that_is_none_is_refused() =>
        Assert.Equal(CimStatus.InvalidParameter, (await Assert.ThrowsAsync<CimException>(async () => await _bench.Client.AssociatorsAsync(await _bench.Vms, ComputerSystem.ClassName, null, null, null, Bench.Stop))).Status);

    [Fact]
    public async Task Planned_machines_are_in_a_class_of_their_own_and_have_state_settings_too()
    {
        var id = await _bench.MachineAsync(running: false);
        await _bench.ExportAsync(id, @"D:\e", 1);
        var planned = await _bench.ImportAsync(HostPath.Join(@"D:\e\Virtual Machines", id.ToString().ToUpperInvariant() + ".vmcx"));
        Assert.Single(await QueryAsync("SELECT * FROM Msvm_ComputerSystem WHERE Caption = 'Virtual Machine'"));
        Assert.Equal("Microsoft:Hyper-V:System:Planned", (await _bench.SettingsAsync(planned.Reference)).Get(VirtualSystemSettingData.VirtualSystemType));
        Assert.Equal(2, (await QueryAsync("SELECT * FROM Msvm_VirtualSystemSettingData WHERE VirtualSystemType LIKE 'Microsoft:Hyper-V:System:%'")).Count);
    }
}
