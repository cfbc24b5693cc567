using System.Xml.Linq;
using LibvirtSharp;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt.Fences;

/// <summary>What is missing of a fence, and the plugs of its machines.</summary>
internal sealed partial class FenceKeeper
{
    /// <summary>What is missing of a fence, a sentence each. Touches nothing.</summary>
    public async Task<IReadOnlyList<string>> InspectAsync(FenceSpec fence, CancellationToken stop)
    {
        var names = Names(fence.Tag);
        var links = Links().ToHashSet();
        if (!IsThere(names) && !links.Contains(names.HostUplink) && !Enumerable.Range(0, fence.Networks.Count).Any(i => links.Contains(names.Bridge(i)))) return ["it is gone from the host"];
        var missing = new List<string>();
        var taps = await TapsAsync(names, fence, stop);
        for (var i = 0; i < fence.Networks.Count; i++)
            if (!links.Contains(names.Bridge(i)) || !await IsActiveAsync(names.Network(i), stop)) missing.Add($"its network {names.Network(i)} is gone");
            else if (!HangsOn(names.HostLeg(i), names.Bridge(i))) missing.Add($"the gateway's link to network {names.Network(i)} is gone");
        foreach (var bridge in await BridgedFrames.StoppedAsync([.. Bridges(names, fence).Where(links.Contains)], stop)) missing.Add($"the host may stop frames of its network {bridge}");
        if (!links.Contains(names.HostUplink)) missing.Add("its link to the host is gone");
        if (await ReadRecordAsync(fence.Tag, stop) is not { } record) missing.Add($"its record {Ids.Quote(RecordPath(fence.Tag))} is gone");
        else
        {
            if (!await HasRulesAsync([], names.HostTable, FenceRules.Host(names, record, fence.Uplink, Bridges(names, fence)), stop)) missing.Add("its rules on the host are not what they should be");
            if (!await HasGroupsAsync(names, record, fence, taps, stop)) missing.Add("the rules of its security groups are not what they should be");
            if (!IsThere(names)) missing.Add($"its gateway's namespace {names.Namespace} is gone");
            else if (!await HasRulesAsync(["ip", "netns", "exec", names.Namespace], "weave", FenceRules.Gateway(record, fence.Uplink), stop)) missing.Add("the rules of its gateway are not what they should be");
        }
        if (IsThere(names) && !new NameServer(Folder(fence.Tag)).Serves(fence)) missing.Add("its name server does not run");
        foreach (var (machine, tap, bridge) in taps)
            if (links.Contains(bridge) && !HangsOn(tap, bridge)) missing.Add($"machine {machine} is not plugged into network {bridge}");
        return missing;
    }

    private static bool HangsOn(string link, string bridge) => Path.GetFileName(new FileInfo($"/sys/class/net/{link}/master").LinkTarget) == bridge;

    private Task<bool> IsActiveAsync(string name, CancellationToken stop) => context.Host.CallAsync($"look at the network '{name}'", async connection =>
    {
        try
        {
            using var there = await connection.LookupNetworkAsync(name, stop);
            return await there.IsActiveAsync(stop);
        }
        catch (LibvirtException e) when (e.Code == VirErrorCode.NoNetwork)
        {
            return false;
        }
    }, stop);

    /// <summary>Machines that ran while their network was taken away and made again have lost their plug.</summary>
    private static async Task PlugInAsync(IReadOnlyList<(MachineName Machine, string Tap, string Bridge)> taps, CancellationToken stop)
    {
        foreach (var (_, tap, bridge) in taps)
            if (!HangsOn(tap, bridge)) await HostCommand.RunAsync("ip", ["link", "set", tap, "master", bridge, "up"], null, stop);
    }

    /// <summary>The links of the running machines of a fence and the bridge that each belongs to.</summary>
    private async Task<IReadOnlyList<(MachineName Machine, string Tap, string Bridge)>> TapsAsync(FenceNames names, FenceSpec fence, CancellationToken stop)
    {
        var bridges = Enumerable.Range(0, fence.Networks.Count).ToDictionary(names.Network, names.Bridge);
        var taps = new List<(MachineName, string, string)>();
        foreach (var machine in fence.Machines)
            await context.Host.CallAsync($"look up machine '{machine.Name}' of a fence", async connection =>
            {
                try
                {
                    using var domain = await connection.LookupDomainAsync(context.Paths.NameCopy(fence.Environment, fence.Weave, machine.Name), stop);
                    foreach (var nic in XElement.Parse(await domain.GetXmlAsync(cancellationToken: stop)).Descendants("interface"))
                        if ((string?)nic.Element("source")?.Attribute("network") is { } network && bridges.TryGetValue(network, out var bridge)
                            && (string?)nic.Element("target")?.Attribute("dev") is { } tap && Directory.Exists($"/sys/class/net/{tap}"))
                            taps.Add((machine.Name, tap, bridge));
                }
                catch (LibvirtException e) when (e.Code == VirErrorCode.NoDomain)
                {
                    // A copy that is off has no plug.
                }
            }, stop);
        return taps;
    }
}
