using WeaveHypervisor.Conformance.Drivers;
using WeaveHypervisor.HyperV.Cim;

namespace WeaveHypervisor.HyperV.Tests.Conformance;

/// <summary>The driver suite on a host that does all that a driver would like to find.</summary>
public sealed class LiveRouteTests : DriverContract
{
    protected override DriverBench NewBench() => Hosts.Driver(Hosts.Kind.All, HostProfile.Server23H2, 3);
}

/// <summary>On a host on which no self-test has run, where machines may not stand still: all disks are copied for their memory.</summary>
public sealed class UntestedHostTests : DriverContract
{
    protected override DriverBench NewBench() => Hosts.Driver(Hosts.Kind.Untested, HostProfile.Server2019, 4);
}

/// <summary>On a host that takes memory of saved machines only, and no .avhdx as a parent.</summary>
public sealed class SavedRouteTests : DriverContract
{
    protected override DriverBench NewBench() => Hosts.Driver(Hosts.Kind.OnlySaved, HostProfile.Server23H2, 5);
}
