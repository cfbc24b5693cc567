using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt.Fences;

/// <summary>
/// Rules of iptables that name bridges of a fence: our own (<see cref="BridgedFrames"/>), and those that libvirt made for networks of earlier versions and takes back when the network ends. A libvirtd that dies in the middle
/// of that leaves some of them, and the next one knows nothing of them (seen with 9.0: seven of eight, by a kill while a weave was deleted).
/// </summary>
internal static class FirewallRemnants
{
    /// <summary>Removes all rules of bridges whose names begin with <paramref name="bridge"/>; only after their networks have ended. Repeatable. Without iptables there are none, and what it cannot list it has not made.</summary>
    public static async Task ClearAsync(string bridge, CancellationToken stop)
    {
        foreach (var program in BridgedFrames.Programs)
        {
            WeaveException? failed = null;
            foreach (var (table, rule) in await ListAsync(program, bridge, stop))
                if (await HostCommand.TryAsync(program, ["-w", "-t", table, "-D", .. rule], null, stop) is { Exit: not 0 } one) failed = HostCommand.Failed(one, "Look at the host's firewall; another program may have changed what the service made.");
            // A libvirtd that is still at it may have been quicker.
            if (failed is not null && (await ListAsync(program, bridge, stop)).Count > 0) throw failed;
        }
    }

    private static async Task<IReadOnlyList<(string Table, IReadOnlyList<string> Rule)>> ListAsync(string program, string bridge, CancellationToken stop)
    {
        try
        {
            return await HostCommand.TryAsync(program + "-save", [], null, stop) is { Exit: 0 } saved ? Find(saved.Output, bridge) : [];
        }
        catch (WeaveException e) when (HostCommand.IsMissing(e))
        {
            return [];
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
