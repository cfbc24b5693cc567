using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt.Fences;

/// <summary>
/// Where the kernel takes frames that pass a bridge to the host's IP rules, too (net.bridge.bridge-nf-call-iptables, which Docker and Kubernetes turn on), a host that forwards nothing (their policy) would part the
/// machines of a fence. An nftables rule of ours cannot overrule that: what one chain accepts the next one may still drop. So the accepting rule stands first in the same chain of iptables, as libvirt's do for its networks.
/// </summary>
internal static class BridgedFrames
{
    private const string Setting = "/proc/sys/net/bridge/bridge-nf-call-iptables";

    /// <summary>Lets frames pass from each of the bridges to itself, where that needs a rule that is not there.</summary>
    public static async Task LetPassAsync(IReadOnlyList<string> bridges, CancellationToken stop)
    {
        foreach (var bridge in await StoppedAsync(bridges, stop)) await HostCommand.RunAsync("iptables", ["-w", "-I", "FORWARD", .. Rule(bridge)], null, stop);
    }

    /// <summary>Those of the bridges whose frames have no rule that lets them pass, where they need one.</summary>
    public static async Task<IReadOnlyList<string>> StoppedAsync(IReadOnlyList<string> bridges, CancellationToken stop)
    {
        if (bridges.Count == 0 || !File.Exists(Setting) || (await File.ReadAllTextAsync(Setting, stop)).Trim() != "1") return [];
        try
        {
            var rules = (await HostCommand.RunAsync("iptables", ["-w", "-S", "FORWARD"], null, stop)).Split('\n').ToHashSet();
            return [.. bridges.Where(b => !rules.Contains("-A FORWARD " + string.Join(' ', Rule(b))))];
        }
        catch (WeaveException e) when (e.Fault == Fault.Unavailable)
        {
            // Without iptables nobody has rules in its chains.
            return [];
        }
    }

    private static string[] Rule(string bridge) => ["-i", bridge, "-o", bridge, "-j", "ACCEPT"];
}
