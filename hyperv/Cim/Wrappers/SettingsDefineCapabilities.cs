// Written from hyperv/Cim/Schema/schema.json by tests/Cim.Tests (WEAVE_GOLDEN=renew).
namespace WeaveHypervisor.HyperV.Cim.Wrappers;

/// <summary>Names and calls of <c>Msvm_SettingsDefineCapabilities</c>.</summary>
public static class SettingsDefineCapabilities
{
    public const string ClassName = "Msvm_SettingsDefineCapabilities";
    public static readonly CimProperty<CimPath> GroupComponent = new("GroupComponent");
    public static readonly CimProperty<CimPath> PartComponent = new("PartComponent");
    public static readonly CimProperty<ushort> PropertyPolicy = new("PropertyPolicy");
    public static readonly CimProperty<ushort> SupportStatement = new("SupportStatement");
    public static readonly CimProperty<ushort> ValueRange = new("ValueRange");
    public static readonly CimProperty<ushort> ValueRole = new("ValueRole");
}
