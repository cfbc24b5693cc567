using System.Text.Json.Serialization;
using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.HyperV.Folding;

/// <summary>What a layer's rewriting has begun.</summary>
/// <param name="Primary">The name by which machines open it: where that leads to <paramref name="Part"/>'s file, the rest can only be finished.</param>
/// <param name="Others">Its other names.</param>
/// <param name="Saved">A machine that was saved for it and is to run on; null: none.</param>
internal sealed record FoldIntent(string Primary, IReadOnlyList<string> Others, string Part, Guid? Saved);

[JsonSerializable(typeof(FoldIntent))]
internal sealed partial class FoldJson : JsonSerializerContext;

/// <summary>Keeps intents of folds as <c>{Root}\work\fold.{layer}.json</c>, as long as something may have to be finished or undone.</summary>
internal sealed class FoldIntents(DriverContext context)
{
    private string PathOf(LayerId layer) => HostPath.Join(context.Paths.Work, $"fold.{layer}.json");

    public Task WriteAsync(LayerId layer, FoldIntent intent, CancellationToken stop) => context.Files.WriteRecordAsync(PathOf(layer), intent, FoldJson.Default.FoldIntent, stop);

    /// <summary>Null where there is none. DataLoss where it is damaged: something may have begun.</summary>
    public Task<FoldIntent?> ReadAsync(LayerId layer, CancellationToken stop) =>
        context.Files.ReadRecordAsync(PathOf(layer), FoldJson.Default.FoldIntent, $"record of the fold of layer {layer}", "Look at the names of the layer's file (`fsutil hardlink list`), then delete the record.", stop);

    public Task RemoveAsync(LayerId layer, CancellationToken stop) => context.Files.DeleteAsync(PathOf(layer), stop);
}
