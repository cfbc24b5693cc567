using System.Text.Json.Serialization;
using WeaveHypervisor.HyperV.SelfTest;

namespace WeaveHypervisor.HyperV.Inspecting;

/// <summary>How a machine's memory of one instant becomes files that copies resume from.</summary>
public enum CaptureRoute
{
    /// <summary>The saved machine is exported without its disks (A): it stands still while its memory is written and read.</summary>
    Saved,
    /// <summary>A checkpoint is exported without disks while the machine runs (B).</summary>
    Live,
    /// <summary>The files of a checkpoint are copied (D).</summary>
    Files,
    /// <summary>A checkpoint is exported with its disks, which are copied whole (E).</summary>
    Flat,
}

/// <summary>How a checkpoint of quiesced disks without memory is asked for.</summary>
public enum ProductionRequest
{
    /// <summary>The machine is set to production checkpoints before an ordinary one is made.</summary>
    BySetting,
    /// <summary>Disk snapshots (type 3) are quiesced, whatever the machine is set to.</summary>
    ByType,
}

/// <summary>
/// What neither documentation nor code proves, and a host was found to do by its self-test. Until that has run nothing is taken for granted (<see cref="Untested"/>).
/// </summary>
public sealed record CapabilityRecord
{
    /// <summary>Of this document.</summary>
    public const int CurrentSchema = 1;
    // The first schema is 1: what says nothing is of that, also when there is a newer one.
    public int Schema { get; init => field = value == 0 ? 1 : value; } = CurrentSchema;

    /// <summary>When the self-test ran; null: it did not.</summary>
    public DateTimeOffset? TestedAt { get; init; }

    /// <summary>The host's build that it ran on ("20348"); another one needs another test. Empty where nobody asked.</summary>
    public string Build { get; init => field = value ?? ""; } = "";

    /// <summary>Routes by which a copy was seen to resume from memory on other disks.</summary>
    public IReadOnlyList<CaptureRoute> Resumes { get; init => field = value ?? []; } = [];

    /// <summary>
    /// Those of <see cref="Resumes"/> by which a guest was heard to go on with a counter that it has in memory alone. That the others resume rests on what the host says: EnabledState 6 after the import, JobType 15 of the start.
    /// </summary>
    public IReadOnlyList<CaptureRoute> Proven { get; init => field = value ?? []; } = [];

    /// <summary>A paused machine can be saved.</summary>
    public bool SavesPaused { get; init; }

    /// <summary>Checkpoints of paused machines can be made.</summary>
    public bool ChecksPaused { get; init; }

    /// <summary>An .avhdx can be the parent of a new disk; otherwise its second name, which ends in .vhdx, is used.</summary>
    public bool TakesAvhdxAsParent { get; init; }

    public ProductionRequest Production { get; init; } = ProductionRequest.BySetting;

    /// <summary>An export without disks suspends the merging of the machine's disks.</summary>
    public bool ExportSuspendsMerges { get; init; }

    /// <summary>The host grants a machine the parents of a disk, too, that is attached to it.</summary>
    public bool GrantsParents { get; init; }

    /// <summary>An import keeps the BIOS GUID and serial numbers of a machine; otherwise they are put back.</summary>
    public bool KeepsIdentity { get; init; }

    /// <summary>All that was asked, in its order, with what was seen: for people. Nothing is decided by it.</summary>
    public IReadOnlyList<TrialAnswer> Answers { get; init => field = value ?? []; } = [];

    /// <summary>All routes, the one that costs least first.</summary>
    public static IReadOnlyList<CaptureRoute> Preferred { get; } = [CaptureRoute.Live, CaptureRoute.Files, CaptureRoute.Saved, CaptureRoute.Flat];

    /// <summary>What is known of a host that was not tested: nothing.</summary>
    public static CapabilityRecord Untested { get; } = new();

    /// <summary>
    /// The route for memory: the first of <see cref="Preferred"/> that is proven, Saved only where machines may stand still. Without a test: Saved where machines may stand still, else Flat, which are documented.
    /// Null where a test has proven none that may be used: then memory is not captured.
    /// </summary>
    public CaptureRoute? Route(bool outageAllowed)
    {
        if (TestedAt is null) return outageAllowed ? CaptureRoute.Saved : CaptureRoute.Flat;
        foreach (var route in Preferred)
            if (Resumes.Contains(route) && (route != CaptureRoute.Saved || outageAllowed)) return route;
        return null;
    }
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, WriteIndented = true, UseStringEnumConverter = true)]
[JsonSerializable(typeof(CapabilityRecord))]
internal sealed partial class CapabilityJson : JsonSerializerContext;
