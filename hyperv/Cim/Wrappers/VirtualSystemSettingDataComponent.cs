// Written from hyperv/Cim/Schema/schema.json by tests/Cim.Tests (WEAVE_GOLDEN=renew).
namespace WeaveHypervisor.HyperV.Cim.Wrappers;

/// <summary>Names and calls of <c>Msvm_VirtualSystemSettingDataComponent</c>.</summary>
public static class VirtualSystemSettingDataComponent
{
    public const string ClassName = "Msvm_VirtualSystemSettingDataComponent";
    public static readonly CimProperty<CimPath> GroupComponent = new("GroupComponent");
    public static readonly CimProperty<CimPath> PartComponent = new("PartComponent");
}
