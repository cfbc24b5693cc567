// Written from hyperv/Cim/Schema/schema.json by tests/Cim.Tests (WEAVE_GOLDEN=renew).
namespace WeaveHypervisor.HyperV.Cim.Wrappers;

/// <summary>Names and calls of <c>Msvm_SettingsDefineState</c>.</summary>
public static class SettingsDefineState
{
    public const string ClassName = "Msvm_SettingsDefineState";
    public static readonly CimProperty<CimPath> ManagedElement = new("ManagedElement");
    public static readonly CimProperty<CimPath> SettingData = new("SettingData");
}
