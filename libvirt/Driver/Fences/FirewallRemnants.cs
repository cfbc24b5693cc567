using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt.Fences;

/// <summary>
/// Rules that libvirt makes in iptables for each network, and takes back when the network ends. A libvirtd that dies in the middle of that leaves some of them, and the next one knows nothing of them (seen with 9.0:
/// seven of eight, by a kill while a weave was deleted). They name a bridge that is gone, and would be in the way of no one but a bridge of that name.
/// </summary>
internal static class FirewallRemnants
{
    /// <summary>Removes all rules of bridges whose names begin with <paramref name="bridge"/>; only after their networks have ended. Repeatable. Without iptables there are none.</summary>
    public static async Task ClearAsync(string bridge, CancellationToken stop)
    {
        foreach (var program in new[] { "iptables", "ip6tables" })
        {
            (int Exit, string Output, string, string) saved;
            try
            {
                saved = await HostCommand.TryAsync(program + "-save", [], null, stop);
            }
            catch (WeaveException e) when (e.Fault == Fault.Unavailable)
            {
                continue;
            }
            if (saved.Exit != 0) continue;
            foreach (var (table, rule) in Find(saved.Output, bridge)) await HostCommand.TryAsync(program, ["-w", "-t", table, "-D", .. rule], null, stop);
        }
    }

    /// <summary>Of the text of iptables-save, the rules that begin or end at such a bridge: their table, and chain and conditions as `-D` takes them.</summary>
    public static IReadOnlyList<(string Table, IReadOnlyList<string> Rule)> Find(string saved, string bridge)
    {
        var found = new List<(string, IReadOnlyList<string>)>();
        var table = "";
        foreach (var line in saved.Split('\n'))
        {
            if (line.StartsWith('*')) table = line[1..].Trim();
            // Quoted words (comments) are none of libvirt's rules.
            if (!line.StartsWith("-A ", StringComparison.Ordinal) || line.Contains('"')) continue;
            var words = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
            if (words.Zip(words.Skip(1)).Any(w => w.First is "-i" or "-o" && w.Second.StartsWith(bridge, StringComparison.Ordinal))) found.Add((table, words[1..]));
        }
        return found;
    }
}
