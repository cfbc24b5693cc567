// Written from hyperv/Cim/Schema/schema.json by tests/Cim.Tests (WEAVE_GOLDEN=renew).
namespace WeaveHypervisor.HyperV.Cim.Wrappers;

/// <summary>Names and calls of <c>Msvm_AffectedJobElement</c>.</summary>
public static class AffectedJobElement
{
    public const string ClassName = "Msvm_AffectedJobElement";
    public static readonly CimProperty<CimPath> AffectedElement = new("AffectedElement");
    public static readonly CimProperty<CimPath> AffectingElement = new("AffectingElement");
    public static readonly CimProperty<ushort[]> ElementEffects = new("ElementEffects");
    public static readonly CimProperty<string[]> OtherElementEffectsDescriptions = new("OtherElementEffectsDescriptions");
}
