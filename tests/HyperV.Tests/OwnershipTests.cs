using Microsoft.Extensions.Logging.Abstractions;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Cim.Wrappers;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.HyperV.Tests;

/// <summary>What is one copy's, or one layer's, is taken for no other's, whoever else is on the host.</summary>
public sealed class OwnershipTests
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private static LayerRef Fresh(CoreBench bench)
    {
        var id = LayerId.New(bench.Clock);
        return new(id, bench.Context.Paths.PlaceLayer(bench.Environment, bench.Main, id), DiskFormat.Vhdx, CoreBench.DiskBytes);
    }

    [Fact]
    public async Task An_import_that_was_there_before_ours_is_never_removed()
    {
        using var bench = Hosts.Core(Hosts.Kind.All);
        await bench.AdoptAsync(1);
        var (request, result) = await bench.CaptureAsync(memory: true);
        // A user imports the same machine, and has not made it a machine yet.
        const string definition = @"C:\Users\Public\web.vmcx";
        await bench.Host.Files.CopyAsync(result.Machines[0].Memory!.DeviceStatePath, definition, Stop);
        await bench.Context.Jobs.RunAsync(await bench.Context.Services.SystemsAsync(Stop), VirtualSystemManagementService.ImportSystemDefinition(generateNewSystemIdentifier: true, snapshotFolder: "", systemDefinitionFile: definition), TimeSpan.FromMinutes(1), Stop);
        var users = Assert.Single(await bench.Context.Machines.ListPlannedAsync(Stop));
        Assert.Equal("web", users.Name);
        var copies = await bench.PlanCopyAsync(request, result);
        await bench.Parts.Starter.RunAsync(copies, null, Stop);
        Assert.Equal(bench.Host.Guest(bench[0])!.Boot, bench.Host.Guest(await bench.IdOfAsync(copies.Machines[0].Machine))!.Boot);
        await bench.Parts.Owned.RetireAsync(copies.Machines[0].Machine.Uuid, Stop);
        Assert.Equal((users.Id, "web"), Assert.Single(await bench.Context.Machines.ListPlannedAsync(Stop)) is var left ? (left.Id, left.Name) : default);
    }

    [Fact]
    public async Task The_end_of_one_copy_is_that_of_no_other()
    {
        using var bench = Hosts.Core(Hosts.Kind.All);
        await bench.AdoptAsync(1);
        var (request, result) = await bench.CaptureAsync(memory: true);
        var (one, two) = (await bench.PlanCopyAsync(request, result), await bench.PlanCopyAsync(request, result));
        foreach (var copies in new[] { one, two }) await bench.Parts.Starter.RunAsync(copies, null, Stop);
        await bench.Parts.Owned.RetireAsync(one.Machines[0].Machine.Uuid, Stop);
        Assert.Null(await bench.Context.Machines.FindAsync(one.Machines[0].Machine, Stop));
        Assert.Equal(2, bench.Host.StateOf(await bench.IdOfAsync(two.Machines[0].Machine)));
    }

    [Fact]
    public async Task What_another_service_made_is_neither_listed_nor_removed()
    {
        using var bench = Hosts.Core(Hosts.Kind.All);
        await bench.AdoptAsync(1);
        var (request, result) = await bench.CaptureAsync(memory: true);
        var copies = await bench.PlanCopyAsync(request, result);
        await bench.Parts.Starter.RunAsync(copies, null, Stop);
        using var other = new DriverParts(new(new() { Root = @"C:\Other", Prefix = "other" }, bench.Host.Client, bench.Host.Files, bench.Clock, NullLoggerFactory.Instance));
        Assert.Empty(await other.Owned.ListAsync(Stop));
        Assert.Empty(await other.Fences.ListAsync(Stop));
        await other.Owned.RetireAsync(copies.Machines[0].Machine.Uuid, Stop);
        Assert.Equal(2, bench.Host.StateOf(await bench.IdOfAsync(copies.Machines[0].Machine)));
    }

    [Fact]
    public async Task A_layer_that_is_there_on_another_parent_is_not_the_one_that_was_asked_for()
    {
        using var bench = new CoreBench();
        await bench.AdoptAsync(1, running: false);
        var parents = bench.Heads.Values.ToList();
        var layer = Fresh(bench);
        for (var twice = 0; twice < 2; twice++) await bench.Parts.Layers.CreateOverlayAsync(layer, parents[0], Stop);
        Assert.Equal(Fault.AlreadyExists, (await Assert.ThrowsAsync<WeaveException>(() => bench.Parts.Layers.CreateOverlayAsync(layer, parents[1], Stop))).Fault);
        Assert.Equal([layer.Path, parents[0].Path], await bench.Parts.Disks.ChainAsync(layer.Path, Stop), HostPath.Comparer);
    }

    [Fact]
    public async Task A_layer_has_the_disk_id_of_its_parent()
    {
        using var bench = new CoreBench();
        await bench.AdoptAsync(1, running: false);
        var (parent, layer) = (bench.Heads.Values.First(), Fresh(bench));
        await bench.Parts.Layers.CreateOverlayAsync(layer, parent, Stop);
        var ids = new List<string?>();
        foreach (var path in (string[])[parent.Path, layer.Path]) ids.Add((await bench.Parts.Disks.ReadAsync(path, Stop)).Get(VirtualHardDiskSettingData.VirtualDiskId));
        Assert.NotNull(ids[0]);
        Assert.Equal(ids[0], ids[1], StringComparer.OrdinalIgnoreCase);
    }

    [Fact]
    public async Task A_layer_that_is_deleted_is_gone_under_all_its_names()
    {
        using var bench = new CoreBench();
        await bench.AdoptAsync(1, running: false);
        var (named, layer) = (HostPath.Join(bench.Host.DiskFolder, "web_1.avhdx"), Fresh(bench));
        await bench.Parts.Layers.CreateOverlayAsync(layer, bench.Heads.Values.First(), Stop);
        await bench.Host.Files.LinkAsync(layer.Path, named, Stop);
        await bench.Parts.Layers.DeleteAsync([layer.Path], Stop);
        Assert.Null(await bench.Host.Files.FindAsync(layer.Path, Stop));
        Assert.Null(await bench.Host.Files.FindAsync(named, Stop));
    }
}
