// Written from hyperv/Cim/Schema/schema.json by tests/Cim.Tests (WEAVE_GOLDEN=renew).
namespace WeaveHypervisor.HyperV.Cim.Wrappers;

/// <summary>Names and calls of <c>Msvm_GuestNetworkAdapterConfiguration</c>.</summary>
public static class GuestNetworkAdapterConfiguration
{
    public const string ClassName = "Msvm_GuestNetworkAdapterConfiguration";
    public static readonly CimProperty<string[]> DefaultGateways = new("DefaultGateways");
    public static readonly CimProperty<bool> DHCPEnabled = new("DHCPEnabled");
    public static readonly CimProperty<string[]> DNSServers = new("DNSServers");
    public static readonly CimProperty<string> InstanceID = new("InstanceID");
    public static readonly CimProperty<string[]> IPAddresses = new("IPAddresses");
    public static readonly CimProperty<ushort[]> IPAddressOrigins = new("IPAddressOrigins");
    public static readonly CimProperty<ushort> ProtocolIFType = new("ProtocolIFType");
    public static readonly CimProperty<string[]> Subnets = new("Subnets");
}
