using WeaveHypervisor.Model;

namespace WeaveHypervisor.Weaving.Retention;

/// <summary>Space is checked before it is promised.</summary>
internal static class SpaceGuard
{
    /// <summary>Refuses (<see cref="Fault.Exhausted"/>, with the numbers) where <paramref name="bytes"/> and the reserve do not fit into the pool.</summary>
    public static async Task CheckAsync(Bench bench, long bytes, string what, CancellationToken stop)
    {
        var storage = await bench.Driver.InspectStorageAsync(stop);
        if (storage.FreeBytes - bytes >= bench.Options.ReservedBytes) return;
        throw new WeaveException(Fault.Exhausted,
            $"{what} may need {Mib(bytes)}, and {Mib(bench.Options.ReservedBytes)} must stay free, but '{storage.Path}' has only {Mib(storage.FreeBytes)} free.",
            "Free space there, delete snapshots or weaves that are no longer needed, or take the snapshot with `--disk-only`.");
    }

    internal static string Mib(long bytes) => $"{(bytes + (1 << 20) - 1) >> 20} MiB";
}
