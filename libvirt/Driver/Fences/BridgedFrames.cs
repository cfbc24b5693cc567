using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt.Fences;

/// <summary>
/// Where the kernel takes frames that pass a bridge to the host's IP rules, too (net.bridge.bridge-nf-call-iptables, which Docker and Kubernetes turn on), a host that forwards nothing (their policy) would part the
/// machines of a fence. An nftables rule of ours cannot overrule that: what one chain accepts the next one may still drop. So an accepting rule is in the same chains of iptables and ip6tables, as libvirt's for IPv4 are for
/// its networks; always, because that setting may come while the fence is there.
/// </summary>
internal static class BridgedFrames
{
    /// <summary>Whoever has rules for bridges in the one may have some in the other.</summary>
    public static readonly string[] Programs = ["iptables", "ip6tables"];

    /// <summary>Puts the rules of the bridges that are not there first into FORWARD. Without iptables nobody has rules in its chains; where it refuses, that matters only while frames of bridges come to them.</summary>
    public static Task LetPassAsync(IReadOnlyList<string> bridges, CancellationToken stop) => Task.WhenAll(Programs.Select(async program =>
    {
        if (await ReadAsync(program, stop) is not { } rules) return;
        foreach (var bridge in bridges.Where(b => !rules.Contains(Line(b))))
            if (await HostCommand.TryAsync(program, ["-w", "-I", "FORWARD", .. Rule(bridge)], null, stop) is { Exit: not 0 } failed && await GoThroughRulesAsync(program, stop))
                throw HostCommand.Failed(failed, "Look at the host's firewall: frames of bridges go through its rules (net.bridge.bridge-nf-call-iptables), which may part the machines of weaves.");
    }));

    /// <summary>Those of the bridges whose frames go through the host's rules now, and have none that lets them pass. A host whose rules cannot be read counts as one without.</summary>
    public static async Task<IReadOnlyList<string>> StoppedAsync(IReadOnlyList<string> bridges, CancellationToken stop)
    {
        var stopped = new HashSet<string>();
        foreach (var program in Programs)
            if (bridges.Count > 0 && await GoThroughRulesAsync(program, stop) && await ReadAsync(program, stop) is { } rules) stopped.UnionWith(bridges.Where(b => !rules.Contains(Line(b))));
        return [.. stopped.Order(StringComparer.Ordinal)];
    }

    private static async Task<bool> GoThroughRulesAsync(string program, CancellationToken stop) => $"/proc/sys/net/bridge/bridge-nf-call-{program}" is var path && File.Exists(path) && (await File.ReadAllTextAsync(path, stop)).Trim() == "1";

    /// <summary>The rules of FORWARD, none where they cannot be read; null where the program is not installed.</summary>
    private static async Task<IReadOnlySet<string>?> ReadAsync(string program, CancellationToken stop)
    {
        try
        {
            return (await HostCommand.TryAsync(program, ["-w", "-S", "FORWARD"], null, stop)).Output.Split('\n').ToHashSet();
        }
        catch (WeaveException e) when (e.Fault == Fault.Unavailable)
        {
            return HostCommand.IsMissing(e) ? null : new HashSet<string>();
        }
    }

    private static string[] Rule(string bridge) => ["-i", bridge, "-o", bridge, "-j", "ACCEPT"];
    private static string Line(string bridge) => "-A FORWARD " + string.Join(' ', Rule(bridge));
}
