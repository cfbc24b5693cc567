using WeaveHypervisor.Client.V1;
using WeaveHypervisor.Model;
using WeaveHypervisor.Service.Api.Mapping;
using WeaveHypervisor.Weaving;
using WeaveHypervisor.Weaving.Volumes;
using static WeaveHypervisor.Service.Api.Requests;

namespace WeaveHypervisor.Service.Api;

/// <summary>What volumes of weaves differ by, and their exchange.</summary>
internal static class VolumeEndpoints
{
    private const int MostRanges = 10_000, Ranges = 1000;

    public static void MapVolumes(this IEndpointRouteBuilder api, Needs reads, Needs changes)
    {
        api.MapGet("/environments/{env}/volume-diffs", async (HttpContext http, IWeaver weaver) =>
        {
            var (left, right) = (Side("left"), Side("right"));
            var volume = http.Query("volume") is { } named ? VolumeId.Parse(named) : (VolumeId?)null;
            var from = http.Query("from") is not { } text ? 0 : volume is null ? throw Wrong("from needs a volume.", "Name one with volume=MACHINE/VOLUME.")
                : long.TryParse(text, System.Globalization.NumberStyles.None, System.Globalization.CultureInfo.InvariantCulture, out var n) ? n : throw Wrong($"from cannot be {Ids.Quote(text)}.", "Use nextFrom of the answer before.");
            var request = new DiffRequest(http.Env(), left, right, volume, from, http.Number("limit", Ranges, 0, MostRanges));
            // Whoever goes away is not compared for any more.
            var found = await weaver.DiffVolumesAsync(request, null, http.RequestAborted);
            return Json(new VolumeDiffsView { Environment = request.Environment.Text, Left = left, Right = right, Volumes = [.. found.Select(View)] });

            string Side(string name) => http.Query(name) ?? throw Wrong($"{name} is missing.", "Name a weave, `active`, or a snapshot, for left and right.");
        }).WithMetadata(reads, new AsksHypervisor(), Takes.Word("left", "A weave, `active`, or a snapshot."), Takes.Word("right", "A weave, `active`, or a snapshot."), Takes.Word("volume", "Only this one, such as db/data."),
            Takes.Number("limit", "At most so many ranges of each volume, 0 to 10000; 1000 where it is left out."), Takes.Number("from", "Ranges from this offset on; nextFrom of the answer before."))
            .Produces<VolumeDiffsView>().Named("diffVolumes", "What volumes differ by between two weaves or snapshots, from their files alone: a volume that a machine is writing is looked at as of its newest point. May take long where nothing is in common.");
        api.MapPost("/environments/{env}/volume-syncs", async (HttpContext http, IWeaver weaver) =>
        {
            var body = await http.BodyAsync<SyncBody>();
            var env = http.Env();
            var request = new SyncRequest(env, WeaveId.Parse(body.SourceWeave), WeaveId.Parse(body.DestinationWeave), VolumeId.Parse(body.Volume), Choice(body.Strategy, SyncStrategy.Mirror, "strategy"),
                Choice(body.OnConflict, OnConflict.Fail, "onConflict"), body.DryRun ?? false, body.Stop ?? false, body.Quiesce ?? false);
            return await http.OperateAsync("volume.sync", $"{env}/{request.Destination} {request.Volume} from {request.Source}", (c, stop) => weaver.SyncVolumeAsync(request, c, stop));
        }).Operates<SyncBody>(changes).Named("syncVolume", "Bring what a volume holds in one weave into another. The source runs on; what was there before is kept, so that the sync can be taken back.");
        api.MapGet("/environments/{env}/volume-syncs", async (HttpContext http, IWeaver weaver) =>
        {
            var found = http.Paged(await weaver.ListSyncsAsync(http.Env(), http.RequestAborted));
            return Json(new Page<KeptSyncView>([.. found.Items.Select(View)], found.NextPageToken));
        }).WithMetadata([reads, .. Takes.Paging]).Produces<Page<KeptSyncView>>().Named("listSyncs", "The syncs of an environment that can be taken back, oldest first.");
        api.MapPost("/environments/{env}/volume-syncs/{id}/undo", async (HttpContext http, IWeaver weaver) =>
        {
            var body = await http.BodyAsync(() => new UndoSyncBody());
            var (env, sync) = (http.Env(), Sync(http));
            return await http.OperateAsync("volume.sync.undo", $"{env}/{sync}", (c, stop) => weaver.UndoSyncAsync(env, sync, body.Stop ?? false, c, stop));
        }).Operates<UndoSyncBody>(changes, mayBeEmpty: true).Named("undoSync", "Put a volume back to what it was before a sync. What was written since is kept in its turn.");
        api.MapDelete("/environments/{env}/volume-syncs/{id}", (HttpContext http, IWeaver weaver) =>
        {
            var (env, sync) = (http.Env(), Sync(http));
            return http.OperateAsync("volume.sync.forget", $"{env}/{sync}", (c, stop) => weaver.ForgetSyncAsync(env, sync, c, stop));
        }).Operates(changes).Named("forgetSync", "Give up that a sync can be taken back, and the space of what was there before.");
    }

    private static OperationId Sync(HttpContext http) => Ids.Parse<OperationId>((string?)http.GetRouteValue("id"));

    private static KeptSyncView View(KeptSync k) => Map.View(k.Destination, k.Kept, k.Layer.FrozenBytes);

    private static VolumeDiffView View(VolumeDiff d) => new()
    {
        Volume = d.Volume.ToString(), LeftInstant = d.LeftInstant, RightInstant = d.RightInstant, Unseen = d.Unseen, NextFrom = d.More && d.Ranges.Count > 0 ? d.Ranges[^1].Offset + d.Ranges[^1].Length : null,
        Difference = new(d.Totals.Capacity, d.Totals.LeftBytes, d.Totals.RightBytes, d.Totals.BothBytes, d.Totals.Ranges, d.Totals.CommonLayer?.Text, d.Totals.BytesRead, d.Totals.Method, d.Totals.Picture),
        Ranges = [.. d.Ranges.Select(r => new RangeView(r.Offset, r.Length, Map.Word(r.By)))],
    };
}
