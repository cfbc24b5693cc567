using Microsoft.Extensions.Time.Testing;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Cim.Wrappers;
using WeaveHypervisor.HyperV.Inspecting;
using WeaveHypervisor.HyperV.Simulator;

namespace WeaveHypervisor.HyperV.Tests;

public sealed class PreflightTests : IDisposable
{
    private readonly string _root = Directory.CreateTempSubdirectory("wvhv").FullName;

    public void Dispose() => Directory.Delete(_root, recursive: true);

    private SimulatedHost Host(SimulatedHostOptions options) => new(_root, new FakeTimeProvider(), options);

    private static Task<IReadOnlyList<Finding>> RunAsync(SimulatedHost host) => new Preflight(host.Client).RunAsync(TestContext.Current.CancellationToken);

    [Theory]
    [InlineData(HostProfile.Server2019)]
    [InlineData(HostProfile.Server23H2)]
    public async Task A_good_host_has_nothing_against_it(HostProfile profile) => Assert.All(await RunAsync(Host(new() { Profile = profile })), f => Assert.Equal(FindingLevel.Ok, f.Level));

    [Fact]
    public async Task Missing_rights_and_a_missing_role_are_told_apart()
    {
        var rights = Assert.Single(await RunAsync(Host(new() { HasRights = false })));
        var role = Assert.Single(await RunAsync(Host(new() { HasRole = false })));
        Assert.Equal(("rights", "Hyper-V"), (rights.Subject, role.Subject));
        Assert.All([rights, role], f => Assert.True(f is { Level: FindingLevel.Error, NextStep: not null }));
    }

    [Fact]
    public async Task Translation_that_is_missing_or_taken_is_a_warning()
    {
        Assert.Contains(await RunAsync(Host(new() { HasNat = false })), f => f is { Subject: "address translation", Level: FindingLevel.Warning });
        var host = Host(new());
        await host.Client.CreateAsync(@"root\StandardCimv2", new CimObject(NetNat.ClassName).With(NetNat.Name, "docker").With(NetNat.InternalIPInterfaceAddressPrefix, "172.20.0.0/16"), TestContext.Current.CancellationToken);
        Assert.Contains(await RunAsync(host), f => f.Level == FindingLevel.Warning && f.Text.Contains("'docker' (172.20.0.0/16)", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_host_that_does_not_answer_is_a_finding()
    {
        var host = Host(new());
        host.RestartService(TimeSpan.FromMinutes(1));
        Assert.Equal(FindingLevel.Error, Assert.Single(await RunAsync(host)).Level);
    }

    [Fact]
    public void Every_kind_of_error_has_its_fault()
    {
        foreach (var kind in Enum.GetValues<HostErrorKind>()) Assert.True(Enum.IsDefined(HyperVFaults.FaultOf(kind)));
    }
}
