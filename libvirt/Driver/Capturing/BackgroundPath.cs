using System.Diagnostics;
using System.Globalization;
using System.Text.Json.Nodes;
using LibvirtSharp;

namespace WeaveHypervisor.Libvirt.Capturing;

/// <summary>
/// Memory by QEMU's background-snapshot. Before it stops the guest, QEMU touches every page of its RAM, which takes far longer than all else (100 ms and more for 2 GiB, seconds where little of it
/// is mapped). So the snapshot is begun while the guest runs, into a pipe that is full: QEMU gets through that work and then waits to write the head of its stream. All members are suspended then, the
/// disks are cut, and when the pipe is opened QEMU has only to save the devices and to write-protect the RAM before it runs the guest again.
/// </summary>
internal static class BackgroundPath
{
    private const string Capability = "background-snapshot";
    /// <summary>How long QEMU may take to touch its memory before the machine is held nevertheless.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);
    /// <summary>write and writev of Linux on x86-64.</summary>
    private static readonly string[] Writes = ["1", "20"];

    /// <summary>Switches it on. QemuRefusal: the host or the machine does not allow it.</summary>
    public static Task EnableAsync(LibvirtDomain domain, CancellationToken stop) => Monitor.SetCapabilityAsync(domain, Capability, true, stop);

    /// <summary>
    /// Whether QEMU may be made to wait. From 9.1 on it holds its global lock while it begins a stream, so that neither guest nor monitor would go on meanwhile.
    /// </summary>
    public static async Task<bool> WaitsAsync(LibvirtDomain domain, CancellationToken stop)
    {
        var version = (await Monitor.ExecuteAsync(domain, "query-version", null, stop)).GetProperty("qemu");
        return (version.GetProperty("major").GetInt32(), version.GetProperty("minor").GetInt32()).CompareTo((9, 1)) < 0;
    }

    /// <summary>Begins, and waits until QEMU waits. QemuRefusal: this machine has a device that cannot be migrated.</summary>
    public static async Task BeginAsync(LibvirtDomain domain, TimeProvider clock, CancellationToken stop)
    {
        await Monitor.ExecuteAsync(domain, "migrate", new JsonObject { ["uri"] = CapturePipe.Uri }, stop);
        if (QemuProcess.Find(domain.Name) is not { } process) return;
        for (var begun = Stopwatch.StartNew(); begun.Elapsed < Patience && !WaitsToWrite(process);)
        {
            if (!(await Monitor.MigrationAsync(domain, stop)).Goes) return;
            await Task.Delay(TimeSpan.FromMilliseconds(2), clock, stop);
        }
    }

    /// <summary>Whether the thread of the snapshot sits in a write.</summary>
    private static bool WaitsToWrite(int process)
    {
        try
        {
            foreach (var thread in Directory.EnumerateDirectories($"/proc/{process.ToString(CultureInfo.InvariantCulture)}/task"))
                if (File.ReadAllText(thread + "/comm").Trim() is "bg_snapshot" or "mig/snapshot" && Writes.Contains(File.ReadAllText(thread + "/syscall").Split(' ')[0])) return true;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            // A thread that has just ended.
        }
        return false;
    }
}
