using WeaveHypervisor.Drivers;
using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Simulator;
using WeaveHypervisor.HyperV.Volumes;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.HyperV.Tests;

public sealed class VolumeTests
{
    private const string Data = @"C:\Disks\data.vhdx", Other = @"C:\Disks\other.vhdx";
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private static AttachedVolume Volume(string target, string path = Data) => new(VolumeName.Parse("data"), target, new(LayerId.New(TimeProvider.System), path, DiskFormat.Vhdx, Stand.Size));

    private static Stand NewStand(HostProfile profile = HostProfile.Server23H2)
    {
        var stand = new Stand(new() { Profile = profile }, gateway: false);
        stand.MakeDisk(Data);
        stand.MakeDisk(Other);
        return stand;
    }

    private static async Task<string?> FileAsync(Stand stand, MachineRef machine, string target) => (await stand.PartsAsync(machine)).Disks.FirstOrDefault(d => d.Target == target)?.File;

    [Theory]
    [InlineData(HostProfile.Server2019, 1, true)]
    [InlineData(HostProfile.Server2019, 2, false)]
    [InlineData(HostProfile.Server23H2, 2, true)]
    public async Task A_SCSI_volume_comes_and_goes_whether_its_machine_runs_or_not(HostProfile profile, int generation, bool running)
    {
        using var stand = NewStand(profile);
        var machine = await stand.MachineAsync("web", generation: generation, running: running);
        var plugger = new VolumePlugger(stand.Context);
        for (var twice = 0; twice < 2; twice++) await stand.Drive(plugger.AttachAsync(machine, Volume("scsi0-5"), Stop));
        Assert.Equal(Data, await FileAsync(stand, machine, "scsi0-5"));
        Assert.Equal(Fault.Conflict, await stand.FaultOf(() => plugger.AttachAsync(machine, Volume("scsi0-5", Other), Stop)));
        for (var twice = 0; twice < 2; twice++) await stand.Drive(plugger.DetachAsync(machine, "scsi0-5", TimeSpan.FromSeconds(5), Stop));
        Assert.Null(await FileAsync(stand, machine, "scsi0-5"));
        Assert.NotNull(await stand.Host.Files.FindAsync(Data, Stop));
        await stand.Drive(plugger.AttachAsync(machine, Volume("scsi0-5", Other), Stop));
        Assert.Equal(Other, await FileAsync(stand, machine, "scsi0-5"));
    }

    [Fact]
    public async Task IDE_volumes_come_and_go_only_while_the_machine_is_off()
    {
        using var stand = NewStand();
        var machine = await stand.MachineAsync("web", generation: 1);
        var plugger = new VolumePlugger(stand.Context);
        Assert.Equal(Fault.Conflict, await stand.FaultOf(() => plugger.AttachAsync(machine, Volume("ide1-0"), Stop)));
        Assert.Equal(Fault.Conflict, await stand.FaultOf(() => plugger.DetachAsync(machine, "ide0-0", TimeSpan.FromSeconds(5), Stop)));
        await stand.PowerAsync(machine.Uuid, 3);
        await stand.Drive(plugger.AttachAsync(machine, Volume("ide1-0"), Stop));
        await stand.Drive(plugger.DetachAsync(machine, "ide0-0", TimeSpan.FromSeconds(5), Stop));
        Assert.Equal(["ide1-0"], (await stand.PartsAsync(machine)).Disks.Select(d => d.Target));
    }

    [Fact]
    public async Task Places_that_a_machine_does_not_have_are_refused_or_made_where_that_can_be()
    {
        using var stand = NewStand();
        var machine = await stand.MachineAsync("web");
        var plugger = new VolumePlugger(stand.Context);
        Assert.Equal(Fault.InvalidRequest, await stand.FaultOf(() => plugger.AttachAsync(machine, Volume("vdb"), Stop)));
        Assert.Equal(Fault.InvalidRequest, await stand.FaultOf(() => plugger.AttachAsync(machine, Volume("scsi0-64"), Stop)));
        Assert.Equal(Fault.Conflict, await stand.FaultOf(() => plugger.AttachAsync(machine, Volume("scsi1-0"), Stop)));
        Assert.Equal(Fault.DataLoss, await stand.FaultOf(() => plugger.AttachAsync(machine, Volume("scsi0-1", @"C:\Disks\gone.vhdx"), Stop)));
        Assert.Equal(Fault.NotFound, await stand.FaultOf(() => plugger.AttachAsync(machine with { Uuid = Guid.NewGuid() }, Volume("scsi0-1"), Stop)));
        await stand.PowerAsync(machine.Uuid, 3);
        Assert.Equal(Fault.Unsupported, await stand.FaultOf(() => plugger.AttachAsync(machine, Volume("ide0-1"), Stop)));
        await stand.Drive(plugger.AttachAsync(machine, Volume("scsi1-0"), Stop));
        Assert.Equal(Data, await FileAsync(stand, machine, "scsi1-0"));
    }

    [Fact]
    public async Task A_layer_is_attached_by_the_name_that_Hyper_V_gave_it()
    {
        using var stand = NewStand();
        stand.MakeDisk(@"C:\Disks\web_1.avhdx");
        await stand.Host.Files.LinkAsync(@"C:\Disks\web_1.avhdx", @"C:\Weave\environments\e\t\layers\l.vhdx", Stop);
        var machine = await stand.MachineAsync("web");
        var plugger = new VolumePlugger(stand.Context);
        for (var twice = 0; twice < 2; twice++) await stand.Drive(plugger.AttachAsync(machine, Volume("scsi0-2", @"C:\Weave\environments\e\t\layers\l.vhdx"), Stop));
        Assert.Equal(@"C:\Disks\web_1.avhdx", await FileAsync(stand, machine, "scsi0-2"));
    }

    [Theory]
    [InlineData("AddResourceSettings", 1, CallFault.LostAfter)]
    [InlineData("AddResourceSettings", 2, CallFault.LostAfter)]
    [InlineData("AddResourceSettings", 2, CallFault.RefusedBefore)]
    [InlineData("AddResourceSettings", 2, CallFault.JobFails)]
    [InlineData("AddResourceSettings", 2, CallFault.JobVanishes)]
    [InlineData("RemoveResourceSettings", 1, CallFault.LostAfter)]
    [InlineData("RemoveResourceSettings", 1, CallFault.JobVanishes)]
    [InlineData("RemoveResourceSettings", 2, CallFault.RefusedBefore)]
    public async Task What_died_in_the_middle_is_ended_by_the_next_call(string call, int nth, CallFault fault)
    {
        using var stand = NewStand();
        var machine = await stand.MachineAsync("web");
        var plugger = new VolumePlugger(stand.Context);
        stand.Host.Faults.Forget();
        stand.Host.Faults.Add(call, nth, fault);
        async Task TryAsync(Func<Task> act)
        {
            try
            {
                await stand.Drive(act());
            }
            catch (WeaveException)
            {
                await stand.Drive(act());
            }
        }
        await TryAsync(() => plugger.AttachAsync(machine, Volume("scsi0-5"), Stop));
        Assert.Equal(Data, await FileAsync(stand, machine, "scsi0-5"));
        await TryAsync(() => plugger.DetachAsync(machine, "scsi0-5", TimeSpan.FromSeconds(5), Stop));
        Assert.True(stand.Host.Faults.Calls[call] >= nth);
        var parts = await stand.PartsAsync(machine);
        Assert.Equal(["scsi0-0"], parts.Disks.Select(d => d.Target));
        Assert.Equal(3, parts.All.Count(r => r.ClassName is Cim.Wrappers.ResourceAllocationSettingData.ClassName or Cim.Wrappers.StorageAllocationSettingData.ClassName));
    }
}
