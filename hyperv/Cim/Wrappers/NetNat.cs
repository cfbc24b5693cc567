// Written from hyperv/Cim/Schema/schema.json by tests/Cim.Tests (WEAVE_GOLDEN=renew).
namespace WeaveHypervisor.HyperV.Cim.Wrappers;

/// <summary>Names and calls of <c>MSFT_NetNat</c>.</summary>
public static class NetNat
{
    public const string ClassName = "MSFT_NetNat";
    public static readonly CimProperty<byte> Active = new("Active");
    public static readonly CimProperty<string> ElementName = new("ElementName");
    public static readonly CimProperty<string> ExternalIPInterfaceAddressPrefix = new("ExternalIPInterfaceAddressPrefix");
    public static readonly CimProperty<uint> IcmpQueryTimeout = new("IcmpQueryTimeout");
    public static readonly CimProperty<string> InstanceID = new("InstanceID");
    public static readonly CimProperty<string> InternalIPInterfaceAddressPrefix = new("InternalIPInterfaceAddressPrefix");
    public static readonly CimProperty<string> InternalRoutingDomainId = new("InternalRoutingDomainId");
    public static readonly CimProperty<string> Name = new("Name");
    public static readonly CimProperty<uint> Store = new("Store");
    public static readonly CimProperty<uint> TcpEstablishedConnectionTimeout = new("TcpEstablishedConnectionTimeout");
    public static readonly CimProperty<byte> TcpFilteringBehavior = new("TcpFilteringBehavior");
    public static readonly CimProperty<uint> TcpTransientConnectionTimeout = new("TcpTransientConnectionTimeout");
    public static readonly CimProperty<byte> UdpFilteringBehavior = new("UdpFilteringBehavior");
    public static readonly CimProperty<uint> UdpIdleSessionTimeout = new("UdpIdleSessionTimeout");
    public static readonly CimProperty<byte> UdpInboundRefresh = new("UdpInboundRefresh");
}
