// Written from hyperv/Cim/Schema/schema.json by tests/Cim.Tests (WEAVE_GOLDEN=renew).
namespace WeaveHypervisor.HyperV.Cim.Wrappers;

/// <summary>Names and calls of <c>Msvm_ComputerSystem</c>.</summary>
public static class ComputerSystem
{
    public const string ClassName = "Msvm_ComputerSystem";
    public static readonly CimProperty<string> CreationClassName = new("CreationClassName");
    public static readonly CimProperty<ushort[]> Dedicated = new("Dedicated");
    public static readonly CimProperty<string> ElementName = new("ElementName");
    public static readonly CimProperty<ushort> EnabledState = new("EnabledState");
    public static readonly CimProperty<ushort> EnhancedSessionModeState = new("EnhancedSessionModeState");
    public static readonly CimProperty<ushort> FailedOverReplicationType = new("FailedOverReplicationType");
    public static readonly CimProperty<uint> HwThreadsPerCoreRealized = new("HwThreadsPerCoreRealized");
    public static readonly CimProperty<string> InstanceID = new("InstanceID");
    public static readonly CimProperty<CimTime> LastApplicationConsistentReplicationTime = new("LastApplicationConsistentReplicationTime");
    public static readonly CimProperty<CimTime> LastReplicationTime = new("LastReplicationTime");
    public static readonly CimProperty<ushort> LastReplicationType = new("LastReplicationType");
    public static readonly CimProperty<CimTime> LastSuccessfulBackupTime = new("LastSuccessfulBackupTime");
    public static readonly CimProperty<string> Name = new("Name");
    public static readonly CimProperty<ushort> NumberOfNumaNodes = new("NumberOfNumaNodes");
    public static readonly CimProperty<ulong> OnTimeInMilliseconds = new("OnTimeInMilliseconds");
    public static readonly CimProperty<ushort[]> OperationalStatus = new("OperationalStatus");
    public static readonly CimProperty<string[]> OtherDedicatedDescriptions = new("OtherDedicatedDescriptions");
    public static readonly CimProperty<ushort[]> PowerManagementCapabilities = new("PowerManagementCapabilities");
    public static readonly CimProperty<uint> ProcessID = new("ProcessID");
    public static readonly CimProperty<ushort> ReplicationHealth = new("ReplicationHealth");
    public static readonly CimProperty<ushort> ReplicationMode = new("ReplicationMode");
    public static readonly CimProperty<ushort> ReplicationState = new("ReplicationState");
    public static readonly CimProperty<ushort> ResetCapability = new("ResetCapability");
    public static readonly CimProperty<CimTime> TimeOfLastConfigurationChange = new("TimeOfLastConfigurationChange");

    public static CimCall InjectNonMaskableInterrupt() =>
        CimCall.Of("InjectNonMaskableInterrupt");

    /// <summary>Not on Windows Server 2019.</summary>
    public static CimCall InjectNonMaskableInterruptEx(byte? vtl = null) =>
        CimCall.Of("InjectNonMaskableInterruptEx", ("Vtl", vtl));

    /// <summary>Not on Windows Server 2019.</summary>
    public static CimCall RequestCustomRestore(string? restoreSettings = null) =>
        CimCall.Of("RequestCustomRestore", ("RestoreSettings", restoreSettings));

    public static CimCall RequestReplicationStateChange(ushort? requestedState = null, CimTime? timeoutPeriod = null) =>
        CimCall.Of("RequestReplicationStateChange", ("RequestedState", requestedState), ("TimeoutPeriod", timeoutPeriod));

    public static CimCall RequestReplicationStateChangeEx(string? replicationRelationship = null, ushort? requestedState = null, string? timeoutPeriod = null) =>
        CimCall.Of("RequestReplicationStateChangeEx", ("ReplicationRelationship", replicationRelationship), ("RequestedState", requestedState), ("TimeoutPeriod", timeoutPeriod));

    public static CimCall RequestStateChange(ushort? requestedState = null, CimTime? timeoutPeriod = null) =>
        CimCall.Of("RequestStateChange", ("RequestedState", requestedState), ("TimeoutPeriod", timeoutPeriod));

    public static CimCall SetPowerState(uint? powerState = null, CimTime? time = null) =>
        CimCall.Of("SetPowerState", ("PowerState", powerState), ("Time", time));
}
