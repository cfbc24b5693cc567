// Written from hyperv/Cim/Schema/schema.json by tests/Cim.Tests (WEAVE_GOLDEN=renew).
namespace WeaveHypervisor.HyperV.Cim.Wrappers;

/// <summary>Names and calls of <c>Msvm_ElementCapabilities</c>.</summary>
public static class ElementCapabilities
{
    public const string ClassName = "Msvm_ElementCapabilities";
    public static readonly CimProperty<CimPath> Capabilities = new("Capabilities");
    public static readonly CimProperty<ushort[]> Characteristics = new("Characteristics");
    public static readonly CimProperty<CimPath> ManagedElement = new("ManagedElement");
}
