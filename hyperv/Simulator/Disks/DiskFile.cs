using System.Text.Json;
using System.Text.Json.Serialization;
using WeaveHypervisor.HyperV.Cim;

namespace WeaveHypervisor.HyperV.Simulator.Disks;

/// <summary>One virtual disk file: what its header says and which sectors it has itself.</summary>
internal sealed record DiskFile
{
    public const int Sector = 512;

    /// <summary>2 fixed, 3 dynamic, 4 differencing.</summary>
    public required ushort Type { get; init; }
    /// <summary>Bytes that a guest sees.</summary>
    public required long Size { get; init; }
    public required Guid DiskId { get; init; }
    /// <summary>Changes with the first write after each opening; a child remembers that of its parent.</summary>
    public required Guid DataWriteId { get; init; }
    public string? ParentPath { get; init; }
    public Guid? ParentLinkage { get; init; }
    public uint BlockSize { get; init; } = 32 * 1024 * 1024;
    public uint LogicalSector { get; init; } = 512;
    public uint PhysicalSector { get; init; } = 4096;
    public SortedDictionary<long, byte[]> Sectors { get; init; } = [];

    public DiskFile Written(Guid newId) => this with { DataWriteId = newId };
}

/// <summary>How virtual disk files are read and written. Content that is no disk is refused.</summary>
internal interface IDiskFormat
{
    DiskFile Read(HostVolume volume, string path);
    void Write(HostVolume volume, string path, DiskFile disk);
}

/// <summary>Disks as a model: their sectors by number, as JSON. Identity, linkage and errors are those of VHDX.</summary>
internal sealed class ModelledDiskFormat : IDiskFormat
{
    public DiskFile Read(HostVolume volume, string path)
    {
        try
        {
            return JsonSerializer.Deserialize(volume.Read(path), DiskJson.Default.DiskFile)!;
        }
        catch (JsonException)
        {
            throw new JobFailure(JobFailure.NotADisk, $"'{path}' is not a virtual hard disk");
        }
    }

    public void Write(HostVolume volume, string path, DiskFile disk) => volume.Write(path, JsonSerializer.SerializeToUtf8Bytes(disk, DiskJson.Default.DiskFile));
}

[JsonSerializable(typeof(DiskFile))]
internal sealed partial class DiskJson : JsonSerializerContext;
