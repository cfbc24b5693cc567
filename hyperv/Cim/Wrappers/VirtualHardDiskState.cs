// Written from hyperv/Cim/Schema/schema.json by tests/Cim.Tests (WEAVE_GOLDEN=renew).
namespace WeaveHypervisor.HyperV.Cim.Wrappers;

/// <summary>Names and calls of <c>Msvm_VirtualHardDiskState</c>.</summary>
public static class VirtualHardDiskState
{
    public const string ClassName = "Msvm_VirtualHardDiskState";
    public static readonly CimProperty<uint> Alignment = new("Alignment");
    public static readonly CimProperty<ulong> FileSize = new("FileSize");
    public static readonly CimProperty<uint> FragmentationPercentage = new("FragmentationPercentage");
    public static readonly CimProperty<bool> InUse = new("InUse");
    public static readonly CimProperty<ulong> MinInternalSize = new("MinInternalSize");
    public static readonly CimProperty<uint> PhysicalSectorSize = new("PhysicalSectorSize");
    public static readonly CimProperty<CimTime> Timestamp = new("Timestamp");
}
