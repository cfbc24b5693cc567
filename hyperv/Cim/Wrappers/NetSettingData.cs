// Written from hyperv/Cim/Schema/schema.json by tests/Cim.Tests (WEAVE_GOLDEN=renew).
namespace WeaveHypervisor.HyperV.Cim.Wrappers;

/// <summary>Names and calls of <c>MSFT_NetSettingData</c>.</summary>
public static class NetSettingData
{
    public const string ClassName = "MSFT_NetSettingData";
    public static readonly CimProperty<string> ElementName = new("ElementName");
    public static readonly CimProperty<string> InstanceID = new("InstanceID");
}
