using System.Globalization;
using System.Text.Json;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt.Fences;

/// <summary>A fence's tables of nftables: set, looked at, removed.</summary>
internal sealed partial class FenceKeeper
{
    /// <summary>One transaction for the host's rules and those of the security groups: before the plugs of machines exist, and under machines that run.</summary>
    private static async Task SetRulesAsync(FenceNames names, FenceRecord record, FenceSpec fence, IReadOnlyList<(MachineName Machine, string Tap, string Bridge)> taps, CancellationToken stop)
    {
        var host = FenceRules.Host(names, record, fence.Uplink, Bridges(names, fence));
        var (exit, _, error, _) = await HostCommand.TryAsync("nft", ["-f", "-"], host + Groups(names, record, fence, taps).Text, stop);
        if (exit == 0) return;
        if (!GroupRules.Wanted(fence))
        {
            // A kernel that knows no rules for bridges has none of ours, either.
            await HostCommand.RunAsync("nft", ["-f", "-"], host, stop);
            return;
        }
        if (await RefuseGroupsAsync(stop) is { } reason)
            throw new WeaveException(Fault.Unsupported, $"The security groups of '{fence.Environment}/{fence.Weave}' cannot be enforced: this host refuses rules for bridges ({reason}).",
                "Use a kernel with nftables for bridges (CONFIG_NF_TABLES_BRIDGE, Debian's has it) and nft 1.0 or newer, or make the weave without security groups.");
        throw new WeaveException(Fault.Internal, $"nft does not take the rules of '{fence.Environment}/{fence.Weave}': {error.Trim()}", "Look at the host's network configuration; another program may have changed what the service made.");
    }

    /// <summary>What this host says against rules of security groups; null where it takes them. Changes nothing.</summary>
    public static async Task<string?> RefuseGroupsAsync(CancellationToken stop)
    {
        var (exit, _, error, _) = await HostCommand.TryAsync("nft", ["-c", "-f", "-"], GroupRules.Probe, stop);
        return exit == 0 ? null : error.Split('\n')[0].Trim();
    }

    private static async Task RemoveRulesAsync(FenceNames names, CancellationToken stop)
    {
        var host = $"table ip {names.HostTable}\ndelete table ip {names.HostTable}\n";
        if ((await HostCommand.TryAsync("nft", ["-f", "-"], host + GroupRules.Remove(names), stop)).Exit != 0) await HostCommand.RunAsync("nft", ["-f", "-"], host, stop);
    }

    /// <summary>A running machine of before plugs had names is known by the number of its link, which the kernel gives to no other one.</summary>
    private static GroupRules Groups(FenceNames names, FenceRecord record, FenceSpec fence, IReadOnlyList<(MachineName Machine, string Tap, string Bridge)> taps) =>
        new(names, fence, record.Plugs, [.. Strange(names, record, taps).Select(t => (t.Machine, Index: LinkNumber(t.Tap))).Where(t => t.Index > 0)]);

    private static IEnumerable<(MachineName Machine, string Tap, string Bridge)> Strange(FenceNames names, FenceRecord record, IReadOnlyList<(MachineName Machine, string Tap, string Bridge)> taps) =>
        taps.Where(t => !record.Plugs.Any(p => p.Machine == t.Machine && names.Tap(p.Number) == t.Tap));

    private static int LinkNumber(string link)
    {
        try
        {
            return int.Parse(File.ReadAllText($"/sys/class/net/{link}/ifindex"), CultureInfo.InvariantCulture);
        }
        catch (IOException)
        {
            // The machine has ended.
            return 0;
        }
    }

    /// <summary>The table has as many chains and rules as the text makes: somebody who takes rules away or flushes them leaves fewer.</summary>
    private static async Task<bool> HasRulesAsync(string[] inside, string table, string text, CancellationToken stop) =>
        await ReadTableAsync(inside, "ip", table, stop) is { } found && (found.Chains, found.Rules) == FenceRules.Count(text);

    /// <summary>The table of the security groups is the one of these groups, whole, and knows every plug; or there is none to be, and none.</summary>
    private static async Task<bool> HasGroupsAsync(FenceNames names, FenceRecord record, FenceSpec fence, IReadOnlyList<(MachineName Machine, string Tap, string Bridge)> taps, CancellationToken stop)
    {
        var wanted = GroupRules.Wanted(fence);
        if (!record.Grouped) return !wanted;
        var found = await ReadTableAsync([], "bridge", names.HostTable, stop);
        if (!wanted || found is null) return !wanted && found is null;
        var groups = Groups(names, record, fence, taps);
        return (found.Chains, found.Rules, found.Elements) == groups.Count && found.Comments.Contains(groups.Mark) && Strange(names, record, taps).All(t => found.Links.Contains(t.Tap));
    }

    /// <param name="Elements">Of sets that hold no links by number and that frames do not change.</param>
    /// <param name="Comments">Of rules.</param>
    /// <param name="Links">Names of links that are held by number.</param>
    private sealed record FoundTable(int Chains, int Rules, int Elements, IReadOnlySet<string> Comments, IReadOnlySet<string> Links);

    /// <summary>Null where there is no such table.</summary>
    private static async Task<FoundTable?> ReadTableAsync(string[] inside, string family, string table, CancellationToken stop)
    {
        string[] line = [.. inside, "nft", "-j", "list", "table", family, table];
        var (exit, output, _, _) = await HostCommand.TryAsync(line[0], line[1..], null, stop);
        if (exit != 0) return null;
        using var document = JsonDocument.Parse(output);
        var (chains, rules, elements) = (0, 0, 0);
        var (comments, links) = (new HashSet<string>(), new HashSet<string>());
        foreach (var item in document.RootElement.GetProperty("nftables").EnumerateArray())
            if (item.TryGetProperty("chain", out _)) chains++;
            else if (item.TryGetProperty("rule", out var rule))
            {
                rules++;
                if (rule.TryGetProperty("comment", out var comment)) comments.Add(comment.GetString()!);
            }
            else if (item.TryGetProperty("set", out var set) && set.TryGetProperty("elem", out var held))
            {
                if (set.GetProperty("name").GetString() == "links") links.UnionWith(held.EnumerateArray().Select(e => e.ToString()));
                else if (set.TryGetProperty("type", out var type) && type.ToString() != "iface_index" && !set.TryGetProperty("timeout", out _)) elements += held.GetArrayLength();
            }
        return new(chains, rules, elements, comments, links);
    }
}
