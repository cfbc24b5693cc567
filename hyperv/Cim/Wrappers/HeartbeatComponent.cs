// Written from hyperv/Cim/Schema/schema.json by tests/Cim.Tests (WEAVE_GOLDEN=renew).
namespace WeaveHypervisor.HyperV.Cim.Wrappers;

/// <summary>Names and calls of <c>Msvm_HeartbeatComponent</c>.</summary>
public static class HeartbeatComponent
{
    public const string ClassName = "Msvm_HeartbeatComponent";
    public static readonly CimProperty<string> CreationClassName = new("CreationClassName");
    public static readonly CimProperty<string> DeviceID = new("DeviceID");
    public static readonly CimProperty<string> ElementName = new("ElementName");
    public static readonly CimProperty<ushort> EnabledState = new("EnabledState");
    public static readonly CimProperty<string> InstanceID = new("InstanceID");
    public static readonly CimProperty<string> Name = new("Name");
    public static readonly CimProperty<ushort[]> OperationalStatus = new("OperationalStatus");
    public static readonly CimProperty<string> SystemName = new("SystemName");

    public static CimCall RequestStateChange(ushort? requestedState = null, CimTime? timeoutPeriod = null) =>
        CimCall.Of("RequestStateChange", ("RequestedState", requestedState), ("TimeoutPeriod", timeoutPeriod));
}
