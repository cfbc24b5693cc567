using WeaveHypervisor.HyperV.Cim;

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
        var read = await HyperVFaults.AskAsync(() => files.ReadRecordAsync(Path, CapabilityJson.Default.CapabilityRecord, "record of the host's self-test", "Delete it and run the self-test again.", stop), $"Reading {Path}");
        if (read is not { Schema: CapabilityRecord.CurrentSchema } record) return CapabilityRecord.Untested;
        if (record.Build.Length == 0) return record;
        var build = await services.BuildAsync(stop);
        return record.Build == build ? record : CapabilityRecord.Untested with { Build = build };
    }

    public Task WriteAsync(CapabilityRecord record, CancellationToken stop) =>
        HyperVFaults.DoAsync(() => files.WriteRecordAsync(Path, record, CapabilityJson.Default.CapabilityRecord, stop), $"Writing {Path}");
}
