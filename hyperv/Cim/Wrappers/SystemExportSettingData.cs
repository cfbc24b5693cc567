// Written from hyperv/Cim/Schema/schema.json by tests/Cim.Tests (WEAVE_GOLDEN=renew).
namespace WeaveHypervisor.HyperV.Cim.Wrappers;

/// <summary>Names and calls of <c>Msvm_SystemExportSettingData</c>.</summary>
public static class SystemExportSettingData
{
    public const string ClassName = "Msvm_SystemExportSettingData";
    public static readonly CimProperty<ushort> IsCurrent = new("IsCurrent");
    public static readonly CimProperty<ushort> IsDefault = new("IsDefault");
    public static readonly CimProperty<ushort> IsNext = new("IsNext");
    public static readonly CimProperty<CimPath> ManagedElement = new("ManagedElement");
    public static readonly CimProperty<CimPath> SettingData = new("SettingData");
}
