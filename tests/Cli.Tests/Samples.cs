using System.Text.Json;
using WeaveHypervisor.Client.V1;

namespace WeaveHypervisor.Cli.Tests;

/// <summary>The environment `shop`: main with two snapshots, a weave made from the first, and one made from a snapshot of that.</summary>
internal static class Samples
{
    private static DateTimeOffset Noon => CliRun.Noon;

    public static JsonElement Element(string json)
    {
        using var document = JsonDocument.Parse(json);
        return document.RootElement.Clone();
    }

    public static EnvironmentView Shop => new()
    {
        Name = "shop", Host = "local", State = "managed", AdoptedAt = Noon.AddDays(-1), ActiveWeave = "main", PreviousActiveWeave = "audit", Machines = ["web", "db"],
        Networks = [new("front", "10.20.0.1", 24, true), new("back", null, 24, false)], Volumes = [new("web/vda", "/images/web.qcow2", "qcow2")], Weaves = 3, Snapshots = 3,
        SnapshotPolicy = new()
        {
            Every = "5m", KeepLast = 12, Hourly = 24, Daily = 7, Memory = true, Quiesce = false,
            NextAt = Noon.AddMinutes(5), LastOperation = "op-7", LastState = "undone", LastAt = Noon, LastError = "The snapshot of 'shop/main' may need 256 MiB.",
        },
    };

    public static RulesView Rules => new()
    {
        Of = new("main", null, null), Access = new() { Sources = ["10.0.0.0/8", "192.0.2.7/32"] },
        Groups =
        [
            new() { Name = "front", Description = "what users see", Machines = ["web"], Rules = ["in tcp/80,443 from outside", "out tcp/5432 to data"] },
            new() { Name = "data", Machines = ["db", "cache"], Rules = ["in tcp/5432 from front"] }, new() { Name = "shut", Machines = ["old"], Rules = [] },
        ],
    };

    public static CompactionView Compaction => new()
    {
        Chains = [new("main", "web/vda", 16), new("audit", "web/vda", 3)], Folds = ["merge 3 layers of web/vda under shop-web"], InUse = ["2 layers of db/vda: weave.shop.audit.db, shop-db have them open"], Limit = 16,
    };

    public static TimelineView Timeline => new()
    {
        Environment = Shop, Activations = [new("main", Noon.AddDays(-1))],
        Weaves =
        [
            Weave("main", null, "running") with { Active = true },
            Weave("audit", "snap-1", "paused") with { ExpiresAt = Noon.AddHours(4), Rules = new(2, 5, ["10.0.0.0/8"]) },
            Weave("verify-0123abcd", "snap-2", "running") with { Verifies = "snap-2", ExpiresAt = Noon.AddHours(1) },
            Weave("what-if", "snap-3", "stopped") with { Source = "audit", Drift = [new("stopped", "machine web was stopped by something else", Noon)] },
        ],
        Snapshots = [
            Snapshot("snap-1", "main", -60, "before-upgrade") with { MadeBy = "admin", Verification = new(Noon, true, "service", "http://web:80/", null, 812.5, [new("web", "running", "shared", null), new("db", "off", "off", null)]) },
            Snapshot("snap-2", "main", -30, null) with { Parent = "snap-1", Consistency = "crash", MadeBy = "(policy)", Verification = new(Noon, false, "running", "the machines run", "it cannot be revived: a file is gone", null, []) },
            Snapshot("snap-0", "main", -20, null) with { Parent = "snap-2", ForWeave = true, Verification = new(Noon, true, "running", "running for 10 s", null, null, []) },
            Snapshot("snap-3", "audit", -10, "[red]") with { Parent = "snap-1", State = "capturing" }],
    };

    private static WeaveView Weave(string id, string? origin, string state) => new()
    {
        Environment = "shop", Id = id, State = state, Active = false, CreatedAt = Noon.AddMinutes(-20), Origin = origin, OriginAt = origin is null ? null : Noon.AddMinutes(origin == "snap-1" ? -60 : -10), Source = origin is null ? null : "main", Uplink = "none", Drift = [],
        Kept = id == "audit" ? [new("op-9", id, "db/data", "main", Noon, "layer-9", null)] : [],
        Machines = [new() { Name = "web", Domain = $"weave-{id}-web", Uuid = "00000000-0000-0000-0000-000000000001", RunState = "paused", StartedBy = "memory shared", Addresses = [new("52:54:00:00:00:01", "10.20.0.10", "100.64.1.10")], Volumes = [new("web/vda", "layer-1")] }],
    };

    private static SnapshotView Snapshot(string id, string weave, int minutes, string? label) => new()
    {
        Id = id, Environment = "shop", Weave = weave, At = Noon.AddMinutes(minutes), Label = label, State = "ready", Consistency = "machine", SkewMs = 1.5, LongestPauseMs = 42, MemoryBytes = 256L << 20,
        Machines = [new() { Name = "web", RunState = "running", Method = "background", PauseMs = 42, MemoryBytes = 256L << 20 }, new() { Name = "db", RunState = "off", Method = "none", Reason = "it was off", PauseMs = 0, MemoryBytes = 0 }],
    };

    public static RouteView Route => new() { Id = "route-1", Environment = "shop", Weave = "main", FollowsActive = true, Machine = "web", Protocol = "tcp", Listen = "0.0.0.0:8080", Connect = "127.0.0.1:8080", TargetPort = 80, Target = "10.20.0.10:80", CreatedAt = Noon };
    public static TokenView Token => new("ci", "ci", "operator", ["shop", "lab"], Noon, Noon.AddDays(30), false);

    public static DoctorView Doctor => new("QEMU", "10.0", new Dictionary<string, string> { ["storage"] = "/var/lib/weave-pool" },
        [new("ok", "kvm", "Hardware virtualization is there.", null), new("warning", "shop/audit", "machine web was stopped by something else.", "See `weave show shop/audit`.")], []);

    public static DoctorView Repaired => Doctor with { Findings = [new("ok", "reconciliation", "The host has what the store says.", null)], Repaired = ["published again 2 routes", "made whole the fence of shop/audit: its name server is not running"] };
    public static DoctorView Looked => Doctor with { Findings = [.. Doctor.Findings, new("error", "shop", "its layer '/pool/a.qcow2' is gone.", "Put it back.")], Repairable = ["publish again 2 routes"], Busy = ["lab"] };

    private static readonly string Picture = "0018" + new string('0', 56) + "4100";

    public static VolumeDiffsView Differences => new()
    {
        Environment = "shop", Left = "main", Right = "audit",
        Volumes =
        [
            new() { Volume = "web/vda", LeftInstant = "as of snap-1 at 2030-01-01T12:00:00.000Z", RightInstant = "as it is (its machine is off)", Difference = new(64L << 20, 0, 0, 0, 0, "layer-0", 4096, "what is allocated above the common layer", new string('0', 64)), Ranges = [], Unseen = [] },
            new()
            {
                Volume = "db/data", LeftInstant = "as of snap-1 at 2030-01-01T12:00:00.000Z", RightInstant = "as it is (its machine is off)", Unseen = ["db/data of main is being written by a machine that runs: it was looked at as of snap-1, and what was written since is not seen"],
                Difference = new(64L << 20, 1 << 20, 8192, 4096, 3, "layer-1", 3 << 20, "what is allocated above the common layer", Picture), Ranges = [new(2 << 20, 1 << 20, "left"), new(60 << 20, 8192, "right"), new(61 << 20, 4096, "both")],
            },
        ],
    };

    public static JsonElement SyncResult => Element($$"""
        {"environment":"shop","sourceWeave":"main","destinationWeave":"audit","volume":"db/data","strategy":"merge","dryRun":false,"method":"copy","sourceInstant":"at 2030-01-01T12:00:00.000Z",
         "difference":{"capacity":67108864,"leftBytes":1048576,"rightBytes":8192,"bothBytes":4096,"ranges":3,"commonLayer":"layer-1","bytesRead":3145728,"method":"what is allocated above the common layer","picture":"{{Picture}}","bytes":1060864},
         "bytesCopied":1052672,"conflicts":[{"offset":63963136,"length":4096,"by":"both"}],"kept":"layer-9","restarted":true,"notes":["no guest agent could say whether db/data was mounted"]}
        """);

    public static JsonElement SnapshotResult => Element("""
        {"snapshot":"snap-4","environment":"shop","weave":"main","at":"2030-01-01T12:00:00.500Z","consistency":"machine","skewMs":1.5,"longestPauseMs":42.25,"storedBytes":268435456,
         "machines":[{"name":"web","runState":"running","method":"background","reason":null},{"name":"db","runState":"running","method":"suspended","reason":"hugepages"}]}
        """);

    public static IReadOnlyList<SnapshotFileView> Files => [new("web", "layer", "/pool/web-1.qcow2", "vda", 5 << 20, 1), new("db", "adopted", "/images/db.qcow2", "vda", null, 0), new("web", "memory", "/pool/web.ram"), new("web", "deviceState", "/pool/web.state")];

    public static JsonElement VerifyResult => Element("""{"snapshot":"snap-1","environment":"shop","passed":true,"level":"service","probe":"http://web:80/","reason":null,"firstReplyMs":812.5,"machines":[]}""");

    public static JsonElement CreateResult => Element("""
        {"environment":"shop","weave":"audit","snapshot":"snap-1","at":"2030-01-01T11:00:00.000Z",
         "machines":[{"name":"web","runState":"running","method":"shared","createMs":10,"loadMs":20,"resumeMs":1.5},{"name":"db","runState":"off","method":"off","createMs":0,"loadMs":0,"resumeMs":0}],
         "addresses":[{"machine":"web","mac":"52:54:00:00:00:01","inner":"10.20.0.10","outer":"100.64.1.10"}]}
        """);
}
