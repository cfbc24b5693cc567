// Written from hyperv/Cim/Schema/schema.json by tests/Cim.Tests (WEAVE_GOLDEN=renew).
namespace WeaveHypervisor.HyperV.Cim.Wrappers;

/// <summary>Names and calls of <c>Msvm_VirtualEthernetSwitch</c>.</summary>
public static class VirtualEthernetSwitch
{
    public const string ClassName = "Msvm_VirtualEthernetSwitch";
    public static readonly CimProperty<string> CreationClassName = new("CreationClassName");
    public static readonly CimProperty<ushort[]> Dedicated = new("Dedicated");
    public static readonly CimProperty<string> ElementName = new("ElementName");
    public static readonly CimProperty<ushort> EnabledState = new("EnabledState");
    public static readonly CimProperty<string> InstanceID = new("InstanceID");
    public static readonly CimProperty<uint> MaxIOVOffloads = new("MaxIOVOffloads");
    public static readonly CimProperty<uint> MaxVMQOffloads = new("MaxVMQOffloads");
    public static readonly CimProperty<string> Name = new("Name");
    public static readonly CimProperty<ushort[]> OperationalStatus = new("OperationalStatus");
    public static readonly CimProperty<string[]> OtherDedicatedDescriptions = new("OtherDedicatedDescriptions");
    public static readonly CimProperty<ushort[]> PowerManagementCapabilities = new("PowerManagementCapabilities");
    public static readonly CimProperty<ushort> ResetCapability = new("ResetCapability");

    public static CimCall RequestStateChange(ushort? requestedState = null, CimTime? timeoutPeriod = null) =>
        CimCall.Of("RequestStateChange", ("RequestedState", requestedState), ("TimeoutPeriod", timeoutPeriod));

    public static CimCall SetPowerState(uint? powerState = null, CimTime? time = null) =>
        CimCall.Of("SetPowerState", ("PowerState", powerState), ("Time", time));
}
