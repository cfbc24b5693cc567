using System.Text.Json;
using WeaveHypervisor.Operations;
using WeaveHypervisor.Weaving.Adoption;
using WeaveHypervisor.Weaving.Branching;
using WeaveHypervisor.Weaving.Capture;
using WeaveHypervisor.Weaving.Compaction;
using WeaveHypervisor.Weaving.Exporting;
using WeaveHypervisor.Weaving.Importing;
using WeaveHypervisor.Weaving.Policies;
using WeaveHypervisor.Weaving.Retention;
using WeaveHypervisor.Weaving.Rules;
using WeaveHypervisor.Weaving.Traffic;
using WeaveHypervisor.Weaving.Verifying;
using WeaveHypervisor.Weaving.Volumes;

namespace WeaveHypervisor.Weaving;

/// <summary>Stored names of the operations.</summary>
internal static class Kinds
{
    public const string Adopt = "env.adopt", Release = "env.release", Snapshot = "snapshot", DeleteSnapshot = "snapshot.delete", Verify = "snapshot.verify", Create = "weave.create",
        Delete = "weave.delete", Activate = "weave.activate", Power = "weave.power", Keep = "weave.keep", Publish = "route.publish", Withdraw = "route.withdraw",
        Policy = "env.policy", Compact = "env.compact", Sync = "volume.sync", UndoSync = "volume.sync.undo", ForgetSync = "volume.sync.forget", Export = "env.export", Import = "env.import", Rules = "weave.rules";
}

/// <summary>All operations of the product, as lists of steps.</summary>
internal static class StepLists
{
    private const int Version = 1;

    public static IReadOnlyList<StepList> All(Bench bench, EndpointPublisher publisher, IProber prober)
    {
        var (json, results) = (WeavingJson.Default, ResultJson.Default);
        var collector = new GarbageCollector(bench);
        var start = new WeaveStart(bench);
        var fences = new FenceMaking(bench, publisher);
        Revive[] revival = [new(bench, new ReserveWeave(bench)), new(bench, new ForkLayers(bench)), new(bench, new MakeFence(bench)), new(bench, new StartCopies(bench, start))];
        return
        [
            StepList.For(Kinds.Adopt, Version, json.AdoptPlan)
                .Then(new Examine(bench)).Then(new RecordEnvironment(bench))
                .Result(p => JsonSerializer.Serialize(new AdoptResult(p.Environment, [.. p.Found.Select(m => m.Machine.Name.Text)],
                    [.. p.Blueprint!.Networks.Select(n => n.Name.Text)], [.. p.Found.SelectMany(m => m.Disks.Select(d => $"{m.Machine.Name}/{d.Volume}"))]), results.AdoptResult))
                .Build(),
            StepList.For(Kinds.Release, Version, json.ReleasePlan)
                .Then(new CheckRelease(bench)).PointOfNoReturn()
                .Then(new EndHistory(bench, publisher)).Then(new ReturnVolumes(bench)).Then(new ForgetEnvironment(bench))
                .Result(p => JsonSerializer.Serialize(new ReleaseResult(p.Environment), results.ReleaseResult))
                .Build(),
            StepList.For(Kinds.Snapshot, Version, json.SnapshotPlan)
                .Then(new PrepareCapture<SnapshotPlan>(bench)).Then(new TakeCapture<SnapshotPlan>(bench)).Then(new RecordCapture<SnapshotPlan>(bench))
                .Result(p => JsonSerializer.Serialize(p.Capture.Recorded!, results.SnapshotResult))
                .Build(),
            StepList.For(Kinds.DeleteSnapshot, Version, json.SnapshotDeletePlan)
                .Then(new MarkSnapshot(bench)).PointOfNoReturn().Then(new ForgetSnapshot(bench, collector))
                .Result(p => JsonSerializer.Serialize(new SnapshotDeleteResult(p.Environment, p.Snapshot), results.SnapshotDeleteResult))
                .Build(),
            revival.Aggregate(StepList.For(Kinds.Verify, Version, json.VerifyPlan).Then(new CheckVerification(bench)), (list, step) => list.Then(step))
                .Then(new AskRevived(new VerifyProbe(bench, prober))).PointOfNoReturn().Then(new RecordVerification(bench)).Then(new RemoveRevived(revival))
                .Result(p => JsonSerializer.Serialize(VerifyResult.Of(p), results.VerifyResult))
                .Build(),
            StepList.For(Kinds.Create, Version, json.CreatePlan)
                .Then(new ReserveWeave(bench))
                .Then(new PrepareCapture<CreatePlan>(bench)).Then(new TakeCapture<CreatePlan>(bench)).Then(new RecordCapture<CreatePlan>(bench))
                .Then(new ForkLayers(bench)).Then(new MakeFence(bench)).Then(new StartCopies(bench, start))
                .Result(p => JsonSerializer.Serialize(p.Result!, results.CreateResult))
                .Build(),
            StepList.For(Kinds.Delete, Version, json.DeletePlan)
                .Then(new MarkWeave(bench)).PointOfNoReturn()
                .Then(new RetireWeave(bench, publisher)).Then(new ForgetWeave(bench)).Then(new CollectAfterDelete(collector))
                .Result(p => JsonSerializer.Serialize(new DeleteResult(p.Environment, p.Weave, p.LayersRemoved), results.DeleteResult))
                .Build(),
            StepList.For(Kinds.Activate, Version, json.ActivatePlan)
                .Then(new ProbeWeave(bench, prober)).Then(new SwitchActive(bench, publisher))
                .Result(p => JsonSerializer.Serialize(new ActivateResult(p.Environment, p.Weave, p.Previous), results.ActivateResult))
                .Build(),
            StepList.For(Kinds.Power, Version, json.PowerPlan)
                .Then(new SwitchPower(bench, fences, start))
                .Result(p => JsonSerializer.Serialize(new PowerResult(p.Environment, p.Weave, p.After), results.PowerResult))
                .Build(),
            StepList.For(Kinds.Keep, Version, json.KeepPlan)
                .Then(new SetLifetime(bench))
                .Result(p => JsonSerializer.Serialize(new KeepResult(p.Environment, p.Weave, p.ExpiresAt), results.KeepResult))
                .Build(),
            StepList.For(Kinds.Rules, Version, json.RulesPlan)
                .Then(new NarrowRules(bench, publisher)).Then(new RuleFence(bench)).Then(new OpenRules(bench, publisher))
                .Result(p => JsonSerializer.Serialize(RulesResult.Of(p), results.RulesResult))
                .Build(),
            StepList.For(Kinds.Publish, Version, json.RoutePlan)
                .Then(new SettleTarget(bench)).Then(new RecordRoute(bench, publisher)).Then(new PublishRoute(bench, publisher))
                .Result(p => JsonSerializer.Serialize(RouteResult.Of(p.Route), results.RouteResult))
                .Build(),
            StepList.For(Kinds.Withdraw, Version, json.RoutePlan)
                .PointOfNoReturn().Then(new WithdrawRoute(bench, publisher))
                .Result(p => JsonSerializer.Serialize(RouteResult.Of(p.Route), results.RouteResult))
                .Build(),
            StepList.For(Kinds.Policy, Version, json.PolicyPlan)
                .Then(new RecordPolicy(bench))
                .Result(p => JsonSerializer.Serialize(new PolicyResult(p.Environment, p.Policy), results.PolicyResult))
                .Build(),
            StepList.For(Kinds.Export, Version, json.ExportPlan)
                .Then(new CheckExport(bench))
                .Then(new PrepareCapture<ExportPlan>(bench)).Then(new TakeCapture<ExportPlan>(bench)).Then(new RecordCapture<ExportPlan>(bench))
                .Then(new WriteBoxes(bench)).Then(new PublishExport(bench)).PointOfNoReturn().Then(new ForgetMoment(bench, collector))
                .Result(p => JsonSerializer.Serialize(p.Result!, results.ExportResult))
                .Build(),
            StepList.For(Kinds.Import, Version, json.ImportPlan)
                .Then(new ReadExport(bench)).Then(new UnpackBoxes(bench)).Then(new DefineMachines(bench))
                .Then(new AdoptImported(new Examine(bench))).Then(new AdoptImported(new RecordEnvironment(bench)))
                .Result(p => JsonSerializer.Serialize(ImportResult.Of(p), results.ImportResult))
                .Build(),
            StepList.For(Kinds.Compact, Version, json.CompactPlan)
                .Then(new FoldLayers(bench, collector))
                .Result(p => JsonSerializer.Serialize(new CompactResult(p.Environment, p.LayersMerged, p.Pulls, p.LongestBefore, p.LongestAfter, p.InUse), results.CompactResult))
                .Build(),
            StepList.For(Kinds.Sync, Version, json.SyncPlan)
                .Then(new CheckSync(bench)).Then(new TakeCapture<SyncPlan>(bench)).Then(new FreezeSource(bench)).Then(new FreeVolume(bench, fences)).Then(new CompareVolume(bench)).Then(new WriteLayer(bench))
                .Then(new SwitchHead(bench)).Then(new ReturnVolume(bench, fences)).PointOfNoReturn().Then(new CollectAfterSync(collector))
                .Result(p => JsonSerializer.Serialize(SyncResult.Of(p), results.SyncResult))
                .Build(),
            StepList.For(Kinds.UndoSync, Version, json.SyncPlan)
                .Then(new CheckSync(bench)).Then(new FreeVolume(bench, fences)).Then(new WriteLayer(bench)).Then(new SwitchHead(bench)).Then(new ReturnVolume(bench, fences))
                .PointOfNoReturn().Then(new CollectAfterSync(collector))
                .Result(p => JsonSerializer.Serialize(SyncResult.Of(p), results.SyncResult))
                .Build(),
            StepList.For(Kinds.ForgetSync, Version, json.ForgetSyncPlan)
                .PointOfNoReturn().Then(new ForgetSync(bench, collector))
                .Result(p => JsonSerializer.Serialize(new ForgetSyncResult(p.Environment, p.Destination, p.Sync, p.LayersRemoved), results.ForgetSyncResult))
                .Build(),
        ];
    }
}
