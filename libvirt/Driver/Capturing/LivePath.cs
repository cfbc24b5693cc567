using System.Diagnostics;
using System.Text.Json.Nodes;
using LibvirtSharp;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt.Capturing;

/// <summary>
/// Memory of a machine where QEMU refuses a background snapshot: an ordinary live migration into the pipe. RAM is sent while the guest runs, and again where it was
/// changed, until little is left; then the machine is suspended, QEMU is held at `pre-switchover` for the disk cut, and the rest goes with the device state.
/// </summary>
internal static class LivePath
{
    private const string PauseCapability = "pause-before-switchover";
    /// <summary>Bytes of changed RAM that are few enough for the pause.</summary>
    private const long Little = 16L << 20;
    /// <summary>Passes over the RAM after which a guest that changes it faster than it is written is suspended nevertheless.</summary>
    private const int MostPasses = 6;
    /// <summary>QEMU ends a migration by itself when what is left takes less than this. 0: only with nothing left.</summary>
    private const int Never = 0, AtOnce = 2_000_000, Usual = 300;

    /// <summary>Starts the transfer. QemuRefusal: this machine has a device that cannot be migrated.</summary>
    public static async Task BeginAsync(LibvirtDomain domain, CancellationToken stop)
    {
        await Monitor.SetCapabilityAsync(domain, PauseCapability, true, stop);
        await Monitor.ExecuteAsync(domain, "migrate-set-parameters", new JsonObject { ["downtime-limit"] = Never }, stop);
        await Monitor.ExecuteAsync(domain, "migrate", new JsonObject { ["uri"] = CapturePipe.Uri }, stop);
    }

    /// <summary>Waits until little is left to send, or until it will not become less.</summary>
    public static async Task ConvergeAsync(LibvirtDomain domain, TimeProvider clock, CancellationToken stop)
    {
        while (true)
        {
            var now = await Monitor.MigrationAsync(domain, stop);
            if (now.Status == "pre-switchover") return;
            if (!now.Goes) throw now.ToFault(domain.Name);
            if (now.Passes >= 2 && now.Remaining <= Little || now.Passes > MostPasses) return;
            await Task.Delay(TimeSpan.FromMilliseconds(10), clock, stop);
        }
    }

    /// <summary>With the machine suspended: has QEMU come to the point before its devices are saved, and waits there. Disks are still its own then.</summary>
    public static void Halt(LibvirtDomain domain)
    {
        Monitor.Execute(domain, "migrate-set-parameters", new JsonObject { ["downtime-limit"] = AtOnce });
        var patience = Stopwatch.StartNew();
        while (true)
        {
            var now = Monitor.Migration(domain);
            if (now.Status == "pre-switchover") return;
            if (!now.Goes) throw now.ToFault(domain.Name);
            if (patience.Elapsed > TimeSpan.FromSeconds(10)) throw new WeaveException(Fault.Unavailable, $"QEMU did not come to the end of saving the memory of '{domain.Name}' within 10 s.", "Take the snapshot with `--disk-only`, or when the host is less loaded.");
            Thread.Sleep(1);
        }
    }

    /// <summary>Lets the transfer end: the RAM that is left, and the devices.</summary>
    public static void Continue(LibvirtDomain domain) => Monitor.Execute(domain, "migrate-continue", new JsonObject { ["state"] = "pre-switchover" });

    /// <summary>Puts back what <see cref="BeginAsync"/> and <see cref="Halt"/> have set. Repeatable.</summary>
    public static async Task ResetAsync(LibvirtDomain domain, CancellationToken stop)
    {
        await Monitor.SetCapabilityAsync(domain, PauseCapability, false, stop);
        await Monitor.ExecuteAsync(domain, "migrate-set-parameters", new JsonObject { ["downtime-limit"] = Usual }, stop);
    }
}
