// Written from hyperv/Cim/Schema/schema.json by tests/Cim.Tests (WEAVE_GOLDEN=renew).
namespace WeaveHypervisor.HyperV.Cim.Wrappers;

/// <summary>Names and calls of <c>Msvm_LastAppliedSnapshot</c>.</summary>
public static class LastAppliedSnapshot
{
    public const string ClassName = "Msvm_LastAppliedSnapshot";
    public static readonly CimProperty<CimPath> Antecedent = new("Antecedent");
    public static readonly CimProperty<CimPath> Dependent = new("Dependent");
}
