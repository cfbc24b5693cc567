using WeaveHypervisor.Model;
using WeaveHypervisor.Weaving.Capture;

namespace WeaveHypervisor.Weaving.Exporting;

internal sealed class ExportPlan : ICaptures
{
    public required EnvironmentId Environment { get; set; }
    /// <summary>The snapshot that is exported; where a weave's now is, the one that this operation takes for it, and removes in the end.</summary>
    public required SnapshotId Snapshot { get; set; }
    public CapturePlan? Capture { get; set; }
    /// <summary>Of this export, part of the names in it.</summary>
    public required string Export { get; set; }
    public required ExportProvider Provider { get; set; }
    /// <summary>The folder that is made, and beside it the one in which it is made: that has the export's id in its name, so that it is nobody else's.</summary>
    public required string Folder { get; set; }
    /// <summary>An empty folder was there before: it is there again after an undo.</summary>
    public bool FolderWasThere { get; set; }
    public string Staging => $"{Folder}.export-{Export}";
    /// <summary>Boxes that are written.</summary>
    public List<ExportedMachine> Machines { get; set; } = [];
    public ExportResult? Result { get; set; }
}

/// <param name="Bytes">Of all files of the folder.</param>
/// <param name="SnapshotKept">False where the snapshot was taken for the export alone and is gone again.</param>
internal sealed record ExportResult(EnvironmentId Environment, WeaveId Weave, SnapshotId Snapshot, bool SnapshotKept, DateTimeOffset At, Consistency Consistency, string Folder, ExportProvider Provider, long Bytes,
    IReadOnlyList<MachineName> Machines, IReadOnlyList<string> NotCarried);
