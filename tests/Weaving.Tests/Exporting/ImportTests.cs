using System.Text.Json.Nodes;
using WeaveHypervisor.Model;
using WeaveHypervisor.Weaving.Exporting;
using WeaveHypervisor.Weaving.Tests.Worlds;
using static WeaveHypervisor.Weaving.Tests.Worlds.World;

namespace WeaveHypervisor.Weaving.Tests.Exporting;

/// <summary>An exported folder becomes machines again, and only where it is what was exported.</summary>
public sealed class ImportTests
{
    private static async Task<World> WithExportAsync(bool lose = true)
    {
        var world = await WithLabAsync();
        Directory.CreateDirectory(world.Exports);
        await world.OrderAsync("main", Db, "then");
        await world.ExportAsync("shop", (await world.SnapshotAsync()).Snapshot);
        await world.OrderAsync("main", Db, "now");
        if (lose) await world.LoseAsync();
        return world;
    }

    private static string Manifest(World world) => Path.Combine(world.Exports, "shop", ExportManifest.FileName);

    private static void Change(World world, Action<JsonNode> change)
    {
        var manifest = JsonNode.Parse(File.ReadAllText(Manifest(world)))!;
        change(manifest);
        File.WriteAllText(Manifest(world), manifest.ToJsonString());
    }

    [Fact]
    public async Task The_machines_are_there_again_with_the_disks_of_that_time_and_stay_when_they_are_released()
    {
        await using var world = await WithExportAsync();
        var result = await world.ImportAsync("shop");
        Assert.Equal("lab", result.Environment.Text);
        Assert.Equal(["lab-db", "lab-web"], result.Domains.Order());
        Assert.Empty(result.MadeNetworks);
        var main = await world.WeaveAsync("main");
        Assert.Equal((WeaveState.Stopped, "10.20.0.11"), (main.State, main.Blueprint.Machine(Db).Nics[0].Addresses[0]));
        await world.PowerAsync("main", WeavePower.Start);
        Assert.Equal(["then"], (await world.AskAsync("main", Db))!.Orders);
        await world.CheckAsync();
        // What has come in can go out again.
        await world.ExportAsync("twice", (await world.SnapshotAsync()).Snapshot);
        await world.SucceedAsync(w => w.ReleaseAsync(Lab, true, Me, default), WeavingJson.Default.ReleaseResult);
        Assert.Equal(RunState.Running, world.Host.RunStates["lab-db"]);
    }

    [Fact]
    public async Task Disks_of_an_earlier_import_are_neither_written_over_nor_removed_by_a_later_one()
    {
        await using var world = await WithExportAsync();
        await world.ImportAsync("shop");
        string[] Disks() => [.. Directory.EnumerateFiles(Path.Combine(world.Host.Root, "imports"), "*", SearchOption.AllDirectories).Order(StringComparer.Ordinal)];
        var first = Disks();
        Assert.NotEmpty(first);
        foreach (var disk in first) File.AppendAllText(disk, "the user's");
        // The machines are gone from the host, and their disks are kept by hand.
        await world.LoseAsync();
        var kept = first.ToDictionary(d => d, File.ReadAllText);
        await world.ImportAsync("shop");
        Assert.Equal(2 * first.Length, Disks().Length);
        Assert.All(kept, k => Assert.Equal(k.Value, File.ReadAllText(k.Key)));
    }

    [Fact]
    public async Task Beside_the_original_it_is_refused_with_all_that_is_in_the_way()
    {
        await using var world = await WithExportAsync(lose: false);
        var before = await world.PictureAsync();
        var error = await world.UndoneAsync(w => w.ImportAsync(Path.Combine(world.Exports, "shop"), EnvironmentId.Parse("again"), Me, default));
        Assert.Equal((Fault.Unsupported, true, true), (error.Fault, error.Message.Contains("'web' has a MAC", StringComparison.Ordinal), error.Message.Contains("'db' has a MAC", StringComparison.Ordinal)));
        Assert.Equal(before, await world.PictureAsync());
        await world.RefusedAsync(Fault.AlreadyExists, w => w.ImportAsync(Path.Combine(world.Exports, "shop"), null, Me, default));
    }

    [Fact]
    public async Task A_box_that_has_changed_is_refused_before_anything_is_made()
    {
        await using var world = await WithExportAsync();
        var before = await world.PictureAsync();
        var box = Path.Combine(world.Exports, "shop", "boxes", "db.box");
        var bytes = File.ReadAllBytes(box);
        bytes[^1] ^= 1;
        File.WriteAllBytes(box, bytes);
        var error = await world.UndoneAsync(w => w.ImportAsync(Path.Combine(world.Exports, "shop"), null, Me, default));
        Assert.Equal((Fault.DataLoss, true), (error.Fault, error.Message.Contains("checksum", StringComparison.Ordinal)));
        Assert.Equal(before, await world.PictureAsync());
        Assert.False(Directory.Exists(Path.Combine(world.Host.Root, "imports")));
    }

    [Fact]
    public async Task An_image_that_is_not_the_promised_one_is_taken_back()
    {
        await using var world = await WithExportAsync();
        Change(world, m => m["machines"]![1]!["volumes"]![0]!["sha256"] = new string('0', 64));
        var error = await world.UndoneAsync(w => w.ImportAsync(Path.Combine(world.Exports, "shop"), null, Me, default));
        Assert.Equal(Fault.DataLoss, error.Fault);
        Assert.Empty(Directory.EnumerateFiles(world.Host.Root, "*.qcow2*", SearchOption.AllDirectories));
        Assert.Empty(world.Host.RunStates);
    }

    public static TheoryData<string, Action<JsonNode>, Fault> Malformed => new()
    {
        { "another format", m => m["format"] = "weave-export/2", Fault.Unsupported },
        { "another provider", m => m["provider"] = "hyperv", Fault.Unsupported },
        { "an unknown provider", m => m["provider"] = "vmware", Fault.InvalidRequest },
        { "a missing member", m => m.AsObject().Remove("machines"), Fault.InvalidRequest },
        { "null for a list", m => m["machines"] = null, Fault.InvalidRequest },
        { "null for a machine", m => m["machines"]![0] = null, Fault.InvalidRequest },
        { "null for an address", m => m["machines"]![0]!["nics"]![0]!["addresses"]![0] = null, Fault.InvalidRequest },
        { "no machine", m => m["machines"] = new JsonArray(), Fault.InvalidRequest },
        { "a box elsewhere", m => m["machines"]![0]!["box"]!["path"] = "../../etc/shadow", Fault.InvalidRequest },
        { "an image by another name", m => m["machines"]![0]!["volumes"]![0]!["image"] = "../disk1.img", Fault.InvalidRequest },
        { "a machine name that is a path", m => m["machines"]![0]!["name"] = "../web", Fault.InvalidRequest },
        { "a machine named twice", m => m["machines"]![0]!["name"] = m["machines"]![1]!["name"]!.GetValue<string>(), Fault.InvalidRequest },
        { "a MAC that is none", m => m["machines"]![0]!["nics"]![0]!["mac"] = "52:54:00:01:00:01' onload='", Fault.InvalidRequest },
        { "an interface on no network", m => m["machines"]![0]!["nics"]![0]!["network"] = "nowhere", Fault.InvalidRequest },
        { "too much memory", m => m["machines"]![0]!["memoryBytes"] = long.MaxValue, Fault.InvalidRequest },
        { "no processors", m => m["machines"]![0]!["virtualCpus"] = 0, Fault.InvalidRequest },
        { "another chipset", m => m["machines"]![0]!["chipset"] = "microvm", Fault.InvalidRequest },
        { "an address that is none", m => m["networks"]![0]!["gateway"] = "010.20.0.1", Fault.InvalidRequest },
        { "a digest that is none", m => m["machines"]![0]!["box"]!["sha256"] = "abc", Fault.InvalidRequest },
        { "a domain with a line break", m => m["networks"]![0]!["domainName"] = "a\nb", Fault.InvalidRequest },
    };

    [Theory, MemberData(nameof(Malformed))]
    public async Task A_manifest_that_no_export_writes_is_refused_at_once(string what, Action<JsonNode> change, Fault fault)
    {
        await using var world = await WithExportAsync();
        Change(world, change);
        var refusal = await world.RefusedAsync(fault, w => w.ImportAsync(Path.Combine(world.Exports, "shop"), null, Me, default));
        Assert.Contains("weave-export.json", refusal.Message, StringComparison.Ordinal);
        Assert.NotEmpty(what);
    }

    [Fact]
    public async Task A_folder_that_is_no_export_is_refused_at_once()
    {
        await using var world = await WithExportAsync();
        await world.RefusedAsync(Fault.NotFound, w => w.ImportAsync(world.Exports, null, Me, default));
        await world.RefusedAsync(Fault.NotFound, w => w.ImportAsync(world.Exports + "/nowhere", null, Me, default));
        await world.RefusedAsync(Fault.InvalidRequest, w => w.ImportAsync("shop", null, Me, default));
        File.WriteAllText(Manifest(world), "{");
        await world.RefusedAsync(Fault.InvalidRequest, w => w.ImportAsync(world.Exports + "/shop", null, Me, default));
        File.WriteAllText(Manifest(world), "{}" + new string(' ', ExportManifest.MaxBytes));
        await world.RefusedAsync(Fault.InvalidRequest, w => w.ImportAsync(world.Exports + "/shop", null, Me, default));
    }
}
