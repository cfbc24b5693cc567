// Written from hyperv/Cim/Schema/schema.json by tests/Cim.Tests (WEAVE_GOLDEN=renew).
namespace WeaveHypervisor.HyperV.Cim.Wrappers;

/// <summary>Names and calls of <c>Msvm_VirtualSystemReferencePointSettingData</c>.</summary>
public static class VirtualSystemReferencePointSettingData
{
    public const string ClassName = "Msvm_VirtualSystemReferencePointSettingData";
    public static readonly CimProperty<byte> ConsistencyLevel = new("ConsistencyLevel");
    public static readonly CimProperty<string> ElementName = new("ElementName");
    public static readonly CimProperty<string> InstanceID = new("InstanceID");
}
