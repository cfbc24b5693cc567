using WeaveHypervisor.HyperV.Cim;

namespace WeaveHypervisor.HyperV.Simulator;

/// <summary>
/// What neither Microsoft's reference nor a public client proves, and a host must say itself. The defaults are what a driver would like to find; tests take each of them away.
/// </summary>
public sealed record HostBehaviour
{
    /// <summary>A paused machine can be saved.</summary>
    public bool SavesPaused { get; init; } = true;

    /// <summary>A checkpoint of a paused machine can be made.</summary>
    public bool ChecksPaused { get; init; } = true;

    /// <summary>CreateSnapshot asked for a disk snapshot (3) makes a production checkpoint, whatever the machine is set to.</summary>
    public bool HonoursDiskSnapshots { get; init; } = true;

    /// <summary>An .avhdx is taken as the parent of a new disk.</summary>
    public bool TakesAvhdxAsParent { get; init; } = true;

    /// <summary>An export of a checkpoint without disks has the checkpoint's memory.</summary>
    public bool ExportsMemoryOfCheckpoints { get; init; } = true;

    /// <summary>The files of a checkpoint, copied elsewhere, can be imported.</summary>
    public bool ImportsCopiedCheckpoints { get; init; } = true;

    /// <summary>An imported machine resumes from memory on other disk files with the same content; otherwise its start fails.</summary>
    public bool ResumesOnOtherDisks { get; init; } = true;

    /// <summary>An import keeps the BIOS GUID and serial numbers.</summary>
    public bool KeepsBiosGuid { get; init; } = true;

    /// <summary>The management service grants a machine the parents of a disk that is attached to it too.</summary>
    public bool GrantsParents { get; init; } = true;

    /// <summary>An export without disks suspends the merging of that machine's disks.</summary>
    public bool SuspendsMerges { get; init; } = true;

    /// <summary>What a guest writes to a serial port that is a named pipe can be heard there.</summary>
    public bool OpensPipes { get; init; } = true;

    /// <summary>The host's address translation takes more than one internal prefix.</summary>
    public bool TakesSeveralNats { get; init; }
}

/// <summary>What a simulated host is like.</summary>
public sealed record SimulatedHostOptions
{
    public HostProfile Profile { get; init; } = HostProfile.Server23H2;
    public HostBehaviour Behaviour { get; init; } = new();

    /// <summary>The build of Windows, as it names itself.</summary>
    public string Build => Profile == HostProfile.Server2019 ? "17763" : "25398";

    /// <summary>The host's name, as object paths have it.</summary>
    public string Name { get; init; } = "HV1";

    /// <summary>False: the caller is neither an administrator nor a Hyper-V administrator. Enumerations are empty, methods answer access denied.</summary>
    public bool HasRights { get; init; } = true;

    /// <summary>False: the Hyper-V role is not installed, there is no such namespace.</summary>
    public bool HasRole { get; init; } = true;

    /// <summary>False: the feature or edition has no address translation, there are no such classes.</summary>
    public bool HasNat { get; init; } = true;

    /// <summary>How long jobs take by the host's clock.</summary>
    public TimeSpan JobTime { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>Bytes that fit onto the host's volume.</summary>
    public long Capacity { get; init; } = 64L << 30;

    /// <summary>For what a host does now so, now otherwise: whether a short call has a job, which of two codes it refuses with, ids.</summary>
    public int Seed { get; init; } = 1;
}
