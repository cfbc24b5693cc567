using WeaveHypervisor.Drivers;
using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Cim.Wrappers;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.HyperV.Tests;

/// <summary>What is read of machines, and why some are not adopted.</summary>
public sealed class ExaminerTests
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private static Task<Examination> ExamineAsync(CoreBench bench, params string[] names) => bench.Parts.Examiner.ExamineAsync([.. names.Select((n, i) => new MachineRequest(MachineName.Parse("m" + i), n))], Stop);

    [Fact]
    public async Task Every_reason_against_a_machine_is_told_at_once_with_a_way_out()
    {
        using var bench = new CoreBench();
        var id = bench.Host.AddMachine("odd", [CoreBench.DiskBytes], [bench.Lan], checkpoints: 5);
        async Task ChangeAsync(CimCall call) => await bench.Context.Jobs.RunAsync(await bench.Context.Services.SystemsAsync(Stop), call, TimeSpan.FromMinutes(1), Stop);
        var machine = (await bench.Context.Machines.FindAsync(id, Stop))!;
        await bench.Context.Jobs.RunAsync(await bench.Context.Services.SnapshotsAsync(Stop), VirtualSystemSnapshotService.CreateSnapshot(machine.System, snapshotType: 2), TimeSpan.FromMinutes(1), Stop);
        CimObject Of(string className, string instance) => new CimObject(className).With(VirtualSystemSettingData.InstanceID, instance);
        await ChangeAsync(VirtualSystemManagementService.ModifySystemSettings(Of(VirtualSystemSettingData.ClassName, machine.Settings.Get(VirtualSystemSettingData.InstanceID)!).With(VirtualSystemSettingData.AutomaticSnapshotsEnabled, true).With(VirtualSystemSettingData.UserSnapshotType, (ushort)2)));
        var parts = await bench.Context.Machines.ReadAsync(machine.Settings, Stop);
        await ChangeAsync(VirtualSystemManagementService.ModifyResourceSettings([Of(parts.Nics[0].Settings.ClassName, parts.Nics[0].Settings.Get(SyntheticEthernetPortSettingData.InstanceID)!).With(SyntheticEthernetPortSettingData.StaticMacAddress, false)]));
        bench.Host.AddDevice(id, GpuPartitionSettingData.ClassName);
        bench.Host.AddDevice(id, PciExpressSettingData.ClassName);
        var refusals = (await ExamineAsync(bench, "odd", "nobody")).Refusals;
        foreach (var reason in new[] { "partition of a GPU", "discrete device", "forbidden", "by itself", "1 checkpoint;", "MAC is dynamic", "no machine" })
            Assert.True(refusals.Count(r => r.Reason.Contains(reason, StringComparison.Ordinal)) == 1, $"{reason}: {string.Join(" | ", refusals.Select(r => r.Reason))}");
        Assert.All(refusals, r => Assert.True(r.NextStep.Length > 5 && r.Subject.StartsWith('m')));
        Assert.Equal(7, refusals.Count);
    }

    [Fact]
    public async Task A_disk_of_two_machines_and_one_on_another_volume_are_refused_and_a_name_that_two_have_must_be_an_id()
    {
        using var bench = new CoreBench();
        var (first, second) = (bench.Host.AddMachine("twin", [CoreBench.DiskBytes], [bench.Lan]), bench.Host.AddMachine("twin", [CoreBench.DiskBytes], [bench.Lan]));
        async Task<Machines.MachineDisk> DiskAsync(Guid id) => (await bench.Context.Machines.ReadAsync((await bench.Context.Machines.FindAsync(id, Stop))!.Settings, Stop)).Disks.Single();
        Assert.Contains("2 machines named", Assert.Single((await ExamineAsync(bench, "twin")).Refusals).Reason, StringComparison.Ordinal);
        Assert.Empty((await ExamineAsync(bench, first.ToString(), second.ToString())).Refusals);
        async Task PointAsync(Guid id, string file) => await bench.Context.Jobs.RunAsync(await bench.Context.Services.SystemsAsync(Stop), VirtualSystemManagementService.ModifyResourceSettings(
            [new CimObject(StorageAllocationSettingData.ClassName).With(StorageAllocationSettingData.InstanceID, (await DiskAsync(id)).Settings.Get(StorageAllocationSettingData.InstanceID)).With(StorageAllocationSettingData.HostResource, [file])]), TimeSpan.FromMinutes(1), Stop);
        await PointAsync(second, (await DiskAsync(first)).File);
        Assert.Equal(2, (await ExamineAsync(bench, first.ToString(), second.ToString())).Refusals.Count(r => r.Reason.Contains("shared", StringComparison.Ordinal)));
        await bench.Host.Files.CreateFolderAsync(@"D:\vms", Stop);
        await bench.Host.Files.CopyAsync((await DiskAsync(first)).File, @"D:\vms\other.vhdx", Stop);
        await PointAsync(second, @"D:\vms\other.vhdx");
        Assert.Contains("another volume", Assert.Single((await ExamineAsync(bench, second.ToString())).Refusals).Reason, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_account_without_rights_is_told_so_and_not_that_there_are_no_machines()
    {
        using var bench = new CoreBench(new() { HasRights = false });
        bench.Host.AddMachine("web", [CoreBench.DiskBytes]);
        var error = await Assert.ThrowsAsync<WeaveException>(() => ExamineAsync(bench, "web"));
        Assert.Equal(Fault.Unavailable, error.Fault);
        Assert.Contains("Hyper-V Administrators", error.NextStep, StringComparison.Ordinal);
        Assert.Contains(await bench.Parts.Host.InspectAsync(Stop) is var facts ? facts.Findings : [], f => f is { Level: FindingLevel.Error, Subject: "rights" });
    }

    [Fact]
    public async Task Networks_are_what_guests_say_of_them_and_volumes_have_the_places_of_their_disks()
    {
        using var bench = Hosts.Core(Hosts.Kind.All);
        await bench.AdoptAsync(2, generation: 1);
        var network = Assert.Single(bench.Examined.Blueprint.Networks);
        Assert.Equal(("LAN", "10.0.0.1", 24, true), (network.Name.Text, network.Gateway, network.PrefixLength, network.Dhcp));
        var web = bench.Examined.Blueprint.Machine(MachineName.Parse("web"));
        Assert.Equal(["ide0-0", "ide0-1"], web.Volumes.Select(v => v.Target));
        Assert.Equal((64L << 20, 1, "10.0.0.10"), (web.MemoryBytes, web.VirtualCpus, web.Nics.Single().Addresses.Single()));
        Assert.Empty(web.States);
    }
}
