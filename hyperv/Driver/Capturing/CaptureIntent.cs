using System.Text.Json.Serialization;
using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.HyperV.Capturing;

/// <summary>How machines were before a capture touched them.</summary>
internal sealed record CaptureIntent(IReadOnlyList<MemberBefore> Members);

/// <param name="Machine">Hyper-V's id.</param>
/// <param name="Ran">It ran, and has to afterwards.</param>
/// <param name="SnapshotType">The kind of checkpoint that the user has chosen for it (UserSnapshotType).</param>
internal sealed record MemberBefore(Guid Machine, bool Ran, ushort SnapshotType);

[JsonSerializable(typeof(CaptureIntent))]
internal sealed partial class CaptureJson : JsonSerializerContext;

/// <summary>Keeps intents of captures as <c>{Root}\work\{snapshot}\capture.json</c>: there as long as something may have to be put back.</summary>
internal sealed class CaptureIntents(DriverContext context)
{
    public string FolderOf(SnapshotId snapshot) => HostPath.Join(context.Paths.Work, snapshot.Text);

    private string FileOf(SnapshotId snapshot) => HostPath.Join(FolderOf(snapshot), "capture.json");

    public Task WriteAsync(SnapshotId snapshot, CaptureIntent intent, CancellationToken stop) => context.Files.WriteRecordAsync(FileOf(snapshot), intent, CaptureJson.Default.CaptureIntent, stop);

    /// <summary>Null where nothing was touched yet, or all was put back.</summary>
    public Task<CaptureIntent?> ReadAsync(SnapshotId snapshot, CancellationToken stop) => context.Files.ReadIntentAsync(FileOf(snapshot), CaptureJson.Default.CaptureIntent, stop);

    /// <summary>With all that was exported on the way.</summary>
    public Task RemoveAsync(SnapshotId snapshot, CancellationToken stop) => context.Files.DeleteAsync(FolderOf(snapshot), stop);
}
