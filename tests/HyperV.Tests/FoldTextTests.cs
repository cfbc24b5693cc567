using WeaveHypervisor.Drivers;

namespace WeaveHypervisor.HyperV.Tests;

/// <summary>
/// Every method by which folds change something, with the settings that are sent, and all that they do with files, as golden files: by the host's own merging, and by writing a layer anew. `WEAVE_GOLDEN=renew` writes them anew.
/// </summary>
public sealed class FoldTextTests
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    public enum Way { MergedByTheHost, FrozenLayerWrittenAnew, HeadWrittenAnew }

    [Theory]
    [InlineData(Way.MergedByTheHost)]
    [InlineData(Way.FrozenLayerWrittenAnew)]
    [InlineData(Way.HeadWrittenAnew)]
    public async Task What_is_sent_is_as_it_was(Way way)
    {
        var recorder = new CallRecorder();
        // A machine that runs and has two disks is saved meanwhile; checkpoints of one disk are merged by the host.
        using var bench = new CoreBench(outage: way != Way.MergedByTheHost, client: recorder.Listen, files: recorder.Listen);
        var history = await FoldHistory.MakeAsync(bench, disks: way == Way.FrozenLayerWrittenAnew ? 2 : 1);
        // Somebody who is off stands on the layer.
        var child = await history.StandOnAsync(history.Layers[2]);
        var request = (way == Way.HeadWrittenAnew ? history.Pull() : history.Merge()) with { Others = way == Way.HeadWrittenAnew ? [] : [child] };
        recorder.Begin("a look before");
        Assert.False((await bench.Parts.Folding.EndAsync(request, Stop)).Done);
        recorder.Begin("the fold");
        var folded = await bench.Parts.Folding.FoldAsync(request, null, Stop);
        recorder.Begin("once more");
        Assert.Equal(folded, await bench.Parts.Folding.FoldAsync(request, null, Stop));
        recorder.Begin("what nobody needs");
        await FoldHistory.DeleteUnneededAsync(bench, request, folded);
        recorder.Pause();
        Assert.Equal("abcde", history.Read());
        await recorder.MatchAsync($"fold-{way.ToString().ToLowerInvariant()}.txt", Stop);
    }
}
