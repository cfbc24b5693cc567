// Written from hyperv/Cim/Schema/schema.json by tests/Cim.Tests (WEAVE_GOLDEN=renew).
namespace WeaveHypervisor.HyperV.Cim.Wrappers;

/// <summary>Names and calls of <c>Msvm_EthernetSwitchPortFeatureSettingData</c>.</summary>
public static class EthernetSwitchPortFeatureSettingData
{
    public const string ClassName = "Msvm_EthernetSwitchPortFeatureSettingData";
    public static readonly CimProperty<string> ElementName = new("ElementName");
    public static readonly CimProperty<string> InstanceID = new("InstanceID");
}
