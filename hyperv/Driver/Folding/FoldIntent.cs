using System.Text.Json;
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

    public async Task WriteAsync(LayerId layer, FoldIntent intent, CancellationToken stop)
    {
        await context.Files.CreateFolderAsync(context.Paths.Work, stop);
        await context.Files.WriteAsync(PathOf(layer), JsonSerializer.SerializeToUtf8Bytes(intent, FoldJson.Default.FoldIntent), stop);
    }

    /// <summary>Null where there is none; small files are whole or absent.</summary>
    public async Task<FoldIntent?> ReadAsync(LayerId layer, CancellationToken stop) =>
        await context.Files.ReadAsync(PathOf(layer), stop) is { } bytes ? JsonSerializer.Deserialize(bytes, FoldJson.Default.FoldIntent) : null;

    public Task RemoveAsync(LayerId layer, CancellationToken stop) => context.Files.DeleteAsync(PathOf(layer), stop);
}
