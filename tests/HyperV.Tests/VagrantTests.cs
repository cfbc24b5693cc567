using WeaveHypervisor.Conformance.Drivers;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.HyperV.Cim;
using WeaveHypervisor.HyperV.Cim.Wrappers;
using WeaveHypervisor.HyperV.Tests.Conformance;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.HyperV.Tests;

/// <summary>Labs of Vagrant's provider for Hyper-V: adopted, copied, and given back so that Vagrant can go on with them.</summary>
public sealed class VagrantTests
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(Hosts.Kind.All)]
    [InlineData(Hosts.Kind.OnlyFlat)]
    [InlineData(Hosts.Kind.Bare)]
    public async Task A_lab_has_its_past_beside_it_and_after_the_release_vagrant_destroy_leaves_nothing_but_the_box(Hosts.Kind kind)
    {
        await using var bench = Hosts.Driver(kind, HostProfile.Server23H2, seed: 11, vagrant: true);
        var lab = bench.Lab!;
        await using (var stage = new DriverStage(bench, Stop))
        {
            await stage.AdoptAsync(2);
            Assert.Equal(["db", "web"], stage.Machines.Select(m => m.Machine.Name.Text).Order());
            Assert.Equal(VagrantLab.DiskOf("web"), bench.Host.Files.Hosted(stage.Machines.Single(m => m.Machine.Name.Text == "web").Volumes.Single().Path));
            var address = stage.AddressOf(0);
            await bench.OrderAsync(address, "before", Stop);
            var (request, result) = await stage.CaptureAsync(memory: true);
            await bench.OrderAsync(address, "after", Stop);
            var (_, facts, copies) = await stage.PrepareCopyAsync(request, result);
            await stage.Driver.InstantiateAsync(copies, null, Stop);
            var (now, past) = (await bench.AskAsync(address, true, Stop), await bench.AskAsync(facts.Addresses.Single(a => a.Machine == stage[0].Name).Outer, true, Stop));
            Assert.Equal(["before", "after"], now!.Orders);
            Assert.Equal(["before"], past!.Orders);
            Assert.Equal(now.Nonce, past.Nonce);
            foreach (var copy in copies.Machines) await stage.Driver.RetireAsync(copy.Machine, Stop);
            await stage.ReturnAllAsync();
            Assert.Equal(now.Nonce, (await bench.AskAsync(address, true, Stop))!.Nonce);
        }
        foreach (var name in new[] { "web", "db" })
        {
            var machine = (await bench.Context.Machines.ListAsync(Stop)).Single(m => m.Name.Contains(name, StringComparison.Ordinal));
            var disk = Assert.Single((await bench.Context.Machines.ReadAsync(machine.Settings, Stop)).Disks);
            Assert.Equal(VagrantLab.DiskOf(name), disk.File);
            Assert.Empty(await bench.Context.Machines.CheckpointsAsync(machine, Stop));
            Assert.Equal([@"Virtual Hard Disks\box.vhdx", "id"], await lab.FilesOfAsync(name, Stop));
        }
        await lab.DestroyAsync("web", Stop);
        await lab.DestroyAsync("db", Stop);
        Assert.Empty(bench.Host.MachineNames());
        Assert.DoesNotContain(await bench.Host.Files.ListAsync(@"C:\labs", below: true, Stop), f => !f.IsFolder);
        lab.RequireSameBox();
    }

    [Fact]
    public async Task What_a_Vagrantfile_has_to_say_otherwise_is_told_in_its_words_because_Vagrant_sets_it_at_each_start()
    {
        using var bench = new CoreBench();
        var id = await new VagrantLab(bench.Host, bench.Context).UpAsync("web", bench.Lan, Stop, checkpoints: 2);
        var machine = (await bench.Context.Machines.FindAsync(id, Stop))!;
        CimObject Of(string className, CimObject of) => new CimObject(className).With(VirtualSystemSettingData.InstanceID, of.Get(VirtualSystemSettingData.InstanceID)!);
        async Task ChangeAsync(CimCall call) => await bench.Context.Jobs.RunAsync(await bench.Context.Services.SystemsAsync(Stop), call, TimeSpan.FromMinutes(1), Stop);
        async Task<IReadOnlyList<string>> NextAsync() => [.. (await bench.Parts.Examiner.ExamineAsync([new(MachineName.Parse("web"), id.ToString())], Stop)).Refusals.Select(r => r.NextStep)];
        await ChangeAsync(VirtualSystemManagementService.ModifySystemSettings(Of(VirtualSystemSettingData.ClassName, machine.Settings).With(VirtualSystemSettingData.AutomaticSnapshotsEnabled, true)));
        var nic = (await bench.Context.Machines.ReadAsync(machine.Settings, Stop)).Nics.Single();
        await ChangeAsync(VirtualSystemManagementService.ModifyResourceSettings([Of(nic.Settings.ClassName, nic.Settings).With(SyntheticEthernetPortSettingData.StaticMacAddress, false)]));
        var next = await NextAsync();
        Assert.Equal(3, next.Count);
        Assert.Contains(next, n => n.Contains("`enable_checkpoints = false`", StringComparison.Ordinal));
        Assert.Contains(next, n => n.Contains("`enable_automatic_checkpoints = true`", StringComparison.Ordinal));
        Assert.Contains(next, n => n.Contains($"h.mac = \"{nic.Settings.Get(SyntheticEthernetPortSettingData.Address)}\"", StringComparison.OrdinalIgnoreCase));
        Assert.All(next, n => Assert.Contains("`vagrant reload`", n, StringComparison.Ordinal));

        // A snapshot of Vagrant's is a checkpoint of the user's.
        await ChangeAsync(VirtualSystemManagementService.ModifySystemSettings(Of(VirtualSystemSettingData.ClassName, machine.Settings).With(VirtualSystemSettingData.UserSnapshotType, (ushort)5)));
        await bench.Context.Jobs.RunAsync(await bench.Context.Services.SnapshotsAsync(Stop), VirtualSystemSnapshotService.CreateSnapshot(machine.System, snapshotType: 2), TimeSpan.FromMinutes(1), Stop);
        Assert.Contains(await NextAsync(), n => n.Contains("`vagrant snapshot delete`", StringComparison.Ordinal));
    }

    [Fact]
    public async Task An_id_that_the_host_does_not_know_is_of_a_machine_that_was_removed_or_of_another_host()
    {
        using var bench = new CoreBench();
        var id = Guid.NewGuid();
        var refusal = Assert.Single((await bench.Parts.Examiner.ExamineAsync([new(MachineName.Parse("web"), id.ToString())], Stop)).Refusals);
        Assert.Equal(("web", $"The host has no machine with the id {id}."), (refusal.Subject, refusal.Reason));
        Assert.Contains("removed, or is on another host", refusal.NextStep, StringComparison.Ordinal);
    }
}
