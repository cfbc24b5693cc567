// Written from hyperv/Cim/Schema/schema.json by tests/Cim.Tests (WEAVE_GOLDEN=renew).
namespace WeaveHypervisor.HyperV.Cim.Wrappers;

/// <summary>Names and calls of <c>Msvm_KvpExchangeDataItem</c>.</summary>
public static class KvpExchangeDataItem
{
    public const string ClassName = "Msvm_KvpExchangeDataItem";
    public static readonly CimProperty<string> Data = new("Data");
    public static readonly CimProperty<string> ElementName = new("ElementName");
    public static readonly CimProperty<string> InstanceID = new("InstanceID");
    public static readonly CimProperty<string> Name = new("Name");
    public static readonly CimProperty<ushort> Source = new("Source");
}
