// Written from hyperv/Cim/Schema/schema.json by tests/Cim.Tests (WEAVE_GOLDEN=renew).
namespace WeaveHypervisor.HyperV.Cim.Wrappers;

/// <summary>Names and calls of <c>Msvm_EthernetSwitchPortAclSettingData</c>.</summary>
public static class EthernetSwitchPortAclSettingData
{
    public const string ClassName = "Msvm_EthernetSwitchPortAclSettingData";
    public static readonly CimProperty<byte> AclType = new("AclType");
    public static readonly CimProperty<byte> Action = new("Action");
    public static readonly CimProperty<byte> Applicability = new("Applicability");
    public static readonly CimProperty<byte> Direction = new("Direction");
    public static readonly CimProperty<string> ElementName = new("ElementName");
    public static readonly CimProperty<string> InstanceID = new("InstanceID");
    public static readonly CimProperty<string> LocalAddress = new("LocalAddress");
    public static readonly CimProperty<byte> LocalAddressPrefixLength = new("LocalAddressPrefixLength");
    public static readonly CimProperty<string> Name = new("Name");
    public static readonly CimProperty<string> RemoteAddress = new("RemoteAddress");
    public static readonly CimProperty<byte> RemoteAddressPrefixLength = new("RemoteAddressPrefixLength");
}
