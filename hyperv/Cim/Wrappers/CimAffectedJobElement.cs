// Written from hyperv/Cim/Schema/schema.json by tests/Cim.Tests (WEAVE_GOLDEN=renew).
namespace WeaveHypervisor.HyperV.Cim.Wrappers;

/// <summary>Names and calls of <c>CIM_AffectedJobElement</c>.</summary>
public static class CimAffectedJobElement
{
    public const string ClassName = "CIM_AffectedJobElement";
    public static readonly CimProperty<CimPath> AffectedElement = new("AffectedElement");
    public static readonly CimProperty<CimPath> AffectingElement = new("AffectingElement");
    public static readonly CimProperty<ushort[]> ElementEffects = new("ElementEffects");
    public static readonly CimProperty<string[]> OtherElementEffectsDescriptions = new("OtherElementEffectsDescriptions");
}
