using LibvirtSharp;
using System.Text.Json.Nodes;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.Libvirt.Capturing;
using WeaveHypervisor.Libvirt.Tests.Conformance;

namespace WeaveHypervisor.Libvirt.Tests.Capturing;

/// <summary>A background snapshot on a real guest whose readers die: QEMU 7.2 leaves a machine hung for good whose pipe breaks.</summary>
public sealed class CapturePipeTests
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_machine_whose_memory_nobody_reads_any_more_goes_on_when_it_is_read_again()
    {
        await using var bench = new LibvirtBench();
        await using var driver = bench.NewDriver();
        var examined = await driver.ExamineAsync(await bench.GiveMachinesAsync(1, Stop), Stop);
        var machine = examined.Machines[0].Machine;
        var address = examined.Blueprint.Machine(machine.Name).Nics[0].Addresses[0];
        var nonce = (await bench.AskAsync(address, expected: true, Stop))!.Nonce;
        await using var connection = await LibvirtConnection.OpenAsync("qemu:///system", cancellationToken: Stop);
        using var domain = await connection.LookupDomainAsync(machine.Uuid, Stop);
        var folder = Directory.CreateTempSubdirectory("weave-pipe");
        try
        {
            var name = "";
            var pipe = await CapturePipe.OpenAsync(domain, new(machine, true, [], Path.Combine(folder.FullName, "m.ram"), Path.Combine(folder.FullName, "m.state")), null, n => name = n, null, Stop);
            await Monitor.SetCapabilityAsync(domain, "background-snapshot", true, Stop);
            // The service is dead, and its stand-in too; the snapshot begins with no reader at all.
            pipe.Dispose();
            await Assert.ThrowsAnyAsync<Exception>(() => pipe.Split);
            domain.SuspendNow();
            Monitor.Execute(domain, "migrate", new JsonObject { ["uri"] = CapturePipe.Uri });

            // From here to the end of the drain the machine may not answer its monitor.
            var drain = CapturePipe.Reopen(QemuProcess.Find(machine.HypervisorName)!.Value, name);
            Assert.NotNull(drain);
            await CapturePipe.EndAsync(domain, TimeProvider.System, Stop);
            await drain.WaitAsync(TimeSpan.FromSeconds(30), Stop);
            Assert.Equal(("completed", DomainState.Running), ((await Monitor.MigrationAsync(domain, Stop)).Status, (await domain.GetStateAsync(Stop)).State));
            Assert.Equal(nonce, (await bench.AskAsync(address, expected: true, Stop))?.Nonce);
            Assert.False(await Monitor.HasCapabilityAsync(domain, "background-snapshot", Stop));
            Assert.Null(CapturePipe.Reopen(QemuProcess.Find(machine.HypervisorName)!.Value, name));
            Assert.DoesNotContain((await Monitor.ExecuteAsync(domain, "query-fdsets", null, Stop)).EnumerateArray(), s => s.ToString().Contains("weave", StringComparison.Ordinal));
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    [Fact]
    public async Task A_guest_runs_on_while_its_snapshot_has_begun_and_waits_to_write()
    {
        await using var bench = new LibvirtBench();
        await using var driver = bench.NewDriver();
        var examined = await driver.ExamineAsync(await bench.GiveMachinesAsync(1, Stop), Stop);
        var machine = examined.Machines[0].Machine;
        var address = examined.Blueprint.Machine(machine.Name).Nics[0].Addresses[0];
        await using var connection = await LibvirtConnection.OpenAsync("qemu:///system", cancellationToken: Stop);
        using var domain = await connection.LookupDomainAsync(machine.Uuid, Stop);
        Assert.True(await BackgroundPath.WaitsAsync(domain, Stop), "this QEMU holds its lock while it begins a stream: give this test an older one");
        var folder = Directory.CreateTempSubdirectory("weave-pipe");
        try
        {
            await BackgroundPath.EnableAsync(domain, Stop);
            using var pipe = await CapturePipe.OpenAsync(domain, new(machine, true, [], Path.Combine(folder.FullName, "m.ram"), Path.Combine(folder.FullName, "m.state")), null, _ => { }, null, Stop, shut: true);
            await BackgroundPath.BeginAsync(domain, TimeProvider.System, Stop);
            Assert.Equal((false, "setup", DomainState.Running), (pipe.IsOpen, (await Monitor.MigrationAsync(domain, Stop)).Status, (await domain.GetStateAsync(Stop)).State));
            await bench.OrderAsync(address, "meanwhile", Stop);
            domain.SuspendNow();
            Assert.Equal(("setup", DomainState.Paused), ((await Monitor.MigrationAsync(domain, Stop)).Status, (await domain.GetStateAsync(Stop)).State));
            pipe.Open();
            var split = await pipe.Split.WaitAsync(TimeSpan.FromSeconds(60), Stop);
            await CapturePipe.EndAsync(domain, TimeProvider.System, Stop);
            Assert.Equal((96L << 20, "completed", DomainState.Running), (split.RamBytes, (await Monitor.MigrationAsync(domain, Stop)).Status, (await domain.GetStateAsync(Stop)).State));
            Assert.Equal(["meanwhile"], (await bench.AskAsync(address, expected: true, Stop))!.Orders);
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    [Fact]
    public async Task A_transfer_that_never_began_is_forgotten()
    {
        await using var bench = new LibvirtBench();
        var machines = await bench.GiveMachinesAsync(1, Stop);
        await using var driver = bench.NewDriver();
        var machine = (await driver.ExamineAsync(machines, Stop)).Machines[0].Machine;
        await using var connection = await LibvirtConnection.OpenAsync("qemu:///system", cancellationToken: Stop);
        using var domain = await connection.LookupDomainAsync(machine.Uuid, Stop);
        var folder = Directory.CreateTempSubdirectory("weave-pipe");
        try
        {
            using var pipe = await CapturePipe.OpenAsync(domain, new(machine, true, [], Path.Combine(folder.FullName, "m.ram"), Path.Combine(folder.FullName, "m.state")), null, _ => { }, null, Stop);
            Assert.False(pipe.Split.IsCompleted);
            await CapturePipe.EndAsync(domain, TimeProvider.System, Stop);
            await CapturePipe.EndAsync(domain, TimeProvider.System, Stop);
            // QEMU has closed the write end: the splitter meets the end of a stream that never began, and leaves nothing.
            await Assert.ThrowsAnyAsync<Exception>(() => pipe.Split.WaitAsync(TimeSpan.FromSeconds(30), Stop));
            Assert.Empty(folder.GetFiles());
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }
}
