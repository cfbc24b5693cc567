using System.Text.Json;
using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.HyperV.Inspecting;

/// <summary>Keeps a host's record as <c>{Root}\host.json</c>, where the self-test writes it and every capture reads it.</summary>
internal sealed class CapabilityStore(HyperVOptions options, IHostFiles files, HostServices services)
{
    public string Path { get; } = HostPath.Join(options.Root, "host.json");

    /// <summary>
    /// The record; <see cref="CapabilityRecord.Untested"/> where there is none, one of a schema that is not known, or one of another build of the host, which its <see cref="CapabilityRecord.Build"/> then names.
    /// DataLoss where the file is damaged.
    /// </summary>
    public async Task<CapabilityRecord> ReadAsync(CancellationToken stop)
    {
        var bytes = await HyperVFaults.AskAsync(() => files.ReadAsync(Path, stop), $"Reading {Path}");
        if (bytes is null) return CapabilityRecord.Untested;
        try
        {
            if (JsonSerializer.Deserialize(bytes, CapabilityJson.Default.CapabilityRecord) is not { Schema: CapabilityRecord.CurrentSchema } record) return CapabilityRecord.Untested;
            if (record.Build.Length == 0) return record;
            var build = await services.BuildAsync(stop);
            return record.Build == build ? record : CapabilityRecord.Untested with { Build = build };
        }
        catch (JsonException e)
        {
            throw new WeaveException(Fault.DataLoss, $"The record of the host's self-test, {Ids.QuotePath(Path)}, is damaged: {e.Message}", "Delete it and run the self-test again.", e);
        }
    }

    public Task WriteAsync(CapabilityRecord record, CancellationToken stop) => HyperVFaults.DoAsync(async () =>
    {
        await files.CreateFolderAsync(options.Root, stop);
        await files.WriteAsync(Path, JsonSerializer.SerializeToUtf8Bytes(record, CapabilityJson.Default.CapabilityRecord), stop);
    }, $"Writing {Path}");
}
