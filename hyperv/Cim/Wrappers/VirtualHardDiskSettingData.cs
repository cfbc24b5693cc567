// Written from hyperv/Cim/Schema/schema.json by tests/Cim.Tests (WEAVE_GOLDEN=renew).
namespace WeaveHypervisor.HyperV.Cim.Wrappers;

/// <summary>Names and calls of <c>Msvm_VirtualHardDiskSettingData</c>.</summary>
public static class VirtualHardDiskSettingData
{
    public const string ClassName = "Msvm_VirtualHardDiskSettingData";
    public static readonly CimProperty<uint> BlockSize = new("BlockSize");
    public static readonly CimProperty<ulong> DataAlignment = new("DataAlignment");
    public static readonly CimProperty<string> ElementName = new("ElementName");
    public static readonly CimProperty<ushort> Format = new("Format");
    public static readonly CimProperty<string> InstanceID = new("InstanceID");
    public static readonly CimProperty<bool> IsPmemCompatible = new("IsPmemCompatible");
    public static readonly CimProperty<uint> LogicalSectorSize = new("LogicalSectorSize");
    public static readonly CimProperty<ulong> MaxInternalSize = new("MaxInternalSize");
    public static readonly CimProperty<string> ParentIdentifier = new("ParentIdentifier");
    public static readonly CimProperty<string> ParentPath = new("ParentPath");
    public static readonly CimProperty<CimTime> ParentTimestamp = new("ParentTimestamp");
    public static readonly CimProperty<string> Path = new("Path");
    public static readonly CimProperty<uint> PhysicalSectorSize = new("PhysicalSectorSize");
    public static readonly CimProperty<ushort> PmemAddressAbstractionType = new("PmemAddressAbstractionType");
    public static readonly CimProperty<ushort> Type = new("Type");
    public static readonly CimProperty<string> VirtualDiskId = new("VirtualDiskId");
}
