using System.Globalization;

namespace WeaveHypervisor.Benchmarks.Hosts;

/// <summary>MiB of a QEMU process.</summary>
/// <param name="Ram">Pages of the guest's RAM that belong to this process alone: anonymous pages of the mapping that is as large as the RAM.</param>
/// <param name="Rest">All other private memory: QEMU itself and, under TCG, the translator's code cache.</param>
public sealed record PrivateMemory(double Ram, double Rest)
{
    public static PrivateMemory Of(string domain, int mib) => Of(File.ReadLines($"/proc/{File.ReadAllText($"/run/libvirt/qemu/{domain}.pid").Trim()}/smaps"), mib);

    /// <param name="smaps">Lines of /proc/PID/smaps.</param>
    public static PrivateMemory Of(IEnumerable<string> smaps, int mib)
    {
        long ram = 0, rest = 0;
        var isRam = false;
        foreach (var line in smaps)
        {
            if (line.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries) is not [var name, var text, "kB"] || !long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var kib)) continue;
            // The size comes first in each mapping's lines.
            if (name == "Size:") isRam = kib == mib * 1024L;
            // Pages of a mapped memory image that nobody else maps at the moment count as private there, although they are page cache.
            else if (isRam) ram += name == "Anonymous:" ? kib : 0;
            else if (name is "Private_Clean:" or "Private_Dirty:") rest += kib;
        }
        return new(ram / 1024.0, rest / 1024.0);
    }
}
