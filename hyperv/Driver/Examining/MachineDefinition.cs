using System.Text.Json;
using System.Text.Json.Serialization;
using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Machines;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.HyperV.Examining;

/// <summary>All settings of a machine as text: what the rest of the product keeps of it as its definition, and copies that boot are made from.</summary>
/// <param name="Settings">The Msvm_VirtualSystemSettingData, as <see cref="EmbeddedInstance"/> writes it.</param>
/// <param name="Parts">All others.</param>
internal sealed record MachineDefinition(string Settings, IReadOnlyList<string> Parts)
{
    public static string Write(HostMachine machine, MachineParts parts) => JsonSerializer.Serialize(new MachineDefinition(EmbeddedInstance.Write(machine.Settings), [.. parts.All.Select(EmbeddedInstance.Write)]), DefinitionJson.Default.MachineDefinition);

    /// <summary>DataLoss for a text that is none.</summary>
    public static (CimObject Settings, MachineParts Parts) Read(MachineBlueprint machine)
    {
        try
        {
            var read = JsonSerializer.Deserialize(machine.Definition, DefinitionJson.Default.MachineDefinition) ?? throw new FormatException("It is empty.");
            return (EmbeddedInstance.Read(read.Settings), new([.. read.Parts.Select(EmbeddedInstance.Read)]));
        }
        catch (Exception e) when (e is JsonException or FormatException)
        {
            throw new WeaveException(Fault.DataLoss, $"The stored definition of machine '{machine.Name}' cannot be read: {e.Message}", "Take another snapshot.", e);
        }
    }
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, RespectRequiredConstructorParameters = true, RespectNullableAnnotations = true)]
[JsonSerializable(typeof(MachineDefinition))]
internal sealed partial class DefinitionJson : JsonSerializerContext;
