// Written from hyperv/Cim/Schema/schema.json by tests/Cim.Tests (WEAVE_GOLDEN=renew).
namespace WeaveHypervisor.HyperV.Cim.Wrappers;

/// <summary>Names and calls of <c>Msvm_VirtualSystemReferencePoint</c>.</summary>
public static class VirtualSystemReferencePoint
{
    public const string ClassName = "Msvm_VirtualSystemReferencePoint";
    public static readonly CimProperty<ushort> ConsistencyLevel = new("ConsistencyLevel");
    public static readonly CimProperty<string> ElementName = new("ElementName");
    public static readonly CimProperty<bool> HasAssociatedData = new("HasAssociatedData");
    public static readonly CimProperty<string> InstanceID = new("InstanceID");
    public static readonly CimProperty<ushort> ReferencePointType = new("ReferencePointType");
    public static readonly CimProperty<string[]> ResilientChangeTrackingIdentifiers = new("ResilientChangeTrackingIdentifiers");
    public static readonly CimProperty<string[]> VirtualDiskIdentifiers = new("VirtualDiskIdentifiers");
    public static readonly CimProperty<string> VirtualSystemIdentifier = new("VirtualSystemIdentifier");
}
