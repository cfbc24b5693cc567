using WeaveHypervisor.Model;
using WeaveHypervisor.Operations;
using WeaveHypervisor.Weaving.Tests.Worlds;
using WeaveHypervisor.Weaving.Volumes;
using static WeaveHypervisor.Weaving.Tests.Worlds.World;

namespace WeaveHypervisor.Weaving.Tests.Matrix;

/// <summary>One operation of the product in a world that is rich enough for it to matter.</summary>
/// <param name="TellsTruth">It has no undo but the truth: undone, the store says what the machines really do, which need not be what it was.</param>
internal sealed record Scenario(string Name, Func<World, Task> Prepare, Func<World, IWeaver, Caller, Task<Operation>> Ask, bool TellsTruth = false)
{
    private static readonly WeaveId Past = WeaveId.Parse("past");
    private static readonly VolumeId Data = VolumeId.Parse("db/data");

    public static readonly IReadOnlyList<Scenario> All =
    [
        new("adopt", _ => Task.CompletedTask, (_, w, c) => w.AdoptAsync(AdoptionOf("lab", "web", "db"), c, default)),
        new("snapshot of main", LabAsync, (_, w, c) => w.SnapshotAsync(new(Lab, Weave.Main, "l", true, false), c, default)),
        new("snapshot without memory", LabAsync, (_, w, c) => w.SnapshotAsync(new(Lab, Weave.Main, null, false, false), c, default)),
        new("snapshot of a running weave", PastAsync, (_, w, c) => w.SnapshotAsync(new(Lab, Past, null, true, false), c, default)),
        new("snapshot of a stopped weave", StoppedAsync, (_, w, c) => w.SnapshotAsync(new(Lab, Past, null, true, false), c, default)),
        new("create at a snapshot", LabAsync, async (world, w, c) => await w.CreateWeaveAsync(CreationOf("new", snapshot: (await world.SnapshotsAsync())[0].Id), c, default)),
        new("create from now", LabAsync, (_, w, c) => w.CreateWeaveAsync(CreationOf("new"), c, default)),
        new("create from a weave", PastAsync, (_, w, c) => w.CreateWeaveAsync(CreationOf("new", source: "past"), c, default)),
        new("create booted", LabAsync, (_, w, c) => w.CreateWeaveAsync(CreationOf("new", start: StartMode.Boot), c, default)),
        new("create without start", LabAsync, (_, w, c) => w.CreateWeaveAsync(CreationOf("new", start: StartMode.None), c, default)),
        new("activate", PastAsync, (_, w, c) => w.ActivateAsync(new(Lab, Past, new(Web, 80, null, TimeSpan.FromSeconds(1))), c, default)),
        new("activate main again", ActivePastAsync, (_, w, c) => w.ActivateAsync(new(Lab, Weave.Main, null), c, default)),
        new("publish a named port", PastAsync, (_, w, c) => w.PublishRouteAsync(RouteOf("past", listen: 9090), c, default)),
        new("publish a chosen port", TakenPortsAsync, (_, w, c) => w.PublishRouteAsync(RouteOf("past"), c, default)),
        new("withdraw", PastAsync, async (world, w, c) => await w.WithdrawRouteAsync(Lab, (await world.Store.ListRoutesAsync(Lab, default))[0].Id, c, default)),
        new("delete a weave", PastAsync, (_, w, c) => w.DeleteWeaveAsync(Lab, Past, false, c, default)),
        new("delete a weave with snapshots", PastWithHistoryAsync, (_, w, c) => w.DeleteWeaveAsync(Lab, Past, true, c, default)),
        new("delete a snapshot", PastWithHistoryAsync, async (world, w, c) => await w.DeleteSnapshotAsync((await world.SnapshotsAsync()).First(s => s.Weave == Past).Id, c, default)),
        new("verify", LabAsync, async (world, w, c) => await w.VerifySnapshotAsync(VerificationOf((await world.SnapshotsAsync())[0].Id, new(Web, 80, null, TimeSpan.FromSeconds(1))), c, default)),
        new("verify what fails", DamagedAsync, async (world, w, c) => await w.VerifySnapshotAsync(VerificationOf((await world.SnapshotsAsync())[0].Id), c, default)),
        new("keep", PastAsync, (_, w, c) => w.KeepWeaveAsync(Lab, Past, TimeSpan.FromDays(1), c, default)),
        new("delete a weave from now", NewAsync, (_, w, c) => w.DeleteWeaveAsync(Lab, Past, false, c, default)),
        new("release", LabAsync, (_, w, c) => w.ReleaseAsync(Lab, false, c, default)),
        new("release forced", ActivePastAsync, (_, w, c) => w.ReleaseAsync(Lab, true, c, default)),
        new("first start", NewAsync, (_, w, c) => w.ChangePowerAsync(Lab, Past, WeavePower.Start, c, default), TellsTruth: true),
        new("start", StoppedAsync, (_, w, c) => w.ChangePowerAsync(Lab, Past, WeavePower.Start, c, default), TellsTruth: true),
        new("stop", PastAsync, (_, w, c) => w.ChangePowerAsync(Lab, Past, WeavePower.Stop, c, default), TellsTruth: true),
        new("set a policy", LabAsync, (_, w, c) => w.SetPolicyAsync(Lab, new() { Every = TimeSpan.FromMinutes(5), KeepLast = 3 }, c, default)),
        new("clear a policy", async world => { await LabAsync(world); await world.PolicyAsync(new() { Every = TimeSpan.FromMinutes(5), KeepLast = 3 }); }, (_, w, c) => w.SetPolicyAsync(Lab, null, c, default)),
        new("compact by merging", LongAsync, (_, w, c) => w.CompactAsync(Lab, c, default), TellsTruth: true),
        new("compact what is off", async world => { await LongAsync(world); await world.PowerAsync("main", WeavePower.PowerOff); }, (_, w, c) => w.CompactAsync(Lab, c, default), TellsTruth: true),
        new("compact by pulling", PinnedAsync, (_, w, c) => w.CompactAsync(Lab, c, default), TellsTruth: true),
        new("sync into what runs", ApartAsync, (_, w, c) => w.SyncVolumeAsync(new(Lab, Weave.Main, Past, Data), c, default)),
        new("sync into main", ApartAsync, (_, w, c) => w.SyncVolumeAsync(new(Lab, Past, Weave.Main, Data), c, default)),
        new("sync with a stop", ApartAsync, (_, w, c) => w.SyncVolumeAsync(new(Lab, Weave.Main, Past, Data, Stop: true), c, default), TellsTruth: true),
        new("undo a sync", SyncedAsync, async (world, w, c) => await w.UndoSyncAsync(Lab, (await w.ListSyncsAsync(Lab, default))[0].Kept.Sync, false, c, default)),
        new("forget a sync", SyncedAsync, async (world, w, c) => await w.ForgetSyncAsync(Lab, (await w.ListSyncsAsync(Lab, default))[0].Kept.Sync, c, default)),
        new("export a snapshot", ExportsAsync, async (world, w, c) => await w.ExportAsync(world.ExportOf("shop", (await world.SnapshotsAsync())[0].Id), c, default)),
        new("export now", ExportsAsync, (world, w, c) => w.ExportAsync(world.ExportOf("there"), c, default)),
        new("import an export", ExportedAsync, (world, w, c) => w.ImportAsync(Path.Combine(world.Exports, "shop"), EnvironmentId.Parse("again"), c, default)),
        new("set rules of a weave", RuledAsync, (_, w, c) => w.SetRulesAsync(Lab, Past, RulesTests.Of("10.1.0.0/16 192.0.2.0/24", ("db", "db web", "in tcp/5432 from any")), c, default)),
        new("set rules of a stopped weave", async world => { await RuledAsync(world); await world.PowerAsync("past", WeavePower.PowerOff); }, (_, w, c) => w.SetRulesAsync(Lab, Past, EnvironmentRules.None, c, default)),
        new("set rules of main", LabAsync, (_, w, c) => w.SetRulesAsync(Lab, Weave.Main, RulesTests.Of("10.0.0.0/8", ("front", "web", "in tcp/80 from outside")), c, default)),
        new("create with the rules of now", RuledAsync, async (world, w, c) => await w.CreateWeaveAsync(CreationOf("new", snapshot: (await world.SnapshotsAsync())[0].Id) with { Rules = RulesOf.Now }, c, default)),
        new("pause main", LabAsync, (_, w, c) => w.ChangePowerAsync(Lab, Weave.Main, WeavePower.Pause, c, default), TellsTruth: true),
    ];

    public static Scenario Named(string name) => All.Single(s => s.Name == name);

    /// <summary>All, or with WEAVE_SCENARIO those whose names contain that.</summary>
    public static TheoryData<string> Names => [.. All.Select(s => s.Name).Where(n => Environment.GetEnvironmentVariable("WEAVE_SCENARIO") is not { } part || n.Contains(part, StringComparison.Ordinal))];

    public Task<Operation> AskAsync(World world) => Ask(world, world.Weaver, Me);

    /// <summary>An adopted environment with a snapshot, orders before and after it, and a route.</summary>
    private static async Task LabAsync(World world)
    {
        await world.AdoptAsync();
        await world.OrderAsync("main", Web, "one");
        await world.SnapshotAsync();
        await world.OrderAsync("main", Web, "two");
        await world.RouteAsync(null, listen: 8080);
    }

    /// <summary>The snapshot's memory is damaged, which shows when it is started.</summary>
    private static async Task DamagedAsync(World world)
    {
        await LabAsync(world);
        File.WriteAllText((await world.SnapshotsAsync())[0].Machines.First(m => m.Memory is not null).Memory!.DeviceStatePath, "noise");
    }

    /// <summary>Besides, a running weave with an order and a route of its own.</summary>
    private static async Task PastAsync(World world)
    {
        await LabAsync(world);
        await world.CreateAsync("past", snapshot: (await world.SnapshotsAsync())[0].Id);
        await world.OrderAsync("past", Web, "past");
        await world.RouteAsync("past", listen: 8081);
    }

    /// <summary>Both have rules, and not the same.</summary>
    private static async Task RuledAsync(World world)
    {
        await PastAsync(world);
        await world.RulesAsync("main", RulesTests.Of("10.0.0.0/8", ("front", "web", "in tcp/80 from outside")));
        await world.RulesAsync("past", RulesTests.Of("10.0.0.0/8", ("shut", "web db", "in icmp from any")));
    }

    /// <summary>Both have written to a disk since, in the same place and in different ones.</summary>
    private static async Task ApartAsync(World world)
    {
        await PastAsync(world);
        await world.WriteAsync("main", Data, 20, 'm');
        await world.WriteAsync("main", Data, 70, 'M');
        await world.WriteAsync("past", Data, 70, 'P');
        await world.WriteAsync("past", Data, 120, 'p');
    }

    private static async Task SyncedAsync(World world)
    {
        await ApartAsync(world);
        await world.SyncAsync("main", "past", Data);
        await world.WriteAsync("main", Data, 0, 'n');
        await world.WriteAsync("past", Data, 200, 'q');
    }

    private static async Task NewAsync(World world)
    {
        await LabAsync(world);
        await world.CreateAsync("past", start: StartMode.None);
    }

    private static async Task StoppedAsync(World world)
    {
        await PastAsync(world);
        await world.PowerAsync("past", WeavePower.Stop);
    }

    private static async Task ActivePastAsync(World world)
    {
        await PastAsync(world);
        await world.ActivateAsync("past");
    }

    private static async Task PastWithHistoryAsync(World world)
    {
        await PastAsync(world);
        await world.SnapshotAsync("past");
        await world.OrderAsync("past", Web, "between");
        await world.SnapshotAsync("past");
        await world.OrderAsync("past", Web, "last");
    }

    /// <summary>Layers whose snapshots are gone, some below a point that a weave which is off stands on.</summary>
    private static async Task LongAsync(World world)
    {
        await LabAsync(world);
        for (var i = 0; i < 4; i++)
        {
            await world.SnapshotAsync(memory: false);
            await world.OrderAsync("main", Web, $"o{i}");
        }
        var all = await world.SnapshotsAsync();
        await world.CreateAsync("past", snapshot: all[2].Id, start: StartMode.None);
        foreach (var gone in (int[])[1, 3]) await world.DeleteSnapshotAsync(all[gone].Id);
    }

    private static async Task PinnedAsync(World world)
    {
        await LabAsync(world);
        for (var i = 0; i < 4; i++)
        {
            await world.SnapshotAsync(memory: false);
            await world.OrderAsync("main", Web, $"o{i}");
        }
    }

    /// <summary>A folder for exports, and in it one that is there already and empty.</summary>
    private static async Task ExportsAsync(World world)
    {
        await LabAsync(world);
        Directory.CreateDirectory(Path.Combine(world.Exports, "there"));
    }

    /// <summary>The machines and their network are gone, and only their export is left.</summary>
    private static async Task ExportedAsync(World world)
    {
        await ExportsAsync(world);
        await world.ExportAsync("shop", (await world.SnapshotsAsync())[0].Id);
        await world.LoseAsync();
    }

    private static async Task TakenPortsAsync(World world)
    {
        await PastAsync(world);
        world.Host.ForeignListeners.UnionWith(["tcp 20000", "tcp 20001"]);
    }
}
