// Written from hyperv/Cim/Schema/schema.json by tests/Cim.Tests (WEAVE_GOLDEN=renew).
namespace WeaveHypervisor.HyperV.Cim.Wrappers;

/// <summary>Names and calls of <c>Msvm_AllocationCapabilities</c>.</summary>
public static class AllocationCapabilities
{
    public const string ClassName = "Msvm_AllocationCapabilities";
    public static readonly CimProperty<string> ElementName = new("ElementName");
    public static readonly CimProperty<string> InstanceID = new("InstanceID");
    public static readonly CimProperty<string> OtherResourceType = new("OtherResourceType");
    public static readonly CimProperty<ushort> RequestTypesSupported = new("RequestTypesSupported");
    public static readonly CimProperty<string> ResourceSubType = new("ResourceSubType");
    public static readonly CimProperty<ushort> ResourceType = new("ResourceType");
    public static readonly CimProperty<ushort> SharingMode = new("SharingMode");
    public static readonly CimProperty<ushort[]> SupportedAddStates = new("SupportedAddStates");
    public static readonly CimProperty<ushort[]> SupportedRemoveStates = new("SupportedRemoveStates");
}
