// Written from hyperv/Cim/Schema/schema.json by tests/Cim.Tests (WEAVE_GOLDEN=renew).
namespace WeaveHypervisor.HyperV.Cim.Wrappers;

/// <summary>Names and calls of <c>Msvm_SerialPortSettingData</c>.</summary>
public static class SerialPortSettingData
{
    public const string ClassName = "Msvm_SerialPortSettingData";
    public static readonly CimProperty<string> Address = new("Address");
    public static readonly CimProperty<string> AddressOnParent = new("AddressOnParent");
    public static readonly CimProperty<string> AllocationUnits = new("AllocationUnits");
    public static readonly CimProperty<bool> AutomaticAllocation = new("AutomaticAllocation");
    public static readonly CimProperty<bool> AutomaticDeallocation = new("AutomaticDeallocation");
    public static readonly CimProperty<string[]> Connection = new("Connection");
    public static readonly CimProperty<ushort> ConsumerVisibility = new("ConsumerVisibility");
    public static readonly CimProperty<bool> DebuggerMode = new("DebuggerMode");
    public static readonly CimProperty<string> ElementName = new("ElementName");
    public static readonly CimProperty<string[]> HostResource = new("HostResource");
    public static readonly CimProperty<string> InstanceID = new("InstanceID");
    public static readonly CimProperty<ulong> Limit = new("Limit");
    public static readonly CimProperty<ushort> MappingBehavior = new("MappingBehavior");
    public static readonly CimProperty<string> OtherResourceType = new("OtherResourceType");
    public static readonly CimProperty<string> Parent = new("Parent");
    public static readonly CimProperty<string> PoolID = new("PoolID");
    public static readonly CimProperty<ulong> Reservation = new("Reservation");
    public static readonly CimProperty<string> ResourceSubType = new("ResourceSubType");
    public static readonly CimProperty<ushort> ResourceType = new("ResourceType");
    public static readonly CimProperty<ulong> VirtualQuantity = new("VirtualQuantity");
    public static readonly CimProperty<string> VirtualQuantityUnits = new("VirtualQuantityUnits");
    public static readonly CimProperty<uint> Weight = new("Weight");
}
