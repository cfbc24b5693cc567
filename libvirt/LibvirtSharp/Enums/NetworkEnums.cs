namespace LibvirtSharp;

/// <summary>libvirt <c>virNetworkXMLFlags</c>, a set of bits.</summary>
[Flags]
public enum NetworkXmlFlags : uint
{
    None = 0,
    Inactive = 1,
}

/// <summary>libvirt <c>virConnectListAllNetworksFlags</c>, a set of bits.</summary>
[Flags]
public enum ListNetworksFlags : uint
{
    None = 0,
    Inactive = 1,
    Active = 2,
    Persistent = 4,
    Transient = 8,
    Autostart = 16,
    NoAutostart = 32,
}

/// <summary>libvirt <c>virNetworkUpdateCommand</c>.</summary>
public enum NetworkUpdateCommand
{
    None = 0,
    Modify = 1,
    Delete = 2,
    AddFirst = 4,
}

/// <summary>libvirt <c>virNetworkUpdateSection</c>.</summary>
public enum NetworkUpdateSection
{
    None = 0,
    Bridge = 1,
    Domain = 2,
    Ip = 3,
    IpDhcpHost = 4,
    IpDhcpRange = 5,
    Forward = 6,
    ForwardInterface = 7,
    ForwardPf = 8,
    Portgroup = 9,
    DnsHost = 10,
    DnsTxt = 11,
    DnsSrv = 12,
}

/// <summary>libvirt <c>virNetworkUpdateFlags</c>, a set of bits.</summary>
[Flags]
public enum NetworkUpdateFlags : uint
{
    Current = 0,
    Live = 1,
    Config = 2,
}
