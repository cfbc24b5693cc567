using System.Text.Json.Serialization;
using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.HyperV.Fences;

/// <summary>What is decided once for a fence and kept beside it as <c>{Root}\fences\{tag}\fence.json</c>, before anything of it is made.</summary>
/// <param name="Block">Number of the fence's 256 addresses within <see cref="HyperVOptions.Uplink"/>; 0 for a fence without a gateway.</param>
/// <param name="Addresses">The outer address of every inner one; empty without a gateway.</param>
/// <param name="Settings">What the gateway is told (<see cref="GatewayText"/>); null without one. Written anew, the gateway is made anew.</param>
internal sealed record FenceRecord(FenceTag Tag, EnvironmentId Environment, WeaveId Weave, int Block, IReadOnlyList<MachineAddress> Addresses, string? Settings);

[JsonSourceGenerationOptions(WriteIndented = true, PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(FenceRecord))]
internal sealed partial class FenceJson : JsonSerializerContext;

/// <summary>Keeps the records of fences. A folder without a readable record is a fence in parts, too.</summary>
internal sealed class FenceStore(DriverContext context)
{
    private const string Name = "fence.json";

    private string Folders { get; } = HostPath.Join(context.Options.Root, "fences");

    public string Folder(FenceTag tag) => HostPath.Join(Folders, tag.Text.Length == 8 ? tag.Text : throw new WeaveException(Fault.InvalidRequest, "A fence needs a tag."));

    public string RecordPath(FenceTag tag) => HostPath.Join(Folder(tag), Name);

    /// <summary>Null where there is none. DataLoss where it is damaged.</summary>
    public Task<FenceRecord?> ReadAsync(FenceTag tag, CancellationToken stop) =>
        context.Files.ReadRecordAsync(RecordPath(tag), FenceJson.Default.FenceRecord, $"record of fence {tag}", "Delete it; the fence is then made again with other outer addresses.", stop);

    public Task WriteAsync(FenceRecord record, CancellationToken stop) => context.Files.WriteRecordAsync(RecordPath(record.Tag), record, FenceJson.Default.FenceRecord, stop);

    /// <summary>Tags of all fences that have a folder.</summary>
    public async Task<IReadOnlyList<FenceTag>> ListAsync(CancellationToken stop) =>
        [.. (await context.Files.ListAsync(Folders, false, stop)).Where(f => f.IsFolder).Select(f => FenceTag.TryCreate(HostPath.Name(f.Path), out var tag) ? tag : (FenceTag?)null).OfType<FenceTag>()];

    /// <summary>Removes the record and all beside it, and the common folder with the last one.</summary>
    public async Task DeleteAsync(FenceTag tag, CancellationToken stop)
    {
        await context.Files.DeleteAsync(Folder(tag), stop);
        if ((await context.Files.ListAsync(Folders, false, stop)).Count == 0) await context.Files.DeleteAsync(Folders, stop);
    }
}
