using System.Globalization;

namespace WeaveHypervisor.Benchmarks.Hosts;

/// <summary>Everything that a run makes on the host bears these names, and can be found and removed by them, also after a SIGKILL.</summary>
public static class Names
{
    /// <summary>Of the machines and of the service of the product's side.</summary>
    public const string Weave = "wbm";
    /// <summary>Of the machines that only `virsh` touches.</summary>
    public const string Virsh = "wbmp";
    public const string Folder = "/var/lib/weave-benchmarks";

    private static bool Ours(string name) => name.StartsWith(Weave, StringComparison.Ordinal) && name.Length > Weave.Length && name[Weave.Length..].TrimStart('p') is ['-' or '.' or '_', ..] or [];

    /// <summary>Ends and removes all of it: service, machines, networks, namespaces, rules, files. Nothing there: success.</summary>
    public static async Task RemoveAllAsync()
    {
        var stop = CancellationToken.None;
        foreach (var pid in Processes(Folder + "/state")) await EndAsync(pid, stop);
        foreach (var domain in (await Shell.TryVirshAsync(stop, "list", "--all", "--name")).Lines.Where(Ours))
        {
            await Shell.TryVirshAsync(stop, "destroy", domain);
            await Shell.TryVirshAsync(stop, "undefine", domain);
        }
        foreach (var network in (await Shell.TryVirshAsync(stop, "net-list", "--all", "--name")).Lines.Where(n => Ours(n) || n is Weave or Virsh))
        {
            await Shell.TryVirshAsync(stop, "net-destroy", network);
            await Shell.TryVirshAsync(stop, "net-undefine", network);
        }
        foreach (var name in (await Shell.RunAsync("ip", ["netns", "list"], stop)).Lines.Select(l => l.Split(' ')[0]).Where(Ours))
        {
            foreach (var pid in (await Shell.RunAsync("ip", ["netns", "pids", name], stop)).Lines) await EndAsync(int.Parse(pid, CultureInfo.InvariantCulture), stop);
            await Shell.RunAsync("ip", ["netns", "delete", name], stop);
        }
        foreach (var table in (await Shell.RunAsync("nft", ["list", "tables", "ip"], stop)).Lines.Select(l => l.Split(' ')[^1]).Where(t => Ours(t) || t == Weave))
            await Shell.RunAsync("nft", ["delete", "table", "ip", table], stop);
        if (Directory.Exists(Folder)) Directory.Delete(Folder, recursive: true);
        var left = (await Shell.TryVirshAsync(stop, "list", "--all", "--name")).Lines.Concat((await Shell.TryVirshAsync(stop, "net-list", "--all", "--name")).Lines).Where(n => Ours(n) || n is Weave or Virsh).ToList();
        if (left.Count > 0) throw new InvalidOperationException($"cannot be removed: {string.Join(", ", left)}");
    }

    /// <summary>Processes with this in their command line: the service of a run that was killed.</summary>
    private static IEnumerable<int> Processes(string text)
    {
        foreach (var folder in Directory.EnumerateDirectories("/proc"))
        {
            if (!int.TryParse(Path.GetFileName(folder), NumberStyles.None, CultureInfo.InvariantCulture, out var pid) || pid == Environment.ProcessId) continue;
            string line;
            try
            {
                line = File.ReadAllText(Path.Combine(folder, "cmdline"));
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                continue;
            }
            if (line.Contains("WeaveHypervisor.Service", StringComparison.Ordinal) && line.Contains(text, StringComparison.Ordinal)) yield return pid;
        }
    }

    private static async Task EndAsync(int pid, CancellationToken stop)
    {
        await Shell.RunAsync("kill", [pid.ToString(CultureInfo.InvariantCulture)], stop);
        await Waiting.ForAsync($"process {pid} ends", () => Task.FromResult(Gone(pid) ? "" : null), TimeSpan.FromSeconds(20), TimeSpan.FromMilliseconds(20), stop);
    }

    private static bool Gone(int pid)
    {
        try
        {
            return File.ReadAllText($"/proc/{pid}/cmdline").Length == 0;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return true;
        }
    }
}
