using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Weaving.Retention;

/// <summary>What the pool holds and how long that lasts, for the doctor: free space and floor, a forecast for each active weave, and machines that stand still because their disk could not grow.</summary>
internal sealed class PoolLook(Bench bench)
{
    /// <summary>The forecast for a weave; `active` is resolved by the caller.</summary>
    public async Task<SpaceForecast> ForecastAsync(Weave weave, bool memory, CancellationToken stop)
    {
        var storage = await bench.Driver.InspectStorageAsync(stop);
        var (_, snapshots, layers) = await bench.Store.ReadHistoryAsync(weave.Environment, stop);
        return SpaceForecast.Of(weave, snapshots, layers, bench.Options, storage.Path, storage.FreeBytes, memory);
    }

    public async Task<IReadOnlyList<Finding>> RunAsync(CancellationToken stop)
    {
        var findings = new List<Finding>();
        var (storage, growth) = (await bench.Driver.InspectStorageAsync(stop), 0L);
        foreach (var environment in (await bench.Store.ListEnvironmentsAsync(stop)).Where(bench.IsHere))
        {
            var (weaves, snapshots, layers) = await bench.Store.ReadHistoryAsync(environment.Id, stop);
            // The user's own files are elsewhere; what is ours grows in the pool.
            var live = weaves.SelectMany(w => w.Machines).SelectMany(m => m.Heads).Select(h => layers.Get(h.Layer)).Where(l => !l.Adopted).ToList();
            var sizes = await bench.Driver.MeasureFilesAsync([.. live.Select(l => l.Path)], stop);
            growth += live.Sum(l => Math.Max(0, l.VirtualSize - sizes.GetValueOrDefault(l.Path)));
            foreach (var weave in weaves) findings.AddRange(await StalledAsync(weave, stop));
            if (weaves.FirstOrDefault(w => w.Id == environment.ActiveWeave) is not { } active) continue;
            var forecast = SpaceForecast.Of(active, snapshots, layers, bench.Options, storage.Path, storage.FreeBytes, memory: true);
            findings.Add(new(forecast.PointsLeft > 0 ? FindingLevel.Ok : FindingLevel.Warning, $"{environment.Id}/{active.Id}",
                $"a snapshot with memory costs about {SpaceGuard.Mib(forecast.LikelyBytes)}{(forecast.Points == 0 ? " (none was measured yet)" : "")}, at worst {SpaceGuard.Mib(forecast.WorstBytes)}; the pool has room for about {forecast.PointsLeft} more above its floor.",
                forecast.PointsLeft > 0 ? null : "Automatic points are skipped. Free space, or delete snapshots and weaves that are no longer needed."));
        }
        var low = storage.FreeBytes < bench.Options.FloorBytes;
        findings.Insert(0, new(low ? FindingLevel.Warning : growth > storage.FreeBytes ? FindingLevel.Note : FindingLevel.Ok, "space",
            $"{SpaceGuard.Mib(storage.FreeBytes)} are free under {storage.Path}; the floor is {SpaceGuard.Mib(bench.Options.FloorBytes)}. Machines may still write {SpaceGuard.Mib(growth)} into their layers{(growth > storage.FreeBytes ? ", which is more than there is: one that finds no space is paused by the hypervisor" : "")}.",
            low ? "Free space, or delete snapshots and weaves that are no longer needed, before machines find none for their own writes." : null));
        return findings;
    }

    private async Task<IReadOnlyList<Finding>> StalledAsync(Weave weave, CancellationToken stop)
    {
        var findings = new List<Finding>();
        foreach (var machine in weave.Machines)
            if (await TroubleAsync(bench.Driver, machine, stop) is { } trouble) findings.Add(new(FindingLevel.Error, $"{weave.Environment}/{weave.Id}", Describe(machine.Name, trouble) + ".", NextStep($"{weave.Environment}/{weave.Id}", trouble)));
        return findings;
    }

    private static async Task<DiskTrouble?> TroubleAsync(IHypervisorDriver driver, WeaveMachine machine, CancellationToken stop)
    {
        try
        {
            return (await driver.InspectAsync(machine.ToRef(), stop))?.Trouble;
        }
        catch (WeaveException e) when (e.Fault == Fault.Conflict)
        {
            // Another machine by its UUID: drift, which is told elsewhere.
            return null;
        }
    }

    /// <summary>For people, without a full stop.</summary>
    public static string Describe(MachineName machine, DiskTrouble trouble) => trouble == DiskTrouble.NoSpace
        ? $"machine {machine} was paused by the hypervisor: there is no space left for what it writes" : $"machine {machine} was paused by the hypervisor: a write to its disk failed";

    public static string NextStep(string weave, DiskTrouble trouble) => trouble == DiskTrouble.NoSpace
        ? $"Free space in the pool, or delete snapshots and weaves that are no longer needed; then let it go on with `weave resume {weave}`: the write is tried again and nothing is lost."
        : $"Look at the kernel log for the disk below; then let it go on with `weave resume {weave}`.";
}
