using System.Text.Json;
using System.Text.Json.Serialization;
using WeaveHypervisor.Weaving.Adoption;
using WeaveHypervisor.Weaving.Branching;
using WeaveHypervisor.Weaving.Compaction;
using WeaveHypervisor.Weaving.Exporting;
using WeaveHypervisor.Weaving.Importing;
using WeaveHypervisor.Weaving.Capture;
using WeaveHypervisor.Weaving.Policies;
using WeaveHypervisor.Weaving.Retention;
using WeaveHypervisor.Weaving.Rules;
using WeaveHypervisor.Weaving.Traffic;
using WeaveHypervisor.Weaving.Verifying;
using WeaveHypervisor.Weaving.Volumes;

namespace WeaveHypervisor.Weaving;

/// <summary>JSON of plans and results, as the journal stores them. Members are only ever added, with a default as <c>StateJson</c> says: a newer service reads what an older one wrote.</summary>
[JsonSourceGenerationOptions(JsonSerializerDefaults.Web, UseStringEnumConverter = true)]
[JsonSerializable(typeof(AdoptPlan))]
[JsonSerializable(typeof(AdoptResult))]
[JsonSerializable(typeof(ReleasePlan))]
[JsonSerializable(typeof(ReleaseResult))]
[JsonSerializable(typeof(SnapshotPlan))]
[JsonSerializable(typeof(SnapshotResult))]
[JsonSerializable(typeof(SnapshotDeletePlan))]
[JsonSerializable(typeof(SnapshotDeleteResult))]
[JsonSerializable(typeof(VerifyPlan))]
[JsonSerializable(typeof(VerifyResult))]
[JsonSerializable(typeof(CreatePlan))]
[JsonSerializable(typeof(CreateResult))]
[JsonSerializable(typeof(DeletePlan))]
[JsonSerializable(typeof(DeleteResult))]
[JsonSerializable(typeof(ActivatePlan))]
[JsonSerializable(typeof(ActivateResult))]
[JsonSerializable(typeof(KeepPlan))]
[JsonSerializable(typeof(KeepResult))]
[JsonSerializable(typeof(PowerPlan))]
[JsonSerializable(typeof(PowerResult))]
[JsonSerializable(typeof(RulesPlan))]
[JsonSerializable(typeof(RulesResult))]
[JsonSerializable(typeof(RoutePlan))]
[JsonSerializable(typeof(RouteResult))]
[JsonSerializable(typeof(PolicyPlan))]
[JsonSerializable(typeof(PolicyResult))]
[JsonSerializable(typeof(CompactPlan))]
[JsonSerializable(typeof(CompactResult))]
[JsonSerializable(typeof(SyncPlan))]
[JsonSerializable(typeof(SyncResult))]
[JsonSerializable(typeof(ForgetSyncPlan))]
[JsonSerializable(typeof(ForgetSyncResult))]
[JsonSerializable(typeof(ExportPlan))]
[JsonSerializable(typeof(ExportResult))]
[JsonSerializable(typeof(ImportPlan))]
[JsonSerializable(typeof(ImportResult))]
internal sealed partial class WeavingJson : JsonSerializerContext;

/// <summary>JSON of results, which callers of the interface read: states in the interface's words, "running" and not "Running". Both contexts read either form.</summary>
internal static class ResultJson
{
    public static WeavingJson Default { get; } = new(new JsonSerializerOptions(WeavingJson.Default.Options) { TypeInfoResolver = null, Converters = { new JsonStringEnumConverter(JsonNamingPolicy.CamelCase) } });
}
