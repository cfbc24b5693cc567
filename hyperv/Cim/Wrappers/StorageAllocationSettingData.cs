// Written from hyperv/Cim/Schema/schema.json by tests/Cim.Tests (WEAVE_GOLDEN=renew).
namespace WeaveHypervisor.HyperV.Cim.Wrappers;

/// <summary>Names and calls of <c>Msvm_StorageAllocationSettingData</c>.</summary>
public static class StorageAllocationSettingData
{
    public const string ClassName = "Msvm_StorageAllocationSettingData";
    public static readonly CimProperty<ushort> Access = new("Access");
    public static readonly CimProperty<string> Address = new("Address");
    public static readonly CimProperty<string> AddressOnParent = new("AddressOnParent");
    public static readonly CimProperty<string> AllocationUnits = new("AllocationUnits");
    public static readonly CimProperty<bool> AutomaticAllocation = new("AutomaticAllocation");
    public static readonly CimProperty<bool> AutomaticDeallocation = new("AutomaticDeallocation");
    public static readonly CimProperty<ushort> CachingMode = new("CachingMode");
    public static readonly CimProperty<string[]> Connection = new("Connection");
    public static readonly CimProperty<ushort> ConsumerVisibility = new("ConsumerVisibility");
    public static readonly CimProperty<string> ElementName = new("ElementName");
    public static readonly CimProperty<string> HostExtentName = new("HostExtentName");
    public static readonly CimProperty<ushort> HostExtentNameFormat = new("HostExtentNameFormat");
    public static readonly CimProperty<ushort> HostExtentNameNamespace = new("HostExtentNameNamespace");
    public static readonly CimProperty<ulong> HostExtentStartingAddress = new("HostExtentStartingAddress");
    public static readonly CimProperty<string[]> HostResource = new("HostResource");
    public static readonly CimProperty<ulong> HostResourceBlockSize = new("HostResourceBlockSize");
    public static readonly CimProperty<bool> IgnoreFlushes = new("IgnoreFlushes");
    public static readonly CimProperty<string> InstanceID = new("InstanceID");
    public static readonly CimProperty<string> IOPSAllocationUnits = new("IOPSAllocationUnits");
    public static readonly CimProperty<ulong> IOPSLimit = new("IOPSLimit");
    public static readonly CimProperty<ulong> IOPSReservation = new("IOPSReservation");
    public static readonly CimProperty<ulong> Limit = new("Limit");
    public static readonly CimProperty<ushort> MappingBehavior = new("MappingBehavior");
    public static readonly CimProperty<string> OtherHostExtentNameFormat = new("OtherHostExtentNameFormat");
    public static readonly CimProperty<string> OtherHostExtentNameNamespace = new("OtherHostExtentNameNamespace");
    public static readonly CimProperty<string> OtherResourceType = new("OtherResourceType");
    public static readonly CimProperty<string> Parent = new("Parent");
    public static readonly CimProperty<bool> PersistentReservationsSupported = new("PersistentReservationsSupported");
    public static readonly CimProperty<string> PoolID = new("PoolID");
    public static readonly CimProperty<ulong> Reservation = new("Reservation");
    public static readonly CimProperty<string> ResourceSubType = new("ResourceSubType");
    public static readonly CimProperty<ushort> ResourceType = new("ResourceType");
    public static readonly CimProperty<string> SnapshotId = new("SnapshotId");
    public static readonly CimProperty<string> StorageQoSPolicyID = new("StorageQoSPolicyID");
    public static readonly CimProperty<ulong> VirtualQuantity = new("VirtualQuantity");
    public static readonly CimProperty<string> VirtualQuantityUnits = new("VirtualQuantityUnits");
    public static readonly CimProperty<ulong> VirtualResourceBlockSize = new("VirtualResourceBlockSize");
    public static readonly CimProperty<uint> Weight = new("Weight");
    public static readonly CimProperty<ushort> WriteHardeningMethod = new("WriteHardeningMethod");
}
