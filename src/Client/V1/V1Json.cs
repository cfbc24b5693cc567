using System.Text.Json;
using System.Text.Json.Serialization;

namespace WeaveHypervisor.Client.V1;

/// <summary>JSON of version 1: camelCase, times RFC 3339 in UTC with milliseconds, members that are null left out. Unknown members of a request are refused by the service.</summary>
[JsonSourceGenerationOptions(JsonSerializerDefaults.Web, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull, Converters = [typeof(TimeConverter)])]
[JsonSerializable(typeof(AdoptBody))]
[JsonSerializable(typeof(CreateWeaveBody))]
[JsonSerializable(typeof(ActivateBody))]
[JsonSerializable(typeof(RouteBody))]
[JsonSerializable(typeof(SnapshotBody))]
[JsonSerializable(typeof(VerifyBody))]
[JsonSerializable(typeof(ExportBody))]
[JsonSerializable(typeof(ImportBody))]
[JsonSerializable(typeof(KeepBody))]
[JsonSerializable(typeof(TokenBody))]
[JsonSerializable(typeof(PolicyBody))]
[JsonSerializable(typeof(RulesBody))]
[JsonSerializable(typeof(RulesView))]
[JsonSerializable(typeof(RuleVerdictView))]
[JsonSerializable(typeof(SyncBody))]
[JsonSerializable(typeof(UndoSyncBody))]
[JsonSerializable(typeof(EnvironmentView))]
[JsonSerializable(typeof(WeaveView))]
[JsonSerializable(typeof(SnapshotView))]
[JsonSerializable(typeof(RouteView))]
[JsonSerializable(typeof(OperationView))]
[JsonSerializable(typeof(TimelineView))]
[JsonSerializable(typeof(CompactionView))]
[JsonSerializable(typeof(VolumeDiffsView))]
[JsonSerializable(typeof(DifferenceView))]
[JsonSerializable(typeof(DoctorView))]
[JsonSerializable(typeof(VersionView))]
[JsonSerializable(typeof(TokenView))]
[JsonSerializable(typeof(AuditView))]
[JsonSerializable(typeof(Problem))]
[JsonSerializable(typeof(ProgressView))]
[JsonSerializable(typeof(Page<EnvironmentView>))]
[JsonSerializable(typeof(Page<WeaveView>))]
[JsonSerializable(typeof(Page<SnapshotView>))]
[JsonSerializable(typeof(Page<RouteView>))]
[JsonSerializable(typeof(Page<AgentView>))]
[JsonSerializable(typeof(Page<KeptSyncView>))]
[JsonSerializable(typeof(Page<OperationView>))]
[JsonSerializable(typeof(Page<TokenView>))]
[JsonSerializable(typeof(Page<AuditView>))]
public sealed partial class V1Json : JsonSerializerContext;

/// <summary>Times as RFC 3339 in UTC with three digits after the second; any RFC 3339 form is read.</summary>
public sealed class TimeConverter : JsonConverter<DateTimeOffset>
{
    public override DateTimeOffset Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) => reader.GetDateTimeOffset().ToUniversalTime();
    public override void Write(Utf8JsonWriter writer, DateTimeOffset value, JsonSerializerOptions options) =>
        writer.WriteStringValue(value.ToUniversalTime().ToString("yyyy-MM-dd'T'HH:mm:ss.fff'Z'", System.Globalization.CultureInfo.InvariantCulture));
}
