// Written from hyperv/Cim/Schema/schema.json by tests/Cim.Tests (WEAVE_GOLDEN=renew).
namespace WeaveHypervisor.HyperV.Cim.Wrappers;

/// <summary>Names and calls of <c>MSFT_NetAdapter</c>.</summary>
public static class NetAdapter
{
    public const string ClassName = "MSFT_NetAdapter";
    public static readonly CimProperty<ulong> ActiveMaximumTransmissionUnit = new("ActiveMaximumTransmissionUnit");
    public static readonly CimProperty<bool> AdminLocked = new("AdminLocked");
    public static readonly CimProperty<bool> AutoSense = new("AutoSense");
    public static readonly CimProperty<string> ComponentID = new("ComponentID");
    public static readonly CimProperty<bool> ConnectorPresent = new("ConnectorPresent");
    public static readonly CimProperty<string> CreationClassName = new("CreationClassName");
    public static readonly CimProperty<string> DeviceID = new("DeviceID");
    public static readonly CimProperty<string> DeviceName = new("DeviceName");
    public static readonly CimProperty<bool> DeviceWakeUpEnable = new("DeviceWakeUpEnable");
    public static readonly CimProperty<string> DriverDate = new("DriverDate");
    public static readonly CimProperty<ulong> DriverDateData = new("DriverDateData");
    public static readonly CimProperty<string> DriverDescription = new("DriverDescription");
    public static readonly CimProperty<byte> DriverMajorNdisVersion = new("DriverMajorNdisVersion");
    public static readonly CimProperty<byte> DriverMinorNdisVersion = new("DriverMinorNdisVersion");
    public static readonly CimProperty<string> DriverName = new("DriverName");
    public static readonly CimProperty<string> DriverProvider = new("DriverProvider");
    public static readonly CimProperty<string> DriverVersionString = new("DriverVersionString");
    public static readonly CimProperty<string> ElementName = new("ElementName");
    public static readonly CimProperty<ushort> EnabledState = new("EnabledState");
    public static readonly CimProperty<bool> EndPointInterface = new("EndPointInterface");
    public static readonly CimProperty<bool> FullDuplex = new("FullDuplex");
    public static readonly CimProperty<bool> HardwareInterface = new("HardwareInterface");
    public static readonly CimProperty<bool> Hidden = new("Hidden");
    public static readonly CimProperty<uint[]> HigherLayerInterfaceIndices = new("HigherLayerInterfaceIndices");
    public static readonly CimProperty<bool> IMFilter = new("IMFilter");
    public static readonly CimProperty<string> InstanceID = new("InstanceID");
    public static readonly CimProperty<uint> InterfaceAdminStatus = new("InterfaceAdminStatus");
    public static readonly CimProperty<string> InterfaceDescription = new("InterfaceDescription");
    public static readonly CimProperty<string> InterfaceGuid = new("InterfaceGuid");
    public static readonly CimProperty<uint> InterfaceIndex = new("InterfaceIndex");
    public static readonly CimProperty<string> InterfaceName = new("InterfaceName");
    public static readonly CimProperty<uint> InterfaceOperationalStatus = new("InterfaceOperationalStatus");
    public static readonly CimProperty<uint> InterfaceType = new("InterfaceType");
    public static readonly CimProperty<bool> iSCSIInterface = new("iSCSIInterface");
    public static readonly CimProperty<ushort> LinkTechnology = new("LinkTechnology");
    public static readonly CimProperty<uint[]> LowerLayerInterfaceIndices = new("LowerLayerInterfaceIndices");
    public static readonly CimProperty<ushort> MajorDriverVersion = new("MajorDriverVersion");
    public static readonly CimProperty<uint> MediaConnectState = new("MediaConnectState");
    public static readonly CimProperty<uint> MediaDuplexState = new("MediaDuplexState");
    public static readonly CimProperty<ushort> MinorDriverVersion = new("MinorDriverVersion");
    public static readonly CimProperty<uint> MtuSize = new("MtuSize");
    public static readonly CimProperty<string> Name = new("Name");
    public static readonly CimProperty<uint> NdisMedium = new("NdisMedium");
    public static readonly CimProperty<uint> NdisPhysicalMedium = new("NdisPhysicalMedium");
    public static readonly CimProperty<ulong> NetLuid = new("NetLuid");
    public static readonly CimProperty<uint> NetLuidIndex = new("NetLuidIndex");
    public static readonly CimProperty<string[]> NetworkAddresses = new("NetworkAddresses");
    public static readonly CimProperty<bool> NotUserRemovable = new("NotUserRemovable");
    public static readonly CimProperty<ushort[]> OperationalStatus = new("OperationalStatus");
    public static readonly CimProperty<bool> OperationalStatusDownDefaultPortNotAuthenticated = new("OperationalStatusDownDefaultPortNotAuthenticated");
    public static readonly CimProperty<bool> OperationalStatusDownInterfacePaused = new("OperationalStatusDownInterfacePaused");
    public static readonly CimProperty<bool> OperationalStatusDownLowPowerState = new("OperationalStatusDownLowPowerState");
    public static readonly CimProperty<bool> OperationalStatusDownMediaDisconnected = new("OperationalStatusDownMediaDisconnected");
    public static readonly CimProperty<string> OtherLinkTechnology = new("OtherLinkTechnology");
    public static readonly CimProperty<string> OtherNetworkPortType = new("OtherNetworkPortType");
    public static readonly CimProperty<string> PermanentAddress = new("PermanentAddress");
    public static readonly CimProperty<string> PnPDeviceID = new("PnPDeviceID");
    public static readonly CimProperty<ushort> PortNumber = new("PortNumber");
    public static readonly CimProperty<bool> PromiscuousMode = new("PromiscuousMode");
    public static readonly CimProperty<ulong> ReceiveLinkSpeed = new("ReceiveLinkSpeed");
    public static readonly CimProperty<uint> State = new("State");
    public static readonly CimProperty<ulong> SupportedMaximumTransmissionUnit = new("SupportedMaximumTransmissionUnit");
    public static readonly CimProperty<string> SystemName = new("SystemName");
    public static readonly CimProperty<ulong> TransmitLinkSpeed = new("TransmitLinkSpeed");
    public static readonly CimProperty<bool> Virtual = new("Virtual");
    public static readonly CimProperty<ushort> VlanID = new("VlanID");
    public static readonly CimProperty<bool> WdmInterface = new("WdmInterface");

    public static CimCall Disable() =>
        CimCall.Of("Disable");

    /// <summary>What <see cref="Disable"/> answers.</summary>
    public static class DisableAnswer
    {
        public static readonly CimProperty<string> CmdletOutput = new("CmdletOutput");
    }

    public static CimCall Enable() =>
        CimCall.Of("Enable");

    /// <summary>What <see cref="Enable"/> answers.</summary>
    public static class EnableAnswer
    {
        public static readonly CimProperty<string> CmdletOutput = new("CmdletOutput");
    }

    public static CimCall Lock() =>
        CimCall.Of("Lock");

    /// <summary>What <see cref="Lock"/> answers.</summary>
    public static class LockAnswer
    {
        public static readonly CimProperty<string> CmdletOutput = new("CmdletOutput");
    }

    public static CimCall Rename(string? newName = null) =>
        CimCall.Of("Rename", ("NewName", newName));

    /// <summary>What <see cref="Rename"/> answers.</summary>
    public static class RenameAnswer
    {
        public static readonly CimProperty<string> CmdletOutput = new("CmdletOutput");
    }

    public static CimCall RequestStateChange(ushort? requestedState = null, string? timeoutPeriod = null) =>
        CimCall.Of("RequestStateChange", ("RequestedState", requestedState), ("TimeoutPeriod", timeoutPeriod));

    public static CimCall Restart() =>
        CimCall.Of("Restart");

    /// <summary>What <see cref="Restart"/> answers.</summary>
    public static class RestartAnswer
    {
        public static readonly CimProperty<string> CmdletOutput = new("CmdletOutput");
    }

    public static CimCall Unlock() =>
        CimCall.Of("Unlock");

    /// <summary>What <see cref="Unlock"/> answers.</summary>
    public static class UnlockAnswer
    {
        public static readonly CimProperty<string> CmdletOutput = new("CmdletOutput");
    }
}
