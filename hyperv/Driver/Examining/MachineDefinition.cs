using System.Text.Json;
using System.Text.Json.Serialization;
using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Machines;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.HyperV.Examining;

/// <summary>All settings of a machine as text: what the rest of the product keeps of it as its definition, and copies that boot are made from.</summary>
/// <param name="Settings">The Msvm_VirtualSystemSettingData, as <see cref="EmbeddedInstance"/> writes it.</param>
/// <param name="Parts">All others.</param>
/// <param name="Rules">Of each adapter that has rules of its port, by the InstanceID of its connection; null in a definition of before these were kept.</param>
internal sealed record MachineDefinition(string Settings, IReadOnlyList<string> Parts, IReadOnlyDictionary<string, IReadOnlyList<string>>? Rules = null)
{
    public static string Write(HostMachine machine, MachineParts parts, IReadOnlyDictionary<string, IReadOnlyList<CimObject>> rules) => JsonSerializer.Serialize(new MachineDefinition(EmbeddedInstance.Write(machine.Settings), [.. parts.All.Select(EmbeddedInstance.Write)],
        rules.ToDictionary(r => r.Key, r => (IReadOnlyList<string>)[.. r.Value.Select(EmbeddedInstance.Write)])), DefinitionJson.Default.MachineDefinition);

    /// <summary>DataLoss for a text that is none.</summary>
    public static (CimObject Settings, MachineParts Parts, IReadOnlyDictionary<string, IReadOnlyList<CimObject>> Rules) Read(MachineBlueprint machine)
    {
        try
        {
            var read = JsonSerializer.Deserialize(machine.Definition, DefinitionJson.Default.MachineDefinition) ?? throw new FormatException("It is empty.");
            return (EmbeddedInstance.Read(read.Settings), new([.. read.Parts.Select(EmbeddedInstance.Read)]),
                (read.Rules ?? new Dictionary<string, IReadOnlyList<string>>()).ToDictionary(r => r.Key, r => (IReadOnlyList<CimObject>)[.. r.Value.Select(EmbeddedInstance.Read)], StringComparer.OrdinalIgnoreCase));
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
