// Written from hyperv/Cim/Schema/schema.json by tests/Cim.Tests (WEAVE_GOLDEN=renew).
namespace WeaveHypervisor.HyperV.Cim.Wrappers;

/// <summary>Names and calls of <c>Msvm_PlannedComputerSystem</c>.</summary>
public static class PlannedComputerSystem
{
    public const string ClassName = "Msvm_PlannedComputerSystem";
    public static readonly CimProperty<ushort[]> AssignedNumaNodeList = new("AssignedNumaNodeList");
    public static readonly CimProperty<string> CreationClassName = new("CreationClassName");
    public static readonly CimProperty<ushort[]> Dedicated = new("Dedicated");
    public static readonly CimProperty<string> ElementName = new("ElementName");
    public static readonly CimProperty<ushort> EnabledState = new("EnabledState");
    public static readonly CimProperty<string> InstanceID = new("InstanceID");
    public static readonly CimProperty<string> Name = new("Name");
    public static readonly CimProperty<ulong> OnTimeInMilliseconds = new("OnTimeInMilliseconds");
    public static readonly CimProperty<ushort[]> OperationalStatus = new("OperationalStatus");
    public static readonly CimProperty<string[]> OtherDedicatedDescriptions = new("OtherDedicatedDescriptions");
    public static readonly CimProperty<ushort[]> PowerManagementCapabilities = new("PowerManagementCapabilities");
    public static readonly CimProperty<uint> ProcessID = new("ProcessID");
    public static readonly CimProperty<ushort> ResetCapability = new("ResetCapability");
    public static readonly CimProperty<CimTime> TimeOfLastConfigurationChange = new("TimeOfLastConfigurationChange");

    public static CimCall RequestStateChange(ushort? requestedState = null, CimTime? timeoutPeriod = null) =>
        CimCall.Of("RequestStateChange", ("RequestedState", requestedState), ("TimeoutPeriod", timeoutPeriod));

    public static CimCall SetPowerState(uint? powerState = null, CimTime? time = null) =>
        CimCall.Of("SetPowerState", ("PowerState", powerState), ("Time", time));
}
