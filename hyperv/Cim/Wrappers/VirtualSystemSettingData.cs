// Written from hyperv/Cim/Schema/schema.json by tests/Cim.Tests (WEAVE_GOLDEN=renew).
namespace WeaveHypervisor.HyperV.Cim.Wrappers;

/// <summary>Names and calls of <c>Msvm_VirtualSystemSettingData</c>.</summary>
public static class VirtualSystemSettingData
{
    public const string ClassName = "Msvm_VirtualSystemSettingData";
    public static readonly CimProperty<string> AdditionalRecoveryInformation = new("AdditionalRecoveryInformation");
    public static readonly CimProperty<bool> AllowFullSCSICommandSet = new("AllowFullSCSICommandSet");
    public static readonly CimProperty<bool> AllowReducedFcRedundancy = new("AllowReducedFcRedundancy");
    public static readonly CimProperty<string> Architecture = new("Architecture");
    public static readonly CimProperty<ushort> AutomaticCriticalErrorAction = new("AutomaticCriticalErrorAction");
    public static readonly CimProperty<CimTime> AutomaticCriticalErrorActionTimeout = new("AutomaticCriticalErrorActionTimeout");
    public static readonly CimProperty<ushort> AutomaticRecoveryAction = new("AutomaticRecoveryAction");
    public static readonly CimProperty<ushort> AutomaticShutdownAction = new("AutomaticShutdownAction");
    public static readonly CimProperty<bool> AutomaticSnapshotsEnabled = new("AutomaticSnapshotsEnabled");
    public static readonly CimProperty<ushort> AutomaticStartupAction = new("AutomaticStartupAction");
    public static readonly CimProperty<CimTime> AutomaticStartupActionDelay = new("AutomaticStartupActionDelay");
    public static readonly CimProperty<ushort> AutomaticStartupActionSequenceNumber = new("AutomaticStartupActionSequenceNumber");
    public static readonly CimProperty<string> BaseBoardSerialNumber = new("BaseBoardSerialNumber");
    public static readonly CimProperty<string> BIOSGUID = new("BIOSGUID");
    public static readonly CimProperty<bool> BIOSNumLock = new("BIOSNumLock");
    public static readonly CimProperty<string> BIOSSerialNumber = new("BIOSSerialNumber");
    public static readonly CimProperty<ushort[]> BootOrder = new("BootOrder");
    /// <summary>Not on Windows Server 2019.</summary>
    public static readonly CimProperty<bool> BootPciExpress = new("BootPciExpress");
    /// <summary>Not on Windows Server 2019.</summary>
    public static readonly CimProperty<string> BootPciExpressInstanceFilter = new("BootPciExpressInstanceFilter");
    public static readonly CimProperty<string[]> BootSourceOrder = new("BootSourceOrder");
    public static readonly CimProperty<string> ChassisAssetTag = new("ChassisAssetTag");
    public static readonly CimProperty<string> ChassisSerialNumber = new("ChassisSerialNumber");
    /// <summary>Not on Windows Server 2019.</summary>
    public static readonly CimProperty<ushort> ClusterWideNodeCapabilitiesValidationMode = new("ClusterWideNodeCapabilitiesValidationMode");
    public static readonly CimProperty<string> ConfigurationDataRoot = new("ConfigurationDataRoot");
    public static readonly CimProperty<string> ConfigurationFile = new("ConfigurationFile");
    public static readonly CimProperty<string> ConfigurationID = new("ConfigurationID");
    public static readonly CimProperty<ushort> ConsoleMode = new("ConsoleMode");
    public static readonly CimProperty<CimTime> CreationTime = new("CreationTime");
    public static readonly CimProperty<uint> DebugChannelId = new("DebugChannelId");
    public static readonly CimProperty<uint> DebugPort = new("DebugPort");
    public static readonly CimProperty<ushort> DebugPortEnabled = new("DebugPortEnabled");
    public static readonly CimProperty<string> ElementName = new("ElementName");
    public static readonly CimProperty<bool> EnableHibernation = new("EnableHibernation");
    public static readonly CimProperty<ushort> EnhancedSessionTransportType = new("EnhancedSessionTransportType");
    /// <summary>Not on Windows Server 2019.</summary>
    public static readonly CimProperty<string> FirmwareFile = new("FirmwareFile");
    /// <summary>Not on Windows Server 2019.</summary>
    public static readonly CimProperty<byte[]> FirmwareParameters = new("FirmwareParameters");
    public static readonly CimProperty<bool> GuestControlledCacheTypes = new("GuestControlledCacheTypes");
    /// <summary>Not on Windows Server 2019.</summary>
    public static readonly CimProperty<ulong> GuestFeatureSet = new("GuestFeatureSet");
    public static readonly CimProperty<string> GuestStateDataRoot = new("GuestStateDataRoot");
    public static readonly CimProperty<string> GuestStateFile = new("GuestStateFile");
    /// <summary>Not on Windows Server 2019.</summary>
    public static readonly CimProperty<bool> GuestStateIsolationEnabled = new("GuestStateIsolationEnabled");
    /// <summary>Not on Windows Server 2019.</summary>
    public static readonly CimProperty<ushort> GuestStateIsolationMode = new("GuestStateIsolationMode");
    /// <summary>Not on Windows Server 2019.</summary>
    public static readonly CimProperty<ushort> GuestStateIsolationType = new("GuestStateIsolationType");
    public static readonly CimProperty<ulong> HighMmioGapBase = new("HighMmioGapBase");
    public static readonly CimProperty<ulong> HighMmioGapSize = new("HighMmioGapSize");
    public static readonly CimProperty<bool> IncrementalBackupEnabled = new("IncrementalBackupEnabled");
    public static readonly CimProperty<string> InstanceID = new("InstanceID");
    public static readonly CimProperty<bool> IsAutomaticSnapshot = new("IsAutomaticSnapshot");
    public static readonly CimProperty<bool> IsSaved = new("IsSaved");
    public static readonly CimProperty<bool> LockOnDisconnect = new("LockOnDisconnect");
    public static readonly CimProperty<string> LogDataRoot = new("LogDataRoot");
    public static readonly CimProperty<ulong> LowMmioGapSize = new("LowMmioGapSize");
    /// <summary>Not on Windows Server 2019.</summary>
    public static readonly CimProperty<string> MemoryHostingJobObjectName = new("MemoryHostingJobObjectName");
    public static readonly CimProperty<ushort> NetworkBootPreferredProtocol = new("NetworkBootPreferredProtocol");
    public static readonly CimProperty<string[]> Notes = new("Notes");
    /// <summary>Not on Windows Server 2019.</summary>
    public static readonly CimProperty<string[]> NumaNodeTopologyArray = new("NumaNodeTopologyArray");
    public static readonly CimProperty<string> Parent = new("Parent");
    public static readonly CimProperty<bool> PauseAfterBootFailure = new("PauseAfterBootFailure");
    public static readonly CimProperty<string> RecoveryFile = new("RecoveryFile");
    public static readonly CimProperty<bool> SecureBootEnabled = new("SecureBootEnabled");
    public static readonly CimProperty<string> SecureBootTemplateId = new("SecureBootTemplateId");
    public static readonly CimProperty<string> SnapshotDataRoot = new("SnapshotDataRoot");
    public static readonly CimProperty<string> SuspendDataRoot = new("SuspendDataRoot");
    public static readonly CimProperty<string> SwapFileDataRoot = new("SwapFileDataRoot");
    public static readonly CimProperty<bool> TurnOffOnGuestRestart = new("TurnOffOnGuestRestart");
    public static readonly CimProperty<ushort> UserSnapshotType = new("UserSnapshotType");
    public static readonly CimProperty<string> Version = new("Version");
    public static readonly CimProperty<bool> VirtualNumaEnabled = new("VirtualNumaEnabled");
    /// <summary>Not on Windows Server 2019.</summary>
    public static readonly CimProperty<ushort> VirtualSlitType = new("VirtualSlitType");
    public static readonly CimProperty<string> VirtualSystemIdentifier = new("VirtualSystemIdentifier");
    public static readonly CimProperty<string> VirtualSystemSubType = new("VirtualSystemSubType");
    public static readonly CimProperty<string> VirtualSystemType = new("VirtualSystemType");
    /// <summary>Not on Windows Server 2019.</summary>
    public static readonly CimProperty<ushort> VMBusMessageRedirection = new("VMBusMessageRedirection");
    /// <summary>Not on Windows Server 2019.</summary>
    public static readonly CimProperty<ulong> Vtl2AddressRangeBase = new("Vtl2AddressRangeBase");
    /// <summary>Not on Windows Server 2019.</summary>
    public static readonly CimProperty<ulong> Vtl2AddressRangeSize = new("Vtl2AddressRangeSize");
    /// <summary>Not on Windows Server 2019.</summary>
    public static readonly CimProperty<ushort> Vtl2AddressSpaceConfigurationMode = new("Vtl2AddressSpaceConfigurationMode");
    /// <summary>Not on Windows Server 2019.</summary>
    public static readonly CimProperty<ulong> Vtl2MmioAddressRangeSize = new("Vtl2MmioAddressRangeSize");
    /// <summary>Not on Windows Server 2019.</summary>
    public static readonly CimProperty<bool> WatchdogEnabled = new("WatchdogEnabled");
    /// <summary>Not on Windows Server 2019.</summary>
    public static readonly CimProperty<string> WorkerJobObjectName = new("WorkerJobObjectName");
}
