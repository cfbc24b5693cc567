using WeaveHypervisor.Client;
using WeaveHypervisor.Client.V1;

namespace WeaveHypervisor.Service.Tests.Api;

/// <summary>Differences and syncs of volumes through the typed client, on a simulated host.</summary>
public sealed class VolumeTests : IAsyncLifetime
{
    private const int Block = 4096;
    private TestService _service = null!;

    public async ValueTask InitializeAsync() => _service = await TestService.StartAsync();
    public ValueTask DisposeAsync() => _service.DisposeAsync();

    [Fact]
    public async Task Volumes_are_compared_page_by_page_and_synced_and_that_is_taken_back_and_forgotten()
    {
        var client = _service.Client();
        await _service.AdoptAsync();
        var none = await Assert.ThrowsAsync<ApiException>(() => client.DiffVolumesAsync("lab", "main", "main", null, 10, 0, default));
        Assert.Equal("conflict", none.Fault);
        Assert.Contains("--now", none.Problem.NextStep, StringComparison.Ordinal);
        await _service.EndAsync(await client.CreateWeaveAsync("lab", new() { WeaveId = "copy" }, default));
        var (main, copy) = (await MachineAsync("main"), await MachineAsync("copy"));
        foreach (var block in (int[])[3, 10, 20]) _service.Host.WriteBytes(main, "vda", block * Block, Fill(1));
        _service.Host.WriteBytes(copy, "vda", 20 * Block, Fill(2));
        await _service.EndAsync(await client.ChangePowerAsync("lab", "copy", "stop", true, default));

        // What is being written is not seen, which is said.
        var unseen = (await client.DiffVolumesAsync("lab", "main", "copy", "web/vda", 10, 0, default)).Volumes.Single();
        Assert.Equal((0L, Block, 0L), (unseen.Difference.LeftBytes, (int)unseen.Difference.RightBytes, unseen.Difference.BothBytes));
        Assert.Contains("is being written", Assert.Single(unseen.Unseen), StringComparison.Ordinal);
        var taken = await _service.EndAsync(await client.SnapshotAsync("lab", new() { Memory = false }, default));
        var snapshot = taken.Result!.Value.GetProperty("snapshot").GetString()!;
        var first = (await client.DiffVolumesAsync("lab", snapshot, "copy", "web/vda", 2, 0, default)).Volumes.Single();
        Assert.Equal((2L * Block, 0L, (long)Block, 3L), (first.Difference.LeftBytes, first.Difference.RightBytes, first.Difference.BothBytes, first.Difference.Ranges));
        Assert.Equal([new RangeView(3 * Block, Block, "left"), new RangeView(10 * Block, Block, "left")], first.Ranges);
        Assert.NotNull(first.Difference.CommonLayer);
        Assert.Equal(64, first.Difference.Picture.Length);
        var second = (await client.DiffVolumesAsync("lab", snapshot, "copy", "web/vda", 2, first.NextFrom!.Value, default)).Volumes.Single();
        Assert.Equal((new RangeView(20 * Block, Block, "both"), (long?)null), (Assert.Single(second.Ranges), second.NextFrom));
        Assert.Equal(["db/vda", "web/vda"], (await client.DiffVolumesAsync("lab", "active", "copy", null, 0, 0, default)).Volumes.Select(v => v.Volume).Order());

        var body = new SyncBody { SourceWeave = "main", DestinationWeave = "copy", Volume = "web/vda", Strategy = "merge" };
        var conflict = await _service.LastAsync(await client.SyncVolumeAsync("lab", body, default));
        Assert.Equal(("undone", "conflict"), (conflict.State, conflict.Error!.Fault));
        Assert.StartsWith("web/vda ", Assert.Single(conflict.Error.Holders), StringComparison.Ordinal);
        var dry = await _service.EndAsync(await client.SyncVolumeAsync("lab", body with { DryRun = true }, default));
        Assert.Equal((1, "copy"), (dry.Result!.Value.GetProperty("conflicts").GetArrayLength(), dry.Result.Value.GetProperty("method").GetString()));
        Assert.Empty(await client.ListSyncsAsync("lab", default));

        var sync = await _service.EndAsync(await client.SyncVolumeAsync("lab", body with { Strategy = null }, default));
        Assert.Equal("overlay", sync.Result!.Value.GetProperty("method").GetString());
        Assert.Equal((sync.Id, "copy", "web/vda", "main"), (await client.ListSyncsAsync("lab", default)).Select(k => (k.Operation, k.Weave, k.Volume, k.Source)).Single());
        Assert.Equal(sync.Id, Assert.Single((await client.GetWeaveAsync("lab", "copy", default)).Kept).Operation);
        var undo = await _service.EndAsync(await client.UndoSyncAsync("lab", sync.Id, new(), default));
        Assert.Equal(undo.Id, (await client.ListSyncsAsync("lab", default)).Single().Operation);
        Assert.Equal(3, (await client.DiffVolumesAsync("lab", snapshot, "copy", "web/vda", 0, 0, default)).Volumes.Single().Difference.Ranges);
        await _service.EndAsync(await client.ForgetSyncAsync("lab", undo.Id, default));
        Assert.Equal("notFound", (await Assert.ThrowsAsync<ApiException>(() => client.UndoSyncAsync("lab", sync.Id, new(), default))).Fault);
        Assert.Equal("invalidRequest", (await Assert.ThrowsAsync<ApiException>(() => client.SyncVolumeAsync("lab", body with { Strategy = "twist" }, default))).Fault);
        await _service.EndAsync(await client.ReleaseAsync("lab", true, default));
    }

    private async Task<Guid> MachineAsync(string weave) => Guid.Parse((await _service.Client().GetWeaveAsync("lab", weave, default)).Machines.Single(m => m.Name == "web").Uuid);

    private static byte[] Fill(byte with) => [.. Enumerable.Repeat(with, Block)];
}
