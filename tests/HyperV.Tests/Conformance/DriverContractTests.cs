using WeaveHypervisor.Conformance.Drivers;
using WeaveHypervisor.HyperV.Cim;

namespace WeaveHypervisor.HyperV.Tests.Conformance;

/// <summary>
/// The driver suite on hosts of both builds with each of four records (all routes to memory; only that of saved machines; only that with all disks; no .avhdx as a parent), and on one that was never tried: a class for each.
/// The usual run takes each record once, by turns of the build; the other classes are skipped, each test with its reason, unless WEAVE_TESTS=full.
/// </summary>
/// <param name="usual">Part of the usual run.</param>
/// <param name="vagrant">Machines were made by Vagrant: their disks stand on the image of a box.</param>
public abstract class DriverContractOn(Hosts.Kind kind, HostProfile profile, int seed, bool usual, bool vagrant = false) : DriverContract
{
    protected override DriverBench NewBench()
    {
        Assert.SkipUnless(usual || Environment.GetEnvironmentVariable("WEAVE_TESTS") == "full", $"The host {kind} of {profile} is tried with WEAVE_TESTS=full.");
        return Hosts.Driver(kind, profile, seed, vagrant);
    }
}

/// <summary>On a host that does all that a driver would like to find.</summary>
public sealed class AllRoutes23H2Tests() : DriverContractOn(Hosts.Kind.All, HostProfile.Server23H2, 3, usual: true);

/// <inheritdoc cref="AllRoutes23H2Tests"/>
public sealed class AllRoutes2019Tests() : DriverContractOn(Hosts.Kind.All, HostProfile.Server2019, 6, usual: false, vagrant: true);

/// <summary>On a host that takes memory of saved machines only (route A), where machines may stand still.</summary>
public sealed class OnlySaved23H2Tests() : DriverContractOn(Hosts.Kind.OnlySaved, HostProfile.Server23H2, 5, usual: false);

/// <inheritdoc cref="OnlySaved23H2Tests"/>
public sealed class OnlySaved2019Tests() : DriverContractOn(Hosts.Kind.OnlySaved, HostProfile.Server2019, 7, usual: true, vagrant: true);

/// <summary>On a host of whose memory nothing comes but with all disks (route E).</summary>
public sealed class OnlyFlat23H2Tests() : DriverContractOn(Hosts.Kind.OnlyFlat, HostProfile.Server23H2, 8, usual: true);

/// <inheritdoc cref="OnlyFlat23H2Tests"/>
public sealed class OnlyFlat2019Tests() : DriverContractOn(Hosts.Kind.OnlyFlat, HostProfile.Server2019, 9, usual: false);

/// <summary>On a host that takes no .avhdx as the parent of a new disk.</summary>
public sealed class NoAvhdxParents23H2Tests() : DriverContractOn(Hosts.Kind.NoAvhdxParents, HostProfile.Server23H2, 10, usual: false);

/// <inheritdoc cref="NoAvhdxParents23H2Tests"/>
public sealed class NoAvhdxParents2019Tests() : DriverContractOn(Hosts.Kind.NoAvhdxParents, HostProfile.Server2019, 11, usual: true);

/// <summary>On a host on which no self-test has run, where machines may not stand still: all disks are copied for their memory.</summary>
public sealed class Untested2019Tests() : DriverContractOn(Hosts.Kind.Untested, HostProfile.Server2019, 4, usual: false);
