using System.Text.Json.Serialization;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;
using WeaveHypervisor.Weaving.Capture;

namespace WeaveHypervisor.Weaving.Volumes;

/// <summary>One sync inside an operation: what is asked, what was chosen before any effect, what came out.</summary>
internal sealed class SyncPlan : ICaptures
{
    public required EnvironmentId Environment { get; set; }
    /// <summary>Null where an earlier sync is taken back.</summary>
    public WeaveId? Source { get; set; }
    public required WeaveId Destination { get; set; }
    public required MachineName Machine { get; set; }
    public required VolumeName Volume { get; set; }
    public SyncStrategy Strategy { get; set; }
    public OnConflict OnConflict { get; set; }
    public bool DryRun { get; set; }
    /// <summary>A machine of the destination that runs is shut down for it, and started again.</summary>
    public bool Stop { get; set; }
    public bool Quiesce { get; set; }
    /// <summary>The sync that is taken back; null for a sync.</summary>
    public OperationId? TakesBack { get; set; }

    /// <summary>The source's instant, of the one volume. Null where nothing is captured.</summary>
    public CapturePlan? Capture { get; set; }
    /// <summary>The frozen layer that the destination is to read as, once the source is captured; what an earlier sync left, where that is taken back.</summary>
    public LayerId? From { get; set; }
    /// <summary>The destination's head when the operation began.</summary>
    public LayerRef? OldHead { get; set; }
    /// <summary>The destination's new head. Null where it reads as it should already.</summary>
    public LayerRef? NewHead { get; set; }
    public SyncMethod Method { get; set; }
    /// <summary>Intent: the volume is being taken from its machine.</summary>
    public bool Freeing { get; set; }
    /// <summary>The machine was shut down for it.</summary>
    public bool Stopped { get; set; }
    /// <summary>What the store said before the switch, for the way back.</summary>
    public List<KeptHead>? KeptBefore { get; set; }
    public SnapshotId? MemoryBefore { get; set; }
    public DateTimeOffset? SwitchedAt { get; set; }

    public DifferenceTotals? Found { get; set; }
    /// <summary>Bytes of guest content that go, or would go, into the new head.</summary>
    public long BytesToCopy { get; set; }
    public List<RangeFound> Conflicts { get; set; } = [];
    /// <summary>Found by this process; another one finds them again.</summary>
    [JsonIgnore]
    public List<DiskRange>? ToCopy { get; set; }
    public List<string> Notes { get; set; } = [];
    public string? SourceInstant { get; set; }

    public const string FreeSpace = "Free space there, delete snapshots or weaves that are no longer needed, or forget syncs that need not be taken back with `weave sync --forget OP`.";

    public string VolumeText => $"{Machine}/{Volume}";
    public string DestinationText => $"{Environment}/{Destination}";
    public bool Changes => !DryRun;
}

/// <summary>Overlay: a new head on the source's frozen layer, no data is copied. Copy: a new head on the destination's own, with what differs. None: there was nothing to do.</summary>
public enum SyncMethod { None, Overlay, Copy }

/// <summary>How the destination looks afterwards: like the source, or with the changes of both.</summary>
public enum SyncStrategy { Mirror, Merge }

/// <summary>What a merge does where both sides have changed the same bytes differently.</summary>
public enum OnConflict { Fail, Source, Destination }

/// <summary>Result of a sync.</summary>
/// <param name="SourceInstant">Which instant of the source it is, for people.</param>
/// <param name="BytesCopied">Bytes of guest content in the new layer; with a dry run, that would be.</param>
/// <param name="Kept">The layer that the volume stood on before; null with a dry run, and where nothing was done.</param>
/// <param name="Restarted">The destination's machine was shut down and started again.</param>
/// <param name="Notes">What is to be known besides, a sentence each.</param>
internal sealed record SyncResult(EnvironmentId Environment, WeaveId? SourceWeave, WeaveId DestinationWeave, string Volume, SyncStrategy Strategy, bool DryRun, SyncMethod Method, string? SourceInstant,
    DifferenceTotals? Difference, long BytesCopied, IReadOnlyList<RangeFound> Conflicts, LayerId? Kept, bool Restarted, IReadOnlyList<string> Notes)
{
    public static SyncResult Of(SyncPlan p) => new(p.Environment, p.Source, p.Destination, p.VolumeText, p.Strategy, p.DryRun, p.Method, p.SourceInstant, p.Found, p.BytesToCopy, p.Conflicts,
        p.DryRun || p.NewHead is null ? null : p.OldHead?.Id, p.Stopped, p.Notes);
}

internal sealed class ForgetSyncPlan
{
    public required EnvironmentId Environment { get; set; }
    public required WeaveId Destination { get; set; }
    public required OperationId Sync { get; set; }
    public int LayersRemoved { get; set; }
}

internal sealed record ForgetSyncResult(EnvironmentId Environment, WeaveId DestinationWeave, OperationId Sync, int LayersRemoved);
