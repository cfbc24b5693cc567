// Written from hyperv/Cim/Schema/schema.json by tests/Cim.Tests (WEAVE_GOLDEN=renew).
namespace WeaveHypervisor.HyperV.Cim.Wrappers;

/// <summary>Names and calls of <c>Msvm_SecuritySettingData</c>.</summary>
public static class SecuritySettingData
{
    public const string ClassName = "Msvm_SecuritySettingData";
    /// <summary>Not on Windows Server 2019.</summary>
    public static readonly CimProperty<bool> AppContainerLaunchOptOut = new("AppContainerLaunchOptOut");
    public static readonly CimProperty<bool> BindToHostTpm = new("BindToHostTpm");
    public static readonly CimProperty<bool> DataProtectionRequested = new("DataProtectionRequested");
    public static readonly CimProperty<string> ElementName = new("ElementName");
    public static readonly CimProperty<bool> EncryptStateAndVmMigrationTraffic = new("EncryptStateAndVmMigrationTraffic");
    public static readonly CimProperty<string> InstanceID = new("InstanceID");
    public static readonly CimProperty<bool> KsdEnabled = new("KsdEnabled");
    public static readonly CimProperty<bool> ShieldingRequested = new("ShieldingRequested");
    public static readonly CimProperty<bool> TpmEnabled = new("TpmEnabled");
    public static readonly CimProperty<bool> VirtualizationBasedSecurityOptOut = new("VirtualizationBasedSecurityOptOut");
}
