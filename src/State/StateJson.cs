using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;
using WeaveHypervisor.Model;
using WeaveHypervisor.Operations;
using WeaveHypervisor.Weaving.Access;

namespace WeaveHypervisor.State;

/// <summary>
/// The documents in the database. Members are only ever added, and none that is required. Generated code gives an init-only member null or zero where a document says nothing of it, whatever its
/// default: so one that must not be null replaces it itself (<c>init => field = value ?? []</c>).
/// </summary>
[JsonSourceGenerationOptions(JsonSerializerDefaults.Web, UseStringEnumConverter = true)]
[JsonSerializable(typeof(ManagedEnvironment))]
[JsonSerializable(typeof(Weave))]
[JsonSerializable(typeof(Snapshot))]
[JsonSerializable(typeof(Layer))]
[JsonSerializable(typeof(Route))]
[JsonSerializable(typeof(Operation))]
[JsonSerializable(typeof(AccessToken))]
internal sealed partial class StateJson : JsonSerializerContext
{
    public static string Write<T>(T value, JsonTypeInfo<T> type) => JsonSerializer.Serialize(value, type);

    /// <summary><see cref="Fault.DataLoss"/> where the document cannot be read.</summary>
    public static T Read<T>(string document, JsonTypeInfo<T> type)
    {
        try
        {
            return JsonSerializer.Deserialize(document, type) ?? throw new JsonException("null");
        }
        catch (Exception e) when (e is JsonException or WeaveException)
        {
            throw new WeaveException(WeaveHypervisor.Model.Fault.DataLoss, $"A stored {typeof(T).Name} cannot be read: {e.Message}", "Restore the database from a backup, or start the version of the service that wrote it.", e);
        }
    }
}
