using System.Security.Cryptography;
using System.Text.Json;
using WeaveHypervisor.Model;
using WeaveHypervisor.Operations;
using WeaveHypervisor.Weaving.Exporting;
using WeaveHypervisor.Weaving.Tests.Worlds;
using static WeaveHypervisor.Weaving.Tests.Worlds.World;

namespace WeaveHypervisor.Weaving.Tests.Exporting;

/// <summary>What an export holds, and what is refused of one.</summary>
public sealed class ExportTests
{
    private static async Task<World> WithExportsAsync()
    {
        var world = await WithLabAsync();
        Directory.CreateDirectory(world.Exports);
        return world;
    }

    private static ExportManifest ManifestIn(World world, string folder) =>
        JsonSerializer.Deserialize(File.ReadAllText(Path.Combine(world.Exports, folder, ExportManifest.FileName)), ExportJson.Default.ExportManifest)!;

    [Fact]
    public async Task A_snapshot_is_exported_as_it_was_with_all_machines_volumes_and_addresses()
    {
        await using var world = await WithExportsAsync();
        await world.OrderAsync("main", Db, "then");
        var snapshot = await world.SnapshotAsync(label: "before");
        await world.OrderAsync("main", Db, "now");
        var result = await world.ExportAsync("shop", snapshot.Snapshot);

        Assert.Equal((snapshot.Snapshot, true, snapshot.At, Consistency.Crash), (result.Snapshot, result.SnapshotKept, result.At, result.Consistency));
        var manifest = ManifestIn(world, "shop");
        Assert.Equal((ExportManifest.CurrentFormat, "lab", "main", "before", snapshot.At), (manifest.Format, manifest.Environment.Text, manifest.Weave.Text, manifest.Label, manifest.At));
        var blueprint = (await world.WeaveAsync("main")).Blueprint;
        Assert.Equal(blueprint.Machines.Select(m => (m.Name, m.MemoryBytes, m.VirtualCpus, m.Nics[0].Mac, m.Nics[0].Addresses[0])), manifest.Machines.Select(m => (m.Name, m.MemoryBytes, m.VirtualCpus, m.Nics[0].Mac, m.Nics[0].Addresses[0])));
        Assert.Equal(["vda", "data"], manifest.Machines.Single(m => m.Name == Db).Volumes.Select(v => v.Name.Text));
        Assert.Equal("then", Pictures.BoxOf(Path.Combine(world.Exports, "shop", "boxes", "db.box"))["disk1.img"]);
        Assert.Contains("web: the variables of its UEFI firmware", manifest.NotCarried);
        Assert.Contains("db: its memory at that instant: it boots", manifest.NotCarried);
        // The machines have run on, and nothing is left of the making.
        Assert.NotNull(await world.AskAsync("main", Db));
        Assert.Equal(["shop"], Directory.EnumerateFileSystemEntries(world.Exports).Select(Path.GetFileName));
        Assert.Equal(["Vagrantfile", "boxes", "weave-export.json"], Directory.EnumerateFileSystemEntries(Path.Combine(world.Exports, "shop")).Select(Path.GetFileName).Order(StringComparer.Ordinal));
        await world.CheckAsync();
    }

    [Fact]
    public async Task Every_file_is_private_and_has_the_length_and_digest_that_the_manifest_says()
    {
        await using var world = await WithExportsAsync();
        await world.ExportAsync("shop", (await world.SnapshotAsync()).Snapshot);
        var manifest = ManifestIn(world, "shop");
        foreach (var file in manifest.Machines.Select(m => m.Box).Concat(manifest.Files))
        {
            var path = Path.Combine(world.Exports, "shop", file.Path);
            Assert.Equal((file.Bytes, file.Sha256), (new FileInfo(path).Length, Convert.ToHexStringLower(SHA256.HashData(File.ReadAllBytes(path)))));
        }
        foreach (var entry in Directory.EnumerateFileSystemEntries(Path.Combine(world.Exports, "shop"), "*", SearchOption.AllDirectories).Prepend(Path.Combine(world.Exports, "shop")))
            Assert.Equal((UnixFileMode)0, File.GetUnixFileMode(entry) & ~(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute));
    }

    [Fact]
    public async Task For_HyperV_each_box_has_a_machine_its_first_disk_where_Vagrant_looks_and_the_others_apart()
    {
        await using var world = await WithExportsAsync();
        await world.OrderAsync("main", Db, "then");
        var snapshot = (await world.SnapshotAsync()).Snapshot;
        await world.SucceedAsync(w => w.ExportAsync(world.ExportOf("shop", snapshot) with { Provider = "hyperv" }, Me, default), WeavingJson.Default.ExportResult);
        var box = Pictures.BoxOf(Path.Combine(world.Exports, "shop", "boxes", "db.box"));
        Assert.Equal(["Data Disks/disk2.vhdx", "Virtual Hard Disks/disk1.vhdx", "Virtual Machines/box.xml", "metadata.json"], box.Keys.Order(StringComparer.Ordinal));
        Assert.Equal(("then", """{"provider":"hyperv"}"""), (box["Virtual Hard Disks/disk1.vhdx"], box["metadata.json"].Trim()));
        Assert.Contains("config.vm.define 'db'", File.ReadAllText(Path.Combine(world.Exports, "shop", "Vagrantfile")), StringComparison.Ordinal);
        Assert.Equal(ExportProvider.Hyperv, ManifestIn(world, "shop").Provider);
        await world.RefusedAsync(Fault.Unsupported, w => w.ImportAsync(Path.Combine(world.Exports, "shop"), null, Me, default));
        await world.CheckAsync();
    }

    [Fact]
    public async Task A_weave_is_exported_as_it_is_now_and_the_moment_that_was_taken_for_it_goes_again()
    {
        await using var world = await WithExportsAsync();
        await world.SnapshotAsync();
        await world.OrderAsync("main", Web, "now");
        var result = await world.ExportAsync("now");
        Assert.False(result.SnapshotKept);
        Assert.Equal("now", Pictures.BoxOf(Path.Combine(world.Exports, "now", "boxes", "web.box"))["disk1.img"]);
        Assert.Single(await world.SnapshotsAsync());
        await world.SnapshotAsync();
        await world.CheckAsync();
        await world.PowerAsync("main", WeavePower.PowerOff);
        await world.ExportAsync("off");
        await world.CheckAsync();
    }

    [Fact]
    public async Task An_export_that_somebody_has_removed_before_it_had_its_name_is_not_told_to_be_there()
    {
        await using var world = await WithExportsAsync();
        var path = Path.Combine(world.Exports, "shop");
        Assert.Equal(Fault.DataLoss, Assert.Throws<WeaveException>(() => ExportFolder.Publish(path + ".export-1", path)).Fault);
        await world.ExportAsync("shop", (await world.SnapshotAsync()).Snapshot);
        ExportFolder.Publish(path + ".export-1", path);
    }

    [Fact]
    public async Task Calls_of_the_drivers_optional_abilities_are_watched_like_all_others()
    {
        await using var world = await WithExportsAsync();
        var snapshot = (await world.SnapshotAsync()).Snapshot;
        world.Process.Calls.Arm();
        await world.ExportAsync("shop", snapshot);
        Assert.Contains("driver.WriteImageAsync before", world.Process.Calls.Passed);
    }

    [Fact]
    public async Task Two_exports_of_one_snapshot_have_different_boxes_for_Vagrant()
    {
        await using var world = await WithExportsAsync();
        var snapshot = (await world.SnapshotAsync()).Snapshot;
        await world.ExportAsync("a", snapshot);
        await world.ExportAsync("b", snapshot);
        Assert.NotEqual(ManifestIn(world, "a").Prefix, ManifestIn(world, "b").Prefix);
    }

    [Theory]
    [InlineData("relative")]
    [InlineData("/")]
    [InlineData("")]
    [InlineData("/tmp/../etc/weave")]
    [InlineData("/tmp//weave")]
    [InlineData("/tmp/we\nave")]
    public async Task What_is_no_plain_full_path_is_refused_at_once(string folder)
    {
        await using var world = await WithLabAsync();
        await world.RefusedAsync(Fault.InvalidRequest, w => w.ExportAsync(new() { Environment = Lab, Folder = folder }, Me, default));
    }

    [Fact]
    public async Task A_folder_that_is_full_or_could_lead_elsewhere_is_refused_and_nothing_is_made()
    {
        await using var world = await WithExportsAsync();
        var snapshot = (await world.SnapshotAsync()).Snapshot;
        var before = await world.PictureAsync();
        async Task Refused(Fault fault, string word, string folder, Action<string>? prepare = null)
        {
            var path = Path.GetFullPath(Path.Combine(world.Exports, folder));
            prepare?.Invoke(path);
            var error = await world.UndoneAsync(w => w.ExportAsync(world.ExportOf(folder, snapshot) with { Folder = path }, Me, default));
            Assert.Equal((fault, true), (error.Fault, error.Message.Contains(word, StringComparison.Ordinal)));
            Assert.False(string.IsNullOrEmpty(error.NextStep));
            foreach (var entry in new DirectoryInfo(world.Exports).EnumerateFileSystemInfos())
                if (entry is DirectoryInfo real && real.LinkTarget is null) real.Delete(true);
                else entry.Delete();
        }
        await Refused(Fault.Conflict, "is not empty", "full", p => Directory.CreateDirectory(Path.Combine(p, "something")));
        await Refused(Fault.Conflict, "no folder", "file", p => File.WriteAllText(p, "x"));
        await Refused(Fault.InvalidRequest, "There is no folder", "none/below");
        await Refused(Fault.InvalidRequest, "symbolic link", "link/below", p => Directory.CreateSymbolicLink(Path.GetDirectoryName(p)!, "/tmp"));
        await Refused(Fault.InvalidRequest, "written to by others", "open/below", p => File.SetUnixFileMode(Directory.CreateDirectory(Path.GetDirectoryName(p)!).FullName, (UnixFileMode)Convert.ToInt32("777", 8)));
        await Refused(Fault.InvalidRequest, "the pool", "../environments/shop");
        await world.RefusedAsync(Fault.InvalidRequest, w => w.ExportAsync(new() { Environment = Lab, Snapshot = snapshot, Folder = world.Exports + "/../x" }, Me, default));
        Assert.Equal(before, await world.PictureAsync());
    }

    [Fact]
    public async Task Space_is_checked_first_with_the_numbers()
    {
        await using var world = await WithExportsAsync();
        var snapshot = (await world.SnapshotAsync()).Snapshot;
        world.Host.FreeBytes = world.Options.ReservedBytes + (4L << 20);
        var error = await world.UndoneAsync(w => w.ExportAsync(world.ExportOf("shop", snapshot), Me, default));
        // Three volumes of 1 MiB, and once more those of the larger machine while it is packed.
        Assert.Equal((Fault.Exhausted, true), (error.Fault, error.Message.Contains("may need 5 MiB", StringComparison.Ordinal) && error.Message.Contains("516 MiB free", StringComparison.Ordinal)));
        Assert.Empty(Directory.EnumerateFileSystemEntries(world.Exports));
        world.Host.FreeBytes += 1L << 20;
        await world.ExportAsync("shop", snapshot);
    }

    [Fact]
    public async Task What_is_not_there_or_not_built_is_refused_at_once()
    {
        await using var world = await WithExportsAsync();
        var snapshot = (await world.SnapshotAsync()).Snapshot;
        await world.RefusedAsync(Fault.NotFound, w => w.ExportAsync(world.ExportOf("x", SnapshotId.New(world.Clock)), Me, default));
        await world.RefusedAsync(Fault.NotFound, w => w.ExportAsync(world.ExportOf("x") with { Weave = WeaveId.Parse("nobody") }, Me, default));
        await world.RefusedAsync(Fault.InvalidRequest, w => w.ExportAsync(world.ExportOf("x", snapshot) with { Weave = Weave.Main }, Me, default));
        await world.RefusedAsync(Fault.InvalidRequest, w => w.ExportAsync(world.ExportOf("x", snapshot) with { Provider = "virtualbox" }, Me, default));
    }

    [Fact]
    public async Task A_snapshot_whose_files_are_gone_is_refused_with_their_names()
    {
        await using var world = await WithExportsAsync();
        var snapshot = (await world.SnapshotAsync()).Snapshot;
        File.Delete(Path.Combine(world.Host.UserFolder, "web-vda.raw"));
        var error = await world.UndoneAsync(w => w.ExportAsync(world.ExportOf("shop", snapshot), Me, default));
        Assert.Equal((Fault.Conflict, true), (error.Fault, error.Message.Contains("web-vda.raw", StringComparison.Ordinal)));
    }
}
