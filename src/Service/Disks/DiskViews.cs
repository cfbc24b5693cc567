using System.Text.Json.Serialization;

namespace WeaveHypervisor.Service.Disks;

/// <summary>What `weave disk … --json` writes: stable names.</summary>
internal sealed record DiskInfoView(string File, string Format, long Capacity, bool Readable, IReadOnlyList<DiskLayerView> Layers);

internal sealed record DiskLayerView(int Depth, string File, string Format, long Capacity, long FileLength, long AllocatedBytes, IReadOnlyDictionary<string, string> Features,
    IReadOnlyList<DiskSnapshotView> Snapshots, IReadOnlyList<DiskBitmapView> Bitmaps, IReadOnlyList<string> Warnings);

internal sealed record DiskSnapshotView(string Id, string Name, DateTimeOffset Time, long StateBytes);

internal sealed record DiskBitmapView(string Name, long Granularity, bool Recording, bool InUse);

internal sealed record DiskCheckView(string File, bool Ok, long Errors, long Leaks, IReadOnlyList<DiskLayerCheckView> Layers);

internal sealed record DiskLayerCheckView(int Depth, string File, string Format, bool Checked, long Errors, long Leaks, long TotalClusters, long AllocatedClusters, long CompressedClusters, long FragmentedClusters, long ImageEnd,
    IReadOnlyList<DiskFindingView> Findings);

internal sealed record DiskFindingView(string Kind, string Structure, long? Offset, string Text);

/// <param name="CommonLayer">Null: the disks have none, and all of both was compared.</param>
/// <param name="Ranges">Not there with --summary.</param>
internal sealed record DiskDiffView(string Left, string Right, bool Equal, long LeftCapacity, long RightCapacity, string? CommonLayer, long LeftOnlyBytes, long RightOnlyBytes, long BothBytes, long RangeCount,
    long ComparedBytes, long BytesRead, [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] IReadOnlyList<DiskRangeView>? Ranges);

/// <param name="Side">left, right or both.</param>
internal sealed record DiskRangeView(long Offset, long Length, string Side);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, WriteIndented = true)]
[JsonSerializable(typeof(DiskInfoView))]
[JsonSerializable(typeof(DiskCheckView))]
[JsonSerializable(typeof(DiskDiffView))]
internal sealed partial class DiskJson : JsonSerializerContext;
