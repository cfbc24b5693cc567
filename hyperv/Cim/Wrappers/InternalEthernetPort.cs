// Written from hyperv/Cim/Schema/schema.json by tests/Cim.Tests (WEAVE_GOLDEN=renew).
namespace WeaveHypervisor.HyperV.Cim.Wrappers;

/// <summary>Names and calls of <c>Msvm_InternalEthernetPort</c>.</summary>
public static class InternalEthernetPort
{
    public const string ClassName = "Msvm_InternalEthernetPort";
    public static readonly CimProperty<ulong> ActiveMaximumTransmissionUnit = new("ActiveMaximumTransmissionUnit");
    public static readonly CimProperty<bool> AutoSense = new("AutoSense");
    public static readonly CimProperty<ushort[]> Capabilities = new("Capabilities");
    public static readonly CimProperty<string[]> CapabilityDescriptions = new("CapabilityDescriptions");
    public static readonly CimProperty<string> CreationClassName = new("CreationClassName");
    public static readonly CimProperty<string> DeviceID = new("DeviceID");
    public static readonly CimProperty<string> ElementName = new("ElementName");
    public static readonly CimProperty<ushort[]> EnabledCapabilities = new("EnabledCapabilities");
    public static readonly CimProperty<ushort> EnabledState = new("EnabledState");
    public static readonly CimProperty<bool> FullDuplex = new("FullDuplex");
    public static readonly CimProperty<string> InstanceID = new("InstanceID");
    public static readonly CimProperty<ushort> LinkTechnology = new("LinkTechnology");
    public static readonly CimProperty<uint> MaxDataSize = new("MaxDataSize");
    public static readonly CimProperty<string> Name = new("Name");
    public static readonly CimProperty<string[]> NetworkAddresses = new("NetworkAddresses");
    public static readonly CimProperty<ushort[]> OperationalStatus = new("OperationalStatus");
    public static readonly CimProperty<string[]> OtherEnabledCapabilities = new("OtherEnabledCapabilities");
    public static readonly CimProperty<string> OtherLinkTechnology = new("OtherLinkTechnology");
    public static readonly CimProperty<string> OtherNetworkPortType = new("OtherNetworkPortType");
    public static readonly CimProperty<string> PermanentAddress = new("PermanentAddress");
    public static readonly CimProperty<ushort> PortNumber = new("PortNumber");
    public static readonly CimProperty<ulong> SupportedMaximumTransmissionUnit = new("SupportedMaximumTransmissionUnit");
    public static readonly CimProperty<string> SystemName = new("SystemName");

    public static CimCall RequestStateChange(ushort? requestedState = null, CimTime? timeoutPeriod = null) =>
        CimCall.Of("RequestStateChange", ("RequestedState", requestedState), ("TimeoutPeriod", timeoutPeriod));
}
