// Written from hyperv/Cim/Schema/schema.json by tests/Cim.Tests (WEAVE_GOLDEN=renew).
namespace WeaveHypervisor.HyperV.Cim.Wrappers;

/// <summary>Names and calls of <c>Msvm_EthernetSwitchPortExtendedAclSettingData</c>.</summary>
public static class EthernetSwitchPortExtendedAclSettingData
{
    public const string ClassName = "Msvm_EthernetSwitchPortExtendedAclSettingData";
    public static readonly CimProperty<byte> Action = new("Action");
    public static readonly CimProperty<byte> Direction = new("Direction");
    public static readonly CimProperty<string> ElementName = new("ElementName");
    public static readonly CimProperty<ushort> IdleSessionTimeout = new("IdleSessionTimeout");
    public static readonly CimProperty<string> InstanceID = new("InstanceID");
    public static readonly CimProperty<uint> IsolationID = new("IsolationID");
    public static readonly CimProperty<string> LocalIPAddress = new("LocalIPAddress");
    public static readonly CimProperty<string> LocalPort = new("LocalPort");
    public static readonly CimProperty<string> Name = new("Name");
    public static readonly CimProperty<string> Protocol = new("Protocol");
    public static readonly CimProperty<string> RemoteIPAddress = new("RemoteIPAddress");
    public static readonly CimProperty<string> RemotePort = new("RemotePort");
    public static readonly CimProperty<bool> Stateful = new("Stateful");
    public static readonly CimProperty<ushort> Weight = new("Weight");
}
