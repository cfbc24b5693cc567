// Written from hyperv/Cim/Schema/schema.json by tests/Cim.Tests (WEAVE_GOLDEN=renew).
namespace WeaveHypervisor.HyperV.Cim.Wrappers;

/// <summary>Names and calls of <c>Msvm_ReferencePointOfVirtualSystem</c>.</summary>
public static class ReferencePointOfVirtualSystem
{
    public const string ClassName = "Msvm_ReferencePointOfVirtualSystem";
    public static readonly CimProperty<CimPath> Antecedent = new("Antecedent");
    public static readonly CimProperty<CimPath> Dependent = new("Dependent");
}
