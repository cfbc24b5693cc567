using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Cim.Wrappers;
using WeaveHypervisor.HyperV.Machines;
using WeaveHypervisor.HyperV.Simulator;

namespace WeaveHypervisor.HyperV.Tests;

/// <summary>Security groups of Hyper-V are rules of ports: a copy keeps to those of its own time, however it was made.</summary>
public sealed class PortRuleTests
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private static CimObject Rule(string name, ushort weight, string port) => new CimObject(EthernetSwitchPortExtendedAclSettingData.ClassName)
        .With(EthernetSwitchPortExtendedAclSettingData.Name, name).With(EthernetSwitchPortExtendedAclSettingData.Direction, (byte)1).With(EthernetSwitchPortExtendedAclSettingData.Action, (byte)2)
        .With(EthernetSwitchPortExtendedAclSettingData.LocalPort, port).With(EthernetSwitchPortExtendedAclSettingData.Protocol, "6").With(EthernetSwitchPortExtendedAclSettingData.Weight, weight);

    private static async Task<CimPath> PortAsync(CoreBench bench, Guid machine) =>
        (await bench.Context.Machines.ReadAsync((await bench.Context.Machines.FindAsync(machine, Stop))!.Settings, Stop)).Nics.Single().Connection!.Reference;

    /// <summary>What an administrator does with Add-VMNetworkAdapterExtendedAcl and its like.</summary>
    private static async Task DoAsync(CoreBench bench, CimCall call) => await bench.Context.Jobs.RunAsync(await bench.Context.Services.SystemsAsync(Stop), call, TimeSpan.FromMinutes(1), Stop);

    private static async Task<IReadOnlyList<string>> RulesAsync(CoreBench bench, Guid machine)
    {
        var found = await bench.Host.Client.AssociatorsAsync(await PortAsync(bench, machine), EthernetPortSettingDataComponent.ClassName, null, null, null, Stop);
        return [.. found.Select(r => r.ClassName == EthernetSwitchPortExtendedAclSettingData.ClassName ? $"{r.Get(EthernetSwitchPortExtendedAclSettingData.Name)} {r.Find(EthernetSwitchPortExtendedAclSettingData.Weight)} {r.Get(EthernetSwitchPortExtendedAclSettingData.LocalPort)}" : r.ClassName).Order(StringComparer.Ordinal)];
    }

    [Theory]
    [InlineData(Hosts.Kind.All, true)]
    [InlineData(Hosts.Kind.All, false)]
    [InlineData(Hosts.Kind.OnlySaved, true)]
    [InlineData(Hosts.Kind.OnlyFlat, true)]
    [InlineData(Hosts.Kind.Bare, false)]
    public async Task A_copys_port_has_the_rules_that_the_originals_had_at_the_instant(Hosts.Kind kind, bool memory)
    {
        using var bench = Hosts.Core(kind);
        await bench.AdoptAsync(2);
        var port = await PortAsync(bench, bench[0]);
        var guard = new CimObject(EthernetSwitchPortSecuritySettingData.ClassName).With(EthernetSwitchPortSecuritySettingData.EnableRouterGuard, true);
        await DoAsync(bench, VirtualSystemManagementService.AddFeatureSettings(port, [Rule("no-ssh", 10, "22"), Rule("no-smtp", 11, "25"), guard]));
        await bench.ExamineAsync();
        var (request, result) = await bench.CaptureAsync(memory);

        // Today's rules are others.
        var then = await bench.Host.Client.AssociatorsAsync(port, EthernetPortSettingDataComponent.ClassName, null, null, null, Stop);
        await DoAsync(bench, VirtualSystemManagementService.RemoveFeatureSettings([.. then.Select(t => t.Reference)]));
        await DoAsync(bench, VirtualSystemManagementService.AddFeatureSettings(port, [Rule("no-web", 12, "80")]));

        var copies = await bench.PlanCopyAsync(request, result, memory);
        await bench.Parts.Starter.RunAsync(copies, null, Stop);
        Assert.Equal([EthernetSwitchPortSecuritySettingData.ClassName, "no-smtp 11 25", "no-ssh 10 22"], await RulesAsync(bench, await bench.IdOfAsync(copies.Machines[0].Machine)));
        Assert.Empty(await RulesAsync(bench, await bench.IdOfAsync(copies.Machines[1].Machine)));
        Assert.Equal(["no-web 12 80"], await RulesAsync(bench, bench[0]));
    }

    [Theory]
    [InlineData(CallFault.RefusedBefore)]
    [InlineData(CallFault.LostBefore)]
    [InlineData(CallFault.LostAfter)]
    public async Task A_copy_that_may_not_have_its_rules_is_not_started(CallFault fault)
    {
        using var bench = Hosts.Core(Hosts.Kind.All);
        await bench.AdoptAsync(1);
        await DoAsync(bench, VirtualSystemManagementService.AddFeatureSettings(await PortAsync(bench, bench[0]), [Rule("no-ssh", 10, "22")]));
        await bench.ExamineAsync();
        var (request, result) = await bench.CaptureAsync(memory: false);
        var copies = await bench.PlanCopyAsync(request, result, memory: false);
        await Stand.OnceAsync(bench.Host, "AddFeatureSettings", 1, fault, () => bench.Parts.Starter.RunAsync(copies, null, Stop));
        Assert.Single(bench.Host.MachineNames());
        await bench.Parts.Starter.RunAsync(copies, null, Stop);
        Assert.Equal(["no-ssh 10 22"], await RulesAsync(bench, await bench.IdOfAsync(copies.Machines[0].Machine)));
    }
}
