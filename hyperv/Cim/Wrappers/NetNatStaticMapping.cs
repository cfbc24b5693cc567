// Written from hyperv/Cim/Schema/schema.json by tests/Cim.Tests (WEAVE_GOLDEN=renew).
namespace WeaveHypervisor.HyperV.Cim.Wrappers;

/// <summary>Names and calls of <c>MSFT_NetNatStaticMapping</c>.</summary>
public static class NetNatStaticMapping
{
    public const string ClassName = "MSFT_NetNatStaticMapping";
    public static readonly CimProperty<byte> Active = new("Active");
    public static readonly CimProperty<string> ElementName = new("ElementName");
    public static readonly CimProperty<string> ExternalIPAddress = new("ExternalIPAddress");
    public static readonly CimProperty<ushort> ExternalPort = new("ExternalPort");
    public static readonly CimProperty<string> InstanceID = new("InstanceID");
    public static readonly CimProperty<string> InternalIPAddress = new("InternalIPAddress");
    public static readonly CimProperty<ushort> InternalPort = new("InternalPort");
    public static readonly CimProperty<string> InternalRoutingDomainId = new("InternalRoutingDomainId");
    public static readonly CimProperty<string> NatName = new("NatName");
    public static readonly CimProperty<uint> Protocol = new("Protocol");
    public static readonly CimProperty<string> RemoteExternalIPAddressPrefix = new("RemoteExternalIPAddressPrefix");
    public static readonly CimProperty<uint> StaticMappingID = new("StaticMappingID");
}
