// Written from hyperv/Cim/Schema/schema.json by tests/Cim.Tests (WEAVE_GOLDEN=renew).
namespace WeaveHypervisor.HyperV.Cim.Wrappers;

/// <summary>Names and calls of <c>Msvm_VirtualEthernetSwitchSettingData</c>.</summary>
public static class VirtualEthernetSwitchSettingData
{
    public const string ClassName = "Msvm_VirtualEthernetSwitchSettingData";
    /// <summary>Not on Windows Server 2019.</summary>
    public static readonly CimProperty<bool> AllowNetLbfoTeams = new("AllowNetLbfoTeams");
    public static readonly CimProperty<string[]> AssociatedResourcePool = new("AssociatedResourcePool");
    public static readonly CimProperty<ushort> AutomaticRecoveryAction = new("AutomaticRecoveryAction");
    public static readonly CimProperty<ushort> AutomaticShutdownAction = new("AutomaticShutdownAction");
    public static readonly CimProperty<ushort> AutomaticStartupAction = new("AutomaticStartupAction");
    public static readonly CimProperty<CimTime> AutomaticStartupActionDelay = new("AutomaticStartupActionDelay");
    public static readonly CimProperty<ushort> AutomaticStartupActionSequenceNumber = new("AutomaticStartupActionSequenceNumber");
    public static readonly CimProperty<uint> BandwidthReservationMode = new("BandwidthReservationMode");
    /// <summary>Not on Windows Server 2019.</summary>
    public static readonly CimProperty<bool> BypassExtensionStack = new("BypassExtensionStack");
    public static readonly CimProperty<string> ConfigurationDataRoot = new("ConfigurationDataRoot");
    public static readonly CimProperty<string> ConfigurationFile = new("ConfigurationFile");
    public static readonly CimProperty<string> ConfigurationID = new("ConfigurationID");
    public static readonly CimProperty<CimTime> CreationTime = new("CreationTime");
    public static readonly CimProperty<string> ElementName = new("ElementName");
    public static readonly CimProperty<string[]> ExtensionOrder = new("ExtensionOrder");
    public static readonly CimProperty<string> InstanceID = new("InstanceID");
    public static readonly CimProperty<bool> IOVPreferred = new("IOVPreferred");
    public static readonly CimProperty<string> LogDataRoot = new("LogDataRoot");
    public static readonly CimProperty<uint> MaxNumMACAddress = new("MaxNumMACAddress");
    public static readonly CimProperty<string[]> Notes = new("Notes");
    public static readonly CimProperty<bool> PacketDirectEnabled = new("PacketDirectEnabled");
    public static readonly CimProperty<string> RecoveryFile = new("RecoveryFile");
    /// <summary>Not on Windows Server 2019.</summary>
    public static readonly CimProperty<string[]> RequiredExtensionIds = new("RequiredExtensionIds");
    public static readonly CimProperty<string> SnapshotDataRoot = new("SnapshotDataRoot");
    public static readonly CimProperty<string> SuspendDataRoot = new("SuspendDataRoot");
    public static readonly CimProperty<string> SwapFileDataRoot = new("SwapFileDataRoot");
    public static readonly CimProperty<bool> TeamingEnabled = new("TeamingEnabled");
    public static readonly CimProperty<string> VirtualSystemIdentifier = new("VirtualSystemIdentifier");
    public static readonly CimProperty<string> VirtualSystemType = new("VirtualSystemType");
    public static readonly CimProperty<string[]> VLANConnection = new("VLANConnection");
}
