// Written from hyperv/Cim/Schema/schema.json by tests/Cim.Tests (WEAVE_GOLDEN=renew).
namespace WeaveHypervisor.HyperV.Cim.Wrappers;

/// <summary>Names and calls of <c>Msvm_ResourcePool</c>.</summary>
public static class ResourcePool
{
    public const string ClassName = "Msvm_ResourcePool";
    public static readonly CimProperty<string> AllocationUnits = new("AllocationUnits");
    public static readonly CimProperty<ulong> Capacity = new("Capacity");
    public static readonly CimProperty<string> ConsumedResourceUnits = new("ConsumedResourceUnits");
    public static readonly CimProperty<ulong> CurrentlyConsumedResource = new("CurrentlyConsumedResource");
    public static readonly CimProperty<string> ElementName = new("ElementName");
    public static readonly CimProperty<string> InstanceID = new("InstanceID");
    public static readonly CimProperty<ulong> MaxConsumableResource = new("MaxConsumableResource");
    public static readonly CimProperty<string> Name = new("Name");
    public static readonly CimProperty<ushort[]> OperationalStatus = new("OperationalStatus");
    public static readonly CimProperty<string> OtherResourceType = new("OtherResourceType");
    public static readonly CimProperty<string> PoolID = new("PoolID");
    public static readonly CimProperty<bool> Primordial = new("Primordial");
    public static readonly CimProperty<ulong> Reserved = new("Reserved");
    public static readonly CimProperty<string> ResourceSubType = new("ResourceSubType");
    public static readonly CimProperty<ushort> ResourceType = new("ResourceType");
}
