using WeaveHypervisor.Model;

namespace WeaveHypervisor.Libvirt.Fences;

/// <summary>Names of all things of a fence on the host, from its tag. Interface names have at most 15 characters.</summary>
internal sealed record FenceNames(string Prefix, FenceTag Tag)
{
    public const string Uplink = "uplink";
    public string Namespace => $"{Prefix}-{Tag.Text}";
    public string NamespacePath => $"/run/netns/{Namespace}";
    public string HostUplink => $"wv{Tag.Text}u";
    /// <summary>nft table of the fence on the host, of the family ip, and of the family bridge for its security groups.</summary>
    public string HostTable => $"{Prefix}_{Tag.Text}";
    public string Network(int index) => $"{Prefix}-{Tag.Text}-{index}";
    public string Bridge(int index) => $"wv{Tag.Text}n{index}";
    /// <summary>All bridges of the fence, as a pattern of nftables.</summary>
    public string Bridges => $"{BridgePrefix}*";
    /// <summary>What the names of all bridges of the fence begin with.</summary>
    public string BridgePrefix => $"wv{Tag.Text}n";
    /// <summary>Host end of the gateway's leg in a bridge.</summary>
    public string HostLeg(int index) => $"{HostLegPrefix}{index}";
    public string HostLegPrefix => $"{LinkPrefix}g";
    /// <summary>Host end of a machine's link. libvirt takes names that do not begin as its own do, and they are known before the machine runs.</summary>
    public string Tap(int number) => $"{LinkPrefix}t{number}";
    /// <summary>What the names of all links of the fence on the host begin with.</summary>
    public string LinkPrefix => $"wv{Tag.Text}";
    /// <summary>Gateway's end of the leg.</summary>
    public static string Leg(int index) => $"leg{index}";

    /// <summary>The tag in a name of that prefix: `{prefix}-{tag}`, `{prefix}-{tag}-{i}` or `{prefix}_{tag}`; null for any other name.</summary>
    public static FenceTag? TagOf(string prefix, string name)
    {
        if (name.Length < prefix.Length + 9 || !name.StartsWith(prefix, StringComparison.Ordinal) || name[prefix.Length] is not ('-' or '_')) return null;
        var rest = name[(prefix.Length + 1)..];
        if (rest.Length > 8 && rest[8] != '-') return null;
        return FenceTag.TryCreate(rest[..8], out var tag) ? tag : null;
    }
}
