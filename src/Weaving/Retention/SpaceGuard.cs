using WeaveHypervisor.Model;

namespace WeaveHypervisor.Weaving.Retention;

/// <summary>Space is checked before it is promised.</summary>
internal static class SpaceGuard
{
    /// <summary>Refuses (<see cref="Fault.Exhausted"/>, with the numbers) where <paramref name="bytes"/> and the reserve do not fit into the pool.</summary>
    /// <param name="next">What to do about it, where it is not what is done about a snapshot.</param>
    /// <param name="automatic">Nobody has asked for it: the floor must stay free, not only the reserve.</param>
    public static async Task CheckAsync(Bench bench, long bytes, string what, CancellationToken stop, bool automatic = false, string? next = null)
    {
        var storage = await bench.Driver.InspectStorageAsync(stop);
        var left = automatic ? bench.Options.FloorBytes : bench.Options.ReservedBytes;
        if (storage.FreeBytes - bytes >= left) return;
        throw new WeaveException(Fault.Exhausted,
            $"{what} may need {Mib(bytes)}, and {Mib(left)} must stay free{(automatic ? " of automatic ones" : "")}, but '{storage.Path}' has only {Mib(storage.FreeBytes)} free.",
            next ?? "Free space there, delete snapshots or weaves that are no longer needed, or take the snapshot with `--disk-only`.");
    }

    internal static string Mib(long bytes) => $"{(bytes + (1 << 20) - 1) >> 20} MiB";
}
