using System.Diagnostics;
using System.Globalization;

namespace WeaveHypervisor.EndToEnd;

/// <summary>The host's libvirt daemon, killed and started again as it was started; used only by tests that have the machine to themselves.</summary>
internal static class Libvirtd
{
    private const string PidFile = "/run/libvirtd.pid";
    private static bool BySystemd => Directory.Exists("/run/systemd/system");

    public static async Task KillAsync()
    {
        using var process = Process.GetProcessById(await PidAsync());
        process.Kill();
        using var stop = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        await process.WaitForExitAsync(stop.Token);
    }

    /// <summary>Returns when it answers. Where ./run-tests started the one before, this one is ended by it, too.</summary>
    public static async Task StartAsync()
    {
        if (BySystemd) (await Shell.RunAsync("systemctl", "start", "libvirtd")).Succeeded("systemctl start libvirtd");
        // Its first process buries the machines that it leaves behind: see start_libvirt in libvirt/lab/lib.sh.
        else (await Shell.RunAsync("sh", "-c", "cd / && setsid tini -s -- libvirtd > /dev/null 2>&1 < /dev/null &")).Succeeded("libvirtd");
        await Shell.UntilAsync("libvirtd answers", async () => (await Shell.RunAsync("virsh", "-q", "-c", "qemu:///system", "list", "--name")).Exit == 0);
        var mark = Path.Combine(Environment.GetEnvironmentVariable("WEAVE_LIBVIRT_RECORD") ?? "/nonexistent", "libvirtd.pid");
        if (!File.Exists(mark)) return;
        var pid = await PidAsync();
        var since = (await File.ReadAllTextAsync(string.Create(CultureInfo.InvariantCulture, $"/proc/{pid}/stat"))).Split(") ")[^1].Split(' ')[19];
        var boot = (await File.ReadAllTextAsync("/proc/sys/kernel/random/boot_id")).Trim();
        await File.WriteAllTextAsync(mark, string.Create(CultureInfo.InvariantCulture, $"{pid} {since} {boot}\n"));
    }

    /// <summary>Kills the process of a machine that libvirtd has started, or had when it was killed itself.</summary>
    public static void KillQemu(string domain)
    {
        using var process = Process.GetProcessById(int.Parse(File.ReadAllText($"/run/libvirt/qemu/{domain}.pid"), CultureInfo.InvariantCulture));
        process.Kill();
    }

    private static async Task<int> PidAsync() => BySystemd
        ? int.Parse((await Shell.RunAsync("systemctl", "show", "-p", "MainPID", "--value", "libvirtd")).Succeeded("systemctl show").Output.Trim(), CultureInfo.InvariantCulture)
        : int.Parse(await File.ReadAllTextAsync(PidFile), CultureInfo.InvariantCulture);
}
