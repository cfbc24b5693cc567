// Written from hyperv/Cim/Schema/schema.json by tests/Cim.Tests (WEAVE_GOLDEN=renew).
namespace WeaveHypervisor.HyperV.Cim.Wrappers;

/// <summary>Names and calls of <c>Msvm_AffectedStorageJobElement</c>.</summary>
public static class AffectedStorageJobElement
{
    public const string ClassName = "Msvm_AffectedStorageJobElement";
    public static readonly CimProperty<CimPath> AffectedElement = new("AffectedElement");
    public static readonly CimProperty<CimPath> AffectingElement = new("AffectingElement");
    public static readonly CimProperty<ushort[]> ElementEffects = new("ElementEffects");
    public static readonly CimProperty<string[]> OtherElementEffectsDescriptions = new("OtherElementEffectsDescriptions");
}
