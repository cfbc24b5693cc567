using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Cim.Wrappers;

namespace WeaveHypervisor.HyperV.Simulator.Tests;

/// <summary>Whether a machine has been resumed from memory or booted is told by its counter, and whether its memory fits.</summary>
public sealed class MemoryTests : IDisposable
{
    private readonly Bench _bench = new();

    public void Dispose() => _bench.Dispose();

    [Fact]
    public async Task A_saved_machine_counts_on_and_its_job_says_that_it_restores()
    {
        var id = await _bench.MachineAsync();
        _bench.Wait(100);
        var before = _bench.Host.Guest(id)!;
        await _bench.PowerAsync(id, 6);
        Assert.Null(_bench.Host.Guest(id));
        var restored = await _bench.PowerAsync(id, 2);
        var after = _bench.Host.Guest(id)!;
        Assert.Equal((ushort)15, restored.Job!.Find(ConcreteJob.JobType));
        Assert.Equal((before.Boot, false), (after.Boot, after.IsCorrupt));
        Assert.InRange(after.Count, 100, 110);
    }

    [Fact]
    public async Task A_machine_that_was_off_begins_anew()
    {
        var id = await _bench.MachineAsync();
        var before = _bench.Host.Guest(id)!;
        await _bench.PowerAsync(id, 3);
        Assert.Equal((ushort)12, (await _bench.PowerAsync(id, 2)).Job!.Find(ConcreteJob.JobType));
        Assert.NotEqual(before.Boot, _bench.Host.Guest(id)!.Boot);
    }

    [Fact]
    public async Task A_saved_image_is_used_once()
    {
        var id = await _bench.MachineAsync();
        await _bench.PowerAsync(id, 6);
        Assert.True((await _bench.SettingsAsync(id)).Find(VirtualSystemSettingData.IsSaved));
        await _bench.PowerAsync(id, 2);
        Assert.False((await _bench.SettingsAsync(id)).Find(VirtualSystemSettingData.IsSaved));
        await _bench.PowerAsync(id, 3);
        Assert.Equal((ushort)12, (await _bench.PowerAsync(id, 2)).Job!.Find(ConcreteJob.JobType));
    }

    [Fact]
    public async Task Memory_on_disks_that_were_changed_is_corrupt()
    {
        var id = await _bench.MachineAsync();
        await _bench.PowerAsync(id, 6);
        _bench.Host.WriteIntoFile(await _bench.LeafAsync(id), 0, "foreign"u8);
        await _bench.PowerAsync(id, 2);
        Assert.True(_bench.Host.Guest(id)!.IsCorrupt);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Two_weaves_of_one_live_checkpoint_count_on_beside_the_original(bool copiedFiles)
    {
        var place = _bench.Host.AddSwitch("lan");
        var id = await _bench.MachineAsync(disks: 2, switches: [place]);
        _bench.Host.WriteAsGuest(id, 0, 4096, "order 1"u8);
        _bench.Wait(50);
        var point = await _bench.CheckAsync(id);
        _bench.Host.WriteAsGuest(id, 0, 4096, "order 2"u8);
        string definition;
        if (copiedFiles)
        {
            await _bench.Host.Files.CreateFolderAsync(@"D:\points\1", Bench.Stop);
            var guid = point.Get(VirtualSystemSettingData.InstanceID)!["Microsoft:".Length..];
            foreach (var file in await _bench.Host.Files.ListAsync(HostPath.Join(_bench.Host.DataRoot, "Snapshots"), false, Bench.Stop))
                if (HostPath.Stem(file.Path) == guid) await _bench.Host.Files.CopyAsync(file.Path, HostPath.Join(@"D:\points\1", HostPath.Name(file.Path)), Bench.Stop);
            definition = HostPath.Join(@"D:\points\1", guid + ".vmcx");
        }
        else
        {
            await _bench.ExportAsync(id, @"D:\points\1", 3, point);
            definition = Assert.Single(await _bench.Host.Files.ListAsync(@"D:\points\1\Virtual Machines", false, Bench.Stop), f => f.Path.EndsWith(".vmcx", StringComparison.Ordinal)).Path;
        }
        var weaves = new[] { await _bench.WeaveAsync(definition, @"D:\weaves\a", _bench.Host.AddSwitch("a")), await _bench.WeaveAsync(definition, @"D:\weaves\b", _bench.Host.AddSwitch("b")) };
        var original = _bench.Host.Guest(id)!;
        foreach (var weave in weaves)
        {
            Assert.Equal(6, _bench.Host.StateOf(weave));
            Assert.Equal((ushort)15, (await _bench.PowerAsync(weave, 2)).Job!.Find(ConcreteJob.JobType));
            var guest = _bench.Host.Guest(weave)!;
            Assert.Equal((original.Boot, false), (guest.Boot, guest.IsCorrupt));
            Assert.InRange(guest.Count, 50, original.Count - 1);
            Assert.Equal("order 1"u8.ToArray(), _bench.Host.ReadDisk(weave, 0, 4096, 7));
            _bench.Host.WriteAsGuest(weave, 0, 4096, "own"u8);
        }
        Assert.Equal("order 2"u8.ToArray(), _bench.Host.ReadDisk(id, 0, 4096, 7));
        Assert.NotEqual(weaves[0], weaves[1]);
    }

    [Fact]
    public async Task Memory_does_not_fit_another_size_of_it()
    {
        var id = await _bench.MachineAsync();
        await _bench.PowerAsync(id, 6);
        await _bench.ExportAsync(id, @"D:\points\1", 1);
        var planned = await _bench.ImportAsync(HostPath.Join(@"D:\points\1\Virtual Machines", id.ToString().ToUpperInvariant() + ".vmcx"));
        var memory = Assert.Single(await _bench.ResourcesAsync(await _bench.SettingsAsync(planned.Reference), MemorySettingData.ClassName));
        await _bench.ModifyAsync(memory, m => m.With(MemorySettingData.VirtualQuantity, 2048ul));
        var validated = await _bench.RunAsync(await _bench.Vms, VirtualSystemManagementService.ValidatePlannedSystem(planned.Reference), readMessages: true);
        Assert.Contains(validated.Messages, m => m.Id == "21502");
        await _bench.RunAsync(await _bench.Vms, VirtualSystemManagementService.RealizePlannedSystem(planned.Reference));
        var copy = Guid.Parse(planned.Get(PlannedComputerSystem.Name)!);
        Assert.Equal(HostErrorKind.InvalidRequest, (await _bench.FailsAsync(_bench.System(copy), ComputerSystem.RequestStateChange(2))).Kind);
        Assert.Equal(6, _bench.Host.StateOf(copy));
    }

    [Fact]
    public async Task A_host_may_refuse_to_resume_on_other_files()
    {
        using var bench = new Bench(new() { Behaviour = new() { ResumesOnOtherDisks = false } });
        var id = await bench.MachineAsync();
        var point = await bench.CheckAsync(id);
        await bench.ExportAsync(id, @"D:\points\1", 3, point);
        var weave = await bench.WeaveAsync(HostPath.Join(@"D:\points\1\Virtual Machines", id.ToString().ToUpperInvariant() + ".vmcx"), @"D:\weaves\a");
        await bench.FailsAsync(bench.System(weave), ComputerSystem.RequestStateChange(2));
    }
}
