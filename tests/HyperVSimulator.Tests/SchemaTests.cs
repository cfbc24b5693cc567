using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Cim.Wrappers;

namespace WeaveHypervisor.HyperV.Simulator.Tests;

/// <summary>What is not in the schema does not get through, and what gets out is in the schema.</summary>
public sealed class SchemaTests : IDisposable
{
    private readonly Bench _bench = new();
    private static readonly CimPath Nobody = CimPath.To(null, Bench.V2, ComputerSystem.ClassName, ("CreationClassName", ComputerSystem.ClassName), ("Name", Guid.Empty.ToString()));

    public void Dispose() => _bench.Dispose();

    private static async Task StatusAsync(CimStatus status, Func<Task> call) => Assert.Equal(status, (await Assert.ThrowsAsync<CimException>(call)).Status);

    [Fact]
    public Task An_unknown_namespace_is_refused() => StatusAsync(CimStatus.InvalidNamespace, () => _bench.Client.QueryAsync(@"root\virtualization", "SELECT * FROM Msvm_ComputerSystem", Bench.Stop));

    [Fact]
    public Task An_unknown_class_is_refused() => StatusAsync(CimStatus.InvalidClass, () => _bench.Client.QueryAsync(Bench.V2, "SELECT * FROM Msvm_VirtualSystemManagementServiceCapabilities", Bench.Stop));

    [Fact]
    public Task A_class_of_another_namespace_is_refused() => StatusAsync(CimStatus.InvalidClass, () => _bench.Client.QueryAsync(Bench.V2, "SELECT * FROM MSFT_NetNat", Bench.Stop));

    [Fact]
    public Task An_unknown_property_in_a_query_is_refused() => StatusAsync(CimStatus.InvalidQuery, () => _bench.Client.QueryAsync(Bench.V2, "SELECT * FROM Msvm_ComputerSystem WHERE Nam = 'x'", Bench.Stop));

    [Fact]
    public Task An_unknown_method_is_refused() => StatusAsync(CimStatus.MethodNotFound, async () => await _bench.Client.InvokeAsync(await _bench.Vms, CimCall.Of("DefineMachine"), Bench.Stop));

    [Fact]
    public Task An_unknown_parameter_is_refused() => StatusAsync(CimStatus.InvalidParameter, async () => await _bench.Client.InvokeAsync(await _bench.Sns, CimCall.Of("CreateSnapshot", ("System", Nobody)), Bench.Stop));

    [Theory]
    [InlineData(2)]
    [InlineData(2u)]
    [InlineData("2")]
    [InlineData(true)]
    public async Task A_parameter_that_is_nearly_of_its_type_is_refused(object value)
    {
        var id = await _bench.MachineAsync(running: false);
        await StatusAsync(CimStatus.InvalidParameter, () => _bench.Client.InvokeAsync(_bench.System(id), CimCall.Of("RequestStateChange", ("RequestedState", value)), Bench.Stop));
    }

    [Fact]
    public async Task A_reference_to_another_class_is_refused() =>
        await StatusAsync(CimStatus.InvalidParameter, async () => await _bench.Client.InvokeAsync(await _bench.Sns, VirtualSystemSnapshotService.ApplySnapshot(snapshot: Nobody), Bench.Stop));

    [Fact]
    public Task An_object_that_is_not_there_is_not_found() => StatusAsync(CimStatus.NotFound, () => _bench.Client.GetAsync(Nobody, Bench.Stop));

    [Fact]
    public Task A_path_without_all_keys_is_refused() =>
        StatusAsync(CimStatus.InvalidParameter, () => _bench.Client.GetAsync(CimPath.To(null, Bench.V2, ComputerSystem.ClassName, ("Name", "x")), Bench.Stop));

    [Fact]
    public async Task Keys_are_found_without_case_and_with_any_spelling_of_the_host()
    {
        var id = await _bench.MachineAsync(running: false);
        Assert.Equal("web", (await _bench.Client.GetAsync(CimPath.Parse($@"\\.\ROOT\virtualization\v2:msvm_computersystem.NAME=""{id.ToString().ToLowerInvariant()}"",creationclassname=""MSVM_COMPUTERSYSTEM"""), Bench.Stop)).Get(ComputerSystem.ElementName));
    }

    [Theory]
    [InlineData(HostProfile.Server2019, false)]
    [InlineData(HostProfile.Server23H2, true)]
    public async Task What_a_build_does_not_know_is_refused_by_it(HostProfile profile, bool known)
    {
        using var bench = new Bench(new() { Profile = profile });
        var id = await bench.MachineAsync(running: false);
        var settings = (await bench.SettingsAsync(id)).Get(VirtualSystemSettingData.InstanceID);
        var change = new CimObject(VirtualSystemSettingData.ClassName).With(VirtualSystemSettingData.InstanceID, settings).With(VirtualSystemSettingData.WatchdogEnabled, true);
        if (known) await bench.RunAsync(await bench.Vms, VirtualSystemManagementService.ModifySystemSettings(change));
        else Assert.Equal(32773u, await bench.AnswerAsync(await bench.Vms, VirtualSystemManagementService.ModifySystemSettings(change)));
        var call = bench.Client.InvokeAsync(bench.System(id), ComputerSystem.InjectNonMaskableInterruptEx(), Bench.Stop);
        if (known) Assert.Equal(32770u, (await call).ReturnValue);
        else await StatusAsync(CimStatus.MethodNotFound, () => call);
    }

    [Theory]
    [InlineData(HostProfile.Server2019)]
    [InlineData(HostProfile.Server23H2)]
    public async Task Everything_that_a_host_shows_is_in_its_schema(HostProfile profile)
    {
        using var bench = new Bench(new() { Profile = profile });
        var id = await bench.MachineAsync(switches: [bench.Host.AddSwitch("lan"), bench.Host.AddSwitch("out", isInternal: true)]);
        await bench.CheckAsync(id);
        var schema = CimSchema.Of(profile);
        var seen = 0;
        foreach (var type in schema.Classes.Where(c => !c.IsAssociation))
            foreach (var o in await bench.Client.QueryAsync(type.Namespace, $"SELECT * FROM {type.Name}", Bench.Stop))
            {
                seen++;
                var own = schema.Find(o.ClassName)!;
                Assert.True(own.Is(type.Name));
                Assert.All(o.Properties, p => Assert.Equal((own.Properties[p.Key].Kind, own.Properties[p.Key].IsArray), (p.Value.Kind, p.Value.IsArray)));
                Assert.Equal(own.Keys.Order(StringComparer.OrdinalIgnoreCase), o.Reference.Keys.Select(k => k.Key));
                Assert.Equal(o.Reference, (await bench.Client.GetAsync(o.Reference, Bench.Stop)).Reference);
            }
        Assert.True(seen > 100);
    }

    [Fact]
    public async Task Without_rights_enumerations_are_empty_and_methods_are_refused()
    {
        var id = await _bench.MachineAsync(running: false);
        var service = await _bench.Vms;
        using var other = new Bench(new() { HasRights = false });
        Assert.Empty(await other.Client.QueryAsync(Bench.V2, "SELECT * FROM Msvm_ComputerSystem", Bench.Stop));
        Assert.Empty(await other.Client.QueryAsync(Bench.V2, "SELECT * FROM Msvm_VirtualSystemManagementService", Bench.Stop));
        Assert.Equal(32769u, await other.AnswerAsync(service, VirtualSystemManagementService.DestroySystem(affectedSystem: _bench.System(id))));
    }

    [Fact]
    public async Task Without_the_role_there_is_no_namespace()
    {
        using var other = new Bench(new() { HasRole = false });
        await StatusAsync(CimStatus.InvalidNamespace, () => other.Client.QueryAsync(Bench.V2, "SELECT * FROM Msvm_ComputerSystem", Bench.Stop));
    }
}
