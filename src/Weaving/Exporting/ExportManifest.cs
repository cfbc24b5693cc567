using System.Text.Json;
using System.Text.Json.Serialization;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Weaving.Exporting;

/// <summary>
/// `weave-export.json`, the description of an exported folder: all that an import needs, and what could not be carried. Members are only ever added within a <see cref="Format"/>;
/// a reader refuses any other. Of where the machines came from it says one thing: the folder of the Vagrantfile that made them, where that is known.
/// </summary>
internal sealed record ExportManifest
{
    public const string FileName = "weave-export.json", CurrentFormat = "weave-export/1";
    /// <summary>What a reader takes at most.</summary>
    public const int MaxBytes = 4 << 20;

    public required string Format { get; init; }
    /// <summary>Eight hexadecimal digits: part of the names of boxes, which must differ between exports, because Vagrant never loads a name again that it knows.</summary>
    public required string Id { get; init; }
    public required ExportProvider Provider { get; init; }
    public required DateTimeOffset CreatedAt { get; init; }
    public required EnvironmentId Environment { get; init; }
    public required WeaveId Weave { get; init; }
    public required SnapshotId Snapshot { get; init; }
    public string? Label { get; init; }
    /// <summary>The instant of which it is, UTC.</summary>
    public required DateTimeOffset At { get; init; }
    /// <summary>What the disks are worth: memory is not carried, so never more than <see cref="Consistency.Filesystem"/>.</summary>
    public required Consistency Consistency { get; init; }
    public required IReadOnlyList<ExportedMachine> Machines { get; init; }
    public required IReadOnlyList<NetworkBlueprint> Networks { get; init; }
    /// <summary>For people, a sentence each without a full stop.</summary>
    public required IReadOnlyList<string> NotCarried { get; init; }
    /// <summary>The other files of the folder.</summary>
    public IReadOnlyList<ExportedFile> Files { get; init => field = value ?? []; } = [];

    /// <summary>First part of the names that the Vagrantfile gives on its host.</summary>
    [JsonIgnore]
    public string Prefix => $"{Environment}-{Id}";

    public string ToJson() => JsonSerializer.Serialize(this, ExportJson.Default.ExportManifest) + "\n";
}

/// <summary>For which of Vagrant's providers.</summary>
internal enum ExportProvider { Libvirt, Hyperv }

internal sealed record ExportedMachine
{
    public required MachineName Name { get; init; }
    public required long MemoryBytes { get; init; }
    public required int VirtualCpus { get; init; }
    public FirmwareKind Firmware { get; init; }
    public string? Chipset { get; init; }
    public required ExportedFile Box { get; init; }
    /// <summary>In the order of the box; the machine boots from the first.</summary>
    public required IReadOnlyList<ExportedVolume> Volumes { get; init; }
    public required IReadOnlyList<NicShape> Nics { get; init; }
    /// <summary>The folder of the Vagrantfile that made it; where <see cref="Key"/> is null its key is looked for there.</summary>
    public string? VagrantFolder { get; init; }
    /// <summary>The private key by which Vagrant logs in to it; null where none was found.</summary>
    public ExportedFile? Key { get; init; }
}

/// <param name="Image">The image's name within the box.</param>
internal sealed record ExportedVolume(VolumeName Name, string Target, string Bus, long VirtualSize, string Image, long Bytes, string Sha256);

/// <param name="Path">Relative to the folder, with slashes.</param>
internal sealed record ExportedFile(string Path, long Bytes, string Sha256);

[JsonSourceGenerationOptions(JsonSerializerDefaults.Web, WriteIndented = true, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull, RespectNullableAnnotations = true, Converters =
    [typeof(CamelCase<ExportProvider>), typeof(CamelCase<Consistency>), typeof(CamelCase<FirmwareKind>)])]
[JsonSerializable(typeof(ExportManifest))]
internal sealed partial class ExportJson : JsonSerializerContext;

internal sealed class CamelCase<T>() : JsonStringEnumConverter<T>(JsonNamingPolicy.CamelCase, allowIntegerValues: false) where T : struct, Enum;
