using System.Text.Json.Serialization;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;
using WeaveHypervisor.Weaving.Capture;

namespace WeaveHypervisor.Weaving.Branching;

internal sealed class CreatePlan : ICaptures
{
    public required EnvironmentId Environment { get; set; }
    public required WeaveId Weave { get; set; }
    public required FenceTag Tag { get; set; }
    /// <summary>The snapshot to start from; where the weave is made from now, the one that this operation takes first.</summary>
    public required SnapshotId Snapshot { get; set; }
    public CapturePlan? Capture { get; set; }
    public StartMode Start { get; set; }
    public UplinkMode Uplink { get; set; }
    public required DateTimeOffset CreatedAt { get; set; }
    public DateTimeOffset? ExpiresAt { get; set; }
    /// <summary>The weave is made to verify its snapshot, and only for that.</summary>
    public bool Verifies { get; set; }
    public RulesOf RulesOf { get; set; }
    /// <summary>The rules that the weave begins with, where they are not those of its snapshot: chosen once, when it is reserved.</summary>
    public EnvironmentRules? Rules { get; set; }
    /// <summary>Prefix of the copies' names is the driver's; ours is what follows.</summary>
    public List<PlannedMachine> Machines { get; set; } = [];
    /// <summary>Copies may have run already. Told by the journal where a process before this one began the step.</summary>
    public bool StartTried { get; set; }
    /// <summary>What the hypervisor answered when it did not start the copies; no other failure is here. Of this process only.</summary>
    [JsonIgnore]
    public WeaveException? Refusal { get; set; }
    public CreateResult? Result { get; set; }
}

/// <summary>A copy with all its ids, chosen before anything is made.</summary>
internal sealed record PlannedMachine(MachineName Name, string HypervisorName, Guid Uuid, IReadOnlyList<PlannedLayer> Layers)
{
    public IReadOnlyList<PlannedState> States { get; init => field = value ?? []; } = [];
}

/// <param name="From">The captured file that it begins as; null: the hypervisor makes a fresh one.</param>
internal sealed record PlannedState(StateKind Kind, string Path, StateFile? From);

internal sealed record PlannedLayer(VolumeName Volume, LayerId Parent, LayerRef Layer);

/// <param name="At">The instant that the weave continues.</param>
internal sealed record CreateResult(EnvironmentId Environment, WeaveId Weave, SnapshotId Snapshot, DateTimeOffset At, IReadOnlyList<CreatedMachine> Machines, IReadOnlyList<MachineAddress> Addresses);

/// <param name="Method">How it was started: "shared", "whole", "boot", "kept", "off", or "none".</param>
internal sealed record CreatedMachine(MachineName Name, RunState RunState, string Method, string? Reason, double CreateMs, double LoadMs, double ResumeMs);
