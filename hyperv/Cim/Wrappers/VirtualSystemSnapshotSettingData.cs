// Written from hyperv/Cim/Schema/schema.json by tests/Cim.Tests (WEAVE_GOLDEN=renew).
namespace WeaveHypervisor.HyperV.Cim.Wrappers;

/// <summary>Names and calls of <c>Msvm_VirtualSystemSnapshotSettingData</c>.</summary>
public static class VirtualSystemSnapshotSettingData
{
    public const string ClassName = "Msvm_VirtualSystemSnapshotSettingData";
    public static readonly CimProperty<byte> ConsistencyLevel = new("ConsistencyLevel");
    public static readonly CimProperty<string> ElementName = new("ElementName");
    public static readonly CimProperty<byte> GuestBackupType = new("GuestBackupType");
    public static readonly CimProperty<bool> IgnoreNonSnapshottableDisks = new("IgnoreNonSnapshottableDisks");
    public static readonly CimProperty<string> InstanceID = new("InstanceID");
}
