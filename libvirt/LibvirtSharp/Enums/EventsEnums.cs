namespace LibvirtSharp;

/// <summary>libvirt <c>virDomainEventID</c>.</summary>
public enum DomainEventId
{
    Lifecycle = 0,
    Reboot = 1,
    RtcChange = 2,
    Watchdog = 3,
    IoError = 4,
    Graphics = 5,
    IoErrorReason = 6,
    ControlError = 7,
    BlockJob = 8,
    DiskChange = 9,
    TrayChange = 10,
    Pmwakeup = 11,
    Pmsuspend = 12,
    BalloonChange = 13,
    PmsuspendDisk = 14,
    DeviceRemoved = 15,
    BlockJob2 = 16,
    Tunable = 17,
    AgentLifecycle = 18,
    DeviceAdded = 19,
    MigrationIteration = 20,
    JobCompleted = 21,
    DeviceRemovalFailed = 22,
    MetadataChange = 23,
    BlockThreshold = 24,
    MemoryFailure = 25,
    MemoryDeviceSizeChange = 26,
}

/// <summary>libvirt <c>virDomainEventType</c>.</summary>
public enum LifecycleEventType
{
    Defined = 0,
    Undefined = 1,
    Started = 2,
    Suspended = 3,
    Resumed = 4,
    Stopped = 5,
    Shutdown = 6,
    Pmsuspended = 7,
    Crashed = 8,
}

/// <summary>libvirt <c>virConnectDomainEventAgentLifecycleState</c>.</summary>
public enum AgentLifecycleState
{
    Connected = 1,
    Disconnected = 2,
}

/// <summary>libvirt <c>virConnectDomainEventAgentLifecycleReason</c>.</summary>
public enum AgentLifecycleReason
{
    Unknown = 0,
    DomainStarted = 1,
    Channel = 2,
}
