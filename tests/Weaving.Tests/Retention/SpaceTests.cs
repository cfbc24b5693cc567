using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;
using WeaveHypervisor.Weaving.Retention;
using WeaveHypervisor.Weaving.Tests.Worlds;
using static WeaveHypervisor.Weaving.Tests.Worlds.World;

namespace WeaveHypervisor.Weaving.Tests.Retention;

/// <summary>What a snapshot costs, how many there is room for, and machines that found none.</summary>
public sealed class SpaceTests
{
    private const long Mib = 1 << 20;

    private static async Task<World> WithLabAsync()
    {
        var world = new World(new() { FirstPort = 20000, LastPort = 20009, VerifyRunTime = TimeSpan.Zero, ReservedBytes = Mib, FloorBytes = 10 * Mib, BytesPerLayer = Mib / 4 }).WithMachines();
        await world.AdoptAsync();
        return world;
    }

    private static Task<SpaceForecast> ForecastAsync(World world, bool memory = true) => world.Weaver.ForecastAsync(Lab, null, memory, default);

    [Fact]
    public async Task Before_there_is_history_the_worst_case_is_what_is_expected()
    {
        await using var world = await WithLabAsync();
        var forecast = await ForecastAsync(world);
        // Two machines of 1 MiB of memory, three disks.
        Assert.Equal((2 * Mib + 3 * Mib / 4, 0), (forecast.WorstBytes, forecast.Points));
        Assert.Equal(forecast.WorstBytes, forecast.LikelyBytes);
        Assert.Equal(3 * Mib / 4, (await ForecastAsync(world, memory: false)).WorstBytes);
    }

    [Fact]
    public async Task What_recent_snapshots_of_the_weave_took_is_what_the_next_is_expected_to_take_and_never_less_than_is_safe()
    {
        await using var world = await WithLabAsync();
        await world.SnapshotAsync();
        // The first one froze the user's own disks, which say nothing of growth.
        Assert.Equal(0, (await ForecastAsync(world)).Points);
        await world.SnapshotAsync(memory: false);
        Assert.Equal((0, 1), ((await ForecastAsync(world)).Points, (await ForecastAsync(world, memory: false)).Points));
        var before = (await world.Store.ListLayersAsync(Lab, default)).Single(l => l is { State: LayerState.Live } && l.Machine == Web);
        await using (var disk = new FileStream(before.Path, FileMode.Append)) await disk.WriteAsync(new byte[3 * Mib]);
        var taken = await world.SnapshotAsync();
        var frozen = (await world.Store.ListLayersAsync(Lab, default)).Single(l => l.Id == before.Id);
        Assert.InRange(frozen.FrozenBytes!.Value, 3 * Mib, 4 * Mib);
        var forecast = await ForecastAsync(world);
        Assert.Equal(1, forecast.Points);
        Assert.InRange(forecast.LikelyBytes, 3 * Mib + taken.StoredBytes, 4 * Mib + taken.StoredBytes);
        for (var i = 0; i < 6; i++) await world.SnapshotAsync();
        var quiet = await ForecastAsync(world);
        Assert.Equal(5, quiet.Points);
        Assert.InRange(quiet.LikelyBytes, 3 * Mib / 4, 3 * Mib);
    }

    [Theory]
    [InlineData(100, 40, 20, 10, 5)]
    [InlineData(60, 40, 20, 10, 1)]
    [InlineData(59, 40, 20, 10, 0)]
    [InlineData(10, 40, 20, 10, 0)]
    public void Automatic_points_end_while_the_worst_case_still_fits_above_the_floor(long free, long floor, long worst, long likely, long left)
    {
        var forecast = new SpaceForecast(Lab, Weave.Main, "/pool", free * Mib, floor * Mib, worst * Mib, likely * Mib, 3);
        Assert.Equal((left, left == 0), (forecast.PointsLeft, forecast.Refusal is not null));
        if (left == 0) Assert.Contains($"{floor} MiB must stay free, but '/pool' has only {free} MiB free", forecast.Refusal);
    }

    [Fact]
    public async Task The_doctor_tells_space_floor_and_forecast_and_warns_below_the_floor()
    {
        await using var world = await WithLabAsync();
        await world.SnapshotAsync();
        world.Host.FreeBytes = 100 * Mib;
        var findings = await world.Weaver.LookAtPoolAsync(default);
        Assert.Contains("100 MiB are free", findings[0].Text);
        Assert.Contains("floor is 10 MiB", findings[0].Text);
        Assert.Equal([FindingLevel.Ok, FindingLevel.Ok], findings.Select(f => f.Level));
        Assert.Equal("lab/main", findings[1].Subject);
        world.Host.FreeBytes = 9 * Mib;
        findings = await world.Weaver.LookAtPoolAsync(default);
        Assert.Equal([FindingLevel.Warning, FindingLevel.Warning], findings.Select(f => f.Level));
        Assert.All(findings, f => Assert.NotNull(f.NextStep));
        // People are still served, as long as the worst case fits.
        await world.SnapshotAsync();
        world.Host.FreeBytes = 2 * Mib;
        Assert.Equal(Fault.Exhausted, (await world.UndoneAsync(w => w.SnapshotAsync(new(Lab, null, null, true, false), Me, default))).Fault);
    }

    [Fact]
    public async Task A_machine_that_found_no_space_is_told_with_the_way_out_and_goes_on()
    {
        await using var world = await WithLabAsync();
        await world.SnapshotAsync();
        world.Host.RunOutOfSpace((await world.WeaveAsync("main")).Machines.Single(m => m.Name == Web).Uuid);
        var finding = Assert.Single(await world.Weaver.LookAtPoolAsync(default), f => f.Level == FindingLevel.Error);
        Assert.Equal("lab/main", finding.Subject);
        Assert.Contains("no space left", finding.Text);
        Assert.Contains("weave resume lab/main", finding.NextStep);
        Assert.Contains((await world.Weaver.ReconcileAsync(new(RepairMode.Look), default)).Findings, f => f.NextStep?.Contains("weave resume lab/main", StringComparison.Ordinal) == true);
        Assert.Equal(DriftKind.Space, Assert.Single((await world.WeaveAsync("main")).Drift).Kind);
        Assert.Equal(WeaveState.Running, (await world.PowerAsync("main", WeavePower.Resume)).State);
        Assert.DoesNotContain(await world.Weaver.LookAtPoolAsync(default), f => f.Level == FindingLevel.Error);
        await world.Weaver.ReconcileAsync(new(RepairMode.Look), default);
        Assert.Empty((await world.WeaveAsync("main")).Drift);
    }
}
