using WeaveHypervisor.Drivers;
using WeaveHypervisor.HyperV.Fences;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.HyperV.Inspecting;

/// <summary>Facts of the host and what stands in the way, for the doctor. Everything is a finding.</summary>
internal sealed class HostInspector(DriverContext context)
{
    public async Task<HostFacts> InspectAsync(CancellationToken stop)
    {
        var findings = new List<Finding>(await new Preflight(context.Client, Uplink.NameNat(context.Options)).RunAsync(stop));
        var details = new Dictionary<string, string> { ["root"] = context.Paths.Root };
        var version = "unknown";
        try
        {
            var record = await context.Record.ReadAsync(stop);
            if (record.Build.Length > 0) version = record.Build;
            findings.Add(Tell(record));
            findings.Add(await GatewayAsync(stop));
            details["memory"] = record.Route(context.Options.AllowOutage) is { } route ? route.ToString().ToLowerInvariant() : "none";
            var storage = await StorageAsync(stop);
            details["free"] = $"{storage.FreeBytes >> 30} GiB";
        }
        catch (WeaveException e)
        {
            findings.Add(new(FindingLevel.Error, "files", e.Message, e.NextStep));
        }
        return new("Hyper-V", version, details, findings);
    }

    /// <summary>Bytes that are free where layers are made. How many there are in all Hyper-V's files do not tell: 0.</summary>
    public async Task<StorageFacts> StorageAsync(CancellationToken stop) =>
        new(context.Paths.Root, await HyperVFaults.AskAsync(() => context.Files.FreeBytesAsync(context.Paths.Root, stop), "Asking for free space"), 0);

    /// <summary>Whether anything leads into weaves.</summary>
    private async Task<Finding> GatewayAsync(CancellationToken stop)
    {
        const string subject = "gateway";
        if (context.Options.GatewayImage is not { } image)
            return new(FindingLevel.Note, subject, "There is no image for gateways: weaves are isolated, their machines are reached by the console alone, and no port leads to them.", $"Build one (`hyperv/gateway/build`), and set {nameof(HyperVOptions.GatewayImage)}.");
        return await HyperVFaults.AskAsync(() => context.Files.FindAsync(image, stop), $"Looking for {image}") is { IsFolder: false }
            ? new(FindingLevel.Ok, subject, $"Weaves are reached by gateways, at addresses of {context.Options.Uplink}.", null)
            : new(FindingLevel.Error, subject, $"The image for gateways, {Ids.QuotePath(image)}, is not there: weaves cannot be started.", $"Put it back, or set {nameof(HyperVOptions.GatewayImage)} to where it is.");
    }

    private Finding Tell(CapabilityRecord record) => (record.TestedAt, record.Route(context.Options.AllowOutage)) switch
    {
        (null, { } route) => new(FindingLevel.Warning, "self-test", $"It has not run on this host: memory is taken by the documented way ({route.ToString().ToLowerInvariant()}), {(route == CaptureRoute.Flat ? "for which all disks are copied" : "for which machines stand still")}.", "Run the self-test."),
        (_, { } route) => new(FindingLevel.Ok, "self-test", $"Memory is taken by the way '{route.ToString().ToLowerInvariant()}'; {(record.Proven.Contains(route) ? "a guest was heard to count on in its copy" : "that copies resume by it rests on what the host says of them alone")}.", null),
        _ => new(FindingLevel.Warning, "self-test", "No way was found by which a copy resumes from memory on this host: snapshots hold disks only.", record.Resumes.Contains(CaptureRoute.Saved) ? "Allow machines to stand still: AllowOutage." : "Update the host, and run the self-test again."),
    };
}
