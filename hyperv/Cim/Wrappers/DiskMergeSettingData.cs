// Written from hyperv/Cim/Schema/schema.json by tests/Cim.Tests (WEAVE_GOLDEN=renew).
namespace WeaveHypervisor.HyperV.Cim.Wrappers;

/// <summary>Names and calls of <c>Msvm_DiskMergeSettingData</c>.</summary>
public static class DiskMergeSettingData
{
    public const string ClassName = "Msvm_DiskMergeSettingData";
    public static readonly CimProperty<string> ElementName = new("ElementName");
    public static readonly CimProperty<uint> EnabledState = new("EnabledState");
    public static readonly CimProperty<string> InstanceID = new("InstanceID");
}
