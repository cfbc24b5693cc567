using System.Text.Json;
using System.Text.Json.Serialization;
using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Cim.Wrappers;
using WeaveHypervisor.HyperV.Simulator.Disks;

namespace WeaveHypervisor.HyperV.Simulator.Machines;

/// <summary>What a .vmcx file holds here.</summary>
internal sealed record Definition(Guid Machine, bool IsCheckpoint, string Settings, IReadOnlyList<string> Resources, IReadOnlyList<string> Features);

[JsonSourceGenerationOptions(RespectRequiredConstructorParameters = true, RespectNullableAnnotations = true)]
[JsonSerializable(typeof(Definition))]
[JsonSerializable(typeof(SavedImage))]
internal sealed partial class MachineJson : JsonSerializerContext;

/// <summary>
/// The files of machines: definition (.vmcx), memory (.VMRS) and firmware state (.vmgs, second generation), in <c>Virtual Machines</c> and <c>Snapshots</c> below the machine's roots.
/// What firmware keeps is in its file alone: it goes with checkpoints, exports and imports as that.
/// </summary>
internal sealed class MachineFiles(HostVolume volume)
{
    public const string MachinesFolder = "Virtual Machines", SnapshotsFolder = "Snapshots", DisksFolder = "Virtual Hard Disks";

    public static string DefinitionOf(Machine machine) => HostPath.Join(machine.Own.Settings.Get(VirtualSystemSettingData.ConfigurationDataRoot)!, MachinesFolder, Name(machine.Id) + ".vmcx");

    public static string DefinitionOf(Machine machine, Checkpoint checkpoint) => HostPath.Join(machine.Own.Settings.Get(VirtualSystemSettingData.SnapshotDataRoot)!, SnapshotsFolder, Name(checkpoint.Id) + ".vmcx");

    public static string MemoryOf(string definition) => HostPath.Join(HostPath.Folder(definition), HostPath.Stem(definition) + ".VMRS");
    public static string FirmwareOf(string definition) => HostPath.Join(HostPath.Folder(definition), HostPath.Stem(definition) + ".vmgs");

    /// <summary>Writes what the host keeps of a machine: after every change.</summary>
    public void Keep(Machine machine)
    {
        if (machine.IsPlanned) return;
        Write(DefinitionOf(machine), machine.Id, machine.Own, false, machine.Saved);
    }

    public void Keep(Machine machine, Checkpoint checkpoint) => Write(DefinitionOf(machine, checkpoint), machine.Id, checkpoint.Configuration, true, checkpoint.Memory, DefinitionOf(machine));

    public void Remove(string definition)
    {
        foreach (var file in new[] { definition, MemoryOf(definition), FirmwareOf(definition) }) volume.Delete(file);
    }

    /// <param name="firmware">The definition beside which its firmware state is, where there is none of its own yet.</param>
    public void Write(string definition, Guid machine, Configuration configuration, bool isCheckpoint, SavedImage? memory, string? firmware = null)
    {
        var content = new Definition(machine, isCheckpoint, EmbeddedInstance.Write(configuration.Settings), [.. configuration.Resources.Select(EmbeddedInstance.Write)], [.. configuration.Features.Select(EmbeddedInstance.Write)]);
        volume.Write(definition, JsonSerializer.SerializeToUtf8Bytes(content, MachineJson.Default.Definition));
        if (configuration.IsSecondGeneration && !volume.Exists(FirmwareOf(definition)))
            volume.Write(FirmwareOf(definition), firmware is not null && volume.Exists(FirmwareOf(firmware)) ? volume.Read(FirmwareOf(firmware)) : "firmware"u8);
        if (memory is not null) volume.Write(MemoryOf(definition), JsonSerializer.SerializeToUtf8Bytes(memory, MachineJson.Default.SavedImage));
        else volume.Delete(MemoryOf(definition));
    }

    /// <summary>A definition with the memory beside it; 0x80070057 where the file is none.</summary>
    public (Definition Definition, Configuration Configuration, SavedImage? Memory) Read(string path)
    {
        try
        {
            var definition = JsonSerializer.Deserialize(volume.Read(path), MachineJson.Default.Definition)!;
            var memory = volume.Exists(MemoryOf(path)) ? JsonSerializer.Deserialize(volume.Read(MemoryOf(path)), MachineJson.Default.SavedImage) : null;
            return (definition, new(EmbeddedInstance.Read(definition.Settings), definition.Resources.Select(EmbeddedInstance.Read), definition.Features.Select(EmbeddedInstance.Read)), memory);
        }
        catch (Exception e) when (e is JsonException or FormatException)
        {
            throw new JobFailure(JobFailure.InvalidArgument, $"'{path}' is not the definition of a virtual machine");
        }
    }

    public static string Name(Guid id) => id.ToString().ToUpperInvariant();
}
