// Written from hyperv/Cim/Schema/schema.json by tests/Cim.Tests (WEAVE_GOLDEN=renew).
namespace WeaveHypervisor.HyperV.Cim.Wrappers;

/// <summary>Names and calls of <c>Msvm_EthernetSwitchPortSecuritySettingData</c>.</summary>
public static class EthernetSwitchPortSecuritySettingData
{
    public const string ClassName = "Msvm_EthernetSwitchPortSecuritySettingData";
    public static readonly CimProperty<bool> AllowIeeePriorityTag = new("AllowIeeePriorityTag");
    public static readonly CimProperty<bool> AllowMacSpoofing = new("AllowMacSpoofing");
    public static readonly CimProperty<bool> AllowTeaming = new("AllowTeaming");
    public static readonly CimProperty<uint> DynamicIPAddressLimit = new("DynamicIPAddressLimit");
    public static readonly CimProperty<string> ElementName = new("ElementName");
    public static readonly CimProperty<bool> EnableDhcpGuard = new("EnableDhcpGuard");
    public static readonly CimProperty<bool> EnableFixSpeed10G = new("EnableFixSpeed10G");
    public static readonly CimProperty<bool> EnableRouterGuard = new("EnableRouterGuard");
    public static readonly CimProperty<string> InstanceID = new("InstanceID");
    public static readonly CimProperty<byte> MonitorMode = new("MonitorMode");
    public static readonly CimProperty<byte> MonitorSession = new("MonitorSession");
    public static readonly CimProperty<bool> Reserved = new("Reserved");
    public static readonly CimProperty<uint> StormLimit = new("StormLimit");
    public static readonly CimProperty<string> TeamName = new("TeamName");
    public static readonly CimProperty<uint> TeamNumber = new("TeamNumber");
    public static readonly CimProperty<uint> VirtualSubnetId = new("VirtualSubnetId");
}
