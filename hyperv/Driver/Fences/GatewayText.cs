using System.Globalization;
using System.Text;
using WeaveHypervisor.Drivers;
using WeaveHypervisor.Model;

namespace WeaveHypervisor.HyperV.Fences;

/// <summary>
/// What a gateway is told: text at the beginning of its second disk, a line each, which ends with <c>end</c>. <c>hyperv/gateway</c> has the program that carries it out.
/// <list type="bullet">
/// <item><c>weave-gateway 1</c>: the first line; the version of this form.</item>
/// <item><c>uplink MAC ADDRESS/LENGTH HOST</c>: the adapter towards the host, its address, and the host's.</item>
/// <item><c>leg MAC ADDRESS/LENGTH MTU</c>: an adapter inside, with the address that the original gateway had; MTU 0 is the default.</item>
/// <item><c>outer ADDRESS INNER</c>: an address of the uplink that leads to one inside.</item>
/// <item><c>egress none</c> or <c>egress nat</c>: whether machines inside may begin connections to the outside.</item>
/// </list>
/// </summary>
internal static class GatewayText
{
    /// <summary>Bytes of the disk that it is written to: room for the text, and as small as a disk may well be.</summary>
    public const int DiskBytes = 4 << 20;

    /// <summary>MAC of a fence's adapter on the uplink: locally administered, and unique because the tag is.</summary>
    public static string UplinkMac(FenceTag tag) => Mac(0x02, 0x57, tag);

    /// <summary>MAC of the gateway in a network: that of the original gateway where it is known, because resumed machines remember it.</summary>
    public static string LegMac(FenceTag tag, NetworkBlueprint network, int index) =>
        network.GatewayMac is { } given && System.Net.NetworkInformation.PhysicalAddress.TryParse(given.Replace(':', '-').ToUpperInvariant(), out _) ? given.ToLowerInvariant() : Mac(0x06, index & 0xff, tag);

    private static string Mac(int first, int second, FenceTag tag) => string.Join(':', new[] { first.ToString("x2", CultureInfo.InvariantCulture), second.ToString("x2", CultureInfo.InvariantCulture) }.Concat(tag.Text.Chunk(2).Select(c => new string(c))));

    public static string Write(FenceSpec fence, UplinkPlan plan, int block, IReadOnlyList<MachineAddress> addresses)
    {
        var text = new StringBuilder("weave-gateway 1\n");
        text.Append(CultureInfo.InvariantCulture, $"uplink {UplinkMac(fence.Tag)} {plan.Gateway(block)}/{plan.PrefixLength} {plan.Host}\n");
        for (var i = 0; i < fence.Networks.Count; i++)
            if (fence.Networks[i].Gateway is { } gateway) text.Append(CultureInfo.InvariantCulture, $"leg {LegMac(fence.Tag, fence.Networks[i], i)} {UplinkPlan.Checked(gateway)}/{fence.Networks[i].PrefixLength} {fence.Networks[i].Mtu}\n");
        foreach (var address in addresses) text.Append($"outer {address.Outer} {address.Inner}\n");
        return text.Append($"egress {(fence.Uplink == UplinkMode.Nat ? "nat" : "none")}\nend\n").ToString();
    }
}
