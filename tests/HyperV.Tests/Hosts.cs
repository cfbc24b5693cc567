using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Inspecting;
using WeaveHypervisor.HyperV.Simulator;
using WeaveHypervisor.HyperV.Tests.Conformance;

namespace WeaveHypervisor.HyperV.Tests;

/// <summary>Hosts that differ in what only a host can tell, each with the record that its self-test would write.</summary>
public static class Hosts
{
    public enum Kind { All, OnlyFiles, OnlySaved, OnlyFlat, Untested, UntestedWithOutage, NoAvhdxParents, Bare }

    private static readonly CapabilityRecord Full = new()
    {
        TestedAt = DateTimeOffset.UnixEpoch, Resumes = [.. Enum.GetValues<CaptureRoute>()], SavesPaused = true, ChecksPaused = true, TakesAvhdxAsParent = true, Production = ProductionRequest.ByType, ExportSuspendsMerges = true, GrantsParents = true, KeepsIdentity = true,
    };

    private static (HostBehaviour Behaviour, CapabilityRecord? Record, bool Outage) Of(Kind kind) => kind switch
    {
        Kind.All => (new(), Full, false),
        Kind.OnlyFiles => (new() { ExportsMemoryOfCheckpoints = false }, Full with { Resumes = [CaptureRoute.Files, CaptureRoute.Flat] }, false),
        Kind.OnlySaved => (new() { ExportsMemoryOfCheckpoints = false, ImportsCopiedCheckpoints = false }, Full with { Resumes = [CaptureRoute.Saved] }, true),
        Kind.OnlyFlat => (new() { ExportsMemoryOfCheckpoints = false, ImportsCopiedCheckpoints = false }, Full with { Resumes = [CaptureRoute.Flat] }, false),
        Kind.NoAvhdxParents => (new() { TakesAvhdxAsParent = false }, Full with { TakesAvhdxAsParent = false }, false),
        Kind.Untested => (new(), null, false),
        Kind.UntestedWithOutage => (new(), null, true),
        _ => (new() { SavesPaused = false, ChecksPaused = false, HonoursDiskSnapshots = false, TakesAvhdxAsParent = false, ExportsMemoryOfCheckpoints = false, ImportsCopiedCheckpoints = false, KeepsBiosGuid = false, GrantsParents = false, SuspendsMerges = false },
            new() { TestedAt = DateTimeOffset.UnixEpoch, Resumes = [CaptureRoute.Saved, CaptureRoute.Flat] }, true),
    };

    internal static CoreBench Core(Kind kind, HostProfile profile = HostProfile.Server23H2, int seed = 1, Func<ICimClient, ICimClient>? client = null)
    {
        var (behaviour, record, outage) = Of(kind);
        return new(new() { Profile = profile, Seed = seed, Behaviour = behaviour }, record, outage, client);
    }

    /// <param name="vagrant">Machines are linked clones of a box, made by Vagrant.</param>
    /// <param name="jobTime">Null: as long as hosts take.</param>
    internal static HyperVBench Driver(Kind kind, HostProfile profile, int seed, bool vagrant = false, bool gateway = true, TimeSpan? jobTime = null)
    {
        var (behaviour, record, outage) = Of(kind);
        var host = new SimulatedHostOptions { Profile = profile, Seed = seed, Behaviour = behaviour };
        return new(host with { JobTime = jobTime ?? host.JobTime }, record, outage, gateway, vagrant);
    }
}
